"""From a score to the sound of a recording: levels, equaliser, room, saturation, noise."""

import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.signal import fftconvolve, sosfilt

from motionbeat.data_modules.rendered.synthesis.arranger import Score
from motionbeat.data_modules.rendered.synthesis.render import SAMPLE_RATE, normalise, render

_LEVELS = {"drums": -18.0, "bass": -20.0, "chords": -24.0, "lead": -21.0, "pad": -28.0}  # dB RMS
_AUDIBLE = 1e-4  # amplitude below which a part counts as silent
_TILT_DB = 5.0  # of each shelf at full brightness


def mix(
    score: Score, rng: np.random.Generator, soundfont: Path | None = None
) -> NDArray[np.float32]:
    """Render a score and mix it, no two pieces alike; (samples,) within [-1, 1].

    Nothing here moves an onset: the room sets in after the direct sound, and the filters are of
    minimum phase.
    """
    sound = np.zeros(round(score.duration * SAMPLE_RATE))
    for part in score.parts:
        stem = render([part], score.duration, soundfont=soundfont).astype(np.float64)
        heard = stem[np.abs(stem) > _AUDIBLE]
        loudness = math.sqrt(float(np.mean(heard**2))) if len(heard) else 1.0
        sound += stem * (10 ** ((_LEVELS[part.role] + rng.normal(0, 2)) / 20) / loudness)
    tilt = _TILT_DB * score.cues.timbre
    sound = sosfilt([_shelf(250.0, -tilt, high=False), _shelf(3000.0, tilt, high=True)], sound)
    sound = _room(sound, rng) if rng.random() < 0.75 else sound
    sound = _saturate(sound * (rng.uniform(0.6, 1.4) / np.abs(sound).max()))
    sound += 10 ** (rng.uniform(-75, -48) / 20) * rng.standard_normal(len(sound))
    return normalise(sound.astype(np.float32), peak=0.75 + 0.2 * score.cues.dynamics)


def _shelf(corner: float, gain_db: float, high: bool) -> NDArray[np.float64]:
    """Second-order section of a shelf of slope 1 (Bristow-Johnson, Audio EQ Cookbook)."""
    a = 10 ** (gain_db / 40)
    w = 2 * math.pi * corner / SAMPLE_RATE
    cos = -math.cos(w) if high else math.cos(w)  # the high shelf is the low one mirrored
    alpha = 2 * math.sqrt(a) * math.sin(w) / math.sqrt(2)
    b = (a * (a + 1 - (a - 1) * cos + alpha), 2 * a * (a - 1 - (a + 1) * cos),
         a * (a + 1 - (a - 1) * cos - alpha))  # fmt: skip
    c = (a + 1 + (a - 1) * cos + alpha, -2 * (a - 1 + (a + 1) * cos),
         a + 1 + (a - 1) * cos - alpha)  # fmt: skip
    sign = -1 if high else 1
    return np.array([b[0], sign * b[1], b[2], c[0], sign * c[1], c[2]]) / c[0]


def _room(sound: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """Add a decaying diffuse tail that begins after the direct sound."""
    decay, wet = rng.uniform(0.2, 1.2), rng.uniform(0.05, 0.4)
    delay = int(rng.uniform(0.008, 0.025) * SAMPLE_RATE)
    time = np.arange(int(decay * SAMPLE_RATE)) / SAMPLE_RATE
    tail = rng.standard_normal(len(time)) * np.exp(-6.9 * time / decay)  # -60 dB at its end
    tail = sosfilt([_shelf(2500.0, -12.0, high=True)], tail)
    tail *= wet / math.sqrt(float(np.sum(tail**2)))
    wetness = fftconvolve(sound, tail)[: len(sound) - delay]
    result = sound.copy()
    result[delay:] += wetness
    return result


def _saturate(sound: NDArray[np.float64]) -> NDArray[np.float64]:
    """A soft clipper without transcendental functions."""
    limited = np.clip(sound, -1.0, 1.0)
    return 1.5 * limited - 0.5 * limited**3
