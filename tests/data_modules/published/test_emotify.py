import os
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest
from tests.lookalikes import every
from tests.lookalikes.labels import emotify_whole

import motionbeat.data_modules.published.emotify as module
from motionbeat.data_modules.base import SPLITS, DatasetError, Genre, Moods, check_splits
from motionbeat.data_modules.published.emotify import EMOTIONS, GENRES, Emotify, parted

DATA = os.environ.get("MOTIONBEAT_DATA")


@pytest.fixture
def copy(made):
    return lambda **options: made("emotify", **options)


@pytest.fixture
def whole(tmp_path, monkeypatch):
    """Makes Emotify as first published."""
    monkeypatch.setattr(module, "WHOLE", 24)
    folder = tmp_path / "whole" / "emotify"
    emotify_whole(folder)
    return lambda **options: Emotify(cache=tmp_path, data=folder.parent, **options)


@pytest.mark.parametrize(("kind", "revision"), [("copy", "1"), ("whole", "1-whole")])
def test_folds_partition_the_tracks_and_part_the_groups(request, kind, revision):
    """Each track is tested on once, no group is in two splits, and revisions tell the folds."""
    folds = [request.getfixturevalue(kind)(fold=fold) for fold in range(5)]
    for dataset, following in zip(folds, [*folds[1:], folds[0]], strict=True):
        check_splits([dataset.tracks(split) for split in SPLITS])
        assert dataset.tracks("validation") == following.tracks("test")
        assert dataset.status() == "present"
    tested = Counter(track.id for dataset in folds for track in dataset.tracks("test"))
    assert set(tested.values()) == {1}
    assert len(tested) == folds[0].count
    assert [one.revision for one in folds[:2]] == [revision, f"{revision}-fold1"]


def test_an_unknown_fold_is_refused(copy):
    with pytest.raises(DatasetError, match="folds 0 to 4, not 5"):
        copy(fold=5)


def test_genres_are_spread_evenly_over_the_folds():
    groups = [(f"{genre} {n}", genre) for genre in GENRES for n in range(11)]
    folds = parted(groups, 5)
    for genre in GENRES:
        sizes = Counter(folds[group] for group, own in groups if own == genre)
        assert sorted(sizes.values()) == [2, 2, 2, 2, 3]
    assert parted(reversed(groups), 5) == folds


def test_an_artist_with_several_genres_stays_together_and_counts_for_all():
    groups = [("one", "pop"), ("one", "pop"), ("one", "rock"), ("two", "rock"), ("three", "pop")]
    assert sorted(parted(groups, 3).values()) == [0, 1, 2]


def test_moods_are_the_top_quarter_and_those_that_tie(copy):
    path = copy().folder / "labels.csv"
    table = pd.read_csv(path)
    table["tension"] = [0.1] * 20 + [0.6] * 15 + [0.9] * 5
    table.to_csv(path, index=False)
    held = Counter(name for track in every(copy()).values() for name in track.get(Moods).names)
    assert held.pop("tension") == 20  # the third quartile is 0.6, which fifteen more tracks have
    assert set(held.values()) == {10}


def test_a_table_without_tracks_is_refused(copy):
    path = copy().folder / "labels.csv"
    path.write_text(path.read_text().partition("\n")[0])
    with pytest.raises(DatasetError, match="lists 0 tracks instead of 40"):
        copy().tracks("test")


def test_the_tracks_as_first_published_are_numbered_through_the_genres(whole):
    found = every(whole())
    assert found["1"].audio_path.match("emotifymusic/classical/1.mp3")
    assert found["200"].audio_path.match("emotifymusic/rock/100.mp3")
    assert found["201"].get(Genre).name == "electronic"
    assert found["400"].group == "track 400"


@pytest.mark.parametrize("felt", [{1, 2, 3, 4, 5, 100}, {100}])
def test_answers_are_averaged_and_what_nobody_felt_is_no_mood(whole, felt):
    path = whole().folder / "data.csv"
    table = pd.read_csv(path, skipinitialspace=True)
    table["power"] = table["track id"].isin(felt).astype(int)
    if len(felt) > 1:  # then a third of the listeners of rock felt it too
        table.loc[table["track id"].between(101, 200), "power"] = [1, 0, 0] * 6
    table.to_csv(path, index=False)
    powerful = {id for id, track in every(whole()).items() if "power" in track.get(Moods).names}
    assert powerful == {str(id) for id in felt}


@pytest.mark.skipif(not DATA, reason="needs real recordings: set MOTIONBEAT_DATA")
@pytest.mark.parametrize("fold", range(5))
def test_real_excerpts_have_every_class_in_every_split(tmp_path, fold):
    dataset = Emotify(cache=tmp_path, data=Path(DATA), fold=fold)
    assert len(every(dataset)) == 282
    check_splits([dataset.tracks(split) for split in SPLITS])
    for split in SPLITS:
        found = dataset.tracks(split)
        assert {track.get(Genre).name for track in found} == set(GENRES)
        assert {name for track in found for name in track.get(Moods).names} == set(EMOTIONS)
    assert all(49 <= len(dataset.tracks(split)) <= 64 for split in ("validation", "test"))
