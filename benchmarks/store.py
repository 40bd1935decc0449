"""The embedding store: what an encoder says of a recording, computed once and kept on disk."""

import hashlib
import json
import math
import zlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from motionbeat.audio import AudioError, Waveform, load_audio, resample
from motionbeat.data_modules.base import Track
from motionbeat.encoder import Encoder, EncoderCard
from motionbeat.errors import MotionBeatError
from motionbeat.files import write_atomically

Item = TypeVar("Item")
Done = TypeVar("Done")

FORMAT = 1
POOLED_FORMAT = 2
CHUNK_SECONDS = 60.0
LOOK_AHEAD = 2
IN_MEMORY = 2 << 30

Features = NDArray[np.floating]


class StoreError(MotionBeatError):
    """Embeddings that could not be computed."""


class TrackError(StoreError):
    """A fault of one recording, which leaves the others as they are."""


def segment(rate: float, seconds: float) -> int:
    """Frames in a segment of about so many seconds, one at least."""
    return max(1, round(seconds * rate))


def pool(frames: Features, rate: float, seconds: float) -> NDArray[np.float32]:
    """Average frames over segments of about so many seconds, all of about the same length.

    Args:
        frames: (frames, layers, width).
        rate: frames a second.
        seconds: length of a segment.

    Returns:
        (segments, layers, width) float32; every frame is in one segment.
    """
    count = max(1, round(len(frames) / segment(rate, seconds)))
    edges = np.linspace(0, len(frames), count + 1).round().astype(np.int64)
    sums = np.add.reduceat(frames, edges[:-1], axis=0, dtype=np.float32)
    return np.asarray(sums / np.diff(edges).astype(np.float32)[:, None, None], np.float32)


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
                self.write(path, pool(entry.get_tensor("features"), card.frame_rate, pooling))
            return path
        return None

    def write(self, path: Path, features: Features) -> None:
        """Write features (steps, layers, width) atomically, in half precision where they fit.

        Raises:
            WriteError: the disk is full or the folder not writable.
        """
        features = np.ascontiguousarray(halved(features))
        content = save({"features": features}, {"crc32": str(zlib.crc32(features.data))})
        write_atomically(path, content)


def halved(features: Features) -> Features:
    """Features in half precision where they fit; what is pooled is rounded like what is stored."""
    if np.abs(features).max(initial=0) > np.finfo(np.float16).max:
        return features
    # numpy rounds the same way, but is ten times as slow on tiny numbers
    return torch.from_numpy(features).half().numpy()


def intact(path: Path) -> bool:
    """Whether an entry exists and its checksum holds; a damaged one is removed."""
    if not path.is_file():
        return False
    try:
        with safe_open(path, framework="numpy") as entry:
            whole = entry.get_tensor("features")
            if entry.metadata()["crc32"] == str(zlib.crc32(whole.data)):
                return True
    except (SafetensorError, OSError, KeyError, TypeError, ValueError):
        pass
    with suppress(OSError):
        path.unlink()
    return False


class StoredFeatures:
    """Features of the tracks of a dataset in a store, read window by window from mapped files.

    Pooled features are small, so they are kept in memory as far as they fit into
    ``IN_MEMORY`` bytes.

    Args:
        card: of the encoder.
        pooling: seconds averaged into a step, None for frames.
        paths: entry of each audio file.
    """

    def __init__(self, card: EncoderCard, pooling: float | None, paths: dict[Path, Path]) -> None:
        self.card = card
        self.rate = card.frame_rate
        if pooling is not None:
            self.rate /= segment(card.frame_rate, pooling)
        self.layers = card.layers
        self.width = card.width
        self.paths = paths
        self._kept: dict[Path, Features] = {}
        self._room = 0 if pooling is None else IN_MEMORY

    def length(self, track: Track) -> int:
        """Number of steps of a track."""
        if track.audio_path in self._kept:
            return len(self._kept[track.audio_path])
        with safe_open(self.paths[track.audio_path], framework="numpy") as entry:
            return int(entry.get_slice("features").get_shape()[0])

    def read(self, track: Track, start: int, stop: int) -> Features:
        """Steps of a track, (stop - start, layers, width)."""
        if (kept := self._kept.get(track.audio_path)) is not None:
            return kept[start:stop]
        with safe_open(self.paths[track.audio_path], framework="numpy") as entry:
            if self._room > 0:
                whole: Features = entry.get_tensor("features")
                self._kept[track.audio_path] = whole
                self._room -= whole.nbytes
                return whole[start:stop]
            features: Features = entry.get_slice("features")[start:stop]
            return features


@cache
def _digest(path: Path, size: int, modified: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def audio_digest(path: Path) -> str:
    """SHA-256 of an audio file.

    Raises:
        TrackError: the file cannot be read.
    """
    try:
        status = path.stat()
        return _digest(path, status.st_size, status.st_mtime_ns)
    except OSError as error:
        raise TrackError(
            f"{path}: cannot be read ({error.strerror}); check the dataset's folder"
        ) from error


@torch.no_grad()  # and no inference mode: what an encoder keeps from it shall serve fine-tuning too
def encode(encoder: Encoder, waveform: Waveform, device: torch.device | str = "cpu") -> Features:
    """Encode a recording of any length piece by piece.

    Args:
        encoder: in evaluation mode.
        waveform: (samples,) at the encoder's sample rate.
        device: where the encoder is.

    Returns:
        (frames, layers, width) float32. Frames near a seam see the encoder's context on both sides.

    Raises:
        StoreError: the output has another shape than the card says.
        TrackError: the output is not finite.
    """
    card = encoder.card
    core = math.ceil(CHUNK_SECONDS * card.frame_rate)
    margin = math.ceil(encoder.context * card.frame_rate)
    total = math.ceil(len(waveform) / card.sample_rate * card.frame_rate)

    def sample(frame: int) -> int:
        return round(frame / card.frame_rate * card.sample_rate)

    pieces = []
    for first in range(0, max(total, 1), core):
        start, last = max(0, first - margin), first + core >= total
        stop = None if last else sample(first + core + margin)
        piece = torch.from_numpy(waveform[sample(start) : stop]).to(device, non_blocking=True)
        states = encoder(piece[None])[0]
        if states.ndim != 3 or (states.shape[0], states.shape[2]) != (card.layers, card.width):
            raise StoreError(
                f"encoder {card.name}: gave {tuple(states.shape)}, its card says "
                f"({card.layers}, frames, {card.width}); correct the card or the encoder"
            )
        piece = states[:, first - start : None if last else first - start + core]
        # A copy, as a view would keep the margins in memory.
        pieces.append(piece.movedim(1, 0).float().cpu().numpy().copy())
    features: Features = np.concatenate(pieces)
    if not np.isfinite(features).all():
        raise TrackError(f"encoder {card.name}: gave NaN or infinite features; mend the encoder")
    return features


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
        digest = audio_digest(track.audio_path)
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
                features = encode(encoder, waveforms[encoder.card.sample_rate], device)
                if pooling is not None:
                    if keep_frames:
                        store.write(store.path(encoder.card, digest, None), features)
                    features = pool(halved(features), encoder.card.frame_rate, pooling)
                path = store.path(encoder.card, digest, pooling)
                store.write(path, features)
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
