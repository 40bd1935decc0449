from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from tests.clicks import click_track
from tests.dancing import danced

from motionbeat.model import SAMPLE_RATE
from motionbeat.motion import JOINTS, PARENTS, Motion
from motionbeat.pretraining.augmentation import change_body, change_sound, speed

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


def test_silence_stays_finite():
    for seed in SEEDS:
        assert np.isfinite(
            change_sound(np.zeros(SAMPLE_RATE, np.float32), 1.1, np.random.default_rng(seed))
        ).all()


def test_sound_and_body_follow_from_the_draws_alone():
    motion = danced(110.0)
    for change, given, field in (
        (change_sound, clicks(), lambda x: x),
        (change_body, motion, lambda x: x.positions),
    ):
        one, two, other = (field(change(given, 1.0, np.random.default_rng(s))) for s in (3, 3, 4))
        assert np.array_equal(one, two)
        assert one.shape != other.shape or not np.array_equal(one, other)


def test_speed_stays_between_its_limits_and_reaches_them():
    speeds = [speed(np.random.default_rng(seed)) for seed in range(500)]
    assert 0.85 <= min(speeds) < 0.86
    assert 1.17 < max(speeds) <= 1.18


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


def test_rates_of_capture_differ():
    rates = {
        change_body(danced(110.0, fps=120.0), 1.0, np.random.default_rng(seed)).fps
        for seed in range(30)
    }
    assert rates == {120.0, 60.0, 40.0, 30.0}
