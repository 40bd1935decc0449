"""Feet that stand in a dance that goes on: a frame is mended by what was before it alone.

As in :mod:`motionbeat.tasks.footlock`, a foot on the floor is held in its place, the root follows
the feet, and legs are solved between hips and ankles. There a foot is led to its next place before
it lands; here it stands where it lands, and comes back to its path after it has left the floor.
"""

import numpy as np
from numpy.typing import NDArray

from motionbeat.motion import FEET, Motion
from motionbeat.tasks.footlock import BODY, LEGS, Bools, clearance, solve_leg, too_high
from motionbeat.tasks.metrics.per_track import Floats

_LANDS, _LEAVES = 0.6, 0.4  # strengths of a contact
_BRIEFEST = 0.1  # s; no foot makes a step in less
_JUMP, _LONGEST = 0.04, 0.5  # m of both toes above the floor in a jump, and s that it may last
_SETTLE = 0.03  # s within which a foot that has landed comes down to the floor
_RETURN = 0.12  # s within which one that has left comes back to its path
_FOLLOW = 0.15  # s; the root follows the feet this smoothly
_RISE = 0.1  # s within which the root comes up again
_TOES, _HEELS = list(FEET[1::2]), list(FEET[::2])


class LiveFeet:
    """Plants the feet of a dance that goes on; the floor is at y = 0.

    Args:
        fps: frames a second.
    """

    def __init__(self, fps: float) -> None:
        self.fps = fps
        self._down, self._flat = np.zeros((2, 2), bool)
        self._since = np.full(2, np.inf)  # s since a foot landed or left
        self._air = np.inf  # s since there was a contact
        self._toes: Floats | None = None  # (2, 3) where they are
        self._foot = np.zeros((2, 3))  # from toe to ankle
        self._added, self._turned = np.zeros((2, 2, 3))  # to the paths of both
        self._shift, self._lower = np.zeros(3), 0.0  # of the root

    def plant(self, motion: Motion, strengths: NDArray[np.floating]) -> Motion:
        """The next frames, with feet that stand where they touch the floor.

        Args:
            motion: positions and frame rate; its own contacts are ignored.
            strengths: (T, 4) of the contacts of the joints in ``FEET``, about 0 to 1.
        """
        old = motion.positions.astype(np.float64)
        new, contacts = old.copy(), np.zeros((len(old), len(FEET)), bool)
        for frame in range(len(old)):
            self._find_contacts(old[frame], strengths[frame])
            contacts[frame, ::2], contacts[frame, 1::2] = self._flat, self._down
            self._place_feet(new[frame])
            self._move_root(new[frame : frame + 1], old[frame : frame + 1])
        for leg in LEGS:
            solve_leg(new, old, leg)
        return Motion(new.astype(np.float32), motion.fps, contacts)

    def _find_contacts(self, joints: Floats, strengths: NDArray[np.floating]) -> None:
        """Let feet land and leave; one is on the floor always, but in a jump."""
        self._since += 1 / self.fps
        strongest = np.maximum(strengths[::2], strengths[1::2])
        wanted = _on_floor(self._down, strongest)
        down = np.where(self._since < _BRIEFEST, self._down, wanted)
        self._air = 0.0 if wanted.any() else self._air + 1 / self.fps
        jumps = (joints[_TOES, 1] > _JUMP).all() and self._air < _LONGEST
        if not down.any() and not jumps:
            down[strengths[1::2].argmax()] = True
        self._since[down != self._down] = 0
        self._down = down
        self._flat = _on_floor(self._flat, strengths[::2]) & down

    def _place_feet(self, joints: Floats) -> None:
        """Hold the feet (24, 3) that are down, and let the others come back to their paths."""
        toes = joints[_TOES]
        foot = joints[_HEELS] - toes
        if self._toes is None:
            self._toes, self._foot = toes, foot
        length = np.linalg.norm(foot, axis=1, keepdims=True)
        returned = np.exp(-1 / (_RETURN * self.fps))
        turned = foot + returned * self._turned
        turned = np.where(self._flat[:, None], self._foot, turned)
        turned *= length / np.maximum(np.linalg.norm(turned, axis=1, keepdims=True), 1e-9)
        path = toes + returned * self._added
        path[:, 1] = np.hypot(np.maximum(path[:, 1], 0), clearance(path - self._toes, self.fps))
        held = self._toes * [1, np.exp(-1 / (_SETTLE * self.fps)), 1]
        path = np.where(self._down[:, None], held, path)
        path[:, 1] -= np.minimum(path[:, 1] + np.minimum(turned[:, 1], 0), 0)
        self._added, self._turned = path - toes, turned - foot
        self._toes, self._foot = path, turned
        joints[_TOES], joints[_HEELS] = path, path + turned

    def _move_root(self, new: Floats, old: Floats) -> None:
        """Let the body (1, 24, 3) follow the feet, and lower it where a leg is too short."""
        follow = 1 - np.exp(-1 / (_FOLLOW * self.fps))
        self._shift += follow * (self._added.mean(axis=0) - self._shift)
        new[:, BODY] += self._shift
        needed = float(too_high(new, old, self._down[None])[0])
        self._lower = max(needed, self._lower * float(np.exp(-1 / (_RISE * self.fps))))
        new[:, BODY, 1] -= self._lower


def _on_floor(before: Bools, strengths: NDArray[np.floating]) -> Bools:
    """What is on the floor: a contact that is sure begins, and one that is likely goes on."""
    return np.where(before, strengths > _LEAVES, strengths > _LANDS)
