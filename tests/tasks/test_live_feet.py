"""Feet of a dance that goes on: they stand, and nothing that comes later moves them."""

import numpy as np
import pytest
from tests.tasks.test_footlock import bones, dance, jump, on_floor, slid, standing  # noqa: F401

from motionbeat.motion import FEET, Motion
from motionbeat.tasks.live_feet import LiveFeet
from motionbeat.tasks.metrics.dance_physics import (
    foot_sliding_ratio,
    penetration,
    physical_foot_contact,
)

TOES = FEET[1::2]


def planted(motion, strengths, size=None):
    """The dance with planted feet, given in pieces."""
    feet, size = LiveFeet(motion.fps), size or len(strengths)
    pieces = [
        feet.plant(Motion(motion.positions[part], motion.fps), strengths[part])
        for part in (slice(start, start + size) for start in range(0, len(strengths), size))
    ]
    positions, contacts = (
        np.concatenate([getattr(one, name) for one in pieces]) for name in ("positions", "contacts")
    )
    return Motion(positions, motion.fps, contacts)


def test_pieces_of_any_length_are_planted_alike(dance):  # noqa: F811
    motion, strengths = slid(dance[0]), dance[1]
    whole = planted(motion, strengths)
    for size in (1, 6, 50):
        found = planted(motion, strengths, size)
        np.testing.assert_allclose(found.positions, whole.positions, atol=1e-6)
        np.testing.assert_array_equal(found.contacts, whole.contacts)


def test_a_dance_that_slides_and_sinks_stands(dance):  # noqa: F811
    motion, strengths = slid(dance[0]), dance[1]
    found = planted(motion, strengths)
    for measure in (physical_foot_contact, penetration):
        assert measure(found.positions) < 0.1 * measure(motion.positions)
    assert foot_sliding_ratio(found.positions) < foot_sliding_ratio(motion.positions)
    np.testing.assert_allclose(bones(found), bones(motion), atol=2e-3)
    assert found.positions[:, FEET, 1].min() > -1e-3
    assert np.abs(found.positions - motion.positions).max() < 0.3, "it is still the same dance"


def test_feet_in_contact_do_not_move(dance):  # noqa: F811
    motion, strengths = slid(dance[0]), dance[1]
    found = planted(motion, strengths)
    ways = np.linalg.norm(np.diff(found.positions[:, TOES], axis=0)[..., [0, 2]], axis=2)
    stand = found.contacts[1:, 1::2] & found.contacts[:-1, 1::2]
    assert stand.mean() > 0.5
    assert np.quantile(ways[stand], 0.99) < 2e-3


def test_a_jump_is_one_and_hovering_is_none():
    motion, strengths = jump()
    found = planted(motion, strengths)
    flight = ~found.contacts.any(axis=1)
    assert flight[34:40].all()
    assert not flight[:30].any()
    assert not flight[50:].any()
    assert found.positions[36, TOES, 1].min() > 0.1
    hovering = planted(standing(np.full(90, 0.1)), on_floor(np.zeros(90)))
    assert hovering.contacts[45:].any(axis=1).all()
    assert hovering.positions[60:, TOES, 1].min(axis=1).max() < 0.01


def test_one_foot_is_down_in_any_doubt():
    found = planted(standing(np.zeros(30)), on_floor(np.full(30, 0.1), np.full(30, 0.2)))
    assert found.contacts[:, 3].all()
    assert not found.contacts[:, 1].any()


@pytest.mark.parametrize("brief", [2, 3, 4])
def test_nobody_steps_in_a_tenth_of_a_second(brief):
    left = np.ones(40)
    left[20 : 20 + brief] = 0
    found = planted(standing(np.zeros(40)), on_floor(left, np.ones(40)))
    away = ~found.contacts[:, 1]
    assert not away.any() or away.sum() >= 3
