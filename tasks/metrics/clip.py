"""Metrics of whole clips, each for many samples of the tracks at once.

Every function takes one row of evidence, (tracks,), and ``weights`` (samples, tracks) that say how
often each track counts in each sample, so a bootstrap costs one sorting and some sums. Values agree
with scikit-learn's for the same ``sample_weight``.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def roc_auc(truth: Floats, score: Floats, weights: Floats) -> Floats:
    """Area under the ROC curve: how often a positive track scores above a negative one.

    Ties count half (Hanley and McNeil, "The meaning and use of the area under a receiver operating
    characteristic (ROC) curve", 1982).

    Args:
        truth: (tracks,) 1, 0, or NaN where nobody knows.
        score: (tracks,).
        weights: (samples, tracks).

    Returns:
        (samples,); NaN without a positive or without a negative.
    """
    positive, negative = _by_score(truth, score, weights)
    below = negative.cumsum(axis=1) - negative
    pairs = positive.sum(axis=1) * negative.sum(axis=1)
    with np.errstate(invalid="ignore"):
        area: Floats = (positive * (below + negative / 2)).sum(axis=1) / pairs
    return area


def average_precision(truth: Floats, score: Floats, weights: Floats) -> Floats:
    """Mean of the precision at each positive track, tracks in the order of their scores.

    Σ (R_n - R_{n-1}) P_n over the distinct scores from high to low, without interpolation.

    Args:
        truth: (tracks,) 1, 0, or NaN where nobody knows.
        score: (tracks,).
        weights: (samples, tracks).

    Returns:
        (samples,); NaN without a positive.
    """
    positive, negative = (part[:, ::-1] for part in _by_score(truth, score, weights))
    hits = positive.cumsum(axis=1)
    shown = hits + negative.cumsum(axis=1)
    with np.errstate(invalid="ignore"):
        precision = hits / np.maximum(shown, 1e-12)
        average: Floats = (positive * precision).sum(axis=1) / positive.sum(axis=1)
    return average


def accuracy(truth: Floats, predicted: Floats, weights: Floats) -> Floats:
    """Share of the tracks whose class (an index) was found, (samples,)."""
    right: Floats = weights @ (truth == predicted) / weights.sum(axis=1)
    return right


def macro_f1(truth: Floats, predicted: Floats, weights: Floats) -> Floats:
    """Mean over the classes of 2 TP / (2 TP + FP + FN), (samples,).

    A class that a sample neither holds nor is said to hold is left out of its mean.
    """
    classes = np.union1d(truth, predicted)
    real, said = truth == classes[:, None], predicted == classes[:, None]
    both = weights @ (real & said).T
    either = weights @ real.T + weights @ said.T
    with np.errstate(invalid="ignore"):
        f1 = 2 * both / either
    return _mean_of_defined(f1)


def r2(truth: Floats, predicted: Floats, weights: Floats) -> Floats:
    """Coefficient of determination, 1 - Σ (y - ŷ)² / Σ (y - mean y)², (samples,)."""
    _, spread, _, _ = _moments(truth, predicted, weights)
    with np.errstate(invalid="ignore", divide="ignore"):
        found: Floats = 1 - _mean((truth - predicted) ** 2, weights) / spread
    return np.where(spread > 1e-12, found, np.nan)


def pearson(truth: Floats, predicted: Floats, weights: Floats) -> Floats:
    """Coefficient of correlation, (samples,); NaN where either is constant."""
    both, real, said, _ = _moments(truth, predicted, weights)
    scale = np.sqrt(real * said)
    with np.errstate(invalid="ignore", divide="ignore"):
        found: Floats = both / scale
    return np.where(scale > 1e-12, found, np.nan)


def ccc(truth: Floats, predicted: Floats, weights: Floats) -> Floats:
    """Concordance correlation, 2 cov / (var + var + (difference of means)²), (samples,).

    Lin, "A concordance correlation coefficient to evaluate reproducibility", 1989.
    """
    both, real, said, apart = _moments(truth, predicted, weights)
    scale = real + said + apart**2
    with np.errstate(invalid="ignore", divide="ignore"):
        found: Floats = 2 * both / scale
    return np.where(scale > 1e-12, found, np.nan)


def over_seeds(
    metric: Callable[[Floats, Floats, Floats], Floats],
    truth: Floats,
    estimate: Floats,
    weights: Floats,
) -> Floats:
    """A metric of each seed's row of evidence (seeds, tracks), as (seeds, samples)."""
    return np.stack([metric(*row, weights) for row in zip(truth, estimate, strict=True)])


def macro(values: Floats) -> Floats:
    """Mean over the classes (first axis) where they are defined; NaN where none is."""
    return _mean_of_defined(np.moveaxis(values, 0, -1))


def _by_score(truth: Floats, score: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """Weights (samples, distinct scores) of the positives and negatives, from low scores on."""
    known = np.isfinite(truth)
    order = np.argsort(score[known], kind="stable")
    ranked, real = score[known][order], truth[known][order]
    counted = weights[:, known][:, order]
    if not len(ranked):
        nothing = np.zeros((len(weights), 1))
        return nothing, nothing
    starts = np.flatnonzero(np.diff(ranked, prepend=-np.inf))
    positive, negative = (
        np.add.reduceat(counted * part, starts, axis=1) for part in (real, 1 - real)
    )
    return positive, negative


def _mean(values: Floats, weights: Floats) -> Floats:
    mean: Floats = weights @ values / weights.sum(axis=1)
    return mean


def _moments(
    truth: Floats, predicted: Floats, weights: Floats
) -> tuple[Floats, Floats, Floats, Floats]:
    """Covariance, both variances and the difference of the means, (samples,) each."""
    real, said = truth - truth.mean(), predicted - predicted.mean()  # against cancellation
    mean_real, mean_said = _mean(real, weights), _mean(said, weights)
    return (
        _mean(real * said, weights) - mean_real * mean_said,
        np.maximum(_mean(real**2, weights) - mean_real**2, 0),
        np.maximum(_mean(said**2, weights) - mean_said**2, 0),
        mean_real - mean_said + truth.mean() - predicted.mean(),
    )


def _mean_of_defined(values: Floats) -> Floats:
    defined = np.isfinite(values)
    with np.errstate(invalid="ignore"):
        means: Floats = np.where(defined, values, 0).sum(axis=-1) / defined.sum(axis=-1)
    return means
