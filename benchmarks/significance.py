"""Intervals and paired comparisons by resampling groups of test tracks.

Tracks of one artist, song or groove are not independent. A bootstrap sample therefore draws groups
with replacement, and every track of a drawn group counts.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student_t

from motionbeat.benchmarks.records import Summary

SAMPLES = 1000
LEVEL = 0.95
FEWEST = 5
"""Number of groups below which a bootstrap over groups says nothing."""

_AT_ONCE = 250  # samples whose intermediate values are in memory together; more of few tracks
_WEIGHTS = 1 << 18  # of such samples, one a track

Floats = NDArray[np.float64]
PerTrackScores = Mapping[str, NDArray[Any]]
Summarise = Callable[[dict[str, NDArray[Any]], Floats], dict[str, Floats]]
"""Metrics (seeds, samples) of per-track scores (seeds, tracks) and weights (samples, tracks)."""


class Estimate(NamedTuple):
    """A metric of an entry, as comparisons need it.

    Attributes:
        seeds: (seeds,) its value for each training seed.
        samples: (``SAMPLES``,) bootstrap samples, averaged over seeds.
    """

    seeds: Floats
    samples: Floats


@lru_cache(maxsize=4)
def group_weights(groups: tuple[str, ...]) -> Floats:
    """Weights of a bootstrap over groups: how often each track counts, (``SAMPLES``, tracks).

    The weights depend only on the groups, so entries scored on the same tracks use the same samples
    and can be compared in pairs. If every group has one track, this is the bootstrap over tracks.
    """
    numbers = {name: number for number, name in enumerate(dict.fromkeys(groups))}
    draws = np.random.default_rng(0).integers(len(numbers), size=(SAMPLES, len(numbers)))
    counts = np.stack([np.bincount(draw, minlength=len(numbers)) for draw in draws])
    weights = counts[:, [numbers[name] for name in groups]].astype(np.float64)
    weights.setflags(write=False)  # it is shared
    return weights


def resample(
    per_track: PerTrackScores, groups: Sequence[str], summarise: Summarise
) -> dict[str, Floats]:
    """Metrics on bootstrap samples of groups, averaged over seeds, (``SAMPLES``,) by name.

    All are NaN with fewer than ``FEWEST`` groups.

    Args:
        per_track: per-track scores by name, (seeds, tracks).
        groups: (tracks,) group of each track.
        summarise: computes metrics from per-track scores and weights.
    """
    weights = group_weights(tuple(groups))
    step = max(_AT_ONCE, _WEIGHTS // len(groups))
    parts = [
        summarise(dict(per_track), weights[start : start + step])
        for start in range(0, SAMPLES, step)
    ]
    told = 1 if len(set(groups)) >= FEWEST else np.nan
    return {
        metric: told * np.concatenate([part[metric] for part in parts], axis=-1).mean(axis=0)
        for metric in parts[0]
    }


def once(per_track: PerTrackScores, summarise: Summarise) -> dict[str, Floats]:
    """Metrics (seeds,) of per-track scores (seeds, tracks), with every track counted once."""
    tracks = next(iter(per_track.values())).shape[-1]
    metrics = summarise(dict(per_track), np.ones((1, tracks)))
    return {name: values[:, 0] for name, values in metrics.items()}


def scores(
    per_track: PerTrackScores, groups: Sequence[str], summarise: Summarise
) -> dict[str, Summary]:
    """Mean and standard deviation over seeds, and bootstrap interval over groups, by metric."""
    samples = resample(per_track, groups, summarise)
    found = {}
    for metric, seeds in once(per_track, summarise).items():
        std = float(seeds.std(ddof=1)) if len(seeds) > 1 else 0.0
        low, high = interval(samples[metric])
        found[metric] = Summary(mean=float(seeds.mean()), std=std, low=low, high=high)
    return found


def interval(samples: Floats) -> tuple[float, float]:
    """95 % percentile interval of bootstrap samples; NaN if no sample is defined."""
    defined = samples[np.isfinite(samples)]
    if not len(defined):
        return float("nan"), float("nan")
    margin = (1 - LEVEL) / 2
    low, high = np.quantile(defined, [margin, 1 - margin])
    return float(low), float(high)


def paired_p_values(entries: Sequence[Estimate], groups: int) -> Floats:
    """p-values (entries, entries) of two-sided t tests that two entries differ on the same tracks.

    The variance of a difference is its variance over bootstrap samples of groups, times
    groups / (groups - 1), plus that of its mean over training seeds. Degrees of freedom follow
    Satterthwaite, "An approximate distribution of estimates of variance components", 1946. A share
    of bootstrap samples, in contrast, would be too small with few groups, and cannot be small
    enough for a correction for many comparisons.

    Args:
        entries: estimates of the same metric, with the same seeds.
        groups: number of groups of test tracks.

    Returns:
        The p-values; NaN for an entry with itself and where a metric is undefined.
    """
    seeds, samples = (np.stack(values) for values in zip(*entries, strict=True))
    p_values = np.full((len(entries), len(entries)), np.nan)
    known = np.isfinite(samples).any(axis=1)
    if not known.any():
        return p_values
    samples, seeds = samples[known], seeds[known]
    samples = samples[:, np.isfinite(samples).all(axis=0)]
    of_groups = _of_differences(samples) * groups / (groups - 1)
    others = seeds.shape[1] - 1
    of_seeds = _of_differences(seeds) / (others + 1) if others else np.zeros_like(of_groups)
    difference = np.abs(np.subtract.outer(*[seeds.mean(axis=1)] * 2))
    with np.errstate(divide="ignore", invalid="ignore"):
        variance = of_groups + of_seeds
        freedom = variance**2 / (of_groups**2 / (groups - 1) + of_seeds**2 / max(others, 1))
        found = 2 * student_t.sf(difference / np.sqrt(variance), np.nan_to_num(freedom, nan=1))
    found[difference == 0] = 1
    np.fill_diagonal(found, np.nan)
    p_values[np.ix_(known, known)] = found
    return p_values


def _of_differences(values: Floats) -> Floats:
    """Variances (entries, entries) of the differences between rows of values (entries, n)."""
    covariance = np.atleast_2d(np.cov(values))
    variance = np.diag(covariance)
    return np.maximum(variance[:, None] + variance - 2 * covariance, 0)


def holm(p_values: Sequence[float] | Floats) -> Floats:
    """Holm-corrected p-values; NaN stays NaN and is not counted.

    Holm, "A simple sequentially rejective multiple test procedure", 1979.
    """
    adjusted = np.array(p_values, np.float64)
    (tested,) = np.isfinite(adjusted).nonzero()
    order = tested[np.argsort(adjusted[tested], kind="stable")]
    steps = adjusted[order] * np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1)
    return adjusted
