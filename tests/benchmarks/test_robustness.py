"""Deformed test audio: sound, annotations, and the whole way from the command line to a table."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
from tests.clicks import RATE, Clicks, click_track
from tests.command import motionbeat

from motionbeat.benchmarks import deformations
from motionbeat.benchmarks.deformations import DEFORMATIONS, Deformed
from motionbeat.benchmarks.records import read_records
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
def test_a_deformation_keeps_what_it_promises(one):
    found = deformed(one)
    assert found.dtype == np.float32
    assert np.isfinite(found).all()
    assert abs(len(found) - len(CLICKS) * one.slowing) <= 1
    assert np.array_equal(found, deformed(one))
    assert not np.array_equal(found, CLICKS)
    # Middles of clicks, 10 ms in; the phase vocoder moves each a little, but all not at all.
    envelope = np.convolve(np.abs(found), np.ones(80) / 80, "same")
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


def test_strengths_are_those_stated():
    noise = deformed(NOISE) - CLICKS
    assert 10 * np.log10(np.mean(CLICKS**2) / np.mean(noise**2)) == pytest.approx(10, abs=0.1)
    [low, *_] = [one for one in DEFORMATIONS if one.kind == "low-pass"]
    assert np.array_equal(deformed(low, CLICKS, 2 * round(low.strength)), CLICKS)
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
    monkeypatch.setattr(deformations, "side_by_side", None)
    module.prepare_data()


@pytest.fixture
def bench(tmp_path, monkeypatch, short_training):
    monkeypatch.setattr(deformations, "DEFORMATIONS", (NOISE, FASTER))

    def run(*more, task="beat", dataset="tests.clicks:Clicks"):
        places = ("--cache", tmp_path / "cache", "--results", tmp_path / "results")
        options = ("--seeds", 2, "--learning_rates", "[0.01]", "--encoder", "tests.toys:Tiny")
        return motionbeat("bench", "--task", task, "--dataset", dataset, *options, *places, *more)

    return run


def test_the_way_from_the_command_line_to_the_table(tmp_path, bench):
    """The heads are those of the ordinary run, and so are their scores on clean audio."""
    results = tmp_path / "results"
    assert bench().code == 0
    ended = bench("--deform")
    assert ended.code == 0, ended.said
    assert NOISE.name in ended.printed
    assert (results / "robustness_beat.png").read_bytes().startswith(b"\x89PNG")
    table = pd.read_csv(results / "robustness_beat.csv")
    assert list(table["deformation"]) == [NOISE.name, FASTER.name] * 2
    assert set(table["tracks"]) == {3}
    [deformed] = read_records(results / "robustness" / "runs")
    plain = next(one for one in read_records(results / "runs") if one.kind == "encoder")
    assert (len(deformed.tracks), len(plain.tracks)) == (9, 3)
    for head, one in plain.results.items():
        assert deformed.results[head].scores == one.scores
        assert deformed.results[head].monitor == one.monitor
    assert bench("--deform").printed == ended.printed


def test_folds_and_clip_tasks(tmp_path, bench):
    ended = bench("--deform", task="genre", dataset="tests.toys:FoldedTones")
    assert ended.code == 0, ended.said
    table = pd.read_csv(tmp_path / "results" / "robustness_genre.csv")
    assert set(table["tracks"]) == {36}
    assert set(table["head"]) == {"linear", "mlp", "knn"}
