"""Files that are either whole or absent, whatever kills the process."""

import errno
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from motionbeat.errors import MotionBeatError


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
