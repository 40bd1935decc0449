"""TensorFlow checkpoints (V2 bundles), read without TensorFlow.

A bundle is two files. ``.index`` is a LevelDB table whose values are ``BundleEntryProto`` messages:
type, shape, place and checksum of one tensor each. ``.data-00000-of-00001`` holds the tensors'
little-endian bytes. Formats: LevelDB's ``doc/table_format.md``, TensorFlow's
``tensor_bundle.proto``. Files are treated as untrusted: everything read is bounded by the file and
checked against its CRC-32C before it is used.
"""

import math
import struct
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from motionbeat.errors import MotionBeatError

_MAGIC = 0xDB4775248B80FB57
_FOOTER = 48
_BLOCK_TRAILER = 5  # compression type and checksum
_HEADER_KEY = b""
_DTYPES = {1: "<f4", 2: "<f8", 3: "<i4", 9: "<i8"}
_STRING = 7


class CheckpointError(MotionBeatError):
    """A checkpoint that is missing, damaged or of a kind not read here."""


def read_checkpoint(folder: Path, prefix: str = "") -> dict[str, NDArray[np.generic]]:
    """Read every tensor of a checkpoint kept in a single shard.

    Args:
        folder: of the checkpoint's files.
        prefix: what their names have before ``.index`` and ``.data-00000-of-00001``.

    Returns:
        Arrays by variable name. Strings, by which Keras describes its objects, are left out.

    Raises:
        CheckpointError: a file is missing, truncated or altered, or uses compression, more than
            one shard, sliced tensors, big-endian numbers or another type than float and integer
            of 32 or 64 bits.
    """
    index, data = folder / f"{prefix}.index", folder / f"{prefix}.data-00000-of-00001"
    try:
        table, tensors = index.read_bytes(), data.read_bytes()
    except OSError as error:
        raise CheckpointError(
            f"{error.filename}: cannot be read ({error.strerror}); restore the checkpoint"
        ) from error
    try:
        entries = dict(_table_entries(table))
        _check_header(entries.pop(_HEADER_KEY, b""))
    except ValueError as error:
        raise CheckpointError(f"{index}: {error}; restore the checkpoint") from error
    try:
        return {
            key.decode(): _tensor(key.decode(), entry, tensors)
            for key, entry in entries.items()
            if dict(_message_fields(entry)).get(1) != _STRING
        }
    except (ValueError, OverflowError) as error:
        raise CheckpointError(f"{data}: {error}; restore the checkpoint") from error


def _table_entries(table: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Key and value pairs of a LevelDB table."""
    footer = table[-_FOOTER:]
    if len(footer) < _FOOTER or struct.unpack("<Q", footer[-8:])[0] != _MAGIC:
        raise ValueError("not a checkpoint index, or truncated")
    position = 0
    for _ in range(2):  # the first handle points to metadata that bundles leave empty
        offset, position = _varint(footer, position)
        size, position = _varint(footer, position)
    for _, handle in _block_entries(_block(table, offset, size)):
        offset, position = _varint(handle, 0)
        size, _ = _varint(handle, position)
        yield from _block_entries(_block(table, offset, size))


def _block(table: bytes, offset: int, size: int) -> bytes:
    """A block's contents, checked."""
    block = table[offset : offset + size + _BLOCK_TRAILER]
    if len(block) < size + _BLOCK_TRAILER:
        raise ValueError("a block reaches beyond the end of the file")
    if masked_crc32c(block[:-4]) != struct.unpack("<I", block[-4:])[0]:
        raise ValueError("checksum of a block does not match")
    if block[size]:
        raise ValueError("compressed blocks are not supported")
    return block[:size]


def _block_entries(block: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Key and value pairs of a block; each key states how much of the last one it shares."""
    if len(block) < 4:
        raise ValueError("a block is too short")
    end = len(block) - 4 * (1 + struct.unpack("<I", block[-4:])[0])
    if end < 0:
        raise ValueError("a block is too short")
    key, position = b"", 0
    while position < end:
        shared, position = _varint(block, position)
        unshared, position = _varint(block, position)
        length, position = _varint(block, position)
        if shared > len(key) or position + unshared + length > end:
            raise ValueError("an entry reaches beyond its block")
        key = key[:shared] + block[position : position + unshared]
        position += unshared + length
        yield key, block[position - length : position]


def _check_header(header: bytes) -> None:
    fields = dict(_message_fields(header))
    if fields.get(1) != 1:
        raise ValueError("only checkpoints of a single shard are supported")
    if fields.get(2, 0) != 0:
        raise ValueError("big-endian checkpoints are not supported")


def _tensor(name: str, entry: bytes, data: bytes) -> NDArray[np.generic]:
    """The array that a ``BundleEntryProto`` describes."""
    fields = dict(_message_fields(entry))
    dtype = _DTYPES.get(_integer(fields.get(1, 0)))
    if dtype is None or 7 in fields:
        raise ValueError(f"{name} has an unsupported type")
    shape = [
        _integer(dict(_message_fields(_bytes(dimension))).get(1, 0))
        for number, dimension in _message_fields(_bytes(fields.get(2, b"")))
        if number == 2
    ]
    offset, size = _integer(fields.get(4, 0)), _integer(fields.get(5, 0))
    if size != math.prod(shape) * np.dtype(dtype).itemsize:
        raise ValueError(f"size of {name} does not match its shape")
    if offset + size > len(data):
        raise ValueError(f"truncated before the end of {name}")
    content = data[offset : offset + size]
    if masked_crc32c(content) != fields.get(6):
        raise ValueError(f"checksum of {name} does not match")
    return np.frombuffer(content, dtype).reshape(shape)


def _message_fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Field numbers and values of a protocol buffers message."""
    position = 0
    while position < len(message):
        tag, position = _varint(message, position)
        number, kind = tag >> 3, tag & 7
        if kind == 0:
            value, position = _varint(message, position)
            yield number, value
            continue
        if kind not in (1, 2, 5):
            raise ValueError("malformed entry")
        if kind == 2:
            length, position = _varint(message, position)
        else:
            length = 8 if kind == 1 else 4
        if position + length > len(message):
            raise ValueError("malformed entry")
        content = message[position : position + length]
        position += length
        yield number, content if kind == 2 else int.from_bytes(content, "little")


def _integer(value: int | bytes) -> int:
    if isinstance(value, bytes):
        raise ValueError("malformed entry")
    return value


def _bytes(value: int | bytes) -> bytes:
    if isinstance(value, int):
        raise ValueError("malformed entry")
    return value


def _varint(buffer: bytes, position: int) -> tuple[int, int]:
    """An unsigned integer in groups of seven bits, and the position behind it."""
    value = 0
    for shift, byte in zip(range(0, 64, 7), buffer[position : position + 10], strict=False):
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position + shift // 7 + 1
    raise ValueError("malformed number")


def masked_crc32c(data: bytes) -> int:
    """CRC-32C (Castagnoli) of ``data``, rotated and offset as LevelDB stores it.

    The data are cut into lanes that run through the byte-wise algorithm side by side. A checksum
    is linear, so lane after lane is joined by advancing the state over a lane of zeros, which a
    table for each of the state's four bytes does at once.
    """
    table = _crc_table()
    length = max(1, math.isqrt(len(data)))
    head = len(data) % length
    state = 0xFFFFFFFF
    for byte in data[:head]:
        state = (state >> 8) ^ int(table[(state ^ byte) & 0xFF])
    lanes = np.frombuffer(data, np.uint8, offset=head).reshape(-1, length)
    places = 8 * np.arange(4, dtype=np.uint32)
    bytes_of_state = np.arange(256, dtype=np.uint32) << places[:, None]
    crcs = np.concatenate([np.zeros(len(lanes), np.uint32), bytes_of_state.ravel()])
    for column in lanes.T:
        crcs[: len(lanes)] ^= column
        crcs = (crcs >> 8) ^ table[crcs & 0xFF]
    advance = crcs[len(lanes) :].reshape(4, 256).tolist()
    for crc in crcs[: len(lanes)].tolist():
        state = crc ^ (
            advance[0][state & 0xFF]
            ^ advance[1][state >> 8 & 0xFF]
            ^ advance[2][state >> 16 & 0xFF]
            ^ advance[3][state >> 24]
        )
    state ^= 0xFFFFFFFF
    return (((state >> 15) | (state << 17)) + 0xA282EAD8) & 0xFFFFFFFF


@cache
def _crc_table() -> NDArray[np.uint32]:
    """Effect of each byte value on the checksum's state."""
    table: NDArray[np.uint32] = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = (table >> np.uint32(1)) ^ (table & np.uint32(1)) * np.uint32(0x82F63B78)
    return table
