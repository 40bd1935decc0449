"""Medley-solos-DB: official subsets, songs, and metadata that are wrong."""

import pytest
from tests.lookalikes import medley_solos_db

from motionbeat.data_modules.base import DatasetError
from motionbeat.data_modules.published.medley_solos_db import MedleySolosDB


@pytest.fixture
def dataset(tmp_path, monkeypatch):
    monkeypatch.setattr(MedleySolosDB, "count", medley_solos_db.COUNTS["medley_solos_db"])
    medley_solos_db.write(tmp_path / "medley_solos_db")
    return MedleySolosDB(cache=tmp_path / "cache", data=tmp_path)


def change(dataset, old, new):
    file = dataset.folder / "annotation/Medley-solos-DB_metadata.csv"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))


def test_subsets_are_splits_and_songs_are_groups(dataset):
    for split, subset, song in (
        ("train", "training", "001"),
        ("validation", "validation", "002"),
        ("test", "test", "000"),
    ):
        assert {track.group for track in dataset.tracks(split)} == {f"song {song}"}
        assert all(f"DB_{subset}-" in track.audio_path.name for track in dataset.tracks(split))


@pytest.mark.parametrize(("old", "new"), [("violin", "kazoo"), ("validation", "evaluation")])
def test_a_wrong_line_is_named(dataset, old, new):
    change(dataset, old, new)
    with pytest.raises(DatasetError, match=f"track .*'{new}'"):
        dataset.tracks("test")


def test_a_clip_that_the_index_lacks_is_named(dataset):
    clip = next((dataset.folder / "audio").glob("*_test-0_*")).stem.rpartition("_")[2]
    change(dataset, clip, "unlisted")
    with pytest.raises(DatasetError, match="index does not list track unlisted"):
        dataset.tracks("test")


def test_changed_audio_is_refused(dataset):
    clip = next((dataset.folder / "audio").glob("*_test-0_*"))
    clip.write_bytes(clip.read_bytes()[:-4] + b"\1\2\3\4")
    with pytest.raises(DatasetError, match="md5"):
        dataset.prepare_data()
