"""IRMAS: recordings published twice, accents in file names, and texts that are wrong."""

import unicodedata

import pytest
from tests.lookalikes import irmas

from motionbeat.data_modules.base import DatasetError, Instruments
from motionbeat.data_modules.published.irmas import IRMAS


@pytest.fixture
def dataset(tmp_path, monkeypatch):
    monkeypatch.setattr(IRMAS, "count", irmas.COUNTS["irmas"])
    irmas.write(tmp_path / "irmas")
    return IRMAS(cache=tmp_path / "cache", data=tmp_path)


def text(dataset, song="02. Song - No. 1-11"):
    return dataset.folder / f"IRMAS-TestingData-Part1/Part1/{song}.txt"


def test_training_clips_have_one_instrument_and_test_excerpts_several(dataset):
    for split in ("train", "validation"):
        assert all(len(track.get(Instruments).names) == 1 for track in dataset.tracks(split))
    assert dataset.tracks("test")[1].get(Instruments).names == {"flute", "acoustic guitar"}


def test_a_recording_under_two_numbers_is_one_group(dataset):
    first, second = irmas.TWICE
    found = {track.id: track for track in dataset.tracks("train")}
    assert found[f"{first}__1"].group == found[f"{second}__1"].group == first
    assert found[f"{second}__1"].get(Instruments).names == {"electric guitar"}


def test_excerpts_are_grouped_by_song(dataset):
    groups = [track.group for track in dataset.tracks("test")]
    assert groups[0] == "02. Song - No. 0"
    assert groups[-1] == irmas.ACCENTED.removesuffix("-3")


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_accents_may_be_spelled_as_unpacked(dataset, form):
    garbled = irmas.ACCENTED.encode().decode("cp437")
    for suffix in (".wav", ".txt"):
        path = text(dataset, garbled).with_name(f"{garbled}{suffix}")
        path.rename(path.with_name(unicodedata.normalize(form, irmas.ACCENTED) + suffix))
    assert dataset.tracks("test")[-1].get(Instruments).names == {"voice"}


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"gel\t\nkaz\t\n", "track 2 .*'kaz'"), (b"\n", "no instrument"), (b"\xff", "unreadable")],
)
def test_a_wrong_text_is_named(dataset, content, said):
    text(dataset).write_bytes(content)
    with pytest.raises(DatasetError, match=said):
        dataset.tracks("test")


def test_a_missing_text_is_named_unless_its_audio_is_missing_too(dataset):
    text(dataset).unlink()
    with pytest.raises(DatasetError, match=r"11\.txt is missing"):
        dataset.tracks("test")
    text(dataset).with_suffix(".wav").unlink()
    partial = IRMAS(cache=dataset.cache, data=dataset.data, partial=True)
    assert len(partial.tracks("test")) == irmas.EXCERPTS - 1
