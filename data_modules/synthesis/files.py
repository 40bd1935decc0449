"""Files that are either whole or absent, whatever kills the process."""

import os
from contextlib import suppress
from pathlib import Path

from data_modules.base import DatasetError


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file beside its final place, then move it there; folders are made as needed.

    Args:
        path: final place of the file.
        content: all of the file.

    Raises:
        DatasetError: the folder cannot be written to or its disk is full.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(content)
        os.replace(partial, path)
    except OSError as error:
        with suppress(OSError):
            partial.unlink()
        raise DatasetError(
            f"cannot write to {path.parent} ({error.strerror}); "
            "free some space, allow writing, or choose another cache folder"
        ) from error
