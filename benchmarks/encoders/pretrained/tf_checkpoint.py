"""TensorFlow checkpoints (V2 bundles), read without TensorFlow.

A bundle is two files. ``.index`` is a LevelDB table whose values are ``BundleEntryProto`` messages:
type, shape and place of one tensor each. ``.data-00000-of-00001`` holds the tensors' little-endian
bytes. Formats: LevelDB's ``doc/table_format.md``, TensorFlow's ``tensor_bundle.proto``. Only files
whose checksum is known are read, so they are taken to be well formed.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

_FOOTER = 48
_DTYPES = {1: "<f4", 2: "<f8", 3: "<i4", 9: "<i8"}  # strings, by which Keras describes objects, not
_AXES = {2: (1, 0), 3: (2, 1, 0), 4: (2, 3, 1, 0)}  # of TensorFlow's kernels among torch's

Variables = Mapping[str, NDArray[Any]]


def read_checkpoint(folder: Path, prefix: str = "") -> Variables:
    """Every array of a checkpoint in a single shard, by name; a prefix begins its files' names."""
    table = (folder / f"{prefix}.index").read_bytes()
    data = (folder / f"{prefix}.data-00000-of-00001").read_bytes()
    footer = table[-_FOOTER:]
    _, metadata = _handle(footer, 0)
    index, _ = _handle(footer, metadata)
    variables = {}
    for _, place in _block_entries(table[slice(*index)]):
        block, _ = _handle(place, 0)
        for name, entry in _block_entries(table[slice(*block)]):
            fields = dict(_message_fields(entry))
            if name and (dtype := _DTYPES.get(fields[1])) is not None:  # the first is a header
                shape = [
                    dict(_message_fields(size)).get(1, 0) for _, size in _message_fields(fields[2])
                ]
                start = fields.get(4, 0)
                values = np.frombuffer(data[start : start + fields[5]], dtype)
                variables[name.decode()] = values.reshape(shape)
    return variables


@torch.no_grad()
def copy_layer(layer: nn.Module, variables: Variables, scope: str, suffix: str = "") -> None:
    """Make the variables of a layer the weights of a convolution, dense layer or batch norm."""
    targets: dict[str, Tensor]
    if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
        statistics = (layer.get_buffer(f"running_{name}") for name in ("mean", "var"))
        values = (layer.weight, layer.bias, *statistics)
        names = ("gamma", "beta", "moving_mean", "moving_variance")
        targets = dict(zip(names, values, strict=True))
    else:
        weight = layer.get_parameter("weight")
        targets = {
            "kernel": weight.permute(_AXES[weight.ndim]),
            "bias": layer.get_parameter("bias"),
        }
    for name, target in targets.items():
        target.copy_(torch.tensor(variables[f"{scope}/{name}{suffix}"]).view(target.shape))


def _handle(buffer: bytes, position: int) -> tuple[tuple[int, int], int]:
    """Start and end of a block, and the position behind what says so."""
    start, position = _varint(buffer, position)
    size, position = _varint(buffer, position)
    return (start, start + size), position


def _block_entries(block: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Key and value pairs of a block; each key states how much of the last one it shares."""
    end = len(block) - 4 * (1 + int.from_bytes(block[-4:], "little"))
    key, position = b"", 0
    while position < end:
        shared, position = _varint(block, position)
        unshared, position = _varint(block, position)
        length, position = _varint(block, position)
        key = key[:shared] + block[position : position + unshared]
        position += unshared + length
        yield key, block[position - length : position]


def _message_fields(message: bytes) -> Iterator[tuple[int, Any]]:
    """Field numbers and values of a protocol buffers message."""
    position = 0
    while position < len(message):
        tag, position = _varint(message, position)
        match tag & 7:
            case 0:
                value: Any
                value, position = _varint(message, position)
            case 2:
                length, position = _varint(message, position)
                value, position = message[position : position + length], position + length
            case _:  # a checksum
                value, position = message[position : position + 4], position + 4
        yield tag >> 3, value


def _varint(buffer: bytes, position: int) -> tuple[int, int]:
    """An unsigned integer in groups of seven bits, and the position behind it."""
    value = shift = 0
    while True:
        byte = buffer[position]
        value |= (byte & 0x7F) << shift
        position, shift = position + 1, shift + 7
        if byte < 0x80:
            return value, position
