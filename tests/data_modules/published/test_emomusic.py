import numpy as np
import pytest
from tests.lookalikes import emomusic as lookalike
from tests.lookalikes import place

from motionbeat.data_modules.base import SPLITS, DatasetError, Emotion
from motionbeat.data_modules.published.emomusic import EmoMusic, _part


@pytest.fixture
def folder(tmp_path, monkeypatch):
    return place(lookalike, tmp_path, monkeypatch)


@pytest.fixture
def made(folder, tmp_path):
    return lambda: EmoMusic(cache=tmp_path / "cache", data=tmp_path / "data")


def test_the_scale_from_one_to_nine_becomes_the_plane(made):
    tracks = [track for split in SPLITS for track in made().tracks(split)]
    points = {track.id: track.get(Emotion) for track in tracks}
    assert (points["2"].arousal, points["2"].valence) == (-1, 1)
    assert points["135"].arousal == 1
    assert points["135"].valence == -1
    assert np.ptp([point.valence for point in points.values()]) == 2


def test_the_official_evaluation_set_is_the_test_split(made):
    assert [track.id for track in made().tracks("test")] == ["2", "30", "58", "86", "114"]


@pytest.mark.parametrize(
    ("artist", "split"),
    [
        # as parted in the published list of the probes of Jukebox
        ("The New Mystikal Troubadours", "validation"),
        ("the  new mystikal troubadours!", "validation"),
        ("Sláinte", "validation"),
        ("Advent Chamber Orchestra-Dvorak", "train"),
        ("Big Bill Broonzy", "validation"),
        ("Vieux Farka Touré", "train"),
        ("Caühaüs", "train"),
        ("…And You Will Know Us By The Trail Of Dead", "train"),
        ("Circus Marcus-Aux puces nº1", "train"),
    ],
)
def test_the_development_set_is_parted_as_published(artist, split):
    assert _part(artist) == split


def test_no_artist_is_both_learned_from_and_validated_on(made):
    learned, validated = (
        {lookalike.ARTISTS[(int(track.id) - 2) // 7 % 5] for track in made().tracks(split)}
        for split in ("train", "validation")
    )
    assert learned | validated == set(lookalike.ARTISTS)
    assert not learned & validated


@pytest.mark.parametrize(
    ("table", "old", "new", "reason"),
    [
        ("songs_info.csv", "evaluation", "extra", "track 2 is in the unknown set 'extra'"),
        ("static_annotations.csv", "\n2,1,", "\n2,0.9,", "track 2 has the rating 0.9"),
        ("static_annotations.csv", "\n2,1,", "\n2,,", "track 2 has the rating nan"),
        ("static_annotations.csv", "\n2,1,", "\n2,loud,", "static_annotations.csv is unreadable"),
        ("static_annotations.csv", "\n2,1,", "\n1,1,", "track 2 has no rating"),
    ],
)
def test_what_cannot_be_is_named(made, folder, table, old, new, reason):
    path = folder / "annotations" / table
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(DatasetError, match=reason) as error:
        made().tracks("test")
    assert "\n" not in str(error.value)
