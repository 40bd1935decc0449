"""The whole way from the command line to leaderboards, on click tracks."""

import errno
import shutil
from contextlib import nullcontext
from dataclasses import replace
from importlib.metadata import entry_points
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
from tests.clicks import RATE, SECONDS, Clicks, click_track
from tests.command import motionbeat
from tests.conftest import record
from tests.toys import Tiny

from motionbeat.benchmarks import runner
from motionbeat.benchmarks.cli import main
from motionbeat.data_modules.base import Beats, DatasetError, Track
from motionbeat.tasks.beat import BeatTask

ROWS = ("logmel", "chance", "oracle", "madmom")


@pytest.fixture
def alone(monkeypatch):
    """No reference rows."""
    monkeypatch.setattr(BeatTask, "references", lambda: ())


def run(folder, *more, encoder="tests.toys:Tiny", dataset="tests.clicks:Clicks"):
    options = {
        "--encoder": encoder,
        "--dataset": dataset,
        "--seeds": 1,
        "--learning_rates": "[0.01]",
        "--cache": folder / "cache",
        "--results": folder / "results",
    }
    return motionbeat("bench", *(part for option in options.items() for part in option), *more)


def put(folder, name, waveform, rate=RATE):
    """Audio that the dataset will find where its own would be."""
    path = folder / "cache" / "data" / "clicks" / f"{name}.wav"
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, waveform, rate)
    return path


def change(monkeypatch, name, **changes):
    """Another duration or other annotations for a track of the dataset."""
    tracks = Clicks.tracks

    def changed(self, split):
        return [replace(t, **changes) if t.id == name else t for t in tracks(self, split)]

    monkeypatch.setattr(Clicks, "tracks", changed)


def files(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*.*")}


def entries(folder):
    return len(list((folder / "cache" / "embeddings").rglob("*.safetensors")))


def failed(ended, *words):
    """It exits with 1 and one line that holds these words, whatever was said before."""
    assert ended.code == 1
    line = ended.said.splitlines()[-1]
    assert line.startswith("motionbeat: error: ")
    assert all(str(word) in line for word in words), line
    return True


def forbid(monkeypatch, *names):
    def forbidden(*_, **__):
        raise AssertionError("work was done again")

    for name in names:
        monkeypatch.setattr(runner, name, forbidden)


def test_a_run_writes_records_tables_and_a_picture(finished):
    assert finished.ended.code == 0
    results = finished.folder / "results"
    assert {path.stem for path in (results / "runs" / "beat").rglob("*.json")} == set(ROWS)
    table = pd.read_csv(results / "leaderboard_beat.csv")
    assert list(table["name"]) == ["oracle", "madmom", "logmel", "logmel", "chance"]
    assert set(table["synthetic"]) == {True}
    overview = pd.read_csv(results / "leaderboard.csv", index_col="name")
    column = "beat/clicks (synthetic)"
    assert overview.loc["oracle", column] == 1 > overview.loc["chance", column]
    assert (results / "leaderboard_beat.png").read_bytes().startswith(b"\x89PNG")


def test_the_command_is_installed():
    [command] = entry_points(group="console_scripts", name="motionbeat")
    assert command.load() is main


def test_a_run_prints_its_table(finished):
    for words in ("clicks (synthetic): 3 test tracks", "oracle (ceiling)", "logmel", "beat F"):
        assert words in finished.ended.printed
    assert "beat · clicks · logmel · linear: beat_f_measure 0." in finished.ended.said


def test_a_record_tells_how_it_came_about(finished):
    logmel = finished.record("logmel")
    assert logmel.protocol.learning_rates == (0.003, 0.03)
    assert logmel.protocol.seeds == (0, 1)
    assert logmel.tracks == ("clicks20", "clicks21", "clicks22")
    assert set(logmel.results) == {"linear", "mlp"}
    for one in logmel.results.values():
        assert one.sweep[f"{one.learning_rate:g}"] == max(one.sweep.values()) == one.monitor[0]
        assert len(one.monitor) == 2
        assert one.layer_weights == ((1.0,), (1.0,))
        assert {np.shape(values) for values in one.evidence.values()} == {(2, 3)}
    assert finished.record("chance").kind == "floor"
    assert np.shape(finished.record("chance").results["reference"].evidence["beat_cmlt"]) == (2, 3)
    assert np.shape(finished.record("oracle").results["reference"].evidence["beat_cmlt"]) == (1, 3)


def test_a_second_run_does_no_work(bench, monkeypatch):
    forbid(monkeypatch, "train", "extract", "in_parallel")
    before = files(bench.folder)
    ended = motionbeat(*bench.arguments)
    assert ended.code == 0
    assert [line.split(",")[0] for line in ended.said.splitlines()] == [
        f"reused: beat · clicks · {name}" for name in ROWS
    ]
    assert ended.printed == bench.ended.printed
    assert files(bench.folder) == before


@pytest.mark.parametrize(
    ("target", "value"),
    [
        ("motionbeat.tasks.beat.BeatTask.version", 99),
        ("tests.toys.Tiny.card", replace(Tiny.card, revision="2")),
        ("tests.clicks.Clicks.card", replace(Clicks.card, revision="2")),
    ],
    ids=["task", "encoder", "dataset"],
)
def test_a_new_version_is_run_anew(tmp_path, monkeypatch, short_training, alone, target, value):
    run(tmp_path)
    assert "reused: " in run(tmp_path).said
    monkeypatch.setattr(target, value)
    ended = run(tmp_path)
    assert ended.code == 0
    assert "reused: " not in ended.said


@pytest.mark.parametrize("option", [("--seeds", 2), ("--learning_rates", "[0.02]")])
def test_another_protocol_is_run_anew(tmp_path, short_training, alone, option):
    run(tmp_path)
    assert "reused: " not in run(tmp_path, *option).said


def test_deleted_results_come_back_from_the_cache(bench, monkeypatch):
    forbid(monkeypatch, "train", "extract", "in_parallel")
    before = files(bench.folder / "results")
    shutil.rmtree(bench.folder / "results")
    assert motionbeat(*bench.arguments).code == 0
    assert files(bench.folder / "results") == before


def test_the_same_run_again_gives_the_same_numbers(bench):
    for finished in ("runs", "probes"):
        shutil.rmtree(bench.folder / "cache" / finished)
    before = bench.record("logmel")
    assert motionbeat(*bench.arguments).code == 0
    after = bench.record("logmel")
    for probe, one in before.results.items():
        assert after.results[probe].model_copy(update={"seconds": one.seconds}) == one


def test_a_run_killed_between_two_probes_goes_on_with_the_second(
    tmp_path, monkeypatch, short_training, alone
):
    probe = runner.Run.probe

    def killed(self, source, kind, *rest):
        if kind == "mlp":
            raise KeyboardInterrupt
        return probe(self, source, kind, *rest)

    def second_only(self, source, kind, *rest):
        assert kind == "mlp"
        return probe(self, source, kind, *rest)

    monkeypatch.setattr(runner.Run, "probe", killed)
    ended = run(tmp_path)
    assert ended.code == 130
    assert "the same command goes on from here" in ended.said
    assert not (tmp_path / "results").exists()
    monkeypatch.setattr(runner.Run, "probe", second_only)
    ended = run(tmp_path)
    assert ended.code == 0
    assert "reused: tiny · linear probe" in ended.said
    assert set(record(tmp_path, "tiny").results) == {"linear", "mlp"}


@pytest.mark.parametrize("content", [b"", b"{}", b"{", b"\xff\xfe"])
def test_damaged_finished_work_is_ignored_with_a_message(tmp_path, short_training, alone, content):
    assert run(tmp_path).code == 0
    before = record(tmp_path, "tiny").results["linear"].scores
    for path in (tmp_path / "cache" / "runs").iterdir():
        path.write_bytes(content)
    ended = run(tmp_path)
    assert ended.code == 0
    assert ended.said.count("ignored: ") == 3
    assert ended.said.count("no valid run record") == 3
    assert record(tmp_path, "tiny").results["linear"].scores == before


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--encoder", "logmell"), ("unknown encoder 'logmell'", "did you mean logmel")),
        (("--dataset", "grovebox"), ("unknown dataset 'grovebox'", "did you mean groovebox")),
        (("--task", "beet"), ("unknown task 'beet'", "did you mean beat")),
        (("--encoder", "nowhere:Thing"), ("encoder 'nowhere:Thing' cannot be loaded",)),
        (("--dataset", "tests.toys:Tones"), ("has nothing for beat", "try ", "groovebox")),
        (("--seeds", "0"), ("no seed",)),
        (("--learning_rates", "[]"), ("no learning rate",)),
    ],
)
def test_settings_that_make_no_sense_are_one_line(tmp_path, options, words):
    assert failed(run(tmp_path, *options), *words)


def test_settings_come_from_a_yaml_file_too(tmp_path, short_training, alone):
    settings = tmp_path / "settings.yaml"
    settings.write_text(
        "dataset: tests.clicks:Clicks\n"
        "encoder: tests.toys:Tiny\n"
        "seeds: 3\n"
        "learning_rates: [0.01, 0.02]\n"
        f"cache: {tmp_path / 'cache'}\n"
        f"results: {tmp_path / 'results'}\n"
    )
    assert motionbeat("bench", "--config", settings, "--seeds", 2).code == 0
    assert record(tmp_path, "tiny").protocol.seeds == (0, 1)
    assert record(tmp_path, "tiny").protocol.learning_rates == (0.01, 0.02)


def test_embed_fills_the_store_for_later(tmp_path, monkeypatch, short_training, alone):
    places = ("--cache", tmp_path / "cache", "--dataset", "tests.clicks:Clicks")
    ended = motionbeat("embed", "--encoder", "tests.toys:Tiny", *places)
    assert (ended.code, entries(tmp_path)) == (0, 9)
    assert f"Clicks: 9 tracks in {tmp_path / 'cache' / 'embeddings'}" in ended.said
    monkeypatch.setattr("motionbeat.benchmarks.store.encode", None)
    assert run(tmp_path).code == 0


def test_a_missing_file_is_named_and_the_others_are_kept(tmp_path, monkeypatch):
    datamodule = Clicks(tmp_path / "cache" / "data")
    datamodule.prepare_data()
    monkeypatch.setattr(Clicks, "prepare_data", lambda self: None)
    missing = datamodule.folder / "21.wav"
    missing.unlink()
    assert failed(run(tmp_path), "1 of 9 tracks failed", missing)
    assert entries(tmp_path) == 8


def test_an_unreadable_file_is_named_and_the_others_are_kept(tmp_path):
    path = put(tmp_path, "21", np.zeros(10))
    path.write_bytes(b"no audio")
    assert failed(run(tmp_path), "1 of 9 tracks failed", path, "unreadable")
    assert entries(tmp_path) == 8


def test_a_file_that_was_cut_off_is_named(tmp_path):
    path = put(tmp_path, "21", np.zeros(round(0.8 * SECONDS * RATE)))
    assert failed(run(tmp_path), path, "cut off after 9.70 s of 12.00 s")


@pytest.mark.parametrize(("last", "good"), [(10.4, True), (10.6, False)])
def test_an_annotation_beyond_the_end_of_the_audio_is_named(last, good):
    track = Track("one", Path("one.wav"), 10.0, "one", (Beats(np.array([1.0, last])),))
    context = (
        nullcontext()
        if good
        else pytest.raises(DatasetError, match=r"one.wav: Beats annotation reaches 10.60 s")
    )
    with context:
        runner.check_annotations(track)


def test_odd_tracks_are_scored_beside_good_ones(tmp_path, monkeypatch, short_training):
    """A silent one, one of 0.3 s with a single beat, and one to learn from without beats."""
    put(tmp_path, "20", np.zeros(round(SECONDS * RATE)))
    put(tmp_path, "21", click_track([0.1], [True], seconds=0.3))
    change(monkeypatch, "clicks21", duration=0.3, annotations=(Beats(np.array([0.1])),))
    change(monkeypatch, "clicks00", annotations=(Beats(np.zeros(0), np.zeros(0, int)),))
    ended = run(tmp_path)
    assert ended.code == 0, ended.said
    for name, probe in (("tiny", "linear"), ("tiny", "mlp"), *((n, "reference") for n in ROWS[1:])):
        one = record(tmp_path, name).results[probe]
        for metric in ("beat_f_measure", "dbn_beat_cmlt", "downbeat_f_measure", "tempo_acc1"):
            values = np.array(one.evidence[metric][0])
            assert np.isnan(values).tolist() == [False, True, False]
            assert one.scores[metric].mean == pytest.approx(
                np.nanmean(np.array(one.evidence[metric])), abs=1e-6
            )


def test_twenty_minutes(tmp_path, short_training, alone):
    put(tmp_path, "21", np.random.default_rng(0).uniform(-0.1, 0.1, 20 * 60 * 8000), 8000)
    assert run(tmp_path).code == 0
    assert record(tmp_path, "tiny").tracks[1] == "clicks21"


@pytest.mark.parametrize("option", ["--cache", "--results"])
def test_a_folder_that_cannot_be_written_is_one_line(tmp_path, short_training, alone, option):
    file = tmp_path / "file"
    file.touch()
    assert failed(run(tmp_path, option, file / "below"), file)


@pytest.mark.parametrize("kind", ["safetensors", "json"], ids=["embedding", "record"])
def test_a_full_disk_is_one_line(tmp_path, monkeypatch, short_training, alone, kind):
    write = Path.write_bytes

    def full(path, content):
        if f".{kind}" in path.name:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(path, content)

    monkeypatch.setattr(Path, "write_bytes", full)
    assert failed(run(tmp_path), "the disk is full", tmp_path / "cache")
