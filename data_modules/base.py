"""Contracts of a dataset: its card, its tracks, their typed annotations, its DataModule."""

import os
from abc import abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar

import numpy as np
import torch
from lightning import LightningDataModule
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset

from motionbeat.errors import MotionBeatError
from motionbeat.motion import Motion

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")


class DatasetError(MotionBeatError):
    """A missing, incomplete or contradictory dataset, with what to do about it."""


@dataclass(frozen=True, kw_only=True)
class DatasetCard:
    """What a reader of a results table must know about a dataset.

    Attributes:
        name: name on the command line and in every table.
        revision: changes whenever audio, annotations or splits change.
        annotations: types of annotation its tracks have; they decide which tasks it serves.
        licence: of audio and annotations.
        citation: what to cite.
        size: in words (tracks, duration, bytes).
        how_to_get: the steps that put it in place, in one line.
        source: page where it is published; empty for what is made here.
        splits: where the splits come from.
        when_gone: what to do when the official link is dead.
        data: "real" recordings; "rendered" by a program from what people composed or performed; or
            "synthetic", music that a program made. Said wherever its numbers stand.
        renderer: what its audio is rendered with; datasets with the same one share sounds.
        trained_on: for a test-only dataset, the dataset whose train and validation splits the
            probes learn from.
        relatives: other names under which encoders have been trained on its recordings: those of
            collections that it is a part of, that are a part of it, or that share recordings.
    """

    name: str
    revision: str
    annotations: tuple[type["Annotation"], ...]
    licence: str
    citation: str
    size: str
    how_to_get: str
    source: str = ""
    splits: str = ""
    when_gone: str = ""
    data: Literal["real", "rendered", "synthetic"] = "real"
    renderer: str = ""
    trained_on: str | None = None
    relatives: tuple[str, ...] = ()

    def is_among(self, names: Iterable[str]) -> bool:
        """Whether it, or a relative, is among names of datasets, however they are spelt."""
        own = {canonical(name) for name in (self.name, *self.relatives)}
        return not own.isdisjoint(map(canonical, names))


def canonical(name: str) -> str:
    """A dataset's name without what spellings differ in: ``MTG-Jamendo`` is ``mtgjamendo``."""
    return "".join(letter for letter in name.lower() if letter.isalnum())


class Annotation:
    """Base of everything that can be known about a track; a track has one of a type at most."""

    @property
    def end(self) -> float:
        """Last second it speaks of; 0 when it speaks of the track as a whole."""
        return 0.0


@dataclass(frozen=True, eq=False)
class Beats(Annotation):
    """Beat times, never quantised to frames.

    Attributes:
        times: (n,) float64 in seconds, from 0 on, strictly increasing.
        positions: (n,) int, position of each beat in its bar counted from 1 (1 is the downbeat);
            None when the bars are unknown.
    """

    times: NDArray[np.float64]
    positions: NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        if self.times.ndim != 1 or not (np.diff(self.times, prepend=-1e-9) > 0).all():
            raise DatasetError("beat times must be one strictly increasing row of seconds from 0")
        if self.positions is not None and self.positions.shape != self.times.shape:
            raise DatasetError("every beat needs one position in its bar")

    @property
    def end(self) -> float:
        """Time of the last beat in seconds."""
        return float(self.times[-1]) if len(self.times) else 0.0

    @property
    def downbeats(self) -> NDArray[np.float64] | None:
        """Times of the first beats of the bars in seconds; None when the bars are unknown."""
        return None if self.positions is None else self.times[self.positions == 1]


@dataclass(frozen=True)
class Tempo(Annotation):
    """The main tempo in beats per minute."""

    bpm: float


@dataclass(frozen=True)
class Metre(Annotation):
    """Time signature, for example ``6/8``."""

    signature: str


@dataclass(frozen=True)
class Label(Annotation):
    """One class out of many."""

    name: str


class Genre(Label):
    """Musical genre or dance style."""


class Instrument(Label):
    """The one instrument heard."""


class Pitch(Label):
    """The one note heard, as a MIDI number."""


@dataclass(frozen=True)
class Labels(Annotation):
    """Any number of classes out of many.

    Attributes:
        names: classes that hold.
        unknown: classes of which nobody knows whether they hold; they are neither learned from nor
            scored.
    """

    names: frozenset[str]
    unknown: frozenset[str] = frozenset()


class Tags(Labels):
    """Free tags."""


class Instruments(Labels):
    """Instruments heard."""


class Moods(Labels):
    """Emotions felt or perceived."""


@dataclass(frozen=True)
class Emotion(Annotation):
    """Perceived emotion on the plane of Russell (1980), both axes in [-1, 1]."""

    valence: float
    arousal: float


@dataclass(frozen=True)
class MotionFile(Annotation):
    """A dance to the track, aligned with its audio at time 0."""

    path: Path

    @cached_property
    def motion(self) -> Motion:
        """The dance, read on first use."""
        return Motion.load(self.path)


A = TypeVar("A", bound=Annotation)


@dataclass(frozen=True)
class Track:
    """One piece of audio and what is known about it.

    Attributes:
        id: unique within the dataset.
        audio_path: file that libsndfile reads.
        duration: in seconds.
        group: artist, song or pattern; no two splits share one.
        annotations: at most one of each type.
    """

    id: str
    audio_path: Path
    duration: float
    group: str
    annotations: tuple[Annotation, ...] = field(default=(), repr=False)

    def get(self, kind: type[A]) -> A:
        """The annotation of a type.

        Raises:
            DatasetError: the track has none.
        """
        for annotation in self.annotations:
            if isinstance(annotation, kind):
                return annotation
        raise DatasetError(f"track {self.id} has no {kind.__name__} annotation")

    def has(self, kind: type[Annotation]) -> bool:
        """Whether the track has an annotation of a type."""
        return any(isinstance(annotation, kind) for annotation in self.annotations)

    def blind(self, shown: tuple[type[Annotation], ...] = ()) -> "Track":
        """The same track with the shown annotations only: what a predictor may see of it."""
        return replace(self, annotations=tuple(a for a in self.annotations if isinstance(a, shown)))


Examples = Callable[[Sequence[Track], Split], Dataset[Any]]
"""Turns the tracks of a split into the examples a task learns from or is tested on."""


class DataModule(LightningDataModule):
    """A dataset: its card, and its tracks with their annotations in three splits.

    A subclass states its ``card`` and defines :meth:`tracks`; :meth:`prepare_data` generates,
    unpacks or verifies what :meth:`tracks` reads. The dataset knows nothing of encoders and tasks:
    what a batch holds is decided by the examples given to :meth:`serve`.

    Args:
        cache: folder for what is generated or unpacked; by default ``data`` in
            ``MOTIONBEAT_CACHE`` or ``.cache/motionbeat``.
        data: folder with data the user has put in place; by default ``MOTIONBEAT_DATA``, if set.
    """

    card: ClassVar[DatasetCard]
    partial: bool = False
    """Whether an incomplete copy was accepted; said wherever its numbers stand."""
    folds: ClassVar[int] = 1
    """Partitions in which each track is tested on once; the option ``fold`` names one."""

    def __init__(self, cache: Path | None = None, data: Path | None = None) -> None:
        super().__init__()
        default = Path(os.environ.get("MOTIONBEAT_CACHE", ".cache/motionbeat"))
        self.cache = cache or default / "data"
        place = os.environ.get("MOTIONBEAT_DATA")
        self.data = data or (Path(place) if place else None)

    @property
    def revision(self) -> str:
        """The card's revision, and the options that change the content."""
        return self.card.revision

    def status(self) -> str:
        """``present``, ``absent`` or ``partial (n of m)``, without making or reading much."""
        try:
            self.tracks("test")
        except DatasetError:
            return "absent"
        return "present"

    @abstractmethod
    def tracks(self, split: Split) -> list[Track]:
        """The tracks of a split, in a fixed order.

        Raises:
            DatasetError: something is missing; the message says what and how to get it.
        """

    def serve(
        self, examples: Examples, collate: Callable[[Any], Any], batch_size: int, seed: int
    ) -> None:
        """Choose what the dataloaders give: examples of tracks, so many a batch."""
        self._examples = cache(lambda split: examples(self.tracks(split), split))
        self._options: dict[str, Any] = {"collate_fn": collate, "batch_size": batch_size}
        self._seed = seed

    def train_dataloader(self) -> DataLoader[Any]:
        """Batches of the train split; the order follows from the seed and the epoch alone."""
        epoch = self.trainer.current_epoch if self.trainer else 0
        generator = torch.Generator().manual_seed(self._seed * 1_000_003 + epoch)
        return self._loader("train", shuffle=True, generator=generator)

    def val_dataloader(self) -> DataLoader[Any]:
        """Batches of the validation split in order."""
        return self._loader("validation")

    def test_dataloader(self) -> DataLoader[Any]:
        """Batches of the test split in order."""
        return self._loader("test")

    def _loader(self, split: Split, **options: Any) -> DataLoader[Any]:
        return DataLoader(
            self._examples(split), pin_memory=torch.cuda.is_available(), **self._options, **options
        )


def check_splits(splits: Iterable[Sequence[Track]]) -> None:
    """Check that ids are unique and that no group stands in two splits.

    Raises:
        DatasetError: an id stands twice, or splits share a group.
    """
    seen: set[str] = set()
    groups: dict[str, int] = {}
    for index, tracks in enumerate(splits):
        for track in tracks:
            if track.id in seen:
                raise DatasetError(f"track id {track.id} stands twice; ids must be unique")
            seen.add(track.id)
            if groups.setdefault(track.group, index) != index:
                raise DatasetError(f"group {track.group} stands in two splits; splits must differ")
