"""Digests of files: what audio is known by, in the embedding store and in the keys of runs."""

import hashlib
import json
import time
import uuid
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cache
from os import stat_result
from pathlib import Path

from joblib import cpu_count

from motionbeat.console import bar
from motionbeat.encoding import TrackError
from motionbeat.files import WriteError, write_atomically

WORTHWHILE = 100_000  # bytes; smaller files are hashed about as fast as they are looked up
SETTLED = 2.0  # s; a file that changed later than this may change again at the same time stamp
_MOST = 16  # files of kept digests, before they are merged

_Known = tuple[str, int, int]  # absolute path, size, time of modification in ns
_known: dict[_Known, str] = {}


def file_digest(path: Path) -> str:
    """SHA-256 of a file; a file of known path, size and time of modification is not read again.

    Raises:
        TrackError: the file cannot be read.
    """
    try:
        key = _key(path, path.stat())
        if key not in _known:
            with path.open("rb") as file:
                _known[key] = hashlib.file_digest(file, "sha256").hexdigest()
        return _known[key]
    except OSError as error:
        raise TrackError(
            f"{path}: cannot be read ({error.strerror}); check the dataset's folder"
        ) from error


def file_digests(paths: Iterable[Path], folder: Path | None = None) -> dict[Path, str | TrackError]:
    """Digests of files, or the errors of files that cannot be read.

    Args:
        paths: the files, hashed in threads.
        folder: where digests of large files are kept for later commands; None to keep none.
    """
    if folder is not None:
        _recall(folder)
    before = set(_known)
    found: dict[Path, str | TrackError] = {}
    once = list(dict.fromkeys(paths))
    # Hashing releases the lock.
    with bar("files") as progress, ThreadPoolExecutor(cpu_count()) as pool:
        shown = progress.add_task("reading", total=len(once))
        for path, digest in zip(once, pool.map(_digest, once), strict=True):
            found[path] = digest
            progress.advance(shown)
    if folder is not None:
        _keep(folder, _known.keys() - before)
    return found


def _digest(path: Path) -> str | TrackError:
    try:
        return file_digest(path)
    except TrackError as error:
        return error


def _key(path: Path, status: stat_result) -> _Known:
    return str(path.absolute()), status.st_size, status.st_mtime_ns


@cache  # once per process is enough
def _recall(folder: Path) -> None:
    """Add the digests that are kept in a folder."""
    for path in folder.glob("*.json"):
        with suppress(OSError, ValueError, TypeError):  # it was merged meanwhile, or is damaged
            rows = json.loads(path.read_bytes())
            _known.update({(name, size, at): digest for name, size, at, digest in rows})


def _keep(folder: Path, keys: Iterable[_Known]) -> None:
    """Write new digests to a file of their own, so that no process waits for another."""
    latest = time.time_ns() - int(SETTLED * 1e9)
    new = [key for key in keys if key[1] >= WORTHWHILE and key[2] < latest]
    if not new:
        return
    merged = list(folder.glob("*.json"))
    if len(merged) >= _MOST:
        new = [key for key in _known if key[1] >= WORTHWHILE and key[2] < latest]
    rows = [[*key, _known[key]] for key in new]
    with suppress(WriteError):  # they are hashed again
        write_atomically(folder / f"{uuid.uuid4().hex}.json", json.dumps(rows).encode())
        if len(merged) >= _MOST:
            for path in merged:
                path.unlink(missing_ok=True)
