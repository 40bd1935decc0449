"""The beat tracker of MotionBeat: beats and bars from an onset envelope.

The local tempo is a Viterbi path through windowed autocorrelations. Beats follow by dynamic
programming (Ellis, "Beat tracking by dynamic programming", 2007), here with a variable period. Bars
are the metre and phase that best explain the accents. The tracker has no learned parameters.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d, maximum_filter1d, uniform_filter1d

from motionbeat.compiled import compiled

Curve = NDArray[np.float32]
Times = NDArray[np.float64]

SLOWEST, FASTEST = 50.0, 220.0
"""Range of tempi in BPM. Other tempi are tracked at a multiple or a fraction of themselves; so may
be tempi above about 165 BPM with accents on every other beat."""

UNIFORM_TEMPO = 120.0
"""Tempo in BPM of the grid for a clip without a beat."""

METRES = (4, 3)
"""Candidate numbers of beats per bar; bars of two beats are tracked as halves of bars of four."""

TEMPI = np.geomspace(SLOWEST, FASTEST, 150)
"""Candidate tempi in BPM."""

TEMPO_WINDOW, TEMPO_STEP = 8.0, 0.5
"""Length of the window for a tempo estimate, and distance of successive windows, in seconds."""

_PREFERRED = 120.0  # BPM
_OCTAVES = 1.5  # deviation of the preference
_MULTIPLES = ((1, 1.0), (2, 0.7), (3, 0.3), (4, 0.5))  # of the period: its share in the evidence
_INERTIA, _LEAP = 30.0, 6.0  # cost of an octave of tempo change in a step, and the most it can be
TEMPO_COST = np.minimum(_INERTIA * np.abs(np.log2(TEMPI)[:, None] - np.log2(TEMPI)), _LEAP)
"""(tempi, tempi) cost of a tempo change from one window to the next."""

TIGHTNESS = 100.0  # of the beats around the local period
CLEAR = 0.4  # noise of 5 s and more reaches 0.2, the least rhythmic of 104 pieces 0.9
SHORTEST = 2.0  # s; less cannot repeat itself
LOW_WEIGHT = 0.6  # of onsets in the low bands
NOVELTY_SPAN = 0.5  # s
_SMOOTHING = 0.015  # s
_LOW_BANDS = 8
_BLOCK = 8192  # frames, and
_WINDOWS = 256  # windows of the tempogram that are computed at once, which bounds the memory


@dataclass(frozen=True, eq=False)
class BeatGrid:
    """Beats of a clip, which cover it without gaps.

    Attributes:
        times: (n + 1,) seconds, increasing; beat ``b`` lasts from ``times[b]`` to ``times[b + 1]``.
            The first is at or before the clip's start and the last at or after its end.
        positions: (n,) position of each beat in its bar, 0 on the downbeat.
        beats_per_bar: number of beats per bar.
        has_beat: False if no beat was found and the grid is uniform.
    """

    times: Times
    positions: NDArray[np.int64]
    beats_per_bar: int
    has_beat: bool = True

    def __len__(self) -> int:
        return len(self.positions)


def uniform_grid(duration: float) -> BeatGrid:
    """A grid at 120 BPM in bars of four from 0 s, for clips of ``duration`` s without a beat."""
    period = 60 / UNIFORM_TEMPO
    count = max(1, int(np.ceil(round(duration / period, 6))))
    times = np.arange(count + 1, dtype=np.float64) * period
    return BeatGrid(times, np.arange(count) % METRES[0], METRES[0], has_beat=False)


def mistaken_grid(grid: BeatGrid, rng: np.random.Generator) -> BeatGrid:
    """A grid with a typical error of beat trackers: tempo octave, half a beat, or bar phase."""
    times, metre = grid.times, grid.beats_per_bar
    error = rng.choice(["double", "half", "offbeat", "bar"])
    middles = (times[:-1] + times[1:]) / 2
    if error == "double":
        times = np.sort(np.concatenate([times, middles]))
    elif error == "half" and len(times) > 4:
        times = _extended(times[int(rng.integers(2)) :: 2])
    elif error == "offbeat" and len(middles) > 1:
        times = _extended(middles)
    positions = (np.arange(len(times) - 1) + int(rng.integers(metre))) % metre
    return BeatGrid(times, positions, metre)


def _extended(times: Times) -> Times:
    """One beat more on either side."""
    first, last = 2 * times[0] - times[1], 2 * times[-1] - times[-2]
    return np.concatenate([[first], times, [last]])


def music_grid(log_mel: NDArray[np.float32], rate: float) -> tuple[Curve, BeatGrid]:
    """Onset envelope and beat grid of a log-mel spectrum (frames, bands) at ``rate`` Hz."""
    envelope = onset_envelope(log_mel, rate)
    return envelope, beat_grid(envelope, accent_curve(log_mel, rate), rate)


def onset_envelope(log_mel: NDArray[np.float32], rate: float) -> Curve:
    """Onset envelope (frames,) of a log-mel spectrum (frames, bands) at ``rate`` Hz.

    The increase of each band over the maximum of its neighbourhood two frames before (Böck and
    Widmer, "Maximum filter vibrato suppression for onset detection", 2013), averaged over the bands
    with more weight on the low ones, then :func:`sharpened`.
    """
    overall, low = rises(log_mel)
    return sharpened(overall + LOW_WEIGHT * low, rate)


def sharpened(envelope: NDArray[np.floating], rate: float) -> Curve:
    """The envelope (frames,) above its mean over one second, with standard deviation 1 or all 0."""
    above = np.maximum(envelope - uniform_filter1d(envelope, max(1, round(rate))), 0)
    return np.asarray(above / max(float(above.std()), 1e-6), np.float32)


def accent_curve(log_mel: NDArray[np.float32], rate: float) -> Curve:
    """Accents (frames,) of a log-mel spectrum (frames, bands): low onsets and novelty; mean 0."""
    low = gaussian_filter1d(rises(log_mel)[1], 0.03 * rate)
    novelty = _novelty(log_mel, max(1, round(NOVELTY_SPAN * rate)))
    parts = [(curve - curve.mean()) / max(float(curve.std()), 1e-6) for curve in (low, novelty)]
    return np.asarray(parts[0] + parts[1], np.float32)


def beat_grid(envelope: Curve, accents: Curve, rate: float) -> BeatGrid:
    """Estimate the beats and bars of a clip; the grid covers all frames.

    Args:
        envelope: (frames,) onset strength at ``i / rate`` s.
        accents: (frames,) accent strength, which indicates downbeats.
        rate: frame rate in Hz.
    """
    duration = len(envelope) / rate
    smooth = gaussian_filter1d(envelope.astype(np.float64), _SMOOTHING * rate)
    if duration < SHORTEST or smooth.std() < 1e-6:
        return uniform_grid(duration)
    periods, clarity = _local_periods(smooth, rate)
    if clarity < CLEAR:
        return uniform_grid(duration)
    beats = _follow(smooth / smooth.std(), periods) / rate
    if len(beats) < 2:
        return uniform_grid(duration)
    times = _covering(beats, duration)
    found = np.round(times[:-1] * rate).astype(np.int64)
    near = maximum_filter1d(accents, max(1, round(0.06 * rate)))
    weights = np.where((found >= 0) & (found < len(near)), near[found.clip(0, len(near) - 1)], 0.0)
    metre, phase = bars(weights)
    positions = (np.arange(len(times) - 1) - phase) % metre
    return BeatGrid(times, positions, metre)


def rises(log_mel: NDArray[np.float32]) -> tuple[Curve, Curve]:
    """(frames,) mean rise of all bands over two frames before, and of the low bands."""
    overall, low = np.zeros((2, len(log_mel)), np.float32)
    for start in range(0, len(log_mel), _BLOCK):
        part = log_mel[max(0, start - 2) : start + _BLOCK]
        around = maximum_filter1d(part, 3, axis=1)
        rises = np.zeros_like(part)
        rises[2:] = np.maximum(part[2:] - around[:-2], 0)
        rises = rises[min(start, 2) :]
        overall[start : start + _BLOCK] = rises.mean(axis=1)
        low[start : start + _BLOCK] = rises[:, :_LOW_BANDS].mean(axis=1)
    return overall, low


def _novelty(log_mel: NDArray[np.float32], span: int) -> Times:
    """(frames,) change of the mean spectrum from ``span`` frames before to ``span`` after."""
    novelty = np.empty(len(log_mel))
    for start in range(0, len(log_mel), _BLOCK):
        frames = np.arange(start - span, min(start + _BLOCK, len(log_mel)) + span)
        part = log_mel[frames.clip(0, len(log_mel) - 1)].astype(np.float64)
        sums = np.concatenate([np.zeros((1, log_mel.shape[1])), part.cumsum(axis=0)])
        means = (sums[span:] - sums[:-span]) / span
        change = np.abs(means[span:-1] - means[: -span - 1])
        novelty[start : start + _BLOCK] = change.mean(axis=1)
    return novelty


def _local_periods(envelope: Times, rate: float) -> tuple[Times, float]:
    """(frames,) beat period in frames, and how clearly the envelope repeats, at most about 1."""
    step, size = round(TEMPO_STEP * rate), round(TEMPO_WINDOW * rate)
    around = np.lib.stride_tricks.sliding_window_view(np.pad(envelope, size // 2), size)[::step]
    hann = np.hanning(size)
    taper = np.fft.irfft(np.abs(np.fft.rfft(hann, 2 * size)) ** 2)[:size]
    strength = np.zeros((len(around), len(TEMPI)))
    for start in range(0, len(around), _WINDOWS):
        windows = around[start : start + _WINDOWS] * hann
        power = np.fft.irfft(np.abs(np.fft.rfft(windows, 2 * size)) ** 2)[:, :size]
        correlation = power / np.maximum(taper, 0.05 * taper[0])
        correlation /= np.maximum(correlation[:, :1], 1e-9)
        strength[start : start + _WINDOWS] = tempo_strength(correlation, rate)
    evidence = tempo_evidence(strength)
    best, origins = evidence[0], []
    for now in evidence[1:]:
        options = best[:, None] - TEMPO_COST
        origins.append(options.argmax(axis=0))
        best = options.max(axis=0) + now
    path = [int(best.argmax())]
    for origin in reversed(origins):
        path.append(int(origin[path[-1]]))
    chosen = np.array(path[::-1])
    # A window of noise correlates with itself at every lag by the square of its mean.
    background = np.median(strength, axis=1)
    clarity = strength[np.arange(len(chosen)), chosen] - background
    places = np.arange(len(chosen)) * step
    periods = np.interp(np.arange(len(envelope)), places, 60 * rate / TEMPI[chosen])
    return periods, float(clarity.max())


def tempo_strength(correlation: Times, rate: float) -> Times:
    """How much of each of the ``TEMPI`` is in autocorrelations (n, lags), (n, tempi)."""
    size = correlation.shape[1]
    strength = np.zeros((len(correlation), len(TEMPI)))
    for multiple, share in _MULTIPLES:
        lags = multiple * 60 * rate / TEMPI
        whole = lags.astype(np.int64).clip(0, size - 2)
        part = lags - whole
        heard = correlation[:, whole] * (1 - part) + correlation[:, whole + 1] * part
        strength += share * np.where(lags < size - 1, heard, 0.0)
    return strength


def tempo_evidence(strength: Times) -> Times:
    """Logarithms of strengths (n, tempi), with a preference for medium tempi."""
    evidence: Times = np.log(np.maximum(strength, 1e-3))
    evidence -= 0.5 * ((np.log2(TEMPI) - np.log2(_PREFERRED)) / _OCTAVES) ** 2
    return evidence


def _follow(envelope: Times, periods: Times) -> Times:
    """Frames of the beats: the sequence with the strongest onsets at nearly the local period."""
    logs = np.log(np.arange(1, int(2 * periods.max()) + 2))
    score, origin = _best_predecessors(envelope, periods, np.log(periods), logs)
    last = max(int(len(envelope) - 1.5 * periods[-1]), 0)
    beats = [last + int(score[last:].argmax())]
    while origin[beats[-1]] >= 0:
        beats.append(int(origin[beats[-1]]))
    return np.array(beats[::-1], np.float64)


@compiled
def _best_predecessors(
    envelope: Times, periods: Times, log_periods: Times, logs: Times
) -> tuple[Times, NDArray[np.int64]]:
    """Score of the best sequence of beats that ends at each frame, and its beat before, or -1.

    ``logs[i]`` is the logarithm of ``i + 1``.
    """
    score, origin = envelope.copy(), np.full(len(envelope), -1)
    for frame in range(len(envelope)):
        nearest = max(round(periods[frame] / 2), 1)
        farthest = min(round(2 * periods[frame]), frame)
        best = 0.0
        for lag in range(nearest, farthest + 1):
            cost = (logs[lag - 1] - log_periods[frame]) ** 2
            option = score[frame - lag] - TIGHTNESS * cost
            if option > best:
                best = option
                origin[frame] = frame - lag
        score[frame] += best
    return score, origin


def _covering(beats: Times, duration: float) -> Times:
    """Go on counting at the nearest period to the start and to the end of the clip."""
    first, last = beats[1] - beats[0], beats[-1] - beats[-2]
    before = int(np.ceil(round(beats[0] / first, 6)))
    after = int(np.ceil(round((duration - beats[-1]) / last, 6)))
    earlier = beats[0] - first * np.arange(before, 0, -1)
    later = beats[-1] + last * np.arange(1, after + 1)
    return np.concatenate([earlier, beats, later])


def bars(weights: Times) -> tuple[int, int]:
    """Metre and number of the first downbeat that set the strongest accents apart."""
    options = []
    for metre in METRES:
        for phase in range(metre):
            on = (np.arange(len(weights)) - phase) % metre == 0
            if 0 < on.sum() < len(on):
                gain = weights[on].mean() - weights[~on].mean()
                options.append((gain * np.sqrt(on.sum()) + (metre == METRES[0]), metre, phase))
    _, metre, phase = max(options, default=(0.0, METRES[0], 0))
    return metre, phase
