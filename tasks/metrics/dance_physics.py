"""Physical plausibility of dances: feet, floor, smoothness and bones.

Positions are (T, 24, 3) in metres, in the joint order of :data:`motionbeat.motion.JOINTS` (SMPL)
and with y up. Every metric raises a ``MotionError`` for another shape, too few frames, or NaN.
"""

import numpy as np

from motionbeat.motion import FEET, PARENTS
from motionbeat.tasks.metrics.dance_features import FLAT, UP, Positions, clip
from motionbeat.tasks.metrics.per_track import Floats

PFC_FPS = 30.0
"""Frames a second of the published physical foot contact and foot sliding."""

TOLERANCE = 0.005
"""Metres by which penetration and float are forgiven (Yuan et al., PhysDiff, 2023)."""

_BONES = np.arange(1, len(PARENTS))
_SAME_GROUND, _LOW_ANKLE, _LOW_TOE, _SLIDES = 0.02, 0.08, 0.05, 0.01  # m


def physical_foot_contact(positions: Positions) -> float:
    """PFC, in 1e-4 m²: how far both feet slide while the body accelerates; lower is better.

    With a the second difference of the pelvis, its upward component 0 where it is negative, and f
    the smaller of the horizontal ways of ankle and toe (joints 7, 10 and 8, 11) from frame to
    frame: mean over the frames from the third on of ‖a‖ / max ‖a‖ · f_left · f_right, times 10000;
    ways are not divided by Δt. Source: Tseng et al., "EDGE", 2023; ``eval/eval_pfc.py`` of
    Stanford-TML/EDGE, where z is up.

    Faults of the published code, all kept: it depends on the frame rate, about with its inverse
    square (published at ``PFC_FPS``), and, by the maximum, on how clips are cut; a clip whose
    pelvis never accelerates makes it NaN. POPDG adds the upper body in another score of that name.
    """
    joints = clip(positions, 3).astype(np.float64)
    push = np.diff(joints[:, 0], n=2, axis=0)
    push[:, UP] = np.maximum(push[:, UP], 0)
    size = np.linalg.norm(push, axis=1)
    ways = np.linalg.norm(np.diff(joints[1:, FEET][..., FLAT], axis=0), axis=2)
    slides = np.minimum(ways[:, ::2], ways[:, 1::2]).prod(axis=1)
    if not size.any():
        return float("nan")
    return float((size / size.max() * slides).mean() * 10000)


def foot_sliding_ratio(positions: Positions) -> float:
    """Share of its frames on the floor in which a foot slides, mean of both feet; lower is better.

    A foot is on the floor where its ankle is at most 8 cm and its toe at most 5 cm above the
    ground: the mean height of the toes in the first frame, or the lower one when they are 2 cm or
    more apart. It slides where |Δx + Δz| / 2 of ankle or toe to the next frame passes 1 cm. NaN
    when a foot is never on the floor.
    Source: Li et al., "Lodge", 2024; ``metric/foot_skating.py`` of li-ronghui/LODGE.

    Faults of the published code, all kept: components are averaged with their signs, so that a
    foot that slides along x = −z does not slide; the threshold is in metres a frame, for
    ``PFC_FPS``; the ground is taken from the first frame, in which a dancer may be in the air.
    """
    feet = clip(positions, 2)[:, FEET].astype(np.float64).reshape(-1, 2, 2, 3)  # side, ankle or toe
    toes = feet[0, :, 1, UP]
    ground = toes.mean() if np.ptp(toes) < _SAME_GROUND else toes.min()
    down = (feet[..., UP] - ground <= [_LOW_ANKLE, _LOW_TOE]).all(axis=2)
    ways = np.abs(np.diff(feet[..., FLAT], axis=0).mean(axis=3))
    slides = np.append(ways > _SLIDES, np.zeros((1, 2, 2), bool), axis=0).any(axis=2) & down
    with np.errstate(invalid="ignore"):
        return float(np.mean(slides.sum(axis=0) / down.sum(axis=0)))


def floor_height(positions: Positions) -> float:
    """Height of the floor in metres: the median of the lowest joint of the feet.

    A dancer stands on it most of the time; heels and toes of a skeleton are above the soles, and so
    is this floor.
    """
    return float(np.median(_lowest(positions)))


def penetration(positions: Positions) -> float:
    """Mean depth of the lowest joint of the feet below the :func:`floor_height`, in millimetres.

    Mean over all frames of max(floor − y, 0) where that is more than ``TOLERANCE``; lower is
    better. Source: Yuan et al., "PhysDiff", 2023, for the vertices of a body; here for joints.
    """
    return _beyond(floor_height(positions) - _lowest(positions))


def floating(positions: Positions) -> float:
    """Mean height of the lowest joint of the feet above the floor, in millimetres.

    That of real dancers, who jump, is best. Otherwise as :func:`penetration`.
    """
    return _beyond(_lowest(positions) - floor_height(positions))


def jerk(positions: Positions, fps: float) -> float:
    """Mean size of the third derivative of the joints in m/s³; that of real dances is best.

    mean ‖p[t+3] − 3 p[t+2] + 3 p[t+1] − p[t]‖ · fps³ over frames and joints; it grows with the
    frame rate where there is noise. Source: Flash and Hogan, 1985, for the measure of smoothness.
    """
    third = np.diff(clip(positions, 4).astype(np.float64), n=3, axis=0)
    return float(np.linalg.norm(third, axis=2).mean() * fps**3)


def bone_length_drift(positions: Positions) -> float:
    """How much the bones change their lengths, in percent; 0 for a rigid skeleton.

    Mean over the 23 bones of the standard deviation of a bone's length over its mean length. Bones
    of no length are left out.
    """
    joints = clip(positions, 1).astype(np.float64)
    lengths = np.linalg.norm(joints[:, _BONES] - joints[:, np.array(PARENTS)[_BONES]], axis=2)
    bones = lengths[:, lengths.mean(axis=0) > 0]
    if not bones.size:
        return float("nan")
    return float(100 * (bones.std(axis=0) / bones.mean(axis=0)).mean())


def _lowest(positions: Positions) -> Floats:
    """(T,) height of the lowest joint of the feet."""
    lowest: Floats = clip(positions, 1)[:, FEET, UP].astype(np.float64).min(axis=1)
    return lowest


def _beyond(depths: Floats) -> float:
    return float(1000 * np.where(depths > TOLERANCE, depths, 0).mean())
