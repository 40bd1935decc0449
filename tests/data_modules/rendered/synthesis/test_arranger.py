import itertools
from dataclasses import replace

import numpy as np
import pytest

from motionbeat.data_modules.base import SPLITS
from motionbeat.data_modules.rendered.synthesis.affect import AROUSAL, VALENCE, Cues, affect
from motionbeat.data_modules.rendered.synthesis.arranger import compose
from motionbeat.data_modules.rendered.synthesis.mixing import mix
from motionbeat.data_modules.rendered.synthesis.render import SAMPLE_RATE, render
from motionbeat.data_modules.rendered.synthesis.styles import (
    BEATS_A_BAR,
    DRUMS,
    GROOVES,
    KITS,
    PROGRAMS,
    PROGRESSIONS,
    RHYTHMS,
    STYLES,
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


def test_the_tables_hold_what_they_promise():
    assert len(STYLES) >= 24
    assert {style.metre for style in STYLES.values()} == {"4/4", "3/4", "6/8", "12/8"}
    assert len({p for family in PROGRAMS.values() for pool in family.values() for p in pool}) >= 40
    for style in STYLES.values():
        assert set(style.chords) | set(style.leads) <= set(PROGRAMS)
        for groove in style.grooves:
            names, rows = groove.split()[::2], groove.split()[1::2]
            assert {"bass", "chord"} <= set(names) <= {*DRUMS, "bass", "chord"}
            assert all(len(row) % style.steps == 0 for row in rows)
    for (_, steps), pools in RHYTHMS.items():
        assert all(len(rhythm) == steps for pool in pools.values() for rhythm in pool)


def test_pools_of_splits_share_nothing():
    assert disjoint(GROOVES.values())
    grooves = [groove for style in STYLES.values() for groove in style.grooves]
    assert len(set(grooves)) == len(grooves)
    assert all(disjoint(pools.values()) for pools in RHYTHMS.values())
    assert disjoint(
        [[p for mode in PROGRESSIONS.values() for p in mode[split]] for split in SPLITS]
    )
    assert disjoint([[p for f in PROGRAMS.values() for p in f[split]] for split in SPLITS])
    assert disjoint([[p for kit in KITS.values() for p in kit[split]] for split in SPLITS])


def test_pieces_of_splits_share_nothing(scores):
    for what in ("groove", "progression"):
        assert disjoint([{score.used[what] for score in scores[split]} for split in SPLITS])
    for what in ("rhythms", "programs", "kits"):
        assert disjoint([{x for s in scores[split] for x in s.used[what]} for split in SPLITS])
    assert len({x for score in every(scores) for x in score.used["programs"]}) >= 40


def test_labels_of_every_split_are_known_in_training(scores):
    def labels(split):
        return {
            label
            for score in scores[split]
            for label in (*score.tags, *(voice.family for voice in score.voices))
        }

    assert labels("validation") | labels("test") <= labels("train")


def test_beats_bars_and_tempo_agree(scores):
    for score in every(scores):
        beats_a_bar = BEATS_A_BAR[score.metre]
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


def test_notes_and_accents_lie_within_the_piece(scores):
    for score in every(scores):
        for voice in score.voices:
            for note in voice.part.notes:
                assert 0 <= note.start < note.end <= score.duration
                assert 20 <= note.pitch <= 108
                assert 1 <= note.velocity <= 127
        times, strengths = score.accents.T
        assert (np.diff(times) > 0).all()
        assert strengths.min() >= 0
        assert strengths.max() == 1


def test_beats_are_neither_absent_nor_the_only_onsets(scores):
    on_the_beat, off_the_beat = [], []
    for score in every(scores):
        onsets = np.array([note.start for voice in score.voices for note in voice.part.notes])
        near = np.abs(onsets[:, None] - score.beats).min(axis=1) < 0.03
        heard = np.abs(onsets[:, None] - score.beats).min(axis=0) < 0.03
        on_the_beat.append(heard.mean())
        off_the_beat.append(1 - near.mean())
    assert min(on_the_beat) > 0.5
    assert np.mean(off_the_beat) > 0.3


def test_the_whole_has_the_promised_variety(scores):
    used = [score.used for score in every(scores)]
    assert 0.15 < np.mean([u["drift"] != 0 for u in used]) < 0.4
    assert 0.15 < np.mean([u["pickup"] > 0 for u in used]) < 0.5
    assert np.mean([score.beats[0] > 0.1 for score in every(scores)]) > 0.3
    assert len({u["key"] for u in used}) == 12
    assert len({k for u in used for k in u["kits"]}) >= 5
    assert any(not u["kits"] for u in used)


def test_compound_beats_are_dotted(scores):
    """A bar of a jig has six eighths and two beats."""
    jig = next(score for score in scores["train"] if score.style == "jig")
    bars = np.diff(jig.beats[jig.positions == 1])
    np.testing.assert_allclose(np.median(bars), 2 * 60 / jig.bpm, rtol=0.02)


def test_swung_eighths_come_late():
    """In a shuffle the last third of a beat stands at 0.62 to 0.69 of it, give or take a jitter."""
    score = compose("shuffle", "train", 0, seed=3)
    onsets = np.array([note.start for voice in score.voices for note in voice.part.notes])
    phases = np.interp(onsets, score.beats, np.arange(len(score.beats))) % 1
    late = phases[(phases > 0.55) & (phases < 0.8)]
    assert len(late) > 50
    assert abs(np.median(late) - score.used["swing"]) < 0.02


def test_a_piece_depends_on_seed_split_style_and_number_alone():
    def notes(*arguments):
        score = compose(*arguments)
        return [voice.part for voice in score.voices], score.beats.tolist()

    assert notes("funk", "train", 2, 5) == notes("funk", "train", 2, 5)
    others = [("funk", "train", 2, 6), ("funk", "train", 3, 5), ("funk", "test", 2, 5)]
    assert all(notes("funk", "train", 2, 5) != notes(*other) for other in others)


def test_drums_of_an_arranged_piece_sound_when_the_score_says():
    """What a stroke adds to the whole drum track is heard within 3 ms of its note."""
    score = compose("rock", "train", 0, seed=1, seconds=6.0)
    drums = next(voice.part for voice in score.voices if voice.role == "drums")
    track = render([drums], score.duration)
    for note in drums.notes[::4]:
        others = replace(drums, notes=tuple(other for other in drums.notes if other != note))
        added = np.abs(track - render([others], score.duration))
        heard = np.argmax(added > 0.1 * added.max()) / SAMPLE_RATE
        assert abs(heard - note.start) < 0.003


def test_a_mix_is_audible_bounded_and_repeatable():
    score = compose("waltz", "train", 0, seed=0, seconds=5.0)
    first = mix(score, np.random.default_rng(1))
    assert first.dtype == np.float32
    assert first.shape == (round(score.duration * SAMPLE_RATE),)
    assert 0.5 < np.abs(first).max() <= 1
    assert first.tobytes() == mix(score, np.random.default_rng(1)).tobytes()
    assert first.tobytes() != mix(score, np.random.default_rng(2)).tobytes()


def test_emotion_is_the_weighted_sum_of_the_cues():
    one = Cues(1.0, 1.0, 1.0, 1.0, 1.0, 1.0)
    assert affect(one) == (1.0, 1.0)
    assert affect(Cues(1.0, 0.0, 0.0, 0.0, 0.0, 0.0)) == (VALENCE.mode, AROUSAL.mode)
    assert affect(Cues(-1.0, 0.5, 0.0, 1.0, 0.0, 0.0)) == pytest.approx((-0.35, 0.475))
