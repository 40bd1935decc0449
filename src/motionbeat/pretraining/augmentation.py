"""What makes studio pairs look like recordings of anybody: changes of sound and of the body.

Everything here keeps a pair a pair: what moves time moves it in both.
"""

import io
from dataclasses import replace

import numpy as np
import soundfile
from numpy.typing import NDArray
from scipy.fft import irfft, next_fast_len, rfft
from scipy.ndimage import gaussian_filter1d
from scipy.signal import fftconvolve

from motionbeat.audio import Waveform, resample
from motionbeat.model import SAMPLE_RATE
from motionbeat.motion import JOINTS, PARENTS, Motion

_SPEEDS = (0.85, 1.18)
_TILT = 9.0  # dB, deviation of the equaliser's points
_POINTS = 6  # of the equaliser, evenly spaced in octaves
_MIRRORED = [
    JOINTS.index({"l": "r", "r": "l"}[name[0]] + name[1:] if name[1] == "_" else name)
    for name in JOINTS
]


def speed(rng: np.random.Generator) -> float:
    """A factor for the speed of both music and dance; pitch moves with it as on a turntable."""
    return float(np.exp(rng.uniform(*np.log(_SPEEDS))))


def change_sound(waveform: Waveform, factor: float, rng: np.random.Generator) -> Waveform:
    """Play a recording at another speed through another chain of equipment.

    Args:
        waveform: (samples,) at ``SAMPLE_RATE``.
        factor: above 1 is faster and higher.
        rng: draws equaliser, overdrive, room, noise, codec and gain.

    Returns:
        (samples / factor,) at ``SAMPLE_RATE``.
    """
    sound = resample(waveform, round(SAMPLE_RATE * factor), SAMPLE_RATE).astype(np.float64)
    sound = _equalised(sound, rng)
    sound /= max(float(np.abs(sound).max()), 1e-6)
    if rng.random() < 0.4:  # the loud, dense sound of mastered and of distorted music
        sound = np.tanh(sound * 10 ** (rng.uniform(0, 24) / 20))
    if rng.random() < 0.4:
        sound = _in_a_room(sound, rng)
    if rng.random() < 0.6:
        noise = rng.standard_normal(len(sound))
        if rng.random() < 0.5:  # about pink
            noise = _equalised(gaussian_filter1d(noise, 2.0), rng)
        level = np.sqrt(np.mean(sound**2)) * 10 ** (-rng.uniform(8, 40) / 20)
        sound += noise * level / np.sqrt(np.mean(noise**2))
    sound *= 10 ** (-rng.uniform(0, 15) / 20) / max(float(np.abs(sound).max()), 1e-6)
    if rng.random() < 0.3:
        sound = _through_codec(sound, rng)
    return sound.astype(np.float32)


def change_body(motion: Motion, factor: float, rng: np.random.Generator) -> Motion:
    """Let another body dance the same dance, seen by another system.

    Args:
        motion: a dance.
        factor: above 1 is faster.
        rng: draws mirroring, bone lengths, rate and noise of the capture.

    Returns:
        The dance without contacts, at no fewer than 25 frames a second if it has them.
    """
    positions = motion.positions.astype(np.float64)
    if rng.random() < 0.5:
        positions = positions[:, _MIRRORED] * [-1, 1, 1]
    bones = positions - positions[:, PARENTS]
    bones[:, 0] = positions[:, 0]
    scale = np.exp(rng.normal(0, 0.08, len(JOINTS)))
    scale[0] = 1.0
    scale = (scale + scale[_MIRRORED]) / 2  # both sides of a body are alike
    bones *= scale[:, None]
    for joint, parent in enumerate(PARENTS[1:], start=1):
        positions[:, joint] = positions[:, parent] + bones[:, joint]
    positions[:, 0] = bones[:, 0]
    fps = motion.fps * factor
    step = int(rng.integers(1, max(int(fps / 25), 1) + 1))
    positions = positions[::step]
    noise = gaussian_filter1d(rng.standard_normal(positions.shape), 1.5, axis=0)
    positions += noise * rng.uniform(0, 0.01)
    return replace(motion, positions=positions.astype(np.float32), fps=fps / step, contacts=None)


def _equalised(sound: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """Of linear phase and symmetric in time, so onsets stay where they are."""
    size = next_fast_len(len(sound), real=True)
    spectrum = rfft(sound, size)
    octaves = np.log2(np.linspace(1, SAMPLE_RATE / 2, len(spectrum)))
    points = np.linspace(5, octaves[-1], _POINTS)
    gains = np.interp(octaves, points, rng.normal(0, _TILT / 2, _POINTS))
    changed: NDArray[np.float64] = irfft(spectrum * 10 ** (gains / 20), size)[: len(sound)]
    return changed


def _in_a_room(sound: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    seconds = rng.uniform(0.15, 0.8)
    time = np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    tail = rng.standard_normal(len(time)) * np.exp(-6.9 * time / seconds)
    tail *= rng.uniform(0.1, 0.6) / np.sqrt(np.sum(tail**2))
    return sound + fftconvolve(sound, tail)[: len(sound)]


def _through_codec(sound: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """Vorbis at a low quality; it keeps the number of samples and their times."""
    file = io.BytesIO()
    soundfile.write(
        file, sound, SAMPLE_RATE, format="OGG", subtype="VORBIS",
        compression_level=rng.uniform(0.6, 1.0),
    )  # fmt: skip
    file.seek(0)
    return np.asarray(soundfile.read(file)[0], np.float64)
