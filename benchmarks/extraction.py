"""Extraction: encode tracks whose embeddings are missing, and store the embeddings."""

import math
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from operator import itemgetter
from pathlib import Path

import numpy as np
import torch

from motionbeat.audio import AudioError, Waveform, load_audio
from motionbeat.benchmarks.digests import file_digests
from motionbeat.benchmarks.shards import rounded
from motionbeat.benchmarks.store import (
    LENGTH_SLACK,
    Embeddings,
    EmbeddingStore,
    FeatureReader,
    StoreError,
)
from motionbeat.console import bar
from motionbeat.data_modules.base import DatasetError, Track
from motionbeat.devices import BatchBudget, Device
from motionbeat.encoder import Encoder, EncoderCard
from motionbeat.encoding import (
    Features,
    HalfPrecisionError,
    TrackError,
    encode_batches,
    encode_pieces,
    find_encoder,
    make_encoder,
    raising,
)
from motionbeat.errors import first_of
from motionbeat.loading import AudioFile, Kind, load_files
from motionbeat.threads import computing_threads

_TOGETHER = 30.0  # s of recordings that encoders are given at once, or two budgets
_LONG = 1200.0  # s of recordings that are done with before others are waited for
_LARGEST = 512 << 20  # bytes of features of a batch


@dataclass(frozen=True)
class Extraction:
    """Settings of an extraction, which do not affect features beyond rounding on a GPU.

    Attributes:
        workers: number of processes that decode audio; by default one per processor, 0 for none.
        batch_seconds: seconds of audio per batch of the encoder; by default as much as fits into
            the memory of a GPU, and one chunk on a CPU.
    """

    workers: int | None = None
    batch_seconds: float | None = None


DEFAULT = Extraction()


@dataclass(frozen=True)
class Recording:
    """A recording with missing embeddings.

    Attributes:
        name: name for messages.
        path: path of the audio file.
        digest: digest of the file.
        seconds: approximate length.
        missing: numbers of the encoders whose embeddings are missing.
    """

    name: str
    path: Path
    digest: str
    seconds: float
    missing: tuple[int, ...]


@dataclass(frozen=True)
class Target:
    """An encoder, and the embeddings to fill.

    Attributes:
        encoder: a name, or an encoder.
        embeddings: frames, or averages.
        frames: frames to store as well if ``embeddings`` are averages.
    """

    encoder: str | Encoder
    embeddings: Embeddings
    frames: Embeddings | None = None


Extract = Callable[
    [Mapping[int, Target], Sequence[Recording], EmbeddingStore, Extraction, Callable[[int], None]],
    list[str],
]
"""A function such as :func:`extract`."""


def embed(
    encoders: Sequence[str | Encoder],
    tracks: Sequence[Track],
    store: EmbeddingStore,
    pooling: float | None = None,
    keep_frames: bool = False,
    how: Extraction = DEFAULT,
    spread: Extract | None = None,
) -> list[FeatureReader]:
    """Encode tracks with several encoders, and store the features that are missing.

    Each audio file with missing features is decoded once.

    Args:
        encoders: names, or encoders. Those with no missing features are not constructed.
        tracks: the tracks.
        store: the embedding store.
        pooling: length in seconds of the segments that are averaged; None for frames.
        keep_frames: store frames as well as averages, for tasks on frames.
        how: settings of the extraction.
        spread: called instead of :func:`extract`, to encode on a cluster.

    Raises:
        StoreError: some tracks failed; all others are stored.
        EncodingError: an encoder breaks its contract.
        WriteError: the store cannot be written.
        DatasetError: a track's audio is shorter than the dataset says.
        DeviceError: an encoder does not fit into the memory of the GPU, or needs a GPU.
        ProcessError: a decoding process was killed.
        ClusterError: a worker of the cluster lacks something, or was killed repeatedly.
    """
    cards = [find_encoder(encoder).card for encoder in encoders]
    stored = [store.embeddings(card, pooling) for card in cards]
    audios = file_digests(track.audio_path for track in tracks)
    digests = {path: digest for path, digest in audios.items() if isinstance(digest, str)}
    for embeddings in stored:
        embeddings.pool(digests.values())
    recordings: dict[str, Recording] = {}
    failures = []
    for track in tracks:
        path = track.audio_path
        if isinstance(digest := audios[path], TrackError):
            failures.append(f"track {track.id}: {digest}")
        elif digest not in recordings:
            missing = tuple(number for number, one in enumerate(stored) if digest not in one)
            if missing:
                recordings[digest] = Recording(track.id, path, digest, track.duration, missing)
    if recordings:
        numbers = sorted({number for one in recordings.values() for number in one.missing})
        targets = {
            number: Target(
                encoders[number],
                stored[number],
                store.embeddings(cards[number]) if keep_frames and pooling else None,
            )
            for number in numbers
        }
        with bar("tracks") as progress:
            label = f"embedding · {', '.join(cards[number].name for number in numbers)}"
            done = len(tracks) - len(recordings)
            shown = progress.add_task(label, total=len(tracks), completed=done)
            advance = partial(progress.advance, shown)
            run = spread or extract
            failures += run(targets, list(recordings.values()), store, how, advance)
    if failures:
        raise StoreError(
            f"{len(failures)} of {len(tracks)} tracks failed, the others are stored: "
            + first_of(failures)
        )
    readers = [FeatureReader(embeddings, digests) for embeddings in stored]
    for reader in readers:
        for track in tracks:
            seconds = reader.length(track) / reader.frame_rate
            if track.duration > seconds + LENGTH_SLACK + 1 / reader.frame_rate:
                raise DatasetError(
                    f"{track.audio_path}: cut off after {seconds:.2f} s of {track.duration:.2f} s; "
                    "restore the audio"
                )
    return readers


def extract(
    targets: Mapping[int, Target],
    recordings: Sequence[Recording],
    store: EmbeddingStore,
    how: Extraction = DEFAULT,
    advance: Callable[[int], None] = lambda _: None,
    make: Callable[[str | Encoder], Encoder] = make_encoder,
) -> list[str]:
    """Encode recordings and store their embeddings.

    On a CPU, encoders run in parallel and share the threads, because threads that compute one
    operator together often wait for each other. An encoder is used by one thread at a time.

    Args:
        targets: encoders by number.
        recordings: recordings in the order in which they are stored.
        store: where the speed of encoders is stored.
        how: settings of the extraction.
        advance: called with the number of recordings that are finished.
        make: makes the encoder of a target.

    Returns:
        Errors of recordings, one line each; all others are stored.

    Raises:
        EncodingError: an encoder breaks its contract. As for all errors here, finished embeddings
            are stored.
        WriteError: the store cannot be written.
        DeviceError: an encoder does not fit into the memory of the GPU, or needs a GPU.
        ProcessError: a decoding process was killed.
    """
    device = Device()
    kinds = {number: _kind(find_encoder(target.encoder).card) for number, target in targets.items()}
    files = [
        AudioFile(one.path, one.seconds, tuple(dict.fromkeys(kinds[n] for n in one.missing)))
        for one in recordings
    ]
    threads = torch.get_num_threads()
    beside = 1 if device.is_gpu else min(len(targets), threads)
    failures: list[str] = []
    with (
        closing(load_files(files, how.workers, device.is_gpu)) as loaded,
        computing_threads(threads // beside),
        ExitStack() as writers,
        ThreadPoolExecutor(beside) as pool,
    ):
        workers = [
            _Worker(number, make(target.encoder), target, device, how.batch_seconds, writers)
            for number, target in targets.items()
        ]
        running: list[Future[list[str]]] = []

        def finish() -> None:
            wait(running)
            for one in running:
                failures.extend(one.result())
            running.clear()

        # The next files are fetched while encoders work.
        for group in _groups(recordings, loaded, workers):
            finish()
            broken = [(one, found) for one, found in group if isinstance(found, AudioError)]
            failures += [f"track {one.name}: {error}" for one, error in broken]
            whole = [(one, found) for one, found in group if not isinstance(found, AudioError)]
            running += [pool.submit(worker.encode, whole) for worker in workers]
            if sum(one.seconds for one, _ in group) > _LONG:
                finish()
            advance(len(group))
            del group, whole
        finish()
    for worker in workers:
        worker.encoder.cpu()
        if worker.hours:
            store.note_speed(worker.encoder.card, worker.seconds / worker.hours)
    return failures


def largest_batch(card: EncoderCard) -> float:
    """Seconds of audio whose features fit into the memory of the host."""
    return _LARGEST / (2 * card.layers * card.width * card.frame_rate)


def _kind(card: EncoderCard) -> Kind:
    return card.sample_rate, card.channels


Loaded = dict[Kind, Waveform]
"""Waveforms of a file, (samples,) or (2, samples) each."""


def _groups(
    recordings: Sequence[Recording],
    loaded: Iterator[Loaded | AudioError],
    workers: Sequence["_Worker"],
) -> Iterator[list[tuple[Recording, Loaded | AudioError]]]:
    """Group recordings to at least 30 s, and two batches."""
    group: list[tuple[Recording, Loaded | AudioError]] = []
    seconds = 0.0
    for recording in recordings:
        group.append((recording, next(loaded)))
        seconds += recording.seconds
        if seconds >= max(_TOGETHER, *(2 * worker.budget.seconds for worker in workers)):
            yield group
            group, seconds = [], 0.0
    if group:
        yield group


class _Worker:
    """An encoder at work.

    Args:
        number: number of the encoder.
        encoder: the encoder.
        target: the embeddings to fill.
        device: device of the encoder.
        batch_seconds: seconds of audio per batch, None to find them.
        writers: closed at the end of the extraction.
    """

    def __init__(
        self,
        number: int,
        encoder: Encoder,
        target: Target,
        device: Device,
        batch_seconds: float | None,
        writers: ExitStack,
    ) -> None:
        self.number, self.embeddings = number, target.embeddings
        self.encoder = encoder.to(device.kind)
        self.budget = BatchBudget(device, batch_seconds, most=largest_batch(self.encoder.card))
        self.writer = writers.enter_context(target.embeddings.writer())
        self.frames = None
        if target.frames is not None:
            self.frames = writers.enter_context(target.frames.writer())
        self.seconds, self.hours = 0.0, 0.0

    def encode(self, group: Sequence[tuple[Recording, Loaded]]) -> list[str]:
        """Encode the recordings whose embeddings are missing; return errors."""
        started = time.perf_counter()
        kind, failures = _kind(self.encoder.card), []
        missing, waveforms = [], []
        for recording, found in group:
            if self.number in recording.missing:
                alone = len(recording.missing) == 1
                waveform = found.pop(kind) if alone else found[kind]
                if math.isinf(self.encoder.context) and not alone:
                    waveform = waveform.copy()  # it may be overwritten
                missing.append(recording)
                waveforms.append(waveform)
                self.hours += waveform.shape[-1] / kind[0] / 3600
                del waveform
        batches = encode_batches(self.encoder, waveforms, self.budget, half=True)
        for number, pieces in groupby(batches, itemgetter(0)):
            recording = missing[number]
            try:
                try:
                    self.store(recording.digest, raising(map(itemgetter(1), pieces)))
                except HalfPrecisionError:
                    self.store(recording.digest, self.single(recording))
            except TrackError as error:
                failures.append(f"track {recording.name}: {error}")
        self.seconds += time.perf_counter() - started
        return failures

    def single(self, recording: Recording) -> Iterator[Features]:
        """Yield pieces in single precision of a recording beyond the range of half precision."""
        card = self.encoder.card
        waveform, _ = load_audio(recording.path, card.channels, card.sample_rate)
        return encode_pieces(self.encoder, waveform.T, self.budget.device)

    def store(self, digest: str, pieces: Iterable[Features]) -> None:
        """Write the frames of a recording, or their averages."""
        if self.embeddings.pooling is None:
            self.writer.write(digest, pieces)
            return
        frames: list[Features] = []
        seen = _noted(pieces, frames, self.encoder.card.eight_bits)
        if self.frames is not None:
            self.frames.write(digest, seen)
        else:
            deque(seen, maxlen=0)
        self.writer.write(digest, [self.embeddings.averaged(np.concatenate(frames))])


def _noted(
    pieces: Iterable[Features], frames: list[Features], eight_bits: bool
) -> Iterator[Features]:
    """Yield pieces, and append them to ``frames`` as they will be read from the store."""
    for piece in pieces:
        frames.append(rounded(piece, eight_bits))
        yield piece
