import pytest
from tests.lookalikes import magnatagatune as lookalike
from tests.lookalikes import place

from motionbeat.data_modules.base import SPLITS, DatasetError, Tags
from motionbeat.data_modules.published.magnatagatune import TAGS, MagnaTagATune


@pytest.fixture
def folder(tmp_path, monkeypatch):
    return place(lookalike, tmp_path, monkeypatch)


@pytest.fixture
def dataset(folder, tmp_path):
    return MagnaTagATune(cache=tmp_path / "cache", data=tmp_path / "data")


def change(folder, old, new):
    table = folder / "annotations_final.csv"
    text = table.read_text()
    assert old in text
    table.write_text(text.replace(old, new, 1))


def test_folders_make_the_splits(dataset):
    folders = {s: {t.audio_path.parent.name for t in dataset.tracks(s)} for s in SPLITS}
    assert folders == {"train": set("0123456789ab"), "validation": {"c"}, "test": set("def")}


def test_clips_of_a_song_are_a_group(dataset):
    first, second = dataset.tracks("validation")
    assert first.group == second.group == "some_choir-an_album-c-a_song"
    assert first.id != second.id


def test_unreadable_clips_are_left_out(dataset):
    assert "35644" not in {track.id for split in SPLITS for track in dataset.tracks(split)}


def test_there_are_fifty_tags_and_rare_ones_are_dropped(dataset):
    held = {track.id: track.get(Tags).names for track in dataset.tracks("train")}
    assert len(set(TAGS)) == 50
    assert held["2"] == set(TAGS[1::2])  # though it has rare ones too
    assert held["5"] == set(TAGS[::2])


def test_a_clip_without_any_of_the_tags_stays(dataset, folder):
    table = folder / "annotations_final.csv"
    lines = table.read_text().splitlines()
    lines[2] = lines[2].replace('"1"', '"0"')
    table.write_text("\n".join(lines))
    held = {track.id: track.get(Tags).names for track in dataset.tracks("train")}
    assert held["5"] == frozenset()


def test_other_tags_than_the_published_ones_are_refused(dataset, folder):
    change(folder, '"woman"', '"women"')
    with pytest.raises(DatasetError, match="not those published, such as 'woman'"):
        dataset.tracks("test")


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ('"5"\t"0"', '"5"\t"2"', "track 5 has the tag 'banjo' neither with 0 nor with 1"),
        ('"5"\t"0"', '"5"\t"yes"', "track 5 has the tag 'banjo' neither with 0 nor with 1"),
        ('"0/some_choir', '"g/some_choir', "track 2 is in the unknown folder 'g'"),
    ],
)
def test_what_cannot_be_is_named(dataset, folder, old, new, reason):
    change(folder, old, new)
    with pytest.raises(DatasetError, match=reason):
        dataset.tracks("test")
