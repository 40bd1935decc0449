"""Feet that stand in a dance that goes on: what was planned stays, and feet go on from there."""

import numpy as np
from numpy.typing import NDArray

from motionbeat.motion import FEET, JOINTS, Motion
from motionbeat.tasks.footlock import Steps, follow_steps, plan_steps

AHEAD = 0.2
"""Seconds of the dance, after a frame, by which its feet are planted."""

_KEPT = 1.5  # s before, likewise


class LiveFeet:
    """Plants the feet of a dance that goes on.

    Args:
        fps: frames a second.
    """

    def __init__(self, fps: float) -> None:
        self._ahead, self._kept = round(AHEAD * fps), round(_KEPT * fps)
        self._motion = Motion(np.zeros((0, len(JOINTS), 3), np.float32), fps)
        self._strengths = np.zeros((0, len(FEET)))
        self._begun = Steps(np.zeros((0, len(FEET)), bool), *np.zeros((2, 0, 2, 3)))

    def plant(self, motion: Motion, strengths: NDArray[np.floating]) -> Motion:
        """Take the next frames, and plant those after which enough are known.

        Args:
            motion: positions and frame rate; its own contacts are ignored.
            strengths: (T, 4) of the contacts of the joints in ``FEET``, about 0 to 1.
        """
        self._motion = Motion(
            np.concatenate([self._motion.positions, motion.positions]), motion.fps
        )
        self._strengths = np.concatenate([self._strengths, strengths])
        known, done = len(self._begun.contacts), len(self._strengths) - self._ahead
        if done <= max(known, 1):
            nothing = np.zeros((0, len(FEET)), bool)
            return Motion(motion.positions[:0], motion.fps, nothing)
        steps = plan_steps(self._motion, self._strengths, self._begun)
        planted = follow_steps(self._motion, steps, AHEAD)
        assert planted.contacts is not None
        first = max(done - self._kept, 0)
        self._begun = steps.part(first, done)
        self._motion = Motion(self._motion.positions[first:], motion.fps)
        self._strengths = self._strengths[first:]
        return Motion(planted.positions[known:done], motion.fps, planted.contacts[known:done])
