"""Published weights: where their files lie, and loading them without a doubt left."""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import torch
from torch import Tensor, nn

from motionbeat.benchmarks.encoders.pretrained.hub import read_weights
from motionbeat.encoder import Encoder
from motionbeat.errors import MotionBeatError

Network = TypeVar("Network", bound=nn.Module)


class FileEncoder(Encoder):
    """An encoder whose weights are one file, which the user has put into a folder.

    Nothing is fetched: of most such files no checksum of their publisher's is known.

    Attributes:
        file: its name in ``MOTIONBEAT_DATA/weights``.
        origin: where to get it.
    """

    file: ClassVar[str]
    origin: ClassVar[str]

    @classmethod
    def unavailable(cls) -> str | None:
        """Why this encoder cannot be made here; None when it can."""
        if (missing := super().unavailable()) is not None:
            return missing
        if not os.environ.get("MOTIONBEAT_DATA"):
            return (
                f"weights not found; put {cls.file}, from {cls.origin}, into DIR/weights and give "
                "--data DIR or set MOTIONBEAT_DATA to DIR"
            )
        if not cls.path().is_file():
            return f"{cls.path()}: no such file; put it there, from {cls.origin}"
        return None

    @classmethod
    def path(cls) -> Path:
        """Where the file is looked for; only where ``MOTIONBEAT_DATA`` is set."""
        return Path(os.environ["MOTIONBEAT_DATA"], "weights", cls.file)

    @classmethod
    def read(cls, key: str = "", *parts: str) -> dict[str, Tensor]:
        """The tensors that the file holds, at its top or under a key.

        Args:
            key: where they lie.
            parts: beginnings of names. Where there are some, tensors of other names are left out,
                and never read into memory.

        Raises:
            MotionBeatError: it is not there or damaged.
        """
        if (fault := cls.unavailable()) is not None:
            raise MotionBeatError(f"encoder {cls.card.name}: {fault}")
        if not parts:
            return tensors_under(read_weights(cls.path()), key)
        return {
            name: tensor.clone()
            for name, tensor in tensors_under(read_weights(cls.path(), mapped=True), key).items()
            if name.startswith(parts) and isinstance(tensor, Tensor)
        }


def tensors_under(contents: Mapping[str, Any], key: str) -> dict[str, Tensor]:
    """What a file holds by name under a key, or in all where there is no such key."""
    found = contents.get(key)
    named = found if isinstance(found, Mapping) else contents
    return {name: content for name, content in named.items() if isinstance(name, str)}


def below(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors whose names begin with a prefix, without it."""
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in tensors.items()
        if name.startswith(prefix)
    }


def load_strictly(
    network: nn.Module, tensors: Mapping[str, Tensor], source: Path, unused: Sequence[str] = ()
) -> None:
    """Make tensors the weights of a network, which may have been built without memory for its own.

    Args:
        network: gets them, in single precision, frozen and in evaluation mode.
        tensors: by the names that the network gives them.
        source: the file they are from, for the message.
        unused: beginnings of the names of parts the encoder has no use for.

    Raises:
        MotionBeatError: one of the others is missing, unknown or of another shape.
    """
    expected = network.state_dict()
    given = {
        name: tensor.float() if expected[name].is_floating_point() else tensor.long()
        for name, tensor in tensors.items()
        if name in expected and isinstance(tensor, Tensor)
    }
    unknown = [name for name in tensors if name not in given and not name.startswith(tuple(unused))]
    faults = [f"lacks {name}" for name in expected if name not in given]
    faults += [f"holds an unknown {name}" for name in unknown]
    faults += [
        f"has {name} of shape {tuple(tensor.shape)} instead of {tuple(expected[name].shape)}"
        for name, tensor in given.items()
        if tensor.shape != expected[name].shape
    ]
    if faults:
        raise MotionBeatError(
            f"{source}: {faults[0]} ({len(faults)} faults), so these are weights of another "
            "network; get the file that the encoder's card names"
        )
    network.load_state_dict(given, assign=True)
    network.eval().requires_grad_(False)


def hollow(kind: Callable[..., Network], *sizes: int) -> Network:
    """A network without memory for its weights, to be given some."""
    with torch.device("meta"):
        return kind(*sizes)
