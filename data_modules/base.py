"""Interface of a dataset: its card, its tracks with typed annotations, its data module."""

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
"""Bytes of decoded audio or features that a reader keeps in memory. Each split has its own reader
in each loader process. Files beyond this limit are decoded again for every clip."""

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")


class DatasetError(MotionBeatError):
    """A missing, incomplete or inconsistent dataset; the message has the remedy."""


@dataclass(frozen=True, kw_only=True)
class DatasetCard:
    """Facts about a dataset that a reader of a results table needs.

    Attributes:
        name: name on the command line and in every table.
        revision: must change whenever audio, annotations or splits change.
        annotations: types of the annotations of its tracks; they determine which tasks can use it.
        licence: licence of audio and annotations.
        citation: what to cite.
        size: number of tracks, duration and bytes, as text.
        how_to_get: how to get it, in one line.
        source: page where it is published; empty for a dataset of this project.
        splits: where the splits come from.
        when_gone: what to do if the official link is dead.
        data: "real" recordings; "rendered" by a program from music that people composed or
            performed; or "synthetic", composed by a program too. Tables state it.
        renderer: program and soundfont that render its audio; datasets with the same renderer share
            sounds.
        trained_on: for a test-only dataset, the dataset whose train and validation splits are used.
        relatives: names of collections that contain its recordings, are contained in it or share
            recordings with it; an encoder trained on one of them has training-data overlap.
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
        """Whether the dataset or a relative is among ``names``, compared by :func:`canonical`."""
        own = {canonical(name) for name in (self.name, *self.relatives)}
        return not own.isdisjoint(map(canonical, names))


def canonical(name: str) -> str:
    """Letters and digits of a name in lower case: ``MTG-Jamendo`` becomes ``mtgjamendo``."""
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
    """Base of all annotations; a track has at most one of each type."""

    @property
    def end(self) -> float:
        """Time of the last annotated event in seconds; 0 if it describes the whole track."""
        return 0.0

    def fault(self) -> str | None:
        """Description of an invalid value, which makes the track raise; None if valid."""
        return None


@dataclass(frozen=True, eq=False)
class Beats(Annotation):
    """Beat times, never quantised to frames.

    Attributes:
        times: (n,) float64 in seconds, strictly increasing. Beats before 0 s, which occur in
            published annotations, are dropped.
        positions: (n,) int64, position of each beat in its bar, counted from 1 (1 is the downbeat);
            None if the bars are unknown.

    Raises:
        DatasetError: times or positions are not one-dimensional arrays of numbers, or differ in
            length.
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
        """The first time that is not finite and increasing, or position below 1."""
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
        """Times of the downbeats in seconds; None if the bars are unknown."""
        return None if self.positions is None else self.times[self.positions == 1]


@dataclass(frozen=True)
class Tempo(Annotation):
    """The main tempo in beats per minute."""

    bpm: float

    def fault(self) -> str | None:
        """A tempo that is not positive and finite."""
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
    """Instrument of a recording of a single instrument."""


class Licence(Label):
    """Licence of the recording, if they differ within a dataset: an SPDX id or public-domain."""


class Pitch(Label):
    """Pitch of a recording of a single note, as a MIDI note number."""


@dataclass(frozen=True)
class Labels(Annotation):
    """Any number of classes out of many.

    Attributes:
        names: positive classes.
        unknown: classes without a label; they are neither trained on nor scored.
    """

    names: frozenset[str]
    unknown: frozenset[str] = frozenset()

    def fault(self) -> str | None:
        """An empty name, or one that is both positive and unknown."""
        if any(not name.strip() for name in self.names | self.unknown):
            return f"one of its {type(self).__name__.lower()} is empty"
        both = sorted(self.names & self.unknown)
        return f"'{both[0]}' is both positive and unknown" if both else None


class Tags(Labels):
    """Free tags."""


class Instruments(Labels):
    """Instruments that play in the track."""


class Moods(Labels):
    """Moods or emotions, by name."""


@dataclass(frozen=True)
class Emotion(Annotation):
    """Perceived emotion as valence and arousal (Russell, 1980), each in [-1, 1]."""

    valence: float
    arousal: float

    def fault(self) -> str | None:
        """A value outside [-1, 1]."""
        inside = max(abs(self.valence), abs(self.arousal)) <= 1
        return (
            None
            if inside
            else f"valence {self.valence} or arousal {self.arousal} is not in [-1, 1]"
        )


@dataclass(frozen=True)
class MotionFile(Annotation):
    """File of a dance to the track; motion and audio both start at 0 s."""

    path: Path

    @cached_property
    def motion(self) -> Motion:
        """The dance, loaded on first use.

        Raises:
            MotionError: the file cannot be read, or holds no usable motion.
        """
        return Motion.load(self.path)


A = TypeVar("A", bound=Annotation)


@dataclass(frozen=True)
class Track:
    """An audio file and its annotations.

    Attributes:
        id: name, unique within the dataset.
        audio_path: file in a format that libsndfile or ffmpeg reads.
        duration: duration in seconds.
        group: artist, song or pattern; a group is in one split only.
        annotations: annotations, at most one of each type.

    Raises:
        DatasetError: an annotation is invalid.
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
            DatasetError: the track has no annotation of this type.
        """
        for annotation in self.annotations:
            if isinstance(annotation, kind):
                return annotation
        raise DatasetError(f"track {self.id} has no {kind.__name__} annotation")

    def has(self, kind: type[Annotation]) -> bool:
        """Whether the track has an annotation of a type."""
        return any(isinstance(annotation, kind) for annotation in self.annotations)

    def without_annotations(self, visible: tuple[type[Annotation], ...] = ()) -> "Track":
        """A copy with the visible annotations only, which is given to predictors."""
        return replace(
            self, annotations=tuple(a for a in self.annotations if isinstance(a, visible))
        )


class Batch(NamedTuple):
    """Clips or whole tracks, padded at the end.

    Attributes:
        waveform: (B, samples) float32, or (B, 2, samples) for stereo encoders; None in batches of
            features.
        features: (B, steps, layers, width); None in batches of audio.
        mask: (B, samples or steps) bool, False at padding.
        tracks: the track of each item, with its annotations.
        start: (B,) start of each item in its track, in seconds.
        frame_rate: rate of samples or steps in Hz; step ``i`` is centred at
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
    """One item of a batch.

    Attributes:
        track: the track.
        start: start of the item in the track, in seconds.
        values: (samples,) or (samples, 2) of audio, or (steps, layers, width) of features.
    """

    track: Track
    start: float
    values: Tensor


def collate(examples: Sequence[Example], frame_rate: float) -> Batch:
    """Pad examples of unequal length to one batch."""
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
"""Returns samples or steps ``start`` to ``stop`` of a track."""


class Clips(Dataset[Example]):
    """Clips of tracks in order, or whole tracks.

    Args:
        tracks: the tracks.
        lengths: length of each track in samples or steps.
        frame_rate: rate of samples or steps in Hz.
        read: reads a part of a track.
        clip: length of a clip in samples or steps; the last clip of a track may be shorter. None
            for whole tracks.
        stride: distance of successive clips in samples or steps; by default ``clip``. Overlapping
            clips all have full length, unless their track is shorter than a clip.
        shortest: a shorter last clip is left out, unless it is the only one of its track.
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
    """A random order that depends only on the seed and the epoch."""

    def __init__(self, data: Dataset[Any], seed: int) -> None:
        super().__init__(data, generator=torch.Generator())  # type: ignore[arg-type]
        self.seed = seed
        self.set_epoch(0)

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch; Lightning calls this."""
        self.generator.manual_seed(self.seed * 1_000_003 + epoch)


class Loaders(LightningDataModule):
    """Base of all data modules: shuffled clips for training, whole tracks otherwise.

    A subclass defines :meth:`tracks` and :meth:`clips`.

    Args:
        batch_size: clips per training step.
        clip_seconds: length of the training clips in seconds.
        num_workers: number of loader processes; 0 loads in the main process.
        shuffle_seed: seed of the order of the training clips.
        visible: types of annotation that the tracks of ``predict_dataloader`` keep; a task sets
            them.
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
            DatasetError: a file is missing; the message says which and how to get it.
        """

    @abstractmethod
    def clips(self, tracks: Sequence[Track], whole: bool) -> Clips:
        """Cut tracks into clips of ``clip_seconds``, or return them whole."""

    @property
    def eval_batch_size(self) -> int:
        """Whole tracks per batch; 1, because tracks may be long."""
        return 1

    def train_dataloader(self) -> DataLoader[Any]:
        """Clips of the train split; their order depends only on the seed and the epoch."""
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

    A subclass defines ``card`` and :meth:`tracks`, and may override :meth:`prepare_data` to
    generate, unpack or verify the files that :meth:`tracks` reads. A dataset is independent of
    encoders and tasks.

    Args:
        cache: folder for generated or unpacked data; by default ``data`` in ``MOTIONBEAT_CACHE``
            or ``.cache/motionbeat``.
        data: folder with datasets that the user provides; by default ``MOTIONBEAT_DATA``, if set.
        sample_rate: sample rate of the audio in batches, in Hz; by default that of the encoder of
            the task. A task resamples audio of another rate.
        loading: ``batch_size``, ``clip_seconds``, ``num_workers``, ``shuffle_seed`` and
            ``visible`` of :class:`Loaders`.
    """

    card: ClassVar[DatasetCard]
    partial: bool = False
    """Whether an incomplete copy was accepted; tables state it."""
    folds: ClassVar[int] = 1
    """Number of folds for cross-validation; each track is tested in one of them. The constructor
    option ``fold`` selects one."""

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
        """The folder with datasets that the user provides.

        Raises:
            DatasetError: no folder is set.
        """
        if self.data is None:
            raise DatasetError(f"{self.card.name}: no data folder; set MOTIONBEAT_DATA")
        return self.data

    @property
    def revision(self) -> str:
        """The card's revision, with the options that change the content."""
        return self.card.revision

    def status(self) -> str:
        """``present``, ``absent`` or ``partial (n of m)``, found without generating data."""
        try:
            self.tracks("test")
        except DatasetError:
            return "absent"
        return "present"

    def clips(self, tracks: Sequence[Track], whole: bool) -> Clips:
        """Clips of the audio of tracks, or whole tracks, decoded on access."""
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
        """The same dataset with features, which are computed once and stored on disk.

        Args:
            encoder: a name that ``motionbeat list encoders`` shows, or an encoder.
            options: options of :class:`motionbeat.benchmarks.embedded.Embedded`.

        Raises:
            UnknownNameError: no encoder has the name.
        """
        # The store belongs to a higher package, so it is imported on use.
        module = import_module("motionbeat.benchmarks.embedded")
        found: Loaders = module.Embedded(self, encoder, **options)
        return found


class AudioReader:
    """Reads the audio of tracks at one sample rate, with decoded files in a bounded cache."""

    def __init__(self, sample_rate: int, channels: Channels = 1) -> None:
        self.sample_rate = sample_rate
        self.channels = channels
        self._decoded: dict[Path, Tensor] = {}
        self._room = IN_MEMORY

    def __call__(self, track: Track, start: int, stop: int) -> Tensor:
        """Samples ``start`` to ``stop``, (samples,) or (samples, 2); fewer at the end of the file.

        Raises:
            AudioError: the file cannot be read.
        """
        waveform = self._decoded.get(track.audio_path)
        if waveform is None:
            decoded = resample(*load_audio(track.audio_path, self.channels), self.sample_rate)
            waveform = torch.from_numpy(decoded)
            if self._room > decoded.nbytes:
                self._decoded[track.audio_path] = waveform
                self._room -= decoded.nbytes
        return waveform[start:stop]


def check_splits(splits: Iterable[Sequence[Track]]) -> None:
    """Check that ids are unique and that no group is in two splits.

    Raises:
        DatasetError: an id occurs twice, or splits share a group.
    """
    seen: set[str] = set()
    groups: dict[str, int] = {}
    for index, tracks in enumerate(splits):
        for track in tracks:
            if track.id in seen:
                raise DatasetError(f"track id {track.id} occurs twice; ids must be unique")
            seen.add(track.id)
            if groups.setdefault(track.group, index) != index:
                raise DatasetError(f"group {track.group} is in two splits; a group must be in one")
