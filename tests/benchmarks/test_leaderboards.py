import json
import shutil

import numpy as np
import pandas as pd
import pytest
from tests.command import motionbeat

from motionbeat.benchmarks.leaderboard import read_records, rows, write_leaderboards
from motionbeat.benchmarks.record import write_model

TABLES = ("leaderboard.csv", "leaderboard_beat.csv")


def content(folder):
    return [(folder / name).read_bytes() for name in TABLES]


def rival(record, shift, **changes):
    """The same encoder under another name, better by so much on every track."""
    results = {}
    for probe, one in record.results.items():
        values = one.evidence["beat_f_measure"]
        moved = tuple(tuple(value + shift for value in seed) for seed in values)
        score = one.scores["beat_f_measure"]
        better = score.model_copy(update={"mean": score.mean + shift})
        results[probe] = one.model_copy(
            update={
                "evidence": one.evidence | {"beat_f_measure": moved},
                "scores": one.scores | {"beat_f_measure": better},
            }
        )
    return record.model_copy(update={"name": "rival", "results": results} | changes)


def test_tables_are_rebuilt_from_records_alone(finished, tmp_path):
    results = tmp_path / "results"
    shutil.copytree(finished.folder / "results" / "runs", results / "runs")
    ended = motionbeat("leaderboard", "--results", results)
    assert ended.code == 0
    assert ended.printed == finished.ended.printed
    assert content(results) == content(finished.folder / "results")


def test_numbers_in_the_table_are_those_of_the_records(finished):
    table = pd.read_csv(finished.folder / "results" / "leaderboard_beat.csv")
    line = table[(table["name"] == "logmel") & (table["probe"] == "mlp")].iloc[0]
    score = finished.record("logmel").results["mlp"].scores["downbeat_f_measure"]
    columns = [f"downbeat_f_measure{suffix}" for suffix in ("", "_std", "_low", "_high")]
    assert line[columns].tolist() == [score.mean, score.std, score.low, score.high]


def test_rows_stand_by_kind_and_then_by_the_primary_metric(finished):
    records = [finished.record(name) for name in ("chance", "logmel", "madmom", "oracle")]
    listed = rows([*records, rival(records[1], -0.2)])
    assert [row["kind"] for row in listed] == ["ceiling", "specialist", *["encoder"] * 4, "floor"]
    assert [row["name"] for row in listed[2:6]] == ["logmel", "rival"] * 2


def test_encoders_are_compared_with_the_best_other_one_on_the_same_tracks(finished):
    logmel, oracle = finished.record("logmel"), finished.record("oracle")
    by_name = {row["name"]: row for row in rows([logmel, rival(logmel, -0.2), oracle])}
    assert by_name["logmel"]["compared_with"] == "rival"
    assert by_name["rival"]["compared_with"] == "logmel"
    assert by_name["logmel"]["p_value"] == by_name["rival"]["p_value"] < 0.01
    assert by_name["oracle"]["compared_with"] is None

    twin = {row["name"]: row for row in rows([logmel, rival(logmel, 0)])}
    assert twin["logmel"]["p_value"] == 1

    others = rows([logmel, rival(logmel, -0.2, tracks=("a", "b", "c"))])
    assert [row["compared_with"] for row in others] == [None] * 4


def test_undefined_metrics_are_empty_cells_and_dashes(bench):
    logmel = bench.record("logmel")
    one = logmel.results["linear"]
    score = one.scores["downbeat_f_measure"]
    undefined = score.model_copy(update=dict.fromkeys(("mean", "low", "high"), np.nan))
    scores = one.scores | {"downbeat_f_measure": undefined}
    changed = one.model_copy(update={"scores": scores})
    [path] = (bench.folder / "results" / "runs").rglob("logmel.json")
    write_model(path, logmel.model_copy(update={"results": {"linear": changed}}))
    ended = motionbeat("leaderboard", "--results", bench.folder / "results")
    assert ended.code == 0
    [line] = [line for line in ended.printed.splitlines() if "logmel" in line]
    assert " - " in line
    table = pd.read_csv(bench.folder / "results" / "leaderboard_beat.csv")
    assert table.loc[table["name"] == "logmel", "downbeat_f_measure"].isna().all()


@pytest.mark.parametrize("damage", ["{", None], ids=["damaged", "older"])
def test_a_record_that_does_not_count_is_left_out_with_a_message(bench, damage):
    [path] = (bench.folder / "results" / "runs").rglob("madmom.json")
    older = json.loads(path.read_text()) | {"task_version": 0}
    path.write_text(damage or json.dumps(older))
    ended = motionbeat("leaderboard", "--results", bench.folder / "results")
    assert ended.code == 0
    [line] = ended.said.splitlines()
    assert line.startswith("left out: ")
    assert str(path) in line
    table = pd.read_csv(bench.folder / "results" / "leaderboard_beat.csv")
    assert list(table["name"]) == ["oracle", "logmel", "logmel", "chance"]


def test_no_records_make_no_tables(tmp_path):
    assert read_records(tmp_path) == []
    assert write_leaderboards(tmp_path) == {}


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("encoders", ("logmel", "80", "Apache-2.0")),
        ("datasets", ("groovebox", "beat")),
        ("tasks", ("beat_f_measure", "Beats")),
    ],
)
def test_list_shows_what_there_is(monkeypatch, kind, words):
    monkeypatch.setenv("COLUMNS", "300")
    ended = motionbeat("list", kind)
    assert ended.code == 0
    assert all(word in ended.printed for word in words)
