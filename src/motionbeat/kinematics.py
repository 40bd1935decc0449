"""Signals of motion: floor contacts, footfalls, energy, movement accents, features.

Signals are computed at ``ANALYSIS_FRAME_RATE`` from splines through the positions, with filters
whose widths are in seconds. The same motion therefore has nearly the same signals at any frame
rate. Lengths are relative to the body height, which is estimated from the bones.
"""

from dataclasses import dataclass
from functools import cached_property
from math import ceil

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import make_interp_spline
from scipy.ndimage import gaussian_filter1d, percentile_filter
from scipy.special import expit

from motionbeat.motion import FEET, JOINTS, PARENTS, Motion, MotionError

Signal = NDArray[np.float32]
Floats = NDArray[np.float64]

ANALYSIS_FRAME_RATE = 60.0
"""Frame rate at which motions are analysed (Hz)."""

FEATURES = 6 * len(JOINTS) + 3 + 1 + len(FEET) + 1 + 1
"""Number of columns of :func:`motion_features`."""

PULSES = FEATURES - 2
"""The column of :func:`motion_features` that holds the contact pulses."""

CONTACTS = slice(PULSES - len(FEET), PULSES + 1)
"""The columns of :func:`motion_features` that hold :func:`foot_contacts` and the pulses."""

_SMOOTH = 0.035  # s; against the noise of motion capture, which fakes landings otherwise
_FLOOR_WINDOW = 8.0  # s; a floor may slope, and a dancer crosses a room in about that time
_LOW, _LOW_EDGE = 0.022, 0.005  # height above the floor, as a fraction of stature
_SLOW, _SLOW_EDGE = 0.14, 0.035  # m/s; a foot brakes so late that more would be too early
_AT_REST = 20  # percentile of the speed of a foot; captured feet creep along even on the floor
_ONE_LANDING = 0.1  # s; heel and toe of one foot within this time are one landing
_LOOK_BACK, _LOOK_AHEAD = 18, 9  # analysis frames in which a foot was up before it came down
_PULSE = 0.03  # s
_TURN = 0.25  # s; the facing direction follows the body this smoothly
_STATURE = 1.2  # times the legs and the spine up to the head joint, after Winter (2009)
_SHORTEST = 0.3  # m; keeps a collapsed skeleton from dividing by zero
_PLACE_SCALE, _SPEED_SCALE = 2.0, 3.0  # bring statures, and statures a second, to about unit size


def _indices(*names: str) -> list[int]:
    return [index for index, joint in enumerate(JOINTS) if joint.split("_")[-1] in names]


_SPINE = _indices("spine1", "spine2", "spine3", "neck", "head")
_LEGS = _indices("knee", "ankle")
_HIPS_SHOULDERS = _indices("hip", "shoulder")
_LIMBS = _indices("knee", "ankle", "foot", "elbow", "wrist", "hand")


def foot_contacts(motion: Motion) -> Signal:
    """Strength in [0, 1] of the floor contact of the joints in ``FEET``, (T, 4).

    A joint is in contact if it is close to its 10th percentile of height over 8 s and its speed is
    low; docs/method.md has the equation. The ``contacts`` of the motion are not used.

    Raises:
        MotionError: the motion has no frames.
    """
    body = _Body(motion)
    return body.at_frames(body.contacts)


def movement_envelope(motion: Motion) -> Signal:
    """Envelope of movement accents, (T,), the counterpart of an onset envelope.

    The square root of a sum of footfalls, the upward acceleration of the pelvis (largest at the
    bottom of a bounce), and the deceleration of hands, elbows, knees and feet (which ends at a
    kinematic beat). The square root keeps a few large accents from masking the regular ones. The
    envelope is about 1 on average, and 0 if nothing moves.

    Raises:
        MotionError: the motion has no frames.
    """
    body = _Body(motion)
    bounce = np.maximum(_smooth(body.velocity[:, 0, 1], _SMOOTH, order=1), 0)
    limbs = np.linalg.norm(body.velocity[:, _LIMBS] - body.velocity[:, :1], axis=2)
    braking = np.maximum(-_smooth(limbs, _SMOOTH, order=1), 0).mean(axis=1)
    total = np.zeros(len(bounce))
    # Where the root mean square of a part is below the last number, the part counts as none.
    for part, weight, least in ((body.pulses, 1.0, 0.05), (bounce, 1.0, 0.2), (braking, 0.5, 0.2)):
        total += weight * part / (float(np.sqrt(np.mean(part**2))) + least)
    return body.at_frames(np.sqrt(total))


def motion_features(motion: Motion, frame_rate: float) -> Signal:
    """Features of a motion, scaled to about unit size, independent of position and heading.

    The features, in order: joint positions (24 * 3) relative to the projection of the pelvis on the
    floor, in a coordinate frame that turns with the body, in half body heights; their velocities
    (24 * 3) and the velocity of the pelvis (3) in that frame, in thirds of a body height per
    second; the turning rate of the frame (1) in rad/s; :func:`foot_contacts` (4); contact pulses
    (1), a Gaussian with a standard deviation of 30 ms at each landing of a foot, with the rise of
    the contact as its height; and energy (1) in m/s, the mean speed of the joints relative to the
    pelvis plus the vertical speed of the pelvis. x points to the left of the body, y up, z forward.

    Args:
        motion: the motion.
        frame_rate: frame rate of the features in Hz.

    Returns:
        (ceil(duration * frame_rate), ``FEATURES``); row i describes the time i / frame_rate.

    Raises:
        MotionError: the motion has no frames, or the frame rate is not positive.
    """
    if not frame_rate > 0:
        raise MotionError(f"features at {frame_rate} Hz; ask for more than 0")
    body = _Body(motion)
    yaw, velocity = body.yaw, body.velocity
    origin = body.joints[:, :1] * [1, 0, 1]
    origin[..., 1] = np.percentile(body.joints[:, FEET, 1], 5)
    placed = in_frame(body.joints - origin, yaw)
    changing = _smooth(placed, 1 / ANALYSIS_FRAME_RATE, order=1)
    relative = np.linalg.norm(velocity - velocity[:, :1], axis=2).mean(axis=1)
    columns = [
        placed.reshape(len(yaw), -1) * _PLACE_SCALE / body.stature,
        changing.reshape(len(yaw), -1) * _SPEED_SCALE / body.stature,
        in_frame(velocity[:, :1], yaw)[:, 0] * _SPEED_SCALE / body.stature,
        _smooth(yaw, _SMOOTH, order=1)[:, None],
        body.contacts,
        body.pulses[:, None],
        (relative + np.abs(velocity[:, 0, 1]))[:, None],
    ]
    features = np.concatenate(columns, axis=1)
    if frame_rate < ANALYSIS_FRAME_RATE:
        features = _smooth(features, 0.3 / frame_rate)
    rows = ceil(round(motion.duration * frame_rate, 6))
    return _interpolated(features, np.arange(rows) / frame_rate)


@dataclass(frozen=True)
class _Body:
    """A motion at the rate of analysis, (n, ...), and what is derived from it."""

    motion: Motion

    def __post_init__(self) -> None:
        if not len(self.motion.positions):
            raise MotionError("motion has no frames; drop the clip")

    @cached_property
    def _raw(self) -> Floats:
        """(n, 24, 3) metres, as they are."""
        given = self.motion.positions.astype(np.float64)
        if len(given) == 1 or self.motion.fps == ANALYSIS_FRAME_RATE:
            return given
        times = np.arange(len(given)) / self.motion.fps
        last = (len(given) - 1) / self.motion.fps
        wanted = np.arange(ceil(last * ANALYSIS_FRAME_RATE - 1e-6) + 1) / ANALYSIS_FRAME_RATE
        spline = make_interp_spline(times, given, k=min(3, len(given) - 1))
        resampled: Floats = spline(np.minimum(wanted, last))
        return resampled

    @cached_property
    def joints(self) -> Floats:
        """(n, 24, 3) metres, without the jitter of single frames."""
        return _smooth(self._raw, _SMOOTH)

    @cached_property
    def velocity(self) -> Floats:
        """(n, 24, 3) m/s."""
        return _smooth(self._raw, _SMOOTH, order=1)

    @cached_property
    def stature(self) -> float:
        """Body height in metres."""
        bones = np.linalg.norm(self._raw - self._raw[:, PARENTS], axis=2)
        lengths = np.median(bones, axis=0)
        return max(_STATURE * float(lengths[_SPINE].sum() + lengths[_LEGS].sum() / 2), _SHORTEST)

    @cached_property
    def contacts(self) -> Floats:
        """(n, 4) as :func:`foot_contacts` has them."""
        heights = self.joints[:, FEET, 1] / self.stature
        window = min(round(_FLOOR_WINDOW * ANALYSIS_FRAME_RATE), 2 * len(heights))
        floor = percentile_filter(heights, 10, size=(window, 1), mode="nearest")
        low = expit((_LOW - heights + floor) / _LOW_EDGE)
        speed = np.linalg.norm(self.velocity[:, FEET], axis=2)
        slow = expit((_SLOW - speed + np.percentile(speed, _AT_REST, axis=0)) / _SLOW_EDGE)
        contacts: Floats = low * slow
        return contacts

    @cached_property
    def pulses(self) -> Floats:
        """(n,) Gaussians at the landings of either foot."""
        times = np.arange(len(self._raw)) / ANALYSIS_FRAME_RATE
        pulses = np.zeros(len(times))
        for foot in (slice(0, 2), slice(2, 4)):
            last = -np.inf
            for time, clear in sorted(
                found for contact in self.contacts[:, foot].T for found in _rises(contact)
            ):
                if time - last >= _ONE_LANDING:
                    last = time
                    pulse = clear * np.exp(-0.5 * ((times - time) / _PULSE) ** 2)
                    np.maximum(pulses, pulse, out=pulses)
        return pulses

    @cached_property
    def yaw(self) -> Floats:
        """(n,) radians by which the body has turned to the left of +z, by hips and shoulders."""
        l_hip, r_hip, l_shoulder, r_shoulder = np.moveaxis(self.joints[:, _HIPS_SHOULDERS], 1, 0)
        left = l_hip - r_hip + l_shoulder - r_shoulder
        return _smooth(np.unwrap(np.arctan2(-left[:, 2], left[:, 0])), _TURN)

    def at_frames(self, signal: Floats) -> Signal:
        """A signal at the frames of the motion."""
        return _interpolated(signal, np.arange(len(self.motion.positions)) / self.motion.fps)


def _smooth(values: Floats, seconds: float, order: int = 0) -> Floats:
    """Gaussian filter over time, or its derivative a second; nothing moves beyond the ends."""
    filtered: Floats = gaussian_filter1d(
        values, seconds * ANALYSIS_FRAME_RATE, axis=0, order=order, mode="nearest"
    )
    return filtered * ANALYSIS_FRAME_RATE**order


def _rises(contact: Floats) -> list[tuple[float, float]]:
    """Seconds at which a contact rises through 1/2, and how far it rises about that time."""
    found = []
    for frame in np.flatnonzero((contact[:-1] < 0.5) & (contact[1:] >= 0.5)):
        before, after = contact[frame], contact[frame + 1]
        highest = contact[frame + 1 : frame + _LOOK_AHEAD + 1].max()
        rise = highest - contact[max(frame - _LOOK_BACK, 0) : frame + 1].min()
        time = float(frame + (0.5 - before) / (after - before)) / ANALYSIS_FRAME_RATE
        found.append((time, float(rise)))
    return found


def in_frame(vectors: Floats, yaw: Floats) -> Floats:
    """Vectors (n, joints, 3) in a frame that has turned to the left by ``yaw`` (n,)."""
    cos, sin = np.cos(yaw)[:, None], np.sin(yaw)[:, None]
    x, y, z = np.moveaxis(vectors, -1, 0)
    return np.stack([x * cos - z * sin, y, x * sin + z * cos], axis=-1)


def _interpolated(signal: Floats, times: Floats) -> Signal:
    """A signal (n, ...) at the analysis frame rate, sampled at given seconds; its end is held."""
    columns = signal.reshape(len(signal), -1).T
    grid = np.arange(len(signal)) / ANALYSIS_FRAME_RATE
    found = np.stack([np.interp(times, grid, column) for column in columns], axis=1)
    return found.reshape(len(times), *signal.shape[1:]).astype(np.float32)
