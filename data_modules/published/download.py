"""Files from the web: fetched with resume, checked, unpacked without leaving their folder."""

import errno
import hashlib
import os
import shutil
import tarfile
import urllib.error
import urllib.request
import zipfile
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path

from filelock import FileLock
from rich.progress import Progress

from motionbeat.console import bytes_bar
from motionbeat.data_modules.base import DatasetError
from motionbeat.files import scratch_folder

_BLOCK = 1 << 20
_TIMEOUT = 60.0  # seconds without a byte
_UNREACHABLE = (urllib.error.URLError, ConnectionError, TimeoutError, HTTPException, ValueError)
_OF_THE_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS)


@dataclass(frozen=True)
class Remote:
    """A file on the web.

    Attributes:
        urls: where it is; several are the parts of one file, in order.
        checksum: ``md5:...``, ``sha1:...`` or ``sha256:...``; one of each part in a tuple.
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
    def checksums(self) -> tuple[str, ...]:
        """The checksum of each part."""
        return (self.checksum,) if isinstance(self.checksum, str) else self.checksum

    @property
    def archive(self) -> bool:
        """Whether it is unpacked."""
        return self.name.endswith((".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2"))


def listed(host: str, *lines: str, folder: str = "") -> tuple[Remote, ...]:
    """Files of one host, each by a line as of ``sha256sum``: its checksum and its name."""
    algorithms = {32: "md5", 40: "sha1", 64: "sha256"}
    files = [line.split() for line in lines]
    return tuple(
        Remote((host + name,), f"{algorithms[len(digest)]}:{digest}", name, folder)
        for digest, name in files
    )


def fetch(remote: Remote, folder: Path, advice: str) -> None:
    """Fetch a file into a dataset's folder, or what is left of it; nothing is fetched twice.

    Raises:
        DatasetError: the link is dead, with advice what to do then; the checksum is wrong, the
            archive damaged or dangerous, or the disk full.
    """
    digest = remote.checksums[0].rpartition(":")[2]
    marker = folder / ".fetched" / f"{remote.name}.{digest[:16]}"
    try:
        marker.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{marker}.lock"):  # another process may be fetching it
            if not marker.is_file():
                _fetch(remote, folder, marker, advice)
    except OSError as error:
        raise DatasetError(
            f"{folder}: cannot be written ({error.strerror or error}); free some space or choose "
            "another folder"
        ) from error


def _fetch(remote: Remote, folder: Path, marker: Path, advice: str) -> None:
    parts = [marker.with_name(f"{remote.name}.{n}.part") for n in range(len(remote.urls))]
    with bytes_bar() as progress:
        for url, part in zip(remote.urls, parts, strict=True):
            _download(url, part, progress, remote.name, advice)
    try:
        for part, checksum in zip(parts, remote.checksums, strict=True):
            verify(part, checksum)
    except DatasetError:
        for part in parts:
            part.unlink()
        raise
    target = folder / remote.folder
    target.mkdir(parents=True, exist_ok=True)
    with scratch_folder(target) as work:
        tree, whole = work / "tree", parts[0]
        tree.mkdir()
        if len(parts) > 1 or not remote.archive:
            whole = work / remote.name if remote.archive else tree / remote.name
            with whole.open("wb") as file:
                for part in parts:
                    with part.open("rb") as more:
                        shutil.copyfileobj(more, file, _BLOCK)
        if remote.archive:
            unpack(whole, tree, remote.name)
        for inner in remote.lifted:
            if (tree / inner).is_dir():
                _merge(tree / inner, target)
                shutil.rmtree(tree / inner)
        _merge(tree, target)
    marker.touch()
    for part in parts:
        part.unlink()


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


def unpack(archive: Path, folder: Path, name: str) -> None:
    """Unpack an archive; no member of it lands outside the folder."""
    try:
        if name.endswith(".zip"):  # whose reader makes all names relative
            with zipfile.ZipFile(archive) as file:
                file.extractall(folder)
        else:
            with tarfile.open(archive) as tar:
                tar.extractall(folder, filter="data")
    except Exception as error:  # a damaged archive may fail in any way
        if isinstance(error, OSError) and error.errno in _OF_THE_DISK:
            raise
        reason = str(error).partition("\n")[0]
        raise DatasetError(f"{name}: cannot be unpacked ({reason}); fetch it again") from error


def _download(url: str, path: Path, progress: Progress, name: str, advice: str) -> None:
    """Fetch what a file lacks; a finished one is known by the server's word alone."""
    have = path.stat().st_size if path.is_file() else 0
    request = urllib.request.Request(url, headers={"User-Agent": "motionbeat"})
    if have:
        request.add_header("Range", f"bytes={have}-")
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT) as answer:
            resumed = answer.status == 206
            length = answer.headers.get("Content-Length")
            start = have if resumed else 0
            total = start + int(length) if length else None
            bar = progress.add_task(name, total=total, completed=start)
            with path.open("ab" if resumed else "wb") as file:
                while block := answer.read(_BLOCK):
                    file.write(block)
                    progress.advance(bar, len(block))
                done = file.tell()
    except urllib.error.HTTPError as error:
        if error.code == 416 and have:  # nothing is left to fetch
            return
        reason = f"the server says {error.code} {error.reason}"
        raise DatasetError(f"{url}: {reason}; {advice}") from error
    except _UNREACHABLE as error:
        what = error.reason if isinstance(error, urllib.error.URLError) else error
        raise DatasetError(f"{url}: cannot be reached ({what}); {advice}") from error
    if total is not None and done < total:
        raise DatasetError(
            f"{url}: the connection broke after {done} of {total} bytes; run the same command "
            "again to go on"
        )


def _merge(source: Path, target: Path) -> None:
    """Move a tree into another one, replacing files."""
    for path in sorted(source.rglob("*")):
        place = target / path.relative_to(source)
        if path.is_dir():
            place.mkdir(exist_ok=True)
        else:
            os.replace(path, place)
