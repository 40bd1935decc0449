import pytest
from tests.lookalikes import every, place
from tests.lookalikes import giantsteps_tempo as lookalike

from motionbeat.data_modules.base import SPLITS, DatasetError, Genre, Tempo
from motionbeat.data_modules.published.giantsteps_tempo import GiantStepsGenre, GiantStepsTempo


@pytest.fixture
def folder(tmp_path, monkeypatch):
    return place(lookalike, tmp_path, monkeypatch)


@pytest.fixture
def dataset(folder, tmp_path):
    return GiantStepsGenre(cache=tmp_path / "cache", data=tmp_path / "data")


def test_official_folds_make_the_splits(dataset):
    assert [len(dataset.tracks(split)) for split in SPLITS] == [18, 6, 6]
    assert {int(track.id[:-5]) % 10_000 for track in dataset.tracks("test")} == {6952, 7952}


def test_tempi_are_for_testing_alone(dataset, tmp_path):
    tempi = GiantStepsTempo(cache=tmp_path / "cache", data=tmp_path / "data")
    assert [len(tempi.tracks(split)) for split in SPLITS] == [0, 0, 30]
    assert every(tempi).keys() == every(dataset).keys()


def test_the_tempo_most_people_tapped_counts(dataset):
    found = every(dataset)
    assert found["28952.LOFI"].get(Tempo).bpm == 120  # and not 60, which a quarter tapped
    assert found["29952.LOFI"].get(Tempo).bpm == 122
    assert found["28952.LOFI"].get(Genre).name == "trance"


def test_a_preview_without_a_tempo_is_left_out(dataset, folder):
    assert (folder / "audio/3041381.LOFI.mp3").is_file()
    assert "3041381.LOFI" not in every(dataset)


@pytest.mark.parametrize(
    ("file", "old", "new", "reason"),
    [
        ("splits/fold01.txt", "28952", "1", "track 28952.LOFI is in no fold"),
        (
            "annotations/jams/28952.LOFI.jams",
            "trance",
            "polka",
            "track 28952.LOFI has the unknown genre 'polka'",
        ),
        ("annotations_v2/jams/28952.LOFI.jams", "0.75", '"much"', "the tempo_v2 of track 0 cannot"),
    ],
)
def test_what_cannot_be_is_named(dataset, folder, file, old, new, reason):
    path = folder / lookalike.ROOT / file
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(DatasetError, match=reason):
        dataset.tracks("test")


def test_a_fold_that_is_missing_or_unreadable_is_named(dataset, folder):
    fold = folder / lookalike.ROOT / "splits/fold07.txt"
    fold.write_bytes(b"\xff\xfe")
    with pytest.raises(DatasetError, match=r"fold07\.txt is unreadable"):
        dataset.tracks("test")
    fold.unlink()
    with pytest.raises(DatasetError, match=r"fold07\.txt is missing"):
        dataset.tracks("test")
