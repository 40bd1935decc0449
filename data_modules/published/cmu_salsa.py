"""CMU salsa: motion capture of couples who dance salsa, without the music (subjects 60 and 61).

There is no audio, so this is no data module: :func:`takes` reads the couples. Data from
mocap.cs.cmu.edu, free for research and commercial projects; the database was created with funding
from NSF EIA-0196217. The files are BVH at 120 frames a second with joints named as in Poser. The
unit of length is not stated and both dancers have one skeleton, so it is set so that they are
1.70 m tall; the hands of the couples then meet within centimetres. Arms of subject 60 jump for
single frames in half of the takes.
"""

import tempfile
from pathlib import Path
from typing import NamedTuple

from motionbeat.data_modules.base import DatasetError
from motionbeat.data_modules.motion_formats import read_bvh
from motionbeat.data_modules.published.download import unpack
from motionbeat.motion import Motion

UNIT = 1.258
"""Metres of the unit of length."""

FPS = 30.0
"""Frames a second of the motions that are given."""

HELD_OUT = frozenset(("02", "04", "06", "09", "11", "13", "15"))
"""Takes that nothing is trained on, every second one. The same two people dance in the others."""

_POSE = 8  # frames in which the body leaves the pose with arms out that each file begins with


class Take(NamedTuple):
    """A dance of a couple.

    Attributes:
        id: number of the take, such as ``01``.
        leader: subject 60, at ``FPS``.
        follower: subject 61, in the same room, frame by frame with the leader.
    """

    id: str
    leader: Motion
    follower: Motion


def takes(data: Path) -> list[Take]:
    """The couples of ``<data>/cmu_salsa/`` or ``<data>/cmu_salsa.zip``, by their numbers.

    Raises:
        DatasetError: there is neither, or it holds no couple, or one partner is missing or longer.
        MotionError: a file is unreadable.
    """
    folder = data / "cmu_salsa"
    if folder.is_dir():
        return _takes(folder)
    archive = folder.with_suffix(".zip")
    if not archive.is_file():
        raise DatasetError(
            f"no {folder} or {archive.name}; get subjects 60 and 61 of mocap.cs.cmu.edu as BVH"
        )
    with tempfile.TemporaryDirectory() as scratch:
        unpack(archive, Path(scratch), archive.name)
        return _takes(Path(scratch, "cmu_salsa"))


def _takes(folder: Path) -> list[Take]:
    ids = sorted({path.stem.partition("_")[2] for path in folder.glob("6[01]_*.bvh")})
    if not ids:
        raise DatasetError(f"{folder.name} has no files such as 60_01.bvh; get it again")
    couples = []
    for id in ids:
        leader, follower = (_motion(folder / f"{subject}_{id}.bvh") for subject in (60, 61))
        if len(leader.positions) != len(follower.positions):
            raise DatasetError(
                f"take {id} of {folder.name} has partners of two lengths; get it again"
            )
        couples.append(Take(id, leader, follower))
    return couples


def _motion(path: Path) -> Motion:
    captured = read_bvh(path, UNIT)
    danced = Motion(captured.positions[_POSE:], captured.fps)
    return Motion(danced.at(FPS), FPS)
