"""From frame activations to beats, downbeats and tempo."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d, maximum_filter1d

from motionbeat.tasks.dbn import track_bars
from motionbeat.tasks.metrics.beat import Times

Activations = NDArray[np.float64]

PEAK_WINDOW = 0.07
SMOOTHING = 0.02
MIN_BPM, MAX_BPM = 40.0, 250.0
PRIOR_BPM, PRIOR_OCTAVES = 120.0, 1.0
DBN_CLIP = 1e-5


class BeatEstimate(NamedTuple):
    """Estimated beats and downbeats in seconds, increasing, and tempo in BPM (NaN when unknown)."""

    beats: Times
    downbeats: Times
    tempo: float


class BeatPrediction(NamedTuple):
    """The same activations decoded by the peak picker and by the dynamic Bayesian network."""

    peaks: BeatEstimate
    dbn: BeatEstimate

    @property
    def beats(self) -> Times:
        """Beats of the peak picker, in seconds."""
        return self.peaks.beats

    @property
    def downbeats(self) -> Times:
        """Downbeats of the peak picker, in seconds."""
        return self.peaks.downbeats

    @property
    def tempo(self) -> float:
        """Tempo of the peak picker, in BPM."""
        return self.peaks.tempo


def decode(
    activations: Activations, frame_rate: float, thresholds: tuple[float, float]
) -> BeatPrediction:
    """Decode activations both ways; arguments as in :func:`pick_peaks`."""
    return BeatPrediction(
        pick_peaks(activations, frame_rate, thresholds), decode_dbn(activations, frame_rate)
    )


def peaks(activation: Activations, frame_rate: float) -> tuple[Times, Activations]:
    """Local maxima: the frames that are the largest within at most 70 ms on either side.

    Args:
        activation: (frames,) values.
        frame_rate: in Hz.

    Returns:
        Times in seconds and values of the maxima; a plateau counts once, at its start.
    """
    reach = int(PEAK_WINDOW * frame_rate)
    highest = maximum_filter1d(activation, 2 * reach + 1, mode="constant", cval=-np.inf)
    frames = np.flatnonzero(activation == highest)
    frames = frames[np.diff(frames, prepend=-np.inf) > reach]
    return frames / frame_rate, activation[frames]


def pick_peaks(
    activations: Activations, frame_rate: float, thresholds: tuple[float, float]
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


def periodicity(activation: Activations, frame_rate: float) -> float:
    """Tempo in BPM as the strongest period of an activation; NaN when it never changes.

    The autocorrelation, weighted by a log-normal prior around 120 BPM (Ellis, "Beat tracking by
    dynamic programming", 2007, eq. 6), is refined between frames by a parabola. The activation is
    smoothed first: a period between two frames would lose against its double at a whole frame.

    Args:
        activation: (frames,) values.
        frame_rate: in Hz.
    """
    smooth = gaussian_filter1d(activation, SMOOTHING * frame_rate)
    centred = smooth - smooth.mean()
    spectrum = np.fft.rfft(centred, 2 * len(centred))
    correlation = np.fft.irfft(np.abs(spectrum) ** 2)[: len(centred)]
    lags = np.arange(
        max(1, int(60 * frame_rate / MAX_BPM)),
        min(len(centred) - 1, int(60 * frame_rate / MIN_BPM)),
    )
    if not len(lags) or np.ptp(activation) == 0:
        return float("nan")
    octaves = np.log2(60 * frame_rate / lags / PRIOR_BPM) / PRIOR_OCTAVES
    lag = lags[np.argmax(correlation[lags] * np.exp(-0.5 * octaves**2))]
    before, peak, after = correlation[lag - 1 : lag + 2]
    curvature = before - 2 * peak + after
    shift = 0.5 * (before - after) / curvature if curvature < 0 else 0.0
    return float(60 * frame_rate / (lag + np.clip(shift, -0.5, 0.5)))


def interval_tempo(beats: Times) -> float:
    """Tempo in BPM as the median interval between beats; NaN with fewer than two beats."""
    return float(60 / np.median(np.diff(beats))) if len(beats) > 1 else float("nan")


def decode_dbn(activations: Activations, frame_rate: float) -> BeatEstimate:
    """Beats and downbeats tracked jointly by the dynamic Bayesian network of :mod:`tasks.dbn`.

    Its activations are [max(beat - downbeat, eps), downbeat], kept away from 0 and 1.

    Args:
        activations: (frames, 2) beat and downbeat probabilities.
        frame_rate: in Hz.
    """
    # The observation model takes the logarithm of 1 - sum, so the sum stays below 1 as well.
    beat, downbeat = np.clip(activations, DBN_CLIP, 1 - 2 * DBN_CLIP).T
    split = np.stack([np.maximum(beat - downbeat, DBN_CLIP), downbeat], axis=1)
    times, positions = track_bars(split, frame_rate)
    return BeatEstimate(times, times[positions == 1], interval_tempo(times))
