"""Inference of the axes and the unit of a motion from the body itself."""

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
"""Units of length in which motions are stored, in metres."""

STATURES = (0.5, 3.0)
"""Smallest and largest stature of a person, in metres."""

_USUAL = (1.1, 2.3)  # m; a body in inches fits in none of the units
_SURE = 0.6  # least share of trunk and legs along the up axis, in the median frame
_SURER = 0.2  # least difference from the share along any other axis
_SPINE = ("spine1", "spine2", "spine3", "neck", "head")
_OF_STATURE = 1.2  # stature over legs plus spine up to the head joint, after Winter (2009)
_LIMBS = ("knee", "ankle", "elbow", "wrist")
_SHORTEST, _LONGEST = 0.05, 0.35  # lengths of bones over the stature; a thigh has 0.245
_LOPSIDED = 2.0  # largest ratio of a bone's length to that of the other side
_ELASTIC = 0.5  # largest standard deviation of a limb bone's length, over its median


@dataclass(frozen=True)
class BodyFrame:
    """The axes and the unit of length of a motion.

    Attributes:
        up: the axis that points up.
        unit: length of one unit, in metres.
        mirrored: whether the axes are left-handed, so that left and right are exchanged.
    """

    up: Up = "y"
    unit: float = 1.0
    mirrored: bool = False

    def __str__(self) -> str:
        named = {metres: name for name, metres in UNITS.items()}
        said = f"{self.up} up, {named.get(self.unit, f'units of {self.unit:g} m')}"
        return f"{said}, left-handed" if self.mirrored else said

    def to_metres(self, positions: Floats) -> NDArray[np.float32]:
        """Convert positions (T, 24, 3) from this frame to metres, y up, right-handed."""
        if self == BodyFrame():
            return np.asarray(positions, np.float32)
        axis = "xyz".index(self.up[-1])
        sign = -1 if self.up.startswith("-") else 1
        # the other two axes, in the order that keeps the handedness
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
    """Find the axes and the unit in which the joints form a standing person.

    Up is the axis along which, in the median frame, the head is above the pelvis and the pelvis
    above the feet. The unit is the one that gives the body a person's size. The frame is mirrored
    if the left hip is on the right of where the feet point.

    Args:
        positions: (T, 24, 3) in the order of ``JOINTS``.
        up: the axis that points up, if known.
        unit: length of one unit in metres, if known.

    Raises:
        MotionError: the bones are not a person's, or the up axis or the unit cannot be determined.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        stature = find_stature(positions)
        check_bones(positions, stature)
    if unit is None:
        sizes = {name: metres * stature for name, metres in UNITS.items()}
        fitting = [UNITS[name] for name, size in sizes.items() if _USUAL[0] < size < _USUAL[1]]
        if not fitting:
            raise MotionError(
                f"a body {stature:.3g} units tall is not a person's size in metres, centimetres or "
                "millimetres; set the unit with --unit, or put the joints in the order of SMPL"
            )
        unit = fitting[0]
    elif not STATURES[0] <= unit * stature <= STATURES[1]:
        raise MotionError(
            f"the body is {unit * stature:.3g} m tall if its unit of length is {unit:g} m; set the "
            "unit with --unit"
        )
    up = up or _up(positions)
    upright = BodyFrame(up, unit).to_metres(positions)
    return BodyFrame(up, unit, _is_mirrored(upright))


def check_upright(path: Path, motion: Motion) -> None:
    """Check that the motion of a file is in metres, y up, as far as its body shows.

    Raises:
        MotionError: the body clearly has another up axis or unit.
    """
    try:
        frame = find_body_frame(motion.positions)
    except MotionError:  # undetermined, such as for a dancer on the floor
        return
    if (frame.up, frame.unit) != ("y", 1.0):
        raise MotionError(f"{path}: motion with {frame}; convert it to metres, y up")


def find_stature(positions: Floats) -> float:
    """Estimate the stature of a body (T, 24, 3), in its own unit, from median bone lengths."""
    lengths = dict(zip(JOINTS, np.median(_bones(positions), axis=0).tolist(), strict=True))
    spine = sum(lengths[name] for name in _SPINE)
    legs = sum(lengths[f"{side}_{bone}"] for side in "lr" for bone in ("knee", "ankle")) / 2
    return float(_OF_STATURE * (spine + legs))


def check_bones(positions: Floats, stature: float) -> None:
    """Check that the bones of a body are a person's.

    Raises:
        MotionError: they are not, for example because the joints are in another order.
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
                f"the bones from {JOINTS[PARENTS[JOINTS.index(f'l_{limb}')]][2:]} to {limb} are "
                f"not a person's ({left:.3g} left, {right:.3g} right in a body {stature:.3g} tall);"
                " put the joints in the order of SMPL"
            )


def _bones(positions: Floats) -> Floats:
    """Lengths (T, 24) of the bones from each joint's parent to the joint."""
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
            "cannot tell which axis points up: from feet to head, the body extends "
            f"{along[best]:.2f} of its length along {best} and {along[second]:.2f} along {second}; "
            "set the axis with --up"
        )
    return best


def _is_mirrored(upright: Floats) -> bool:
    """Whether the left hip of a body with y up is on the right of where its feet point."""
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
