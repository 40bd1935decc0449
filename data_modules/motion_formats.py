"""Dances in the files that others write, as :class:`Motion`: NumPy, pickles, BVH.

SMPL rotations are put on a body of this project's own, ``SMPL_OFFSETS``, with segment lengths after
Winter (2009). It approximates the mean body of SMPL (Loper et al., 2015), whose file needs a
licence, within a few centimetres; the pelvis stands where the translation says, while SMPL adds its
constant height of the pelvis, about -0.2 m, to it.
"""

import io
import pickle
import pickletools
import re
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from motionbeat.data_modules.body_frame import STATURES, find_stature
from motionbeat.data_modules.rendered.synthesis.skeleton import OFFSETS
from motionbeat.files import write_atomically
from motionbeat.motion import JOINTS, PARENTS, Motion, MotionError

Floats = NDArray[np.float64]

AISTPP_FPS = 60.0
"""Frames a second of the motions of AIST++."""

GENERATED_FPS = 30.0
"""Frames a second of the motions of FineDance, LODGE and EDGE."""

MOTIONS = (".npz", ".npy", ".pkl", ".bvh")
"""Endings of the files that are read."""

CENTIMETRE = 0.01
"""Metres of the unit that most BVH files are written in."""

_STATURE = 1.70  # m; of a mean adult
_CONTACTS = 4


def _stretched() -> Floats:
    offsets = OFFSETS * _STATURE
    for joint, name in enumerate(JOINTS):
        if name[2:] in ("elbow", "wrist", "hand"):
            length = float(np.linalg.norm(offsets[joint]))
            offsets[joint] = (length if name.startswith("l_") else -length), 0, 0
    return offsets


SMPL_OFFSETS = _stretched()
"""(24, 3) metres from the parent to each joint of an unposed body: x left, y up, z forward."""


def read_motion(path: Path, unit: float = CENTIMETRE, fps: float | None = None) -> Motion:
    """Read a dance whose axes and unit are known: in metres, y up, but for the unit of BVH.

    Args:
        path: of a file that :func:`read_raw_motion` reads.
        unit: metres of one unit of length of a BVH file.
        fps: frames a second, whatever the file says; needed where it does not say.

    Raises:
        MotionError: the file is missing, unreadable or of another kind, or holds no usable motion.
    """
    if path.suffix.lower() != ".bvh" or not path.is_file():
        return read_raw_motion(path, fps)
    motion = read_bvh(path, unit)
    return motion if fps is None else replace(motion, fps=fps)


def read_raw_motion(path: Path, fps: float | None = None) -> Motion:
    """Read a dance by the ending of its file, in the axes and the unit that it is written in.

    - ``.npz``: ``positions`` (T, 24, 3) in the order of ``JOINTS``, ``fps``, perhaps ``contacts``.
    - ``.pkl``: a motion of AIST++ or of EDGE (:func:`read_pickle`).
    - ``.npy``: a motion of LODGE or FineDance, or positions (:func:`read_npy`).
    - ``.bvh``: motion capture (:func:`read_bvh`).

    Args:
        path: of the file.
        fps: frames a second, whatever the file says; needed where it does not say.

    Raises:
        MotionError: the file is missing, unreadable or of another kind, or holds no usable motion.
    """
    if not path.is_file():
        raise MotionError(f"{path}: no such file; give the path of a {', '.join(MOTIONS)} file")
    match path.suffix.lower():
        case ".npz":
            return Motion.load(path, fps)
        case ".pkl":
            return read_pickle(path, fps)
        case ".npy":
            return read_npy(path, fps)
        case ".bvh":
            places, captured = _read_bvh(path)
            return _motion(path, places, fps or captured)
        case _:
            raise MotionError(f"{path}: unknown kind of motion; convert it to {', '.join(MOTIONS)}")


def read_pickle(path: Path, fps: float | None = None) -> Motion:
    """Read a pickle of a motion of AIST++ (Li et al., 2021) or of EDGE (Tseng et al., 2023).

    AIST++: ``smpl_poses`` (T, 72) are axis-angles in radians, three numbers a joint in the order of
    ``JOINTS``; ``smpl_trans`` (T, 3) is the place of the body, y up, in units of which
    ``smpl_scaling`` (1,) make a metre: position = ``smpl_trans`` / ``smpl_scaling``; 60 frames a
    second. EDGE, and generators after it, write the joints beside them, ``full_pose`` (T, 24, 3),
    z up, at 30 frames a second.

    The pickle may hold arrays of numbers and plain values; it can run no code (:func:`unpickled`).

    Raises:
        MotionError: the file holds anything else, or its arrays do not fit.
    """
    arrays = unpickled(path)
    try:
        if "full_pose" in arrays:
            joints = arrays["full_pose"].astype(np.float64)
            return _motion(path, joints.reshape(joints.shape[-3:]), fps or GENERATED_FPS)
        poses, place = (arrays[name].astype(np.float64) for name in ("smpl_poses", "smpl_trans"))
        if "smpl_scaling" in arrays:
            scaling = float(arrays["smpl_scaling"].reshape(()))
            if not 0 < scaling < np.inf:
                raise ValueError(f"smpl_scaling is {scaling:g}")
            place, fps = place / scaling, fps or AISTPP_FPS
        poses = poses.reshape(len(place), len(JOINTS), 3)
        place = place.reshape(len(place), 3)
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise MotionError(
            f"{path}: no motion of AIST++ or EDGE ({error}); expected smpl_poses (T, 72), "
            "smpl_trans (T, 3) and smpl_scaling (1,) or full_pose (T, 24, 3)"
        ) from error
    rotations = Rotation.from_rotvec(poses.reshape(-1, 3)).as_matrix()
    return _motion(path, smpl_joints(place, rotations.reshape(*poses.shape, 3)), fps)


def read_npy(path: Path, fps: float | None = None) -> Motion:
    """Read an array of a motion: of LODGE and FineDance, or of positions.

    LODGE (Li et al., CVPR 2024) and FineDance (Li et al., ICCV 2023) write translations in metres
    and the first two rows of rotation matrices: (T, 3 + 6 joints) for 22 or 52 joints, perhaps with
    four contacts in front, which are passed over; 30 frames a second. Positions are (T, 24, 3) or
    (T, 72), in the order of ``JOINTS``.

    Raises:
        MotionError: the file is unreadable, or of another shape.
    """
    try:
        # mapped, as a header may claim more than there is
        stored = np.load(path, mmap_mode="r", allow_pickle=False)
        if stored.dtype.kind not in "fiu":
            raise TypeError
        with np.errstate(invalid="ignore", over="ignore"):  # refused below
            numbers = stored.astype(np.float64)
        if not (numbers.size and np.isfinite(numbers).all()):
            raise ValueError
    except Exception as error:  # a damaged file may fail in any way
        # NumPy's own words advise to unpickle it.
        raise MotionError(f"{path}: unreadable, empty or NaN; restore the file") from error
    if numbers.shape[1:] in ((len(JOINTS), 3), (3 * len(JOINTS),)):
        return _motion(path, numbers.reshape(-1, len(JOINTS), 3), fps)
    if numbers.ndim == 2:
        for joints in (22, 52):
            if numbers.shape[1] in (width := 3 + 6 * joints, width + _CONTACTS):
                place, rows = np.split(numbers[:, -width:], [3], axis=1)
                rotations = rotations_of_6d(rows.reshape(-1, joints, 6))
                return _motion(path, smpl_joints(place, rotations), fps or GENERATED_FPS)
    raise MotionError(
        f"{path}: motion has shape {numbers.shape}; expected (frames, 135, 139, 315 or 319) of "
        "LODGE and FineDance, or positions (frames, 24, 3)"
    )


def smpl_joints(place: Floats, rotations: Floats) -> Floats:
    """Joints (T, 24, 3) of a posed body in metres.

    Args:
        place: (T, 3) pelvis in metres.
        rotations: (T, 22 or more, 3, 3) of each joint against its parent, in the order of
            ``JOINTS``; those of the hands move nothing, and may be left out.
    """
    moving = np.broadcast_to(np.eye(3), (len(place), len(JOINTS), 3, 3)).copy()
    moving[:, :22] = rotations[:, :22]
    offsets = np.broadcast_to(SMPL_OFFSETS, (len(place), len(JOINTS), 3)).copy()
    offsets[:, 0] = place
    return forward_kinematics(PARENTS, offsets, moving)


def forward_kinematics(parents: Sequence[int], offsets: Floats, rotations: Floats) -> Floats:
    """Places (T, J, 3) of joints: x_j = x_p + W_p o_j and W_j = W_p R_j, where p is j's parent.

    Args:
        parents: of J joints, each before its children; -1 for one that hangs on nothing.
        offsets: (T, J, 3) from the parent, in the parent's frame.
        rotations: (T, J, 3, 3) of each joint's frame against its parent's.
    """
    places, frames = offsets.copy(), rotations.copy()
    for joint, parent in enumerate(parents):
        if parent >= 0:
            turned = frames[:, parent] @ offsets[:, joint, :, None]
            places[:, joint] = places[:, parent] + turned[..., 0]
            frames[:, joint] = frames[:, parent] @ rotations[:, joint]
    return places


def rotations_of_6d(numbers: Floats) -> Floats:
    """Rotation matrices (..., 3, 3) from their first two rows (..., 6), made orthonormal here.

    After Zhou et al. (CVPR 2019), with rows as PyTorch3D has them.
    """
    first, second = numbers[..., :3], numbers[..., 3:]
    first = first / np.linalg.norm(first, axis=-1, keepdims=True)
    second = second - first * np.sum(first * second, axis=-1, keepdims=True)
    second = second / np.linalg.norm(second, axis=-1, keepdims=True)
    return np.stack([first, second, np.cross(first, second)], axis=-2)


def _motion(path: Path, positions: Floats, fps: float | None) -> Motion:
    if fps is None:
        raise MotionError(f"{path}: has no frame rate; set it with --fps")
    if not len(positions):
        raise MotionError(f"{path}: motion has no frames; drop the file")
    try:
        with np.errstate(over="ignore"):  # what is too large is infinite, and refused as such
            return Motion(positions.astype(np.float32), fps)
    except MotionError as error:
        raise MotionError(f"{path}: {error}") from error


# --- Pickles that can do no harm ----------------------------------------------------------------

_REAL = re.compile("b1|[iu][1248]|f[248]")
_LONGEST = 80  # characters of a name worth telling


class _ForbiddenError(Exception):
    """A pickle with something other than an array of numbers."""


class _Kind:
    """Stands in for ``numpy.dtype``: of real numbers, and with no state but the byte order."""

    def __init__(self, code: str, *_: object) -> None:
        if not _REAL.fullmatch(code):
            raise _ForbiddenError("holds an array of something other than real numbers")
        self.dtype = np.dtype(code)

    def __setstate__(self, state: Sequence[Any]) -> None:
        self.dtype = self.dtype.newbyteorder(state[1])

    def numbers(self, content: Any, shape: Any, order: Any = "C") -> NDArray[Any]:
        """As many numbers as the bytes hold, in a shape that has room for just as many."""
        if isinstance(content, str):  # bytes of Python 2
            content = content.encode("latin-1")
        # A copy, as nothing else is sure to stay what it is while the rest of the pickle is read.
        return np.frombuffer(bytes(memoryview(content)), self.dtype).reshape(shape, order=order)


class _Array:
    """Stands in for ``numpy.ndarray``, as NumPy's own would believe any state it is given."""

    def __init__(self, values: NDArray[Any] | None = None) -> None:
        self.values = np.zeros(0) if values is None else values

    def __setstate__(self, state: Sequence[Any]) -> None:
        _, shape, kind, fortran, content = state
        self.values = kind.numbers(content, shape, "F" if fortran else "C")


def _reconstruct(*_: object) -> _Array:
    """An array whose state comes later: protocol 0 to 4."""
    return _Array()


def _frombuffer(
    content: Any, kind: _Kind, shape: Any, order: Any, axes: Sequence[int] | None = None
) -> _Array:
    """An array at once: protocol 5."""
    if axes is None:
        return _Array(kind.numbers(content, shape, order))
    return _Array(kind.numbers(content, shape).transpose(axes))


def _scalar(kind: _Kind, content: Any) -> _Array:
    return _Array(kind.numbers(content, ()))


def _latin1(text: str, encoding: str) -> bytes:
    """The bytes of an array in a pickle of protocol 2; other codecs are not needed."""
    if encoding not in ("latin1", "latin-1"):
        raise pickle.UnpicklingError("bytes in another encoding")
    return text.encode("latin-1")


_STAND_INS: dict[str, Callable[..., Any]] = {
    "numpy.ndarray": _reconstruct,
    "numpy.dtype": _Kind,
    "numpy.core.multiarray._reconstruct": _reconstruct,
    "numpy.core.multiarray.scalar": _scalar,
    "numpy.core.numeric._frombuffer": _frombuffer,
    "_codecs.encode": _latin1,
}
"""What NumPy's pickles of arrays ask for; NumPy 2 has its functions in ``numpy._core``."""


class _ArraysOnly(pickle.Unpickler):
    """Plain values and arrays of numbers; every other global is refused by name."""

    def find_class(self, module: str, name: str, /) -> Any:
        """A stand-in for one of the few functions that arrays are rebuilt by."""
        asked = f"{module}.{name}"
        stand_in = _STAND_INS.get(asked.replace("numpy._core.", "numpy.core.", 1))
        if stand_in is None:
            named = asked if asked.isprintable() and len(asked) <= _LONGEST else "other code"
            raise _ForbiddenError(f"asks for {named}")
        # A pickle may set attributes of what it gets here, so it gets one of its own.
        return lambda *arguments: stand_in(*arguments)


def unpickled(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of real numbers, and single numbers, that a pickled dict (protocol 0 to 5) names.

    NumPy rebuilds nothing here: its functions are stood in for, and an array is made of no more
    and no fewer bytes than the file holds for it. Whatever else the dict names is left out.

    Raises:
        MotionError: the file is unreadable, holds arrays of anything but real numbers, or asks for
            a class or function that they do not need, which is neither called nor imported.
    """
    try:
        written = path.read_bytes()
        for operation, argument, _ in pickletools.genops(written):
            if operation.name.endswith("PUT") and int(argument or 0) > len(written):
                raise _ForbiddenError("numbers what it holds beyond its own length")
        content = _ArraysOnly(io.BytesIO(written), encoding="latin1").load()
        named = content.items() if isinstance(content, dict) else ()
        return {
            name: value.values if isinstance(value, _Array) else np.array(value, np.float64)
            for name, value in named
            if isinstance(name, str) and isinstance(value, _Array | float | int)
        }
    except _ForbiddenError as error:
        raise MotionError(
            f"{path}: refused, its pickle {error}; only arrays of numbers are read, so get the "
            "file from its source again"
        ) from error
    except Exception as error:  # a broken pickle may fail in any way, and say anything
        raise MotionError(
            f"{path}: unreadable pickle ({type(error).__name__}); restore the file"
        ) from error


# --- BVH ----------------------------------------------------------------------------------------

_SIDES = {"left": "l_", "right": "r_"}
_LIMBS = {
    "upleg": "hip", "leg": "knee", "foot": "ankle", "toebase": "foot", "toe": "foot",
    "shoulder": "collar", "arm": "shoulder", "forearm": "elbow", "hand": "wrist",
    "handmiddle1": "hand",
}  # fmt: skip
_POSER = {
    "thigh": "hip", "shin": "knee", "foot": "ankle", "foot end": "foot", "collar": "collar",
    "shldr": "shoulder", "forearm": "elbow", "hand": "wrist", "mid1": "hand",
}  # fmt: skip
_SPINE = ("spine1", "spine2", "spine3")
_HANDS = ("l_hand", "r_hand")

BVH_NAMES: dict[str, str] = {
    **{name: name for name in JOINTS if name not in _SPINE},
    **{
        f"{side}_{name[2:]}": name
        for side, prefix in _SIDES.items()
        for name in JOINTS
        if name.startswith(prefix)
    },
    "hips": "pelvis",
    "hip": "pelvis",
    **{
        side + limb: prefix + joint
        for side, prefix in _SIDES.items()
        for limb, joint in _LIMBS.items()
    },
    **{
        prefix[0] + limb: prefix + joint
        for prefix in _SIDES.values()
        for limb, joint in _POSER.items()
    },
}
"""SMPL joints by the names of joints in lower case: SMPL's own, those of SMPL-X, those of
MotionBuilder, which Mixamo (with a prefix), LAFAN1, CMU and Motorica use, and those of Poser, whose
feet have no toes but end at them. The spine goes by place, not by name."""

_CHANNELS = {axis + kind for axis in "xyz" for kind in ("position", "rotation")}
_END = " end"
_WHOLE_RATE = 1e-4  # 0.008333 s mean 120 frames a second


@dataclass
class _Joint:
    """A joint of a BVH hierarchy."""

    name: str
    parent: int
    offset: list[float] = field(default_factory=lambda: [0.0, 0.0, 0.0])
    channels: list[str] = field(default_factory=list)


def read_bvh(path: Path, unit: float = CENTIMETRE) -> Motion:
    """Read motion capture in Biovision's format, y up, with the frame rate of its Frame Time.

    A joint's rotation is the product of its channels in their order, each about an axis of the
    frame that those before have turned: ``Zrotation Xrotation Yrotation`` is R = Rz Rx Ry, in
    degrees. Position channels take the place of the OFFSET, as in Blender and LAFAN1.

    Joints get the places of SMPL by ``BVH_NAMES``. The three joints of the spine are spread
    evenly over however many joints there are between the hips and the neck, and a hand without a
    middle finger goes on as its forearm points.

    Args:
        path: of the file.
        unit: metres of one unit of length; the format does not say.

    Raises:
        MotionError: the file is unreadable, lacks its Frame Time or frames, holds NaN, has no joint
            for one of SMPL's, or a body that is no person's size in this unit.
    """
    positions, fps = _read_bvh(path)
    stature = unit * find_stature(positions)
    positions *= unit
    if not STATURES[0] <= stature <= STATURES[1]:
        raise MotionError(
            f"{path}: a body {stature:.3g} m tall if its unit of length is {unit:g} m; "
            "say its unit (--unit of dance-metrics), or convert it to centimetres"
        )
    return _motion(path, positions, fps)


def _read_bvh(path: Path) -> tuple[Floats, float]:
    """Positions (T, 24, 3) of a BVH file in its own unit, and frames a second."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
        head, *motion = re.split(r"(?mi)^[ \t]*MOTION[ \t]*$", text, maxsplit=1)
        joints = _hierarchy(head)
        frames, seconds = _frames("".join(motion))
        width = sum(len(joint.channels) for joint in joints)
        if frames.shape[1] != width:
            raise MotionError(f"frames of {frames.shape[1]} numbers for {width} channels")
        if not np.isfinite(frames).all():
            raise MotionError("a frame holds NaN or infinite numbers; repair or drop the clip")
        positions = _smpl(joints, _places(joints, frames))
    except MotionError as error:
        raise MotionError(f"{path}: {error}") from error
    except (OSError, ValueError, IndexError) as error:
        reason = str(error).partition("\n")[0]
        raise MotionError(f"{path}: unreadable BVH ({reason}); export it again") from error
    rate, whole = 1 / seconds, round(1 / seconds)
    return positions, whole if abs(rate - whole) < _WHOLE_RATE * rate else rate


def _hierarchy(text: str) -> list[_Joint]:
    """The joints, each before its children; the ends of limbs are called after their joints."""
    joints: list[_Joint] = []
    inside: list[int] = []  # the joints whose braces are open
    opening = -1
    for line in text.replace("{", "\n{\n").replace("}", "\n}\n").splitlines():
        words = line.split()
        match [words[0].upper() if words else "", *words[1:]]:
            case ["ROOT" | "JOINT", *name]:
                opening = len(joints)
                joints.append(_Joint(" ".join(name), inside[-1] if inside else -1))
            case ["END", *_] if inside:
                opening = len(joints)
                joints.append(_Joint(joints[inside[-1]].name + _END, inside[-1]))
            case ["{"]:
                inside.append(opening)
            case ["}"]:
                inside.pop()
            case ["OFFSET", x, y, z]:
                joints[inside[-1]].offset = [float(x), float(y), float(z)]
            case ["CHANNELS", count, *channels]:
                named = [channel.lower() for channel in channels]
                if len(named) != int(count) or not _CHANNELS.issuperset(named):
                    raise MotionError(f"unreadable channels '{line.strip()}'; export it again")
                joints[inside[-1]].channels = named
            case ["" | "HIERARCHY", *_]:
                pass
            case _:
                raise MotionError(f"unreadable line '{line.strip()[:40]}'; export it again")
    if not joints or inside:
        raise MotionError("no whole HIERARCHY of joints; export it again")
    return joints


def _frames(text: str) -> tuple[Floats, float]:
    """(T, channels) numbers, and the seconds from one frame to the next."""
    said = re.match(r"\s*Frames:\s*(\d+)\s+Frame\s+Time:\s*(\S+)", text, re.IGNORECASE)
    if said is None or not (seconds := float(said[2])) > 0:
        raise MotionError("no Frame Time above 0; write the seconds of a frame below Frames")
    lines = [line for line in text[said.end() :].splitlines() if line.strip()]
    if len(lines) != int(said[1]) or not lines:
        raise MotionError(f"{len(lines)} frames where {said[1]} are said; restore it")
    return np.loadtxt(lines, dtype=np.float64, ndmin=2, comments=None), seconds


def _places(joints: list[_Joint], frames: Floats) -> Floats:
    """(T, J, 3) places of the joints in the file's unit."""
    offsets = np.tile(np.array([joint.offset for joint in joints]), (len(frames), 1, 1))
    rotations = np.broadcast_to(np.eye(3), (*offsets.shape, 3)).copy()
    columns = iter(frames.T)
    for index, joint in enumerate(joints):
        order, angles = "", []
        for channel, column in zip(joint.channels, columns, strict=False):
            if channel.endswith("position"):
                offsets[:, index, "xyz".index(channel[0])] = column
            else:
                order += channel[0].upper()
                angles.append(column)
        if angles:
            turns = Rotation.from_euler(order, np.stack(angles, axis=1), degrees=True)
            rotations[:, index] = turns.as_matrix()
    return forward_kinematics([joint.parent for joint in joints], offsets, rotations)


def _smpl(joints: list[_Joint], places: Floats) -> Floats:
    """(T, 24, 3) places of SMPL's joints among those of a file."""
    known: dict[str, int] = {}
    unknown = []
    for index, joint in enumerate(joints):
        name = re.sub(r"^mixamorig\d*_?", "", joint.name.lower()).rpartition(":")[2]
        if name in BVH_NAMES:
            known.setdefault(BVH_NAMES[name], index)
        elif name not in _SPINE and not name.endswith(_END):
            unknown.append(joint.name)
    lacking = [name for name in JOINTS if name not in {*known, *_SPINE, *_HANDS}]
    spine = [] if lacking else _between(joints, known["pelvis"], known["neck"])
    if lacking or not spine:
        raise MotionError(
            f"no joint for {', '.join(lacking) or 'the spine'}; rename the others "
            f"({', '.join(unknown[:8])}, ...) as SMPL or Mixamo has them"
        )
    found = {name: places[:, index] for name, index in known.items()}
    chain = places[:, spine if len(spine) > 1 else [*spine, known["neck"]]]
    last = len(spine) - 1 if len(spine) > 1 else 2 / 3
    for name, at in zip(_SPINE, np.linspace(0, last, len(_SPINE)), strict=True):
        below = min(int(at), chain.shape[1] - 2)
        found[name] = chain[:, below] + (at - below) * (chain[:, below + 1] - chain[:, below])
    for name in _HANDS:
        wrist, elbow = (found[name[:2] + joint] for joint in ("wrist", "elbow"))
        found.setdefault(name, wrist + _HAND_OF_FOREARM * (wrist - elbow))
    return np.stack([found[name] for name in JOINTS], axis=1)


_HAND_OF_FOREARM = float(
    np.linalg.norm(SMPL_OFFSETS[JOINTS.index("l_hand")])
    / np.linalg.norm(SMPL_OFFSETS[JOINTS.index("l_wrist")])
)


def _between(joints: list[_Joint], hips: int, neck: int) -> list[int]:
    """The joints that the neck hangs on up to the hips, without those that sit on their parent."""
    path = []
    index = joints[neck].parent
    while index not in (hips, -1):
        if any(joints[index].offset):
            path.append(index)
        index = joints[index].parent
    return path[::-1]


def write_bvh(motion: Motion, path: Path) -> None:
    """Write a dance as BVH: centimetres, y up, names of SMPL, rotations Z X Y, arms out at rest.

    Positions say where bones point and not how they turn about themselves, so every bone takes the
    shortest turn. Where several bones meet, the joint turns as fits them best, and what is left is
    put into a joint of no length before each of them, ``<name>_bone``. Bones get their median
    length; :func:`read_bvh` gives the positions back as far as bones keep theirs.

    Raises:
        MotionError: the motion has no frames.
        WriteError: the file cannot be written.
    """
    if not len(motion.positions):
        raise MotionError(f"{path}: motion has no frames; nothing to write")
    positions = motion.positions.astype(np.float64) / CENTIMETRE
    bones = positions - positions[:, PARENTS]
    lengths = np.median(np.linalg.norm(bones, axis=2), axis=0)
    sizes = np.maximum(np.linalg.norm(SMPL_OFFSETS, axis=1), 1e-9)
    rest = SMPL_OFFSETS * (lengths / sizes)[:, None]
    lines: list[str] = ["HIERARCHY"]
    columns: list[Floats] = [positions[:, 0]]

    def put(word: str, offset: Floats, turn: Floats, depth: int, place: str = "") -> None:
        indent = "\t" * depth
        lines.extend([f"{indent}{word}", f"{indent}{{", f"{indent}\tOFFSET {_row(offset)}"])
        count = 6 if place else 3
        lines.append(f"{indent}\tCHANNELS {count} {place}Zrotation Xrotation Yrotation")
        with warnings.catch_warnings():  # in gimbal lock one of many right answers is enough
            warnings.simplefilter("ignore", UserWarning)
            columns.append(Rotation.from_matrix(turn).as_euler("ZXY", degrees=True))

    def grow(joint: int, frame: Floats, depth: int, offset: Floats) -> None:
        """Write a joint and what hangs on it; its parent has the frame (T, 3, 3)."""
        children = [child for child, parent in enumerate(PARENTS) if parent == joint]
        seen = bones[:, children] @ frame
        turn = _best_turn(rest[children], seen)
        name = JOINTS[joint]
        if joint:
            put(f"JOINT {name}", offset, turn, depth)
        else:
            put(f"ROOT {name}", offset, turn, depth, "Xposition Yposition Zposition ")
        frame = frame @ turn
        for child in children:
            if len(children) == 1:
                grow(child, frame, depth + 1, rest[child])
                continue
            own = _least_turn(rest[child], (bones[:, child, None] @ frame)[:, 0])
            put(f"JOINT {JOINTS[child]}_bone", np.zeros(3), own, depth + 1)
            grow(child, frame @ own, depth + 2, rest[child])
            lines.append("\t" * (depth + 1) + "}")
        if not children:
            lines.append("\t" * (depth + 1) + "End Site")
            lines.append("\t" * (depth + 1) + f"{{ OFFSET {_row(np.zeros(3))} }}")
        lines.append("\t" * depth + "}")

    grow(0, np.broadcast_to(np.eye(3), (len(positions), 3, 3)), 0, np.zeros(3))
    numbers = io.StringIO()
    np.savetxt(numbers, np.concatenate(columns, axis=1), fmt="%.6f")
    lines += ["MOTION", f"Frames: {len(positions)}", f"Frame Time: {1 / motion.fps}"]
    write_atomically(path, ("\n".join(lines) + "\n" + numbers.getvalue()).encode())


def _row(vector: Floats) -> str:
    return " ".join(f"{number:.6f}" for number in vector)


def _best_turn(rest: Floats, seen: Floats) -> Floats:
    """Rotations (T, 3, 3) of the bones at rest (n, 3) that come nearest to those seen (T, n, 3).

    The least squares of Kabsch (1976) for two bones or more, else the shortest turn.
    """
    if len(rest) < 2:
        return _least_turn(rest[0] if len(rest) else np.zeros(3), seen.sum(axis=1))
    left, _, right = np.linalg.svd(np.swapaxes(seen, 1, 2) @ rest)
    proper = np.linalg.det(left @ right)
    left[..., -1] *= proper[:, None]
    turn: Floats = left @ right
    return turn


def _least_turn(rest: Floats, seen: Floats) -> Floats:
    """The shortest rotations (T, 3, 3) of a direction (3,) to others (T, 3); none for length 0."""
    start = rest / max(float(np.linalg.norm(rest)), 1e-9)
    end = seen / np.maximum(np.linalg.norm(seen, axis=1, keepdims=True), 1e-9)
    half = np.concatenate([np.cross(start, end), 1 + end @ start[:, None]], axis=1)
    back = np.linalg.norm(half, axis=1) < 1e-9  # half a turn, about any axis across
    half[back, :3] = np.cross(start, np.eye(3)[np.abs(start).argmin()])
    return Rotation.from_quat(half).as_matrix()
