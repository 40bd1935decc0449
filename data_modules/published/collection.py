"""Base of published datasets: read in their published layout, verified, downloaded."""

import json
import zlib
from abc import abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, TypeVar

import pandas as pd

from motionbeat.audio import AudioError, audio_duration
from motionbeat.console import bar
from motionbeat.data_modules.base import (
    Annotation,
    DataModule,
    DatasetError,
    Label,
    Labels,
    Pitch,
    Split,
    Track,
)
from motionbeat.data_modules.published.download import Remote, fetch, verify
from motionbeat.files import write_atomically

T = TypeVar("T")
_PITCHES = tuple(map(str, range(128)))


class Row(NamedTuple):
    """A track as listed in the metadata of a dataset, whether or not its audio is present.

    Attributes:
        split: split of the track.
        id: unique within the dataset.
        audio: path of the audio relative to the dataset's folder.
        group: artist, album, song or recording; a group is in one split only.
        annotations: annotations of the track.
        checksum: checksum of the audio as ``md5:...``; None if none is published.
        motion: path of the dance relative to the dataset's folder; None without a dance.
    """

    split: Split
    id: str
    audio: str
    group: str
    annotations: tuple[Annotation, ...]
    checksum: str | None = None
    motion: str | None = None


class Published(DataModule):
    """A dataset in its published layout, in ``<data>/<home>`` or downloaded to the cache.

    A subclass defines ``card``, ``count`` and :meth:`rows`, and ``links`` if it can be downloaded
    without a login.

    Args:
        partial: accept an incomplete copy; tables mark it.
        options: options of :class:`~motionbeat.data_modules.base.DataModule`.
    """

    count: int
    """Number of tracks of the complete dataset."""
    home: ClassVar[str] = ""
    """Folder of the dataset; by default its name."""
    links: ClassVar[tuple[Remote, ...]] = ()
    """Files that can be downloaded without a login."""
    classes: ClassVar[tuple[str, ...]] = ()
    """Valid names of labels other than pitches; empty if all names are valid."""

    def __init__(self, *, partial: bool = False, **options: Any) -> None:
        super().__init__(**options)
        self.partial = partial

    @classmethod
    def remotes(cls) -> Sequence[Remote]:
        """Files that can be downloaded without a login."""
        return cls.links

    @abstractmethod
    def rows(self) -> Iterable[Row]:
        """All tracks in the metadata of the dataset, in a fixed order.

        Raises:
            DatasetError: a table is missing or unreadable.
        """

    @property
    def folder(self) -> Path:
        """Folder of the dataset, or the folder to which it is downloaded."""
        home = self.home or self.card.name
        given = self.data / home if self.data else None
        return given if given and given.is_dir() else self.cache / home

    @property
    def revision(self) -> str:
        """The card's revision; for a partial copy also the number and a digest of its tracks."""
        if not self.partial:
            return self.card.revision
        ids = [row.id for row in self._there]
        which = zlib.crc32(" ".join(ids).encode())
        return f"{self.card.revision}-partial-{len(ids)}of{self.count}-{which:08x}"

    def fetch(self) -> None:
        """Download the files that need no login.

        Raises:
            DatasetError: the dataset cannot be downloaded, or a download failed.
        """
        if not self.remotes():
            raise DatasetError(f"{self.card.name} cannot be fetched: {self.card.how_to_get}")
        for remote in self.remotes():
            fetch(remote, self.folder, self.card.when_gone or self.card.how_to_get)

    def prepare_data(self) -> None:
        """Check that the dataset is complete and its audio readable.

        Raises:
            DatasetError: the check failed; the message says what is wrong and what to do.
        """
        _ = self._durations

    def status(self) -> str:
        """``present``, ``absent`` or ``partial (n of m)``, by the files that exist."""
        if not self.folder.is_dir():
            return "absent"
        try:
            there = len(self._there)
        except DatasetError:
            there = 0
        return "present" if there == self.count else f"partial ({there} of {self.count})"

    def tracks(self, split: Split) -> list[Track]:
        """The tracks of a split, in the order of the dataset's tables.

        Raises:
            DatasetError: the dataset is missing or incomplete, and no partial copy was asked for.
        """
        return [
            Track(row.id, self.folder / row.audio, seconds, row.group, row.annotations)
            for row, seconds in zip(self._there, self._durations, strict=True)
            if row.split == split
        ]

    def error(self, reason: str) -> DatasetError:
        """An error that says how to get the dataset."""
        return DatasetError(f"{self.card.name}: {reason}; {self.card.how_to_get}")

    def table(self, path: str, columns: Sequence[str], **options: Any) -> pd.DataFrame:
        """A CSV file of the dataset with certain columns; options are those of ``pandas.read_csv``.

        Raises:
            DatasetError: the file is missing or unreadable, or lacks columns.
        """
        file = self.folder / path
        with self.reading(file):
            table: pd.DataFrame = pd.read_csv(file, **options)
        if lacking := [column for column in columns if column not in table.columns]:
            raise self.error(f"{file} has no column {', '.join(lacking)}")
        return table

    def text(self, path: str) -> str:
        """A text file below the dataset's folder."""
        with self.reading(self.folder / path):
            return (self.folder / path).read_text(encoding="utf-8")

    @contextmanager
    def reading(self, what: object) -> Iterator[None]:
        """Turn whatever goes wrong while something is read into one line that names it."""
        try:
            yield
        except FileNotFoundError as error:
            raise self.error(f"{error.filename or what} is missing") from error
        except Exception as error:  # a stranger's file may fail in any way
            reason = str(error).strip().partition("\n")[0]
            raise self.error(f"{what} is unreadable ({reason})") from error

    def lookup(self, id: str, what: str, value: str, known: Mapping[str, T]) -> T:
        """What a value of a track stands for; an unknown value is a DatasetError."""
        if value not in known:
            raise self.error(f"track {id} has the unknown {what} '{value}'")
        return known[value]

    @cached_property
    def _listed(self) -> list[Row]:
        """All rows, their ids and classes checked."""
        if not self.folder.is_dir():
            raise self.error(f"no folder {self.folder}")
        rows = list(self.rows())
        twice = [id for id, times in Counter(row.id for row in rows).items() if times > 1]
        if twice:
            raise self.error(f"{len(twice)} ids stand twice, such as {twice[0]}")
        for row in rows:
            for found in row.annotations:
                self._check_classes(row.id, found)
                if fault := found.fault():
                    raise self.error(f"track {row.id}: {fault}")
        return rows

    def _check_classes(self, id: str, found: Annotation) -> None:
        held: set[str] = {found.name} if isinstance(found, Label) else set()
        if isinstance(found, Labels):
            held.update(found.names)
        known = _PITCHES if isinstance(found, Pitch) else self.classes or held
        if unknown := held.difference(known):
            kind = type(found).__name__.lower()
            raise self.error(f"track {id} has the unknown {kind} '{min(unknown)}'")

    def _missing(self, row: Row) -> str | None:
        """The first file of a row that is not there."""
        files = (row.audio, row.motion)
        return next((one for one in files if one and not (self.folder / one).is_file()), None)

    @cached_property
    def _there(self) -> list[Row]:
        """The rows whose files exist."""
        return [row for row in self._listed if not self._missing(row)]

    @cached_property
    def _durations(self) -> list[float]:
        """Seconds of each track that is there; readable files are looked into once."""
        there, listed = self._there, self._listed
        if not (self.partial or len(there) == len(listed) == self.count):
            reason = f"{self.folder} lists {len(listed)} tracks instead of {self.count}"
            if absent := [file for file in map(self._missing, listed) if file]:
                reason = (
                    f"files of {len(absent)} of {len(listed)} tracks are missing in {self.folder}, "
                    f"such as {absent[0]}"
                )
            raise self.error(
                f"{reason}; complete it, or accept a partial copy by "
                "--dataset_options '{partial: true}'"
            )
        place = zlib.crc32(str(self.folder.resolve()).encode())
        memory = self.cache / self.card.name / f"files-{place:08x}.json"
        try:
            known = json.loads(memory.read_text())
        except (OSError, ValueError):
            known = {}
        stats = {row.audio: (self.folder / row.audio).stat() for row in there}
        stamps = {audio: [stat.st_size, stat.st_mtime_ns] for audio, stat in stats.items()}
        fresh = [row for row in there if known.get(row.audio, [])[:2] != stamps[row.audio]]
        if fresh:
            with bar("files") as progress, ThreadPoolExecutor() as threads:
                seconds = threads.map(self._look_into, fresh)
                looked = progress.track(seconds, total=len(fresh), description=self.card.name)
                for row, length in zip(fresh, looked, strict=True):
                    known[row.audio] = [*stamps[row.audio], length]
            found = {audio: known[audio] for audio in stamps}
            write_atomically(memory, json.dumps(found).encode())
        return [known[row.audio][2] for row in there]

    def _look_into(self, row: Row) -> float:
        """Seconds of a track's audio, its checksum compared where there is one."""
        path = self.folder / row.audio
        if row.checksum:
            verify(path, row.checksum)
        try:
            return audio_duration(path)
        except AudioError as error:
            raise self.error(str(error)) from error


def names(listed: str) -> tuple[str, ...]:
    """Names from one text, with commas between them."""
    return tuple(" ".join(name.split()) for name in listed.split(","))


def hashed_split(group: str, validation: float = 0.15, test: float = 0.15) -> Split:
    """A split that follows from the name of a group alone, by the shares of the groups."""
    place = zlib.crc32(group.encode()) / 2**32
    if place < test:
        return "test"
    return "validation" if place < test + validation else "train"
