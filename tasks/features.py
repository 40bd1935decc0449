"""Frozen features as examples: the windows a probe learns from and is tested on."""

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import Dataset

from motionbeat.data_modules.base import Track

Targets = dict[str, Tensor]


class FeatureSource(Protocol):
    """Frozen features of tracks, step by step; a step is a frame or an average over a segment.

    Attributes:
        rate: steps a second.
        layers: hidden layers a step.
        width: features a layer.
    """

    rate: float
    layers: int
    width: int

    def length(self, track: Track) -> int:
        """Number of steps of a track."""
        ...

    def read(self, track: Track, start: int, stop: int) -> NDArray[np.floating]:
        """Steps ``start`` to ``stop`` of a track, (stop - start, layers, width)."""
        ...


class Resampled:
    """Features brought to another rate, on straight lines between frames.

    What was encoded at different rates then has the same steps. Frame i is centred at i / rate.

    Args:
        source: the features, frame by frame.
        rate: steps a second wanted.
    """

    def __init__(self, source: FeatureSource, rate: float) -> None:
        self.source = source
        self.rate = rate
        self.layers = source.layers
        self.width = source.width

    def length(self, track: Track) -> int:
        """Number of steps of a track."""
        return max(1, round(self.source.length(track) / self.source.rate * self.rate))

    def read(self, track: Track, start: int, stop: int) -> NDArray[np.floating]:
        """Steps ``start`` to ``stop`` of a track, (stop - start, layers, width) float32."""
        last = self.source.length(track) - 1
        places = np.minimum(np.arange(start, stop) * self.source.rate / self.rate, last)
        before = places.astype(np.int64)
        first, final = before[0], min(before[-1] + 1, last)
        frames = self.source.read(track, first, final + 1).astype(np.float32)
        share = (places - before).astype(np.float32)[:, None, None]
        after = np.minimum(before + 1, last) - first
        resampled: NDArray[np.floating] = (
            frames[before - first] * (1 - share) + frames[after] * share
        )
        return resampled


class Batch(NamedTuple):
    """Windows of tracks, padded at their end.

    Attributes:
        features: (B, T, layers, width) frozen features.
        mask: (B, T) True where a step is real and not padding.
        track: (B,) index of the track among those of the split.
        inputs: (B, T, ...) tensors by name, given to the probe beside the features.
        targets: (B, T, ...) tensors by name; empty where annotations must not be seen.
    """

    features: Tensor
    mask: Tensor
    track: Tensor
    inputs: Targets
    targets: Targets


Example = tuple[Tensor, int, Targets, Targets]
"""Features (T, layers, width), index of the track, inputs and targets (T, ...)."""


class Windows(Dataset[Example]):
    """Consecutive windows of the features of some tracks, in order.

    Args:
        source: where features are read from, window by window.
        tracks: the tracks to cut up.
        window: steps a window; the last one of a track may be shorter.
        stride: steps from one window to the next; windows that overlap are all whole, but for those
            of tracks shorter than one.
        inputs: gives the inputs of a track with so many steps, each (steps, ...).
        targets: gives its targets; None where they must not be seen.
    """

    def __init__(
        self,
        source: FeatureSource,
        tracks: Sequence[Track],
        window: int,
        stride: int,
        inputs: Callable[[Track, int], Targets],
        targets: Callable[[Track, int], Targets] | None,
    ) -> None:
        self.source = source
        self.tracks = tracks
        lengths = [source.length(track) for track in tracks]
        overlap = window - 1 if stride < window else 0
        self.windows = [
            (index, start, min(start + window, length))
            for index, length in enumerate(lengths)
            for start in range(0, max(1, length - overlap), stride)
        ]
        self.inputs = [inputs(*pair) for pair in zip(tracks, lengths, strict=True)]
        self.targets = [
            targets(track, length) if targets else {}
            for track, length in zip(tracks, lengths, strict=True)
        ]

    def __len__(self) -> int:
        return len(self.windows)

    def __getitem__(self, index: int) -> Example:
        """One window."""
        track, start, stop = self.windows[index]
        features = torch.from_numpy(self.source.read(self.tracks[track], start, stop))
        inputs, targets = (
            {name: tensor[start:stop] for name, tensor in whole[track].items()}
            for whole in (self.inputs, self.targets)
        )
        return features, track, inputs, targets


def collate(examples: Sequence[Example]) -> Batch:
    """Pad windows of several lengths into one batch."""
    features, tracks, inputs, targets = zip(*examples, strict=True)
    lengths = torch.tensor([len(window) for window in features])
    if len({window.dtype for window in features}) > 1:
        features = tuple(window.float() for window in features)
    padded = pad_sequence(list(features), batch_first=True)
    return Batch(
        features=padded,
        mask=torch.arange(padded.shape[1]) < lengths[:, None],
        track=torch.tensor(tracks),
        inputs=pad_each(inputs),
        targets=pad_each(targets),
    )


def pad_each(windows: Sequence[Targets]) -> Targets:
    """Pad named tensors (T, ...) of several windows into (B, T, ...)."""
    return {
        name: pad_sequence([window[name] for window in windows], batch_first=True)
        for name in windows[0]
    }
