"""Intervals and paired comparisons by resampling test tracks."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from motionbeat.tasks.base import Evidence

RESAMPLES = 1000
LEVEL = 0.95
_AT_ONCE = 250  # samples whose weights are in memory together

Summarise = Callable[[Evidence, NDArray[np.float64]], Evidence]
"""Metrics (seeds, samples) of evidence (seeds, tracks) and weights (samples, tracks)."""


class Score(NamedTuple):
    """One metric of one row: mean and standard deviation over seeds, interval over tracks."""

    mean: float
    std: float
    low: float
    high: float


def resample(evidence: Evidence, summarise: Summarise) -> Evidence:
    """Metrics on bootstrap samples of the tracks, averaged over seeds.

    A sample is how often each track was drawn. The samples depend on the number of tracks alone, so
    two rows scored on the same tracks are resampled alike and their difference is a paired one.

    Args:
        evidence: by name, (seeds, tracks).
        summarise: metrics of evidence and weights of its tracks.

    Returns:
        By metric, (``RESAMPLES``,).
    """
    tracks = next(iter(evidence.values())).shape[-1]
    draws = np.random.default_rng(0).integers(tracks, size=(RESAMPLES, tracks))
    weights = np.stack([np.bincount(draw, minlength=tracks) for draw in draws]).astype(np.float64)
    parts = [
        summarise(evidence, weights[at : at + _AT_ONCE]) for at in range(0, RESAMPLES, _AT_ONCE)
    ]
    return {
        metric: np.concatenate([part[metric] for part in parts], axis=-1).mean(axis=0)
        for metric in parts[0]
    }


def once(evidence: Evidence, summarise: Summarise) -> Evidence:
    """Metrics (seeds,) of evidence (seeds, tracks) with every track counted once."""
    tracks = next(iter(evidence.values())).shape[-1]
    return {
        name: values[:, 0] for name, values in summarise(evidence, np.ones((1, tracks))).items()
    }


def scores(evidence: Evidence, summarise: Summarise) -> dict[str, Score]:
    """Every metric with its spread over seeds and its bootstrap percentile interval over tracks.

    Args:
        evidence: by name, (seeds, tracks).
        summarise: metrics of evidence and weights of its tracks.
    """
    samples = resample(evidence, summarise)
    return {
        metric: Score(
            float(seeds.mean()),
            float(seeds.std(ddof=1)) if len(seeds) > 1 else 0.0,
            *interval(samples[metric]),
        )
        for metric, seeds in once(evidence, summarise).items()
    }


def interval(samples: NDArray[np.float64]) -> tuple[float, float]:
    """Percentile interval of bootstrap samples; NaN when no sample is defined."""
    defined = samples[np.isfinite(samples)]
    if not len(defined):
        return float("nan"), float("nan")
    margin = (1 - LEVEL) / 2
    low, high = np.quantile(defined, [margin, 1 - margin])
    return float(low), float(high)


def paired_p_value(ours: NDArray[np.float64], theirs: NDArray[np.float64]) -> float:
    """Two-sided paired bootstrap test that two rows differ on the same tracks.

    The share of bootstrap samples of the tracks in which the sign of the difference turns, doubled;
    one is added to both counts, so it is never 0 (Davison and Hinkley, "Bootstrap methods and their
    application", 1997, section 4.4). NaN where no difference is defined.

    Args:
        ours: (samples,) a metric as :func:`resample` gives it.
        theirs: (samples,) of the other row, tracks in the same order.
    """
    difference = ours - theirs
    difference = difference[np.isfinite(difference)]
    if not len(difference):
        return float("nan")
    turned = min(np.sum(difference <= 0), np.sum(difference >= 0))
    return float(min(1.0, 2 * (turned + 1) / (len(difference) + 1)))
