"""From frame activations to beats, downbeats and tempo."""

from typing import NamedTuple

import numpy as np
from scipy.ndimage import gaussian_filter1d, maximum_filter1d

from motionbeat.tasks.dbn import track_bars
from motionbeat.tasks.metrics.per_track import Floats

PEAK_WINDOW = 0.07
SMOOTHING = 0.02
MIN_BPM, MAX_BPM = 40.0, 250.0
PRIOR_BPM, PRIOR_OCTAVES = 120.0, 1.0
DBN_CLIP = 1e-5


class BeatEstimate(NamedTuple):
    """Beats and downbeats in seconds, increasing, and tempo in BPM (NaN when unknown)."""

    beats: Floats
    downbeats: Floats
    tempo: float


class BeatPrediction(NamedTuple):
    """What the peak picker makes of activations, and what the dynamic Bayesian network does."""

    beats: Floats
    downbeats: Floats
    tempo: float
    dbn: BeatEstimate


def decode(
    activations: Floats, frame_rate: float, thresholds: tuple[float, float]
) -> BeatPrediction:
    """Decode activations both ways; arguments as in :func:`pick_peaks`."""
    picked = pick_peaks(activations, frame_rate, thresholds)
    return BeatPrediction(*picked, dbn=decode_dbn(activations, frame_rate))


def peaks(activation: Floats, frame_rate: float) -> tuple[Floats, Floats]:
    """Times in seconds and values of the local maxima of an activation (frames,).

    They are the largest within at most 70 ms on either side; a plateau counts once, at its start.
    """
    reach = int(PEAK_WINDOW * frame_rate)
    highest = maximum_filter1d(activation, 2 * reach + 1, mode="constant", cval=-np.inf)
    frames = np.flatnonzero(activation == highest)
    frames = frames[np.diff(frames, prepend=-np.inf) > reach]
    return frames / frame_rate, activation[frames]


def pick_peaks(
    activations: Floats, frame_rate: float, thresholds: tuple[float, float]
) -> BeatEstimate:
    """Plain decoder: peaks above a threshold, each downbeat moved to the nearest beat.

    Args:
        activations: (frames, 2) beat and downbeat probabilities.
        frame_rate: in Hz.
        thresholds: a beat and a downbeat must have a larger probability than these.
    """
    beats, downbeats = (
        times[values > threshold]
        for column, threshold in zip(activations.T, thresholds, strict=True)
        for times, values in [peaks(column, frame_rate)]
    )
    if len(beats) and len(downbeats):
        downbeats = np.unique(beats[np.abs(downbeats[:, None] - beats).argmin(axis=1)])
    return BeatEstimate(beats, downbeats, periodicity(activations[:, 0], frame_rate))


def periodicity(activation: Floats, frame_rate: float) -> float:
    """Tempo in BPM as the strongest period of an activation; NaN when it never changes.

    The autocorrelation, weighted by a log-normal prior around 120 BPM (Ellis, "Beat tracking by
    dynamic programming", 2007, eq. 6), is refined between frames by a parabola. The activation is
    smoothed first: a period between two frames would lose against its double at a whole frame.
    """
    smooth = gaussian_filter1d(activation, SMOOTHING * frame_rate)
    centred = smooth - smooth.mean()
    spectrum = np.fft.rfft(centred, 2 * len(centred))
    correlation = np.fft.irfft(np.abs(spectrum) ** 2)[: len(centred)]
    shortest, longest = (int(60 * frame_rate / bpm) for bpm in (MAX_BPM, MIN_BPM))
    lags = np.arange(max(1, shortest), min(len(centred) - 1, longest))
    if not len(lags) or np.ptp(activation) == 0:
        return float("nan")
    octaves = np.log2(60 * frame_rate / lags / PRIOR_BPM) / PRIOR_OCTAVES
    lag = lags[np.argmax(correlation[lags] * np.exp(-0.5 * octaves**2))]
    before, peak, after = correlation[lag - 1 : lag + 2]
    curvature = before - 2 * peak + after
    shift = 0.5 * (before - after) / curvature if curvature < 0 else 0.0
    return float(60 * frame_rate / (lag + np.clip(shift, -0.5, 0.5)))


def interval_tempo(beats: Floats) -> float:
    """Tempo in BPM as the median interval between beats; NaN with fewer than two beats."""
    return float(60 / np.median(np.diff(beats))) if len(beats) > 1 else float("nan")


def decode_dbn(activations: Floats, frame_rate: float) -> BeatEstimate:
    """Beats and downbeats of (frames, 2) activations by the network of :mod:`tasks.dbn`.

    Its own activations are [max(beat - downbeat, eps), downbeat], kept away from 0 and 1.
    """
    # The observation model takes the logarithm of 1 - sum, so the sum stays below 1 as well.
    beat, downbeat = np.clip(activations, DBN_CLIP, 1 - 2 * DBN_CLIP).T
    split = np.stack([np.maximum(beat - downbeat, DBN_CLIP), downbeat], axis=1)
    times, positions = track_bars(split, frame_rate)
    return BeatEstimate(times, times[positions == 1], interval_tempo(times))
