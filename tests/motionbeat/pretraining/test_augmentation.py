"""Augmentation keeps pairs in time, follows from its draws alone, and does what it says."""

from itertools import pairwise

import numpy as np
import pytest
from tests.clicks import click_track
from tests.dancing import danced

from motionbeat.kinematics import CONTACTS, motion_features
from motionbeat.model import SAMPLE_RATE
from motionbeat.motion import FEET, JOINTS, PARENTS, Motion
from motionbeat.pretraining.augmentation import (
    add_capture_faults,
    as_captured,
    change_body,
    change_sound,
    enlarge_motion,
    speed,
)
from motionbeat.pretraining.pairs import excerpt, features, lose_contacts_and_beats
from motionbeat.rhythm import BeatGrid, mistaken_grid

SEEDS = range(20)
CLICKS = np.array([0.4, 0.83, 1.5, 1.97, 2.6, 3.1, 3.75, 4.3])
SECONDS = 4.8
SOUND = click_track(CLICKS, np.arange(len(CLICKS)) % 2 == 0, SECONDS, SAMPLE_RATE)
DANCE = danced(110.0, 16.0)
SIDES = [JOINTS.index({"l_": "r_", "r_": "l_"}.get(n[:2], n[:2]) + n[2:]) for n in JOINTS]


def loudest_rises(waveform, expected):
    """Where the sound rises most between the middles around each expected moment."""
    size = round(0.002 * SAMPLE_RATE)
    blocks = waveform[: len(waveform) // size * size].reshape(-1, size).astype(np.float64)
    levels = np.sqrt((blocks**2).mean(axis=1))
    rises = np.diff(levels, prepend=levels[0])
    edges = np.concatenate([[0.0], (expected[1:] + expected[:-1]) / 2, [np.inf]])
    times = np.arange(len(rises)) * size / SAMPLE_RATE
    inside = [(times >= first) & (times < last) for first, last in pairwise(edges)]
    return np.array([times[one][rises[one].argmax()] for one in inside])


def bone_lengths(motion):
    bones = np.linalg.norm(motion.positions - motion.positions[:, PARENTS], axis=2)
    return np.median(bones, axis=0)


class Drawing:
    """Draws that change nothing, but for what is given."""

    def __init__(self, random=1.0, error=None):
        self.given, self.error = random, error

    def random(self):
        return self.given

    def choice(self, options):
        assert self.error in options
        return self.error

    def normal(self, mean, deviation, size):
        return np.zeros(size)

    def integers(self, low, high=None):
        return low if high is not None else 0

    def standard_normal(self, shape):
        return np.zeros(shape)

    def uniform(self, low, high):
        return low


@pytest.mark.parametrize("seed", SEEDS)
def test_sound_changes_and_clicks_stay_where_they_are(seed):
    rng = np.random.default_rng(seed)
    factor = speed(rng)
    changed = change_sound(SOUND, factor, rng)
    assert changed.dtype == np.float32
    assert 0.05 < np.abs(changed).max() < 1.5
    assert len(changed) / SAMPLE_RATE == pytest.approx(SECONDS / factor, abs=0.002)
    expected = CLICKS / factor
    np.testing.assert_allclose(loudest_rises(changed, expected), expected, atol=0.010)


@pytest.mark.parametrize(
    "change",
    [
        lambda rng: change_sound(SOUND, 1.0, rng),
        lambda rng: change_body(DANCE, 1.0, rng).positions,
        lambda rng: as_captured(DANCE, rng).positions,
    ],
)
def test_changes_follow_from_the_draws_alone(change):
    one, two, other = (change(np.random.default_rng(seed)) for seed in (3, 3, 4))
    assert np.array_equal(one, two)
    assert one.shape != other.shape or not np.array_equal(one, other)


def test_mirroring_swaps_left_and_right_exactly():
    mirrored = change_body(DANCE, 1.0, Drawing(random=0.0))
    expected = DANCE.positions[:, SIDES] * [-1, 1, 1]
    np.testing.assert_allclose(mirrored.positions, expected, atol=1e-5)
    unmoved = change_body(DANCE, 1.0, Drawing())
    np.testing.assert_allclose(unmoved.positions, DANCE.positions, atol=1e-5)


@pytest.mark.parametrize("fps", [30.0, 60.0, 120.0])
@pytest.mark.parametrize("seed", range(6))
def test_a_moment_of_the_dance_moves_with_the_factor(fps, seed):
    positions = np.repeat(DANCE.positions[:1], round(8 * fps), axis=0)
    positions[round(5 * fps) :, :, 0] += 1.0  # a jump at 5 s
    rng = np.random.default_rng(seed)
    factor = speed(rng)
    changed = change_body(Motion(positions, fps), factor, rng)
    assert changed.positions.dtype == np.float32
    assert changed.contacts is None
    assert changed.fps >= 25
    assert changed.duration == pytest.approx(8 / factor, abs=1.5 / changed.fps)
    jump = np.abs(np.diff(changed.positions[:, 0, 0])).argmax() + 1
    assert jump / changed.fps == pytest.approx(5.0 / factor, abs=1.5 / changed.fps)


def test_both_sides_of_another_body_have_the_same_new_bones():
    before = bone_lengths(DANCE)
    clear = before > 0.15  # in a short bone noise shows
    still = Motion(np.repeat(DANCE.positions[:1], 4000, axis=0), 60.0)  # noise is averaged out
    ratios = np.array(
        [bone_lengths(change_body(still, 1.0, np.random.default_rng(s))) for s in range(10)]
    ) / bone_lengths(still).clip(1e-9)
    np.testing.assert_allclose(ratios[:, clear], ratios[:, SIDES][:, clear], rtol=0.02)
    assert np.std(ratios[:, clear]) > 0.02


@pytest.mark.parametrize("seed", range(8))
def test_captured_motion_moves_more_by_centimetres_and_finds_a_floor(seed):
    freed = enlarge_motion(DANCE, np.random.default_rng(seed))
    seen = add_capture_faults(DANCE, np.random.default_rng(seed))
    for one in (freed, seen):
        assert (one.fps, one.positions.shape) == (DANCE.fps, DANCE.positions.shape)
        assert one.contacts is None
        assert np.isfinite(one.positions).all()
    energies = [motion_features(one, 30.0)[:, -1].mean() for one in (freed, DANCE)]
    assert energies[0] > 0.85 * energies[1]
    # The pelvis stays where it was on the floor.
    np.testing.assert_allclose(freed.positions[:, 0, ::2], DANCE.positions[:, 0, ::2], atol=1e-5)
    # Bones keep their lengths to some centimetres, but for single frames.
    assert np.abs(bone_lengths(seen) - bone_lengths(DANCE)).max() < 0.05
    assert abs(np.median(seen.positions[:, FEET, 1].min(axis=1))) < 0.08
    assert not np.allclose(seen.positions, DANCE.positions, atol=0.005)


@pytest.mark.parametrize(
    ("error", "times"),
    [
        ("double", np.arange(0, 3.01, 0.25)),
        ("half", [-1, 0, 1, 2, 3, 4]),
        ("offbeat", np.arange(-0.25, 3.3, 0.5)),
        ("bar", np.arange(0, 3.01, 0.5)),
    ],
)
def test_mistakes_by_hand(error, times):
    grid = BeatGrid(np.arange(7) * 0.5, np.arange(6) % 4, 4)
    assert mistaken_grid(grid, Drawing(error=error)).times.tolist() == list(times)


@pytest.mark.parametrize("count", [1, 2, 3, 7])
@pytest.mark.parametrize("seed", range(8))
def test_a_mistaken_grid_is_a_grid_that_covers_the_same_time(count, seed):
    times = np.arange(count + 1) * 0.5
    grid = mistaken_grid(BeatGrid(times, np.arange(count) % 3, 3), np.random.default_rng(seed))
    assert len(grid.positions) == len(grid.times) - 1
    assert (np.diff(grid.times) > 0).all()
    assert grid.times[0] <= 0
    assert grid.times[-1] >= times[-1]
    assert set(grid.positions) <= {0, 1, 2}
    assert grid.beats_per_bar == 3


def test_captured_variants_have_another_motion_to_the_same_music(pairs, cache):
    for part, find in (
        ("variant", lambda captured: features(pairs[0], 1, cache, captured)),
        ("clip", lambda captured: excerpt(pairs[0], 1.0, 4.0, 0.0, cache, captured)),
    ):
        plain, captured = find(False), find(True)
        assert np.array_equal(plain.log_mel, captured.log_mel), part
        assert not np.array_equal(plain.motion, captured.motion), part
    first = [features(pairs[0], 0, cache, captured).motion for captured in (False, True)]
    assert np.array_equal(*first), "the first variant stays as it is"


def test_contacts_are_lost_and_beats_mistaken_now_and_then(found):
    given = found[0]
    before = given.motion.copy()
    doubts = [lose_contacts_and_beats(given, np.random.default_rng(seed)) for seed in range(60)]
    lost = [not one.motion[:, CONTACTS].any() for one in doubts]
    mistaken = [one.motion_grid is not given.motion_grid for one in doubts]
    assert 0.3 < np.mean(lost) < 0.7
    assert 0.2 < np.mean(mistaken) < 0.6
    assert np.array_equal(given.motion, before), "the features given are not changed"
    kept = np.setdiff1d(np.arange(before.shape[1]), np.r_[CONTACTS])
    assert all(np.array_equal(one.motion[:, kept], before[:, kept]) for one in doubts)
