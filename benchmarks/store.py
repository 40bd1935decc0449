"""The embedding store: what an encoder says of a recording, computed once and kept on disk."""

import hashlib
import json
import zlib
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import cache, partial
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from motionbeat.data_modules.base import IN_MEMORY, Track
from motionbeat.encoder import EncoderCard
from motionbeat.encoding import (
    Features,
    TrackError,
    halved,
)
from motionbeat.errors import MotionBeatError
from motionbeat.features import frames_in_segment, resample_frames, segment_means
from motionbeat.files import replacing, write_atomically

FORMAT = 3
POOLED_FORMAT = 4
LENGTH_SLACK = 0.5  # s
HEADER_BYTES = 256  # of an entry, a multiple of 8
BLOCK_BYTES = 1 << 20
NAN = float("nan")


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
