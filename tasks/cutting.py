"""Tensors of whole tracks, cut to the items of a batch; outputs of a batch without padding."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from motionbeat.data_modules.base import Batch, Track

Outputs = NDArray[np.float32]

Tensors = dict[str, Tensor]
"""(steps, ...) of a track or (B, steps, ...) of a batch, by name."""


class TrackCutter:
    """Cuts tensors of whole tracks to the items of batches; those of a track are computed once.

    Args:
        make: returns the tensors of a track with a number of steps.
        step_rate: rate of the steps in Hz.
    """

    def __init__(self, make: Callable[[Track, int], Tensors], step_rate: float) -> None:
        self.make = make
        self.step_rate = step_rate
        self._whole: dict[tuple[str, Path], Tensors] = {}

    def __call__(self, batch: Batch, steps: int) -> Tensors:
        """Tensors (B, steps, ...) by name, on the device of the batch."""
        rows: list[Tensors] = []
        for track, start in zip(batch.tracks, batch.start.tolist(), strict=True):
            first = round(start * self.step_rate)
            whole = self._whole.get((track.id, track.audio_path))
            if whole is None or any(len(one) < first + steps for one in whole.values()):
                length = max(math.ceil(track.duration * self.step_rate) + 1, first + steps)
                whole = self.make(track, length)
                self._whole[track.id, track.audio_path] = whole
            rows.append({name: one[first : first + steps] for name, one in whole.items()})
        return {
            name: torch.stack([row[name] for row in rows]).to(batch.mask.device) for name in rows[0]
        }

    def clear(self) -> None:
        """Free the tensors of all tracks."""
        self._whole.clear()


def unpadded(outputs: Tensor, mask: Tensor) -> list[Outputs]:
    """Outputs (steps, ...) of each item of a batch, without padding."""
    lengths = mask.sum(dim=1).tolist()
    rows = outputs.detach().float().cpu().numpy()
    return [cast("Outputs", row[:length]) for row, length in zip(rows, lengths, strict=True)]
