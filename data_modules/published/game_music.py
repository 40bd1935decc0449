"""Real, unlabelled music of free games, from Debian packages.

``game_music.csv`` lists the files: the package, the path in it, seconds, the licence and whom to
credit, both as the package's own copyright file has them. A path goes through an archive where the
package keeps its music in one (``.../public.zip/audio/...``). Only files that may be used under CC
BY, CC BY-SA or as public domain are listed. Sounds without music, copies at another speed and near
duplicates (``scripts/near_duplicates.py``) are not.
"""

import csv
import os
import shutil
import zipfile
import zlib
from collections.abc import Collection, Iterable
from functools import cache
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from filelock import FileLock

from motionbeat.console import bar
from motionbeat.data_modules import generated
from motionbeat.data_modules.base import DatasetCard, Licence
from motionbeat.data_modules.published import debian
from motionbeat.data_modules.published.collection import Published, Row
from motionbeat.files import replacing, scratch_folder

VALIDATION = frozenset(("flare-game", "widelands-data", "zaz-data", "cube2-data"))
"""Packages that are held out: 9 % of the hours. Nobody is credited in these and in others."""

_ARCHIVES = (".zip", ".pk3")
_LARGEST = 64 << 20  # bytes of a file in an archive; the largest that is used has 14 MB
_DURATION_TOLERANCE = 1.0  # seconds


class Piece(NamedTuple):
    """A line of the list."""

    package: str
    path: str
    seconds: float
    licence: str
    credit: str

    @property
    def name(self) -> str:
        """The name of the file."""
        return PurePosixPath(self.path).name

    @property
    def source(self) -> tuple[str, str]:
        """The path of a file of the package, and of a member of it where that is an archive."""
        path = PurePosixPath(self.path)
        for outer in path.parents:
            if outer.suffix in _ARCHIVES:
                return str(outer), str(path.relative_to(outer))
        return self.path, ""


@cache
def pieces() -> tuple[Piece, ...]:
    """All pieces, package by package."""
    with Path(__file__).with_suffix(".csv").open(encoding="utf-8", newline="") as lines:
        rows = list(csv.reader(lines))[1:]
    return tuple(
        Piece(package, path, float(seconds), licence, credit)
        for package, path, seconds, licence, credit in rows
    )


class GameMusic(Published):
    """Unlabelled music to pretrain on, in the formats that the packages have it in.

    Taken from ``<data>/game_music`` when there is such a folder, else from packages that
    ``apt-get`` fetches into the cache without root, one after the other. What is there already is
    not fetched again. Where a package cannot be had, the others are fetched before it is named, and
    ``partial`` uses what is there.
    """

    card = DatasetCard(
        name="game_music",
        revision="2",
        annotations=(Licence,),
        licence="by file: CC BY, public domain, CC BY-SA (each track's Licence)",
        citation="The composers named in game_music.csv; Debian, https://www.debian.org",
        size="249 pieces, 12.3 h, 0.8 GB; 4 GB to fetch, a package at a time",
        how_to_get=(
            "run where apt-get reaches the archive of Debian 12 (another release has other "
            "versions of the packages), or accept what is there by --dataset_options "
            "'{partial: true}'"
        ),
        source="https://packages.debian.org/bookworm/games/",
        relatives=("danced_music", "warped_salsa"),
        splits="ours: four packages, 9 % of the hours, for validation; none to test on",
        when_gone="Debian's archive of packages at https://snapshot.debian.org keeps them",
    )

    @property
    def count(self) -> int:  # type: ignore[override]
        """Pieces of the list."""
        return len(pieces())

    def rows(self) -> Iterable[Row]:
        """The pieces; a group is a package."""
        for piece in pieces():
            yield Row(
                "validation" if piece.package in VALIDATION else "train",
                f"{piece.package}/{piece.name}",
                f"{piece.package}/{piece.name}",
                piece.package,
                (Licence(piece.licence),),
            )

    def fetch(self) -> None:
        """Fetch the packages of which files are missing."""
        faults = []
        with generated.explained(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            with FileLock(self.folder / ".lock"), bar("packages") as progress:
                lacking = self._lacking()
                for package in progress.track(lacking, description=self.card.name):
                    try:
                        self._get(package, lacking[package])
                    except debian.PackageError as error:
                        faults.append(str(error))
        if faults:
            raise self.error("; ".join(faults))

    def prepare_data(self) -> None:
        """Fetch what is missing; check that all pieces are there and whole."""
        if not self.partial:
            self.fetch()
        super().prepare_data()
        stated = {f"{piece.package}/{piece.name}": piece.seconds for piece in pieces()}
        for row, seconds in zip(self._there, self._durations, strict=True):
            if abs(seconds - stated[row.id]) > _DURATION_TOLERANCE:
                raise self.error(
                    f"{self.folder / row.audio} has {seconds:.1f} s instead of "
                    f"{stated[row.id]:.1f}; delete it"
                )

    def _lacking(self) -> dict[str, list[Piece]]:
        """The pieces that are not there, by package."""
        lacking: dict[str, list[Piece]] = {}
        for piece in pieces():
            if not (self.folder / piece.package / piece.name).is_file():
                lacking.setdefault(piece.package, []).append(piece)
        return lacking

    def _get(self, package: str, lacking: Collection[Piece]) -> None:
        """Fetch a package, and put files of it where they belong."""
        target = self.folder / package
        target.mkdir(exist_ok=True)
        with scratch_folder(self.folder) as work:
            tree = debian.extract(package, work, {piece.source[0] for piece in lacking})
            for piece in lacking:
                outer, member = piece.source
                if member:
                    _unzip(tree / outer, member, target / piece.name)
                else:
                    os.replace(tree / outer, target / piece.name)


def _unzip(archive: Path, member: str, target: Path) -> None:
    """Write one member of an archive to a file, whole or not at all."""
    try:
        with zipfile.ZipFile(archive) as file:
            info = file.getinfo(member)
            if info.file_size > _LARGEST:
                raise zipfile.BadZipFile(f"{info.file_size} bytes")
            with (
                file.open(info) as source,
                replacing(target) as unfinished,
                unfinished.open("wb") as sink,
            ):
                shutil.copyfileobj(source, sink)
    except KeyError as error:
        raise debian.PackageError(f"{archive.name} has no {member}") from error
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, RuntimeError) as error:
        raise debian.PackageError(f"{member} in {archive.name} is unreadable ({error})") from error
