"""No reference annotation of the test split reaches training or decoding."""

import shutil
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.clicks import Clicks
from tests.toys import Tiny, Tones, ToyMatching

from motionbeat.benchmarks import runner
from motionbeat.benchmarks.record import Protocol
from motionbeat.data_modules.base import Beats, Emotion, Tempo
from motionbeat.tasks.beat import BeatTask

PROTOCOL = Protocol(learning_rates=(0.003, 0.03), seeds=(0, 1))


def bench(folder, monkeypatch):
    """The record of an encoder, and everything that was trained for it."""
    trained = []
    train = runner.train

    def observed(*arguments, **options):
        trained.extend(train(*arguments, **options))
        return trained[-len(options["members"]) :]

    folders = runner.Folders(folder / "cache", folder / "results", None)
    with monkeypatch.context() as patch:
        patch.setattr(runner, "train", observed)
        patch.setattr(BeatTask, "references", lambda: ())
        [record] = runner.bench(
            "beat", "tests.clicks:Clicks", ["tests.toys:Tiny"], PROTOCOL, folders
        )
    return record, trained


def annotate_test_tracks(monkeypatch, annotate):
    tracks = Clicks.tracks

    def changed(self, split):
        if split != "test":
            return tracks(self, split)
        return [replace(track, annotations=annotate(track)) for track in tracks(self, split)]

    monkeypatch.setattr(Clicks, "tracks", changed)


def test_nonsense_in_the_test_split_changes_the_scores_and_nothing_else(
    tmp_path, monkeypatch, short_training
):
    Clicks(tmp_path / "cache" / "data").prepare_data()
    honest, trained = bench(tmp_path, monkeypatch)
    for finished in ("runs", "probes"):
        shutil.rmtree(tmp_path / "cache" / finished)
    nonsense = Beats(np.sort(np.random.default_rng(0).uniform(0, 12, 50)), np.arange(50) % 3 + 1)
    annotate_test_tracks(monkeypatch, lambda _: (nonsense, Tempo(333.0)))
    fooled, trained_again = bench(tmp_path, monkeypatch)

    assert len(trained) == len(trained_again) == 2 * (2 + 1)
    for one, other in zip(trained, trained_again, strict=True):
        assert one.monitor == other.monitor
        states = one.probe.state_dict(), other.probe.state_dict()
        assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
        assert all(map(np.array_equal, one.outputs, other.outputs))
    for probe, one in honest.results.items():
        other = fooled.results[probe]
        for chosen in ("learning_rate", "sweep", "monitor", "layer_weights"):
            assert getattr(one, chosen) == getattr(other, chosen)
        for metric in ("beat_f_measure", "downbeat_f_measure", "tempo_acc1"):
            assert one.scores[metric] != other.scores[metric]


def test_test_annotations_are_read_only_to_score(tmp_path, monkeypatch, short_training):
    """Reading beats or tempo anywhere but in ``score`` raises."""
    scoring = threading.local()
    score = BeatTask.score

    def scored(prediction, track):
        scoring.now = True
        try:
            return score(prediction, track)
        finally:
            scoring.now = False

    class Sealed:
        end = 0.0

        def __init__(self, sealed):
            self._sealed = sealed

        def __getattr__(self, name):
            assert getattr(scoring, "now", False), f"{name} was read before its time"
            return getattr(self._sealed, name)

    class SealedBeats(Sealed, Beats):
        times = property(lambda self: self.__getattr__("times"))
        positions = property(lambda self: self.__getattr__("positions"))

    class SealedTempo(Sealed, Tempo):
        bpm = property(lambda self: self.__getattr__("bpm"))

    Clicks(tmp_path / "cache" / "data").prepare_data()
    annotate_test_tracks(
        monkeypatch, lambda track: (SealedBeats(track.get(Beats)), SealedTempo(track.get(Tempo)))
    )
    monkeypatch.setattr(Clicks, "prepare_data", lambda self: None)
    [track, *_] = Clicks(tmp_path / "cache" / "data").tracks("test")
    with pytest.raises(AssertionError, match="times was read before its time"):
        _ = track.get(Beats).times
    monkeypatch.setattr(BeatTask, "score", scored)
    record, _ = bench(tmp_path, monkeypatch)
    assert record.name == Tiny.card.name
    assert record.results["linear"].scores["beat_f_measure"].mean > 0


@pytest.mark.parametrize(
    ("kind", "seen"), [("encoder", 0), ("floor", 0), ("specialist", 0), ("ceiling", 2)]
)
def test_a_ceiling_alone_sees_annotations(kind, seen):
    [track, *_] = Clicks(Path()).tracks("test")
    assert len(runner.visible(BeatTask, track, kind).annotations) == seen


def test_a_task_can_show_some_annotations():
    [track, *_] = Tones(Path()).tracks("test")
    [shown] = runner.visible(ToyMatching, track).annotations
    assert shown is track.get(Emotion)
