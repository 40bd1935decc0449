"""Feet of a dance that goes on: they stand about as they do in a dance that is over."""

import numpy as np
import pytest
from tests.tasks.test_footlock import bones, dance, jump, on_floor, slid, standing  # noqa: F401

from motionbeat.motion import FEET, Motion
from motionbeat.tasks.footlock import plant_feet
from motionbeat.tasks.live_feet import AHEAD, LiveFeet
from motionbeat.tasks.metrics.dance_physics import (
    foot_sliding_ratio,
    jerk,
    penetration,
    physical_foot_contact,
)

TOES = FEET[1::2]


def planted(motion, strengths, size):
    """The dance with planted feet, taken in pieces, and how many frames each piece gave."""
    feet = LiveFeet(motion.fps)
    pieces = [
        feet.plant(Motion(motion.positions[part], motion.fps), strengths[part])
        for part in (slice(start, start + size) for start in range(0, len(strengths), size))
    ]
    positions, contacts = (
        np.concatenate([getattr(one, name) for one in pieces]) for name in ("positions", "contacts")
    )
    return Motion(positions, motion.fps, contacts), [len(one.positions) for one in pieces]


@pytest.mark.parametrize("size", [1, 6, 9, 50])
def test_frames_come_as_soon_as_enough_is_known(dance, size):  # noqa: F811
    found, counts = planted(*dance, size)
    taken = np.minimum(size * np.arange(1, len(counts) + 1), len(dance[1]))
    late = taken - np.cumsum(counts)
    assert late.max() <= round(AHEAD * found.fps) + 1
    assert late[-1] == round(AHEAD * found.fps)


@pytest.mark.parametrize("size", [6, 9, 50])
def test_a_dance_that_slides_and_sinks_stands_about_as_one_that_is_over(dance, size):  # noqa: F811
    motion, strengths = slid(dance[0]), dance[1]
    found, _ = planted(motion, strengths, size)
    over = plant_feet(motion, strengths)
    for measure in (physical_foot_contact, penetration, foot_sliding_ratio):
        before = measure(motion.positions)
        mended = before - measure(over.positions)
        assert before - measure(found.positions) > 0.6 * mended
    assert jerk(found.positions, 30.0) < 2 * jerk(over.positions, 30.0)
    np.testing.assert_allclose(bones(found), bones(motion)[: len(found.positions)], atol=2e-3)
    assert found.positions[:, FEET, 1].min() > -1e-3


@pytest.mark.parametrize("size", [1, 9])
def test_feet_in_contact_do_not_move(dance, size):  # noqa: F811
    motion, strengths = slid(dance[0]), dance[1]
    found, _ = planted(motion, strengths, size)
    ways = np.linalg.norm(np.diff(found.positions[:, TOES], axis=0)[..., [0, 2]], axis=2)
    stand = found.contacts[1:, 1::2] & found.contacts[:-1, 1::2]
    assert stand.mean() > 0.5
    assert np.quantile(ways[stand], 0.98) < 3e-3


@pytest.mark.parametrize("size", [1, 9])
def test_what_comes_later_moves_no_foot_that_was_given(dance, size):  # noqa: F811
    motion, strengths = slid(dance[0]), dance[1]
    other = Motion(motion.positions.copy(), motion.fps)
    other.positions[126:] += 0.1  # a whole number of pieces
    one, same = (planted(given, strengths, size)[0].positions for given in (motion, other))
    given = 126 - round(AHEAD * motion.fps)
    np.testing.assert_array_equal(one[:given], same[:given])
    assert np.abs(one - same).max() > 0.05


def test_a_jump_is_one_and_hovering_is_none():
    found, _ = planted(*jump(), 9)
    flight = ~found.contacts.any(axis=1)
    assert flight[34:40].all()
    assert not flight[:29].any()
    assert not flight[46:].any()
    hovering, _ = planted(standing(np.full(90, 0.1)), on_floor(np.zeros(90)), 9)
    assert hovering.contacts.any(axis=1).all()
