"""Metrics of whole clips: one class, several classes, or numbers.

Every metric takes true and predicted values (seeds, tracks) and ``weights`` (samples, tracks), the
number of times that each track counts in each bootstrap sample, and returns (seeds, samples). With
integer weights the values equal those of scikit-learn on tracks repeated that many times.
"""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from motionbeat.tasks.metrics.per_track import FOLD, Floats, Metrics, PerTrackScores

Names = NDArray[Any]


def summarise_single_label(per_track: PerTrackScores, weights: Floats) -> Metrics:
    """Accuracy and macro F1 of class names ``true`` and ``predicted``."""
    pair = per_track["true"], per_track["predicted"]
    return {"accuracy": accuracy(*pair, weights), "macro_f1": macro_f1(*pair, weights)}


def accuracy(true: Names, predicted: Names, weights: Floats) -> Floats:
    """Share of the tracks with a correct class, (seeds, samples)."""
    return _mean(true == predicted, weights)


def macro_f1(true: Names, predicted: Names, weights: Floats) -> Floats:
    """Mean over the classes of 2 TP / (2 TP + FP + FN), (seeds, samples).

    Classes are identified by name, so seeds and folds may have different classes. A class that is
    neither true nor predicted in a sample is left out of its mean.
    """
    classes = np.union1d(true, predicted)[:, None, None]
    actual, found = true == classes, predicted == classes  # (classes, seeds, tracks)
    with np.errstate(invalid="ignore"):
        f1 = 2 * ((actual & found) @ weights.T) / (actual @ weights.T + found @ weights.T)
    return _mean_of_defined(f1)


def confusion(true: Names, predicted: Names) -> pd.DataFrame:
    """Confusion matrix over all seeds: rows are true classes and sum to 1, columns predicted."""
    names = np.union1d(true, predicted)
    shares = pd.crosstab(true.ravel(), predicted.ravel(), normalize="index")
    return shares.reindex(index=names, columns=names, fill_value=0.0)


def summarise_multi_label(per_track: PerTrackScores, weights: Floats) -> Metrics:
    """ROC-AUC and average precision of each class, their means, and the number of classes.

    A class without a positive or without a negative track is left out of both means. With several
    folds (per-track score ``fold``), both metrics are means over the folds, because outputs of
    heads that were trained separately cannot be compared.
    """
    names = [key.removeprefix("true/") for key in per_track if key.startswith("true/")]
    fold = per_track[FOLD][0] if FOLD in per_track else np.zeros(weights.shape[1])
    by_class = []
    for name in names:
        true, score = per_track[f"true/{name}"], per_track[f"score/{name}"]
        parts = [fold == number for number in np.unique(fold)]
        by_fold = [ranking(true[:, one], score[:, one], weights[:, one]) for one in parts]
        by_class.append(_mean_of_defined(np.stack(by_fold)))
    areas, precisions = np.stack(by_class, axis=1)  # (classes, seeds, samples)
    precisions = np.where(np.isfinite(areas), precisions, np.nan)
    metrics = {
        "roc_auc": _mean_of_defined(areas),
        "average_precision": _mean_of_defined(precisions),
        "classes": np.isfinite(areas).sum(axis=0).astype(np.float64),
    }
    for metric, values in (("roc_auc", areas), ("average_precision", precisions)):
        metrics |= {f"{metric}/{name}": one for name, one in zip(names, values, strict=True)}
    return metrics


def ranking(true: Floats, score: Floats, weights: Floats) -> Floats:
    """ROC-AUC and average precision of one class, (2, seeds, samples).

    ROC-AUC is the share of pairs in which a positive track scores above a negative one, with ties
    counted as half (Hanley and McNeil, "The meaning and use of the area under a receiver operating
    characteristic (ROC) curve", 1982); NaN without a positive or without a negative. Average
    precision is Σ (R_n - R_{n-1}) P_n over the distinct scores in descending order, with recall R
    and precision P; NaN without a positive. Tracks with unknown label (NaN) are left out.
    """
    found = np.full((2, len(true), len(weights)), np.nan)
    counts = np.ascontiguousarray(weights.T)
    for seed, known in enumerate(np.isfinite(true) & np.isfinite(score)):
        order = np.flatnonzero(known)[np.argsort(-score[seed, known], kind="stable")]
        positives = np.flatnonzero(true[seed, order] == 1)
        if not len(positives):
            continue
        # Both change at distinct scores that a positive track has, so only these are looked at.
        ranked = -score[seed, order]
        levels, last = np.unique(ranked[positives][::-1], return_index=True)
        last = len(positives) - 1 - last  # the last positive of each distinct score
        above = np.searchsorted(ranked, levels, "left")  # tracks with a higher score
        through = np.searchsorted(ranked, levels, "right")  # tracks with this score or higher
        shown = np.concatenate([np.zeros((1, len(weights))), counts[order].cumsum(axis=0)])
        hits = counts[order[positives]].cumsum(axis=0)[last]
        positive = np.diff(hits, axis=0, prepend=0)
        total = hits[-1]
        tied = shown[through] - shown[above] - positive
        beaten = (shown[-1] - shown[through]) - (total - hits)
        with np.errstate(invalid="ignore"):
            area = (positive * (beaten + tied / 2)).sum(axis=0)
            found[0, seed] = area / (total * (shown[-1] - total))
            gains = positive * hits / np.maximum(shown[through], 1e-12)
            found[1, seed] = gains.sum(axis=0) / total
    return found


def summarise_regression(per_track: PerTrackScores, weights: Floats) -> Metrics:
    """R², Pearson and concordance correlation of each number, and ``r2``, the mean R².

    A number NAME has per-track scores ``true_NAME`` and ``predicted_NAME``. R² is 1 - Σ (y - ŷ)² /
    Σ (y - mean y)². The concordance correlation is 2 cov(y, ŷ) / (var y + var ŷ + (mean y - mean
    ŷ)²) (Lin, "A concordance correlation coefficient to evaluate reproducibility", 1989). A
    metric is NaN if its denominator is 0.
    """
    names = [key.removeprefix("true_") for key in per_track if key.startswith("true_")]
    metrics: Metrics = {}
    for name in names:
        true, predicted = per_track[f"true_{name}"], per_track[f"predicted_{name}"]
        centre = true.mean(), predicted.mean()  # taken off first, against cancellation
        y, x = true - centre[0], predicted - centre[1]
        mean_y, mean_x = _mean(y, weights), _mean(x, weights)
        both = _mean(y * x, weights) - mean_y * mean_x
        spread = np.maximum(_mean(y**2, weights) - mean_y**2, 0)
        predicted_spread = np.maximum(_mean(x**2, weights) - mean_x**2, 0)
        bias = mean_y - mean_x + centre[0] - centre[1]
        metrics |= {
            f"r2_{name}": 1 - _ratio(_mean((true - predicted) ** 2, weights), spread),
            f"pearson_{name}": _ratio(both, np.sqrt(spread * predicted_spread)),
            f"ccc_{name}": _ratio(2 * both, spread + predicted_spread + bias**2),
        }
    by_metric = [f"{metric}_{name}" for metric in ("r2", "pearson", "ccc") for name in names]
    mean = _mean_of_defined(np.stack([metrics[f"r2_{name}"] for name in names]))
    return {"r2": mean} | {name: metrics[name] for name in by_metric}


def _mean(values: NDArray[Any], weights: Floats) -> Floats:
    mean: Floats = values @ weights.T / weights.sum(axis=1)
    return mean


def _ratio(part: Floats, whole: Floats) -> Floats:
    """``part / whole``; NaN where ``whole`` is 0."""
    return np.divide(part, whole, out=np.full_like(whole, np.nan), where=whole > 1e-12)


def _mean_of_defined(values: Floats) -> Floats:
    """Mean over the first axis, ignoring NaN; NaN if all values are."""
    defined = np.isfinite(values)
    with np.errstate(invalid="ignore"):
        means: Floats = np.where(defined, values, 0).sum(axis=0) / defined.sum(axis=0)
    return means
