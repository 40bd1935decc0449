"""OpenMIC-2018: what is unknown, artists, the archive's folder, and tables that are wrong."""

import pytest
from tests.lookalikes import openmic2018

from motionbeat.data_modules.base import DatasetError, Instruments
from motionbeat.data_modules.published.openmic2018 import INSTRUMENTS, OpenMIC2018


@pytest.fixture
def dataset(tmp_path, monkeypatch):
    monkeypatch.setattr(OpenMIC2018, "count", openmic2018.COUNTS["openmic2018"])
    openmic2018.write(tmp_path / "openmic2018")
    return OpenMIC2018(cache=tmp_path / "cache", data=tmp_path)


def change(dataset, path, old, new):
    text = (dataset.folder / path).read_text()
    assert old in text
    (dataset.folder / path).write_text(text.replace(old, new, 1))


def test_instruments_nobody_was_asked_about_are_unknown(dataset):
    labels = dataset.tracks("train")[0].get(Instruments)
    names = sorted(INSTRUMENTS)
    assert labels.unknown == {names[0], names[8], names[16]}
    assert names[1] in labels.names  # 0.6
    assert names[4] in labels.names  # 0.5: heard by half of them
    assert names[3] not in labels.names | labels.unknown  # 0.17


def test_validation_takes_whole_artists_from_the_training_part(dataset):
    groups = {s: {t.group for t in dataset.tracks(s)} for s in ("train", "validation")}
    assert groups["train"] == {f"artist {openmic2018.artist('train')}"}
    assert groups["validation"] == {f"artist {openmic2018.artist('validation')}"}


def test_the_partition_holds_where_an_artist_is_on_both_sides(dataset):
    groups = {track.id: track.group for track in dataset.tracks("test")}
    assert groups.pop(openmic2018.SHARED) == openmic2018.SHARED
    assert set(groups.values()) == {"artist 1000"}


def test_the_folder_of_the_archive_is_lifted(dataset):
    lifted = {remote.name: remote.lifted for remote in dataset.remotes()}
    assert lifted["openmic-2018-v1.0.0.tgz"] == ("openmic-2018",)
    assert lifted["openmic2018_index_1.0.json"] == ()


@pytest.mark.parametrize(
    ("path", "old", "new", "said"),
    [
        ("openmic-2018-aggregated-labels.csv", "banjo", "kazoo", "track 000000_3840.*kazoo"),
        ("openmic-2018-aggregated-labels.csv", ",0.6,", ",1.6,", r"track 000000_3840.*1\.6"),
        ("openmic-2018-aggregated-labels.csv", ",0.6,", ",,", "track 000000_3840.*nan"),
        ("partitions/split01_test.csv", "000020_3840\n", "", "track 000020_3840 lacks"),
        ("openmic-2018-metadata.csv", "000003_3840", "000003_0", "track 000003_3840 lacks"),
    ],
)
def test_a_wrong_line_is_named(dataset, path, old, new, said):
    change(dataset, path, old, new)
    with pytest.raises(DatasetError, match=said):
        dataset.tracks("test")
