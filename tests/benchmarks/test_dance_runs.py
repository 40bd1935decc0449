"""Music to dance through the real command line, on click tracks that are danced to."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
import soundfile
from tests.command import motionbeat
from tests.conftest import failed, record
from tests.dancing import SECONDS, Dancing, train_shortly, write_dance

from motionbeat.benchmarks.evaluator import Evaluation
from motionbeat.benchmarks.records import NO_HEAD
from motionbeat.data_modules.base import Beats, MotionFile
from motionbeat.model import SAMPLE_RATE
from motionbeat.motion import Motion
from motionbeat.tasks.dance_generation import DanceGeneration

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


def idle(monkeypatch):
    """Nothing may be computed from now on."""

    def forbidden(*_, **__):
        raise AssertionError("work was done")

    for name in ("embed", "probe", "result"):
        monkeypatch.setattr(Evaluation, name, forbidden)


def change(monkeypatch, name, **changes):
    """Another duration or other annotations for a track of the dataset."""
    tracks = Dancing.tracks

    def changed(self, split):
        return [replace(t, **changes) if t.id == name else t for t in tracks(self, split)]

    monkeypatch.setattr(Dancing, "tracks", changed)


@pytest.fixture
def prepared(tmp_path, short):
    """The dataset in place, so that its files can be changed."""
    datamodule = Dancing(tmp_path / "cache" / "data")
    datamodule.prepare_data()
    return datamodule


class Bench(NamedTuple):
    folder: str
    ended: object


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch:
        shorten(patch)
        run(folder, seeds=2)  # two at a time would be trained in other processes
        return Bench(folder, run(folder, encoder="logmel,no-music", seeds=2))


def test_a_run_writes_records_and_tables(finished):
    assert finished.ended.code == 0, finished.ended.said
    results = finished.folder / "results"
    assert {path.stem for path in (results / "runs" / "dance").rglob("*.json")} == set(ENTRIES)
    table = pd.read_csv(results / "leaderboard_dance.csv", index_col="entry")
    assert sorted(table.index) == sorted(ENTRIES)
    assert table.loc["ground-truth", "kind"] == "upper bound"
    assert table.loc["ground-truth", "bas_fact_sensitivity"] == table["bas_fact_sensitivity"].max()
    assert np.isnan(table.loc["ground-truth", "fid_k"]), "three clips are not two halves"
    assert not {"fid_k_low", "p_high", "clips_low"} & set(table.columns)
    assert set(DanceGeneration.headline) <= set(table.columns)
    assert set(table["clips"]) == {3}


def test_records_hold_the_scores_of_each_dance(finished):
    for name in ("logmel", "no-music"):
        one = record(finished.folder, name)
        assert one.tracks == ("test0", "test1", "test2")
        [(head, result)] = one.results.items()
        assert head == "decoder"
        assert result.sweep[f"{result.learning_rate:g}"] == min(result.sweep.values())
        scores = result.per_track
        assert {values.shape for values in scores.values()} == {(2, 3)}
        difference = scores["bas_fact"] - scores["bas_fact_chance"]
        sensitivity = scores["bas_fact_sensitivity"].mean(axis=1)
        np.testing.assert_allclose(sensitivity, difference.mean(axis=1), atol=1e-6)
        assert 0 <= result.scores["p"].mean <= 1
        fid = scores["fid_k"]
        np.testing.assert_array_equal(fid, fid[:, :1].repeat(3, axis=1))
        assert fid[0, 0] != fid[1, 0], "seeds dance differently"
    truth = record(finished.folder, "ground-truth").results[NO_HEAD]
    assert truth.per_track["pfc"].shape[0] == 1


def test_a_second_run_does_no_work(finished, monkeypatch):
    shorten(monkeypatch)
    idle(monkeypatch)
    ended = run(finished.folder, encoder="logmel,no-music", seeds=2)
    assert ended.code == 0, ended.said
    assert ended.said.count("reused: dance · dancing · ") == 3
    assert ended.printed == finished.ended.printed


def test_the_same_run_again_gives_the_same_numbers(finished, tmp_path, monkeypatch):
    shorten(monkeypatch)
    assert run(tmp_path, seeds=2).code == 0
    before, after = (
        record(folder, "no-music").results["decoder"] for folder in (finished.folder, tmp_path)
    )
    assert after.scores == before.scores


def test_dances_shorter_than_a_clip_are_one_line(tmp_path, short):
    ended = run(tmp_path, "--dataset_options", "{seconds: 3}")
    assert failed(ended, "no validation track is as long as a clip of 5 s; get longer ones")


@pytest.mark.parametrize("name", ["train1", "validation0", "test1"])
def test_a_dance_with_nan_is_named(tmp_path, prepared, name, monkeypatch):
    path = prepared.folder / f"{name}.npz"
    positions = Motion.load(path).positions.copy()
    positions[5, 3] = np.nan
    np.savez(path, positions=positions, fps=60.0)
    idle(monkeypatch)
    assert failed(run(tmp_path), path, "motion holds NaN or infinite positions")


def test_a_dance_too_short_to_be_scored_is_named(tmp_path, prepared, monkeypatch):
    path = prepared.folder / "test1.npz"
    write_dance(path, Motion(Motion.load(path).positions[:40], 60.0))
    idle(monkeypatch)
    assert failed(run(tmp_path), path, "0.67 s of motion; ", "drop the clip")


def test_music_too_short_for_a_dance_is_named(tmp_path, prepared, monkeypatch):
    change(
        monkeypatch, "test1", duration=0.5, annotations=(MotionFile(prepared.folder / "test0.npz"),)
    )
    idle(monkeypatch)
    assert failed(
        run(tmp_path), prepared.folder / "test1.wav", "0.50 s of music; ", "drop the track"
    )


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
