"""Physical plausibility of dances: feet, floor, smoothness and bones.

Positions are (T, 24, 3) in metres, in the joint order of :data:`motionbeat.motion.JOINTS` (SMPL)
and with y up. Every metric raises a ``MotionError`` for another shape, too few frames, or NaN.
"""

import numpy as np

from motionbeat.motion import FEET, PARENTS
from motionbeat.tasks.metrics.dance_features import FLAT, UP, Positions, clip
from motionbeat.tasks.metrics.per_track import Floats

PFC_FPS = 30.0
"""Frames per second of the published physical foot contact and foot sliding."""

TOLERANCE = 0.005
"""Metres by which penetration and float are forgiven (Yuan et al., PhysDiff, 2023)."""

_BONES = np.arange(1, len(PARENTS))
_SAME_GROUND, _LOW_ANKLE, _LOW_TOE, _SLIDES = 0.02, 0.08, 0.05, 0.01  # m


def physical_foot_contact(positions: Positions) -> float:
    """Physical foot contact (PFC) in 1e-4 m²: sliding of both feet while the body accelerates.

    Lower is better. Let a be the second difference of the pelvis position, with a negative vertical
    component set to 0, and f the smaller of the horizontal displacements of ankle and toe (joints
    7, 10 and 8, 11) from frame to frame. PFC is the mean over the frames from the third on of
    ‖a‖ / max ‖a‖ · f_left · f_right, times 10000. Displacements are not divided by Δt. Source:
    Tseng et al., "EDGE", 2023; ``eval/eval_pfc.py`` of Stanford-TML/EDGE, where z is up.

    Faults of the published code, all reproduced: PFC depends on the frame rate, roughly with its
    inverse square (published at ``PFC_FPS``), and, because of the maximum, on how clips are cut. It
    is NaN for a clip whose pelvis never accelerates. POPDG publishes another score under this name,
    which includes the upper body.
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
    """Share of the floor contact frames in which a foot slides, mean of both feet.

    Lower is better. A foot is on the floor if its ankle is at most 8 cm and its toe at most 5 cm
    above the ground. The ground is the mean height of the toes in the first frame, or the lower
    toe if they are 2 cm or more apart. A foot slides if |Δx + Δz| / 2 of ankle or toe to the next
    frame exceeds 1 cm. NaN if a foot is never on the floor. Source: Li et al., "Lodge", 2024;
    ``metric/foot_skating.py`` of li-ronghui/LODGE.

    Faults of the published code, all reproduced: components are averaged with their signs, so a
    foot that slides along x = −z is not counted; the threshold is in metres per frame, for
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
    """Mean depth of the lowest foot joint below the :func:`floor_height`, in millimetres.

    Mean over all frames of floor − y, where it exceeds ``TOLERANCE``, else 0; lower is better.
    Source: Yuan et al., "PhysDiff", 2023, for the vertices of a body mesh; here for joints.
    """
    return _beyond(floor_height(positions) - _lowest(positions))


def floating(positions: Positions) -> float:
    """Mean height of the lowest foot joint above the floor, in millimetres.

    Computed as in :func:`penetration`. It is best if close to that of real dancers, who jump.
    """
    return _beyond(_lowest(positions) - floor_height(positions))


def jerk(positions: Positions, fps: float) -> float:
    """Mean jerk of the joints in m/s³; best if close to that of real dances.

    The mean over frames and joints of ‖p[t+3] − 3 p[t+2] + 3 p[t+1] − p[t]‖ · fps³. With noisy
    positions it grows with the frame rate. Source of the smoothness measure: Flash and Hogan, "The
    coordination of arm movements", 1985.
    """
    third = np.diff(clip(positions, 4).astype(np.float64), n=3, axis=0)
    return float(np.linalg.norm(third, axis=2).mean() * fps**3)


def bone_length_drift(positions: Positions) -> float:
    """Variation of the bone lengths in percent; 0 for a rigid skeleton.

    The mean over the 23 bones of the standard deviation of a bone's length divided by its mean
    length. Bones of length 0 are left out; NaN if all are.
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
