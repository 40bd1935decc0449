"""A folder of made pieces: every piece made once, kept after a kill, verified on every start.

A piece is made by its recipe: a picklable function that writes the piece's files into the folder
and returns what is known about it. The manifest of the folder is one file of JSON lines, a line a
finished piece, so that finishing a piece is one append and a kill costs only the pieces in the
making.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from itertools import compress
from pathlib import Path
from typing import Any

from filelock import FileLock

from motionbeat.console import bar
from motionbeat.data_modules.base import DataModule, DatasetError
from motionbeat.files import write_atomically
from motionbeat.processes import side_by_side

MANIFEST = "manifest.jsonl"


@dataclass(frozen=True)
class Piece:
    """What a recipe has made."""

    files: tuple[str, ...]  # names of the written files, relative to the library's folder
    labels: dict[str, Any]  # what is known about the piece, as JSON values


Recipe = Callable[[Path], Piece]
"""Writes the files of one piece into a folder; picklable, and the same files on every call."""


class Generated(DataModule):
    """A dataset whose pieces are made on the first :meth:`prepare_data` and kept in the cache."""

    @property
    def folder(self) -> Path:
        """Where the pieces and their manifest lie."""
        return self.cache / self.card.name / self.revision

    def pieces(self, ids: Iterable[str]) -> dict[str, Piece]:
        """The pieces with some ids, in their order.

        Raises:
            DatasetError: not all of them are made yet.
        """
        made, wanted = read(self.folder), list(ids)
        if missing := sum(id not in made for id in wanted):
            raise DatasetError(
                f"{self.folder}: {missing} pieces are missing; call prepare_data again"
            )
        return {id: made[id] for id in wanted}


_Entry = dict[str, Any]  # one line of the manifest: id, files (name to sha256), labels


def build(
    folder: Path, recipes: Mapping[str, Recipe], title: str, workers: int | None = None
) -> dict[str, Piece]:
    """Make the pieces that are missing or damaged, and leave the others as they are.

    Every file that should be there is compared with its sha256. Of two processes that build one
    folder the second waits, and finds everything made.

    Args:
        folder: the library; made when missing.
        recipes: recipe of each piece by its id.
        title: name in front of the progress bar.
        workers: number of processes, by default one a processor; 1 works in this one.

    Returns:
        The pieces by id, in the order of the recipes.

    Raises:
        DatasetError: the folder cannot be written, or the disk is full.
        ProcessError: a process was killed; finished pieces are kept.
    """
    with explained(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / ".lock"):
            kept = {id: entry for id, entry in _intact(folder).items() if id in recipes}
            missing = {id: recipe for id, recipe in recipes.items() if id not in kept}
            if missing:
                write_atomically(folder / MANIFEST, "".join(map(_line, kept.values())).encode())
                with (folder / MANIFEST).open("a", encoding="utf-8") as manifest:
                    for entry in _made(folder, missing, title, workers):
                        manifest.write(_line(entry))
                        manifest.flush()
                        kept[entry["id"]] = entry
    return _pieces({id: kept[id] for id in recipes})


def intact(folder: Path) -> dict[str, Piece]:
    """The pieces that are finished and undamaged, by id; none where there is no library."""
    return _pieces(_intact(folder))


def read(folder: Path) -> dict[str, Piece]:
    """The finished pieces of a library by id, as its manifest has them, without verification.

    Raises:
        DatasetError: the folder holds no library.
    """
    if not (folder / MANIFEST).is_file():
        raise DatasetError(f"{folder}: nothing made here yet; call prepare_data first")
    return _pieces(_entries(folder))


def _pieces(entries: dict[str, _Entry]) -> dict[str, Piece]:
    return {id: Piece(tuple(entry["files"]), entry["labels"]) for id, entry in entries.items()}


def _line(entry: _Entry) -> str:
    return json.dumps(entry, sort_keys=True) + "\n"


def _entries(folder: Path) -> dict[str, _Entry]:
    entries: dict[str, _Entry] = {}
    path = folder / MANIFEST
    for line in path.read_bytes().splitlines() if path.is_file() else ():
        with suppress(ValueError):  # the line a kill cut off: its piece is made again
            entry = json.loads(line)
            entries[entry["id"]] = entry
    return entries


def _sha256(path: Path) -> str | None:
    if not path.is_file():
        return None
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _intact(folder: Path) -> dict[str, _Entry]:
    def whole(entry: _Entry) -> bool:
        return all(_sha256(folder / name) == digest for name, digest in entry["files"].items())

    entries = _entries(folder)
    with ThreadPoolExecutor() as pool:  # hashing releases the interpreter lock
        good = pool.map(whole, entries.values())
        return dict(compress(entries.items(), good))


def _make(folder: Path, id: str, recipe: Recipe) -> _Entry:
    piece = recipe(folder)
    files = {name: _sha256(folder / name) for name in piece.files}
    return {"id": id, "files": files, "labels": piece.labels}


def _made(
    folder: Path, recipes: Mapping[str, Recipe], title: str, workers: int | None
) -> Iterator[_Entry]:
    jobs = [partial(_make, folder, id, recipe) for id, recipe in recipes.items()]
    with bar("pieces") as progress:
        yield from progress.track(side_by_side(jobs, workers), total=len(jobs), description=title)


@contextmanager
def explained(folder: Path) -> Iterator[None]:
    """Turn what an operating system may refuse into one line with its remedy."""
    try:
        yield
    except OSError as error:
        raise DatasetError(
            f"{folder}: cannot be written ({error.strerror or error}); "
            "free disk space or choose another cache folder"
        ) from error
