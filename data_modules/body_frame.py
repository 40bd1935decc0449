"""Which way is up in a motion, and how long its unit is: found from the body itself."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from motionbeat.motion import JOINTS, PARENTS, Motion, MotionError

Floats = NDArray[np.floating]
Up = Literal["x", "y", "z", "-x", "-y", "-z"]

UNITS = {"metres": 1.0, "centimetres": 0.01, "millimetres": 0.001}
"""Units of length that motions come in, in metres."""

STATURES = (0.5, 3.0)
"""Metres between which a person is tall."""

_USUAL = (1.1, 2.3)  # m; a body in inches is no usual one in any of the units
_SURE = 0.6  # of trunk and legs along an axis, in the median frame
_SURER = 0.2  # than along any other axis
_SPINE = ("spine1", "spine2", "spine3", "neck", "head")
_OF_STATURE = 1.2  # times the legs and the spine up to the head joint, after Winter (2009)
_LIMBS = ("knee", "ankle", "elbow", "wrist")
_SHORTEST, _LONGEST = 0.05, 0.35  # of the stature; a thigh has 0.245
_LOPSIDED = 2.0  # times as long as the bone of the other side
_ELASTIC = 0.5  # of its length that a bone of a limb may vary by, as a standard deviation


@dataclass(frozen=True)
class BodyFrame:
    """The axes and the unit of a motion.

    Attributes:
        up: the axis that points up.
        unit: metres of one unit of length.
        mirrored: whether left and right are exchanged, as in left-handed coordinates.
    """

    up: Up = "y"
    unit: float = 1.0
    mirrored: bool = False

    def __str__(self) -> str:
        named = {metres: name for name, metres in UNITS.items()}
        said = f"{self.up} up, {named.get(self.unit, f'units of {self.unit:g} m')}"
        return f"{said}, left-handed" if self.mirrored else said

    def to_metres(self, positions: Floats) -> NDArray[np.float32]:
        """Positions (T, 24, 3) of this frame in metres, y up, right-handed."""
        if self == BodyFrame():
            return np.asarray(positions, np.float32)
        axis = "xyz".index(self.up[-1])
        sign = -1 if self.up.startswith("-") else 1
        # the two others, in the order that keeps the handedness
        x, z = ((axis + 2) % 3, (axis + 1) % 3)
        turned = np.stack(
            [sign * positions[..., x], sign * positions[..., axis], positions[..., z]], axis=-1
        )
        if self.mirrored:
            turned[..., 2] *= -1
        return np.asarray(turned * self.unit, np.float32)


def find_body_frame(
    positions: Floats, up: Up | None = None, unit: float | None = None
) -> BodyFrame:
    """The frame in which joints make a standing person.

    Up is the axis along which, in the median frame, the head is above the pelvis and the pelvis
    above the feet. The unit is the one that makes the body a person's size. The frame is mirrored
    if the feet point forward and left is on the right.

    Args:
        positions: (T, 24, 3) in the order of ``JOINTS``.
        up: the axis that points up, where it is known.
        unit: metres of one unit of length, where it is known.

    Raises:
        MotionError: the bones are no person's, or up or the unit cannot be told.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        stature = find_stature(positions)
        check_bones(positions, stature)
    if unit is None:
        sizes = {name: metres * stature for name, metres in UNITS.items()}
        fitting = [UNITS[name] for name, size in sizes.items() if _USUAL[0] < size < _USUAL[1]]
        if not fitting:
            raise MotionError(
                f"a body {stature:.3g} units tall is no person's size in metres, centimetres or "
                "millimetres; say the unit by --unit, or put the joints in the order of SMPL"
            )
        unit = fitting[0]
    elif not STATURES[0] <= unit * stature <= STATURES[1]:
        raise MotionError(
            f"a body {unit * stature:.3g} m tall if its unit of length is {unit:g} m; say the unit "
            "by --unit"
        )
    up = up or _up(positions)
    upright = BodyFrame(up, unit).to_metres(positions)
    return BodyFrame(up, unit, _is_mirrored(upright))


def check_upright(path: Path, motion: Motion) -> None:
    """Check that the motion of a file is in metres, y up, as far as its body tells.

    Raises:
        MotionError: it is sure not to be.
    """
    try:
        frame = find_body_frame(motion.positions)
    except MotionError:  # somebody on the floor, say
        return
    if (frame.up, frame.unit) != ("y", 1.0):
        raise MotionError(f"{path}: motion with {frame}; convert it to metres, y up")


def find_stature(positions: Floats) -> float:
    """How tall a body (T, 24, 3) is in its own unit, by the median lengths of its bones."""
    lengths = dict(zip(JOINTS, np.median(_bones(positions), axis=0).tolist(), strict=True))
    spine = sum(lengths[name] for name in _SPINE)
    legs = sum(lengths[f"{side}_{bone}"] for side in "lr" for bone in ("knee", "ankle")) / 2
    return float(_OF_STATURE * (spine + legs))


def check_bones(positions: Floats, stature: float) -> None:
    """Check that the bones of a body are a person's.

    Raises:
        MotionError: they are not, as when the joints are in another order.
    """
    bones = _bones(positions)
    lengths = dict(zip(JOINTS, np.median(bones, axis=0).tolist(), strict=True))
    varying = dict(zip(JOINTS, bones.std(axis=0).tolist(), strict=True))
    longest = max(JOINTS[1:], key=lambda joint: lengths[joint])
    if lengths[longest] > _LONGEST * stature:
        raise MotionError(
            f"the bone to {longest} is {lengths[longest]:.3g} long in a body {stature:.3g} tall; "
            "put the joints in the order of SMPL"
        )
    for limb in _LIMBS:
        left, right = lengths[f"l_{limb}"], lengths[f"r_{limb}"]
        wrong = (
            not _SHORTEST * stature < min(left, right)
            or max(left, right) > _LOPSIDED * min(left, right)
            or varying[f"l_{limb}"] > _ELASTIC * left
            or varying[f"r_{limb}"] > _ELASTIC * right
        )
        if wrong:
            raise MotionError(
                f"the bones from {JOINTS[PARENTS[JOINTS.index(f'l_{limb}')]][2:]} to {limb} are no "
                f"person's ({left:.3g} left, {right:.3g} right of a body {stature:.3g} tall); put "
                "the joints in the order of SMPL"
            )


def _bones(positions: Floats) -> Floats:
    """Lengths (T, 24) of the bones to each joint."""
    lengths: Floats = np.linalg.norm(positions - positions[:, list(PARENTS)], axis=2)
    return lengths


def _up(positions: Floats) -> Up:
    pelvis, head = positions[:, 0], positions[:, JOINTS.index("head")]
    feet = positions[:, [JOINTS.index("l_ankle"), JOINTS.index("r_ankle")]].mean(axis=1)
    trunk, legs = (_directions(part) for part in (head - pelvis, pelvis - feet))
    along: Mapping[Up, float] = {
        up: min(
            float(np.median(part[:, "xyz".index(up[-1])] * (-1 if up.startswith("-") else 1)))
            for part in (trunk, legs)
        )
        for up in get_args(Up)
    }
    best, second = sorted(along, key=lambda up: along[up])[:-3:-1]
    if along[best] < max(_SURE, along[second] + _SURER):
        raise MotionError(
            f"cannot tell which axis points up: from feet to head it is {along[best]:.2f} of the "
            f"way along {best} and {along[second]:.2f} along {second}; say it by --up"
        )
    return best


def _is_mirrored(upright: Floats) -> bool:
    """Whether the left of a body with y up is on the right of where its feet point."""
    place = {name: upright[:, JOINTS.index(name)] for name in JOINTS}
    forward = sum(
        (place[f"{side}_foot"] - place[f"{side}_ankle"] for side in "lr"),
        start=np.zeros_like(place["pelvis"]),
    )
    left = place["l_hip"] - place["r_hip"]
    across = forward[:, 2] * left[:, 0] - forward[:, 0] * left[:, 2]  # up x forward, times left
    return bool(np.median(across) < 0)


def _directions(vectors: Floats) -> Floats:
    directions: Floats = vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9)
    return directions
