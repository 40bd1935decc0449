"""What holds for every published dataset, on a tiny copy of it."""

import re

import numpy as np
import pytest
from tests import lookalikes

from motionbeat.benchmarks.registry import DATASETS
from motionbeat.data_modules.base import SPLITS, Beats, DatasetError, check_splits

CASES = [(module, name) for module in lookalikes.MODULES.values() for name in module.COUNTS]


@pytest.fixture(params=CASES, ids=lambda case: case[1])
def copy(request, tmp_path, monkeypatch):
    module, name = request.param
    kind = DATASETS.get(name)
    lookalikes.place(module, tmp_path, monkeypatch)

    def made(**options):
        return kind(cache=tmp_path / "cache", data=tmp_path / "data", **options)

    return made


def tracks(dataset):
    return [track for split in SPLITS for track in dataset.tracks(split)]


def test_all_tracks_are_there_with_what_the_card_promises(copy):
    dataset = copy()
    dataset.prepare_data()
    found = tracks(dataset)
    assert len(found) == dataset.count
    assert dataset.status() == "present"
    assert dataset.revision == dataset.card.revision
    check_splits([dataset.tracks(split) for split in SPLITS])
    for track in found:
        assert track.audio_path.is_file()
        assert track.duration > 0
        for kind in dataset.card.annotations:
            track.get(kind)
        if track.has(Beats):
            assert track.get(Beats).end <= track.duration + 0.5


def test_every_split_the_tasks_need_has_tracks(copy):
    dataset = copy()
    sizes = {split: len(dataset.tracks(split)) for split in SPLITS}
    if dataset.card.trained_on:
        assert sizes["train"] == sizes["validation"] == 0
    else:
        assert min(sizes.values()) > 0
    assert sizes["test"] > 0


def test_the_card_says_what_a_reader_needs(copy):
    card = copy().card
    for fact in ("licence", "citation", "size", "how_to_get", "source", "splits", "when_gone"):
        assert getattr(card, fact), fact
        assert "\n" not in getattr(card, fact)
    assert card.annotations


def test_a_missing_file_is_refused_or_accepted_by_name(copy):
    gone = copy().tracks("test")[0]
    gone.audio_path.unlink()
    with pytest.raises(DatasetError, match=re.escape(gone.audio_path.name)) as error:
        copy().tracks("test")
    assert "\n" not in str(error.value)
    assert "partial" in str(error.value)
    part = copy(partial=True)
    rest = tracks(part)
    assert gone.id not in {track.id for track in rest}
    assert len(rest) == part.count - 1 or part.card.name.startswith("mtg_jamendo")
    assert f"partial-{len(rest)}of{part.count}" in part.revision
    assert part.status() == f"partial ({len(rest)} of {part.count})"


def test_an_unreadable_file_is_named(copy):
    track = copy().tracks("test")[0]
    track.audio_path.write_bytes(b"\0" * 100)
    with pytest.raises(DatasetError, match=re.escape(track.audio_path.name)) as error:
        copy().prepare_data()
    assert "\n" not in str(error.value)


def test_an_absent_dataset_says_how_to_get_it(copy, tmp_path):
    kind = type(copy())
    absent = kind(cache=tmp_path / "nothing", data=tmp_path / "nowhere")
    assert absent.status() == "absent"
    with pytest.raises(DatasetError) as error:
        absent.prepare_data()
    assert kind.card.how_to_get in str(error.value)


def test_tables_that_cannot_be_read_are_named(copy, tmp_path):
    kind = type(copy())
    tables = [
        path
        for path in (tmp_path / "data").rglob("*")
        if path.suffix in (".csv", ".tsv", ".json", ".txt") and path.is_file()
    ]
    for table in tables:
        table.write_bytes(b"\xff\xfe\x00broken \x81")
    if tables:
        with pytest.raises(DatasetError) as error:
            copy().prepare_data()
        assert "\n" not in str(error.value)
        assert kind.card.name in str(error.value)


def test_links_have_checksums_and_names(copy):
    for remote in copy().remotes():
        assert remote.urls
        parts = isinstance(remote.checksum, tuple)
        checksums = remote.checksum if parts else (remote.checksum,)
        assert len(checksums) == (len(remote.urls) if parts else 1)
        for checksum in checksums:
            algorithm, _, digest = checksum.partition(":")
            assert len(digest) == {"md5": 32, "sha1": 40, "sha256": 64}[algorithm]
            int(digest, 16)
        assert "/" not in remote.name
        assert all(url.startswith(("https://", "http://")) for url in remote.urls)


def test_annotations_are_the_same_on_every_reading(copy):
    first, second = tracks(copy()), tracks(copy())
    assert [(t.id, t.group, t.duration) for t in first] == [
        (t.id, t.group, t.duration) for t in second
    ]
    for one, other in zip(first, second, strict=True):
        if one.has(Beats):
            assert np.array_equal(one.get(Beats).times, other.get(Beats).times)
