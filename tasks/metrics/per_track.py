"""Per-track scores: types, means, and a torchmetrics Metric that collects them."""

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
"""Per-track scores by name, (seeds, tracks); NaN where a score is undefined on a track."""

Metrics = dict[str, Floats]
"""Metrics of a whole split by name, (seeds, samples)."""

FOLD = "fold"
"""Name of the per-track score that holds the fold of a track, if there are several folds."""


def arrays(scores: Sequence[Sequence[Scores]]) -> PerTrackScores:
    """Scores ``[seed][track]`` as arrays (seeds, tracks) by name."""
    return {
        name: np.array([[track[name] for track in seed] for seed in scores])
        for name in scores[0][0]
    }


def mean_defined(values: Floats) -> float:
    """Mean of the finite values; NaN if there are none."""
    defined = values[np.isfinite(values)]
    return float(defined.mean()) if len(defined) else float("nan")


def summarise_means(per_track: PerTrackScores, weights: Floats) -> Metrics:
    """Means (seeds, samples) of every per-track score; NaN if it is undefined on all tracks.

    Args:
        per_track: scores by name, (seeds, tracks).
        weights: (samples, tracks), the number of times that each track counts.
    """
    means = {}
    for name, values in per_track.items():
        if name != FOLD:
            defined = np.isfinite(values)
            with np.errstate(invalid="ignore"):
                means[name] = np.where(defined, values, 0) @ weights.T / (defined @ weights.T)
    return means


class PerTrack(Metric):
    """Collects one value of any type per track, by track id.

    Values are stored as byte tensors, which torchmetrics gathers from all processes. A track that
    two processes received counts once.
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
        """The concatenated bytes of the values, and the number of bytes of each."""
        return dim_zero_cat(self.values), dim_zero_cat(self.sizes)

    def pop(self) -> list[Any]:
        """Return the values in the order of the track ids, and reset."""
        joined, sizes = self.compute()
        self.reset()
        pieces = torch.split(joined.cpu(), sizes.view(-1).tolist())
        found = dict(pickle.loads(piece.numpy().tobytes()) for piece in pieces)
        return [found[track] for track in sorted(found)]
