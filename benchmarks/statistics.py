"""Intervals and paired comparisons by resampling test tracks."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.base import Evidence

RESAMPLES = 1000
LEVEL = 0.95

Summarise = Callable[[Evidence], Evidence]


class Score(NamedTuple):
    """One metric of one row: mean and standard deviation over seeds, interval over tracks."""

    mean: float
    std: float
    low: float
    high: float


def resample(evidence: Evidence, summarise: Summarise) -> Evidence:
    """Metrics on bootstrap samples of the tracks, averaged over seeds.

    The samples depend on the number of tracks alone, so two rows scored on the same tracks are
    resampled alike and their difference is a paired one.

    Args:
        evidence: by name, (seeds, tracks).
        summarise: metrics of evidence (..., tracks).

    Returns:
        By metric, (``RESAMPLES``,).
    """
    tracks = next(iter(evidence.values())).shape[-1]
    draws = np.random.default_rng(0).integers(tracks, size=(RESAMPLES, tracks))
    samples = summarise({name: values[:, draws] for name, values in evidence.items()})
    return {metric: values.mean(axis=0) for metric, values in samples.items()}


def scores(evidence: Evidence, summarise: Summarise) -> dict[str, Score]:
    """Every metric with its spread over seeds and its bootstrap percentile interval over tracks.

    Args:
        evidence: by name, (seeds, tracks).
        summarise: metrics of evidence (..., tracks).
    """
    samples = resample(evidence, summarise)
    return {
        metric: Score(
            float(seeds.mean()),
            float(seeds.std(ddof=1)) if len(seeds) > 1 else 0.0,
            *interval(samples[metric]),
        )
        for metric, seeds in summarise(evidence).items()
    }


def interval(samples: NDArray[np.float64]) -> tuple[float, float]:
    """Percentile interval of bootstrap samples; NaN when no sample is defined."""
    defined = samples[np.isfinite(samples)]
    if not len(defined):
        return float("nan"), float("nan")
    margin = (1 - LEVEL) / 2
    low, high = np.quantile(defined, [margin, 1 - margin])
    return float(low), float(high)


def paired_p_value(ours: Evidence, theirs: Evidence, summarise: Summarise, metric: str) -> float:
    """Two-sided paired bootstrap test that two rows differ on the same tracks.

    The share of bootstrap samples of the tracks in which the sign of the difference turns, doubled;
    one is added to both counts, so it is never 0 (Davison and Hinkley, "Bootstrap methods and their
    application", 1997, section 4.4). NaN where no difference is defined.

    Args:
        ours: by name, (seeds, tracks).
        theirs: the same for the other row, tracks in the same order.
        summarise: metrics of evidence (..., tracks).
        metric: the metric compared.
    """
    difference = resample(ours, summarise)[metric] - resample(theirs, summarise)[metric]
    difference = difference[np.isfinite(difference)]
    if not len(difference):
        return float("nan")
    turned = min(np.sum(difference <= 0), np.sum(difference >= 0))
    return float(min(1.0, 2 * (turned + 1) / (len(difference) + 1)))
