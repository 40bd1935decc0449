"""What the pages are given of records that were made by hand."""

import numpy as np
import pytest
from tests.hand_made import Toy, ToyClasses, know_toys, per_track, record, toy_cards

from motionbeat.benchmarks.records import Protocol
from motionbeat.benchmarks.registry import DATASETS
from motionbeat.benchmarks.report.gathered import command, entries, gather, remark, tied
from motionbeat.benchmarks.report.track_scores import track_scores
from motionbeat.benchmarks.significance import interval
from motionbeat.tasks.clip_task import RegressionTask
from motionbeat.tasks.contract import Recipe
from motionbeat.tasks.tagging import Tagging

VALUES = np.random.default_rng(0).uniform(size=(2, 30))


@pytest.fixture(autouse=True)
def toys(monkeypatch):
    know_toys(monkeypatch)
    toy_cards(monkeypatch, DATASETS)
    monkeypatch.setattr(Toy, "recipe", Recipe(1.0, learning_rates=(0.01,)), raising=False)


def column(*records):
    [one] = gather(records).columns
    return one


def by_name(one):
    return {cell.record.label: cell for cell in one.cells}


def test_a_column_is_one_state_of_the_test_tracks():
    fewer = record("fewer", VALUES[:, :20])
    ids = [one.id for one in gather([record(values=VALUES), fewer]).columns]
    assert ids == ["toy/mill/1", "toy/mill/1#2"]
    others = [
        record("a", VALUES),
        record("b", VALUES, protocol=Protocol(learning_rates=(0.1,), seeds=(0,))),
    ]
    assert len(gather(others).columns) == 1


def test_samples_are_those_of_the_interval_in_the_table():
    cell = by_name(column(record("a", VALUES, groups=tuple("abcde" * 6))))["a"]
    low, high = interval(cell.samples)
    assert (low, high) == pytest.approx((cell.row["score_low"], cell.row["score_high"]))


def test_scores_of_tracks_are_means_over_seeds():
    cell = by_name(column(record("a", VALUES)))["a"]
    np.testing.assert_allclose(cell.scores.values, VALUES.mean(axis=0))
    undefined = VALUES.copy()
    undefined[:, 3] = np.nan
    assert np.isnan(track_scores(Toy, per_track(undefined)).values).nonzero()[0].tolist() == [3]


def test_a_mark_for_what_is_not_significantly_below_the_best():
    near = VALUES - np.random.default_rng(1).normal(0, 0.2, VALUES.shape)
    marks = column(
        record("best", VALUES), record("near", near - near.mean() + VALUES.mean() - 0.001),
        record("far", VALUES - 0.2), record("oracle", VALUES + 1, kind="upper bound"),
    )  # fmt: skip
    found = {name: tied(marks, cell) for name, cell in by_name(marks).items()}
    assert found == {"best": True, "near": True, "far": False, "oracle": False}
    groups = ("one", *["other"] * 29)
    few = column(*(record(n, VALUES - d, groups=groups) for n, d in [("best", 0), ("far", 0.1)]))
    assert [tied(few, cell) for cell in few.cells] == [True, False], "no p-value"
    alone = column(record("alone", VALUES))
    assert not tied(alone, alone.cells[0]), "nothing was compared"


def test_classes_are_right_or_wrong():
    true = np.array([["jazz", "rock"], ["jazz", "rock"]])
    scores = {"true": true, "predicted": np.array([["jazz", "jazz"], ["rock", "jazz"]])}
    one = column(record("a", scores, ToyClasses))
    assert one.cells[0].scores.values.tolist() == [0.5, 0]
    said = one.predictions()
    names = said["names"]
    assert [[names[one] for one in track] for track in said["true"]] == [["jazz"], ["rock"]]
    assert [[names[one] for one in track] for track in said["predicted"][0]] == [
        ["jazz", "rock"],
        ["jazz", "jazz"],
    ]


def test_tags_of_a_track_are_ranked():
    scores = {
        "true/loud": np.array([[1.0, 0, np.nan]]), "score/loud": np.array([[0.9, 0.8, 0.5]]),
        "true/fast": np.array([[0.0, 1, 0]]), "score/fast": np.array([[0.1, 0.8, 0.5]]),
    }  # fmt: skip
    found = track_scores(Tagging, scores)
    np.testing.assert_equal(found.values, [1, 0.5, np.nan])
    assert found.predicted[0] == [["loud", 0.9], ["fast", 0.1]]


def test_numbers_have_an_error_where_smaller_is_better():
    scores = {"true_x": np.array([[1.0, 2]]), "predicted_x": np.array([[1.5, 2]])}
    found = track_scores(RegressionTask, scores)
    assert (found.better, found.values.tolist()) == (-1, [0.5, 0])
    assert found.predicted[0] == {"x": 1.5}


def test_the_command_makes_the_same_record_again():
    assert command(record("tiny"), "linear").startswith(
        "motionbeat bench --task toy --dataset mill"
    )
    changed = record(
        "two words", mode="lora", partial=True,
        protocol=Protocol(learning_rates=(0.1, 0.2), seeds=(0, 1, 2)),
    )  # fmt: skip
    words = command(changed, "linear")
    for part in ("--encoder 'two words'", "'{partial: true}'", "'[0.1, 0.2]'", "--mode lora"):
        assert part in words
    assert "--seeds" not in words, "three are usual"
    assert "no shipped one" in remark(changed)
    assert "--encoder" not in command(record("guess", kind="baseline"), "none")


def test_entries_have_what_filters_ask_for():
    rows = [
        record("free", VALUES, licence="MIT"),
        record("bound", VALUES, licence="CC BY-NC 4.0", seconds_per_hour=20.0),
        record("guess", VALUES, kind="baseline", parameters=None),
    ]
    found = {one["name"]: one for one in entries(gather(rows).columns)}
    assert (found["free"]["commercial"], found["bound"]["commercial"]) == (True, False)
    assert (found["free"]["speed"], found["bound"]["speed"]) == (None, 20)
    assert (found["guess"]["parameters"], found["guess"]["kind"]) == (None, "baseline")
