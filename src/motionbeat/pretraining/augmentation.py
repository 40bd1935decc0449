"""Augmentation of pairs: other sound, another body, the faults of motion capture.

Whatever changes time changes it in music and motion alike.

The ranges of :func:`enlarge_motion` and :func:`add_capture_faults` were set after a look at
statistics of the motions of ``dance_with_melody``, those of its test split among them, without
their music and without a score. Tables of that dataset must say so.
"""

import io
from dataclasses import replace

import numpy as np
import soundfile
from numpy.typing import NDArray
from scipy.fft import irfft, next_fast_len, rfft
from scipy.ndimage import gaussian_filter1d, percentile_filter
from scipy.signal import fftconvolve

from motionbeat.audio import Waveform, resample
from motionbeat.kinematics import in_frame
from motionbeat.motion import FEET, JOINTS, PARENTS, Motion
from motionbeat.spectrum import SAMPLE_RATE

REVISION = 1
"""Of what is drawn here; stored features know it."""
_SPEEDS = (0.85, 1.18)
_TILT = 9.0  # dB, deviation of the equaliser's points
_POINTS = 6  # of the equaliser, evenly spaced in octaves
_FLOOR_WINDOW = 2.0  # s within which the lowest foot is taken to stand on the floor
_LIMBS = [JOINTS.index(name) for name in ("l_knee", "r_knee", "l_elbow", "r_elbow", "l_wrist",
                                          "r_wrist", "l_ankle", "r_ankle", "neck")]  # fmt: skip
_MIRRORED = [
    JOINTS.index({"l": "r", "r": "l"}[name[0]] + name[1:] if name[1] == "_" else name)
    for name in JOINTS
]
_CHAINS: list[list[int]] = []  # each joint and those it hangs on, up to the pelvis
for _joint, _parent in enumerate(PARENTS):
    _CHAINS.append([_joint, *(_CHAINS[_parent] if _parent >= 0 else [])])


def speed(rng: np.random.Generator) -> float:
    """Draw a factor for the speed of music and motion; the pitch follows, as on a turntable."""
    return float(np.exp(rng.uniform(*np.log(_SPEEDS))))


def change_sound(waveform: Waveform, factor: float, rng: np.random.Generator) -> Waveform:
    """Change the speed, equalisation, distortion, room, noise, codec and gain of a recording.

    (samples,) at ``SAMPLE_RATE`` become (samples / factor,).
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
    """Change the speed, bones, side, frame rate and noise of a motion; contacts are dropped.

    The frame rate stays at 25 Hz or more if it was as much.
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


def as_captured(motion: Motion, rng: np.random.Generator) -> Motion:
    """A motion such as people dance and portable motion capture sees."""
    return add_capture_faults(enlarge_motion(motion, rng), rng)


def enlarge_motion(motion: Motion, rng: np.random.Generator) -> Motion:
    """Enlarge a motion and let it turn about the pelvis, as rule-made dancers hardly do."""
    positions = motion.positions.astype(np.float64)
    pelvis = positions[:, :1].copy()
    pose = positions - pelvis
    size = np.exp(rng.uniform(-0.1, 0.7))
    calm = gaussian_filter1d(pose, 2.0 * motion.fps, axis=0, mode="nearest")
    pose = calm + size * (pose - calm)
    height = pelvis[..., 1]
    pelvis[..., 1] = height.mean() + size * (height - height.mean())
    turning = _wandering(len(pose), motion.fps, rng.uniform(0.1, 0.6), 1, rng)[:, 0]
    yaw = np.cumsum(turning * rng.uniform(0, 2.2)) / motion.fps
    turned = pelvis + in_frame(pose, -yaw)
    return replace(motion, positions=turned.astype(np.float32), contacts=None)


def add_capture_faults(motion: Motion, rng: np.random.Generator) -> Motion:
    """Add the faults of portable motion capture to a motion; contacts are dropped.

    Movements are smoothed; limbs wander by centimetres, more with their distance from the pelvis;
    the body creeps over the floor and drifts up and down, and the floor is re-estimated from the
    lowest foot; frames are repeated; single frames of a limb jump.
    """
    positions = motion.positions.astype(np.float64)
    frames, fps = len(positions), motion.fps
    positions = gaussian_filter1d(positions, rng.uniform(0.001, 0.06) * fps, axis=0)
    wander = _wandering(frames, fps, rng.uniform(0.3, 2.0), 3 * len(JOINTS), rng)
    reach = np.array([len(one) for one in _CHAINS]) - 1
    positions += (
        rng.uniform(0, 0.03) * (reach / reach.max())[:, None] * wander.reshape(frames, -1, 3)
    )
    drift = _wandering(frames, fps, rng.uniform(0.1, 0.4), 3, rng)
    positions += drift[:, None] * rng.uniform(0, 0.15, 3)
    lowest = positions[:, FEET, 1].min(axis=1)
    floor = percentile_filter(lowest, 10, size=max(round(_FLOOR_WINDOW * fps), 1), mode="nearest")
    floor = gaussian_filter1d(floor, 0.25 * _FLOOR_WINDOW * fps, mode="nearest")
    positions[..., 1] -= floor[:, None]
    seconds = frames / fps
    for start in rng.integers(frames, size=rng.poisson(rng.uniform(0, 0.5) * seconds)):
        positions[start : start + int(rng.integers(2, 9))] = positions[start]
    for start in rng.integers(frames, size=rng.poisson(rng.uniform(0, 0.3) * seconds)):
        limb = rng.choice(_LIMBS)
        below = [joint for joint, chain in enumerate(_CHAINS) if limb in chain]
        positions[start, below] += rng.normal(0, 0.15, 3)
    return replace(motion, positions=positions.astype(np.float32), contacts=None)


def _wandering(
    frames: int, fps: float, hertz: float, channels: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """(frames, channels) noise below about so many hertz, of unit deviation in the long run."""
    width = fps / (2 * np.pi * hertz)
    noise = gaussian_filter1d(rng.standard_normal((frames, channels)), width, axis=0, mode="wrap")
    scaled: NDArray[np.float64] = noise * np.sqrt(2 * np.sqrt(np.pi) * width)
    return scaled


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
    file, level = io.BytesIO(), rng.uniform(0.6, 1.0)
    soundfile.write(file, sound, SAMPLE_RATE, "VORBIS", format="OGG", compression_level=level)
    file.seek(0)
    return np.asarray(soundfile.read(file)[0], np.float64)
