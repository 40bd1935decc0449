"""Ballroom: replicas, styles, albums."""

import pytest
from tests.lookalikes import ballroom, place
from tests.mirdata_index import write_index

from motionbeat.data_modules.base import SPLITS, DatasetError, Genre
from motionbeat.data_modules.published.ballroom import STYLES, Ballroom


@pytest.fixture
def folder(tmp_path, monkeypatch):
    return place(ballroom, tmp_path, monkeypatch)


def made(folder):
    return Ballroom(cache=folder.parent.parent / "cache", data=folder.parent)


def test_replicas_are_left_out(folder):
    dataset = made(folder)
    ids = {track.id for split in SPLITS for track in dataset.tracks(split)}
    assert not ids & ballroom.REPLICAS.keys()
    assert ids < dataset.loaded.keys()


def test_every_style_is_in_every_split(folder):
    dataset = made(folder)
    for split in SPLITS:
        assert {track.get(Genre).name for track in dataset.tracks(split)} == set(STYLES)


def test_the_group_is_the_album(folder):
    dataset = made(folder)
    groups = {track.id: track.group for split in SPLITS for track in dataset.tracks(split)}
    assert groups["Albums-Latin_Jam3-04"] == "Albums-Latin_Jam3"
    assert groups["Media-105904"] == "Media-1059"


def test_an_unknown_style_is_named(folder):
    files = ballroom.annotated(folder, "Polka", "Media-105999", 1)
    write_index(folder, "ballroom_full_index_1.0.json", {"Media-105999": files})
    with pytest.raises(DatasetError, match="track Media-105999 has the unknown style 'polka'"):
        made(folder).tracks("test")


def test_another_recording_of_the_same_name_is_refused(folder):
    audio = made(folder).tracks("test")[0].audio_path
    audio.write_bytes(audio.read_bytes() + b"\0\0")
    with pytest.raises(DatasetError, match=f"{audio.name}: its md5 is"):
        made(folder).tracks("test")
