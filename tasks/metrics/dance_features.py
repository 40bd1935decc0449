"""Features of a dance that Fréchet distances and diversities are computed from.

Positions are (T, 24, 3) in metres, in the joint order of :data:`motionbeat.motion.JOINTS` (SMPL)
and with y up.
"""

from collections.abc import Callable
from functools import cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from motionbeat.motion import JOINTS, MotionError
from motionbeat.tasks.metrics.per_track import Floats

Holds = NDArray[np.bool_]
Positions = NDArray[np.floating[Any]]

UP, FLAT = 1, [0, 2]
"""The vertical axis, y, and the horizontal ones, x and z."""

PUBLISHED_FPS = 60.0
"""Frames per second that the published kinetic features assume for every motion."""

_WINDOW = 2  # frames before and after
_PUBLISHED_RATE = 120.0  # frames a second that the geometric features take every motion to have
_HUMERUS, _SHOULDERS, _HIPS = 0.2568381092, 0.3908483586, 0.1192470659  # m, of SMPL's mean body


def clip(positions: Positions, shortest: int) -> Positions:
    """Check positions (T, 24, 3) and return them.

    Raises:
        MotionError: another shape, fewer frames than ``shortest``, or NaN or infinite positions.
    """
    if positions.ndim != 3 or positions.shape[1:] != (len(JOINTS), 3):
        raise MotionError(
            f"motion has shape {positions.shape}; expected (frames, {len(JOINTS)}, 3) in SMPL's "
            "order"
        )
    if len(positions) < shortest:
        raise MotionError(
            f"motion has {len(positions)} frames; this metric needs {shortest}, drop the clip"
        )
    if not np.isfinite(positions).all():
        raise MotionError("motion holds NaN or infinite positions; repair or drop the clip")
    return positions


def kinetic_features(
    positions: Positions,
    fps: float = PUBLISHED_FPS,
    variant: Literal["legacy", "fixed"] = "fixed",
) -> Floats:
    """Kinetic features: horizontal and vertical energy and mean acceleration of each joint.

    With positions p, the velocity v[t] is the mean of (p[k] − p[k−1]) / Δt over the frames k from
    t − 2 to t + 2, and the acceleration a[t] that of (p[k+1] − 2 p[k] + p[k−1]) / Δt²; windows are
    truncated at the ends of the clip. The features of a joint are mean ‖v_xz‖², mean v_y² and mean
    ‖a‖ over the frames from the second on, in m²/s², m²/s² and m/s².

    Source: Onuma, Faloutsos and Hodgins, "FMDistance", 2008, as in fairmotion's
    ``clustering/features`` and, with SMPL joints, in ``aist_plusplus/features/kinetic.py`` of
    google/aistplusplus_api (also in Bailando, POPDG and LODGE).

    Faults of the published code, all reproduced in ``legacy``: a misplaced bracket in the
    acceleration, p[k] − p[k−1] / Δt instead of (p[k] − p[k−1]) / Δt. The acceleration is then about
    3540 ‖p‖ and encodes the position of the dancer (Bailando therefore subtracts the pelvis of the
    first frame, FACT does not). Δt is 1/60 s at any frame rate. LODGE leaves out the last two
    joints (it uses features 0 to 65).

    Args:
        positions: (T, 24, 3) in metres, at least 5 frames.
        fps: frames per second; ignored by ``legacy``.
        variant: ``fixed`` for the corrected bracket, ``legacy`` for the published code.

    Returns:
        (72,) three features of joint 0, three of joint 1, and so on.

    Raises:
        MotionError: wrong shape, fewer frames than the window, or NaN.
    """
    joints = clip(positions, 2 * _WINDOW + 1).astype(np.float64)
    rate = PUBLISHED_FPS if variant == "legacy" else fps
    velocity = np.diff(joints, axis=0) * rate
    if variant == "legacy":
        change = velocity[1:] - (joints[1:-1] - joints[:-2] * rate)
    else:
        change = np.diff(velocity, axis=0)
    smooth, push = _windowed(velocity, len(velocity)), _windowed(change * rate, len(velocity))
    features = [
        np.sum(smooth[..., FLAT] ** 2, axis=2).mean(axis=0),
        np.mean(smooth[..., UP] ** 2, axis=0),
        np.linalg.norm(push, axis=2).mean(axis=0),
    ]
    return np.stack(features, axis=1).ravel()


def _windowed(values: Floats, count: int) -> Floats:
    """Means over the window about each of ``count`` frames, as far as there are values."""
    sums = np.concatenate([np.zeros_like(values[:1]), values.cumsum(axis=0)])
    frames = np.arange(count)
    first = np.maximum(frames - _WINDOW, 0)
    last = np.minimum(frames + _WINDOW + 1, len(values))
    means: Floats = (sums[last] - sums[first]) / (last - first)[:, None, None]
    return means


def geometric_features(positions: Positions) -> Floats:
    """Geometric features: the shares of the frames in which 32 relations of body parts hold.

    Source: Müller, Röder and Clausen, "Efficient content-based retrieval of motion capture data",
    2005; features and thresholds as in fairmotion's ``clustering`` and, with SMPL joints, in
    ``aist_plusplus/features/manual.py`` of google/aistplusplus_api, whose numbers these are
    (Bailando's ``manual_new.py`` and POPDG compute the same). Thresholds are in units of SMPL's
    mean body, not of the dancer: h upper arm, s shoulder width, w hip width.

    Faults of the published code, all reproduced:

    * A frame is assumed to last 1/120 s at any frame rate, so at 60 frames per second every speed
      is doubled, and the features of one dance at two frame rates differ.
    * The moving joint of features 4 and 5 is ignored (the fourth argument of ``f_move``), so both
      are the same feature of the chest; features 9 to 11 ignore their fourth joint too.
    * The normals of 0, 1, 14 and 15 are not mirrored when left and right are swapped, so one side
      points forward and the other back, and 15 holds for a person who stands still.
    * Older copies (fairmotion, Bailando's ``manual.py``, the paper of FACT) use the offsets of
      joints from their parents in place of positions, and so have other thresholds.

    Args:
        positions: (T, 24, 3) in metres, y up, at least 2 frames; published numbers are at 60 frames
            per second.

    Returns:
        (32,) shares of the frames from the second on.

    Raises:
        MotionError: wrong shape, fewer frames, or NaN.
    """
    joints = np.ascontiguousarray(clip(positions, 2).transpose(1, 2, 0), np.float64)
    at = dict(zip(JOINTS, joints[..., 1:], strict=True))
    before = dict(zip(JOINTS, joints[..., :-1], strict=True))
    ground = joints[:, UP, 1:].min(axis=0)
    h, s, w = _HUMERUS, _SHOULDERS, _HIPS
    step = h / _PUBLISHED_RATE  # way in a frame at 1 h/s

    def line(start: str, end: str) -> Floats:
        vectors: Floats = at[end] - at[start]
        return vectors

    def normal(a: str, b: str, c: str) -> Floats:
        """Of the plane through three joints."""
        return _cross(line(a, c), line(a, b))

    @cache
    def way(joint: str) -> Floats:
        """From the frame before."""
        vectors: Floats = at[joint] - before[joint]
        return vectors

    def seen(moved: str, start: str) -> Floats:
        """Way of a joint from another."""
        return way(moved) - way(start)

    def fast(joint: str, least: float) -> Holds:
        return _dot(way(joint), way(joint)) > (least * step) ** 2

    def height(joint: str) -> Floats:
        heights: Floats = at[joint][UP] - ground
        return heights

    def bent(above: str, joint: str, below: str) -> Holds:
        return _between(0, line(joint, above), line(joint, below), 110)

    def both(feature: Callable[[str, str], Holds]) -> list[Holds]:
        """Of the right limb and then of the left; a feature is of this side and the other."""
        return [feature("r", "l"), feature("l", "r")]

    spine = line("neck", "pelvis")
    hands, upright = line("l_wrist", "r_wrist"), np.eye(3)[UP][:, None]
    held = [
        # 0, 1: hand leaves the plane of neck and hips faster than 1.8 h/s, right back, left forward
        *both(
            lambda a, b: _beyond(
                normal("neck", f"{a}_hip", f"{b}_hip"), seen(f"{a}_wrist", "neck"), 1.8 * step
            )
        ),
        # 2, 3: hand is more than 0.2 h above the neck, along the line from chest to neck
        *both(lambda a, _: _beyond(line("spine3", "neck"), line("neck", f"{a}_wrist"), 0.2 * h)),
        # 4, 5: chest moves away from the belly faster than 1.8 h/s
        *[_beyond(line("spine1", "spine3"), seen("spine3", "spine1"), 1.8 * step)] * 2,
        # 6, 7: elbow is bent to less than 110°
        *both(lambda a, _: bent(f"{a}_shoulder", f"{a}_elbow", f"{a}_wrist")),
        # 8: hands are more than 2.5 s apart along the line of the shoulders
        _beyond(line("l_shoulder", "r_shoulder"), hands, 2.5 * s),
        # 9: hands part faster than 1.4 h/s
        _beyond(hands, seen("r_wrist", "l_wrist"), 1.4 * step),
        # 10, 11: the other hand moves, seen from this one, towards the root faster than 1.4 h/s
        *both(
            lambda a, b: _beyond(
                line(f"{a}_wrist", "pelvis"), seen(f"{b}_wrist", f"{a}_wrist"), 1.4 * step
            )
        ),
        # 12, 13: hand is faster than 2.5 h/s
        *both(lambda a, _: fast(f"{a}_wrist", 2.5)),
        # 14, 15: ankle is more than 0.38 h off the plane of root, other hip and other toes: right
        # ankle in front of it, left ankle behind
        *both(
            lambda a, b: _beyond(
                normal("pelvis", f"{b}_hip", f"{b}_foot"), line("pelvis", f"{a}_ankle"), 0.38 * h
            )
        ),
        # 16, 17: ankle is more than 1.2 h above the lowest joint
        *both(lambda a, _: height(f"{a}_ankle") > 1.2 * h),
        # 18: ankles are more than 2.1 w apart along the line of the hips
        _beyond(line("l_hip", "r_hip"), line("l_ankle", "r_ankle"), 2.1 * w),
        # 19, 20: knee is bent to less than 110°
        *both(lambda a, _: bent(f"{a}_hip", f"{a}_knee", f"{a}_ankle")),
        # 21, 22: ankle is faster than 2.5 h/s
        *both(lambda a, _: fast(f"{a}_ankle", 2.5)),
        # 23, 24: upper arm is more than 25° off the spine
        *both(lambda a, _: _between(25, spine, line(f"{a}_shoulder", f"{a}_elbow"), 180)),
        # 25, 26: thigh is more than 50° off the spine
        *both(lambda a, _: _between(50, spine, line(f"{a}_hip", f"{a}_knee"), 180)),
        # 27: root is more than 0.5 h in front of the plane of ankles and neck
        _beyond(normal("r_ankle", "neck", "l_ankle"), line("r_ankle", "pelvis"), 0.5 * h),
        # 28: spine is level, 70° to 110° off the vertical
        _between(70, spine, upright, 110),
        # 29, 30: hand is less than 1.2 h above the lowest joint
        *both(lambda a, _: height(f"{a}_wrist") < 1.2 * h),
        # 31: root is faster than 2.3 h/s
        fast("pelvis", 2.3),
    ]
    shares: Floats = np.mean(held, axis=1)
    return shares


def _dot(one: Floats, other: Floats) -> Floats:
    """(T,) products of vectors (3, T)."""
    products: Floats = one[0] * other[0] + one[1] * other[1] + one[2] * other[2]
    return products


def _cross(one: Floats, other: Floats) -> Floats:
    """(3, T) vectors at right angles to both; np.cross is much slower."""
    (a, b, c), (x, y, z) = one, other
    return np.stack([b * z - c * y, c * x - a * z, a * y - b * x])


def _beyond(direction: Floats, vectors: Floats, least: float) -> Holds:
    """(T,) whether vectors go farther than this along directions; never along one of no length."""
    return _dot(direction, vectors) > least * np.sqrt(_dot(direction, direction))


def _between(low: float, one: Floats, other: Floats, high: float) -> Holds:
    """(T,) whether the angle between two vectors lies between two numbers of degrees."""
    product, sizes = _dot(one, other), np.sqrt(_dot(one, one) * _dot(other, other))
    most, least = np.cos(np.radians([low, high]))
    held: Holds = (least * sizes < product) & (product < most * sizes)
    return held
