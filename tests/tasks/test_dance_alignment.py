"""Alignment by hand, and chance: dances that hear nothing are at it, whatever their lengths."""

import numpy as np
import pytest
from scipy.stats import binom, kstest, ttest_1samp

from motionbeat.tasks.metrics.dance_alignment import (
    ALIGNMENT_FPS,
    Music,
    PairScores,
    beat_alignment_score,
    beat_coverage,
    beat_hit_rate,
    chance_floor,
    motion_beats,
    pair_scores,
    sensitivity,
)
from motionbeat.tasks.metrics.per_track import mean_defined


def resting_at(frames, length=200):
    """All joints go along x, slowest in some frames."""
    away = np.abs(np.arange(length)[:, None] - np.asarray(frames)).min(axis=1)
    return np.tile(np.cumsum(1 + away)[:, None, None] * [0.001, 0, 0], (1, 24, 1))


def aligned(motion, beats, variant="fact"):
    moves = motion_beats(motion, variant)
    return beat_alignment_score(moves, len(motion), beats, variant=variant)


def test_alignment_by_hand():
    motion = resting_at([40, 80, 120])
    assert motion_beats(motion).tolist() == [40, 80, 120]
    beats = np.array([40, 83, 190]) / 60
    near = [1, np.exp(-9 / 18), np.exp(-(37**2) / 18)]
    assert aligned(motion, beats) == pytest.approx(np.mean(near), abs=1e-6)
    # The way to frame 40 is the way from frame 39, and smoothing keeps a symmetric minimum.
    assert motion_beats(motion, "bailando").tolist() == [39, 79, 119]
    near = [np.exp(-1 / 18), np.exp(-16 / 18), np.exp(-(71**2) / 18)]
    assert aligned(motion, beats, "bailando") == pytest.approx(np.mean(near), abs=1e-6)
    found = aligned(motion, np.array([43 / 30]), "edge30")
    assert found == pytest.approx(np.exp(-9 / 18) / 3, abs=1e-6)
    end = np.array([201 / 60])
    assert np.isnan([aligned(motion, end), aligned(motion, end, "bailando")]).all()
    assert aligned(motion, end * 2, "edge30") < 1e-9


def test_coverage_and_hits_by_hand():
    motion, beats = resting_at([40, 80, 120]), np.array([36, 85, 150, 190, 900]) / 60
    moves = motion_beats(motion)
    assert beat_coverage(moves, len(motion), beats) == 3 / 4
    assert beat_hit_rate(moves, len(motion), beats) == 1 / 3  # 4 frames are 67 ms, 5 are 83


@pytest.mark.parametrize("score", [beat_alignment_score, beat_coverage, beat_hit_rate])
def test_no_motion_beat_scores_0_and_no_music_beat_nothing(score):
    steady = np.tile(np.arange(60.0)[:, None, None] * [1, 0, 0], (1, 24, 1))
    assert score(motion_beats(steady), 60, np.array([0.5])) == 0
    assert np.isnan(score(motion_beats(steady), 60, np.zeros(0)))
    assert np.isnan(score(motion_beats(steady), 60, np.array([9.0])))


TEST_TEMPI = (120, 100, 80, 100, 130, 80, 110, 110, 135, 90)
"""Of AIST++'s ten test songs, by their names."""


@pytest.mark.parametrize(("variant", "chance"), [("fact", 0.220), ("edge30", 0.437)])
def test_motion_that_hears_nothing_scores_what_was_measured_for_it(variant, chance):
    scores = []
    for seed, tempo in enumerate(TEST_TEMPI):
        motion = np.random.default_rng(seed).standard_normal((4000, 24, 3)).cumsum(axis=0)
        beats = np.arange(0, 4000 / ALIGNMENT_FPS[variant], 60 / tempo)
        scores.append(aligned(motion, beats, variant))
    assert np.mean(scores) == pytest.approx(chance, abs=0.02)


def hits(moves, length, beats):
    return beat_hit_rate(moves, length, beats, fps=10.0)


def test_pairs_are_scored_on_the_span_that_both_last():
    """Ten frames a second; the first piece lasts 4 s and the second 2 s, though beats go on."""
    songs = [Music(np.array([1.0, 3.0]), 4.0), Music(np.array([1.5, 2.5]), 2.0)]
    moves = [np.array([10, 15, 30]), np.array([15, 25])]
    found = pair_scores(hits, 10.0, moves, [40, 20], songs, [0, 1])
    assert found.whole.tolist() == [2 / 3, 1]
    assert found.own.tolist() == [[2 / 3, 1 / 2], [1, 1]]
    assert found.other.tolist() == [[2 / 3, 1 / 2], [0, 1]]


def test_music_without_a_beat_in_the_span_gives_no_score():
    songs = [Music(np.zeros(0), 4.0), Music(np.array([3.0]), 4.0), Music(np.array([1.0]), 2.0)]
    found = pair_scores(hits, 10.0, [np.array([10, 30])] * 3, [40] * 3, songs, range(3))
    assert np.isnan(found.whole).tolist() == [True, False, False]
    assert np.isnan(found.other).tolist() == [
        [True, False, False], [True, False, False], [True, True, False],
    ]  # fmt: skip
    assert np.isnan(found.own).tolist() == [[True] * 3, [False, False, True], [False] * 3]


def test_sensitivity_by_hand():
    """Dances 0 and 1 are of one group; the music of dance 3 is easier for everybody."""
    other = np.array([
        [0.9, 0.8, 0.2, 0.4], [0.1, 0.5, 0.2, 0.6], [0.2, 0.4, 0.7, 0.5], [0.1, 0.3, 0.2, 0.9]
    ])  # fmt: skip
    own = other.diagonal()[:, None].repeat(4, axis=1)
    scores = PairScores(other.diagonal(), own, other)
    found, chance = sensitivity(scores, "aabc")
    assert chance == pytest.approx([0.3, 0.4, 0.4, 0.2])
    # Of each piece, for dances of other groups: 0.15, 0.35, 0.2 and 0.5
    easier = [0.15 - 0.35, 0.35 - 0.35, 0.2 - (0.25 + 0.5) / 2, 0.5 - (0.25 + 0.2) / 2]
    assert found == pytest.approx(other.diagonal() - chance - easier)
    assert np.mean([np.mean(easier[:2]), *easier[2:]]) == pytest.approx(0)
    assert np.isnan(sensitivity(scores, "aaaa")).all(), "one group alone has no chance"


def song(rng):
    """Steady beats at 84 to 180 BPM for as long as the dances of dance_with_melody last."""
    duration, period = rng.uniform(39, 113), 60 / rng.uniform(84, 180)
    return Music(np.arange(rng.uniform(0, period), duration, period), duration)


def blind_dance(rng, duration, steady=False):
    """Frames of the motion beats of somebody who hears nothing, at 60 frames a second."""
    if steady:
        period = 60 / rng.uniform(60, 150)
        times = np.arange(rng.uniform(0, period), duration, period)
    else:
        times = 0.17 + np.cumsum(rng.gamma(4, 0.2, 400) + 0.17)
    return np.unique(np.round(times[times < duration] * 60).astype(int))


def paired(score, moves, songs):
    lengths = [round(60 * one.duration) for one in songs]
    return pair_scores(score, 60.0, moves, lengths, songs, range(len(songs)))


@pytest.mark.parametrize(
    ("score", "steady"), [(beat_alignment_score, True), (beat_hit_rate, False)]
)
def test_dances_that_hear_nothing_are_at_chance(score, steady):
    """Of unequal lengths, one to three to a song: differences about 0, and p uniform."""
    runs, means, p = 200, [], []
    for run in range(runs):
        rng = np.random.default_rng(run)
        different = [song(rng) for _ in range(7)]
        groups = np.sort(np.append(np.arange(7), rng.integers(0, 7, 5)))
        songs = [different[group] for group in groups]
        moves = [blind_dance(rng, one.duration, steady) for one in songs]
        values, _ = sensitivity(paired(score, moves, songs), groups.tolist())
        by_group = [values[groups == group].mean() for group in range(7)]
        means.append(np.mean(by_group))
        p.append(ttest_1samp(by_group, 0, alternative="greater").pvalue)
    assert abs(np.mean(means)) < 4 * np.std(means) / runs**0.5
    low, high = binom.interval(0.998, runs, 0.05)
    assert low <= np.sum(np.array(p) < 0.05) <= high
    assert low <= np.sum(np.array(p) > 0.95) <= high
    assert kstest(p, "uniform").pvalue > 1e-3


def test_a_dance_on_the_beat_is_above_chance():
    rng = np.random.default_rng(0)
    songs = [song(rng) for _ in range(8)]
    moves = [np.round(60 * one.beats).astype(int) for one in songs]
    values, chance = sensitivity(paired(beat_alignment_score, moves, songs), range(8))
    assert values.mean() == pytest.approx(1 - chance.mean(), abs=0.02)
    assert values.min() > 0.4


def test_the_floor_of_dances_that_hear_nothing_holds_their_score():
    """As ``dance-metrics`` computes it; before spans were cut it held in 1 run of 20."""
    inside = []
    for run in range(60):
        rng = np.random.default_rng(run)
        songs = [song(rng) for _ in range(10)]
        moves = [blind_dance(rng, one.duration) for one in songs]
        scores = paired(beat_alignment_score, moves, songs)
        floor = chance_floor(scores.other, range(10), 200)
        inside.append(floor.low <= mean_defined(scores.whole) <= floor.high)
    assert sum(inside) >= binom.ppf(0.001, 60, 0.95)


def test_chance_never_gives_a_dance_its_own_music():
    scores = np.array([[0.9, 0.1], [0.8, 0.3], [0.2, 0.7]])
    assert chance_floor(scores, [0, 0, 1], 20) == pytest.approx((0.2, 0.2, 0.2))
    assert np.isnan(chance_floor(scores[:, :1], [0, 0, 0])).all()
    own = [0, 1, 2, 3, 4, 0]
    scores = np.random.default_rng(0).uniform(0.1, 0.3, (6, 5))
    scores[np.arange(6), own] = 1e6
    floor = chance_floor(scores, own, 500)
    assert 0.1 < floor.low < floor.mean < floor.high < 0.3
    assert floor == chance_floor(scores, own, 500)
    others = [scores[i, [s for s in range(5) if s != own[i]]].mean() for i in range(6)]
    assert floor.mean == pytest.approx(np.mean(others), abs=0.005)
