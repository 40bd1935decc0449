"""Dances as rows of numbers that a network can learn and that can be made into dances again."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from motionbeat.kinematics import foot_contacts
from motionbeat.motion import FEET, JOINTS, PARENTS, Motion, MotionError
from motionbeat.tasks.metrics.per_track import Floats

Rows = NDArray[np.float32]

FPS = 30.0
"""Frames a second of the rows."""

# Columns: the pelvis' way to its left and forward since the row before, in metres, and the turn of
# the body to its left, in radians; the pelvis above the floor, in metres; places of the other
# joints, from the pelvis, left, up and forward, in metres; contact of the joints in FEET with the
# floor, in [0, 1].
GROUND, HEIGHT = slice(0, 3), 3
JOINT = slice(4, 4 + 3 * (len(JOINTS) - 1))
CONTACT = slice(JOINT.stop, JOINT.stop + len(FEET))
WIDTH = CONTACT.stop

_TURN = 0.2  # s; the facing direction follows the body this smoothly
_LEFT, _RIGHT = (
    [JOINTS.index(f"{side}_{joint}") for joint in ("hip", "shoulder")] for side in ("l", "r")
)


@dataclass(frozen=True, eq=False)
class Body:
    """A dancer: lengths (24,) of the bone that ends in each joint, in metres; 0 for the pelvis."""

    bones: Floats

    @classmethod
    def of(cls, motion: Motion) -> "Body":
        """Median lengths of the bones of a dancer.

        Raises:
            MotionError: the joints are all in one place.
        """
        ways = motion.positions - motion.positions[:, PARENTS]
        ways[:, 0] = 0
        lengths = np.median(np.linalg.norm(ways.astype(np.float64), axis=2), axis=0)
        if not lengths.sum() > 0:
            raise MotionError("motion has all joints in one place; drop the clip")
        return cls(lengths)

    @classmethod
    def average(cls, bodies: Sequence["Body"]) -> "Body":
        """The mean of several bodies."""
        return cls(np.mean([body.bones for body in bodies], axis=0))

    def rows(self, motion: Motion) -> Rows:
        """A dance as this body would dance it, (T, ``WIDTH``); row i is i / ``FPS`` seconds.

        Raises:
            MotionError: the motion has all joints in one place, fewer than two rows, or fewer than
                4 frames at another rate.
        """
        scale = self.bones.sum() / Body.of(motion).bones.sum()
        joints = motion.at(FPS).astype(np.float64) * scale
        if len(joints) < 2:
            raise MotionError(
                f"motion has {len(motion.positions)} frames, less than two rows; drop the clip"
            )
        frames = np.arange(len(joints)) * motion.fps / FPS
        contact_frames = foot_contacts(motion).T
        contacts = [
            np.interp(frames, np.arange(contact_frames.shape[1]), foot) for foot in contact_frames
        ]
        left = (joints[:, _LEFT] - joints[:, _RIGHT]).sum(axis=1)
        yaw = np.unwrap(np.arctan2(-left[:, 2], left[:, 0]))
        yaw = gaussian_filter1d(yaw, _TURN * FPS, mode="nearest")
        floor = np.percentile(joints[:, FEET, 1], 5)
        rows = np.zeros((len(joints), WIDTH))
        way = np.diff(joints[:, :1], axis=0)
        rows[1:, GROUND] = np.stack(
            [*_rotate_y(way, -yaw[:-1])[:, 0, [0, 2]].T, np.diff(yaw)], axis=1
        )
        rows[0, GROUND] = rows[1, GROUND]
        rows[:, HEIGHT] = joints[:, 0, 1] - floor
        places = _rotate_y(joints[:, 1:] - joints[:, :1], -yaw)
        rows[:, JOINT] = places.reshape(len(joints), -1)
        rows[:, CONTACT] = np.stack(contacts, axis=1)
        return rows.astype(np.float32)

    def motion(
        self, rows: Rows, yaw: float = 0.0, place: tuple[float, float] = (0.0, 0.0)
    ) -> Motion:
        """The dance that rows describe, with bones of this body.

        It is begun at a place (x, z), turned by a yaw from facing z.

        A generated foot may go below the floor, and a generated bone be of another length: bones
        get their length from the pelvis outwards.
        """
        numbers = rows.astype(np.float64)
        yaws = yaw + np.append(0, np.cumsum(numbers[1:, GROUND.stop - 1]))
        steps = np.zeros((len(rows), 1, 3))
        steps[1:, 0, [0, 2]] = numbers[1:, :2]
        ground = np.cumsum(_rotate_y(steps, np.append(0, yaws[:-1])), axis=0)
        ground[..., [0, 2]] += place
        places = np.zeros((len(rows), len(JOINTS), 3))
        places[:, 1:] = numbers[:, JOINT].reshape(len(rows), -1, 3)
        joints = np.zeros_like(places)
        for joint in range(1, len(JOINTS)):
            bone = places[:, joint] - places[:, PARENTS[joint]]
            length = np.maximum(np.linalg.norm(bone, axis=1, keepdims=True), 1e-6)
            joints[:, joint] = joints[:, PARENTS[joint]] + bone / length * self.bones[joint]
        joints = _rotate_y(joints, yaws) + ground
        joints[..., 1] += numbers[:, HEIGHT, None]
        return Motion(joints.astype(np.float32), FPS, numbers[:, CONTACT] > 0.5)


def _rotate_y(vectors: Floats, yaw: Floats) -> Floats:
    """Vectors (T, n, 3) turned about y by angles (T,), so that z goes to x for a quarter turn."""
    cos, sin = np.cos(yaw)[:, None], np.sin(yaw)[:, None]
    x, y, z = np.moveaxis(vectors, -1, 0)
    return np.stack([x * cos + z * sin, y, z * cos - x * sin], axis=-1)
