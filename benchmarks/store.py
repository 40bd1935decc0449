"""The embedding store: what an encoder says of a recording, computed once and kept on disk."""

import hashlib
import json
import math
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import cache, partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from safetensors import SafetensorError, safe_open

from motionbeat.audio import AudioError, Waveform, load_audio, resample
from motionbeat.data_modules.base import Track
from motionbeat.encoder import Encoder, EncoderCard
from motionbeat.encoding import Features, TrackError, encode_pieces, halved
from motionbeat.errors import MotionBeatError
from motionbeat.features import frames_in_segment, segment_means
from motionbeat.files import replacing

Item = TypeVar("Item")
Done = TypeVar("Done")

FORMAT = 3
POOLED_FORMAT = 4
LOOK_AHEAD = 2
HEADER_BYTES = 256  # of an entry, a multiple of 8
CHECKED_BYTES = 1 << 20  # read at once when an entry is checked


class StoreError(MotionBeatError):
    """Embeddings that could not be computed."""


def pool(frames: Features, frame_rate: float, seconds: float) -> Features:
    """Means (segments, layers, width) of frames over segments of about so many seconds."""
    return segment_means(torch.from_numpy(frames), frame_rate, seconds).numpy()


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
                pooled = pool(entry.get_tensor("features"), card.frame_rate, pooling)
            self.write(path, partial(iter, [pooled]))
            return path
        return None

    def write(self, path: Path, pieces: Callable[[], Iterable[Features]]) -> None:
        """Write an entry atomically, in half precision where that holds all features.

        Args:
            path: of the entry.
            pieces: gives consecutive features (steps, layers, width), float32, one piece after the
                other; asked for a second time where half precision does not hold them.

        Raises:
            WriteError: the disk is full or the folder not writable.
        """
        try:
            _write(path, pieces(), np.float16)
        except OverflowError:
            _write(path, pieces(), np.float32)


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
    try:
        with safe_open(path, framework="numpy") as entry:
            expected = entry.metadata()["crc32"]
        with path.open("rb") as file:
            file.seek(8 + int.from_bytes(file.read(8), "little"))
            crc = 0
            while block := file.read(CHECKED_BYTES):
                crc = zlib.crc32(block, crc)
        if str(crc) == expected:
            return True
    except (SafetensorError, OSError, KeyError, TypeError, ValueError):
        pass
    with suppress(OSError):
        path.unlink()
    return False


class StoredFeatures:
    """Features of tracks in a store, read part by part from mapped files.

    Args:
        card: of the encoder.
        pooling: seconds averaged into a step, None for frames.
        paths: entry of each audio file.
    """

    def __init__(self, card: EncoderCard, pooling: float | None, paths: dict[Path, Path]) -> None:
        self.frame_rate = card.frame_rate
        if pooling is not None:
            self.frame_rate /= frames_in_segment(card.frame_rate, pooling)
        self.paths = paths

    def length(self, track: Track) -> int:
        """Number of steps of a track."""
        with safe_open(self.paths[track.audio_path], framework="numpy") as entry:
            return int(entry.get_slice("features").get_shape()[0])

    def read(self, track: Track, start: int = 0, stop: int | None = None) -> Features:
        """Steps of a track, (stop - start, layers, width)."""
        with safe_open(self.paths[track.audio_path], framework="numpy") as entry:
            features: Features = entry.get_slice("features")[start:stop]
            return features


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


def find_features(
    store: EmbeddingStore, card: EncoderCard, tracks: Sequence[Track], pooling: float | None
) -> StoredFeatures | None:
    """Features of all tracks, None where the store lacks some."""
    paths: dict[Path, Path] = {}
    for track in tracks:
        if not track.audio_path.is_file():
            return None
        entry = store.find(card, file_digest(track.audio_path), pooling)
        if entry is None:
            return None
        paths[track.audio_path] = entry
    return StoredFeatures(card, pooling, paths)


def extract(
    encoders: Sequence[Encoder],
    tracks: Sequence[Track],
    store: EmbeddingStore,
    pooling: float | None,
    advance: Callable[[Track], None],
    device: torch.device | str = "cpu",
    keep_frames: bool = False,
) -> dict[str, StoredFeatures]:
    """Fill a store with what encoders say of tracks; each file is decoded once for all of them.

    Args:
        encoders: the encoders; they are frozen, and on the device for as long as this takes.
        tracks: the tracks.
        store: the store to fill.
        pooling: seconds averaged into a step, None for frames.
        advance: called with each track when it is done.
        device: where the encoders shall run.
        keep_frames: store frames as well as what is pooled of them, for tasks that need frames.

    Returns:
        The features by encoder name.

    Raises:
        StoreError: some tracks failed, and all others are stored; or an encoder breaks its
            contract.
        WriteError: the store cannot be written.
    """
    paths: dict[str, dict[Path, Path]] = {encoder.card.name: {} for encoder in encoders}
    failures: list[str] = []

    def load(track: Track) -> tuple[str, list[Encoder], dict[int, Waveform]]:
        digest = file_digest(track.audio_path)
        missing = []
        for encoder in encoders:
            if (path := store.find(encoder.card, digest, pooling)) is not None:
                paths[encoder.card.name][track.audio_path] = path
            else:
                missing.append(encoder)
        if not missing:
            return digest, missing, {}
        waveform, rate = load_audio(track.audio_path)
        rates = {encoder.card.sample_rate for encoder in missing}
        return digest, missing, {target: resample(waveform, rate, target) for target in rates}

    for encoder in encoders:
        encoder.eval().requires_grad_(False).to(device)
    for track, loaded in prefetch(load, tracks):
        try:
            digest, missing, waveforms = loaded.result()
            for encoder in missing:
                card = encoder.card
                waveform = waveforms[card.sample_rate]
                if math.isinf(encoder.context) and encoder is not missing[-1]:
                    waveform = waveform.copy()  # it is given the array itself and may overwrite it

                pieces = partial(encode_pieces, encoder, waveform, device)
                path = store.path(card, digest, pooling)
                if pooling is None:
                    store.write(path, pieces)
                else:
                    frames = np.concatenate([halved(piece) for piece in pieces()])
                    if keep_frames:
                        store.write(store.path(card, digest, None), partial(iter, [frames]))
                    pooled = pool(frames, card.frame_rate, pooling)
                    store.write(path, partial(iter, [pooled]))
                paths[encoder.card.name][track.audio_path] = path
        except (AudioError, TrackError) as error:
            failures.append(f"track {track.id}: {error}")
        advance(track)
    for encoder in encoders:
        encoder.cpu()
    if failures:
        raise StoreError(
            f"{len(failures)} of {len(tracks)} tracks failed, the others are stored: "
            + "; ".join(failures[:3])
            + ("; ..." if len(failures) > 3 else "")
        )
    return {e.card.name: StoredFeatures(e.card, pooling, paths[e.card.name]) for e in encoders}


def prefetch(
    work: Callable[[Item], Done], items: Sequence[Item]
) -> Iterator[tuple[Item, Future[Done]]]:
    """Do work on items in a thread, a few items ahead of whoever iterates."""
    with ThreadPoolExecutor(1) as thread:
        waiting: deque[tuple[Item, Future[Done]]] = deque()
        for item in items:
            waiting.append((item, thread.submit(work, item)))
            if len(waiting) > LOOK_AHEAD:
                yield waiting.popleft()
        yield from waiting
