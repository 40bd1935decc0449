import json
import math

import numpy as np
import pytest
from tests.hand_made import know_toys, record

from motionbeat.benchmarks.records import (
    RecordError,
    RunRecord,
    read_model,
    read_records,
    write_model,
)


@pytest.fixture(autouse=True)
def toys(monkeypatch):
    know_toys(monkeypatch)


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "record.json"
    write_model(path, record())
    return path


def change(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_a_record_survives_writing_and_reading(path):
    assert read_model(path, RunRecord).model_dump_json() == record().model_dump_json()


def test_names_stay_names_and_numbers_keep_nine_digits(tmp_path):
    scored = {
        "true": np.array([["rock", "jazz"]]),
        "score": np.array([[math.nan, 1 / 3e5]]),
    }
    one = record().results["linear"].model_copy(update={"per_track": scored})
    path = tmp_path / "part.json"
    write_model(path, one)
    assert json.loads(path.read_text())["per_track"] == {
        "true": [["rock", "jazz"]],
        "score": [[None, 3.33333333e-06]],
    }
    again = read_model(path, type(one)).per_track
    assert again["true"].tolist() == [["rock", "jazz"]]
    assert again["score"].dtype == np.float64
    assert np.isnan(again["score"][0, 0])


@pytest.mark.parametrize(
    "changes",
    [{"surprise": 1}, {"kind": "guess"}, {"tracks": ["a", "b", "c"]}, {"results": {"linear": {}}}],
    ids=lambda changes: next(iter(changes)),
)
def test_a_record_that_breaks_the_schema_is_refused_in_one_line(path, changes):
    change(path, **changes)
    with pytest.raises(RecordError, match="no valid run record") as caught:
        read_model(path, RunRecord)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("scores", [[[1.0], [1.0, 2.0]], [1.0], [[1.0]], [], "x"])
def test_scores_that_are_no_table_of_seeds_and_tracks_are_refused(path, scores):
    results = json.loads(path.read_text())["results"]
    results["linear"]["per_track"]["score"] = scores
    change(path, results=results)
    with pytest.raises(RecordError, match="no valid run record"):
        read_model(path, RunRecord)


def test_a_broken_record_is_not_written(tmp_path):
    with pytest.raises(ValueError, match="kind"):
        write_model(tmp_path / "record.json", record().model_copy(update={"kind": "guess"}))
    assert not list(tmp_path.iterdir())


def test_older_records_are_left_out_in_one_line_and_damaged_ones_one_by_one(tmp_path, capsys):
    for name in ("good", "format", "format2", "task", "damaged", "lengths", "unknown"):
        write_model(tmp_path / "toy" / f"{name}.json", record(name))
    change(tmp_path / "toy" / "format.json", schema_version=1, evidence={})
    (tmp_path / "toy" / "format2.json").write_text('{"schema_version": 1, "key": "a"}')
    change(tmp_path / "toy" / "task.json", task_version=2)
    change(tmp_path / "toy" / "lengths.json", groups=[])
    change(tmp_path / "toy" / "unknown.json", task="juggling")
    (tmp_path / "toy" / "damaged.json").write_bytes(b"\xff{")
    assert [one.name for one in read_records(tmp_path)] == ["good"]
    said = capsys.readouterr().err.splitlines()
    assert [line.partition(":")[0] for line in said[:-1]] == ["left out"] * 3
    assert said[-1] == "3 records of an older version left out; run bench again"
