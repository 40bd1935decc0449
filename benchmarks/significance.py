"""Intervals and paired comparisons by resampling groups of test tracks.

Tracks of one artist, song or groove are not independent. A bootstrap sample therefore draws groups
with replacement, and every track of a drawn group counts.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from motionbeat.benchmarks.records import Summary

SAMPLES = 1000
LEVEL = 0.95
_AT_ONCE = 250  # samples whose intermediate values are in memory together; more of few tracks
_WEIGHTS = 1 << 18  # of such samples, one a track

Floats = NDArray[np.float64]
PerTrackScores = Mapping[str, NDArray[Any]]
Summarise = Callable[[dict[str, NDArray[Any]], Floats], dict[str, Floats]]
"""Metrics (seeds, samples) of per-track scores (seeds, tracks) and weights (samples, tracks)."""


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
    return {
        metric: np.concatenate([part[metric] for part in parts], axis=-1).mean(axis=0)
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


def paired_p_value(ours: Floats, theirs: Floats) -> float:
    """p-value of a two-sided paired bootstrap test that two entries differ on the same tracks.

    Twice the share of bootstrap samples in which the difference has the less frequent sign, or is
    0. One is added to both counts, so p is never 0 (Davison and Hinkley, "Bootstrap methods and
    their application", 1997, section 4.4).

    Args:
        ours: (samples,) bootstrap samples of a metric, of :func:`resample`.
        theirs: (samples,) those of the other entry, on the same tracks.

    Returns:
        The p-value; NaN if no difference is defined.
    """
    difference = ours - theirs
    difference = difference[np.isfinite(difference)]
    if not len(difference):
        return float("nan")
    turned = min(np.sum(difference <= 0), np.sum(difference >= 0))
    return float(min(1.0, 2 * (turned + 1) / (len(difference) + 1)))


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
