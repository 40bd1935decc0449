"""The embedding store: features of recordings by encoder, computed once."""

import json
import os
import time
from collections.abc import Generator, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from queue import Empty, Queue
from threading import Thread
from types import TracebackType
from typing import Self

import numpy as np
import torch
from fsspec import AbstractFileSystem
from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem
from joblib import cpu_count
from torch import Tensor

from motionbeat.benchmarks.shards import (
    EIGHT_BITS,
    FORMAT,
    SUFFIX,
    Block,
    DamagedError,
    Shard,
    Written,
    copied,
    encoded,
    in_blocks,
    open_shards,
    placed,
    write_long,
    write_shard,
)
from motionbeat.cache import digest
from motionbeat.console import say
from motionbeat.data_modules.base import IN_MEMORY, Track
from motionbeat.encoder import EncoderCard
from motionbeat.encoding import Features, halved
from motionbeat.errors import MotionBeatError
from motionbeat.features import frames_in_segment, resample_frames, segment_means

FRAMES_VERSION = 3
POOLED_VERSION = 4
"""Versions of stored frames and averages; must change whenever the numbers do."""

ELSEWHERE = "MOTIONBEAT_EMBEDDINGS"
LENGTH_SLACK = 0.5  # s
SHARD_BYTES = 64 << 20
LONG_BYTES = 16 << 20  # an embedding of more has a file of its own
FLUSH_SECONDS = 30.0
SMALL_BYTES = 64 << 10  # a block of less is not worth another thread
WAITING = 8  # blocks that wait to be written
NAN = float("nan")


class StoreError(MotionBeatError):
    """Embeddings that could not be computed, or a store that cannot be used."""


class EmbeddingStore:
    """Embeddings in a folder, or at any other address that fsspec supports.

    There is one folder of shards for each encoder, revision and pooling. Shards have unique names
    and are written atomically, so several processes may fill one store.

    Args:
        address: a folder, or an address such as ``s3://bucket/embeddings``.

    Raises:
        StoreError: the address is wrong, or needs a package that is not installed.
    """

    fs: AbstractFileSystem
    root: str

    def __init__(self, address: str | Path) -> None:
        try:
            self.fs, self.root = url_to_fs(str(address))
        except Exception as error:  # each filesystem has exceptions of its own
            remedy = (
                "install the package it names"
                if isinstance(error, ImportError)
                else "give a folder, or an address such as s3://bucket/folder"
            )
            raise StoreError(f"embeddings at {address}: {error}; {remedy}") from error
        self.root = self.root.rstrip("/")

    @property
    def folder(self) -> Path | None:
        """The folder, if the address is one."""
        return Path(self.root) if isinstance(self.fs, LocalFileSystem) else None

    def __str__(self) -> str:
        """The address."""
        return str(self.folder or self.fs.unstrip_protocol(self.root))

    def embeddings(self, card: EncoderCard, pooling: float | None = None) -> "Embeddings":
        """The embeddings of an encoder: frames, or averages over ``pooling`` seconds."""
        return Embeddings(self, card, pooling).refresh()

    def listed(self, folder: str) -> dict[str, int]:
        """Paths and sizes of the shards in a folder.

        Raises:
            StoreError: the store cannot be read.
        """
        try:
            self.fs.invalidate_cache(folder)
            found = self.fs.ls(folder, detail=True)
        except FileNotFoundError:
            return {}
        except Exception as error:  # each filesystem has exceptions of its own
            raise StoreError(
                f"embeddings at {self}: cannot be read ({error}); check the address and its "
                "permissions"
            ) from error
        return {one["name"]: one["size"] for one in found if one["name"].endswith(SUFFIX)}

    def remove(self, path: str) -> bool:
        """Remove a file that may be gone already; whether that was possible."""
        try:
            self.fs.rm_file(path)
        except FileNotFoundError:
            return True
        except OSError:
            return False
        return True

    def speed(self, card: EncoderCard) -> float:
        """Computing time in s per hour of audio in the last extraction; NaN if unknown."""
        try:
            noted = json.loads(self.fs.cat_file(self._speed(card)))
            return float(noted["seconds_per_hour"]) if noted["revision"] == card.revision else NAN
        except (OSError, ValueError, TypeError, KeyError):
            return NAN

    def note_speed(self, card: EncoderCard, seconds_per_hour: float) -> None:
        """Store the speed of an encoder."""
        noted = {"revision": card.revision, "seconds_per_hour": seconds_per_hour}
        with placed(self.fs, self._speed(card)) as unfinished:
            unfinished.write_text(json.dumps(noted))

    def _speed(self, card: EncoderCard) -> str:
        return f"{self.root}/{card.name}/speed.json"


def address_of(cache: Path) -> str:
    """``MOTIONBEAT_EMBEDDINGS``, or the folder ``embeddings`` of a cache."""
    return os.environ.get(ELSEWHERE) or str(cache / "embeddings")


def store_of(cache: Path) -> EmbeddingStore:
    """The store at that address."""
    return EmbeddingStore(address_of(cache))


class Embeddings:
    """The stored embeddings of one encoder, by the digest of the audio file.

    :meth:`refresh` reads only headers. Checksums are verified when an embedding is read.

    Args:
        store: the store.
        card: card of the encoder.
        pooling: length in seconds of the segments that are averaged; None for frames.
    """

    def __init__(self, store: EmbeddingStore, card: EncoderCard, pooling: float | None) -> None:
        self.store = store
        self.card = card
        self.pooling = pooling
        self.eight_bits = card.eight_bits and pooling is None
        version = FRAMES_VERSION if pooling is None else POOLED_VERSION
        self.facts = {
            "format": FORMAT,
            "encoder": card.name,
            "revision": card.revision,
            "segment_seconds": "" if pooling is None else f"{pooling:g}",
            "shape": f"{card.layers},{card.width}",
        }
        self.folder = (
            f"{store.root}/{card.name}/{digest(version=version, pooling=pooling, **self.facts)}"
        )
        self.shards: dict[str, Shard] = {}

    def __getstate__(self) -> dict[str, object]:
        """State without the known shards, as other processes only write."""
        return self.__dict__ | {"shards": {}}

    def refresh(self) -> Self:
        """Read the headers of shards that are not known yet."""
        sizes = self.store.listed(self.folder)
        for known in self.shards.values():
            sizes.pop(known.path, None)
        for shard in open_shards(self.store.fs, sizes):
            if isinstance(shard, DamagedError):
                say(f"{shard}; its embeddings are computed again")
                self.store.remove(shard.path)
            else:
                self.add(shard)
        return self

    def __contains__(self, audio: object) -> bool:
        """Whether there is an embedding of an audio digest."""
        return audio in self.shards

    def add(self, shard: Shard) -> None:
        """Add the embeddings of a shard."""
        self.shards |= dict.fromkeys(shard.entries, shard)

    def steps(self, audio: str) -> int:
        """Length of an embedding."""
        return self.shards[audio].entries[audio].steps

    def read(self, audio: str, start: int = 0, stop: int | None = None) -> Features:
        """Steps ``start`` to ``stop`` of an embedding, (steps, layers, width).

        Raises:
            DamagedError: the checksum is wrong; the embedding is dropped.
        """
        shard = self.shards[audio]
        try:
            return shard.read(audio, start, stop)
        except (DamagedError, FileNotFoundError) as error:
            self.drop_damaged(shard)
            fault = f"the embedding {audio} is damaged; it is dropped, run again to compute it"
            raise DamagedError(shard.path, fault) from error

    def drop_damaged(self, shard: Shard) -> None:
        """Replace a shard by one that has only its intact embeddings."""
        for key in shard.entries:
            self.shards.pop(key, None)
        intact = copied(shard, shard.entries)
        if intact is not None:
            self.add(intact)
        self.store.remove(shard.path)

    def writer(self) -> "Writer":
        """A context manager that adds embeddings."""
        return Writer(self)

    def pool(self, audios: Iterable[str]) -> None:
        """Compute missing averages from stored frames, if there are any.

        Raises:
            WriteError: the store cannot be written.
        """
        missing = [audio for audio in audios if audio not in self]
        if self.pooling is None or not missing:
            return
        frames = self.store.embeddings(self.card)
        with self.writer() as writer:
            for audio in missing:
                if audio in frames:
                    try:
                        writer.write(audio, [self.averaged(frames.read(audio))])
                    except DamagedError as error:
                        say(str(error))

    def averaged(self, frames: Features) -> Features:
        """Means of (steps, layers, width) frames over segments, in half precision if it fits."""
        assert self.pooling is not None
        means = segment_means(torch.from_numpy(frames), self.card.frame_rate, self.pooling)
        return halved(means.numpy())


_Blocks = list[Block | Future[Block]]


class Writer:
    """Writes embeddings in threads of its own, while others are computed.

    Small embeddings are gathered in shards of 64 MB or 30 s, whichever comes first. A long one has
    its own file and is written while it is computed, so that memory is bounded. Several threads
    may call :meth:`write`. At the end of the ``with`` block, all complete embeddings are written.
    """

    def __init__(self, embeddings: Embeddings) -> None:
        self.embeddings = embeddings
        # Blocks, and at the end of an embedding whether it is complete.
        self._waiting: Queue[tuple[_Growing, _Blocks, bool | None] | None] = Queue(WAITING)
        self._thread = Thread(target=self._run, daemon=True)
        self._making = ThreadPoolExecutor(cpu_count())
        self._fault: BaseException | None = None
        self._gathered: dict[str, tuple[Written, list[Block]]] = {}
        self._size = 0
        self._since = 0.0

    def __enter__(self) -> Self:
        """Start the thread."""
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Write all that is in the queue.

        Raises:
            WriteError: the store is not writable, or full.
        """
        self._waiting.put(None)
        self._thread.join()
        self._making.shutdown()
        if self._fault is not None and error is None:
            raise self._fault

    def write(self, audio: str, pieces: Iterable[Features]) -> None:
        """Add the embedding of an audio digest.

        Args:
            audio: the digest.
            pieces: consecutive features (steps, layers, width), all float16 or all float32, which
                must not be modified afterwards. They are stored in this precision or in eight bits.

        Raises:
            WriteError: the store is not writable, or full; possibly for an earlier embedding.
        """
        growing = _Growing(self.embeddings, audio)
        eight_bits = self.embeddings.eight_bits
        blocks: _Blocks = []
        try:
            for piece in pieces:
                growing.written.kind = EIGHT_BITS if eight_bits else f"F{8 * piece.itemsize}"
                for features in in_blocks(piece):
                    if features.nbytes <= SMALL_BYTES:
                        blocks.append(encoded(features, eight_bits))
                        continue
                    blocks.append(self._making.submit(encoded, features, eight_bits))
                    self._put(growing, blocks)
                    blocks = []
        except BaseException:
            self._put(growing, [], False)
            raise
        self._put(growing, blocks, True)

    def _put(self, growing: "_Growing", blocks: _Blocks, complete: bool | None = None) -> None:
        self._waiting.put((growing, blocks, complete))
        if self._fault is not None:
            raise self._fault

    def _run(self) -> None:
        while True:
            try:
                item = self._waiting.get(timeout=FLUSH_SECONDS if self._gathered else None)
                if item is None:
                    break
                if self._fault is None:  # otherwise the queue is only emptied
                    self._take(*item)
            except Empty:
                pass
            except BaseException as error:
                self._fault = error
            if self._size > SHARD_BYTES or time.monotonic() - self._since > FLUSH_SECONDS:
                self._flush()
        self._flush()

    def _take(self, growing: "_Growing", blocks: _Blocks, complete: bool | None) -> None:
        for block in blocks:
            growing.add(block.result() if isinstance(block, Future) else block)
        if complete is None:
            return
        if not complete:
            growing.abandon()
        elif growing.file is not None:
            self.embeddings.add(growing.end())
        else:
            self._since = self._since if self._gathered else time.monotonic()
            self._gathered[growing.written.key] = growing.written, growing.blocks
            self._size += growing.written.nbytes

    def _flush(self) -> None:
        gathered, self._gathered, self._size = self._gathered, {}, 0
        if gathered and self._fault is None:
            mine = self.embeddings
            try:
                self.embeddings.add(
                    write_shard(mine.store.fs, mine.folder, mine.facts, gathered.values())
                )
            except BaseException as error:
                self._fault = error


class _Growing:
    """An unfinished embedding: in memory while it is small, then in a file."""

    def __init__(self, embeddings: Embeddings, key: str) -> None:
        self.embeddings = embeddings
        self.written = Written(key)
        self.blocks: list[Block] = []
        self.file: Generator[None, Block | None, Shard] | None = None

    def add(self, block: Block) -> None:
        """Add a block."""
        self.written.add(block)
        self.blocks.append(block)
        if self.file is None and self.written.nbytes > LONG_BYTES:
            mine = self.embeddings
            self.file = write_long(mine.store.fs, mine.folder, mine.facts, self.written)
            next(self.file)
        if self.file is not None:
            for one in self.blocks:
                self.file.send(one)
            self.blocks = []

    def end(self) -> Shard:
        """Finish the file."""
        assert self.file is not None
        try:
            self.file.send(None)
        except StopIteration as end:
            shard: Shard = end.value
            return shard
        raise AssertionError

    def abandon(self) -> None:
        """Remove the unfinished file."""
        if self.file is not None:
            self.file.close()


class FeatureReader:
    """Reads stored features of tracks, and caches them in memory while there is room.

    Args:
        embeddings: of the encoder.
        audios: digest of each audio file.
    """

    frame_rate: float
    """Steps a second in Hz; may be set, and steps are then brought to it as they are read."""

    def __init__(self, embeddings: Embeddings, audios: Mapping[Path, str]) -> None:
        rate, pooling = embeddings.card.frame_rate, embeddings.pooling
        pooled = 1 if pooling is None else frames_in_segment(rate, pooling)
        self.frame_rate = self.stored_rate = rate / pooled
        self.embeddings = embeddings
        self.audios = audios
        self._read: dict[Path, Tensor] = {}
        self._room = IN_MEMORY

    def length(self, track: Track) -> int:
        """Steps of a track."""
        steps = self.embeddings.steps(self.audios[track.audio_path])
        if self.frame_rate == self.stored_rate:
            return steps
        return max(1, round(steps / self.stored_rate * self.frame_rate))

    def __call__(self, track: Track, start: int = 0, stop: int | None = None) -> Tensor:
        """Steps ``start`` to ``stop``, (stop - start, layers, width).

        Raises:
            DamagedError: the embedding is damaged; it is dropped.
        """
        if (known := self._read.get(track.audio_path)) is not None:
            return known[start:stop]
        resampled = self.frame_rate != self.stored_rate
        in_part = self._room <= 0 and not resampled
        audio = self.audios[track.audio_path]
        if in_part:
            return torch.from_numpy(self.embeddings.read(audio, start, stop))
        stored = self.embeddings.read(audio)
        if resampled:
            wide = torch.from_numpy(stored.astype(np.float32))
            stored = halved(resample_frames(wide, self.stored_rate, self.frame_rate).numpy())
        whole = torch.from_numpy(stored)
        if self._room > 0:
            self._read[track.audio_path] = whole
            self._room -= stored.nbytes
        return whole[start:stop]
