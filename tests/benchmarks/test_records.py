import json
import math

import pytest

from motionbeat.benchmarks.record import (
    RecordError,
    Result,
    RunRecord,
    digest,
    read_model,
    write_model,
)


@pytest.fixture
def path(finished, tmp_path):
    path = tmp_path / "record.json"
    write_model(path, finished.record("logmel"))
    return path


def test_a_record_survives_writing_and_reading(finished, path):
    assert read_model(path, RunRecord) == finished.record("logmel")


def test_what_is_undefined_is_null_in_the_file_and_nan_in_memory(finished, tmp_path):
    one = finished.record("logmel").results["linear"]
    values = one.evidence | {"beat_cmlt": ((math.nan, 0.25), (math.inf, 1 / 3))}
    path = tmp_path / "part.json"
    write_model(path, one.model_copy(update={"evidence": values}))
    content = json.loads(path.read_text())
    assert content["evidence"]["beat_cmlt"] == [[None, 0.25], [None, 0.333333]]
    again = read_model(path, Result).arrays()["beat_cmlt"]
    assert again.shape == (2, 2)
    assert math.isnan(again[0, 0])


@pytest.mark.parametrize(
    "change",
    [
        {"surprise": 1},
        {"schema_version": 2},
        {"kind": "guess"},
        {"tracks": 3},
        {"results": {"linear": {}}},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_record_that_breaks_the_schema_is_refused_in_one_line(path, change):
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(RecordError, match="no valid run record") as caught:
        read_model(path, RunRecord)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("field", ["key", "git_commit", "dataset_revision", "results"])
def test_a_record_without_a_field_is_refused(path, field):
    content = json.loads(path.read_text())
    del content[field]
    path.write_text(json.dumps(content))
    with pytest.raises(RecordError):
        read_model(path, RunRecord)


def test_a_broken_record_is_not_written(finished, tmp_path):
    broken = finished.record("logmel").model_copy(update={"kind": "guess"})
    with pytest.raises(ValueError, match="kind"):
        write_model(tmp_path / "record.json", broken)
    assert not list(tmp_path.iterdir())


def test_a_digest_follows_names_and_values():
    assert digest(a=1, b=[2]) == digest(b=[2], a=1)
    assert len({digest(a=1), digest(b=1), digest(a=2), digest(a="1")}) == 4
