"""Dances as captured ones are: larger, turning, with the faults of portable motion capture."""

from dataclasses import replace

import numpy as np
import pytest
from tests.dancing import danced, write_pair

from motionbeat.kinematics import CONTACTS, PULSES, motion_energy, motion_features
from motionbeat.motion import FEET, PARENTS
from motionbeat.pretraining.augmentation import add_capture_faults, enlarge_motion
from motionbeat.pretraining.pairs import excerpt, features, lose_contacts_and_beats
from motionbeat.rhythm import BeatGrid, mistaken_grid

SEEDS = range(8)
DANCE = danced(110.0, 16.0)


def bones(motion):
    return np.linalg.norm(motion.positions - motion.positions[:, PARENTS], axis=2)[:, 1:]


def heading(motion):
    hips = motion.positions[:, 1] - motion.positions[:, 2]
    return np.unwrap(np.arctan2(hips[:, 2], hips[:, 0]))


@pytest.mark.parametrize("seed", SEEDS)
def test_one_who_lets_go_moves_more_and_keeps_time(seed):
    freed = enlarge_motion(DANCE, np.random.default_rng(seed))
    assert (freed.fps, freed.positions.shape) == (DANCE.fps, DANCE.positions.shape)
    assert freed.contacts is None
    assert np.isfinite(freed.positions).all()
    energies = [motion_energy(one).mean() for one in (freed, DANCE)]
    assert energies[0] > 0.85 * energies[1]
    # The pelvis stays where it was on the floor.
    np.testing.assert_allclose(freed.positions[:, 0, ::2], DANCE.positions[:, 0, ::2], atol=1e-5)


def test_people_turn():
    turned = [np.ptp(heading(enlarge_motion(DANCE, np.random.default_rng(seed)))) for seed in SEEDS]
    assert max(turned) > 2
    assert np.ptp(heading(DANCE)) < 1.6


@pytest.mark.parametrize("seed", SEEDS)
def test_capture_moves_the_body_by_centimetres_and_finds_a_floor(seed):
    seen = add_capture_faults(DANCE, np.random.default_rng(seed))
    assert (seen.fps, seen.positions.shape) == (DANCE.fps, DANCE.positions.shape)
    assert seen.contacts is None
    # Bones keep their lengths to some centimetres, but for single frames.
    assert np.median(np.abs(bones(seen) - bones(DANCE))) < 0.04
    lowest = seen.positions[:, FEET, 1].min(axis=1)
    assert abs(np.median(lowest)) < 0.08
    assert not np.allclose(seen.positions, DANCE.positions, atol=0.005)


def test_feet_creep():
    contacts = DANCE.contacts[1:] & DANCE.contacts[:-1]

    def skating(motion):
        steps = np.linalg.norm(np.diff(motion.positions[:, FEET][..., ::2], axis=0), axis=2)
        return steps[contacts].mean() * motion.fps

    crept = np.mean(
        [skating(add_capture_faults(DANCE, np.random.default_rng(seed))) for seed in SEEDS]
    )
    assert crept > 5 * skating(DANCE)


def test_other_draws_are_other_faults_and_the_same_draws_the_same():
    first, again, other = (add_capture_faults(DANCE, np.random.default_rng(s)) for s in (1, 1, 2))
    assert np.array_equal(first.positions, again.positions)
    assert not np.array_equal(first.positions, other.positions)


def test_a_dance_of_a_single_frame_is_captured_too():
    still = replace(DANCE, positions=DANCE.positions[:1], contacts=None)
    rng = np.random.default_rng(0)
    assert np.isfinite(add_capture_faults(enlarge_motion(still, rng), rng).positions).all()


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
@pytest.mark.parametrize("seed", SEEDS)
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
            not np.array_equal(one.motion_times, found.motion_times)
            or not np.array_equal(one.motion_positions, found.motion_positions)
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


def test_the_columns_of_contacts_and_pulses():
    seen = motion_features(DANCE, 30.0)[:, CONTACTS]
    assert seen.shape[1] == len(FEET) + 1
    assert np.array_equal(seen[:, -1], motion_features(DANCE, 30.0)[:, PULSES])
    assert seen.min() >= 0
    assert seen.max() <= 1.001
