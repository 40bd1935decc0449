"""Files of Debian packages, fetched by ``apt-get`` without root and without installing anything."""

import os
import shutil
import subprocess
import tarfile
from collections.abc import Collection
from pathlib import Path

from motionbeat.data_modules.base import DatasetError

LARGEST = 4 << 30
"""Bytes of a file in a package at most; the largest that is used has 1.4 GB."""


class PackageError(DatasetError):
    """A package that cannot be had, with the reason."""


def extract(package: str, work: Path, wanted: Collection[str] | None = None) -> Path:
    """Download a package into a folder, and extract its regular files there.

    The package itself is deleted. No file lands outside the folder.

    Args:
        package: name of the package.
        work: an empty folder.
        wanted: paths of the files to extract, such as ``usr/share/sounds/a.ogg``; None for all.

    Returns:
        The folder in which the files lie at their paths.

    Raises:
        PackageError: there is no ``apt-get``, or it does not know or get the package; the package
            is damaged, or lacks a wanted file.
    """
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        raise PackageError(f"{package} is not installed and there is no apt-get to fetch it")
    tree = work / "tree"
    try:
        archive = _download(package, work)
        found = _unpack(archive, tree, wanted)
        archive.unlink()
    except subprocess.CalledProcessError as error:
        reason = (error.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise PackageError(f"cannot get {package}: {error.cmd[0]} says: {reason}") from error
    except tarfile.TarError as error:
        raise PackageError(f"{package} cannot be unpacked ({error})") from error
    if lacking := sorted(set(wanted or ()) - found):
        raise PackageError(f"{archive.name} has no {lacking[0]}")
    return tree


def _download(package: str, work: Path) -> Path:
    """Fetch a package by ``apt-get``, with its own lists of packages where the system has none."""
    try:
        _run(work, "apt-get", "download", package)
    except subprocess.CalledProcessError:
        for folder in ("lists", "archives"):
            (work / folder / "partial").mkdir(parents=True)
        own_lists = ("-o", f"Dir::State::Lists={work / 'lists'}", "-o", f"Dir::Cache={work}")
        _run(work, "apt-get", *own_lists, "update")
        _run(work, "apt-get", *own_lists, "download", package)
    return next(work.glob(f"{package}_*.deb"))


def _unpack(archive: Path, tree: Path, wanted: Collection[str] | None) -> set[str]:
    """Extract files of a package as they come out of its compressed stream; return their paths."""
    command = ("dpkg-deb", "--fsys-tarfile", str(archive))
    found = set()
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, env=_environment()) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            with tarfile.open(fileobj=process.stdout, mode="r|") as members:
                for member in members:
                    path = member.name.removeprefix("./")
                    if not member.isfile() or (wanted is not None and path not in wanted):
                        continue
                    if member.size > LARGEST:
                        raise tarfile.TarError(f"{path} has {member.size} bytes")
                    members.extract(member, tree, filter="data")
                    found.add(path)
            while process.stdout.read(1 << 16):  # padding, without which dpkg-deb would fail
                pass
        except tarfile.ReadError:  # of which dpkg-deb knows the cause
            if not process.wait():
                raise
        finally:
            process.stdout.close()
            said = process.stderr.read().decode(errors="replace")
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command, stderr=said)
    return found


def _run(work: Path, *command: str) -> None:
    subprocess.run(
        command, cwd=work, env=_environment(), check=True, capture_output=True, text=True
    )


def _environment() -> dict[str, str]:
    return os.environ | {"LC_ALL": "C"}
