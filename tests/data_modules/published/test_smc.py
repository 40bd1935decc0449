import numpy as np
import pytest
from tests.lookalikes import place
from tests.lookalikes import smc as lookalike

from motionbeat.data_modules.base import SPLITS, Beats, DatasetError
from motionbeat.data_modules.published.smc import SMC


@pytest.fixture
def folder(tmp_path, monkeypatch):
    return place(lookalike, tmp_path, monkeypatch)


@pytest.fixture
def dataset(folder, tmp_path):
    return SMC(cache=tmp_path / "cache", data=tmp_path / "data")


@pytest.fixture
def beats(folder):
    return folder / "SMC_MIREX/SMC_MIREX_Annotations_05_08_2014/SMC_021_1_2_1_o.txt"


def test_the_corrected_beats_are_read_and_bars_are_unknown(dataset):
    tracks = {track.id: track for split in SPLITS for track in dataset.tracks(split)}
    found = tracks["SMC_011"].get(Beats)
    assert np.allclose(found.times, [0.3, 0.9, 1.5])
    assert found.positions is None


@pytest.mark.parametrize("text", ["0.5\n0.4\n", "0.5\nend\n", "-0.1\n0.4\n"])
def test_beats_that_cannot_be_are_named(dataset, beats, text):
    beats = next(beats.parent.glob("SMC_021_*"))
    beats.write_text(text)
    with pytest.raises(DatasetError, match=f"{beats.name} is unreadable") as error:
        dataset.tracks("test")
    assert "\n" not in str(error.value)


def test_an_excerpt_with_two_files_is_refused(dataset, beats):
    beats.with_name("SMC_021_9_9_9_z.txt").write_text("0.5\n")
    with pytest.raises(DatasetError, match="stand twice, such as SMC_021"):
        dataset.tracks("test")


def test_a_file_of_another_name_is_refused(dataset, beats):
    beats.with_name("SMC_README.txt").write_text("0.5\n")
    with pytest.raises(DatasetError, match=r"SMC_README\.txt names no excerpt"):
        dataset.tracks("test")


def test_a_folder_without_beats_says_what_is_missing(dataset, beats):
    beats.parent.rename(beats.parent.with_name("elsewhere"))
    with pytest.raises(DatasetError, match="Annotations_05_08_2014 holds no beats"):
        dataset.tracks("test")
