"""Files of a dataset that is an archive or a folder, read safely: nothing is unpacked to disk."""

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from motionbeat.data_modules.base import DatasetError


def content(source: Path, folder: str, name: str, largest: int) -> bytes:
    """The bytes of one file of a dataset.

    Args:
        source: the dataset's archive, or its folder.
        folder: name of that folder in the archive.
        name: of the file below the folder; one that the program knows or has looked up.
        largest: bytes that a member of an archive may have.

    Raises:
        DatasetError: the file is missing, too large or cannot be read.
    """
    with readable(source, f"{folder}/{name}"):
        if source.is_dir():
            return (source / name).read_bytes()
        with zipfile.ZipFile(source) as archive:
            member = archive.getinfo(f"{folder}/{name}")
            if member.file_size > largest:
                raise ValueError(f"{member.file_size} bytes when unpacked")
            return archive.read(member)


@contextmanager
def readable(source: Path, name: str = "") -> Iterator[None]:
    """Turn what may be wrong with an archive or a file of it into one line with its remedy."""
    what = f"{source}: {name}" if name else str(source)
    try:
        yield
    except KeyError as error:
        raise DatasetError(f"{what} is missing; get the dataset again") from error
    except (OSError, EOFError, ValueError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        raise DatasetError(f"{what} cannot be read ({error}); get the dataset again") from error
