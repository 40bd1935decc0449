"""Variants of encoders: part of the layers, frames in eight bits, half precision on a GPU.

A variant has its own name, such as ``musicnn[int8]`` or ``mert-v1-95m[4,6]``, which is
accepted wherever an encoder is, and its own embeddings, probes and entries.
"""

import re
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from typing import ClassVar, get_args

import torch
from torch import Tensor

from motionbeat.devices import Precision
from motionbeat.encoder import Encoder
from motionbeat.errors import MotionBeatError

MEAN = "mean"
EIGHT_BITS = "int8"

_VARIANT = re.compile(r"(.+)\[([^][]+)\]")


class VariantError(MotionBeatError):
    """A variant that does not exist."""


class Variant(Encoder):
    """An encoder that returns some layers of another one, or their mean.

    Attributes:
        kind: the other encoder.
        layers: numbers of the layers, counted from 0, or ``mean``; None for all.
    """

    kind: ClassVar[type[Encoder]]
    layers: ClassVar[tuple[int, ...] | str | None]

    def __init__(self) -> None:
        super().__init__()
        self.whole = self.kind()

    @classmethod
    def unavailable(cls) -> str | None:
        """Why the encoder cannot be used here."""
        return cls.kind.unavailable()

    @classmethod
    def here(cls) -> str:
        """Note on the encoder in lists."""
        return cls.kind.here()

    def forward(self, waveform: Tensor, *lengths: Tensor) -> Tensor:
        """Encode (B, [2,] T) samples as (B, layers, frames, width)."""
        return self._chosen(self.whole(waveform, *lengths), dim=1)

    def stream(self, waveform: Tensor) -> Iterator[Tensor]:
        """Encode one recording (1, [2,] T) in parts (layers, frames, width) that join."""
        parts = self.whole.stream(waveform)
        del waveform  # which the encoder may free
        for part in parts:
            yield self._chosen(part, dim=0)

    def _chosen(self, states: Tensor, dim: int) -> Tensor:
        if self.layers is None:
            return states
        if isinstance(self.layers, str):
            return states.mean(dim, keepdim=True)
        return states.index_select(dim, torch.tensor(self.layers, device=states.device))


def parted(name: str) -> tuple[str, str]:
    """Split a name into that of the encoder and the parts in brackets, empty if there are none."""
    found = _VARIANT.fullmatch(name)
    return (found[1], found[2]) if found else (name, "")


def named(
    name: str,
    layers: str | None = None,
    eight_bits: bool = False,
    precision: Precision | None = None,
) -> str:
    """The name of a variant of an encoder, or of another variant."""
    whole, given = parted(name)
    parts = [
        part for part in (given, layers, EIGHT_BITS if eight_bits else None, precision) if part
    ]
    return f"{whole}[{','.join(parts)}]" if parts else name


@cache
def variant(kind: type[Encoder], parts: str) -> type[Encoder]:
    """Make a variant of an encoder.

    Args:
        kind: the encoder.
        parts: numbers of layers or ``mean``, ``int8``, and a precision on a GPU (``bf16`` or
            ``fp16``), separated by commas.

    Raises:
        VariantError: the encoder has no such variant.
    """
    given = [part.strip() for part in parts.split(",")]
    precision = next((one for one in get_args(Precision) if one in given), None)
    chosen = [part for part in dict.fromkeys(given) if part not in (EIGHT_BITS, precision)]
    card = kind.card
    known = {str(number) for number in range(card.layers)}
    layers: tuple[int, ...] | str | None = None
    if chosen == [MEAN]:
        layers = MEAN
    elif chosen:
        if unknown := [part for part in chosen if part not in known]:
            raise VariantError(
                f"encoder '{card.name}' has no layer '{unknown[0]}'; choose from 0 to "
                f"{card.layers - 1}, or mean alone"
            )
        layers = tuple(sorted(map(int, chosen)))
    count = len(layers) if isinstance(layers, tuple) else 1 if layers else card.layers
    chosen = [MEAN] if layers == MEAN else [str(layer) for layer in layers or ()]
    eight_bits = EIGHT_BITS in given
    name = named(card.name, ",".join(chosen), eight_bits, precision)
    facts = {
        "__module__": __name__,
        "__doc__": kind.__doc__,
        "card": replace(card, name=name, layers=count, eight_bits=eight_bits),
        "context": kind.context,
        "causal": kind.causal,
        "packages": kind.packages,
        "precision": precision,
        "kind": kind,
        "layers": layers,
    }
    return type("Variant", (Variant,), facts)
