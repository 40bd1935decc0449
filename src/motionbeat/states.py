"""States of trained modules in files, with their checksums."""

import zlib
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
    """Write the state of a module atomically, with its checksum."""
    state = {name: one.cpu().contiguous().numpy() for name, one in module.state_dict().items()}
    write_atomically(path, save(state, {"crc32": _checksum(state)}))


def load_state(module: nn.Module, path: Path) -> bool:
    """Give a module the state in a file; False where there is none, or it is damaged."""
    if not path.is_file():
        return False
    try:
        with safe_open(path, framework="numpy") as file:
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            same = (file.metadata() or {}).get("crc32") == _checksum(state)
        if same:
            module.load_state_dict({name: torch.from_numpy(one) for name, one in state.items()})
    except (SafetensorError, OSError, RuntimeError):  # torch's, where names or shapes are others
        same = False
    if not same:
        say(f"ignored: {path} is damaged")
    return same


def _checksum(state: dict[str, NDArray[Any]]) -> str:
    """CRC-32 of arrays in the order of their names."""
    return str(zlib.crc32(b"".join(state[name].tobytes() for name in sorted(state))))
