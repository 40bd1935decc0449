"""States of trained modules in files, with their checksums."""

import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save
from torch import nn

from motionbeat.console import say
from motionbeat.files import write_atomically


def save_state(module: nn.Module, path: Path) -> None:
    """Write the state of a module atomically, with its checksum.

    Raises:
        WriteError: the file cannot be written.
    """
    state = {
        name: tensor.cpu().contiguous().numpy() for name, tensor in module.state_dict().items()
    }
    write_atomically(path, save(state, {"crc32": _checksum(state)}))


def load_state(module: nn.Module, path: Path) -> bool:
    """Give a module the state in a file; False where there is none, or it is damaged."""
    if not path.is_file():
        return False
    try:
        with safe_open(path, framework="numpy") as file:
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            shapes = {name: tuple(one.shape) for name, one in module.state_dict().items()}
            same = shapes == {name: one.shape for name, one in state.items()}
            if same and file.metadata()["crc32"] == _checksum(state):
                module.load_state_dict({name: torch.from_numpy(one) for name, one in state.items()})
                return True
    except (SafetensorError, OSError, KeyError, TypeError, RuntimeError):
        pass
    say(f"ignored: {path} is damaged")
    return False


def _checksum(state: Mapping[str, NDArray[Any]]) -> str:
    """CRC-32 of arrays in the order of their names."""
    found = 0
    for name in sorted(state):
        found = zlib.crc32(state[name].tobytes(), found)
    return str(found)
