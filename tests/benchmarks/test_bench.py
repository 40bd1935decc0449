"""The whole way from the command line to leaderboards."""

import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import soundfile
from tests.clicks import RATE, SECONDS, Clicks, click_track
from tests.command import motionbeat
from tests.conftest import alter, failed, record, run

from motionbeat.benchmarks.leaderboards import write_tables
from motionbeat.benchmarks.records import NO_HEAD, read_records
from motionbeat.data_modules.base import Beats
from motionbeat.tasks.genre import GenreClassification

ROWS = ("logmel", "chance", "oracle", "madmom")
TONES = {"dataset": "tests.toys:Tones"}


def put(folder, name, waveform, rate=RATE):
    """Audio that the dataset will find where its own would be."""
    path = folder / "cache" / "data" / "clicks" / f"{name}.wav"
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, waveform, rate)
    return path


def change(monkeypatch, name, **changes):
    """Another duration or other annotations for a track of the dataset."""
    alter(monkeypatch, Clicks, lambda t, _: replace(t, **changes) if t.id == name else t)


def files(folder):
    """Contents of all files, but for digests: those of new files are kept when they are settled."""
    return {
        path.relative_to(folder): path.read_bytes()
        for path in folder.rglob("*.*")
        if path.parent.name != "digests"
    }


def test_a_run_writes_records_tables_and_a_picture_and_prints_its_table(finished):
    assert finished.ended.code == 0, finished.ended.said
    results = finished.folder / "results"
    assert {path.stem for path in (results / "runs" / "beat").rglob("*.json")} == set(ROWS)
    table = pd.read_csv(results / "leaderboard_beat.csv")
    assert set(table["entry"]) == set(ROWS)
    assert (results / "leaderboard_beat.png").read_bytes().startswith(b"\x89PNG")
    for words in ("clicks", "synthetic", "oracle", "upper bound", "logmel", "beat F"):
        assert words in finished.ended.printed
    assert "beat · clicks · logmel · linear: beat_f_measure 0." in finished.ended.said
    oracle, chance = (
        finished.record(name).results[NO_HEAD].scores["beat_f_measure"].mean
        for name in ("oracle", "chance")
    )
    assert oracle == 1 > chance


def test_a_record_tells_how_it_came_about(finished):
    logmel = finished.record("logmel")
    assert (logmel.protocol.learning_rates, logmel.protocol.seeds) == ((0.003, 0.03), (0, 1))
    assert logmel.tracks == ("clicks20", "clicks21", "clicks22")
    assert logmel.groups == ("group20", "group21", "group22")
    assert (logmel.data, finished.record("chance").kind) == ("synthetic", "baseline")
    assert set(logmel.results) == {"linear", "mlp"}
    for one in logmel.results.values():
        assert one.sweep[f"{one.learning_rate:g}"] == max(one.sweep.values()) == one.monitor[0]
        assert one.layer_weights == ((1.0,), (1.0,))
        assert {values.shape for values in one.per_track.values()} == {(2, 3)}


def test_a_second_run_does_no_work_and_brings_deleted_results_back(bench, monkeypatch):
    for name in ("protocol.fit", "extraction.extract", "evaluator.Evaluation.probe"):
        monkeypatch.setattr(f"motionbeat.benchmarks.{name}", None)
    before = files(bench.folder)
    for _ in range(2):
        ended = motionbeat(*bench.arguments)
        assert ended.code == 0, ended.said
        *lines, last = ended.said.splitlines()
        assert [line.split(",")[0] for line in lines] == [
            f"reused: beat · clicks · {name}" for name in ROWS
        ]
        assert last.startswith("to look at it: ")
        assert ended.printed == bench.ended.printed
        assert files(bench.folder) == before
        shutil.rmtree(bench.folder / "results")


def test_the_same_run_again_gives_the_same_numbers(bench):
    before = bench.record("logmel")
    for kept in ("runs", "probes"):
        shutil.rmtree(bench.folder / "cache" / kept)
    assert motionbeat(*bench.arguments).code == 0
    after = bench.record("logmel")
    for head, one in before.results.items():
        again = after.results[head]
        assert (again.scores, again.sweep, again.monitor) == (one.scores, one.sweep, one.monitor)
        for name, values in one.per_track.items():
            np.testing.assert_array_equal(again.per_track[name], values)


def test_damaged_finished_work_is_ignored_with_a_message(bench):
    before = bench.record("logmel").results["linear"].scores
    for path in (bench.folder / "cache" / "runs").iterdir():
        path.write_bytes(b"{")
    ended = motionbeat(*bench.arguments)
    assert ended.code == 0, ended.said
    assert "ignored: " in ended.said
    assert bench.record("logmel").results["linear"].scores == before


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--encoder", "logmell"), ("unknown encoder 'logmell'", "did you mean logmel")),
        (("--dataset", "tests.toys:Tones"), ("nothing for beat", "emotion, genre", "groovebox")),
        (("--dataset_options", "{size: 3}"), ("has no option 'size'",)),
        (("--heads", "linear,knn"), ("task 'beat' has no head 'knn'",)),
        (("--seeds", "0"), ("no seed",)),
        (("--mode", "lora"), ("encoder 'tiny' has no weights to fine-tune",)),
        (("--mode", "lora", "--deform"), ("--deform is for frozen encoders",)),
        (("--mode", "lora", "--task", "retrieval", "--dataset", "groovebox"), ("about dances",)),
        (("--deform", "--task", "retrieval", "--dataset", "groovebox"), ("matches music",)),
    ],
)
def test_settings_that_make_no_sense_are_one_line(tmp_path, options, words):
    assert failed(run(tmp_path, *options), *words)
    assert not (tmp_path / "cache" / "embeddings").exists()


def test_settings_come_from_a_yaml_file_too(tmp_path, short_training, alone):
    settings = tmp_path / "settings.yaml"
    settings.write_text("seeds: 3\nlearning_rates: [0.01, 0.02]\nheads: linear\n")
    places = ("--cache", tmp_path / "cache", "--results", tmp_path / "results", "--seeds", 2)
    names = ("--dataset", "tests.clicks:Clicks", "--encoder", "tests.toys:Tiny")
    assert motionbeat("bench", "--config", settings, *places, *names).code == 0
    protocol = record(tmp_path, "tiny").protocol
    assert (protocol.seeds, protocol.learning_rates) == ((0, 1), (0.01, 0.02))


def test_embed_fills_the_store_for_later(tmp_path, monkeypatch, short_training, alone):
    places = ("--cache", tmp_path / "cache", "--dataset", "tests.clicks:Clicks")
    ended = motionbeat("embed", "--encoder", "tests.toys:Tiny", *places)
    assert ended.code == 0
    assert "9 embeddings are intact" in motionbeat("store", "verify", *places[:2]).said
    assert f"Clicks: 9 tracks in {tmp_path / 'cache' / 'embeddings'}" in ended.said
    monkeypatch.setattr("motionbeat.benchmarks.extraction.extract", None)
    assert run(tmp_path).code == 0


def test_odd_tracks_are_scored_beside_good_ones(tmp_path, monkeypatch, short_training):
    """A silent one, one of 0.3 s with a single beat, and one to learn from without beats."""
    put(tmp_path, "20", np.zeros(round(SECONDS * RATE)))
    put(tmp_path, "21", click_track([0.1], [True], seconds=0.3))
    change(monkeypatch, "clicks21", duration=0.3, annotations=(Beats(np.array([0.1])),))
    change(monkeypatch, "clicks00", annotations=(Beats(np.zeros(0), np.zeros(0, int)),))
    ended = run(tmp_path)
    assert ended.code == 0, ended.said
    for name, head in (("tiny", "linear"), ("tiny", "mlp"), *((n, NO_HEAD) for n in ROWS[1:])):
        one = record(tmp_path, name).results[head]
        for metric in ("beat_f_measure", "dbn_beat_cmlt", "downbeat_f_measure", "tempo_acc1"):
            values = one.per_track[metric]
            assert np.isnan(values[0]).tolist() == [False, True, False]
            assert one.scores[metric].mean == pytest.approx(np.nanmean(values), abs=1e-6)


def test_tracks_too_short_to_be_scored_are_counted_and_choose_nothing(tmp_path, short_training):
    why = "fewer than two beats after the first 5 s"
    ended = run(tmp_path, dataset="tests.clicks:ShortTest")
    assert ended.code == 0
    said = f"beat_f_measure is undefined for 2 of 3 test tracks, which have {why}"
    assert said in " ".join(ended.said.split())
    [one] = [r for r in read_records(tmp_path / "results") if r.kind == "encoder"]
    assert one.warnings == (said,)
    assert failed(run(tmp_path, dataset="tests.clicks:ShortValidation"), "never a number", why)


@pytest.mark.parametrize("option", ["--cache", "--results"])
def test_a_folder_that_cannot_be_written_is_one_line(tmp_path, short_training, alone, option):
    file = tmp_path / "file"
    file.touch()
    ended = run(tmp_path, option, file / "below")
    assert failed(ended, file)
    assert "beat · clicks" not in ended.said, "found before any entry was run"


def test_tables_of_classes_and_of_numbers(tmp_path, short_training, monkeypatch):
    assert run(tmp_path, task="genre", **TONES).code == 0
    results = tmp_path / "results"
    assert (results / "confusion_genre.png").stat().st_size > 1000
    (results / "confusion_genre.png").unlink()
    write_tables(results)
    assert (results / "confusion_genre.png").exists(), "from the records alone"
    table = pd.read_csv(results / "leaderboard_genre.csv")
    assert set(table["head"]) == {"linear", "mlp", "knn", NO_HEAD}
    before = (results / "leaderboard_genre.csv").read_bytes()
    monkeypatch.setattr(GenreClassification, "summarise", None)
    assert run(tmp_path, task="emotion", **TONES).code == 0
    assert (results / "leaderboard_genre.csv").read_bytes() == before, "left as it is"
    records = {(one.task, one.name): one for one in read_records(results)}
    chance = records["emotion", "chance"]
    assert chance.results[NO_HEAD].scores["r2"].mean <= 0


TINY = "{train: 1, validation: 1, test: 1, seconds: 9.0, styles: [house, jig]}"


def test_fine_tuned_encoders_stand_in_a_table_of_their_own(
    tmp_path, monkeypatch, short_training, alone
):
    options = {"dataset": "groovebox", "encoder": "motionbeat-random"}
    options_of = ("--dataset_options", TINY, "--heads", "linear", "--mode")
    for mode in ("frozen", "lora", "full"):
        ended = run(tmp_path, *options_of, mode, **options)
        assert ended.code == 0, ended.said
    assert "motionbeat-random (full)" in ended.printed
    results = tmp_path / "results"
    records = list(read_records(results))
    assert {one.label for one in records} == {
        f"motionbeat-random{mode}" for mode in ("", ".lora", ".full")
    }
    assert len({one.key for one in records}) == 3
    assert set(pd.read_csv(results / "leaderboard_beat_finetuned.csv")["mode"]) == {"lora", "full"}
    assert len(pd.read_csv(results / "leaderboard_beat.csv")) == 1
    monkeypatch.setattr("motionbeat.benchmarks.protocol.fit", None)
    again = run(tmp_path, *options_of, "full", **options)
    assert (again.code, again.printed) == (0, ended.printed)


@pytest.mark.parametrize("where", ["package", "file"])
def test_encoders_side_by_side_come_to_what_each_comes_to_alone(tmp_path, monkeypatch, where):
    """They are probed in processes of their own, and what these remember is not done again."""
    dataset = "tests.toys:Tones"
    if where == "file":
        file = tmp_path / "mine.py"
        file.write_text(
            "from dataclasses import replace\nfrom tests.toys import Tones\n\n\n"
            "class Mine(Tones):\n    card = replace(Tones.card, name='mine')\n"
        )
        dataset = f"{file}:Mine"
    quick = ("--heads", "linear", "--learning_rates", "[0.01]")
    options = {"task": "genre", "dataset": dataset}
    one = run(tmp_path / "alone", *quick, encoder="tests.toys:Noise", **options)
    assert one.code == 0, one.said
    monkeypatch.setattr("motionbeat.benchmarks.protocol.fit", None)
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "2")
    both = run(tmp_path, *quick, encoder="tests.toys:Tiny,tests.toys:Noise", **options)
    assert both.code == 0, both.said
    found, expected = (record(folder, "noise") for folder in (tmp_path, tmp_path / "alone"))
    assert found.key == expected.key
    assert found.dataset_revision == expected.dataset_revision
    assert found.results["linear"].scores == expected.results["linear"].scores
