import pytest
from tests.lookalikes import mtg_jamendo as lookalike

from motionbeat.benchmarks.registry import DATASETS
from motionbeat.data_modules.base import SPLITS, DatasetError, Labels, Tags
from motionbeat.data_modules.published.mtg_jamendo import CATEGORIES, TOP50

SIZES = {
    "mtg_jamendo_top50": 50,
    "mtg_jamendo_genre": 87,
    "mtg_jamendo_instrument": 40,
    "mtg_jamendo_moodtheme": 56,
}


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "data" / lookalike.HOME
    folder.mkdir(parents=True)
    lookalike.write(folder)
    return folder


@pytest.fixture
def made(folder, tmp_path, monkeypatch):
    def make(name, **options):
        kind = DATASETS.get(name)
        monkeypatch.setattr(kind, "count", lookalike.COUNTS[name])
        return kind(cache=tmp_path / "cache", data=tmp_path / "data", **options)

    return make


@pytest.mark.parametrize("name", SIZES)
def test_every_tag_is_in_every_split(made, name):
    dataset = made(name)
    for split in SPLITS:
        found = {tag for track in dataset.tracks(split) for tag in track.get(Labels).names}
        assert len(found) == SIZES[name]


def test_the_fifty_tags_are_of_three_categories():
    assert {category: len(tags) for category, tags in TOP50.items()} == {
        "genre": 31,
        "instrument": 14,
        "mood/theme": 5,
    }
    assert all(set(tags) < set(CATEGORIES[category]) for category, tags in TOP50.items())


def test_songs_of_an_artist_are_a_group(made):
    found = made("mtg_jamendo_top50").tracks("test")
    assert [track.group for track in found[:4]] == ["artist_000008"] * 2 + ["artist_000009"] * 2


def test_songs_of_low_quality_are_read_and_told(made, folder):
    for path in (folder / "audio").glob("*/*.mp3"):
        path.rename(path.with_suffix(".low.mp3"))
    dataset = made("mtg_jamendo_genre")
    assert dataset.revision == "1-low"
    assert {track.audio_path.suffixes[0] for track in dataset.tracks("test")} == {".low"}
    assert made("mtg_jamendo_genre", partial=True).revision.endswith("-low")


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("genre---60s", "genre---50s", "track track_0000241 has the unknown tag 'genre---50s'"),
        ("genre---60s", "instrument---bass", "unknown tag 'instrument---bass'"),
        ("ALBUM_ID", "ALBUM", "other columns than the published ones"),
        ("\t1.5\t", "\n", "line 2: no tags"),
    ],
)
def test_what_cannot_be_is_named(made, folder, old, new, reason):
    table = folder / lookalike.LISTS / "autotagging_genre-train.tsv"
    assert old in table.read_text()
    table.write_text(table.read_text().replace(old, new, 1))
    with pytest.raises(DatasetError, match=reason):
        made("mtg_jamendo_genre").tracks("test")


def test_an_empty_list_and_a_missing_one_are_named(made, folder):
    table = folder / lookalike.LISTS / "autotagging_genre-test.tsv"
    table.write_text("")
    with pytest.raises(DatasetError, match=r"genre-test\.tsv is unreadable"):
        made("mtg_jamendo_genre").tracks("test")
    table.unlink()
    with pytest.raises(DatasetError, match=r"genre-test\.tsv is missing"):
        made("mtg_jamendo_genre").tracks("test")
    assert made("mtg_jamendo_top50").tracks("test")[0].has(Tags)
