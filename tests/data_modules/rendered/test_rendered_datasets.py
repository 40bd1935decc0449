"""What holds for every rendered dataset, on a small one."""

import shutil
from typing import NamedTuple

import pytest
import soundfile
from tests.command import motionbeat
from tests.midi_sources import (
    SONGS,
    write_groove_folder,
    write_groove_zip,
    write_pop909_folder,
    write_pop909_zip,
)

from motionbeat.data_modules.base import SPLITS, DatasetError, MotionFile, check_splits
from motionbeat.data_modules.rendered import pop909
from motionbeat.data_modules.rendered.fiddle_tunes import FiddleTunes
from motionbeat.data_modules.rendered.groove_midi import GrooveMidi
from motionbeat.data_modules.rendered.groovebox import GrooveBox
from motionbeat.data_modules.rendered.pop909 import Pop909


class Case(NamedTuple):
    """A dataset, options that keep it small, one that makes more of it, writers of its source."""

    kind: type
    options: dict
    more: dict
    writers: tuple = ()


CASES = [
    Case(
        GrooveBox,
        {"train": 1, "validation": 1, "test": 1, "seconds": 5.0, "styles": ["house", "jig"]},
        {"train": 2},
    ),
    Case(FiddleTunes, {"train": 2, "validation": 1, "test": 1}, {"train": 3}),
    Case(GrooveMidi, {"seconds": 10}, {"excerpts": 2}, (write_groove_zip, write_groove_folder)),
    Case(Pop909, {"seconds": 10}, {"excerpts": 2}, (write_pop909_zip, write_pop909_folder)),
]


@pytest.fixture(autouse=True)
def few_songs(monkeypatch):
    monkeypatch.setattr(pop909, "_SONGS", SONGS)
    monkeypatch.delenv("MOTIONBEAT_DATA", raising=False)


@pytest.fixture(params=CASES, ids=lambda case: case.kind.card.name, scope="module")
def case(request):
    return request.param


@pytest.fixture(scope="module")
def place(case, tmp_path_factory):
    """A cache with the dataset, and its source."""
    place = tmp_path_factory.mktemp(case.kind.card.name)
    for write in case.writers[:1]:
        write(place / "data")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pop909, "_SONGS", SONGS)
        case.kind(cache=place / "cache", data=place / "data", **case.options).prepare_data()
    return place


@pytest.fixture
def dataset(case, place, tmp_path):
    """The dataset in a cache that a test may change."""
    shutil.copytree(place / "cache", tmp_path / "cache")
    return case.kind(cache=tmp_path / "cache", data=place / "data", **case.options)


def contents(dataset):
    return {
        path.name: path.read_bytes()
        for path in dataset.folder.glob("*.*")
        if path.suffix != ".jsonl"
    }


def test_tracks_keep_the_promises_of_the_card(dataset):
    splits = [dataset.tracks(split) for split in SPLITS]
    check_splits(splits)
    assert all(splits)
    assert dataset.status() == "present"
    assert dataset.card.data == ("synthetic" if dataset.card.name == "groovebox" else "rendered")
    assert dataset.card.renderer
    for track in (track for tracks in splits for track in tracks):
        assert soundfile.info(track.audio_path).duration == pytest.approx(track.duration, abs=1e-4)
        for kind in dataset.card.annotations:
            known = track.get(kind)
            assert known.end <= track.duration
            if kind is MotionFile:
                assert known.motion.duration == pytest.approx(track.duration, abs=0.02)


def test_a_larger_dataset_has_the_same_pieces_and_a_revision_of_its_own(
    case, place, dataset, tmp_path
):
    larger = case.kind(cache=tmp_path, data=place / "data", **(case.options | case.more))
    larger.prepare_data()
    assert larger.revision != dataset.revision
    same, more = contents(dataset), contents(larger)
    assert len(more) > len(same)
    tested = {track.audio_path.name for track in dataset.tracks("test")}
    assert all(more[name] == same[name] for name in tested)


def test_what_is_not_finished_says_so(case, place, dataset, tmp_path):
    absent = case.kind(cache=tmp_path / "none", data=place / "data", **case.options)
    assert absent.status() == "absent"
    with pytest.raises(DatasetError, match="prepare_data"):
        absent.tracks("train")
    manifest = dataset.folder / "manifest.jsonl"
    manifest.write_text("".join(manifest.read_text().splitlines(keepends=True)[:-1]))
    with pytest.raises(DatasetError, match="1 pieces are missing; call prepare_data again"):
        dataset.tracks("train")


def test_a_source_may_be_a_folder_and_must_be_there(case, dataset, tmp_path):
    if not case.writers:
        pytest.skip("made from nothing of the user's")
    case.writers[1](tmp_path / "unpacked")
    other = case.kind(cache=tmp_path / "other", data=tmp_path / "unpacked", **case.options)
    other.prepare_data()
    assert contents(other) == contents(dataset)
    for folder in (None, tmp_path):
        with pytest.raises(DatasetError, match=r"is missing; put .*MOTIONBEAT_DATA") as error:
            case.kind(cache=tmp_path, data=folder).prepare_data()
        assert "\n" not in str(error.value)
    for options in ({"seconds": 7.9}, {"seconds": float("inf")}, {"excerpts": 0}):
        with pytest.raises(DatasetError, match="8 seconds or more"):
            case.kind(cache=tmp_path, **options)


def test_embeds_from_the_command_line(case, place, tmp_path):
    if not case.writers:
        pytest.skip("made from nothing of the user's")
    name = case.kind.card.name
    ended = motionbeat(
        "embed", "--dataset", name, "--encoder", "logmel", "--dataset_options",
        "{seconds: 8}", "--data", place / "data", "--cache", tmp_path,
    )  # fmt: skip
    assert ended.code == 0, ended.said
    assert f"{name}: " in ended.said
