"""Files from the web: fetched with resume, checked, unpacked without leaving their folder."""

import hashlib
import os
import shutil
import tarfile
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path, PureWindowsPath

from rich.progress import Progress

from motionbeat.console import bytes_bar
from motionbeat.data_modules.base import DatasetError
from motionbeat.files import scratch_folder

_BLOCK = 1 << 20
_TIMEOUT = 60.0  # seconds without a byte
_UNREACHABLE = (
    urllib.error.URLError,
    ConnectionError,
    TimeoutError,
    HTTPException,
    ValueError,
)
_DAMAGED = (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, NotImplementedError)


@dataclass(frozen=True)
class Remote:
    """A file on the web.

    Attributes:
        urls: where it is; several are the parts of one file, in order.
        checksum: of the whole file, as ``md5:...``, ``sha1:...`` or ``sha256:...``; a tuple where
            checksums are published of the parts alone.
        name: of the file; ``.zip``, ``.tar``, ``.tar.gz``, ``.tgz`` and ``.tar.bz2`` are unpacked.
        folder: below the dataset's folder, where it or what it holds goes.
        lifted: folders of the archive whose content goes to ``folder`` itself.
    """

    urls: tuple[str, ...]
    checksum: str | tuple[str, ...]
    name: str
    folder: str = ""
    lifted: tuple[str, ...] = ()

    @property
    def archive(self) -> bool:
        """Whether it is unpacked."""
        return self.name.endswith((".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2"))


def fetch(remote: Remote, folder: Path, advice: str) -> None:
    """Fetch a file into a dataset's folder, or what is left of it; nothing is fetched twice.

    Args:
        remote: the file.
        folder: of the dataset.
        advice: what to do when the link is dead, for the message.

    Raises:
        DatasetError: the link is dead, the checksum wrong, the archive damaged or dangerous, or
            the disk full.
    """
    of_parts = isinstance(remote.checksum, tuple)
    checksums = remote.checksum if isinstance(remote.checksum, tuple) else (remote.checksum,)
    marker = folder / ".fetched" / f"{remote.name}.{checksums[0].rpartition(':')[2][:16]}"
    if marker.is_file():
        return
    parts = [marker.with_name(f"{remote.name}.{n}.part") for n in range(len(remote.urls))]
    try:
        marker.parent.mkdir(parents=True, exist_ok=True)
        with bytes_bar() as progress:
            for url, part in zip(remote.urls, parts, strict=True):
                _download(url, part, progress, remote.name, advice)
        whole = parts[0] if len(parts) == 1 else marker.with_name(f"{remote.name}.whole.part")
        try:
            if of_parts:
                for part, checksum in zip(parts, checksums, strict=True):
                    verify(part, checksum)
            if len(parts) > 1:
                _join(parts, whole)
            if not of_parts:
                verify(whole, checksums[0])
        except DatasetError:
            for part in (whole, *parts):
                part.unlink(missing_ok=True)
            raise
        target = folder / remote.folder
        target.mkdir(parents=True, exist_ok=True)
        if remote.archive:
            unpack(whole, target, remote.name, remote.lifted)
        else:
            shutil.copyfile(whole, target / f".{remote.name}")
            os.replace(target / f".{remote.name}", target / remote.name)
        marker.touch()
        for part in (whole, *parts):
            part.unlink(missing_ok=True)
    except OSError as error:
        raise DatasetError(
            f"{folder}: cannot be written ({error.strerror or error}); free some space or choose "
            "another folder"
        ) from error


def _join(parts: Sequence[Path], whole: Path) -> None:
    with whole.open("wb") as file:
        for part in parts:
            with part.open("rb") as more:
                shutil.copyfileobj(more, file, _BLOCK)


def verify(path: Path, checksum: str) -> None:
    """Compare a file with ``algorithm:hex``.

    Raises:
        DatasetError: they differ.
    """
    algorithm, _, expected = checksum.partition(":")
    with path.open("rb") as file:
        found = hashlib.file_digest(file, algorithm).hexdigest()
    if found != expected:
        raise DatasetError(
            f"{path}: its {algorithm} is {found[:12]}..., not the published {expected[:12]}...; "
            "fetch it again"
        )


def unpack(archive: Path, folder: Path, name: str, lifted: tuple[str, ...] = ()) -> None:
    """Unpack an archive into a folder, all of it or nothing.

    Args:
        archive: a zip or tar file.
        folder: existing; files in it stay, those of the same name are replaced.
        name: of the archive, whose ending says of which kind it is.
        lifted: folders of the archive whose content goes to the folder itself.

    Raises:
        DatasetError: the archive is damaged, or a member would land outside the folder.
    """
    with scratch_folder(folder) as tree:
        with _explained(name):
            if name.endswith(".zip"):
                with zipfile.ZipFile(archive) as file:
                    _check(name, file.namelist())
                    file.extractall(tree)
            else:
                with tarfile.open(archive) as tar:
                    _check(name, tar.getnames())
                    tar.extractall(tree, filter="data")
        for inner in lifted:
            if (tree / inner).is_dir():
                _merge(tree / inner, folder)
                shutil.rmtree(tree / inner)
        _merge(tree, folder)


def _download(url: str, path: Path, progress: Progress, name: str, advice: str) -> None:
    """Fetch what a file lacks; a finished one is known by the server's word alone."""
    have = path.stat().st_size if path.is_file() else 0
    request = urllib.request.Request(url, headers={"User-Agent": "motionbeat"})
    if have:
        request.add_header("Range", f"bytes={have}-")
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT) as answer:
            resumed = getattr(answer, "status", None) == 206
            length = answer.headers.get("Content-Length")
            start = have if resumed else 0
            total = start + int(length) if length else None
            bar = progress.add_task(name, total=total, completed=start)
            with path.open("ab" if resumed else "wb") as file:
                while block := answer.read(_BLOCK):
                    file.write(block)
                    progress.advance(bar, len(block))
                done = file.tell()
            if total is not None and done < total:
                raise DatasetError(
                    f"{url}: the connection broke after {done} of {total} bytes; run the same "
                    "command again to go on"
                )
    except urllib.error.HTTPError as error:
        if error.code == 416 and have:  # nothing is left to fetch
            return
        raise DatasetError(f"{url}: the server says {error.code} {error.reason}; {advice}") from (
            error
        )
    except _UNREACHABLE as error:
        reason = getattr(error, "reason", error)
        raise DatasetError(f"{url}: cannot be reached ({reason}); {advice}") from error


def _check(name: str, members: list[str]) -> None:
    for member in members:
        path = PureWindowsPath(member)  # knows drives and both kinds of slash
        if path.anchor or ".." in path.parts:
            raise DatasetError(
                f"{name}: its member {member} would be written outside the dataset's folder; "
                "do not trust this archive"
            )


@contextmanager
def _explained(name: str) -> Iterator[None]:
    try:
        yield
    except (*_DAMAGED, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # of the disk; those of gzip and bzip2 have no number
        reason = str(error).partition("\n")[0]
        raise DatasetError(f"{name}: cannot be unpacked ({reason}); fetch it again") from error


def _merge(source: Path, target: Path) -> None:
    """Move a tree into another one, replacing files."""
    for path in sorted(source.rglob("*")):
        place = target / path.relative_to(source)
        if path.is_dir():
            place.mkdir(exist_ok=True)
        else:
            os.replace(path, place)
