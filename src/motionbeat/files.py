"""Files that are either whole or absent, whatever kills the process."""

import errno
import os
import re
import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

from motionbeat.errors import MotionBeatError

ABANDONED = 24 * 3600.0
"""Seconds after which something unfinished is taken for that of a killed process, and removed."""

_UNFINISHED = re.compile(r"\..*\.[0-9a-f]{32}")


class WriteError(MotionBeatError):
    """A file that could not be written, with the remedy."""


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A place to write a file at, which takes its final place once all is written there.

    Folders are made as needed; nothing is left when writing fails.

    Raises:
        WriteError: the folder cannot be written or its disk is full.
    """
    unfinished = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _sweep(path.parent)
        yield unfinished
        os.replace(unfinished, path)
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        fault = "the disk is full" if full else f"cannot be written ({error.strerror})"
        raise WriteError(
            f"{path.parent}: {fault}; free some space, allow writing or choose another folder"
        ) from error
    finally:
        with suppress(OSError):
            unfinished.unlink()


def write_atomically(path: Path, content: bytes) -> None:
    """Write a whole file as :func:`replacing` does."""
    with replacing(path) as unfinished:
        unfinished.write_bytes(content)


@contextmanager
def scratch_folder(parent: Path) -> Iterator[Path]:
    """A folder beside what will be moved out of it; removed in the end with all that is left.

    Raises:
        OSError: the parent cannot be written.
    """
    _sweep(parent)
    folder = parent / f".scratch.{uuid.uuid4().hex}"
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@cache  # once a process and folder is enough
def _sweep(folder: Path) -> None:
    """Remove what killed processes left unfinished in a folder."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if not _UNFINISHED.fullmatch(entry.name):
                continue
            with suppress(OSError):  # another process may have removed it
                if time.time() - entry.stat(follow_symlinks=False).st_mtime < ABANDONED:
                    continue
                if entry.is_dir(follow_symlinks=False):
                    shutil.rmtree(entry.path)
                else:
                    os.unlink(entry.path)
