"""Numbers for an encoder from Python: what is returned, kept, and kept apart."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
import torch
from tests.clicks import RATE, Clicks
from tests.conftest import alter, shorten
from tests.toys import FoldedTones, Noise, Tiny, Tones

from motionbeat.benchmarks.ensemble import TrainingError
from motionbeat.benchmarks.evaluator import Evaluation, Folders, check_annotations, evaluate, plan
from motionbeat.benchmarks.keys import tracks_key
from motionbeat.benchmarks.records import read_records
from motionbeat.benchmarks.registry import ENCODERS
from motionbeat.benchmarks.store import EmbeddingStore
from motionbeat.data_modules.base import Beats, DatasetError, MotionFile, Tempo, Track
from motionbeat.tasks.beat_baselines import Chance, Oracle
from motionbeat.tasks.beat_tracking import BeatTracking
from motionbeat.tasks.genre import GenreClassification

CLICKS, TONES = "tests.clicks:Clicks", "tests.toys:Tones"
RATES = {"learning_rates": (0.01,)}


@pytest.fixture
def forbidden(monkeypatch):
    """A way to forbid work."""
    names = ("protocol.fit", "extraction.extract", "evaluator.Evaluation.probe")
    return lambda: [monkeypatch.setattr(f"motionbeat.benchmarks.{one}", None) for one in names]


@pytest.mark.parametrize("encoder", ["tests.toys:Tiny", Tiny()], ids=["name", "instance"])
def test_a_result_is_a_table_and_has_a_row_a_head_track_and_seed(
    encoder, tmp_path, short_training, forbidden, monkeypatch
):
    monkeypatch.setattr(BeatTracking, "baselines", classmethod(lambda cls: (Chance(), Oracle())))
    result = evaluate(encoder, "beat", CLICKS, seeds=2, cache=tmp_path, **RATES)
    tracks = result.tracks
    assert len(tracks) == 2 * 3 * 2
    assert list(tracks.columns[:4]) == ["track", "group", "head", "seed"]
    assert not tracks.duplicated(["track", "head", "seed"]).any()
    for head, scores in result.scores.items():
        column = tracks[tracks["head"] == head]["beat_f_measure"]
        assert column.mean() == pytest.approx(scores["beat_f_measure"], abs=1e-8)
    assert [one.name for one in result.baselines] == ["chance", "oracle"]
    for words in ("beat F", "tiny", "oracle", "clicks"):
        assert words in str(result)
    forbidden()
    again = evaluate(encoder, "beat", CLICKS, seeds=2, cache=tmp_path, **RATES)
    assert (again.record.key, again.record.finished) == (result.record.key, result.record.finished)
    pd.testing.assert_frame_equal(again.tracks, tracks, rtol=1e-8)


def test_what_was_killed_between_two_heads_goes_on_with_the_second(
    tmp_path, monkeypatch, short_training, alone
):
    probe, probed = Evaluation.probe, []

    def killed(self, encoder, head):
        probed.append(head)
        if probed == ["linear", "mlp"]:
            raise KeyboardInterrupt
        return probe(self, encoder, head)

    monkeypatch.setattr(Evaluation, "probe", killed)
    settings = {"cache": tmp_path, "seeds": 1, **RATES}
    with pytest.raises(KeyboardInterrupt):
        evaluate(Tiny(), "beat", CLICKS, **settings)
    assert set(evaluate(Tiny(), "beat", CLICKS, **settings).scores) == {"linear", "mlp"}
    assert probed == ["linear", "mlp", "mlp"]
    evaluate(Tiny(), "beat", CLICKS, heads=["mlp"], **settings)
    assert len(probed) == 3


def test_heads_of_another_cache_stay_among_the_results(tmp_path, short_training):
    """A new machine adds a head to results that hold another one."""
    results = tmp_path / "results"

    def heads_after(cache, head, seeds):
        folders = {"cache": tmp_path / cache, "results": results}
        evaluate(Tiny(), "beat", CLICKS, heads=[head], seeds=seeds, **folders, **RATES)
        [record] = [one for one in read_records(results) if one.kind == "encoder"]
        return set(record.results)

    assert heads_after("here", "linear", 1) == {"linear"}
    assert heads_after("there", "mlp", 1) == {"linear", "mlp"}
    assert heads_after("there", "linear", 2) == {"linear"}, "with two seeds it is another entry"


def test_folds_test_every_track_once_and_none_they_were_trained_on(tmp_path, short_training):
    options = {"cache": tmp_path, **RATES}
    result = evaluate(Tiny(), "genre", "tests.toys:FoldedTones", seeds=2, **options)
    record = result.record
    assert record.folds == 3
    assert record.dataset_revision.endswith("-3folds")
    assert sorted(record.tracks) == sorted(
        track.id for split in ("train", "validation", "test")
        for track in Tones(cache=tmp_path).tracks(split)
    )  # fmt: skip
    for fold in range(3):
        data = FoldedTones(cache=tmp_path, fold=fold)
        learned = {t.id for split in ("train", "validation") for t in data.tracks(split)}
        assert not learned & {track.id for track in data.tracks("test")}
    for head, one in record.results.items():
        assert one.per_track["true"].shape == (1 if head == "knn" else 2, 36)
        right = one.per_track["true"] == one.per_track["predicted"]
        assert one.scores["accuracy"].mean == pytest.approx(right.mean(), abs=1e-8)
        assert one.per_track["fold"][0].tolist() == [0.0] * 12 + [1.0] * 12 + [2.0] * 12
    assert record.results["knn"].learning_rate is None
    options |= {"dataset_options": {"fold": 1}, "heads": ["knn"]}
    assert len(evaluate(Tiny(), "genre", "tests.toys:FoldedTones", **options).record.tracks) == 12


def test_what_tells_is_found_and_noise_scores_at_chance(tmp_path, monkeypatch):
    """Pitch is heard by every head; an encoder that hears nothing is no better than guessing."""
    shorten(monkeypatch, max_steps=120, check_every=20)
    options = {"cache": tmp_path, "learning_rates": (0.003, 0.03), "seeds": 2}
    heard, noise = (evaluate(one(), "genre", TONES, **options).scores for one in (Tiny, Noise))
    for head in ("linear", "mlp", "knn"):
        assert heard[head]["accuracy"] > 0.6
        # Twelve tracks of three classes that are equally frequent: 0.33 with a deviation of 0.14.
        assert noise[head]["accuracy"] < 0.33 + 2.5 * 0.14


def test_averages_and_frames_come_from_one_extraction(tmp_path, monkeypatch, short_training, alone):
    asked = []
    forward = Tiny.forward
    monkeypatch.setattr(Tiny, "forward", lambda *it: (asked.append(1), forward(*it))[1])
    options = {"cache": tmp_path, "seeds": 1, "heads": ["linear"], **RATES}
    evaluate("tests.toys:Tiny", "genre", "tests.toys:Both", **options)
    assert len(asked) == 36
    with pytest.raises(TrainingError, match="check that the validation tracks can be scored"):
        evaluate("tests.toys:Tiny", "beat", "tests.toys:Both", **options)  # all end before 5 s
    assert len(asked) == 36, "the frames were kept"
    evaluate("tests.toys:Tiny", "genre", TONES, **options | {"cache": tmp_path / "other"})
    store = EmbeddingStore(tmp_path / "other" / "embeddings")
    card = ENCODERS.get("tests.toys:Tiny").card
    assert len(store.embeddings(card, GenreClassification.segment_seconds).shards) == 36
    assert not store.embeddings(card).shards, "frames that nobody needs are not"


# Keys


def keys(cache, **changes):
    """Keys of an encoder's and of chance's entry."""
    options = {"learning_rates": (0.01,), "seeds": 1} | changes
    found = plan("beat", CLICKS, Folders(cache), **options)
    [chance, *_] = found.task.baselines()
    return found.encoder_key("tests.toys:Tiny"), found.baseline_key(chance)


def altered(split, change):
    """The tracks of a split are others from now on."""
    changed = lambda track, asked: change(track) if asked == split else track  # noqa: E731
    return lambda patch, audio: alter(patch, Clicks, changed)


def carded(kind, **changes):
    return lambda patch, audio: patch.setattr(kind, "card", replace(kind.card, **changes))


def label(track):
    return replace(track, annotations=(Beats(np.array([1.0, 2.0])), Tempo(60.0)))


def tempo(track):
    return replace(track, annotations=(track.get(Beats), Tempo(track.get(Tempo).bpm + 1e-3)))


CHANGES = {
    "a training label": (altered("train", label), (True, True)),
    "a test label": (altered("test", tempo), (True, True)),
    "a group": (altered("test", lambda track: replace(track, group="other")), (True, True)),
    "the audio": (lambda p, audio: soundfile.write(audio, np.ones(12 * RATE), RATE), (True, True)),
    "the file alone": (lambda p, audio: audio.write_bytes(audio.read_bytes()), (False, False)),
    "the dataset's revision": (carded(Clicks, revision="2"), (True, True)),
    "the dataset's citation": (carded(Clicks, citation="other"), (False, False)),
    "the task": (lambda patch, audio: patch.setattr(BeatTracking, "version", 99), (True, True)),
    "the encoder": (carded(Tiny, revision="2"), (True, False)),
    "the encoder's licence": (carded(Tiny, licence="other"), (False, False)),
}


@pytest.mark.parametrize(("change", "expected"), CHANGES.values(), ids=CHANGES.keys())
def test_keys_change_with_what_decides_the_scores_and_with_nothing_else(
    change, expected, tmp_path, monkeypatch
):
    before = keys(tmp_path)
    change(monkeypatch, tmp_path / "data" / "clicks" / "20.wav")
    after = keys(tmp_path)
    assert tuple(one != other for one, other in zip(before, after, strict=True)) == expected


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        ({"learning_rates": (0.02,)}, (True, False)),
        ({"seeds": 2}, (True, True)),
        ({"mode": "lora"}, (True, False)),
        ({"heads": ["linear"]}, (False, False)),
    ],
)
def test_keys_change_with_the_protocol(option, expected, tmp_path):
    pairs = zip(keys(tmp_path), keys(tmp_path, **option), strict=True)
    assert tuple(one != other for one, other in pairs) == expected


def test_a_dance_is_told_by_its_content(tmp_path):
    found = set()
    for content in (b"one", b"two", b"one"):
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.npz"
        path.write_bytes(content)
        (tmp_path / "audio.wav").write_bytes(b"audio")
        found.add(tracks_key([Track("a", tmp_path / "audio.wav", 1, "a", (MotionFile(path),))]))
    assert len(found) == 2


# Blindness


def test_nonsense_in_the_test_split_changes_the_scores_and_nothing_else(
    tmp_path, short_training, alone, trained, monkeypatch
):
    def run():
        shutil.rmtree(tmp_path / "probes", ignore_errors=True)
        trained.clear()
        found = evaluate(Tiny(), "beat", CLICKS, seeds=2, cache=tmp_path, **RATES).record.results
        return found, [task.state_dict() for ensemble in trained for task in ensemble.tasks]

    honest, before = run()
    nonsense = Beats(np.sort(np.random.default_rng(0).uniform(0, 12, 50)), np.arange(50) % 3 + 1)
    fool = altered("test", lambda track: replace(track, annotations=(nonsense, Tempo(333.0))))
    fool(monkeypatch, None)
    fooled, after = run()
    assert len(before) == len(after) == 2 * 2
    for one, other in zip(before, after, strict=True):
        assert all(torch.equal(one[name], other[name]) for name in one)
    for head, one in honest.items():
        other = fooled[head]
        for chosen in ("learning_rate", "sweep", "monitor", "layer_weights"):
            assert getattr(one, chosen) == getattr(other, chosen)
        for metric in ("beat_f_measure", "downbeat_f_measure", "tempo_acc1"):
            assert one.scores[metric] != other.scores[metric]


def test_baselines_see_no_annotations_and_an_upper_bound_sees_all(tmp_path, monkeypatch):
    seen = {}

    def spy(kind_of):
        class Spy(Oracle):
            name = kind = kind_of

            def predict(self, track, seed):
                seen[kind_of] = track.annotations
                return super().predict(tracks[track.id], seed)

        return Spy()

    tracks = {track.id: track for track in Clicks(cache=tmp_path / "data").tracks("test")}
    evaluation = plan("beat", CLICKS, Folders(tmp_path))
    evaluation.entries([], [spy("baseline"), spy("upper bound")])
    assert {kind: len(annotations) for kind, annotations in seen.items()} == {
        "baseline": 0,
        "upper bound": 2,
    }


@pytest.mark.parametrize(("last", "good"), [(10.4, True), (10.6, False)])
def test_an_annotation_beyond_the_end_of_the_audio_is_named(last, good):
    track = Track("one", Path("one.wav"), 10.0, "one", (Beats(np.array([1.0, last])),))
    if good:
        return check_annotations(track)
    with pytest.raises(DatasetError, match=r"one.wav: Beats annotation reaches 10.60 s"):
        check_annotations(track)
    return None
