import pytest
from tests.lookalikes import deam as lookalike
from tests.lookalikes import every, place

from motionbeat.data_modules.base import DatasetError, Emotion
from motionbeat.data_modules.published.deam import Deam


@pytest.fixture
def folder(tmp_path, monkeypatch):
    return place(lookalike, tmp_path, monkeypatch)


@pytest.fixture
def made(folder, tmp_path):
    return lambda: Deam(cache=tmp_path / "cache", data=tmp_path / "data")


def test_both_tables_of_means_are_read(made):
    found = every(made())
    assert {"2", "11", "1010", "1019", "2001", "2004"} <= found.keys()
    assert (found["2"].get(Emotion).valence, found["2"].get(Emotion).arousal) == (-1, 1)
    late = found["2001"].get(Emotion)
    assert (late.valence, late.arousal) == pytest.approx(((7.67 - 5) / 4, (2.33 - 5) / 4))


def test_an_artist_is_one_through_all_years_however_the_name_is_written(made):
    found = every(made())
    groups = {id: found[id].group for id in ("5", "10", "1010", "2001", "3", "8")}
    assert groups["5"] == groups["10"] == groups["1010"] == "artist choir 3"
    assert groups["3"] == groups["8"] == groups["2001"] == "artist choir 1"


def test_a_song_without_an_artist_is_a_group_of_its_own(made):
    assert every(made())["2004"].group == "song 2004"


@pytest.mark.parametrize(
    ("path", "old", "new", "reason"),
    [
        (
            f"{lookalike.LEVEL}/static_annotations_averaged_songs_1_2000.csv",
            "\n2,1.00,",
            "\n2,0,",
            "track 2 has the rating 0.0",
        ),
        ("metadata/metadata_2014.csv", "Artist", "Band", "metadata_2014.csv is unreadable"),
        ("metadata/metadata_2013.csv", None, None, "metadata_2013.csv is missing"),
    ],
)
def test_what_cannot_be_is_named(made, folder, path, old, new, reason):
    if old:
        text = (folder / path).read_text()
        assert old in text
        (folder / path).write_text(text.replace(old, new, 1))
    else:
        (folder / path).unlink()
    with pytest.raises(DatasetError, match=reason) as error:
        made().tracks("test")
    assert "\n" not in str(error.value)
