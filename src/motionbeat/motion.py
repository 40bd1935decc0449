"""Motion: joint positions in SMPL order and metres, and the skeleton."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import make_interp_spline

from motionbeat.errors import MotionBeatError

JOINTS = (
    "pelvis", "l_hip", "r_hip", "spine1", "l_knee", "r_knee", "spine2", "l_ankle",
    "r_ankle", "spine3", "l_foot", "r_foot", "neck", "l_collar", "r_collar", "head",
    "l_shoulder", "r_shoulder", "l_elbow", "r_elbow", "l_wrist", "r_wrist", "l_hand", "r_hand",
)  # fmt: skip
"""Names of the 24 SMPL joints in their order (Loper et al., SMPL, 2015)."""

PARENTS = (-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 20, 21)
"""Parent of each joint; -1 for the pelvis, the root."""

FEET = (JOINTS.index("l_ankle"), JOINTS.index("l_foot"),
        JOINTS.index("r_ankle"), JOINTS.index("r_foot"))  # fmt: skip
"""The four joints that touch the floor: left ankle and toe, right ankle and toe."""


SLOWEST, FASTEST = 1.0, 1000.0
"""Range of valid frame rates in frames per second."""


_LONGEST = 1_000_000 * len(JOINTS) * 3 * 4  # bytes of positions; hours of a dance


class MotionError(MotionBeatError):
    """Motion data that cannot be used; the message says why."""


@dataclass(eq=False)  # Lightning cannot gather predictions that are frozen
class Motion:
    """A dance as joint positions.

    Attributes:
        positions: (T, 24, 3) float32 in metres, SMPL joint order, y up.
        fps: frames per second.
        contacts: (T, 4) bool, floor contact of the joints in ``FEET``; None if unknown.

    Raises:
        MotionError: wrong shape, NaN or infinite positions, or a frame rate outside ``SLOWEST`` to
            ``FASTEST``.
    """

    positions: NDArray[np.float32]
    fps: float
    contacts: NDArray[np.bool_] | None = None

    def __post_init__(self) -> None:
        shape = self.positions.shape
        if len(shape) != 3 or shape[1:] != (len(JOINTS), 3):
            raise MotionError(f"motion has shape {shape}; expected (frames, {len(JOINTS)}, 3)")
        if not np.isfinite(self.positions).all():
            raise MotionError("motion holds NaN or infinite positions; repair or drop the clip")
        if not SLOWEST <= self.fps <= FASTEST:
            raise MotionError(
                f"motion has fps {self.fps:g}; expected {SLOWEST:g} to {FASTEST:g} frames a second"
            )
        if self.contacts is not None and self.contacts.shape != (shape[0], len(FEET)):
            raise MotionError(
                f"contacts have shape {self.contacts.shape}; expected ({shape[0]}, {len(FEET)})"
            )

    @property
    def duration(self) -> float:
        """Length in seconds."""
        return len(self.positions) / self.fps

    def at(self, fps: float) -> NDArray[np.float32]:
        """Positions (n, 24, 3) at another frame rate, interpolated with cubic splines.

        Raises:
            MotionError: the motion has fewer than 4 frames.
        """
        if fps == self.fps:
            return self.positions
        if len(self.positions) < 4:
            raise MotionError(
                f"motion has {len(self.positions)} frames; a spline needs 4, drop the clip"
            )
        times = np.arange(len(self.positions)) / self.fps
        wanted = np.arange(int(times[-1] * fps + 1e-6) + 1) / fps
        return np.asarray(make_interp_spline(times, self.positions, k=3)(wanted), np.float32)

    @classmethod
    def load(cls, path: str | Path, fps: float | None = None) -> "Motion":
        """Read a ``.npz`` file with the arrays of :meth:`arrays`; pickled arrays are rejected.

        Args:
            path: the file.
            fps: frames per second; overrides the file, and is needed if the file has no ``fps``.

        Raises:
            MotionError: the file cannot be read, or holds no usable motion.
        """
        try:
            with np.load(path, allow_pickle=False) as arrays, np.errstate(over="ignore"):
                if arrays.zip.getinfo("positions.npy").file_size > _LONGEST:
                    raise MotionError(f"{path}: too long for a dance; cut it")
                found = {name: arrays[name] for name in arrays if name in ("positions", "contacts")}
                if found["positions"].dtype.kind not in "fiu":
                    raise TypeError
                positions = found["positions"].astype(np.float32, copy=False)
                if fps is None and "fps" in arrays:
                    fps = float(arrays["fps"].reshape(()))
        except MotionError:
            raise
        except Exception as error:  # a stranger's file may fail in any way
            # NumPy's own words advise to unpickle it.
            reason = getattr(error, "strerror", None) or "no .npz with numbers positions and fps"
            raise MotionError(f"{path}: unreadable motion ({reason}); generate it again") from error
        if not len(positions):
            raise MotionError(f"{path}: motion has no frames; drop the file")
        if fps is None:
            raise MotionError(f"{path}: has no frame rate; set it with --fps")
        try:
            return cls(positions, fps, found.get("contacts"))
        except MotionError as error:
            raise MotionError(f"{path}: {error}") from error

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """The arrays of the motion by name, for ``np.savez``; :meth:`load` reads them."""
        contacts = {} if self.contacts is None else {"contacts": self.contacts}
        return {"positions": self.positions, "fps": np.array(self.fps), **contacts}
