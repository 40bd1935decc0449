import numpy as np
import pytest
from tests.lookalikes import asap as lookalike
from tests.lookalikes import every, place

from motionbeat.data_modules.base import Beats, DatasetError
from motionbeat.data_modules.published.asap import ASAP, _positions


@pytest.fixture
def folder(tmp_path, monkeypatch):
    return place(lookalike, tmp_path, monkeypatch)


@pytest.fixture
def dataset(folder, tmp_path):
    return ASAP(cache=tmp_path / "cache", data=tmp_path / "data")


@pytest.mark.parametrize(
    ("kinds", "positions"),
    [
        ("b d b b d b", [3, 1, 2, 3, 1, 2]),
        ("d b d b b d", [1, 2, 1, 2, 3, 1]),
        ("b b b d b d", [2, 2, 2, 1, 2, 1]),  # an upbeat longer than the bar starts none
        ("b d b b", [3, 1, 2, 3]),
        ("d", [1]),
    ],
)
def test_beats_are_counted_from_the_start_of_their_bar(kinds, positions):
    starts = np.array([kind == "d" for kind in kinds.split()])
    assert _positions(starts).tolist() == positions


def test_beats_of_all_kinds_are_read_and_what_follows_them_is_not(dataset):
    found = every(dataset)["Chopin/Etudes_op_10/3/Lin04"].get(Beats)
    assert np.allclose(found.times, 0.5 + np.arange(6) / 3)
    assert found.positions.tolist() == [3, 1, 2, 3, 1, 2]


def test_performances_of_a_composition_stay_together(dataset):
    found = every(dataset)
    for number in range(1, 15):
        piece = f"Chopin/Etudes_op_10/{number}"
        groups = {found[f"{piece}/{player}"].group for player in ("Lin04", "Zhou01")}
        assert groups == {f"Chopin Etudes_op_10_{number}"}


def test_what_is_not_recorded_or_cut_at_a_wrong_place_is_left_out(dataset, folder):
    assert (folder / "Bach/Fugue/bwv_874/BianF01.wav").is_file()
    assert {id.rpartition("/")[2] for id in every(dataset)} == {"Lin04", "Zhou01"}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("0.5\t0.5\tdb\n0.4\t0.4\tb\n", "Etudes_op_10/1/Lin04: beat times must be"),
        ("0.5\t0.5\tdb\nx\tx\tb\n", "Etudes_op_10/1/Lin04: could not convert"),
        ("0.5\t0.5\tdb\n0.9\t0.9\tbeat\n", "unknown kind of beat 'beat'"),
        ("0.5\t0.5\tb\n", "Etudes_op_10/1/Lin04 has no downbeat"),
        ("", "Etudes_op_10/1/Lin04 has no downbeat"),
    ],
)
def test_what_cannot_be_is_named(dataset, folder, text, reason):
    (folder / "Chopin/Etudes_op_10/1/Lin04_annotations.txt").write_text(text)
    with pytest.raises(DatasetError, match=reason) as error:
        dataset.tracks("test")
    assert "\n" not in str(error.value)
