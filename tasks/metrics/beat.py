"""Beat, downbeat and tempo metrics on whole tracks, with unquantised references.

Beats are scored by mir_eval (https://mir-eval.readthedocs.io).
"""

import warnings

import mir_eval
import numpy as np

from motionbeat.compiled import compiled
from motionbeat.tasks.metrics.per_track import Floats

FIRST_SECOND = 5.0
HIT_WINDOW = 0.07
TEMPO_TOLERANCE = 0.04
OCTAVES = (1.0, 2.0, 3.0, 1 / 2, 1 / 3)


def beat_scores(reference: Floats, estimated: Floats) -> dict[str, float]:
    """Score estimated beats against reference beats with :mod:`mir_eval.beat`.

    Beats before 5 s are removed from both sequences first (``mir_eval.beat.trim_beats``).

    Args:
        reference: (n,) times in seconds, increasing.
        estimated: (m,) times in seconds, increasing.

    Returns:
        ``f_measure`` (hits within 70 ms), ``cemgil`` (sigma 40 ms), ``cmlc``, ``cmlt``, ``amlc``,
        ``amlt`` (continuity at the correct and at allowed metrical levels) and
        ``information_gain`` (41 bins), each in [0, 1]. All are NaN if fewer than two reference
        beats are left. Source: Davies, Degara and Plumbley, "Evaluation methods for musical audio
        beat tracking algorithms", 2009.
    """
    reference = mir_eval.beat.trim_beats(reference)
    estimated = mir_eval.beat.trim_beats(estimated)
    names = ("f_measure", "cemgil", "cmlc", "cmlt", "amlc", "amlt", "information_gain")
    if len(reference) < 2:
        return dict.fromkeys(names, float("nan"))
    with warnings.catch_warnings():
        # mir_eval warns where the estimate is empty, and scores 0 as it should.
        warnings.simplefilter("ignore", UserWarning)
        values = (
            mir_eval.beat.f_measure(reference, estimated),
            mir_eval.beat.cemgil(reference, estimated)[0],
            *mir_eval.beat.continuity(reference, estimated),
            mir_eval.beat.information_gain(reference, estimated),
        )
    return dict(zip(names, map(float, values), strict=True))


def f_measures(
    reference: Floats, peak_times: Floats, peak_values: Floats, thresholds: Floats
) -> Floats:
    """F-measures of the peaks above each threshold, with the rules of :func:`beat_scores`.

    Args:
        reference: (n,) times in seconds, increasing.
        peak_times: (m,) times of the peaks in seconds, increasing.
        peak_values: (m,) values of the peaks; a peak is a beat if its value exceeds the threshold.
        thresholds: (k,) thresholds.

    Returns:
        (k,) F-measures, NaN if fewer than two reference beats are left.
    """
    reference = reference[reference >= FIRST_SECOND]
    if len(reference) < 2:
        return np.full(len(thresholds), np.nan)
    late = peak_times >= FIRST_SECOND
    return _f_measures(reference, peak_times[late], peak_values[late], thresholds)


@compiled
def _f_measures(reference: Floats, times: Floats, values: Floats, thresholds: Floats) -> Floats:
    """Match greedily from the left; a maximum matching, because all windows have equal width."""
    scores = np.zeros(len(thresholds))
    for k in range(len(thresholds)):
        estimated = hits = following = 0
        for time, value in zip(times, values):  # noqa: B905 - numba knows no strict
            if value <= thresholds[k]:
                continue
            estimated += 1
            while following < len(reference) and reference[following] < time - HIT_WINDOW:
                following += 1
            if following < len(reference) and reference[following] <= time + HIT_WINDOW:
                hits += 1
                following += 1
        if hits:
            precision, recall = hits / estimated, hits / len(reference)
            scores[k] = 2 * precision * recall / (precision + recall)
    return scores


def tempo_scores(reference: float, estimated: float) -> dict[str, float]:
    """Tempo accuracies, with a tolerance of 4 %.

    Source: Gouyon et al., "An experimental comparison of audio tempo induction algorithms", 2006.

    Args:
        reference: reference tempo in BPM.
        estimated: estimated tempo in BPM.

    Returns:
        ``acc1``: 1.0 if the estimate is within 4 % of the reference, else 0.0. ``acc2``: the same
        for the reference or its double, triple, half or third. Both NaN if the reference is NaN.
    """
    if np.isnan(reference):
        return {"acc1": float("nan"), "acc2": float("nan")}
    right = [abs(estimated - k * reference) <= TEMPO_TOLERANCE * k * reference for k in OCTAVES]
    return {"acc1": float(right[0]), "acc2": float(any(right))}
