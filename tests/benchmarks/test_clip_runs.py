"""Clip tasks through the runner: folds, nearest neighbours, one extraction, pictures."""

import numpy as np
import pandas as pd
import pytest
from tests.command import motionbeat
from tests.conftest import record
from tests.toys import FoldedTones, Tiny, Tones

from motionbeat.benchmarks import store
from motionbeat.benchmarks.leaderboard import write_leaderboards
from motionbeat.tasks.clip import ClipTask
from motionbeat.tasks.genre import GenreTask


def bench(folder, task, dataset, *more):
    return motionbeat(
        *("bench", "--task", task, "--dataset", f"tests.toys:{dataset}"),
        *("--encoder", "tests.toys:Tiny", "--seeds", 2, "--learning_rates", "[0.003, 0.03]"),
        *("--cache", folder / "cache", "--results", folder / "results", *more),
    )


@pytest.fixture(autouse=True)
def short(monkeypatch):
    monkeypatch.setattr(ClipTask, "max_steps", 60)
    monkeypatch.setattr(ClipTask, "epochs", 0)


def test_folds_test_every_track_once_and_none_it_was_trained_on(tmp_path, monkeypatch):
    heard = []
    tracks = FoldedTones.tracks

    def listened(self, split):
        found = tracks(self, split)
        heard.append((self.fold, split, frozenset(track.id for track in found)))
        return found

    monkeypatch.setattr(FoldedTones, "tracks", listened)
    ended = bench(tmp_path, "genre", "FoldedTones")
    assert ended.code == 0, ended.said
    found = record(tmp_path, "tiny")
    assert found.folds == 3
    assert found.dataset_revision.endswith("-3folds")
    assert sorted(found.tracks) == sorted(
        track.id for split in ("train", "validation", "test")
        for track in Tones(tmp_path).tracks(split)
    )  # fmt: skip
    for fold in range(3):
        parts = {split: ids for number, split, ids in heard if number == fold}
        assert not parts["test"] & (parts["train"] | parts["validation"])
    for probe in ("linear", "mlp", "knn"):
        one = found.results[probe]
        assert {np.shape(v) for v in one.evidence.values()} == {(1 if probe == "knn" else 2, 36)}
        evidence = one.arrays()
        assert one.scores["accuracy"].mean == pytest.approx(
            np.mean(evidence["true"] == evidence["predicted"]), abs=1e-6
        )
        assert one.scores["accuracy"].mean > 0.5
        assert evidence["fold"][0].tolist() == [0.0] * 12 + [1.0] * 12 + [2.0] * 12
    assert found.results["knn"].learning_rate is None
    assert found.results["linear"].learning_rate in (0.003, 0.03, np.mean([0.003, 0.03]))
    again = bench(tmp_path, "genre", "FoldedTones")
    assert "reused: genre · folded_tones · tiny" in again.said


def test_one_fold_by_name(tmp_path):
    ended = bench(tmp_path, "genre", "FoldedTones", "--dataset_options", "{fold: 1}")
    assert ended.code == 0, ended.said
    assert len(record(tmp_path, "tiny").tracks) == 12
    assert record(tmp_path, "tiny").folds == 1


def test_the_confusion_is_drawn_and_its_classes_are_named(tmp_path):
    assert bench(tmp_path, "genre", "Tones").code == 0
    assert record(tmp_path, "tiny").vocabulary == ("high", "low", "middle")
    assert (tmp_path / "results" / "confusion_genre.png").stat().st_size > 1000
    (tmp_path / "results" / "confusion_genre.png").unlink()
    write_leaderboards(tmp_path / "results")
    assert (tmp_path / "results" / "confusion_genre.png").exists(), "from the records alone"
    table = pd.read_csv(tmp_path / "results" / "leaderboard_genre.csv")
    assert list(table["probe"]) == ["linear", "mlp", "knn", "reference"]
    assert table.loc[2, "seeds"] == 1


def test_emotion_is_found_and_has_a_floor(tmp_path):
    assert bench(tmp_path, "emotion", "Tones").code == 0
    assert record(tmp_path, "tiny").results["mlp"].scores["pearson_arousal"].mean > 0.5
    assert record(tmp_path, "chance").results["reference"].scores["r2"].mean <= 0


def test_frames_and_averages_come_from_one_extraction(tmp_path, monkeypatch, short_training):
    asked = []
    forward = Tiny.forward

    def counted(self, waveform):
        asked.append(waveform.shape)
        return forward(self, waveform)

    monkeypatch.setattr(Tiny, "forward", counted)
    assert bench(tmp_path, "genre", "Both").code == 0
    assert len(asked) == 36
    assert bench(tmp_path, "beat", "Both").code == 0
    assert len(asked) == 36, "the frames were kept"
    assert bench(tmp_path / "averages", "genre", "Tones").code == 0
    kept = list((tmp_path / "averages" / "cache" / "embeddings").rglob("*.safetensors"))
    assert len(kept) == 36, "frames that nobody needs are not"


def test_averages_are_read_from_disk_once(tmp_path, monkeypatch):
    assert bench(tmp_path, "genre", "Tones").code == 0
    opened = []
    reading = store.safe_open

    def listened(path, **options):
        opened.append(path)
        return reading(path, **options)

    monkeypatch.setattr(store, "safe_open", listened)
    assert bench(tmp_path, "emotion", "Tones").code == 0
    assert max(opened.count(path) for path in opened) <= 4, "checked, measured, read"


def test_tables_of_other_tasks_are_left_as_they_are(tmp_path, monkeypatch):
    assert bench(tmp_path, "genre", "Tones").code == 0
    before = (tmp_path / "results" / "leaderboard_genre.csv").read_bytes()
    monkeypatch.setattr(GenreTask, "summarise", None)
    assert bench(tmp_path, "emotion", "Tones").code == 0
    assert (tmp_path / "results" / "leaderboard_genre.csv").read_bytes() == before
    overview = pd.read_csv(tmp_path / "results" / "leaderboard.csv")
    assert {"genre", "emotion"} == {c.partition("/")[0] for c in overview.columns if "/" in c}


def test_a_task_the_dataset_has_nothing_for_names_those_it_has(tmp_path):
    ended = bench(tmp_path, "pitch", "Tones")
    assert ended.code == 1
    assert "its tasks: emotion, genre" in ended.said
    assert ended.said.count("\n") == 1
