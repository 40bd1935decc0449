"""The embedding store: what an encoder says of a recording, computed once and kept on disk."""

import hashlib
import json
import math
import time
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from functools import cache, partial
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from motionbeat.audio import AudioError, Channels, Waveform, load_audio, resample
from motionbeat.console import bar
from motionbeat.data_modules.base import IN_MEMORY, DatasetError, Track
from motionbeat.encoder import Encoder, EncoderCard
from motionbeat.encoding import (
    Features,
    TrackError,
    encode_pieces,
    find_encoder,
    halved,
    make_encoder,
)
from motionbeat.errors import MotionBeatError
from motionbeat.features import frames_in_segment, resample_frames, segment_means
from motionbeat.files import replacing, write_atomically
from motionbeat.threads import computing_threads

FORMAT = 3
POOLED_FORMAT = 4
LENGTH_SLACK = 0.5  # s
LOOK_AHEAD = 2  # files decoded while the encoders are busy
HEADER_BYTES = 256  # of an entry, a multiple of 8
BLOCK_BYTES = 1 << 20
NAN = float("nan")

Loaded = tuple[str, dict[tuple[int, Channels], Waveform]]
"""Digest of an audio file, and its waveform by sample rate and channels."""


class StoreError(MotionBeatError):
    """Embeddings that could not be computed."""


class EmbeddingStore:
    """Embeddings on disk, addressed by what they are made of.

    The address is a digest of the encoder's name and revision, the audio file's bytes and the
    pooling, so a stale entry cannot be found. Entries appear whole or not at all, several processes
    may fill one store, and a damaged entry is dropped and computed again.

    Args:
        root: folder of the store.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, card: EncoderCard, audio: str, pooling: float | None) -> Path:
        """Where the embedding of an audio digest lies."""
        address = json.dumps(
            [FORMAT if pooling is None else POOLED_FORMAT, card.name, card.revision, audio, pooling]
        )
        digest = hashlib.sha256(address.encode()).hexdigest()
        return self.root / card.name / digest[:2] / f"{digest}.safetensors"

    def find(self, card: EncoderCard, audio: str, pooling: float | None) -> Path | None:
        """An intact embedding; pooled ones are made from stored frames where there are any."""
        path = self.path(card, audio, pooling)
        if intact(path):
            return path
        frames = self.path(card, audio, None)
        if pooling is not None and intact(frames):
            with safe_open(frames, framework="numpy") as entry:
                self.write_pooled(path, entry.get_tensor("features"), card, pooling)
            return path
        return None

    def write(self, path: Path, pieces: Callable[[], Iterable[Features]]) -> None:
        """Write an entry atomically, in half precision where that holds all features.

        Args:
            path: of the entry.
            pieces: gives consecutive features (steps, layers, width), float32, one piece after the
                other; asked for a second time where half precision does not hold them.
        """
        try:
            _write(path, pieces(), np.float16)
        except OverflowError:
            _write(path, pieces(), np.float32)

    def write_pooled(self, path: Path, frames: Features, card: EncoderCard, seconds: float) -> None:
        """Write the means of frames over segments of about so many seconds."""
        pooled = segment_means(torch.from_numpy(frames), card.frame_rate, seconds).numpy()
        self.write(path, partial(iter, [pooled]))

    def speed(self, card: EncoderCard) -> float:
        """Seconds an hour of audio in which an encoder last filled the store; NaN if unknown."""
        try:
            noted = json.loads(self._speed(card).read_bytes())
            return float(noted["seconds_per_hour"]) if noted["revision"] == card.revision else NAN
        except (OSError, ValueError, TypeError, KeyError):
            return NAN

    def note_speed(self, card: EncoderCard, seconds_per_hour: float) -> None:
        """Note it."""
        noted = {"revision": card.revision, "seconds_per_hour": seconds_per_hour}
        write_atomically(self._speed(card), json.dumps(noted).encode())

    def _speed(self, card: EncoderCard) -> Path:
        return self.root / card.name / "speed.json"


def _write(path: Path, pieces: Iterable[Features], kind: type[np.floating]) -> None:
    """Write a safetensors file piece by piece, as the whole may be too large for the memory."""
    steps, crc, shape = 0, 0, ()
    with replacing(path) as unfinished, unfinished.open("wb") as file:
        file.seek(HEADER_BYTES)
        for piece in pieces:
            content = np.ascontiguousarray(halved(piece) if kind is np.float16 else piece)
            if content.dtype != kind:
                raise OverflowError
            file.write(content.data)
            crc = zlib.crc32(content.data, crc)
            steps, shape = steps + len(content), content.shape[1:]
        size = file.tell() - HEADER_BYTES
        header = {
            "__metadata__": {"crc32": str(crc)},
            "features": {
                "dtype": "F16" if kind is np.float16 else "F32",
                "shape": [steps, *shape],
                "data_offsets": [0, size],
            },
        }
        file.seek(0)
        room = HEADER_BYTES - 8
        file.write(room.to_bytes(8, "little") + json.dumps(header).encode().ljust(room))


def intact(path: Path) -> bool:
    """Whether an entry exists and its checksum holds; a damaged one is removed."""
    if not path.is_file():
        return False
    with suppress(SafetensorError, OSError, KeyError, TypeError, ValueError):
        with safe_open(path, framework="numpy") as entry:
            expected = entry.metadata()["crc32"]
        with path.open("rb") as file:
            file.seek(8 + int.from_bytes(file.read(8), "little"))
            crc = 0
            while block := file.read(BLOCK_BYTES):
                crc = zlib.crc32(block, crc)
        if str(crc) == expected:
            return True
    with suppress(OSError):
        path.unlink()
    return False


@cache
def _file_digest(path: Path, size: int, modified: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def file_digest(path: Path) -> str:
    """SHA-256 of a file.

    Raises:
        TrackError: the file cannot be read.
    """
    try:
        status = path.stat()
        return _file_digest(path, status.st_size, status.st_mtime_ns)
    except OSError as error:
        raise TrackError(
            f"{path}: cannot be read ({error.strerror}); check the dataset's folder"
        ) from error


class FeatureReader:
    """Reads stored features of tracks; what was read is kept while there is room.

    Args:
        card: of the encoder.
        pooling: seconds averaged into a step, None for frames.
        paths: entry of each audio file.
    """

    frame_rate: float
    """Steps a second in Hz; may be set, and steps are then brought to it as they are read."""

    def __init__(self, card: EncoderCard, pooling: float | None, paths: dict[Path, Path]) -> None:
        pooled = 1 if pooling is None else frames_in_segment(card.frame_rate, pooling)
        self.frame_rate = self.stored_rate = card.frame_rate / pooled
        self.paths = paths
        self._read: dict[Path, Tensor] = {}
        self._room = IN_MEMORY

    def length(self, track: Track) -> int:
        """Steps of a track."""
        with safe_open(self.paths[track.audio_path], framework="numpy") as entry:
            steps = int(entry.get_slice("features").get_shape()[0])
        if self.frame_rate == self.stored_rate:
            return steps
        return max(1, round(steps / self.stored_rate * self.frame_rate))

    def __call__(self, track: Track, start: int = 0, stop: int | None = None) -> Tensor:
        """Steps ``start`` to ``stop``, (stop - start, layers, width)."""
        if (known := self._read.get(track.audio_path)) is not None:
            return known[start:stop]
        resampled = self.frame_rate != self.stored_rate
        in_part = self._room <= 0 and not resampled
        with safe_open(self.paths[track.audio_path], framework="numpy") as entry:
            stored = (
                entry.get_slice("features")[start:stop] if in_part else entry.get_tensor("features")
            )
        if in_part:
            return torch.from_numpy(stored)
        if resampled:
            wide = torch.from_numpy(stored.astype(np.float32))
            stored = halved(resample_frames(wide, self.stored_rate, self.frame_rate).numpy())
        whole = torch.from_numpy(stored)
        if self._room > 0:
            self._read[track.audio_path] = whole
            self._room -= stored.nbytes
        return whole[start:stop]


def embed(
    encoders: Sequence[str | Encoder],
    tracks: Sequence[Track],
    store: EmbeddingStore,
    pooling: float | None = None,
    keep_frames: bool = False,
) -> list[FeatureReader]:
    """Features of tracks by several encoders; each file that lacks some is decoded once.

    Args:
        encoders: names, or encoders; one that lacks nothing is not made.
        tracks: the tracks.
        store: where features are kept.
        pooling: seconds averaged into a step, None for frames.
        keep_frames: store frames as well as what is pooled of them, for tasks that need frames.

    Raises:
        StoreError: some tracks failed, and all others are stored.
        EncodingError: an encoder breaks its contract.
        WriteError: the store cannot be written.
        DatasetError: a track's audio is shorter than its dataset says.
    """
    cards = [find_encoder(encoder).card for encoder in encoders]
    paths: list[dict[Path, Path]] = [{} for _ in cards]
    for card, found in zip(cards, paths, strict=True):
        for audio in {track.audio_path for track in tracks if track.audio_path.is_file()}:
            if (entry := store.find(card, file_digest(audio), pooling)) is not None:
                found[audio] = entry
    missing = [track for track in tracks if any(track.audio_path not in one for one in paths)]
    if missing:
        lacking = [
            (make_encoder(encoder), found)
            for encoder, found in zip(encoders, paths, strict=True)
            if any(track.audio_path not in found for track in missing)
        ]
        _extract(lacking, missing, len(tracks), store, pooling, keep_frames)
    readers = [FeatureReader(card, pooling, one) for card, one in zip(cards, paths, strict=True)]
    for reader in readers:
        for track in tracks:
            seconds = reader.length(track) / reader.frame_rate
            if track.duration > seconds + LENGTH_SLACK + 1 / reader.frame_rate:
                raise DatasetError(
                    f"{track.audio_path}: cut off after {seconds:.2f} s of {track.duration:.2f} s; "
                    "restore the audio"
                )
    return readers


def _extract(
    lacking: Sequence[tuple[Encoder, dict[Path, Path]]],
    tracks: Sequence[Track],
    total: int,
    store: EmbeddingStore,
    pooling: float | None,
    keep_frames: bool,
) -> None:
    """Encode what encoders lack of tracks, and add it to their entries by audio file.

    On a processor, encoders work side by side and share its threads: two threads that compute one
    operator together wait for each other a good part of the time.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    failures: list[str] = []
    spent = {encoder.card.name: [0.0, 0.0] for encoder, _ in lacking}  # s, and hours of audio

    def load(track: Track) -> Loaded:
        audio = track.audio_path
        cards = [encoder.card for encoder, found in lacking if audio not in found]
        loaded: dict[Channels, tuple[Waveform, int]] = {
            channels: load_audio(audio, channels) for channels in {card.channels for card in cards}
        }
        return file_digest(audio), {
            (rate, channels): resample(*loaded[channels], rate).T
            for rate, channels in {(card.sample_rate, card.channels) for card in cards}
        }

    def encode(
        track: Track, loaded: Loaded, encoder: Encoder, found: dict[Path, Path], own: bool
    ) -> None:
        started = time.perf_counter()
        card, (digest, waveforms) = encoder.card, loaded
        waveform = waveforms[card.sample_rate, card.channels]
        if math.isinf(encoder.context) and not own:
            waveform = waveform.copy()  # it is given the array, and may overwrite it
        pieces = partial(encode_pieces, encoder, waveform, device)
        path = store.path(card, digest, pooling)
        if pooling is None:
            store.write(path, pieces)
        else:
            frames = np.concatenate([halved(piece) for piece in pieces()])
            if keep_frames:
                store.write(store.path(card, digest, None), partial(iter, [frames]))
            store.write_pooled(path, frames, card, pooling)
        found[track.audio_path] = path
        spent[card.name][0] += time.perf_counter() - started
        spent[card.name][1] += waveform.shape[-1] / card.sample_rate / 3600

    for encoder, _ in lacking:
        encoder.to(device)
    threads = torch.get_num_threads()
    beside = min(len(lacking), threads) if device == "cpu" else 1
    with (
        bar("tracks") as progress,
        computing_threads(threads // beside),
        ThreadPoolExecutor(beside) as pool,
    ):
        label = f"embedding · {', '.join(encoder.card.name for encoder, _ in lacking)}"
        shown = progress.add_task(label, total=total, completed=total - len(tracks))
        for track, loaded in _prefetch(load, tracks):
            try:
                todo = [pair for pair in lacking if track.audio_path not in pair[1]]
                given = track, loaded.result()
                done = [pool.submit(encode, *given, *pair, own=len(todo) == 1) for pair in todo]
                wait(done)  # an encoder is never asked for two tracks at once
                for one in done:
                    one.result()
            except (AudioError, TrackError) as error:
                failures.append(f"track {track.id}: {error}")
            progress.advance(shown)
    for encoder, _ in lacking:
        encoder.cpu()
        seconds, hours = spent[encoder.card.name]
        if hours:
            store.note_speed(encoder.card, seconds / hours)
    if failures:
        raise StoreError(
            f"{len(failures)} of {total} tracks failed, the others are stored: "
            + "; ".join(failures[:3])
            + ("; ..." if len(failures) > 3 else "")
        )


def _prefetch(
    load: Callable[[Track], Loaded], tracks: Sequence[Track]
) -> Iterator[tuple[Track, Future[Loaded]]]:
    """Load tracks in a thread, a few tracks ahead of whoever iterates."""
    with ThreadPoolExecutor(1) as thread:
        waiting: deque[tuple[Track, Future[Loaded]]] = deque()
        for track in tracks:
            waiting.append((track, thread.submit(load, track)))
            if len(waiting) > LOOK_AHEAD:
                yield waiting.popleft()
        yield from waiting
