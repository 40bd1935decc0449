"""Beat-synchronous tokens: frames averaged over positions within the beats of a grid.

A :class:`Clock` is a batch of beat grids as tensors. Every beat has the same number of positions at
any tempo, so tempo changes, pickups and any metre need no special case.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from motionbeat.rhythm import BeatGrid

POSITIONS = 12
"""Positions per beat, divisible by two, three and four."""


class Clock(NamedTuple):
    """Beat grids of a batch of clips.

    Attributes:
        times: (B, n + 1) float64 times of the beats in seconds; padding continues in steps of 1 s.
        positions: (B, n) position of each beat in its bar, 0 on the downbeat.
        beats_per_bar: (B,) number of beats per bar.
        mask: (B, n) bool, False at padding.
    """

    times: Tensor
    positions: Tensor
    beats_per_bar: Tensor
    mask: Tensor

    @classmethod
    def of(cls, grids: Sequence[BeatGrid]) -> "Clock":
        """Pad grids to the longest."""
        lengths = [len(grid) for grid in grids]
        padding = [max(lengths) - length for length in lengths]
        times, positions = [], []
        for grid, more in zip(grids, padding, strict=True):
            times.append(np.append(grid.times, grid.times[-1] + np.arange(1, more + 1)))
            positions.append(np.pad(grid.positions, (0, more)))
        return cls(
            torch.from_numpy(np.stack(times)),
            torch.from_numpy(np.stack(positions)),
            torch.tensor([grid.beats_per_bar for grid in grids]),
            torch.arange(max(lengths)) < torch.tensor(lengths)[:, None],
        )

    def to(self, device: torch.device | str) -> "Clock":
        """The same clock on a device."""
        return Clock(*(x.to(device, non_blocking=True) for x in self))

    def beats(self, first: int, last: int, start: float) -> "Clock":
        """The clock of beats ``first`` to ``last``, with times relative to ``start`` in seconds."""
        return Clock(
            self.times[:, first : last + 1] - start,
            self.positions[:, first:last],
            self.beats_per_bar,
            self.mask[:, first:last],
        )

    @property
    def phase(self) -> Tensor:
        """(B, n) float64 bar phase of the beats in radians."""
        return 2 * math.pi * self.positions.to(self.times.dtype) / self.beats_per_bar[:, None]

    @property
    def periods(self) -> Tensor:
        """(B, n) length of the beats in seconds."""
        return self.times.diff(dim=1)

    @property
    def _last(self) -> Tensor:
        """(B, 1) number of the last real beat."""
        return self.mask.sum(dim=1, keepdim=True) - 1

    def position_times(self) -> Tensor:
        """(B, n, POSITIONS) seconds of evenly spaced positions in each beat, from its start."""
        part = torch.arange(POSITIONS, device=self.times.device) / POSITIONS
        return self.times[:, :-1, None] + part * self.periods[..., None]

    def beat(self, seconds: Tensor) -> Tensor:
        """Fractional index (B, F) of the beat at (B, F) seconds."""
        seconds = seconds.to(self.times.dtype).contiguous()
        index = torch.searchsorted(self.times, seconds, right=True) - 1
        index = torch.minimum(index.clamp_min(0), self._last)
        start, period = self.times.gather(1, index), self.periods.gather(1, index)
        return index + (seconds - start) / period

    def phase_at(self, seconds: Tensor) -> Tensor:
        """(B, F) float64 bar phase in radians at (B, F) seconds."""
        beat = self.beat(seconds)
        index = torch.minimum(beat.detach().floor().long().clamp_min(0), self._last)
        place = self.positions.gather(1, index) + beat - index
        return 2 * math.pi * place / self.beats_per_bar[:, None]

    def interpolate(self, states: Tensor, seconds: Tensor) -> Tensor:
        """Linearly interpolate states (B, n, width) of the beats at (B, F) seconds.

        States are placed at the middles of beats; they are constant beyond the first and the last.
        """
        last = self._last.to(self.times.dtype)
        place = torch.minimum((self.beat(seconds) - 0.5).clamp_min(0), last)
        return on_lines(states, place, last)


def on_lines(values: Tensor, place: Tensor, last: Tensor) -> Tensor:
    """Linearly interpolate (B, n, width) at fractional indices (B, F), up to ``last`` (B, 1)."""
    low = place.floor()
    part = (place - low).unsqueeze(-1).to(values.dtype)
    high = torch.minimum(low + 1, last)
    before, after = (values.take_along_dim(i.long()[..., None], 1) for i in (low, high))
    return before + part * (after - before)


def beat_synchronous(frames: Tensor, frame_rate: float, clock: Clock) -> Tensor:
    """Average frames (B, T, width) over the positions of each beat, (B, n * POSITIONS, width).

    Frame ``i`` covers the time from (i - 1/2) / frame_rate to (i + 1/2) / frame_rate. The averages
    are exact integrals, so every position has a value, even if it is shorter than a frame. Outside
    the frames and at padding, values are 0.
    """
    sums = torch.nn.functional.pad(frames.double().cumsum(dim=1), (0, 0, 1, 0))
    edges = torch.cat([clock.position_times().flatten(1), clock.times[:, -1:]], dim=1)
    place = (edges * frame_rate + 0.5).clamp(0, frames.shape[1])
    low = place.floor().clamp_max(frames.shape[1] - 1).long()
    clip = torch.arange(len(frames), device=frames.device)[:, None]
    below, above = sums[clip, low], sums[clip, low + 1]
    at_edges = below + (place - low).unsqueeze(-1) * (above - below)
    spans = edges.diff(dim=1).unsqueeze(-1) * frame_rate
    tokens = (at_edges.diff(dim=1) / spans).to(frames.dtype)
    return tokens * clock.mask.repeat_interleave(POSITIONS, dim=1).unsqueeze(-1)
