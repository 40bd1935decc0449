import pandas as pd
import pytest
from tests.hand_made import know_toys, record, toy_cards

from motionbeat.benchmarks import results_page
from motionbeat.benchmarks.leaderboards import OVERLAP, RENDERER, collect, write_csv
from motionbeat.benchmarks.registry import DATASETS
from motionbeat.benchmarks.results_page import (
    INTERVALS,
    PAGES,
    ROOT,
    Column,
    as_it_is,
    comparisons,
    everything,
    primaries,
    with_tables,
)


@pytest.fixture
def results(tmp_path, monkeypatch):
    """Two datasets; the second lacks an entry of the first, and has another head."""
    know_toys(monkeypatch)
    toy_cards(monkeypatch, DATASETS)
    heads = record("good", [0.5] * 6, training_data=("mill",), dataset="watermill")
    [linear] = heads.results.values()
    entries = [
        record("good", [0.6] * 6, training_data=("mill",)),
        record("guess", [0.2] * 6, kind="baseline"),
        heads.model_copy(update={"results": {"linear": linear, "mlp": linear}}),
    ]
    [table] = collect(entries).values()
    write_csv(tmp_path / "leaderboard_toy.csv", table)
    return tmp_path


def test_the_primary_metric_of_all_entries_by_dataset(results):
    lines = primaries(results, [Column("toy", "Score, ")], True).splitlines()
    assert lines[:4] == [
        "| entry | Score, mill (rendered) | Score, watermill (rendered) |",
        "| --- | --- | --- |",
        f"| good | 0.600 [0.600, 0.600] {OVERLAP} | 0.500 [0.500, 0.500] {RENDERER} |",
        "| guess (baseline) | 0.200 [0.200, 0.200] | - |",
    ]
    notes = "\n".join(lines[4:])
    for words in (INTERVALS, OVERLAP, RENDERER):
        assert words in notes


def test_some_entries_on_some_datasets(results):
    lines = primaries(
        results, [Column("toy", "", "watermill")], False, entries=["good"]
    ).splitlines()
    assert lines[2] == f"| good | 0.500 {RENDERER} |"
    assert INTERVALS not in "".join(lines)


def test_every_entry_on_every_dataset(results):
    text = everything(results, "toy", "Looked at.")
    header, _, first, *_ = text.splitlines()
    assert header == "| dataset | entry | Score | p (chance) | p (chance, Holm) | tracks | seeds |"
    assert first.startswith(f"| watermill (rendered) | good | 0.500 [0.500, 0.500] {RENDERER} |")
    good = f"| mill (rendered) | good | 0.600 [0.600, 0.600] {OVERLAP} | 0.020 | 0.020 | 6 | 1 |"
    assert good in text
    assert text.count("watermill") == 1  # only one of its heads is shown
    assert "Looked at." in text


def test_a_file_as_it_is(tmp_path):
    rows = {"model": ["a", "b"], "r_1": [0.25, 12.34], "r_1_std": [0.1, 2], "n": [378, 2]}
    write_csv(tmp_path / "some.csv", pd.DataFrame(rows))
    assert as_it_is(tmp_path / "some.csv", "Looked at.").splitlines() == [
        "| model | r 1 | n |",
        "| --- | --- | --- |",
        "| a | 0.250 ±0.100 | 378 |",
        "| b | 12.3 ±2.000 | 2 |",
        "",
        "Looked at.  ",
    ]


def test_variants_are_shown_by_their_difference_from_the_first(tmp_path):
    rows = pd.DataFrame(
        [
            ("one", "full", "all", "r1", 0.5, 0.4, 0.6, 0, 0, 0, 5),
            ("one", "full", "all", "bar_phase", 0.9, 0.8, 1.0, 0, 0, 0, 5),
            ("one", "without", "all", "r1", 0.4, 0.3, 0.5, -0.1, -0.15, -0.05, 5),
            ("one", "without", "all", "bar_phase", 0.91, 0.8, 1.0, 0.01, -0.02, 0.04, 5),
            ("other", "full", "hard", "r1", 0.5, None, None, 0, None, None, 1),
        ],
        columns=[
            "group", "variant", "condition", "metric", "mean", "low", "high",
            "difference", "difference_low", "difference_high", "seeds",
        ],
    )  # fmt: skip
    write_csv(tmp_path / "some.csv", rows)
    assert comparisons(tmp_path / "some.csv").splitlines() == [
        "**one**, 5 seeds",
        "",
        "| variant | condition | r1 | bar phase |",
        "| --- | --- | --- | --- |",
        "| full | all | 0.500 [0.400, 0.600] | 0.900 [0.800, 1.000] |",
        "| without | all | **-0.100 [-0.150, -0.050]** | +0.010 [-0.020, +0.040] |",
        "",
        "**other**, 1 seeds",
        "",
        "| variant | condition | r1 |",
        "| --- | --- | --- |",
        "| full | hard | 0.500 |",
        "",
    ]


def test_text_outside_of_the_marks_stays(results, monkeypatch):
    monkeypatch.setitem(results_page.TABLES, "toy", lambda folder: f"new {folder.name}\n")
    text = "before\n<!-- table: toy -->\nold\n<!-- end of table -->\nafter"
    expected = f"before\n<!-- table: toy -->\nnew {results.name}\n<!-- end of table -->\nafter"
    assert with_tables(text, results) == expected


def test_the_committed_pages_show_the_committed_results():
    for name in PAGES:
        text = (ROOT / name).read_text()
        assert with_tables(text, ROOT / "results") == text, name
