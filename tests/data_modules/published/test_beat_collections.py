"""Beatles, RWC Popular, Candombe and Hainsworth: groups, positions, own copies of audio."""

import json

import numpy as np
import pytest
from tests.lookalikes import beatles, candombe, every, hainsworth, rwc_popular

from motionbeat.data_modules.base import SPLITS, Beats, DatasetError
from motionbeat.data_modules.published.beatles import Beatles
from motionbeat.data_modules.published.candombe import Candombe
from motionbeat.data_modules.published.hainsworth import Hainsworth
from motionbeat.data_modules.published.rwc_popular import RwcPopular


@pytest.fixture
def made(tmp_path, monkeypatch):
    def make(kind, lookalike):
        name = kind.card.name
        monkeypatch.setattr(kind, "count", lookalike.COUNTS[name])
        folder = tmp_path / "data" / name
        if not folder.is_dir():
            folder.mkdir(parents=True)
            lookalike.write(folder)
        return kind(cache=tmp_path / "cache", data=tmp_path / "data")

    return make


def test_both_discs_of_the_white_album_are_one_group(made):
    found = every(made(Beatles, beatles))
    assert {found["10101"].group, found["10201"].group} == {"The_Beatles"}
    assert "10212" not in found


def test_beats_without_position_get_one_from_their_neighbours(made):
    beats = every(made(Beatles, beatles))["0101"].get(Beats)
    assert beats.positions.tolist() == [1, 2, 3, 4, 1, 2, 3]


def test_positions_of_rwc_follow_from_its_ticks(made):
    beats = every(made(RwcPopular, rwc_popular))["RM-P001"].get(Beats)
    assert beats.positions.tolist() == [3, 4, 1, 2, 3, 4, 1, 2, 3]
    assert np.allclose(beats.downbeats, [1.2, 3.2])


def test_a_singer_is_in_one_split(made):
    dataset = made(RwcPopular, rwc_popular)
    assert {track.group for track in every(dataset).values()} == set(rwc_popular.SINGERS)


def test_rwc_without_its_table_of_singers_says_so(made):
    dataset = made(RwcPopular, rwc_popular)
    (dataset.folder / "metadata-master/rwc-p.csv").unlink()
    with pytest.raises(DatasetError, match=r"rwc_popular: .*(missing|not found)"):
        dataset.tracks("test")


def test_a_session_is_in_one_split(made):
    dataset = made(Candombe, candombe)
    groups = {split: {track.group for track in dataset.tracks(split)} for split in SPLITS}
    assert groups["test"] == {"csic.1995_cuareim"}
    assert groups["validation"] == {s for s in candombe.SESSIONS if s.startswith("proyecto.1992")}


def test_an_unknown_session_is_named(made):
    dataset = made(Candombe, candombe)
    index = dataset.folder / "candombe_index_1.0.json"
    index.write_text(index.read_text().replace('"csic.1995_cuareim_01"', '"csic.1996_palermo_01"'))
    with pytest.raises(DatasetError, match=r"unknown session 'csic\.1996_palermo'"):
        dataset.tracks("test")


@pytest.mark.parametrize(
    ("kind", "lookalike"),
    [(Beatles, beatles), (RwcPopular, rwc_popular), (Hainsworth, hainsworth)],
)
def test_a_copy_of_ones_own_is_accepted(made, kind, lookalike):
    dataset = made(kind, lookalike)
    index = next(dataset.folder.glob("*_index_*.json"))
    content = json.loads(index.read_text())
    for files in content["tracks"].values():
        files["audio"][1] = "0" * 32
    index.write_text(json.dumps(content))
    assert len(every(dataset)) == dataset.count


def test_excerpts_are_in_order_of_their_numbers(made):
    ids = [track.id for track in made(Hainsworth, hainsworth).tracks("train")]
    assert ids == sorted(ids)
    assert len(ids) > 1
