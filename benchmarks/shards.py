"""Shards: safetensors files that hold the embeddings of many recordings, checked by block.

A shard has a tensor for each embedding, and a table of blocks behind them: bytes, steps and CRC-32
of each, in the order of the file; the last row has the CRC-32 of header and table. Half and single
precision lie in it as (steps, layers, width); eight bits as a tensor of bytes, each block deflated
by itself.
"""

import json
import struct
import tempfile
import uuid
import zlib
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from fsspec import AbstractFileSystem
from fsspec.implementations.local import LocalFileSystem
from numpy.typing import NDArray

from motionbeat.encoding import Features, halved
from motionbeat.errors import MotionBeatError
from motionbeat.files import WriteError, replacing

FORMAT = "5"
SUFFIX = ".safetensors"
TABLE = "blocks"
EIGHT_BITS = "U8"
KINDS = {"F16": np.float16, "F32": np.float32}
LEVELS = 255  # steps between the minimum and the maximum of a feature
BLOCK_VALUES = 1 << 21  # 4 MB in half precision
ROW = 24  # bytes of a row of the table
HEAD_BYTES = 1 << 16  # read of a file at first; most headers are shorter
ROOM = 1 << 10  # for the header of one embedding, beside the facts
LONGEST_HEADER = 100 << 20  # as in safetensors


class DamagedError(MotionBeatError):
    """A damaged shard, or a damaged embedding in one."""

    def __init__(self, path: str, fault: str) -> None:
        super().__init__(path, fault)  # an exception is pickled with its arguments
        self.path, self.fault = path, fault

    def __str__(self) -> str:
        """The message."""
        return f"{self.path}: {self.fault}"


class Block(NamedTuple):
    """Consecutive steps in stored form, with their checksum."""

    content: memoryview
    steps: int
    crc: int


class Entry(NamedTuple):
    """Position of an embedding in its file in bytes, its precision and its length."""

    start: int
    stop: int
    kind: str
    steps: int


def in_blocks(piece: Features) -> Iterator[Features]:
    """Split a piece (steps, layers, width) into parts of bounded size."""
    steps = max(1, BLOCK_VALUES // max(1, piece[0].size)) if len(piece) else 1
    return (piece[start : start + steps] for start in range(0, len(piece), steps))


def rounded(piece: Features, eight_bits: bool) -> Features:
    """A piece (steps, layers, width) as it is when it is read from a shard."""
    if not eight_bits:
        return piece
    blocks = [_decoded(encoded(one, True), EIGHT_BITS, one.shape) for one in in_blocks(piece)]
    return np.concatenate(blocks) if blocks else piece


def encoded(features: Features, eight_bits: bool) -> Block:
    """Encode features (steps, layers, width) in their own precision or in eight bits."""
    if eight_bits:
        content = memoryview(_eight_bits(features))
    else:
        numbers = np.ascontiguousarray(features)
        content = numbers.data.cast("B") if numbers.size else memoryview(b"")
    return Block(content, len(features), zlib.crc32(content))


def _eight_bits(features: Features) -> bytes:
    """Quantise each feature to 256 levels between its minimum and maximum.

    Levels are stored as differences over time, feature by feature, deflated. The minima and the
    widths of a level (float32) come first.
    """
    values = torch.from_numpy(features.astype(np.float32, copy=False)).flatten(1)
    least, most = torch.aminmax(values, dim=0)
    width = (most - least) / LEVELS
    width[width == 0] = 1
    codes = (values - least).div_(width).round_().to(torch.uint8).numpy()
    codes[1:] -= codes[:-1].copy()
    # Level 1 takes a third of the time of level 6, and a tenth more room.
    deflated = zlib.compress(codes.T.tobytes(), 1)
    return least.numpy().tobytes() + width.numpy().tobytes() + deflated


def _decoded(block: Block, kind: str, shape: tuple[int, ...]) -> Features:
    """Decode a block to (steps, layers, width)."""
    if kind != EIGHT_BITS:
        return np.frombuffer(block.content, KINDS[kind]).reshape(shape)
    count = shape[1] * shape[2]
    least, width = np.frombuffer(block.content[: 8 * count], np.float32).reshape(2, count)
    codes = np.frombuffer(zlib.decompress(block.content[8 * count :]), np.uint8)
    levels = np.ascontiguousarray(codes.reshape(count, shape[0]).T).cumsum(axis=0, dtype=np.uint8)
    values = levels.astype(np.float32)
    values *= width
    values += least
    return halved(values).reshape(shape)


@contextmanager
def placed(fs: AbstractFileSystem, path: str) -> Iterator[Path]:
    """Yield a local path whose file is moved or uploaded to ``path`` when it is complete.

    Raises:
        WriteError: the store is not writable, or full.
    """
    if isinstance(fs, LocalFileSystem):
        with replacing(Path(path)) as unfinished:
            yield unfinished
        return
    with tempfile.TemporaryDirectory() as scratch:
        unfinished = Path(scratch) / "unfinished"
        yield unfinished
        try:
            fs.makedirs(path.rpartition("/")[0], exist_ok=True)
            fs.put_file(str(unfinished), path)
        except Exception as error:  # each filesystem has exceptions of its own
            raise WriteError(
                f"{fs.unstrip_protocol(path)}: cannot be written ({error}); free some space, make "
                "it writable or choose another address"
            ) from error


@dataclass(eq=False)
class Shard:
    """A file of embeddings, opened by its header.

    Attributes:
        facts: encoder, revision, pooling and shape.
        entries: position of each embedding by key.
        table: position of the table of blocks.
        checksum: CRC-32 of the header.
    """

    fs: AbstractFileSystem
    path: str
    size: int
    facts: dict[str, str]
    entries: dict[str, Entry]
    table: slice
    checksum: int

    @cached_property
    def blocks(self) -> NDArray[np.int64]:
        """Start in the file, steps and CRC-32 of each block; the last row is their end.

        Raises:
            DamagedError: the checksum of header and table is wrong.
        """
        content = self.fs.cat_file(self.path, self.table.start, self.table.stop)
        if content[-ROW:] != _last_row(content[:-ROW], self.checksum):
            raise DamagedError(self.path, "its header is damaged")
        rows = np.frombuffer(content, np.int64).reshape(-1, 3).copy()
        rows[:, 0] = self.table.start - rows[::-1, 0].cumsum()[::-1]
        return rows

    @property
    def shape(self) -> tuple[int, int]:
        """Layers and width of all embeddings."""
        layers, width = self.facts["shape"].split(",")
        return int(layers), int(width)

    def stored(self, key: str, start: int = 0, stop: int | None = None) -> Iterator[Block]:
        """The blocks of an embedding that hold steps from ``start`` to ``stop``.

        Raises:
            DamagedError: a checksum is wrong.
        """
        entry = self.entries[key]
        rows = self.blocks
        first, last = np.searchsorted(rows[:, 0], [entry.start, entry.stop])
        ends = rows[first:last, 1].cumsum()
        stop = entry.steps if stop is None else stop
        before = first + int(np.searchsorted(ends, start, side="right"))
        after = min(last, first + int(np.searchsorted(ends, stop)) + 1)
        for row in range(before, after):
            content = self.fs.cat_file(self.path, int(rows[row, 0]), int(rows[row + 1, 0]))
            if zlib.crc32(content) != rows[row, 2]:
                raise DamagedError(self.path, f"the embedding {key} is damaged")
            yield Block(memoryview(content), int(rows[row, 1]), int(rows[row, 2]))

    def read(self, key: str, start: int = 0, stop: int | None = None) -> Features:
        """Steps ``start`` to ``stop`` of an embedding, (steps, layers, width), checked.

        Raises:
            DamagedError: a checksum is wrong.
        """
        entry = self.entries[key]
        start, stop, _ = slice(start, stop).indices(entry.steps)
        known = self._steps_before(entry, start)
        try:
            if start >= stop:
                return np.empty((0, *self.shape), np.float16)
            blocks = list(self.stored(key, start, stop))
            parts = [_decoded(one, entry.kind, (one.steps, *self.shape)) for one in blocks]
        except (ValueError, zlib.error) as error:
            raise DamagedError(self.path, f"the embedding {key} is damaged") from error
        whole: Features = np.concatenate(parts)
        return whole[start - known : stop - known]

    def _steps_before(self, entry: Entry, start: int) -> int:
        """Number of steps before the block that contains a step."""
        first, last = np.searchsorted(self.blocks[:, 0], [entry.start, entry.stop])
        ends = self.blocks[first:last, 1].cumsum()
        number = int(np.searchsorted(ends, start, side="right"))
        return int(ends[number - 1]) if number else 0


def open_shards(fs: AbstractFileSystem, sizes: Mapping[str, int]) -> Iterator[Shard | DamagedError]:
    """Open shards by paths and file sizes, reading only headers; yield errors of damaged ones.

    Files that have been removed in the meantime are skipped.
    """
    paths = list(sizes)
    ends = [min(HEAD_BYTES, sizes[path]) for path in paths]
    heads = fs.cat_ranges(paths, [0] * len(paths), ends, on_error="return")
    for path, head in zip(paths, heads, strict=True):
        if isinstance(head, FileNotFoundError):
            continue
        if isinstance(head, Exception):
            raise head
        try:
            end = 8 + int.from_bytes(head[:8], "little")
            if not 8 < end <= min(sizes[path], LONGEST_HEADER):
                raise ValueError
            if end > len(head):
                head = fs.cat_file(path, 0, end)
            yield _shard(fs, path, sizes[path], head[:end])
        except (ValueError, LookupError, TypeError, AttributeError):
            yield DamagedError(path, "is cut off or damaged")


def _shard(fs: AbstractFileSystem, path: str, size: int, head: bytes) -> Shard:
    header, start = json.loads(head[8:]), len(head)
    facts = header.pop("__metadata__")
    low, high = header.pop(TABLE)["data_offsets"]
    if start + high != size:
        raise ValueError
    entries = {}
    for key, one in header.items():
        first, last = one["data_offsets"]
        kind = one["dtype"]
        steps = int(facts.pop(key)) if kind == EIGHT_BITS else one["shape"][0]
        entries[key] = Entry(start + first, start + last, kind, steps)
    table = slice(start + low, start + high)
    return Shard(fs, path, size, facts, entries, table, zlib.crc32(head))


@dataclass
class Written:
    """Facts about the blocks of an embedding.

    Attributes:
        rows: bytes, steps and CRC-32 of each block.
    """

    key: str
    kind: str = "F16"
    rows: list[tuple[int, int, int]] = field(default_factory=list)

    def add(self, block: Block) -> None:
        """Count a block."""
        self.rows.append((len(block.content), block.steps, block.crc))

    @property
    def nbytes(self) -> int:
        """Size in bytes."""
        return sum(row[0] for row in self.rows)

    @property
    def steps(self) -> int:
        """Number of steps."""
        return sum(row[1] for row in self.rows)


def _ends(written: Sequence[Written], facts: Mapping[str, str], room: int) -> tuple[bytes, bytes]:
    """Header and table of a shard; the header has at least ``room`` bytes."""
    shape = [int(one) for one in facts["shape"].split(",")]
    metadata = dict(facts)
    header: dict[str, Any] = {"__metadata__": metadata}
    offset = 0
    for one in written:
        whole = [one.steps, *shape]
        if one.kind == EIGHT_BITS:
            metadata[one.key], whole = str(one.steps), [one.nbytes]
        ends = [offset, offset := offset + one.nbytes]
        header[one.key] = {"dtype": one.kind, "shape": whole, "data_offsets": ends}
    rows = [row for one in written for row in one.rows]
    ends = [offset, offset + ROW * (len(rows) + 1)]
    header[TABLE] = {"dtype": "I64", "shape": [len(rows) + 1, 3], "data_offsets": ends}
    text = json.dumps(header).encode()
    text = text.ljust(max(room, len(text) + -len(text) % 8))
    head = struct.pack("<Q", len(text)) + text
    table = np.array(rows, np.int64).tobytes()
    return head, table + _last_row(table, zlib.crc32(head))


def _last_row(table: bytes, checksum: int) -> bytes:
    """The last row of a table, with the checksum of header and table."""
    return np.array([0, 0, zlib.crc32(table, checksum)], np.int64).tobytes()


def write_shard(
    fs: AbstractFileSystem,
    folder: str,
    facts: Mapping[str, str],
    embeddings: Iterable[tuple[Written, Sequence[Block]]],
) -> Shard:
    """Write embeddings to a new shard.

    Raises:
        WriteError: the store is not writable, or full.
    """
    embeddings = list(embeddings)
    path = f"{folder}/{uuid.uuid4().hex}{SUFFIX}"
    head, table = _ends([written for written, _ in embeddings], facts, 0)
    with placed(fs, path) as unfinished, unfinished.open("wb") as file:
        file.write(head)
        for _, blocks in embeddings:
            for block in blocks:
                file.write(block.content)
        file.write(table)
        size = file.tell()
    return _shard(fs, path, size, head)


def copied(shard: Shard, keys: Iterable[str]) -> Shard | None:
    """Copy some embeddings of a shard to a new one in the same folder, without damaged ones.

    Raises:
        WriteError: the store is not writable, or full.
    """
    intact = []
    for key in keys:
        with suppress(DamagedError, OSError):
            written, blocks = Written(key, shard.entries[key].kind), list(shard.stored(key))
            for block in blocks:
                written.add(block)
            intact.append((written, blocks))
    folder = shard.path.rpartition("/")[0]
    return write_shard(shard.fs, folder, shard.facts, intact) if intact else None


def write_long(
    fs: AbstractFileSystem, folder: str, facts: Mapping[str, str], written: Written
) -> Generator[None, Block | None, Shard]:
    """Write one embedding to a new shard.

    Send its blocks to the generator, after adding each to ``written``, and None at the end. Closing
    the generator removes the unfinished file.

    Raises:
        WriteError: the store is not writable, or full.
    """
    path = f"{folder}/{uuid.uuid4().hex}{SUFFIX}"
    room = ROOM + len(json.dumps(dict(facts)))
    with placed(fs, path) as unfinished, unfinished.open("wb") as file:
        file.seek(8 + room)
        while (block := (yield)) is not None:
            file.write(block.content)
        head, table = _ends([written], facts, room)
        file.write(table)
        size = file.tell()
        file.seek(0)
        file.write(head)
    return _shard(fs, path, size, head)
