"""Deformed test audio: sound, annotations, and the whole way from the command line to a table."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
from tests.clicks import RATE, Clicks, click_track
from tests.command import motionbeat

from motionbeat.benchmarks import deformations, robustness, runner, training
from motionbeat.benchmarks.deformations import DEFORMATIONS, Deformed
from motionbeat.benchmarks.leaderboards import collect
from motionbeat.benchmarks.records import Protocol, read_records
from motionbeat.data_modules.base import Beats, MotionFile, Pitch, Tempo, Track

NOISE = next(one for one in DEFORMATIONS if one.name == "noise 10 dB SNR")
FASTER = next(one for one in DEFORMATIONS if one.name == "tempo 1.25 x")
HIGHER = next(one for one in DEFORMATIONS if one.name == "pitch 3 semitones")
TIMES = np.arange(0.5, 11.5, 0.7)
CLICKS = click_track(TIMES, np.ones(len(TIMES), bool))


def deformed(one, waveform=CLICKS, rate=RATE, seed=0):
    return one.change(waveform, rate, one.strength, np.random.default_rng(seed))


def lag(one, other):
    """Samples by which the second is later."""
    size = 2 * max(len(one), len(other))
    spectrum = np.fft.rfft(other, size) * np.fft.rfft(one, size).conj()
    best = np.fft.irfft(spectrum).argmax()
    return best if best < size // 2 else best - size


@pytest.mark.parametrize("one", DEFORMATIONS, ids=lambda one: one.name)
def test_every_deformation_is_deterministic_finite_and_has_the_promised_length(one):
    found = deformed(one)
    assert found.dtype == np.float32
    assert np.isfinite(found).all()
    assert abs(len(found) - len(CLICKS) * one.slowing) <= 1
    assert np.array_equal(found, deformed(one))
    assert not np.array_equal(found, CLICKS)


@pytest.mark.parametrize("one", DEFORMATIONS, ids=lambda one: one.name)
def test_clicks_stay_where_the_annotations_say(one):
    """Their middles, 10 ms in; the phase vocoder moves each a little, but all not at all."""
    envelope = np.convolve(np.abs(deformed(one)), np.ones(80) / 80, "same")
    errors = []
    for middle in one.annotate(Beats(TIMES + 0.01)).times[1:-1]:
        start = round((middle - 0.2) * RATE)
        loudest = start + envelope[start : start + round(0.4 * RATE)].argmax()
        errors.append(loudest / RATE - middle)
    assert np.abs(errors).max() < 0.03
    assert abs(np.mean(errors)) < 0.01


@pytest.mark.parametrize("rate", [8000, 22050, 44100])
@pytest.mark.parametrize(
    "one", [one for one in DEFORMATIONS if one.kind == "mp3"], ids=lambda o: o.name
)
def test_the_delay_of_mp3_is_taken_off(one, rate):
    rng = np.random.default_rng(0)
    melody = np.cumsum(rng.uniform(100, 1000, 30).repeat(rate // 10)) * 2 * np.pi / rate
    waveform = (0.5 * np.sin(melody)).astype(np.float32)
    found = deformed(one, waveform, rate)
    assert abs(lag(waveform, found)) <= 1
    assert np.corrcoef(waveform, found)[0, 1] > 0.95


def test_noise_has_the_stated_ratio():
    noise = deformed(NOISE) - CLICKS
    assert 10 * np.log10(np.mean(CLICKS**2) / np.mean(noise**2)) == pytest.approx(10, abs=0.1)


def test_a_low_pass_above_what_there_is_changes_nothing():
    [low, *_] = [one for one in DEFORMATIONS if one.kind == "low-pass"]
    assert np.array_equal(deformed(low, CLICKS, 2 * round(low.strength)), CLICKS)


def test_pitch_is_shifted_by_the_stated_semitones():
    tone = np.sin(2 * np.pi * 440 * np.arange(2 * RATE) / RATE).astype(np.float32)
    peak = np.abs(np.fft.rfft(deformed(HIGHER, tone))).argmax() / 2
    assert peak == pytest.approx(440 * 2 ** (3 / 12), rel=0.01)


def test_annotations_move_along_and_motion_stays_behind():
    known = (Beats(TIMES), Tempo(100.0), Pitch("60"), MotionFile(Path("dance.npz")))
    track = Track("one", Path("one.wav"), 12.0, "one", known)
    faster = FASTER.copy(track, Path("faster.flac"))
    assert (faster.id, round(faster.duration, 6)) == ("tempo 1.25 x/one", 9.6)
    np.testing.assert_allclose(faster.get(Beats).times, TIMES / 1.25)
    assert (faster.get(Tempo).bpm, faster.get(Pitch).name) == (125.0, "60")
    assert not faster.has(MotionFile)
    assert HIGHER.copy(track, Path()).get(Pitch).name == "63"


def test_copies_are_made_once_and_do_not_clip(tmp_path, monkeypatch):
    monkeypatch.setattr(deformations, "DEFORMATIONS", (NOISE._replace(strength=-20.0), FASTER))
    module = Deformed(Clicks(tmp_path / "data"), tmp_path / "deformed")
    module.prepare_data()
    clean, copies = module.tracks("test")[:3], module.tracks("test")[3:]
    assert [track.id for track in clean] == [f"clean/clicks2{number}" for number in range(3)]
    assert len(copies) == 6
    for track in copies:
        audio, rate = soundfile.read(track.audio_path)
        assert rate == RATE
        assert len(audio) / rate == pytest.approx(track.duration, abs=1e-3)
        assert np.abs(audio).max() <= 1
        assert np.mean(np.abs(audio) == np.abs(audio).max()) < 0.001
    assert [track.id for track in module.tracks("train")] == [
        track.id for track in Clicks(tmp_path / "data").tracks("train")
    ]
    monkeypatch.setattr(deformations, "Parallel", None)
    module.prepare_data()


@pytest.fixture
def few(monkeypatch, short_training):
    monkeypatch.setattr(deformations, "DEFORMATIONS", (NOISE, FASTER))


def run(folder, *more, task="beat"):
    places = ("--cache", folder / "cache", "--results", folder / "results")
    options = ("--seeds", 2, "--learning_rates", "[0.01]", "--encoder", "tests.toys:Tiny")
    return motionbeat("bench", "--task", task, *options, *places, *more)


CLICKS_ONLY = ("--dataset", "tests.clicks:Clicks")


def test_the_way_from_the_command_line_to_the_table(tmp_path, few, monkeypatch):
    ended = run(tmp_path, "--deform", *CLICKS_ONLY)
    assert ended.code == 0, ended.said
    table = pd.read_csv(tmp_path / "results" / "robustness_beat.csv")
    assert len(table) == 2 * 2
    assert set(table["deformation"]) == {NOISE.name, FASTER.name}
    assert set(table["tracks"]) == {3}
    np.testing.assert_allclose(table["drop"], table["clean"] - table["deformed"], atol=1e-5)
    assert (table["drop_low"] <= table["drop_high"]).all()
    assert "noise 10 dB SNR" in ended.printed
    assert (tmp_path / "results" / "robustness_beat.png").read_bytes().startswith(b"\x89PNG")
    assert not (tmp_path / "results" / "leaderboard_beat.csv").exists()

    def forbidden(*_, **__):
        raise AssertionError("work was done again")

    for name in ("train", "extract", "in_parallel"):
        monkeypatch.setattr(runner, name, forbidden)
    monkeypatch.setattr(deformations, "Parallel", forbidden)
    again = run(tmp_path, "--deform", *CLICKS_ONLY)
    assert (again.code, again.printed) == (0, ended.printed)


def test_clean_scores_are_those_of_the_ordinary_run_whose_probes_they_share(
    tmp_path, few, monkeypatch
):
    monkeypatch.setattr("motionbeat.tasks.beat.BeatTask.references", lambda: ())
    assert run(tmp_path, *CLICKS_ONLY).code == 0
    monkeypatch.setattr(training, "learn", None)
    assert run(tmp_path, "--deform", *CLICKS_ONLY).code == 0
    [bent] = read_records(tmp_path / "results" / "robustness" / "runs")
    [plain] = read_records(tmp_path / "results" / "runs")
    for probe, one in plain.results.items():
        assert bent.results[probe].scores == one.scores
        assert bent.results[probe].monitor == one.monitor
    assert (len(bent.tracks), len(plain.tracks)) == (9, 3)


def test_what_does_not_change_drops_by_nothing(tmp_path, few, monkeypatch):
    same = NOISE._replace(change=lambda waveform, *_: waveform)
    monkeypatch.setattr(deformations, "DEFORMATIONS", (same,))
    assert run(tmp_path, "--deform", *CLICKS_ONLY).code == 0
    table = pd.read_csv(tmp_path / "results" / "robustness_beat.csv")
    assert (table[["drop", "drop_low", "drop_high"]] == 0).all(axis=None)


def test_folds_and_clip_tasks(tmp_path, few):
    folders = runner.Folders(tmp_path / "cache", tmp_path / "results", None)
    protocol = Protocol(learning_rates=(0.01,), seeds=(0,))
    [record] = robustness.bench(
        "genre", "tests.toys:FoldedTones", ["tests.toys:Tiny"], protocol, folders
    )
    assert len(record.tracks) == 36 * 3
    [table] = collect([record], deformed=True).tables.values()
    assert set(table["tracks"]) == {36}
    assert set(table["head"]) == {"linear", "mlp", "knn"}


def test_dances_do_not_follow_deformed_music(tmp_path):
    ended = run(tmp_path, "--deform", task="retrieval")
    assert ended.code == 1
    assert ended.said.splitlines()[-1].startswith(
        "motionbeat: error: task 'retrieval' matches music with dances"
    )
