"""Scores by track: their types, their means, and what gathers them over steps and processes."""

import pickle
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

Floats = NDArray[np.float64]

Scores = dict[str, Any]
"""Per-track scores by name: numbers, or names of classes."""

PerTrackScores = Mapping[str, NDArray[Any]]
"""By name, (seeds, tracks); NaN marks what is undefined on a track."""

Metrics = dict[str, Floats]
"""By name, (seeds, samples) of metrics of the whole split."""

FOLD = "fold"
"""Name of the per-track score that numbers the fold a track was tested in, if there are several."""


def arrays(scores: Sequence[Sequence[Scores]]) -> PerTrackScores:
    """Scores ``[seed][track]`` as arrays (seeds, tracks) by name."""
    return {
        name: np.array([[track[name] for track in seed] for seed in scores])
        for name in scores[0][0]
    }


def mean_defined(values: Floats) -> float:
    """Mean of what is defined; NaN where nothing is."""
    defined = values[np.isfinite(values)]
    return float(defined.mean()) if len(defined) else float("nan")


def summarise_means(per_track: PerTrackScores, weights: Floats) -> Metrics:
    """Means (seeds, samples) of every per-track score; NaN where it is undefined on all tracks.

    Args:
        per_track: by name, (seeds, tracks).
        weights: (samples, tracks) how often each track counts.
    """
    means = {}
    for name, values in per_track.items():
        if name != FOLD:
            defined = np.isfinite(values)
            with np.errstate(invalid="ignore"):
                means[name] = np.where(defined, values, 0) @ weights.T / (defined @ weights.T)
    return means


class PerTrack(Metric):
    """One value a track, of any kind, by the track's id.

    Values lie in byte tensors, which torchmetrics gathers from all processes; a track that two
    processes were given counts once.
    """

    full_state_update = False
    values: list[Tensor]
    sizes: list[Tensor]

    def __init__(self) -> None:
        super().__init__()
        self.add_state("values", [], dist_reduce_fx="cat")
        self.add_state("sizes", [], dist_reduce_fx="cat")

    def update(self, track: str, value: Any) -> None:
        """Add the value of a track."""
        content = bytearray(pickle.dumps((track, value)))
        self.values.append(torch.frombuffer(content, dtype=torch.uint8).to(self.device))
        self.sizes.append(torch.tensor([len(content)], device=self.device))

    def compute(self) -> tuple[Tensor, Tensor]:
        """The values as bytes, one after another, and how many bytes each has."""
        return dim_zero_cat(self.values), dim_zero_cat(self.sizes)

    def pop(self) -> list[Any]:
        """The values in the order of the track ids, which are then forgotten."""
        joined, sizes = self.compute()
        self.reset()
        pieces = torch.split(joined.cpu(), sizes.view(-1).tolist())
        found = dict(pickle.loads(piece.numpy().tobytes()) for piece in pieces)
        return [found[track] for track in sorted(found)]
