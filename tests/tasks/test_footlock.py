"""Feet that stand: what is mended in a dance, and what stays as it was."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.dancing import beats_at, danced, posed

from motionbeat.motion import FEET, JOINTS, PARENTS, Motion
from motionbeat.tasks.footlock import find_contacts, plant_feet
from motionbeat.tasks.metrics.dance_alignment import Music, sensitivity
from motionbeat.tasks.metrics.dance_physics import (
    foot_sliding_ratio,
    penetration,
    physical_foot_contact,
)
from motionbeat.tasks.metrics.dance_scores import BEAT_SCORES
from motionbeat.tasks.poses import CONTACT, FPS, WIDTH, Body

SECONDS = 8.0
TOES, ANKLES = [10, 11], [7, 8]
LEFT, RIGHT = slice(0, 2), slice(2, 4)

few = settings(max_examples=15, deadline=None)


@pytest.fixture(scope="module")
def dance():
    """A dance whose feet stand, and the strengths of their contacts."""
    motion = danced(110.0, SECONDS)
    body = Body.of(motion)
    rows = body.rows(motion)
    return body.motion(rows), rows[:, CONTACT]


def slid(motion, seed=0, size=0.04):
    """The same dance by somebody who drifts over the floor, up and down too."""
    time = np.arange(len(motion.positions))[:, None] / motion.fps
    phase = np.random.default_rng(seed).uniform(0, 2 * np.pi, (2, 3))
    drift = np.sin(2 * np.pi * time * [1.1, 0.9, 0.7] + phase[0]) * [size, size / 2, size]
    return Motion((motion.positions + drift[:, None]).astype(np.float32), motion.fps)


def bones(motion):
    ways = motion.positions - motion.positions[:, PARENTS]
    return np.linalg.norm(ways[:, 1:].astype(np.float64), axis=2)


def knees(motion):
    """Where knees point to: away from the line of hip and ankle, (T, 2, 3)."""
    hip, knee, ankle = (
        motion.positions[:, [JOINTS.index(f"{s}_{j}") for s in "lr"]].astype(np.float64)
        for j in ("hip", "knee", "ankle")
    )
    along = (ankle - hip) / np.linalg.norm(ankle - hip, axis=2, keepdims=True)
    return knee - hip - along * np.sum((knee - hip) * along, axis=2, keepdims=True)


def standing(heights):
    """Somebody who stands, toes at y = 0, lifted as a whole by heights (T,)."""
    positions = np.repeat(posed({}), len(heights), axis=0)
    positions[..., 1] += heights[:, None] - 0.02
    return Motion(positions.astype(np.float32), FPS)


def on_floor(left, right=None):
    """Strengths of contacts of whole feet."""
    feet = [left, left, *([left, left] if right is None else [right, right])]
    return np.stack(feet, axis=1).astype(np.float32)


# --- Contacts -----------------------------------------------------------------------------------


def test_contacts_are_sure_somewhere_and_likely_throughout():
    left = np.array([0, 0, 0.55, 0.7, 0.55, 0.45, 0, 0, 0, 0.55, 0.55, 0, 0])
    found = find_contacts(standing(np.zeros(13)), on_floor(left, np.ones(13)))
    assert np.flatnonzero(found[:, 0]).tolist() == [2, 3, 4]
    assert (found[:, LEFT] == found[:, :1]).all()
    assert found[:, RIGHT].all()


def test_nobody_steps_in_a_tenth_of_a_second():
    left = np.ones(40)
    left[10:13] = left[20:24] = 0
    found = find_contacts(standing(np.zeros(40)), on_floor(left, np.ones(40)))
    assert np.flatnonzero(~found[:, 1]).tolist() == [20, 21, 22, 23]


def test_one_foot_is_down_until_the_other_is():
    left = np.where(np.arange(30) < 15, 0.9, 0.0)
    found = find_contacts(standing(np.zeros(30)), on_floor(left, 0.9 - left))
    assert np.flatnonzero(found[:, 1] & found[:, 3]).tolist() == [14, 15]
    left, right = np.full(30, 0.1), np.full(30, 0.2)
    left[:5] = right[20:] = 1
    found = find_contacts(standing(np.zeros(30)), on_floor(left, right))
    assert found[:, [1, 3]].any(axis=1).all()
    assert found[10:15, 3].all(), "the likelier one, where both are in doubt"


def jump(seconds=0.4):
    """A second of standing, a jump, and a second of standing."""
    time = np.arange(round(seconds * FPS) + 1) / FPS
    air = 9.81 / 2 * time * (seconds - time)
    heights = np.concatenate([np.zeros(30), air, np.zeros(30)])
    return standing(heights), on_floor(heights == 0)


def test_who_jumps_stays_in_the_air():
    motion, strengths = jump()
    planted = plant_feet(motion, strengths)
    assert motion.positions[:, TOES, 1].max() == pytest.approx(0.196, abs=0.01)
    np.testing.assert_allclose(planted.positions, motion.positions, atol=0.02)
    flight = ~planted.contacts.any(axis=1)
    np.testing.assert_array_equal(flight, ~strengths.any(axis=1))


def test_nobody_hovers():
    hovering = standing(np.full(90, 0.1))
    planted = plant_feet(hovering, on_floor(np.zeros(90)))
    assert planted.contacts[:, [1, 3]].any(axis=1).all()
    assert np.abs(planted.positions[:, TOES, 1].min(axis=1)).max() < 1e-3


# --- What is mended -----------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
def test_feet_stand_in_contact_and_bones_keep_their_lengths(dance, seed):
    motion, strengths = dance
    bad = slid(motion, seed)
    planted = plant_feet(bad, strengths)
    steps = np.linalg.norm(np.diff(planted.positions[:, FEET], axis=0), axis=2)
    staying = planted.contacts[1:] & planted.contacts[:-1]
    assert 0.4 < staying.mean() < 0.9
    assert steps[staying].max() < 1e-5
    assert np.abs(planted.positions[:, TOES, 1][planted.contacts[:, [1, 3]]]).max() < 1e-6
    assert planted.positions[:, FEET, 1].min() > -1e-6
    np.testing.assert_allclose(bones(planted), bones(bad), atol=1e-5)


def test_scores_of_sliding_dances_come_near_those_of_the_dance(dance):
    motion, strengths = dance
    bad = slid(motion)
    planted = plant_feet(bad, strengths)
    for score, least in (
        (foot_sliding_ratio, 0.01), (physical_foot_contact, 0.01), (penetration, 1.0)
    ):  # fmt: skip
        real, before, after = (score(one.positions) for one in (motion, bad, planted))
        assert before > real + least
        assert after < real + least / 3, score.__name__


def test_a_dance_that_drifts_comes_back_to_itself(dance):
    """Hands and head too: the root goes with the feet."""
    motion, strengths = dance
    bad = slid(motion, size=0.02)
    planted = plant_feet(bad, strengths)
    before, after = (
        np.abs(np.diff(one.positions - motion.positions, axis=0)).mean() for one in (bad, planted)
    )
    assert after < before


def test_the_root_is_lowered_where_a_leg_would_be_too_short():
    hovering = standing(np.where(np.arange(90) < 45, 0.0, 0.15))
    planted = plant_feet(hovering, on_floor(np.ones(90)))
    assert np.abs(np.diff(planted.positions[:, FEET], axis=0)).max() < 1e-5
    assert np.abs(planted.positions[:, TOES, 1]).max() < 1e-6
    np.testing.assert_allclose(bones(planted), bones(hovering), atol=1e-5)


# --- What stays ---------------------------------------------------------------------------------


def test_feet_that_stand_are_left_alone(dance):
    still = standing(np.zeros(60))
    planted = plant_feet(still, on_floor(np.ones(60)))
    np.testing.assert_allclose(planted.positions, still.positions, atol=2e-3)
    motion, strengths = dance
    change = np.linalg.norm(plant_feet(motion, strengths).positions - motion.positions, axis=2)
    assert change.mean() < 0.003
    body = [joint for joint in range(24) if joint not in (4, 5, *FEET)]
    assert change[:, body].max() < 0.02


def test_knees_bend_the_way_they_did(dance):
    motion, strengths = dance
    bad = slid(motion)
    before, after = knees(bad), knees(plant_feet(bad, strengths))
    cosines = np.sum(before * after, axis=2) / (
        np.linalg.norm(before, axis=2) * np.linalg.norm(after, axis=2)
    )
    assert cosines.min() > 0.9


@pytest.mark.parametrize("change", ["reversed", "mirrored", "moved"])
def test_it_does_not_matter_which_way_time_goes_or_where_left_and_there_are(dance, change):
    motion, strengths = dance

    def changed(positions, by_foot):
        if change == "reversed":
            return positions[::-1], by_foot[::-1]
        if change == "moved":
            return (positions[..., [2, 1, 0]] * [1, 1, -1]) + np.float32([3, 0, -2]), by_foot
        sides = [name.translate(str.maketrans("lr", "rl"))[:2] + name[2:] for name in JOINTS]
        swapped = [
            JOINTS.index(s) if n[:2] in ("l_", "r_") else JOINTS.index(n)
            for s, n in zip(sides, JOINTS, strict=True)
        ]
        return positions[:, swapped] * np.float32([-1, 1, 1]), by_foot[:, [2, 3, 0, 1]]

    bad = slid(motion)
    planted = plant_feet(bad, strengths)
    positions, by_foot = changed(bad.positions, strengths)
    other = plant_feet(Motion(positions.astype(np.float32), FPS), by_foot)
    wanted, contacts = changed(planted.positions, planted.contacts)
    np.testing.assert_array_equal(other.contacts, contacts)
    np.testing.assert_allclose(other.positions, wanted, atol=1e-4)


@few
@given(
    seed=st.integers(0, 2**32 - 1),
    size=st.sampled_from([0.0, 0.1, 10.0]),
    length=st.integers(1, 40),
)
def test_whatever_is_sampled_stays_finite_with_the_same_bones(dance, seed, size, length):
    rng = np.random.default_rng(seed)
    rows = size * rng.standard_normal((length, WIDTH)).astype(np.float32)
    made = Body.of(dance[0]).motion(rows)
    planted = plant_feet(made, rows[:, CONTACT])
    assert planted.positions.shape == made.positions.shape
    assert np.isfinite(planted.positions).all()
    far = max(1.0, float(np.abs(planted.positions).max()))  # where 32 bits are coarser
    np.testing.assert_allclose(bones(planted), bones(made), atol=1e-5 * far)


def test_it_hears_no_music():
    """Dances to other music are as near to that of a song as to that of all others, as before."""
    songs = [Music(beats_at(bpm)[0], SECONDS) for bpm in range(84, 156, 3)]
    rng = np.random.default_rng(0)
    dances = []
    for seed in range(len(songs)):
        motion = danced(rng.uniform(84, 156), SECONDS, seed % 3, seed, fps=30.0)
        rows = Body.of(motion).rows(motion)
        dances.append(plant_feet(slid(Body.of(motion).motion(rows), seed), rows[:, CONTACT]))
    pairs = BEAT_SCORES["BAS fact"].pairs(dances, songs, range(len(songs)))
    own = sensitivity(pairs, list(map(str, range(len(songs)))))[0]
    assert abs(own.mean()) < 2 * own.std() / len(own) ** 0.5
