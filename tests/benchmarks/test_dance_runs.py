"""Music to dance through the real command line, on click tracks that are danced to."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import soundfile
from tests.command import motionbeat
from tests.conftest import alter, failed, record
from tests.dancing import SECONDS, Dancing, train_shortly, write_dance

from motionbeat.data_modules.base import Beats, MotionFile
from motionbeat.model import SAMPLE_RATE
from motionbeat.motion import Motion

ENTRIES = ("logmel", "no-music", "ground-truth")


def shorten(patch):
    """Few tracks and few steps."""
    patch.setattr(Dancing, "sizes", {"train": 3, "validation": 1, "test": 3})
    train_shortly(patch)


@pytest.fixture
def short(monkeypatch):
    shorten(monkeypatch)


def run(folder, *more, encoder="no-music", seeds=1):
    return motionbeat(
        *("bench", "--task", "dance", "--dataset", "tests.dancing:Dancing", "--encoder", encoder),
        *("--seeds", seeds, "--learning_rates", "[0.003, 0.01]"),
        *("--cache", folder / "cache", "--results", folder / "results", *more),
    )


def change(monkeypatch, name, **changes):
    """Another duration or other annotations for a track of the dataset."""
    alter(monkeypatch, Dancing, lambda t, _: replace(t, **changes) if t.id == name else t)


@pytest.fixture
def prepared(tmp_path, short):
    """The dataset in place, so that its files can be changed."""
    datamodule = Dancing(tmp_path / "cache" / "data")
    datamodule.prepare_data()
    return datamodule


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch:
        shorten(patch)
        run(folder, seeds=2)  # two at a time would be trained in other processes
        return folder, run(folder, encoder="logmel,no-music", seeds=2)


def test_a_run_writes_records_and_tables(finished):
    folder, ended = finished
    assert ended.code == 0, ended.said
    table = pd.read_csv(folder / "results" / "leaderboard_dance.csv", index_col="entry")
    assert sorted(table.index) == sorted(ENTRIES)
    assert table.loc["ground-truth", "kind"] == "upper bound"
    assert table.loc["ground-truth", "bas_fact_sensitivity"] == table["bas_fact_sensitivity"].max()
    assert np.isnan(table.loc["ground-truth", "fid_k"]), "three clips are not two halves"
    assert not {"fid_k_low", "p_high", "clips_low"} & set(table.columns)
    assert set(table["clips"]) == {3}


def test_records_hold_the_scores_of_each_dance(finished):
    for name in ("logmel", "no-music"):
        one = record(finished[0], name)
        [(head, result)] = one.results.items()
        assert (head, one.tracks) == ("decoder", ("test0", "test1", "test2"))
        assert result.sweep[f"{result.learning_rate:g}"] == min(result.sweep.values())
        scores = result.per_track
        assert {values.shape for values in scores.values()} == {(2, 3)}
        difference = scores["bas_fact"] - scores["bas_fact_chance"]
        sensitivity = scores["bas_fact_sensitivity"].mean(axis=1)
        np.testing.assert_allclose(sensitivity, difference.mean(axis=1), atol=1e-6)
        assert 0 <= result.scores["p"].mean <= 1
        assert scores["fid_k"][0, 0] != scores["fid_k"][1, 0], "seeds dance differently"


def test_a_dance_with_nan_is_named(tmp_path, prepared, monkeypatch):
    path = prepared.folder / "validation0.npz"
    np.savez(path, positions=np.full((480, 24, 3), np.nan), fps=60.0)
    assert failed(run(tmp_path), path, "motion holds NaN or infinite positions")


def test_what_is_too_short_to_be_scored_is_named(tmp_path, prepared, monkeypatch):
    path = prepared.folder / "test1.npz"
    motion = Motion.load(path)
    write_dance(path, Motion(motion.positions[:40], 60.0))
    assert failed(run(tmp_path), path, "0.67 s of motion; ", "drop the clip")
    write_dance(path, motion)
    change(monkeypatch, "test1", duration=0.5, annotations=(MotionFile(path),))
    assert failed(run(tmp_path), "test1.wav", "0.50 s of music; ", "drop the track")


def test_music_that_goes_on_after_its_dance_is_named(tmp_path, prepared):
    path = prepared.folder / "train0.npz"
    write_dance(path, Motion(Motion.load(path).positions[:-120], 60.0))
    assert failed(run(tmp_path), "train0.wav", "goes on for 2.0 s after its dance", "cut the music")


def test_odd_music_is_danced_to_and_scored_beside_other(tmp_path, prepared, monkeypatch):
    """Silence without a beat in which there is a dance, and a second of music."""
    motion = MotionFile(prepared.folder / "test0.npz")
    silence = np.zeros(round(SECONDS * SAMPLE_RATE))
    soundfile.write(prepared.folder / "test0.wav", silence, SAMPLE_RATE)
    change(monkeypatch, "test0", annotations=(motion,))
    brief = MotionFile(prepared.folder / "test1.npz")
    write_dance(brief.path, Motion(brief.motion.positions[:60], 60.0))
    brief = MotionFile(brief.path)
    waveform, rate = soundfile.read(prepared.folder / "test1.wav")
    soundfile.write(prepared.folder / "test1.wav", waveform[:rate], rate)
    change(monkeypatch, "test1", duration=1.0, annotations=(Beats(np.array([0.3, 0.8])), brief))
    ended = run(tmp_path, encoder="logmel")
    assert ended.code == 0, ended.said
    for name in ("logmel", "ground-truth"):
        [one] = record(tmp_path, name).results.values()
        scores = one.per_track
        for metric in ("bas_fact", "bas_edge30", "hit_rate", "coverage"):
            assert np.isnan(scores[metric][0]).tolist() == [True, False, False], metric
            assert np.isfinite(one.scores[metric].mean)
        assert np.isfinite(scores["bas_fact_chance"]).all()
        assert np.isfinite(scores["jerk"]).all()
        assert set(scores["clips"][0]) == {2}
    assert np.isfinite(record(tmp_path, "logmel").results["decoder"].scores["p"].mean)
