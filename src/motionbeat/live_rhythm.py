"""A clock that follows the beats of music as it plays and never looks ahead.

The steps are those of :mod:`motionbeat.rhythm`, each on the past alone: onsets above their running
mean, tempo from autocorrelations of the last seconds by the forward half of Viterbi's algorithm,
the score of a beat by the forward half of the dynamic programme (as in Stark, Davies and Plumbley,
"Real-time beat-synchronous analysis of musical audio", 2009), bars by the accents of the beats that
are over. The end of a beat is predicted when the beat begins, and stays: at any moment it is known
how much of the beat is over, and nothing is corrected afterwards. Nothing is learned.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.fft import next_fast_len
from scipy.signal import lfilter

from motionbeat.compiled import compiled
from motionbeat.rhythm import (
    CLEAR,
    LOW_WEIGHT,
    METRES,
    NOVELTY_SPAN,
    SHORTEST,
    TEMPI,
    TEMPO_COST,
    TEMPO_STEP,
    TEMPO_WINDOW,
    TIGHTNESS,
    UNIFORM_TEMPO,
    BeatGrid,
    Times,
    bars,
    rises,
    tempo_evidence,
    tempo_strength,
)
from motionbeat.spectrum import BANDS, FFT_SIZE, SAMPLE_RATE

HEARING_DELAY = FFT_SIZE / 2 / SAMPLE_RATE
"""Seconds from the middle of a frame of the spectrum to the end of the sound that is in it."""

_MEMORY = 3.0  # s after which an onset says e times less of the tempo
_MEAN, _LEVEL = 1.0, 8.0  # s of the running mean of the onsets, and of their running level
_FAINT = 0.02  # level of onsets that counts as none: clicks at -40 dB have .06, a steady sine .001
_LOST = 0.05  # mean square of the onsets, of level 1, below which nothing repeats
_STIFFNESS = 5.0  # of a predicted beat around the period
_ACCENT = 0.06  # s around a beat in which its low onsets are
_BEATS = 64  # that tell the bar
_KEPT = 12.0  # s of frames that are kept


@dataclass(frozen=True, eq=False)
class LiveGrid:
    """The beats of a clip as they were believed in while it played.

    Attributes:
        times: (n + 1,) seconds, increasing from 0; beat ``b`` lasts from ``times[b]`` to
            ``times[b + 1]``, which was known at ``times[b]``.
        positions: (n,) place of each beat in its bar, 0 on the downbeat, as it was believed when
            the beat began; a change of mind is a leap.
        beats_per_bar: (n,) likewise.
    """

    times: Times
    positions: NDArray[np.int64]
    beats_per_bar: NDArray[np.int64]

    def cut(self, start: float, seconds: float) -> BeatGrid:
        """The beats that overlap a clip, counted from its start, in its most frequent metre."""
        first = int(np.searchsorted(self.times[1:-1], start, side="right"))
        stop = int(np.searchsorted(self.times[first + 1 : -1], start + seconds)) + first + 1
        metre = int(np.bincount(self.beats_per_bar[first:stop]).argmax())
        positions = self.positions[first:stop] % metre
        return BeatGrid(self.times[first : stop + 1] - start, positions, metre)


class LiveTracker:
    """Hears the log-mel spectrum frame by frame and keeps the clock.

    Until a tempo is clear the clock runs at 120 BPM from 0 s; when it is no longer clear, it runs
    on. Frames may come in parts of any length, which change nothing.

    Args:
        rate: frames a second of the spectrum; frame ``i`` is heard at ``i / rate`` s and
            ``HEARING_DELAY``.
    """

    def __init__(self, rate: float) -> None:
        self.rate = rate
        period = 60 / UNIFORM_TEMPO
        self._times, self._positions, self._metres = [0.0, period], [0], [METRES[0]]
        self._period = period * rate  # in frames
        self._clear = False
        self._tempi: Times | None = None  # score of each tempo
        self._accents: list[tuple[float, float]] = []  # of the beats: low onset, change of sound
        self._heard = 0  # frames
        self._first = 0  # number of the first frame that is kept
        self._log_mel = np.zeros((0, BANDS), np.float32)
        self._onsets, self._low, self._score = np.zeros((3, 0))
        self._filters = [np.zeros(1), np.zeros(1)]

    def beats(self, first: int = 0) -> LiveGrid:
        """The beats so far from a number on; the last one is not over."""
        return LiveGrid(
            np.array(self._times[first:]),
            np.array(self._positions[first:]),
            np.array(self._metres[first:]),
        )

    def hear(self, log_mel: NDArray[np.float32]) -> None:
        """Hear the next frames (n, bands)."""
        kept = max(0, len(self._onsets) - round(_KEPT * self.rate))
        self._first += kept
        self._low, self._score = self._low[kept:], self._score[kept:]
        known = len(self._score)
        onsets, low = self._rises(log_mel)
        self._log_mel = np.concatenate([self._log_mel[kept:], log_mel])
        self._onsets = np.concatenate([self._onsets[kept:], onsets])
        self._low = np.concatenate([self._low, low])
        self._score = np.concatenate([self._score, np.zeros(len(low))])
        for frame in range(known, len(self._score)):
            self._hear_frame(frame)

    def _rises(self, log_mel: NDArray[np.float32]) -> tuple[Times, Times]:
        """Onsets (n,) above their running mean, of level 1, and those (n,) of the low bands."""
        before = self._log_mel[-2:]
        overall, low = (
            curve[len(before) :].astype(np.float64)
            for curve in rises(np.concatenate([before, log_mel]))
        )
        curve = overall + LOW_WEIGHT * low
        mean = self._running(0, _MEAN, curve)
        above = np.maximum(curve - mean, 0)
        count = self._heard + 1 + np.arange(len(above))
        so_far = 1 - np.exp(-count / (_LEVEL * self.rate))  # the level begins with the music
        level = np.sqrt(self._running(1, _LEVEL, above**2) / so_far)
        return above / np.maximum(level, _FAINT), low

    def _running(self, which: int, seconds: float, curve: Times) -> Times:
        """Exponential moving average (n,) of a curve that goes on."""
        share = 1 - np.exp(-1 / (seconds * self.rate))
        average: Times
        average, self._filters[which] = lfilter(
            [share], [1, share - 1], curve, zi=self._filters[which]
        )
        return average

    def _hear_frame(self, frame: int) -> None:
        """Hear a kept frame, and predict when a beat is about to begin."""
        self._heard += 1
        if self._heard % round(TEMPO_STEP * self.rate) == 0:
            self._hear_tempo(frame)
        known = self._score[: frame + 1]
        _best_predecessors(known, self._onsets[frame : frame + 1], self._period)
        next_frame = self._heard / self.rate + HEARING_DELAY
        while self._times[-1] < next_frame:
            self._begin_beat(known)

    def _hear_tempo(self, frame: int) -> None:
        """Score the tempi by the onsets of the last seconds."""
        if self._heard < SHORTEST * self.rate:
            return
        size = round(TEMPO_WINDOW * self.rate)
        window = self._onsets[max(0, frame + 1 - size) : frame + 1]
        size = len(window)
        fading = np.exp((np.arange(size) - size) / (_MEMORY * self.rate))
        spectra = np.fft.rfft([window * fading, fading], next_fast_len(2 * size, real=True))
        power, taper = np.fft.irfft(np.abs(spectra) ** 2)[:, :size]
        correlation = power / np.maximum(taper, 0.05 * taper[0])
        strength = tempo_strength(correlation[None] / max(correlation[0], _LOST), self.rate)
        evidence = tempo_evidence(strength)[0]
        if self._tempi is not None:
            evidence += (self._tempi[:, None] - TEMPO_COST).max(axis=0)
        self._tempi = evidence - evidence.max()
        best = int(self._tempi.argmax())
        self._clear = bool(strength[0, best] - np.median(strength) > CLEAR)
        if self._clear:
            self._period = 60 * self.rate / TEMPI[best]

    def _begin_beat(self, score: Times) -> None:
        """Begin the beat whose time has come: tell its place in the bar, and predict its end."""
        begin, number = self._times[-1], len(self._times) - 1
        self._hear_accents()
        metre, downbeat = self._metres[-1], number - 1 - self._positions[-1]
        if self._clear and len(self._accents) > 1:
            known = np.array(self._accents[-_BEATS:])
            apart = known - known.mean(axis=0)
            metre, downbeat = bars((apart / np.maximum(apart.std(axis=0), 1e-6)).sum(axis=1))
            downbeat += len(self._accents) - len(known)
        self._metres.append(metre)
        self._positions.append((number - downbeat) % metre)
        period = self._period / self.rate
        end = begin + period
        if self._clear:
            ahead = np.concatenate([score, np.zeros(int(1.5 * self._period) + 4)])
            _best_predecessors(ahead, ahead[len(score) :].copy(), self._period)
            seconds = (self._first + np.arange(len(score), len(ahead))) / self.rate
            length = np.maximum((seconds - begin) / period, 1e-3)
            expected = ahead[len(score) :] - _STIFFNESS * np.log(length) ** 2
            expected[(length <= 0.5) | (length > 1.5)] = -np.inf
            end = float(seconds[expected.argmax()])
        self._times.append(end)

    def _hear_accents(self) -> None:
        """Measure beats after which as much time has passed as a change of sound takes."""
        span, near = round(NOVELTY_SPAN * self.rate), round(_ACCENT * self.rate)
        heard = self._heard - self._first
        while len(self._accents) < len(self._times) - 1:
            frame = round(self._times[len(self._accents)] * self.rate) - self._first
            if frame + span > heard:
                return
            before = self._log_mel[max(0, frame - span) : frame]
            after = self._log_mel[frame : frame + span]
            change = np.abs(after.mean(axis=0) - before.mean(axis=0)).mean() if frame else 0.0
            low = self._low[max(0, frame - near) : frame + near + 1].max()
            self._accents.append((float(low), float(change)))


def live_grid(log_mel: NDArray[np.float32], rate: float) -> LiveGrid:
    """The beats of (frames, bands) of music as they are believed in while it plays."""
    tracker = LiveTracker(rate)
    tracker.hear(log_mel)
    return tracker.beats()


@compiled
def _best_predecessors(score: Times, onsets: Times, period: float) -> None:
    """Set the last frames of ``score``, one for each of ``onsets``: the best beats that end there.

    The step between two beats costs the square of the logarithm of its share in the period.
    """
    for index in range(len(onsets)):
        frame = len(score) - len(onsets) + index
        best = 0.0
        for lag in range(max(round(period / 2), 1), min(round(2 * period), frame) + 1):
            option = score[frame - lag] - TIGHTNESS * np.log(lag / period) ** 2
            if option > best:
                best = option
        score[frame] = onsets[index] + best
