"""TinySOL: folds, labels, and metadata that are wrong."""

import pytest
from tests.lookalikes import tinysol

from motionbeat.data_modules.base import DatasetError, Instrument, Pitch
from motionbeat.data_modules.published.tinysol import TinySOL


@pytest.fixture
def dataset(tmp_path, monkeypatch):
    monkeypatch.setattr(TinySOL, "count", tinysol.COUNTS["tinysol"])
    tinysol.write(tmp_path / "tinysol")
    return TinySOL(cache=tmp_path / "cache", data=tmp_path)


def test_folds_are_splits(dataset):
    for split, dynamics in (("train", "pp"), ("validation", "mf"), ("test", "ff")):
        assert {track.id.split("-")[3] for track in dataset.tracks(split)} == {dynamics}


def test_names_with_a_sharp_are_read(dataset):
    track = dataset.tracks("test")[1]
    assert track.id == "I1-ord-C#4-ff-N-N"
    assert track.get(Instrument).name == "Alto Saxophone"
    assert track.get(Pitch).name == "61"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (",3,Winds", ",5,Winds", "fold '5'"),
        (",Flute,", ",Kazoo,", "Kazoo"),
        ("C4,60", "C4,260", "260"),
        ("I3-ord-C4-ff", "I3-ord-C4-fff", "I3-ord-C4-fff"),
    ],
)
def test_a_wrong_line_is_named(dataset, old, new, said):
    file = dataset.folder / "annotation/TinySOL_metadata.csv"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))
    with pytest.raises(DatasetError, match=said) as error:
        dataset.tracks("test")
    assert "track I" in str(error.value)
