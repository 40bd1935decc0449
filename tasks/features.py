"""Frozen features as examples: the windows a probe learns from and is tested on."""

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import Dataset

from data_modules.base import Track

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


class Batch(NamedTuple):
    """Windows of tracks, padded at their end.

    Attributes:
        features: (B, T, layers, width) frozen features.
        mask: (B, T) True where a step is real and not padding.
        track: (B,) index of the track among those of the split.
        targets: (B, T, ...) tensors by name; empty where annotations must not be seen.
    """

    features: Tensor
    mask: Tensor
    track: Tensor
    targets: Targets


class Windows(Dataset[tuple[Tensor, int, Targets]]):
    """Consecutive windows of the features of some tracks, in order.

    Args:
        source: where features are read from, window by window.
        tracks: the tracks to cut up.
        window: steps a window; the last one of a track may be shorter.
        targets: gives the targets of a track with so many steps, each (steps, ...).
    """

    def __init__(
        self,
        source: FeatureSource,
        tracks: Sequence[Track],
        window: int,
        targets: Callable[[Track, int], Targets] | None = None,
    ) -> None:
        self.source = source
        self.tracks = tracks
        lengths = [source.length(track) for track in tracks]
        self.windows = [
            (index, start, min(start + window, length))
            for index, length in enumerate(lengths)
            for start in range(0, length, window)
        ]
        self.targets = [
            targets(track, length) if targets else {}
            for track, length in zip(tracks, lengths, strict=True)
        ]

    def __len__(self) -> int:
        return len(self.windows)

    def __getitem__(self, index: int) -> tuple[Tensor, int, Targets]:
        """Features (T, layers, width), index of the track, targets (T, ...)."""
        track, start, stop = self.windows[index]
        features = torch.from_numpy(self.source.read(self.tracks[track], start, stop))
        return features, track, {k: v[start:stop] for k, v in self.targets[track].items()}


def collate(examples: Sequence[tuple[Tensor, int, Targets]]) -> Batch:
    """Pad windows of several lengths into one batch."""
    features, tracks, targets = zip(*examples, strict=True)
    lengths = torch.tensor([len(window) for window in features])
    padded = pad_sequence(list(features), batch_first=True)
    return Batch(
        features=padded,
        mask=torch.arange(padded.shape[1]) < lengths[:, None],
        track=torch.tensor(tracks),
        targets={
            name: pad_sequence([target[name] for target in targets], batch_first=True)
            for name in targets[0]
        },
    )
