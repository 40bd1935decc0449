import os
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest
from tests.lookalikes import emotify as lookalike
from tests.lookalikes import every

import motionbeat.data_modules.published.emotify as module
from motionbeat.data_modules.base import SPLITS, DatasetError, Genre, Moods, check_splits
from motionbeat.data_modules.published.emotify import EMOTIONS, GENRES, Emotify, _parted

DATA = os.environ.get("MOTIONBEAT_DATA")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(Emotify, "count", lookalike.COUNTS["emotify"])
    folder = tmp_path / "data" / lookalike.HOME
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def made(folder, tmp_path):
    return lambda **options: Emotify(cache=tmp_path / "cache", data=tmp_path / "data", **options)


def check_folds(made):
    """Each track is tested on once, no group is in two splits, and revisions tell the folds."""
    tested, revisions = Counter(), set()
    for fold in range(Emotify.folds):
        dataset = made(fold=fold)
        check_splits([dataset.tracks(split) for split in SPLITS])
        tested.update(track.id for track in dataset.tracks("test"))
        validated = {track.id for track in dataset.tracks("validation")}
        following = made(fold=(fold + 1) % Emotify.folds).tracks("test")
        assert validated == {track.id for track in following}
        revisions.add(dataset.revision)
    assert set(tested.values()) == {1}
    assert len(tested) == dataset.count
    assert len(revisions) == Emotify.folds


def check_classes(dataset):
    for split in SPLITS:
        found = dataset.tracks(split)
        assert {track.get(Genre).name for track in found} == set(GENRES)
        assert {name for track in found for name in track.get(Moods).names} == set(EMOTIONS)


def test_folds_partition_the_tracks_and_part_the_artists(made, folder):
    lookalike.write(folder)
    check_folds(made)
    assert made().revision == "1"
    assert made(fold=3).revision == "1-fold3"


def test_an_unknown_fold_is_refused(made):
    with pytest.raises(DatasetError, match="folds 0 to 4, not 5"):
        made(fold=5)


def test_genres_are_spread_evenly_over_the_folds():
    groups = [(f"{genre} {n}", genre) for genre in GENRES for n in range(11)]
    folds = _parted(groups, 5)
    for genre in GENRES:
        sizes = Counter(folds[group] for group, own in groups if own == genre)
        assert sorted(sizes.values()) == [2, 2, 2, 2, 3]
    assert _parted(reversed(groups), 5) == folds


def test_an_artist_with_several_genres_stays_together_and_counts_for_all(made):
    groups = [("one", "pop"), ("one", "pop"), ("one", "rock"), ("two", "rock"), ("three", "pop")]
    folds = _parted(groups, 3)
    assert sorted(folds.values()) == [0, 1, 2]


def test_moods_are_the_top_quarter_and_those_that_tie(made, folder):
    lookalike.write(folder)
    table = pd.read_csv(folder / "labels.csv")
    table["tension"] = [0.1] * 20 + [0.6] * 15 + [0.9] * 5
    table.to_csv(folder / "labels.csv", index=False)
    found = every(made())
    held = Counter(name for track in found.values() for name in track.get(Moods).names)
    assert held.pop("tension") == 20  # the third quartile is 0.6, which fifteen more tracks have
    assert set(held.values()) == {10}


def test_all_classes_are_in_every_split_of_the_copy(made, folder):
    lookalike.write(folder)
    check_classes(made())


def test_a_table_without_tracks_is_refused(made, folder):
    lookalike.write(folder)
    (folder / "labels.csv").write_text((folder / "labels.csv").read_text().partition("\n")[0])
    with pytest.raises(DatasetError, match="lists 0 tracks instead of 40"):
        made().tracks("test")


def test_the_tracks_as_first_published_have_another_revision(made, folder, monkeypatch):
    monkeypatch.setattr(module, "WHOLE", lookalike.write_whole(folder))
    check_folds(made)
    assert made().revision == "1-whole"
    assert made(fold=2).revision == "1-whole-fold2"
    assert made().status() == "present"
    found = every(made())
    assert found["1"].audio_path == folder / "emotifymusic/classical/1.mp3"
    assert found["200"].audio_path == folder / "emotifymusic/rock/100.mp3"
    assert found["201"].get(Genre).name == "electronic"
    assert found["400"].group == "track 400"


def test_answers_of_listeners_are_averaged(made, folder, monkeypatch):
    monkeypatch.setattr(module, "WHOLE", lookalike.write_whole(folder))
    table = pd.read_csv(folder / "data.csv", skipinitialspace=True)
    table["power"] = (table["track id"] <= 100).astype(int)
    rock = table["track id"].between(101, 200)
    table.loc[rock, "power"] = [1, 0, 0] * 6  # a third of the listeners felt it
    table.to_csv(folder / "data.csv", index=False)
    powerful = {id for id, track in every(made()).items() if "power" in track.get(Moods).names}
    assert powerful == {"1", "2", "3", "4", "5", "100"}


def test_what_nobody_felt_is_no_mood(made, folder, monkeypatch):
    monkeypatch.setattr(module, "WHOLE", lookalike.write_whole(folder))
    table = pd.read_csv(folder / "data.csv", skipinitialspace=True)
    table["power"] = (table["track id"] == 100).astype(int)
    table.to_csv(folder / "data.csv", index=False)
    powerful = {id for id, track in every(made()).items() if "power" in track.get(Moods).names}
    assert powerful == {"100"}


@pytest.mark.skipif(not DATA, reason="needs real recordings: set MOTIONBEAT_DATA")
@pytest.mark.parametrize("fold", range(5))
def test_real_excerpts_have_every_class_in_every_split(tmp_path, fold):
    dataset = Emotify(cache=tmp_path, data=Path(DATA), fold=fold)
    assert len(every(dataset)) == 282
    check_splits([dataset.tracks(split) for split in SPLITS])
    check_classes(dataset)
    assert all(49 <= len(dataset.tracks(split)) <= 64 for split in ("validation", "test"))
