"""Bases of the rendered datasets: what is rendered once, kept, verified and read again."""

import io
import math
import zipfile
import zlib
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from motionbeat.data_modules import generated
from motionbeat.data_modules.base import (
    Annotation,
    Beats,
    DatasetError,
    Metre,
    MotionFile,
    Split,
    Tempo,
    Track,
)
from motionbeat.data_modules.generated import Generated, Piece, Recipe
from motionbeat.data_modules.rendered.synthesis.affect import Cues
from motionbeat.data_modules.rendered.synthesis.arranger import Score
from motionbeat.data_modules.rendered.synthesis.render import write_audio
from motionbeat.files import write_atomically

if TYPE_CHECKING:
    from mido import Message, MidiFile, MidiTrack

SHORTEST = 8.0
"""Seconds that an excerpt has at least."""

MARGIN, TAIL = 1.5, 0.6
"""Seconds of an excerpt kept from music, and of these for the last notes to ring."""

_LARGEST = 20_000_000  # bytes of a member of an archive; the largest of the datasets has 0.2 MB


class Rendered(Generated):
    """A dataset whose pieces are rendered on the first :meth:`prepare_data` and kept in the cache.

    Pieces are rendered in parallel; those that are finished survive a kill, and damaged ones are
    rendered again. A recipe writes ``<track>.flac``, and ``<track>.npz`` where the card promises a
    dance, and returns labels with ``beats``, ``positions``, ``bpm``, ``metre`` and ``duration``.
    """

    @abstractmethod
    def recipes(self) -> Mapping[str, Recipe]:
        """The recipe of each piece by its id, in the order of the tracks."""

    @abstractmethod
    def describe(self, id: str, labels: dict[str, Any]) -> tuple[Split, str, Sequence[Annotation]]:
        """Split, group, and what is known of a track beside beats, tempo, metre and dance."""

    def ids(self) -> Sequence[str]:
        """Ids of all pieces, in the order of the tracks."""
        return list(self.recipes())

    def entries(self, id: str, piece: Piece) -> Iterable[tuple[str, dict[str, Any]]]:
        """The tracks that a piece holds, with their labels."""
        return [(id, piece.labels)]

    def prepare_data(self) -> None:
        """Render the pieces that are missing or damaged; verify the others by their checksums.

        Raises:
            DatasetError: the source is missing or broken, or the folder cannot be written.
        """
        generated.build(self.folder, self.recipes(), self.card.name)

    def tracks(self, split: Split) -> list[Track]:
        """The tracks of a split, in a fixed order.

        Raises:
            DatasetError: the pieces are not rendered yet, or not all of them.
        """
        pieces = self.pieces(self.ids())
        entries = [entry for id, piece in pieces.items() for entry in self.entries(id, piece)]
        tracks = [self._track(name, labels) for name, labels in entries]
        return [track for own, track in tracks if own == split]

    def _track(self, name: str, labels: dict[str, Any]) -> tuple[Split, Track]:
        split, group, more = self.describe(name, labels)
        annotations: list[Annotation] = [
            Beats(np.array(labels["beats"], np.float64), np.array(labels["positions"], np.int64)),
            Tempo(labels["bpm"]),
            Metre(labels["metre"]),
            *more,
        ]
        if MotionFile in self.card.annotations:
            annotations.append(MotionFile(self.folder / f"{name}.npz"))
        audio = self.folder / f"{name}.flac"
        return split, Track(name, audio, labels["duration"], group, tuple(annotations))


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

    places: ClassVar[tuple[str, ...]]
    """The folder of the dataset, and its archives with that folder, as the user may have them."""

    def __init__(self, *, seconds: float = 30.0, excerpts: int = 1, **options: Any) -> None:
        super().__init__(**options)
        self.seconds = float(seconds)
        self.excerpts = excerpts
        if not (SHORTEST <= seconds < math.inf) or excerpts < 1:
            raise DatasetError(
                f"{self.card.name} needs excerpts of {SHORTEST:g} seconds or more, and 1 at least"
            )

    @property
    def revision(self) -> str:
        """The card's revision, the length of excerpts and their number."""
        return f"{self.card.revision}-{self.seconds}s-{self.excerpts}x"

    @property
    def source(self) -> "Source":
        """The dataset's folder or archive.

        Raises:
            DatasetError: there is none.
        """
        for name in self.places:
            if self.data and (self.data / name).exists():
                return Source(self.data / name, self.places[0])
        raise DatasetError(f"{self.card.name} is missing; {self.card.how_to_get}")


@dataclass(frozen=True)
class Source:
    """Files of a dataset, read safely; nothing is unpacked to disk.

    Methods raise a ``DatasetError`` when a file is missing, too large or corrupt.
    """

    path: Path  # the dataset's folder, or an archive with it
    folder: str  # its name in the archive

    def content(self, name: str) -> bytes:
        """The bytes of one file below the folder."""
        try:
            if self.path.is_dir():
                if not (self.path / name).resolve().is_relative_to(self.path.resolve()):
                    raise KeyError(name)
                return (self.path / name).read_bytes()
            with zipfile.ZipFile(self.path) as archive:
                member = archive.getinfo(f"{self.folder}/{name}")
                if member.file_size > _LARGEST:
                    raise ValueError(f"{member.file_size} bytes when unpacked")
                return archive.read(member)
        except (KeyError, FileNotFoundError) as error:
            raise self.fault(name, "is missing") from error
        except (OSError, EOFError, ValueError, RuntimeError, zipfile.BadZipFile, zlib.error) as e:
            raise self.fault(name, f"cannot be read ({e})") from e

    def midi(self, name: str) -> "MidiFile":
        """A MIDI file below the folder."""
        import mido

        content = self.content(name)
        try:
            return mido.MidiFile(file=io.BytesIO(content))
        except Exception as error:  # mido lets through whatever a corrupt file makes it stumble on
            raise self.fault(name, f"is corrupt ({error})") from error

    def fault(self, name: str, what: str) -> DatasetError:
        """An error that says what is wrong with a file."""
        return DatasetError(f"{self.path}: {self.folder}/{name} {what}; get the dataset again")


def timed(track: "MidiTrack") -> "Iterator[tuple[int, Message]]":
    """The messages of a track with their ticks from its beginning."""
    tick = 0
    for message in track:
        tick += message.time
        yield tick, message


def generator(id: str, stage: int) -> np.random.Generator:
    """What is drawn for an excerpt in one stage of its making."""
    return np.random.default_rng([zlib.crc32(id.encode()), stage])


def unrated(rng: np.random.Generator) -> Cues:
    """Cues of music that nobody rates for emotion; the mix reads dynamics and timbre."""
    return Cues(0.0, 0.0, 0.0, rng.uniform(-1, 1), 0.0, rng.uniform(-1, 1))


def perform(
    folder: Path,
    id: str,
    score: Score,
    style: str,
    mixing: np.random.Generator,
    dancing: np.random.Generator,
    soundfont: Path | None = None,
    **labels: Any,
) -> Piece:
    """Render a score and dance a style to it; write its audio and its motion.

    ``mixing`` draws the mix, ``dancing`` the dancer and the dance; ``labels`` are added to those
    that every score has.
    """
    from motionbeat.data_modules.rendered.synthesis.dancer import DANCERS, dance
    from motionbeat.data_modules.rendered.synthesis.mixing import mix

    write_audio(folder / f"{id}.flac", mix(score, mixing, soundfont))
    dancer = int(dancing.integers(len(DANCERS)))
    danced = dance(
        beats=score.beats,
        positions=score.positions,
        accents=score.accents,
        style=style,
        metre=score.metre,
        duration=score.duration,
        dancer=dancer,
        seed=int(dancing.integers(2**31)),
    )
    buffer = io.BytesIO()
    np.savez(buffer, **danced.arrays())  # type: ignore[arg-type]
    write_atomically(folder / f"{id}.npz", buffer.getvalue())
    labels |= {name: getattr(score, name) for name in ("style", "metre", "bpm", "duration")}
    labels |= {"beats": score.beats.tolist(), "positions": score.positions.tolist()}
    used = {"kits": score.programs(drums=True), "programs": score.programs(drums=False)}
    labels |= {"dancer": dancer, "used": score.used | used}
    return Piece((f"{id}.flac", f"{id}.npz"), labels)
