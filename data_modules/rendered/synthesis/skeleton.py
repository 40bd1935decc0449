"""The dancers' body: bone lengths, forward kinematics, and legs by two-bone IK."""

import numpy as np
from numpy.typing import NDArray

from motionbeat.motion import JOINTS, PARENTS

Floats = NDArray[np.float64]

_BONES = {
    "pelvis": (0.0, 0.0, 0.0),
    "spine1": (0.0, 0.060, -0.008),
    "spine2": (0.0, 0.075, 0.0),
    "spine3": (0.0, 0.035, 0.0),
    "neck": (0.0, 0.120, -0.008),
    "head": (0.0, 0.050, 0.020),
    "l_hip": (0.052, -0.020, 0.0),
    "l_knee": (0.0, -0.245, 0.0),
    "l_ankle": (0.0, -0.246, 0.0),
    "l_foot": (0.0, -0.027, 0.075),
    "l_collar": (0.040, 0.085, 0.0),
    "l_shoulder": (0.089, 0.013, 0.0),
    "l_elbow": (0.0, -0.186, 0.0),
    "l_wrist": (0.0, -0.146, 0.0),
    "l_hand": (0.0, -0.050, 0.0),
}

OFFSETS: Floats = np.array([
    _BONES[name] if name in _BONES else [-1.0, 1.0, 1.0] * np.array(_BONES["l" + name[1:]])
    for name in JOINTS
])  # fmt: skip
"""(24, 3) bone vectors of a standing body with hanging arms, as fractions of its height.

x to the body's left, y up, z forward. Segment lengths after D. A. Winter, *Biomechanics and Motor
Control of Human Movement*, 4th ed. (2009), figure 4.1; the spine is divided by eye.
"""

THIGH, SHANK = 0.245, 0.246
"""Lengths of the two leg bones, as fractions of height."""

TOE_HEIGHT = 0.012
"""Height of the toe joints above the floor of a flat foot, as a fraction of height."""


def trunk_and_arms(height: float, root: Floats, turns: dict[str, Floats]) -> Floats:
    """Positions (T, 24, 3) of pelvis, hips, spine, head and arms; the leg joints are left at zero.

    Args:
        height: stature in metres.
        root: (T, 3) pelvis positions in metres.
        turns: local rotation matrices (T, 3, 3) by joint name; joints left out do not turn.
    """
    positions = np.zeros((len(root), len(JOINTS), 3))
    positions[:, 0] = root
    world = {0: turns["pelvis"]}
    for joint, name in enumerate(JOINTS[1:], start=1):
        if name.endswith(("knee", "ankle", "foot")):
            continue
        parent = PARENTS[joint]
        positions[:, joint] = positions[:, parent] + world[parent] @ (OFFSETS[joint] * height)
        world[joint] = world[parent] @ turns[name] if name in turns else world[parent]
    return positions


def bend_knee(hip: Floats, ankle: Floats, forward: Floats, height: float) -> Floats:
    """Knee (T, 3) between a hip and an ankle (T, 3) within its reach, all in metres.

    Both leg bones keep their length. ``forward`` (T, 3) is where the knee points to.
    """
    thigh, shank = THIGH * height, SHANK * height
    leg = ankle - hip
    reach = np.linalg.norm(leg, axis=1, keepdims=True)
    along = leg / reach
    out = forward - along * np.sum(forward * along, axis=1, keepdims=True)
    out /= np.linalg.norm(out, axis=1, keepdims=True)
    distance = (reach**2 + thigh**2 - shank**2) / (2 * reach)
    knee: Floats = hip + along * distance + out * np.sqrt(thigh**2 - distance**2)
    return knee
