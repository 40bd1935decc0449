"""The committed tables follow from the committed records."""

import shutil

import numpy as np
import pandas as pd
import pytest

from motionbeat.benchmarks.leaderboards import write_tables
from motionbeat.benchmarks.records import read_record, read_records
from motionbeat.benchmarks.registry import TASKS
from motionbeat.benchmarks.results_page import ROOT
from motionbeat.benchmarks.significance import scores

RESULTS = ROOT / "results"


def test_every_record_is_read(capsys):
    count = len(list((RESULTS / "runs").rglob("*.json")))
    assert len(list(read_records(RESULTS / "runs"))) == count > 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("task", sorted(path.name for path in (RESULTS / "runs").iterdir()))
def test_every_score_follows_from_its_record(task):
    for path in (RESULTS / "runs" / task).rglob("*.json"):
        record = read_record(path)
        for head, result in record.results.items():
            again = scores(result.per_track, record.groups, TASKS.get(task).summarise)
            for metric, summary in result.scores.items():
                for part in ("mean", "std", "low", "high"):
                    stored, found = getattr(summary, part), getattr(again[metric], part)
                    where = f"{path.name} {head} {metric} {part}"
                    np.testing.assert_allclose(found, stored, 1e-5, 1e-7, err_msg=where)


def test_every_table_follows_from_the_records(tmp_path):
    shutil.copytree(RESULTS / "runs", tmp_path / "runs")
    for name in write_tables(tmp_path):
        made, committed = (pd.read_csv(folder / f"{name}.csv") for folder in (tmp_path, RESULTS))
        pd.testing.assert_frame_equal(made, committed, rtol=1e-5)
