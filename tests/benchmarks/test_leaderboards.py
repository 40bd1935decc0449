"""Tables from records that were made by hand."""

from io import StringIO

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from rich.console import Console
from tests.hand_made import ToyClasses, know_toys, per_track, record, result, toy_cards

from motionbeat.benchmarks.deformations import DEFORMATIONS
from motionbeat.benchmarks.leaderboards import (
    MEANINGS,
    OVERLAP,
    RENDERER,
    collect,
    confusions,
    known_data,
    print_table,
    write_tables,
)
from motionbeat.benchmarks.records import Protocol, write_record
from motionbeat.benchmarks.registry import DATASETS


@pytest.fixture(autouse=True)
def toys(monkeypatch):
    know_toys(monkeypatch)
    toy_cards(monkeypatch, DATASETS)


def tabulated(*records, deformed=False):
    [table] = collect(records, deformed).values()
    return table


def by_entry(*records):
    return tabulated(*records).set_index("entry")


def written(results, *records, deformed=False):
    folder = results / "robustness" if deformed else results
    for one in records:
        place = folder / "runs" / one.task / f"{one.dataset}-{one.dataset_revision}"
        write_record(place / f"{one.label}.json", one)
    return write_tables(results, deformed=deformed)


def printed(table):
    console = Console(file=StringIO())
    print_table(table, console)
    return console.file.getvalue()


VALUES = np.random.default_rng(0).uniform(size=(2, 30))


def test_numbers_in_a_table_are_those_of_the_record():
    one = record(values=VALUES, groups=tuple("abcde" * 6))
    [line] = tabulated(one).to_dict("records")
    score = one.results["linear"].scores["score"]
    numbers = [line[f"score{suffix}"] for suffix in ("", "_std", "_low", "_high")]
    assert numbers == [score.mean, score.std, score.low, score.high]
    assert (line["tracks"], line["groups"], line["seeds"], line["data"]) == (30, 5, 2, "rendered")
    assert "p_low" not in line, "of the corpus, so it has no interval"


def test_rows_stand_by_dataset_kind_and_primary_metric():
    entries = [
        record("guess", [0.1] * 4, kind="baseline"),
        record("worse", [0.2] * 4),
        record("undefined", [np.nan] * 4),
        record("better", [0.3] * 4),
        record("knows", [1.0] * 4, kind="upper bound"),
        record("made for it", [0.9] * 4, kind="dedicated"),
        record("elsewhere", [0.5] * 4, dataset="songs", data="real"),
    ]
    expected = "knows, made for it, better, worse, undefined, guess, elsewhere"
    assert ", ".join(tabulated(*entries)["entry"]) == expected


def test_encoders_are_compared_with_the_best_other_one_on_the_same_tracks():
    good, near, far = (record(n, VALUES - d) for n, d in [("good", 0), ("near", 0.1), ("far", 0.2)])
    table = by_entry(good, near, far, record("oracle", VALUES + 1, kind="upper bound"))
    rivals = {"good": "near", "near": "good", "far": "good", "oracle": ""}
    assert table["compared_with"].fillna("").to_dict() == rivals
    assert (table["p_holm"].drop("oracle") < 1e-6).all()
    assert (by_entry(good, record("twin", VALUES))["p_value"] == 1).all()


def test_the_best_encoder_is_seldom_called_worse():
    """It is found on the same tracks, so equal encoders are called different more often than p."""
    rng, names = np.random.default_rng(0), "abcdef"
    worse = [
        set(names) - {name for name in names if not found["p_holm"][name] < 0.05}
        for found in (
            by_entry(*(record(n, rng.standard_normal((1, 30))) for n in names)) for _ in range(100)
        )
    ]
    assert np.mean(["a" in called for called in worse]) < 0.05
    assert np.mean([len(called) > 0 for called in worse]) < 0.2


@pytest.mark.parametrize(
    "changes",
    [
        {"tracks": tuple(f"other {number}" for number in range(30))},
        {"protocol": Protocol(learning_rates=(0.1,), seeds=(0,))},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_what_was_run_otherwise_is_not_compared(changes):
    table = by_entry(record("good", VALUES), record("other", VALUES - 0.1, **changes))
    assert table["compared_with"].isna().all()
    assert table["p_holm"].isna().all()


def test_the_comparison_resamples_groups():
    """Better on 25 tracks of one song and worse on five others: no difference to trust."""
    change = np.full((1, 30), 0.1)
    change[:, :5] = -0.1
    groups = (*"abcde", *"f" * 25)
    one, other = (
        record(name, VALUES[:1] + shift, groups=groups)
        for name, shift in [("one", change), ("other", 0)]
    )
    assert by_entry(one, other)["p_value"].min() > 0.4


def test_a_test_against_chance_is_corrected_too():
    entries = [record(name, per_track(VALUES)) for name in ("a", "b", "c")]
    table = by_entry(*entries, record("real", VALUES, kind="upper bound"))
    assert table["p_chance_holm"].drop("real").to_numpy() == pytest.approx([0.06] * 3)
    assert np.isnan(table.loc["real", "p_chance_holm"])


def test_tables_are_written_for_frozen_and_tuned_encoders(tmp_path):
    tables = written(
        tmp_path,
        record("tiny", VALUES),
        record("tiny", VALUES + 0.1, mode="lora"),
        record("oracle", VALUES, kind="upper bound"),
    )
    assert set(tables) == {"leaderboard_toy", "leaderboard_toy_finetuned"}
    for name in tables:
        assert (tmp_path / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    table = pd.read_csv(tmp_path / "leaderboard_toy.csv")
    assert list(table["entry"]) == ["oracle", "tiny"]
    assert list(pd.read_csv(tmp_path / "leaderboard_toy_finetuned.csv")["mode"]) == ["lora"]
    before = (tmp_path / "leaderboard_toy.csv").read_bytes()
    write_tables(tmp_path, "toy")
    assert (tmp_path / "leaderboard_toy.csv").read_bytes() == before


def test_confusions_are_those_of_the_best_encoder_by_name(tmp_path):
    true = np.array([["jazz", "jazz", "rock", "pop"]])
    entries = [
        record("good", {"true": true, "predicted": true}, ToyClasses),
        record("bad", {"true": true, "predicted": true[:, ::-1]}, ToyClasses),
    ]
    table = written(tmp_path, *entries)["leaderboard_toy_classes"]
    assert (tmp_path / "confusion_toy_classes.png").is_file()
    [(title, matrix)] = confusions(table, tmp_path / "runs").items()
    assert (title, list(matrix.index)) == ("mill: good", ["jazz", "pop", "rock"])
    np.testing.assert_array_equal(matrix, np.eye(3))


def test_a_printed_table_says_what_its_numbers_are():
    seen = record("seen", VALUES, training_data=("mill",), warnings=("two classes are missing",))
    alike = record("alike", VALUES, training_data=("watermill", "songs"))
    text = printed(tabulated(seen, alike, record("guess", VALUES * np.nan, kind="baseline")))
    words = [f"seen {OVERLAP}", f"alike {RENDERER}", "guess (baseline)", "two classes are missing"]
    words += ["toy · mill (rendered): 30 test tracks", "interval over groups", "Holm-corrected"]
    words += ["clip seconds: 5", *(meaning.split(":")[0] for meaning in MEANINGS.values())]
    assert not [one for one in words if one not in text]
    assert " - " in next(line for line in text.splitlines() if "guess" in line)
    assert OVERLAP not in printed(tabulated(record("clean", VALUES)))


@pytest.mark.parametrize(
    ("dataset", "training_data", "overlap", "renderer"),
    [
        ("mill", ["mill"], True, False),
        ("mill", ["mill", "watermill"], True, False),
        ("mill", ["Water-Mill"], False, True),
        ("mill", ["songs"], False, False),
        ("songs", ["mill"], False, False),
        ("my_songs", ["My Songs"], True, False),
    ],
)
def test_training_data_is_marked(dataset, training_data, overlap, renderer):
    assert known_data(dataset, training_data) == (overlap, renderer)


def test_pictures_and_prints_show_the_best_and_files_all(tmp_path):
    entries = [record(f"encoder{number}", VALUES - number / 100) for number in range(60)]
    tables = written(tmp_path, *entries, record("guess", VALUES - 1, kind="baseline"))
    assert len(tables["leaderboard_toy"]) == 61
    text = printed(tables["leaderboard_toy"])
    assert ("encoder39" in text, "encoder40" in text, "guess" in text) == (True, False, True)
    assert "20 more encoders in the file" in " ".join(text.split())


def test_pictures_and_printed_tables_of_many_datasets_are_bounded(tmp_path):
    entries = [
        record("tiny", VALUES, dataset_revision=str(revision), dataset="songs")
        for revision in range(30)
    ]
    tables = written(tmp_path, *entries)
    assert len(tables["leaderboard_toy"]) == 30
    with Image.open(tmp_path / "leaderboard_toy.png") as picture:
        assert picture.width < 6000
    text = printed(tables["leaderboard_toy"])
    assert text.count("toy · songs") == 12
    assert "18 more datasets in the file" in text


def deformed_record(*drops, name="tiny"):
    """Half of the tracks clean, and each again in some deformations that take so much of each."""
    made = ["clean", *(one.name for one in DEFORMATIONS[: len(drops)])]
    clean = VALUES[:1, :15]
    groups = tuple(f"song {number // 3}" for number in range(15))
    one = record(
        name,
        np.concatenate([clean, *(clean - drop for drop in drops)], axis=1),
        tracks=tuple(f"{one}/{number}" for one in made for number in range(15)),
        groups=groups * len(made),
    )
    scores = result(per_track(clean), groups).scores  # as of every record of deformed audio
    linear = one.results["linear"].model_copy(update={"scores": scores})
    return one.model_copy(update={"results": {"linear": linear}})


def test_drops_are_paired(tmp_path):
    """What is the same on every track has an interval of no width."""
    spread = np.linspace(0, 0.4, 15)
    one = deformed_record(0.3, 0.0, spread)
    tables = written(tmp_path, one, deformed_record(0.1, 0.1, 0.1, name="b"), deformed=True)
    assert set(tables) == {"robustness_toy"}
    assert (tmp_path / "robustness_toy.png").is_file()
    table = pd.read_csv(tmp_path / "robustness_toy.csv")
    table = table[table["entry"] == "tiny"]
    columns = ["drop", "drop_low", "drop_high"]
    assert list(table["deformation"]) == [one.name for one in DEFORMATIONS[:3]]
    assert set(table["tracks"]) == {15}
    np.testing.assert_allclose(table["drop"], table["clean"] - table["deformed"], atol=1e-5)
    np.testing.assert_allclose(table[columns][:2], [[0.3] * 3, [0] * 3], atol=1e-9)
    _, low, high = table[columns].iloc[2]
    assert 0 < low < 0.2 < high
    text = printed(tables["robustness_toy"])
    assert DEFORMATIONS[0].name in text
    assert "0.300 [0.300, 0.300]" in text
