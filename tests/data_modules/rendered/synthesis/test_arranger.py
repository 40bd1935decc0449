import itertools

import numpy as np
import pytest

from motionbeat.data_modules.base import SPLITS
from motionbeat.data_modules.rendered.synthesis.affect import Cues, affect
from motionbeat.data_modules.rendered.synthesis.arranger import compose
from motionbeat.data_modules.rendered.synthesis.mixing import mix
from motionbeat.data_modules.rendered.synthesis.render import SAMPLE_RATE
from motionbeat.data_modules.rendered.synthesis.styles import (
    GROOVES,
    KITS,
    PROGRAMS,
    PROGRESSIONS,
    RHYTHMS,
    STYLES,
    count_beats,
)

SIZES = {"train": 4, "validation": 1, "test": 2}


@pytest.fixture(scope="module")
def scores():
    """The default dataset, unplayed."""
    return {
        split: [compose(style, split, i, seed=0) for style in STYLES for i in range(SIZES[split])]
        for split in SPLITS
    }


def every(scores):
    return itertools.chain.from_iterable(scores.values())


def disjoint(pools):
    return all(not set(a) & set(b) for a, b in itertools.combinations(pools, 2))


def test_pools_of_splits_share_nothing():
    assert disjoint(GROOVES.values())
    grooves = [groove for style in STYLES.values() for groove in style.grooves]
    assert len(set(grooves)) == len(grooves)
    assert disjoint([[kit[split] for kit in KITS.values()] for split in SPLITS])
    for families in (PROGRESSIONS, PROGRAMS, *RHYTHMS.values()):
        pools = [[one for family in families.values() for one in family[split]] for split in SPLITS]
        assert disjoint(pools)


def test_labels_of_every_split_are_known_in_training(scores):
    def labels(split):
        return {
            label
            for score in scores[split]
            for label in (*score.tags, *(part.family for part in score.parts))
        }

    assert labels("validation") | labels("test") <= labels("train")


def test_beats_bars_and_tempo_agree(scores):
    for score in every(scores):
        beats_a_bar = count_beats(score.metre)[1]
        assert len(score.beats) == len(score.positions)
        assert (np.diff(score.beats) > 0).all()
        assert ((np.diff(score.positions) - 1) % beats_a_bar == 0).all()
        assert set(score.positions) == set(range(1, beats_a_bar + 1))
        tempo = 60 / np.diff(score.beats)
        assert np.median(tempo) == pytest.approx(score.bpm, rel=1e-3)
        assert tempo.max() / tempo.min() <= (1.13 if score.used["drift"] else 1.0001)
        assert 60 <= score.bpm <= 200
        assert 0 < score.beats[0] < score.beats[-1] < score.duration
        assert 20 < score.duration < 30
        for note in (note for part in score.parts for note in part.notes):
            assert 0 <= note.start < note.end <= score.duration


def test_swung_eighths_come_late():
    """In a shuffle the last third of a beat stands at 0.62 to 0.69 of it, give or take a jitter."""
    score = compose("shuffle", "train", 0, seed=3)
    onsets = np.array([note.start for part in score.parts for note in part.notes])
    phases = np.interp(onsets, score.beats, np.arange(len(score.beats))) % 1
    late = phases[(phases > 0.55) & (phases < 0.8)]
    assert len(late) > 50
    assert abs(np.median(late) - score.used["swing"]) < 0.02


def test_a_piece_depends_on_seed_split_style_and_number_alone():
    def notes(*arguments):
        score = compose(*arguments)
        return score.parts, score.beats.tolist()

    assert notes("funk", "train", 2, 5) == notes("funk", "train", 2, 5)
    others = [("funk", "train", 2, 6), ("funk", "train", 3, 5), ("funk", "test", 2, 5)]
    assert all(notes("funk", "train", 2, 5) != notes(*other) for other in others)


def test_a_mix_is_audible_bounded_and_repeatable():
    score = compose("waltz", "train", 0, seed=0, seconds=5.0)
    first = mix(score, np.random.default_rng(1))
    assert first.dtype == np.float32
    assert first.shape == (round(score.duration * SAMPLE_RATE),)
    assert 0.5 < np.abs(first).max() <= 1
    assert first.tobytes() == mix(score, np.random.default_rng(1)).tobytes()
    assert first.tobytes() != mix(score, np.random.default_rng(2)).tobytes()


def test_emotion_is_the_weighted_sum_of_the_cues():
    assert affect(Cues(1.0, 1.0, 1.0, 1.0, 1.0, 1.0)) == (1.0, 1.0)
    assert affect(Cues(-1.0, 0.5, 0.0, 1.0, 0.0, 0.0)) == pytest.approx((-0.35, 0.475))
