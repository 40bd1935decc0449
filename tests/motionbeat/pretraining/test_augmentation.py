"""Augmentation keeps pairs in time, follows from its draws alone, and does what it says."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from tests.clicks import click_track
from tests.dancing import danced, write_pair

from motionbeat.kinematics import CONTACTS, motion_energy
from motionbeat.model import SAMPLE_RATE
from motionbeat.motion import FEET, JOINTS, PARENTS, Motion
from motionbeat.pretraining.augmentation import (
    add_capture_faults,
    change_body,
    change_sound,
    enlarge_motion,
    speed,
)
from motionbeat.pretraining.pairs import excerpt, features, lose_contacts_and_beats
from motionbeat.rhythm import BeatGrid, mistaken_grid

SEEDS = range(40)
CLICKS = np.array([0.4, 0.83, 1.5, 1.97, 2.6, 3.1, 3.75, 4.3])
SECONDS = 4.8
BLOCK = 0.002  # s


def clicks():
    return click_track(CLICKS, np.arange(len(CLICKS)) % 2 == 0, SECONDS, SAMPLE_RATE)


def loudest_rises(waveform, expected):
    """Where the sound rises most between the middles around each expected moment."""
    size = round(BLOCK * SAMPLE_RATE)
    blocks = waveform[: len(waveform) // size * size].reshape(-1, size).astype(np.float64)
    levels = np.sqrt((blocks**2).mean(axis=1))
    rises = np.diff(levels, prepend=levels[0])
    edges = np.concatenate([[0.0], (expected[1:] + expected[:-1]) / 2, [np.inf]])
    times = np.arange(len(rises)) * size / SAMPLE_RATE
    return np.array(
        [
            times[inside][rises[inside].argmax()]
            for first, last in pairwise(edges)
            if (inside := (times >= first) & (times < last)).any()
        ]
    )


class Mirroring:
    """Draws that mirror, and change nothing else."""

    def __init__(self, mirror):
        self.mirror = mirror

    def random(self):
        return 0.0 if self.mirror else 1.0

    def normal(self, mean, deviation, size):
        return np.zeros(size)

    def integers(self, low, high):
        return low

    def standard_normal(self, shape):
        return np.zeros(shape)

    def uniform(self, low, high):
        return low


def bone_lengths(motion):
    bones = np.linalg.norm(motion.positions - motion.positions[:, PARENTS], axis=2)
    return np.median(bones, axis=0)[1:]


def other_side(name):
    return {"l_": "r_", "r_": "l_"}.get(name[:2], name[:2]) + name[2:]


@pytest.mark.parametrize("seed", SEEDS)
def test_clicks_stay_where_they_are(seed):
    rng = np.random.default_rng(seed)
    factor = speed(rng)
    changed = change_sound(clicks(), factor, rng)
    expected = CLICKS / factor
    assert len(changed) / SAMPLE_RATE == pytest.approx(SECONDS / factor, abs=0.002)
    np.testing.assert_allclose(loudest_rises(changed, expected), expected, atol=0.010)


def test_sound_changes_and_stays_in_range():
    before = clicks()
    alike = []
    for seed in SEEDS:
        changed = change_sound(before, 1.0, np.random.default_rng(seed))
        assert changed.dtype == np.float32
        assert np.isfinite(changed).all()
        assert 0.05 < np.abs(changed).max() < 1.5
        shared = min(len(changed), len(before))
        alike.append(np.corrcoef(changed[:shared], before[:shared])[0, 1])
    assert max(alike) < 0.9999
    assert 0.3 < np.median(alike) < 0.98


def test_sound_and_body_follow_from_the_draws_alone():
    motion = danced(110.0)
    for change, field in (
        (lambda rng: change_sound(clicks(), 1.0, rng), lambda x: x),
        (lambda rng: change_body(motion, 1.0, rng), lambda x: x.positions),
        (lambda rng: add_capture_faults(enlarge_motion(motion, rng), rng), lambda x: x.positions),
    ):
        one, two, other = (field(change(np.random.default_rng(s))) for s in (3, 3, 4))
        assert np.array_equal(one, two)
        assert one.shape != other.shape or not np.array_equal(one, other)


def test_mirroring_swaps_left_and_right_exactly():
    motion = danced(110.0)
    mirrored = change_body(motion, 1.0, Mirroring(True))
    for joint, name in enumerate(JOINTS):
        other = JOINTS.index(other_side(name))
        np.testing.assert_allclose(
            mirrored.positions[:, joint], motion.positions[:, other] * [-1, 1, 1], atol=1e-5
        )
    twice = change_body(mirrored, 1.0, Mirroring(True))
    np.testing.assert_allclose(twice.positions, motion.positions, atol=1e-5)
    unmoved = change_body(motion, 1.0, Mirroring(False))
    np.testing.assert_allclose(unmoved.positions, motion.positions, atol=1e-5)


@pytest.mark.parametrize("fps", [30.0, 60.0, 120.0])
@pytest.mark.parametrize("seed", range(12))
def test_another_body_dances_as_long_as_the_music(fps, seed):
    motion = danced(110.0, seed=seed, fps=fps)
    rng = np.random.default_rng(seed)
    factor = speed(rng)
    changed = change_body(motion, factor, rng)
    assert np.isfinite(changed.positions).all()
    assert changed.positions.dtype == np.float32
    assert changed.contacts is None
    assert changed.fps >= 25
    assert changed.duration == pytest.approx(motion.duration / factor, abs=1.5 / changed.fps)


def test_a_moment_of_the_dance_moves_with_the_factor():
    still = danced(110.0)
    positions = np.repeat(still.positions[:1], 480, axis=0)
    positions[300:, :, 0] += 1.0  # a jump at 5 s
    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        factor = speed(rng)
        changed = change_body(Motion(positions, 60.0), factor, rng)
        jump = np.abs(np.diff(changed.positions[:, 0, 0])).argmax() + 1
        assert jump / changed.fps == pytest.approx(5.0 / factor, abs=1.5 / changed.fps)


def test_both_sides_of_another_body_have_the_same_new_bones():
    motion = danced(110.0)
    before = bone_lengths(motion)
    some = []
    for seed in range(10):
        positions = np.repeat(motion.positions, 4, axis=0)  # noise is averaged out
        changed = change_body(
            replace(motion, positions=positions, contacts=None), 1.0, np.random.default_rng(seed)
        )
        ratio = bone_lengths(changed) / before
        sides = [JOINTS.index(other_side(name)) - 1 for name in JOINTS[1:]]
        clear = before > 0.15  # in a short bone noise shows
        np.testing.assert_allclose(ratio[clear], ratio[sides][clear], rtol=0.02)
        some.append(ratio[clear])
    assert np.std(some) > 0.02


# Captured motion

FEW = range(8)
DANCE = danced(110.0, 16.0)


def bones(motion):
    return np.linalg.norm(motion.positions - motion.positions[:, PARENTS], axis=2)[:, 1:]


@pytest.mark.parametrize("seed", FEW)
def test_one_who_lets_go_moves_more_and_keeps_time(seed):
    freed = enlarge_motion(DANCE, np.random.default_rng(seed))
    assert (freed.fps, freed.positions.shape) == (DANCE.fps, DANCE.positions.shape)
    assert freed.contacts is None
    assert np.isfinite(freed.positions).all()
    energies = [motion_energy(one).mean() for one in (freed, DANCE)]
    assert energies[0] > 0.85 * energies[1]
    # The pelvis stays where it was on the floor.
    np.testing.assert_allclose(freed.positions[:, 0, ::2], DANCE.positions[:, 0, ::2], atol=1e-5)


@pytest.mark.parametrize("seed", FEW)
def test_capture_moves_the_body_by_centimetres_and_finds_a_floor(seed):
    seen = add_capture_faults(DANCE, np.random.default_rng(seed))
    assert (seen.fps, seen.positions.shape) == (DANCE.fps, DANCE.positions.shape)
    assert seen.contacts is None
    # Bones keep their lengths to some centimetres, but for single frames.
    assert np.median(np.abs(bones(seen) - bones(DANCE))) < 0.04
    lowest = seen.positions[:, FEET, 1].min(axis=1)
    assert abs(np.median(lowest)) < 0.08
    assert not np.allclose(seen.positions, DANCE.positions, atol=0.005)


class Drawing:
    """Draws a given error, and no turn of the bar."""

    def __init__(self, error):
        self.error = error

    def choice(self, options):
        assert self.error in options
        return self.error

    def integers(self, high):
        return 0


GRID = BeatGrid(np.array([0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0]), np.arange(6) % 4, 4)


def test_mistakes_by_hand():
    double = mistaken_grid(GRID, Drawing("double"))
    assert double.times.tolist() == np.arange(0, 3.01, 0.25).tolist()
    half = mistaken_grid(GRID, Drawing("half"))
    assert half.times.tolist() == [-1.0, 0.0, 1.0, 2.0, 3.0, 4.0]
    offbeat = mistaken_grid(GRID, Drawing("offbeat"))
    assert offbeat.times.tolist() == np.arange(-0.25, 3.3, 0.5).tolist()
    assert mistaken_grid(GRID, Drawing("bar")).times is GRID.times


@pytest.mark.parametrize("count", [1, 2, 3, 7])
@pytest.mark.parametrize("seed", FEW)
def test_a_mistaken_grid_is_a_grid_that_covers_the_same_time(count, seed):
    times = np.arange(count + 1) * 0.5
    grid = mistaken_grid(BeatGrid(times, np.arange(count) % 3, 3), np.random.default_rng(seed))
    assert len(grid.positions) == len(grid.times) - 1
    assert (np.diff(grid.times) > 0).all()
    assert grid.times[0] <= 0
    assert grid.times[-1] >= times[-1]
    assert set(grid.positions) <= {0, 1, 2}
    assert grid.beats_per_bar == 3


def test_captured_variants_differ_from_others_and_the_first_stays_as_it_is(tmp_path):
    pair = write_pair(tmp_path)
    plain, captured = (features(pair, 1, tmp_path / "kept", one) for one in (False, True))
    assert np.array_equal(plain.log_mel, captured.log_mel), "the music is the same"
    assert not np.array_equal(plain.motion, captured.motion)
    first = [features(pair, 0, tmp_path / "kept", one).motion for one in (False, True)]
    assert np.array_equal(*first)
    clips = [excerpt(pair, 1.0, 4.0, 0.0, tmp_path / "kept", one) for one in (False, True)]
    assert np.array_equal(clips[0].log_mel, clips[1].log_mel)
    assert not np.array_equal(clips[0].motion, clips[1].motion)


def test_contacts_are_lost_and_beats_mistaken_now_and_then(tmp_path):
    found = features(write_pair(tmp_path), 0, tmp_path / "kept")
    doubts = [lose_contacts_and_beats(found, np.random.default_rng(seed)) for seed in range(60)]
    lost = np.array([not one.motion[:, CONTACTS].any() for one in doubts])
    mistaken = np.array(
        [
            not np.array_equal(one.motion_grid.times, found.motion_grid.times)
            or not np.array_equal(one.motion_grid.positions, found.motion_grid.positions)
            for one in doubts
        ]
    )
    assert 0.3 < lost.mean() < 0.7
    assert 0.15 < mistaken.mean() < 0.6
    assert found.motion[:, CONTACTS].any(), "the features given are not changed"
    rest = np.delete(found.motion, np.r_[CONTACTS], axis=1)
    assert all(
        np.array_equal(np.delete(one.motion, np.r_[CONTACTS], axis=1), rest) for one in doubts
    )
