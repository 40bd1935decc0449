"""Atomic writing: a file is either complete or absent, even if the process is killed."""

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
"""Age in seconds at which an unfinished file counts as left by a killed process and is removed."""

_UNFINISHED = re.compile(r"\..*\.[0-9a-f]{32}")


class WriteError(MotionBeatError):
    """A file that cannot be written; the message has the remedy."""


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path; the file written there is moved to ``path`` at the end of the block.

    Missing folders are created. If writing fails, no partial file is left.

    Raises:
        WriteError: the folder is not writable, or the disk is full.
    """
    unfinished = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        with _explained(path.parent):
            path.parent.mkdir(parents=True, exist_ok=True)
            _sweep(path.parent)
            yield unfinished
            os.replace(unfinished, path)
    finally:
        with suppress(OSError):
            unfinished.unlink()


@contextmanager
def _explained(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        fault = "the disk is full" if full else f"cannot be written ({error.strerror})"
        raise WriteError(
            f"{folder}: {fault}; free some space, make it writable or choose another folder"
        ) from error


def check_writable(folder: Path) -> None:
    """Create a folder if it is missing, and check that files can be written into it.

    Raises:
        WriteError: the folder is not writable, or the disk is full.
    """
    with _explained(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with scratch_folder(folder):
            pass


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file through :func:`replacing`."""
    with replacing(path) as unfinished:
        unfinished.write_bytes(content)


@contextmanager
def scratch_folder(parent: Path) -> Iterator[Path]:
    """Yield a new folder in ``parent``, and remove it with its content at the end of the block.

    It is on the disk of ``parent``, so that files can be moved out of it.

    Raises:
        OSError: the parent is not writable.
    """
    _sweep(parent)
    folder = parent / f".scratch.{uuid.uuid4().hex}"
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@cache  # once per process and folder is enough
def _sweep(folder: Path) -> None:
    """Remove unfinished files and scratch folders that killed processes left in a folder."""
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
