"""NSynth: official parts, groups, and lists that are wrong."""

import json

import pytest
from tests.lookalikes import nsynth

from motionbeat.data_modules.base import DatasetError, Instrument, Pitch
from motionbeat.data_modules.published.nsynth import NSynth


@pytest.fixture
def dataset(tmp_path, monkeypatch):
    monkeypatch.setattr(NSynth, "count", nsynth.COUNTS["nsynth"])
    nsynth.write(tmp_path / "nsynth")
    return NSynth(cache=tmp_path / "cache", data=tmp_path)


def change(dataset, part, **facts):
    """Change the first note of a part; None takes a fact away."""
    file = dataset.folder / part / "examples.json"
    notes = json.loads(file.read_text())
    note = next(iter(notes))
    notes[note] |= facts
    notes[note] = {name: value for name, value in notes[note].items() if value is not None}
    file.write_text(json.dumps(notes))
    return note


def test_notes_have_a_family_and_a_midi_number(dataset):
    track = dataset.tracks("test")[1]
    assert track.id == "brass_synthetic_018-061-100"
    assert (track.get(Instrument).name, track.get(Pitch).name) == ("brass", "61")


def test_training_instruments_are_groups_and_shared_ones_are_not(dataset):
    assert dataset.tracks("train")[0].group == "bass_synthetic_000"
    for split in ("validation", "test"):  # both hear bass_synthetic_018
        assert dataset.tracks(split)[0].group == dataset.tracks(split)[0].id


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"instrument_family_str": "kazoo"}, "kazoo"),
        ({"pitch": 128}, "128"),
        ({"pitch": "C4"}, "C4"),
        ({"pitch": None}, "too little"),
    ],
)
def test_a_wrong_note_is_named(dataset, facts, said):
    note = change(dataset, "nsynth-valid", **facts)
    with pytest.raises(DatasetError, match=said) as error:
        dataset.tracks("test")
    assert note in str(error.value)


def test_a_missing_list_is_named(dataset):
    (dataset.folder / "nsynth-train/examples.json").unlink()
    with pytest.raises(DatasetError, match=r"nsynth-train.examples\.json is missing"):
        dataset.tracks("test")


def test_a_list_without_notes_is_unreadable(dataset):
    (dataset.folder / "nsynth-train/examples.json").write_text("[]")
    with pytest.raises(DatasetError, match="no table of notes"):
        dataset.tracks("test")
