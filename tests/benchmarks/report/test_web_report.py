"""The command that makes the report, and what it writes."""

import base64
import json
import shutil
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import soundfile
from tests.benchmarks.report.conftest import make_report
from tests.command import motionbeat
from tests.conftest import failed
from tests.staged import HOSTILE, Staged

from motionbeat.benchmarks.cli import program
from motionbeat.benchmarks.records import read_record, write_record
from motionbeat.benchmarks.registry import DATASETS
from motionbeat.benchmarks.report.dance_viewer import AUDIO_RATE, Shown, ogg, viewer_data
from motionbeat.benchmarks.report.listening import peaks
from motionbeat.benchmarks.report.writing import as_json
from motionbeat.data_modules.base import Beats
from motionbeat.motion import Motion


def data(out, name):
    """What a file of the folder data puts."""
    text = (out / "data" / f"{name}.js").read_text()
    return json.loads(f"[{text.removeprefix('MOTIONBEAT.put(').removesuffix(');' + chr(10))}]")[1]


def report(results, out, *more):
    return motionbeat("report", "--results", results, "--out", out, *more)


def test_a_report_is_pages_data_and_tables(pages):
    names = {path.name for path in pages.iterdir()}
    shown = ("index", "compare", "size", "tracks", "dances", "cards")
    assert names == {*(f"{one}.html" for one in shown), "assets", "csv", "data", "media"}
    found = data(pages, "report")
    tasks = {(one["task"], one["dataset"]) for one in found["columns"]}
    assert {("beat", "staged"), ("genre", "staged"), ("beat", HOSTILE[0])} <= tasks
    sizes = [path.stat().st_size for path in (pages / "data").iterdir()]
    assert sum(sizes) < 5e6


def test_its_numbers_are_those_of_the_records(pages, staged):
    found = data(pages, "report")
    index, column = next(
        (n, one) for n, one in enumerate(found["columns"]) if one["id"].startswith("beat/staged")
    )
    [path] = (staged / "results/runs/beat").rglob("logmel.json")
    one = read_record(path)
    cells = {(found["entries"][cell[0]]["name"], cell[1]): cell for cell in column["cells"]}
    for head, result in one.results.items():
        score = result.scores["beat_f_measure"]
        expected = [score.mean, score.std, score.low, score.high]
        found = np.array(cells["logmel", head][2:6], float)
        np.testing.assert_allclose(found, expected, rtol=1e-4)
    table = pd.read_csv(pages / "csv" / f"tracks_beat_staged_{index}.csv")
    values = one.results["linear"].per_track["beat_f_measure"].mean(axis=0)
    np.testing.assert_allclose(table["logmel linear"], values, atol=1e-5)


def test_predicted_beats_are_those_that_were_scored(pages, staged):
    """Played predictions are of the first seed; their scores stand in the record."""
    [path] = (staged / "results/runs/beat").rglob("logmel.json")
    expected = read_record(path).results["linear"].per_track["beat_f_measure"][0, :2]
    lanes = [data(pages, f"media-{number}")["lanes"] for number in range(2)]
    found = [lane["score"] for track in lanes for lane in track if lane["name"] == "logmel"]
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert [lane["name"] for lane in lanes[0]] == ["logmel", "no-music", "chance", "madmom"]


def test_dances_have_the_scores_of_the_records(pages, staged):
    [path] = (staged / "results/runs/dance").rglob("logmel.json")
    expected = read_record(path).results["decoder"].per_track["bas_fact"][0, 0]
    dances = {one["name"]: one for one in data(pages, "dance-0")["dances"]}
    assert set(dances) == {"real dance", "logmel", "no-music"}
    assert dances["logmel"]["scores"]["BAS"] == pytest.approx(expected, rel=1e-4)


def test_a_second_report_replaces_the_first(staged, tmp_path):
    out = tmp_path / "report"
    assert make_report(staged, out, "--media", 1).code == 0
    assert (out / "media").is_dir()
    assert make_report(staged, out).code == 0
    assert not (out / "media").exists()
    assert not data(out, "report")["media"]


def test_a_folder_that_is_no_report_stays(staged, tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    assert failed(report(staged / "results", tmp_path), "something else", "--out")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--encoder", "logmell"), "did you mean logmel"),
        (("--dataset", "groovebx"), "did you mean groovebox"),
        (("--media", "-1"), "--media is -1"),
    ],
)
def test_bad_options_leave_the_report_as_it_is(pages, staged, options, words):
    before = sorted(pages.rglob("*"))
    assert failed(report(staged / "results", pages, *options), words)
    assert sorted(pages.rglob("*")) == before


def test_an_encoder_without_records(staged, tmp_path):
    ended = make_report(staged, tmp_path / "out", "--media", 1, "--encoder", "logmel,musicnn")
    assert ended.code == 0
    assert "beat: there are no records of musicnn" in ended.said
    lanes = [lane["name"] for lane in data(tmp_path / "out", "media-0")["lanes"]]
    assert lanes == ["logmel", "chance", "madmom"]


def test_an_encoder_that_is_not_shipped(staged, tmp_path):
    folder = shutil.copytree(staged, tmp_path / "copy")
    [path] = (folder / "results/runs/beat").rglob("logmel.json")
    mine = read_record(path).model_copy(update={"name": "mine"})
    write_record(path.with_name("mine.json"), mine)
    ended = make_report(folder, tmp_path / "out", "--media", 1)
    assert ended.code == 0, ended.said
    assert "beat: to hear mine, name" in ended.said
    lanes = [lane["name"] for lane in data(tmp_path / "out", "media-0")["lanes"]]
    assert lanes == ["logmel", "no-music", "chance", "madmom"]


def test_no_records(tmp_path):
    assert failed(report(tmp_path, tmp_path / "out"), "holds no records", "motionbeat bench")


def test_records_of_another_version(staged, tmp_path):
    place = tmp_path / "results/runs/beat/x"
    place.mkdir(parents=True)
    (place / "old.json").write_text('{"schema_version": 2, "name": "old"}')
    ended = report(tmp_path / "results", tmp_path / "out")
    assert failed(ended, "holds no records")
    assert "records of an older version, left out: 1; run bench again" in ended.said
    [path] = (staged / "results/runs/beat").rglob("logmel.json")
    shutil.copy(path, place)
    assert report(tmp_path / "results", tmp_path / "out").code == 0


def test_a_licence_that_forbids_copies(staged, tmp_path, monkeypatch):
    licence = "CC BY 4.0; the music belongs to its owners"
    kind = DATASETS.get("tests.staged:Staged")
    monkeypatch.setattr(kind, "card", replace(kind.card, licence=licence))
    ended = make_report(staged, tmp_path / "out", "--media", 2)
    assert ended.code == 0
    assert "does not allow copies" in ended.said
    assert not (tmp_path / "out" / "media").exists()
    assert licence in (tmp_path / "out" / "tracks.html").read_text()


def test_probes_that_are_not_kept(staged, tmp_path):
    folder = shutil.copytree(staged, tmp_path / "copy")
    shutil.rmtree(folder / "cache" / "probes")
    ended = make_report(folder, tmp_path / "out", "--media", 1)
    assert ended.code == 0, ended.said
    assert "the probes of logmel, no-music are not kept here" in ended.said
    assert "motionbeat bench --task beat --dataset staged --encoder logmel,no-music" in ended.said
    assert (tmp_path / "out" / "media" / "track-0.ogg").is_file(), "the music can be heard"


def test_music_that_is_missing(staged, tmp_path):
    folder = shutil.copytree(staged, tmp_path / "copy")
    for path in (folder / "cache" / "data").rglob("*.wav"):
        path.write_bytes(b"")
    ended = make_report(folder, tmp_path / "out", "--media", 1)
    assert ended.code == 0, ended.said
    assert "beat on staged cannot be heard: " in ended.said
    assert (tmp_path / "out" / "index.html").is_file()


def test_records_of_other_options(staged, tmp_path, monkeypatch):
    monkeypatch.setattr(Staged, "revision", "2", raising=False)
    ended = make_report(staged, tmp_path / "out", "--media", 1)
    assert ended.code == 0
    assert "give them by --dataset_options" in ended.said


def test_bench_tells_how_to_open_the_report(bench, tmp_path):
    ended = motionbeat(*bench.arguments)
    last = ended.said.splitlines()[-1]
    assert last == f"to look at it: motionbeat report --results {bench.folder / 'results'} --open"
    out = tmp_path / "report"
    assert report(bench.folder / "results", out).code == 0
    found = data(out, "report")
    assert "logmel" in {one["name"] for one in found["entries"]}
    assert {one["dataset"] for one in found["columns"]} == {"clicks"}


def test_a_module_is_called_as_a_module(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["/somewhere/motionbeat/__main__.py", "bench"])
    assert program() == [sys.executable, "-m", "motionbeat"]


def test_text_cannot_end_a_script():
    said = as_json({"name": "</script>", "nan": float("nan"), "n": np.float64(0.123456789)})
    assert "<" not in said
    assert json.loads(said) == {"name": "</script>", "nan": None, "n": 0.12346}


def test_audio_keeps_its_time_in_ogg(tmp_path):
    clicks = np.zeros(3 * AUDIO_RATE, np.float32)
    clicks[[AUDIO_RATE // 2, 2 * AUDIO_RATE]] = 0.9
    soundfile.write(tmp_path / "a.wav", clicks, AUDIO_RATE)
    content, _ = ogg(tmp_path / "a.wav")
    (tmp_path / "a.ogg").write_bytes(content)
    heard, rate = soundfile.read(tmp_path / "a.ogg")
    assert (len(heard), rate) == (len(clicks), AUDIO_RATE)
    for second in (0.5, 2.0):
        part = np.abs(heard[round((second - 0.2) * rate) : round((second + 0.2) * rate)])
        assert abs(part.argmax() / rate - 0.2) < 0.002


def test_peaks_are_extremes_of_equal_parts():
    wave = np.array([0.0, 0.5, -1, 0, 0.25, 0])
    assert peaks(wave, 2).tolist() == [[-127, 64], [0, 32]]


def test_motions_are_packed_in_millimetres():
    positions = np.random.default_rng(0).uniform(-1, 1, (90, 24, 3)).astype(np.float32)
    contacts = np.zeros((90, 4), bool)
    contacts[60, [0, 3]] = True
    shown = Shown("one", Motion(positions, 60.0, contacts))
    [dance] = viewer_data([shown], Beats(np.zeros(0)), 1.5)["dances"]
    joints = np.frombuffer(base64.b64decode(dance["positions"]), "<i2").reshape(-1, 24, 3) / 1000
    assert dance["fps"] == 30
    expected = positions[::2] - positions[:1, :1] * [1, 0, 1]
    expected[..., 1] = joints[..., 1]  # moved to the floor
    np.testing.assert_allclose(joints, expected[: len(joints)], atol=6e-4)
    assert np.percentile(joints[:, [7, 10, 8, 11], 1], 5) == pytest.approx(0, abs=1e-3)
    bits = np.frombuffer(base64.b64decode(dance["contacts"]), np.uint8)
    assert bits[30] == 0b1001
    assert not bits[[29, 31]].any()
