"""Bases of the rendered datasets: what is rendered once, kept, verified and read again."""

import io
import math
import zlib
from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from motionbeat.data_modules import generated
from motionbeat.data_modules.base import (
    Annotation,
    Beats,
    DataModule,
    DatasetError,
    Metre,
    MotionFile,
    Split,
    Tempo,
    Track,
)
from motionbeat.data_modules.generated import Piece, Recipe
from motionbeat.data_modules.rendered.sources import content

if TYPE_CHECKING:
    from mido import MidiFile

MARGIN, TAIL = 1.5, 0.6
"""Seconds of an excerpt kept from music, and of these for the last notes to ring."""


class Rendered(DataModule):
    """A dataset whose pieces are rendered on the first :meth:`prepare_data` and kept in the cache.

    Pieces are rendered in parallel; those that are finished survive a kill, and damaged ones are
    rendered again. A recipe writes ``<track>.flac``, and ``<track>.npz`` where the card promises a
    dance, and returns labels with ``beats``, ``positions``, ``bpm``, ``metre`` and ``duration``.
    """

    @property
    def folder(self) -> Path:
        """Where the pieces and their manifest lie."""
        return self.cache / self.card.name / self.revision

    @abstractmethod
    def recipes(self) -> Mapping[str, Recipe]:
        """The recipe of each piece by its id, in the order of the tracks.

        Raises:
            DatasetError: what it is made from is missing or broken.
        """

    @abstractmethod
    def place(self, id: str, labels: dict[str, Any]) -> tuple[Split, str]:
        """The split and the group of a track."""

    def annotations(self, labels: dict[str, Any]) -> tuple[Annotation, ...]:
        """What is known of a track beside its beats, tempo, metre and dance."""
        return ()

    def ids(self) -> Sequence[str]:
        """Ids of all pieces, in the order of the tracks."""
        return list(self.recipes())

    def entries(self, id: str, piece: Piece) -> Iterable[tuple[str, dict[str, Any]]]:
        """The tracks that a piece holds, with their labels."""
        return [(id, piece.labels)]

    def prepare_data(self) -> None:
        """Render the pieces that are missing or damaged; verify the others by their checksums.

        Raises:
            DatasetError: what they are made from is missing or broken, the folder cannot be
                written, or the disk is full.
        """
        generated.build(self.folder, self.recipes(), self.card.name)

    def tracks(self, split: Split) -> list[Track]:
        """The tracks of a split, in a fixed order.

        Raises:
            DatasetError: the pieces are not rendered yet, or not all of them.
        """
        pieces, ids = generated.read(self.folder), self.ids()
        if missing := sum(id not in pieces for id in ids):
            raise DatasetError(
                f"{self.folder}: {missing} pieces are missing; call prepare_data again"
            )
        tracks = []
        for name, labels in (entry for id in ids for entry in self.entries(id, pieces[id])):
            own, group = self.place(name, labels)
            if own == split:
                tracks.append(self._track(name, group, labels))
        return tracks

    def _track(self, name: str, group: str, labels: dict[str, Any]) -> Track:
        annotations: list[Annotation] = [
            Beats(np.array(labels["beats"], np.float64), np.array(labels["positions"], np.int64)),
            Tempo(labels["bpm"]),
            Metre(labels["metre"]),
            *self.annotations(labels),
        ]
        if MotionFile in self.card.annotations:
            annotations.append(MotionFile(self.folder / f"{name}.npz"))
        audio = self.folder / f"{name}.flac"
        return Track(name, audio, labels["duration"], group, tuple(annotations))


class Excerpts(Rendered):
    """Excerpts of performances in MIDI files, from a folder or an archive of the user's.

    An excerpt is the same however many are made.

    Args:
        seconds: longest excerpt.
        excerpts: how many of one recording or song at most; they do not overlap.
        options: of every dataset.

    Raises:
        DatasetError: less than 8 seconds or no excerpt.
    """

    shortest: ClassVar[float] = 8.0
    """Seconds that an excerpt has at least."""

    places: ClassVar[tuple[str, ...]]
    """The folder of the dataset, and its archives with that folder, as the user may have them."""

    def __init__(self, *, seconds: float = 30.0, excerpts: int = 1, **options: Any) -> None:
        super().__init__(**options)
        self.seconds = float(seconds)
        self.excerpts = excerpts
        if not (self.shortest <= seconds < math.inf) or excerpts < 1:
            raise DatasetError(
                f"{self.card.name} needs excerpts of {self.shortest:g} seconds or more, "
                "and 1 at least"
            )

    @property
    def revision(self) -> str:
        """The card's revision, the length of excerpts and their number."""
        return f"{self.card.revision}-{self.seconds}s-{self.excerpts}x"

    @property
    def source(self) -> Path:
        """The dataset's folder or archive.

        Raises:
            DatasetError: there is none.
        """
        for name in self.places if self.data else ():
            if self.data and (self.data / name).exists():
                return self.data / name
        raise DatasetError(f"{self.card.name} is missing; {self.card.how_to_get}")


def generator(id: str, stage: int) -> np.random.Generator:
    """What is drawn for an excerpt in one stage of its making."""
    return np.random.default_rng([zlib.crc32(id.encode()), stage])


def read_midi(source: Path, folder: str, name: str, largest: int) -> "MidiFile":
    """A MIDI file of a dataset.

    Args:
        source: the dataset's archive, or its folder.
        folder: name of that folder in the archive.
        name: of the file below the folder.
        largest: bytes that it may have.

    Raises:
        DatasetError: the file is missing, too large or corrupt.
    """
    import mido

    midi = content(source, folder, name, largest)
    try:
        return mido.MidiFile(file=io.BytesIO(midi))
    except Exception as error:  # mido lets through whatever a corrupt file makes it stumble over
        raise corrupt(source, name, f"is corrupt ({error})") from error


def corrupt(source: Path, name: str, what: str) -> DatasetError:
    """An error that says what is wrong with a file of a dataset."""
    return DatasetError(f"{source}: {name} {what}; get the dataset again")
