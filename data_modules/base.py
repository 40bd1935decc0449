"""Contracts of a dataset: its card, its tracks, their typed annotations, its DataModule."""

import os
from abc import abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, TypeVar

import numpy as np
import torch
from lightning import LightningDataModule
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader, Dataset, RandomSampler

from motionbeat.audio import Channels, load_audio, resample
from motionbeat.cache import default_cache
from motionbeat.devices import has_gpu
from motionbeat.errors import MotionBeatError
from motionbeat.motion import Motion

if TYPE_CHECKING:
    from motionbeat.encoder import Encoder

IN_MEMORY = 2 << 30
"""Bytes of decoded audio or features that a reader keeps in memory. Each split has a reader of its
own, and so has each loader process; a file beyond them is decoded again for every clip."""

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
    revision: str = "1"
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


def _row(values: Any) -> NDArray[np.float64]:
    try:
        row = np.asarray(values, np.float64)
    except (TypeError, ValueError) as error:
        raise DatasetError(f"beats must be numbers ({error})") from error
    if row.ndim != 1:
        raise DatasetError(f"beats must be one row of numbers, not of shape {row.shape}")
    return row


class Annotation:
    """Base of everything that can be known about a track; a track has one of a type at most."""

    @property
    def end(self) -> float:
        """Last second it speaks of; 0 when it speaks of the track as a whole."""
        return 0.0

    def fault(self) -> str | None:
        """What is wrong with it, which its track refuses; None for nothing."""
        return None


@dataclass(frozen=True, eq=False)
class Beats(Annotation):
    """Beat times, never quantised to frames.

    Attributes:
        times: (n,) float64 in seconds, strictly increasing. Beats before 0 s, which files of public
            collections hold, lie before the recording and are dropped.
        positions: (n,) int64, position of each beat in its bar counted from 1 (1 is the downbeat);
            None when the bars are unknown.

    Raises:
        DatasetError: times or positions are not one row of numbers, or differ in number.
    """

    times: NDArray[np.float64]
    positions: NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        times = _row(self.times)
        inside = ~(times < 0)
        object.__setattr__(self, "times", times[inside])
        if self.positions is None:
            return
        positions = _row(self.positions)
        if positions.shape != times.shape:
            raise DatasetError(
                f"{len(times)} beats have {len(positions)} positions in their bars; give one a beat"
            )
        with np.errstate(invalid="ignore"):  # NaN, which is no whole number either
            whole = positions.astype(np.int64)
        # what is no position is kept as 0 for the track to refuse
        whole[whole != positions] = 0
        object.__setattr__(self, "positions", whole[inside])

    def fault(self) -> str | None:
        """The first time that is not finite and increasing, or position that is not from 1 on."""
        times = self.times
        wrong = ~np.isfinite(times) | (np.diff(times, prepend=-1.0) <= 0)
        if wrong.any():
            beat = int(wrong.argmax())
            before = f" after one at {times[beat - 1]:g} s" if beat else ""
            return (
                f"beat {beat + 1} lies at {times[beat]:g} s{before}; times must be finite and "
                "strictly increasing"
            )
        if self.positions is not None and (self.positions < 1).any():
            beat = int((self.positions < 1).argmax())
            return (
                f"the beat at {times[beat]:g} s has no whole number from 1 on as its position in "
                "the bar; count from 1, the downbeat"
            )
        return None

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

    def fault(self) -> str | None:
        """A tempo that is not above 0."""
        return None if 0 < self.bpm < np.inf else f"its tempo is {self.bpm} bpm"


@dataclass(frozen=True)
class Metre(Annotation):
    """Time signature, for example ``6/8``."""

    signature: str


@dataclass(frozen=True)
class Label(Annotation):
    """One class out of many."""

    name: str

    def fault(self) -> str | None:
        """An empty name."""
        return None if self.name.strip() else f"its {type(self).__name__.lower()} is empty"


class Genre(Label):
    """Musical genre or dance style."""


class Instrument(Label):
    """The one instrument heard."""


class Licence(Label):
    """Licence of the recording, where those of a dataset differ: an SPDX id or public-domain."""


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

    def fault(self) -> str | None:
        """An empty name, or one that holds and is unknown."""
        if any(not name.strip() for name in self.names | self.unknown):
            return f"one of its {type(self).__name__.lower()} is empty"
        both = sorted(self.names & self.unknown)
        return f"'{both[0]}' both holds and is unknown" if both else None


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

    def fault(self) -> str | None:
        """A value outside [-1, 1]."""
        inside = max(abs(self.valence), abs(self.arousal)) <= 1
        return (
            None if inside else f"valence {self.valence} and arousal {self.arousal} leave [-1, 1]"
        )


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
        audio_path: file that libsndfile or ffmpeg reads.
        duration: in seconds.
        group: artist, song or pattern; no two splits share one.
        annotations: at most one of each type.

    Raises:
        DatasetError: an annotation is at fault.
    """

    id: str
    audio_path: Path
    duration: float
    group: str
    annotations: tuple[Annotation, ...] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        for annotation in self.annotations:
            if (fault := annotation.fault()) is not None:
                raise DatasetError(f"track {self.id}: {fault}")

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

    def without_annotations(self, visible: tuple[type[Annotation], ...] = ()) -> "Track":
        """The same track with the visible annotations only: what a predictor may see of it."""
        return replace(
            self, annotations=tuple(a for a in self.annotations if isinstance(a, visible))
        )


class Batch(NamedTuple):
    """Clips or whole tracks, padded at their end.

    Attributes:
        waveform: (B, samples) float32, or (B, 2, samples) for stereo encoders; None in batches of
            features.
        features: (B, steps, layers, width), None in batches of audio.
        mask: (B, samples or steps) True where a value is real and not padding.
        tracks: the track of each row, with its annotations.
        start: (B,) seconds at which each row begins in its track.
        frame_rate: samples or steps a second, in Hz; step ``i`` is centred at
            ``start + i / frame_rate``.
    """

    waveform: Tensor | None
    features: Tensor | None
    mask: Tensor
    tracks: list[Track]
    start: Tensor
    frame_rate: float

    def to(self, device: torch.device | str, non_blocking: bool = False) -> "Batch":
        """The batch with its tensors on a device; Lightning calls this."""
        moved: dict[str, Any] = {
            name: value.to(device, non_blocking=non_blocking)
            for name, value in self._asdict().items()
            if isinstance(value, Tensor) and name != "start"  # which is read on the host
        }
        return self._replace(**moved)


class Example(NamedTuple):
    """One row of a batch: a track, where in it the row starts (s), and (samples,) or features."""

    track: Track
    start: float
    values: Tensor


def collate(examples: Sequence[Example], frame_rate: float) -> Batch:
    """Pad examples of several lengths into one batch."""
    tracks, starts, values = zip(*examples, strict=True)
    if len({one.dtype for one in values}) > 1:  # features too large for half precision
        values = tuple(one.float() for one in values)
    lengths = torch.tensor([len(one) for one in values])
    padded = pad_sequence(list(values), batch_first=True)
    audio = padded.ndim < 4
    return Batch(
        waveform=padded if padded.ndim == 2 else padded.movedim(2, 1) if audio else None,
        features=None if audio else padded,
        mask=torch.arange(padded.shape[1]) < lengths[:, None],
        tracks=list(tracks),
        start=torch.tensor(starts, dtype=torch.float64),
        frame_rate=frame_rate,
    )


Reader = Callable[[Track, int, int], Tensor]
"""Gives samples or steps ``start`` to ``stop`` of a track."""


class Clips(Dataset[Example]):
    """Clips of tracks in order, or whole tracks.

    Args:
        tracks: what is cut up.
        lengths: samples or steps of each track.
        frame_rate: samples or steps a second, in Hz.
        read: how their content is read.
        clip: samples or steps of a clip; the last one of a track may be shorter. None for whole
            tracks.
        stride: from one clip to the next; clips that overlap are all whole, but for those of tracks
            shorter than one.
        shortest: a last clip that is shorter is left out, unless it is the only one.
    """

    def __init__(
        self,
        tracks: Sequence[Track],
        lengths: Sequence[int],
        frame_rate: float,
        read: Reader,
        clip: int | None = None,
        stride: int | None = None,
        shortest: int = 1,
    ) -> None:
        self.tracks = tracks
        self.lengths = lengths
        self.frame_rate = frame_rate
        self.read = read
        self.clips: list[tuple[int, int, int]] = []
        for index, length in enumerate(lengths):
            size = length if clip is None else clip
            step = stride or max(size, 1)
            overlap = size - 1 if step < size else 0
            for start in range(0, max(1, length - overlap), step):
                if start == 0 or length - start >= shortest:
                    self.clips.append((index, start, min(start + size, length)))

    def whole(self) -> "Clips":
        """The same tracks, each as a whole."""
        return Clips(self.tracks, self.lengths, self.frame_rate, self.read)

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, index: int) -> Example:
        """One clip."""
        number, start, stop = self.clips[index]
        track = self.tracks[number]
        return Example(track, start / self.frame_rate, self.read(track, start, stop))


class Shuffled(RandomSampler):
    """A random order that follows from a seed and the epoch alone."""

    def __init__(self, data: Dataset[Any], seed: int) -> None:
        super().__init__(data, generator=torch.Generator())  # type: ignore[arg-type]
        self.seed = seed
        self.set_epoch(0)

    def set_epoch(self, epoch: int) -> None:
        """Begin an epoch; Lightning calls this."""
        self.generator.manual_seed(self.seed * 1_000_003 + epoch)


class Loaders(LightningDataModule):
    """The loaders that all data modules share: shuffled clips to train on, whole tracks otherwise.

    A subclass gives the tracks of a split and makes :class:`Clips` of tracks.

    Args:
        batch_size: clips a training step.
        clip_seconds: length of the clips to train on, in seconds.
        num_workers: processes that load.
        shuffle_seed: of the order of the training clips.
        visible: annotations that stay with the tracks of ``predict_dataloader``; mostly none.
    """

    def __init__(
        self,
        *,
        batch_size: int = 8,
        clip_seconds: float = 10.0,
        num_workers: int = 0,
        shuffle_seed: int = 0,
        visible: tuple[type[Annotation], ...] = (),
    ) -> None:
        super().__init__()
        self.batch_size = batch_size
        self.clip_seconds = clip_seconds
        self.num_workers = num_workers
        self.shuffle_seed = shuffle_seed
        self.visible = visible
        self.encoder_sample_rate = 22050  # until a task says otherwise
        self.encoder_channels: Channels = 1

    @abstractmethod
    def tracks(self, split: Split) -> list[Track]:
        """The tracks of a split, in a fixed order.

        Raises:
            DatasetError: something is missing; the message says what and how to get it.
        """

    @abstractmethod
    def clips(self, tracks: Sequence[Track], whole: bool) -> Clips:
        """Clips of ``clip_seconds`` of some tracks, or whole tracks."""

    @property
    def eval_batch_size(self) -> int:
        """Whole tracks a batch; one, as they may be long."""
        return 1

    def train_dataloader(self) -> DataLoader[Any]:
        """Clips of the train split; the order follows from the seed and the epoch alone."""
        return self._loader(self.tracks("train"), whole=False)

    def val_dataloader(self) -> DataLoader[Any]:
        """Whole tracks of the validation split in order."""
        return self._loader(self.tracks("validation"))

    def test_dataloader(self) -> DataLoader[Any]:
        """Whole tracks of the test split in order."""
        return self._loader(self.tracks("test"))

    def predict_dataloader(self) -> DataLoader[Any]:
        """Whole tracks of the test split, with the visible annotations only."""
        return self._loader([t.without_annotations(self.visible) for t in self.tracks("test")])

    def _loader(self, tracks: Sequence[Track], whole: bool = True) -> DataLoader[Any]:
        clips = self.clips(tracks, whole)
        return DataLoader(
            clips,
            batch_size=self.eval_batch_size if whole else self.batch_size,
            sampler=None if whole else Shuffled(clips, self.shuffle_seed),
            collate_fn=partial(collate, frame_rate=clips.frame_rate),
            num_workers=self.num_workers,
            persistent_workers=self.num_workers > 0,
            pin_memory=has_gpu(),
        )


class DataModule(Loaders):
    """A dataset: its card, and its tracks with their annotations in three splits.

    A subclass states its ``card`` and defines :meth:`tracks`; :meth:`prepare_data` generates,
    unpacks or verifies what :meth:`tracks` reads. It knows nothing of encoders and tasks.

    Args:
        cache: folder for what is generated or unpacked; by default ``data`` in
            ``MOTIONBEAT_CACHE`` or ``.cache/motionbeat``.
        data: folder with data the user has put in place; by default ``MOTIONBEAT_DATA``, if set.
        sample_rate: of the audio in batches, in Hz; by default that of the encoder of the task it
            is attached to. A task resamples audio of another rate.
        loading: ``batch_size``, ``clip_seconds``, ``num_workers`` and ``shuffle_seed`` of
            :class:`Loaders`.
    """

    card: ClassVar[DatasetCard]
    partial: bool = False
    """Whether an incomplete copy was accepted; said wherever its numbers stand."""
    folds: ClassVar[int] = 1
    """Partitions in which each track is tested on once; the option ``fold`` names one."""

    def __init__(
        self,
        cache: Path | None = None,
        data: Path | None = None,
        *,
        sample_rate: int | None = None,
        **loading: Any,
    ) -> None:
        super().__init__(**loading)
        self.cache = cache or default_cache() / "data"
        place = os.environ.get("MOTIONBEAT_DATA")
        self.data = data or (Path(place) if place else None)
        self.sample_rate = sample_rate

    @property
    def given(self) -> Path:
        """The folder with data the user has put in place.

        Raises:
            DatasetError: there is none.
        """
        if self.data is None:
            raise DatasetError(f"{self.card.name}: no folder of data; set MOTIONBEAT_DATA to it")
        return self.data

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

    def clips(self, tracks: Sequence[Track], whole: bool) -> Clips:
        """Clips of the audio of some tracks, or whole tracks, decoded as they are asked for."""
        rate = self.sample_rate or self.encoder_sample_rate
        return Clips(
            tracks,
            [round(track.duration * rate) for track in tracks],
            rate,
            AudioReader(rate, self.encoder_channels),
            None if whole else round(self.clip_seconds * rate),
            shortest=rate,
        )

    def embedded(self, encoder: "str | Encoder", **options: Any) -> Loaders:
        """The same dataset with features that are encoded once and kept on disk.

        Args:
            encoder: a name that ``motionbeat list encoders`` shows, or an encoder.
            options: of :class:`motionbeat.benchmarks.embedded.Embedded`.
        """
        # The store stands on a floor above this one, so it is looked up when it is asked for.
        module = import_module("motionbeat.benchmarks.embedded")
        found: Loaders = module.Embedded(self, encoder, **options)
        return found


class AudioReader:
    """Reads the audio of tracks at one sample rate; what is decoded is kept while there is room."""

    def __init__(self, sample_rate: int, channels: Channels = 1) -> None:
        self.sample_rate = sample_rate
        self.channels = channels
        self._decoded: dict[Path, Tensor] = {}
        self._room = IN_MEMORY

    def __call__(self, track: Track, start: int, stop: int) -> Tensor:
        """Samples ``start`` to ``stop``, (samples, [2]); fewer where the file ends before."""
        waveform = self._decoded.get(track.audio_path)
        if waveform is None:
            decoded = resample(*load_audio(track.audio_path, self.channels), self.sample_rate)
            waveform = torch.from_numpy(decoded)
            if self._room > decoded.nbytes:
                self._decoded[track.audio_path] = waveform
                self._room -= decoded.nbytes
        return waveform[start:stop]


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
