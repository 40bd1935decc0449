import hashlib
import json
import math

import numpy as np
import pytest
from tests.hand_made import know_toys, record

from motionbeat.benchmarks.records import (
    RecordError,
    read_record,
    read_records,
    write_record,
)


@pytest.fixture(autouse=True)
def toys(monkeypatch):
    know_toys(monkeypatch)


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "record.json"
    write_record(path, record())
    return path


def fields(path):
    return json.loads(path.read_text())["record"]


def change(path, **changes):
    """Change fields of a record, and its checksum with them."""
    content = json.dumps(fields(path) | changes, allow_nan=True)
    digest = hashlib.sha256(content.encode()).hexdigest()
    path.write_text(f'{{"sha256":"{digest}","record":{content}}}\n')


def test_a_record_survives_writing_and_reading(path):
    assert read_record(path).model_dump_json() == record().model_dump_json()


def test_names_stay_names_and_numbers_keep_nine_digits(tmp_path):
    scored = {
        "true": np.array([["rock", "jazz"]]),
        "score": np.array([[math.nan, 1 / 3e5]]),
        "near": np.array([[1 - 1e-12, 1.0]]),
    }
    one = record(values=(1.0, 2.0))
    result = one.results["linear"].model_copy(update={"per_track": scored})
    one = one.model_copy(update={"results": {"linear": result}})
    path = tmp_path / "part.json"
    write_record(path, one)
    assert fields(path)["results"]["linear"]["per_track"] == {
        "true": [["rock", "jazz"]],
        "score": [[None, 3.33333333e-06]],
        "near": [[1 - 1e-12, 1.0]],
    }
    again = read_record(path).results["linear"].per_track
    assert again["true"].tolist() == [["rock", "jazz"]]
    assert again["score"].dtype == np.float64
    assert np.isnan(again["score"][0, 0])


def test_a_flipped_bit_is_found(path):
    content = path.read_bytes()
    rng = np.random.default_rng(0)
    for bit in rng.choice(8 * len(content), 300, replace=False):
        flipped = bytearray(content)
        flipped[bit // 8] ^= 1 << bit % 8
        path.write_bytes(flipped)
        with pytest.raises(RecordError, match="no whole run record"):
            read_record(path)


@pytest.mark.parametrize(
    "changes",
    [
        {"surprise": 1},
        {"kind": "guess"},
        {"tracks": ["a", "b", "c"]},
        {"results": {"linear": {}}},
        {"results": {}},
        {"seconds": math.inf},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_a_record_that_breaks_the_schema_is_refused_in_one_line(path, changes):
    change(path, **changes)
    with pytest.raises(RecordError, match="no valid run record") as caught:
        read_record(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "scores",
    [[[1.0], [1.0, 2.0]], [1.0], [[1.0]], [], "x", [[1.0, "a", 0.0, 0.0]], [[math.inf] * 4]],
)
def test_scores_that_are_no_table_of_seeds_and_tracks_are_refused(path, scores):
    results = fields(path)["results"]
    results["linear"]["per_track"]["score"] = scores
    change(path, results=results)
    with pytest.raises(RecordError, match="no valid run record"):
        read_record(path)


def test_a_broken_record_is_not_written(tmp_path):
    with pytest.raises(ValueError, match="kind"):
        write_record(tmp_path / "record.json", record().model_copy(update={"kind": "guess"}))
    assert not list(tmp_path.iterdir())


def test_older_records_are_left_out_in_one_line_and_damaged_ones_one_by_one(tmp_path, capsys):
    names = ("good", "task", "damaged", "lengths", "unknown", "moved", "scores", "heads")
    for name in (*names, "format", "format2"):
        write_record(tmp_path / "toy" / f"{name}.json", record(name))
    for version in (1, 2):
        older = tmp_path / "toy" / ("format.json" if version == 1 else "format2.json")
        older.write_text(json.dumps({"schema_version": version, "key": "a"}))
    (tmp_path / "toy" / "moved.json").rename(tmp_path / "toy" / "to.json")
    results = fields(tmp_path / "toy" / "scores.json")["results"]
    change(tmp_path / "toy" / "heads.json", results={"tail": results["linear"]})
    results["linear"]["scores"]["score"]["mean"] += 0.01
    change(tmp_path / "toy" / "scores.json", results=results)
    change(tmp_path / "toy" / "task.json", task_version=2)
    change(tmp_path / "toy" / "lengths.json", groups=[])
    change(tmp_path / "toy" / "unknown.json", task="juggling")
    (tmp_path / "toy" / "damaged.json").write_bytes(b"\xff{")
    assert [one.name for one in read_records(tmp_path)] == ["good"]
    said = capsys.readouterr().err.splitlines()
    assert [line.partition(":")[0] for line in said[:-1]] == ["left out"] * 6
    assert said[-1] == "records of an older version, left out: 3; run bench again"
