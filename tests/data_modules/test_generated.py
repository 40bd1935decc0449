"""Libraries of made pieces: every piece once, whole, and again only when it is damaged."""

import errno
import multiprocessing
import os
from functools import partial
from pathlib import Path

import pytest

from motionbeat.data_modules import generated
from motionbeat.data_modules.base import DatasetError
from motionbeat.data_modules.generated import Piece
from motionbeat.errors import MotionBeatError


def make(id: str, folder: Path) -> Piece:
    """A piece whose file says its name; a log beside the library counts the calls."""
    with (folder.parent / "calls").open("a") as calls:
        calls.write(id + "\n")
    (folder / f"{id}.txt").write_text(f"piece {id}")
    return Piece((f"{id}.txt",), {"name": id})


def fail(id: str, folder: Path) -> Piece:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def kill(id: str, folder: Path) -> Piece:
    os._exit(9)


def recipes(ids: str) -> dict[str, generated.Recipe]:
    return {id: partial(make, id) for id in ids}


def calls(folder: Path) -> list[str]:
    path = folder.parent / "calls"
    made = sorted(path.read_text().split()) if path.exists() else []
    path.unlink(missing_ok=True)
    return made


@pytest.mark.parametrize("workers", [1, 2])
def test_a_second_build_makes_nothing(tmp_path, workers):
    folder = tmp_path / "deep" / "library"
    first = generated.build(folder, recipes("cab"), "test", workers)
    assert list(first) == ["c", "a", "b"]
    assert first["a"] == Piece(("a.txt",), {"name": "a"})
    assert calls(folder) == ["a", "b", "c"]
    assert generated.build(folder, recipes("cab"), "test", workers) == first
    assert calls(folder) == []
    assert generated.read(folder) == first


def test_damaged_and_missing_files_are_made_again(tmp_path):
    folder = tmp_path / "library"
    generated.build(folder, recipes("abc"), "test", 1)
    calls(folder)
    (folder / "a.txt").write_text("piece b")  # as long as before
    (folder / "b.txt").unlink()
    generated.build(folder, recipes("abc"), "test", 1)
    assert calls(folder) == ["a", "b"]
    assert (folder / "a.txt").read_text() == "piece a"


def test_a_cut_off_manifest_loses_its_last_piece_alone(tmp_path):
    folder = tmp_path / "library"
    generated.build(folder, recipes("abc"), "test", 1)
    calls(folder)
    manifest = folder / generated.MANIFEST
    manifest.write_bytes(manifest.read_bytes()[:-5])
    generated.build(folder, recipes("abc"), "test", 1)
    assert calls(folder) == ["c"]
    assert set(generated.read(folder)) == set("abc")


@pytest.mark.parametrize("bad", [fail, kill])
def test_pieces_finished_before_a_failure_are_kept(tmp_path, bad):
    folder = tmp_path / "library"
    generated.build(folder, recipes("ab"), "test", 1)
    calls(folder)
    plan = recipes("ab") | {"x": partial(bad, "x"), "y": partial(bad, "y")}
    with pytest.raises(MotionBeatError, match=r"free disk space|run again") as caught:
        generated.build(folder, plan, "test", 2)
    assert "\n" not in str(caught.value)
    generated.build(folder, recipes("ab"), "test", 1)
    assert calls(folder) == []


def test_reading_what_was_never_made_says_what_to_do(tmp_path):
    with pytest.raises(DatasetError, match="prepare_data"):
        generated.read(tmp_path)


def build(folder: Path) -> None:
    generated.build(folder, recipes("abcdef"), "test", 1)


def test_two_processes_make_every_piece_once(tmp_path):
    folder = tmp_path / "library"
    builders = [multiprocessing.Process(target=build, args=(folder,)) for _ in range(2)]
    for builder in builders:
        builder.start()
    for builder in builders:
        builder.join()
        assert builder.exitcode == 0
    assert calls(folder) == list("abcdef")
    assert list(generated.intact(folder)) == list("abcdef")
