"""Extraction: what encoders lack of tracks is computed once and stored."""

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
from joblib import cpu_count

from motionbeat.audio import AudioError, Waveform, load_audio
from motionbeat.benchmarks.shards import rounded
from motionbeat.benchmarks.store import (
    LENGTH_SLACK,
    Embeddings,
    EmbeddingStore,
    FeatureReader,
    StoreError,
    file_digest,
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
from motionbeat.loading import AudioFile, Kind, load_files, naming_killed_workers
from motionbeat.threads import computing_threads

_TOGETHER = 30.0  # s of recordings that encoders are given at once, or two budgets
_LONG = 1200.0  # s of recordings that are done with before others are waited for
_LARGEST = 512 << 20  # bytes of features of a batch


@dataclass(frozen=True)
class Extraction:
    """How audio is decoded and encoded; nothing but rounding on a GPU depends on it.

    Attributes:
        workers: processes that decode, by default one a processor; 0 to decode in this process.
        batch_seconds: seconds of audio that are encoded together; by default one chunk on a CPU,
            and what fits into its memory on a GPU.
    """

    workers: int | None = None
    batch_seconds: float | None = None


DEFAULT = Extraction()


@dataclass(frozen=True)
class Recording:
    """A recording that encoders lack.

    Attributes:
        name: for messages.
        path: of the audio file.
        digest: of the file.
        seconds: about how long it is.
        lacking: numbers of the encoders that lack it.
    """

    name: str
    path: Path
    digest: str
    seconds: float
    lacking: tuple[int, ...]


@dataclass(frozen=True)
class Target:
    """An encoder, and where its features go.

    Attributes:
        encoder: made.
        embeddings: to be filled.
        frames: likewise with frames, where ``embeddings`` are averages and frames are kept too.
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
    audios = _digests(track.audio_path for track in tracks)
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
            lacking = tuple(number for number, one in enumerate(stored) if digest not in one)
            if lacking:
                recordings[digest] = Recording(track.id, path, digest, track.duration, lacking)
    if recordings:
        missing = sorted({number for one in recordings.values() for number in one.lacking})
        targets = {
            number: Target(
                encoders[number],
                stored[number],
                store.embeddings(cards[number]) if keep_frames and pooling else None,
            )
            for number in missing
        }
        with bar("tracks") as progress:
            label = f"embedding · {', '.join(cards[number].name for number in missing)}"
            done = len(tracks) - len(recordings)
            shown = progress.add_task(label, total=len(tracks), completed=done)
            advance = partial(progress.advance, shown)
            run = spread or extract
            failures += run(targets, list(recordings.values()), store, how, advance)
    if failures:
        raise StoreError(
            f"{len(failures)} of {len(tracks)} tracks failed, the others are stored: "
            + "; ".join(failures[:3])
            + ("; ..." if len(failures) > 3 else "")
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


def _digests(paths: Iterable[Path]) -> dict[Path, str | TrackError]:
    """Digests of files, or why they cannot be read."""

    def digest(path: Path) -> str | TrackError:
        try:
            return file_digest(path)
        except TrackError as error:
            return error

    once = list(dict.fromkeys(paths))
    with ThreadPoolExecutor(cpu_count()) as pool:  # which hash side by side
        return dict(zip(once, pool.map(digest, once), strict=True))


def extract(
    targets: Mapping[int, Target],
    recordings: Sequence[Recording],
    store: EmbeddingStore,
    how: Extraction = DEFAULT,
    advance: Callable[[int], None] = lambda _: None,
    make: Callable[[str | Encoder], Encoder] = make_encoder,
) -> list[str]:
    """Encode recordings and store what encoders say of them, in any process.

    On a processor, encoders work side by side and share its threads: two threads that compute one
    operator together wait for each other a good part of the time. No encoder is asked by two
    threads at once.

    Args:
        targets: encoders by the numbers that recordings call them by.
        recordings: in the order in which they are stored.
        store: where it is noted how fast encoders were.
        how: audio is decoded and encoded.
        advance: called with the number of recordings that are done with.
        make: makes an encoder of a target.

    Returns:
        What went wrong with recordings, a line each; all others are stored.

    Raises:
        EncodingError: as by :func:`embed`, like all that follow; what was finished is stored.
        WriteError: likewise.
        DeviceError: likewise.
        ProcessError: likewise.
    """
    device = Device()
    kinds = {number: _kind(find_encoder(target.encoder).card) for number, target in targets.items()}
    files = [
        AudioFile(one.path, one.seconds, tuple(dict.fromkeys(kinds[n] for n in one.lacking)))
        for one in recordings
    ]
    threads = torch.get_num_threads()
    beside = 1 if device.is_gpu else min(len(targets), threads)
    failures: list[str] = []
    with (
        naming_killed_workers(),
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

        # Files are fetched while encoders work on those before.
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
    """Seconds whose features, which are kept until their turn, are not too large for the host."""
    return _LARGEST / (2 * card.layers * card.width * card.frame_rate)


def _kind(card: EncoderCard) -> Kind:
    return card.sample_rate, card.channels


Loaded = dict[Kind, Waveform]
"""Waveforms of a file, ([2,] samples) each."""


def _groups(
    recordings: Sequence[Recording],
    loaded: Iterator[Loaded | AudioError],
    workers: Sequence["_Worker"],
) -> Iterator[list[tuple[Recording, Loaded | AudioError]]]:
    """Recordings that encoders are given at once: some seconds, or two batches."""
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
        number: that recordings call it by.
        encoder: made.
        target: where its features go.
        device: to compute on.
        batch_seconds: that are encoded together, None to find them.
        writers: end with the extraction.
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
        """Encode what the encoder lacks of some recordings; what went wrong."""
        started = time.perf_counter()
        kind, failures = _kind(self.encoder.card), []
        lacking, waveforms = [], []
        for recording, found in group:
            if self.number in recording.lacking:
                alone = len(recording.lacking) == 1
                waveform = found.pop(kind) if alone else found[kind]
                if math.isinf(self.encoder.context) and not alone:
                    waveform = waveform.copy()  # it may be overwritten
                lacking.append(recording)
                waveforms.append(waveform)
                self.hours += waveform.shape[-1] / kind[0] / 3600
                del waveform
        batches = encode_batches(self.encoder, waveforms, self.budget, half=True)
        for number, pieces in groupby(batches, itemgetter(0)):
            recording = lacking[number]
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
        """Pieces in single precision of a recording that half precision does not hold."""
        card = self.encoder.card
        waveform, _ = load_audio(recording.path, card.channels, card.sample_rate)
        return encode_pieces(self.encoder, waveform.T, self.budget.device)

    def store(self, digest: str, pieces: Iterable[Features]) -> None:
        """Hand pieces of frames to the writers."""
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
    """Pieces as they come; what would be read of them in the end is noted in ``frames``."""
    for piece in pieces:
        frames.append(rounded(piece, eight_bits))
        yield piece
