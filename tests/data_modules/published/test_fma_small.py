import pytest
from tests.lookalikes import fma_small as lookalike
from tests.lookalikes import place

from motionbeat.data_modules.base import SPLITS, DatasetError, Genre
from motionbeat.data_modules.published.fma_small import GENRES, FmaSmall


@pytest.fixture
def folder(tmp_path, monkeypatch):
    return place(lookalike, tmp_path, monkeypatch)


@pytest.fixture
def dataset(folder, tmp_path):
    return FmaSmall(cache=tmp_path / "cache", data=tmp_path / "data")


def test_official_splits_genres_and_artists_are_read(dataset):
    for number, split in enumerate(SPLITS):
        found = dataset.tracks(split)
        assert [track.get(Genre).name for track in found] == list(GENRES)
        assert {track.group[:8] for track in found} == {f"artist {number}"}


def test_other_subsets_and_clips_without_sound_are_left_out(dataset):
    ids = {track.id for split in SPLITS for track in dataset.tracks(split)}
    assert not ids & {"20", "99134"}
    assert "2" in ids


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("subset", "part", "has no column set subset"),
        ("small,Folk", "small,Blues", "track 12204 has the unknown genre 'Blues'"),
        ("small,Folk", "small,", "track 12204 has the unknown genre ''"),
        ("validation", "dev", "track 48810 is in the unknown split 'dev'"),
        ("\n12204,", "\nx12204,", "has a track with the id 'x12204'"),
    ],
)
def test_what_cannot_be_is_named(dataset, folder, old, new, reason):
    table = folder / "fma_metadata/tracks.csv"
    text = table.read_bytes().decode().replace("\r\n", "\n")
    assert old in text
    table.write_text(text.replace(old, new, 1))
    with pytest.raises(DatasetError, match=reason):
        dataset.tracks("test")
