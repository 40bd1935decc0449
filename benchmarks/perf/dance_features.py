"""Speed of the geometric features against a loop: ``python benchmarks/perf/dance_features.py``."""

import math
import time
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from statistics import median

import numpy as np
import torch
from jsonargparse import auto_cli
from rich.console import Console
from rich.table import Table

from motionbeat.benchmarks.record import Hardware
from motionbeat.motion import JOINTS
from motionbeat.tasks.metrics.dance_features import geometric_features

Point = Sequence[float]
Pose = dict[str, Point]

H, S, W = 0.2568381092, 0.3908483586, 0.1192470659
"""Lengths in metres that thresholds count in: humerus, shoulder width, hip width."""

FRAME = 1 / 120
"""Seconds a frame lasts for published code."""


def looped(positions: Sequence[Sequence[Point]]) -> list[float]:
    """The 32 features frame by frame and joint by joint in Python floats.

    Args:
        positions: (T, 24, 3).
    """
    totals = [0] * 32
    for before, after in pairwise(positions):
        pose, last = (dict(zip(JOINTS, frame, strict=True)) for frame in (after, before))
        for index, holds in enumerate(_frame(pose, last)):
            totals[index] += holds
    return [total / (len(positions) - 1) for total in totals]


def _frame(p: Pose, last: Pose) -> list[bool]:
    ground = min(point[1] for point in p.values())
    spine = _to(p["neck"], p["pelvis"])

    def speed(joint: str) -> float:
        return _size(_to(last[joint], p[joint])) / FRAME

    def leaves(joint: str, other: str, direction: Point) -> float:
        """Speed of a joint seen from another along a direction."""
        way = _to(_to(last[other], last[joint]), _to(p[other], p[joint]))
        return _along(direction, way) / FRAME

    def above(joint: str) -> float:
        return p[joint][1] - ground

    def off(a: str, b: str, c: str, joint: str) -> float:
        """Distance of a joint from the plane through three."""
        return _along(_cross(_to(p[a], p[c]), _to(p[a], p[b])), _to(p[a], p[joint]))

    def bend(one: str, joint: str, other: str) -> float:
        return _angle(_to(p[joint], p[one]), _to(p[joint], p[other]))

    def lies(start: str, end: str) -> float:
        return _angle(spine, _to(p[start], p[end]))

    def across(one: str, other: str, left: str, right: str) -> float:
        return _along(_to(p[one], p[other]), _to(p[left], p[right]))

    def front(b: str, c: str) -> Point:
        return _cross(_to(p["neck"], p[c]), _to(p["neck"], p[b]))

    chest = leaves("spine3", "spine1", _to(p["spine1"], p["spine3"]))
    return [
        leaves("r_wrist", "neck", front("r_hip", "l_hip")) > 1.8 * H,
        leaves("l_wrist", "neck", front("l_hip", "r_hip")) > 1.8 * H,
        across("spine3", "neck", "neck", "r_wrist") > 0.2 * H,
        across("spine3", "neck", "neck", "l_wrist") > 0.2 * H,
        chest > 1.8 * H,
        chest > 1.8 * H,
        0 < bend("r_shoulder", "r_elbow", "r_wrist") < 110,
        0 < bend("l_shoulder", "l_elbow", "l_wrist") < 110,
        across("l_shoulder", "r_shoulder", "l_wrist", "r_wrist") > 2.5 * S,
        leaves("r_wrist", "l_wrist", _to(p["l_wrist"], p["r_wrist"])) > 1.4 * H,
        leaves("l_wrist", "r_wrist", _to(p["r_wrist"], p["pelvis"])) > 1.4 * H,
        leaves("r_wrist", "l_wrist", _to(p["l_wrist"], p["pelvis"])) > 1.4 * H,
        speed("r_wrist") > 2.5 * H,
        speed("l_wrist") > 2.5 * H,
        off("pelvis", "l_hip", "l_foot", "r_ankle") > 0.38 * H,
        off("pelvis", "r_hip", "r_foot", "l_ankle") > 0.38 * H,
        above("r_ankle") > 1.2 * H,
        above("l_ankle") > 1.2 * H,
        across("l_hip", "r_hip", "l_ankle", "r_ankle") > 2.1 * W,
        0 < bend("r_hip", "r_knee", "r_ankle") < 110,
        0 < bend("l_hip", "l_knee", "l_ankle") < 110,
        speed("r_ankle") > 2.5 * H,
        speed("l_ankle") > 2.5 * H,
        25 < lies("r_shoulder", "r_elbow") < 180,
        25 < lies("l_shoulder", "l_elbow") < 180,
        50 < lies("r_hip", "r_knee") < 180,
        50 < lies("l_hip", "l_knee") < 180,
        off("r_ankle", "neck", "l_ankle", "pelvis") > 0.5 * H,
        70 < _angle(spine, (0, 1, 0)) < 110,
        above("r_wrist") < 1.2 * H,
        above("l_wrist") < 1.2 * H,
        speed("pelvis") > 2.3 * H,
    ]


def _to(start: Point, end: Point) -> Point:
    return end[0] - start[0], end[1] - start[1], end[2] - start[2]


def _dot(one: Point, other: Point) -> float:
    return one[0] * other[0] + one[1] * other[1] + one[2] * other[2]


def _cross(one: Point, other: Point) -> Point:
    (a, b, c), (x, y, z) = one, other
    return b * z - c * y, c * x - a * z, a * y - b * x


def _size(vector: Point) -> float:
    return math.sqrt(_dot(vector, vector))


def _along(direction: Point, vector: Point) -> float:
    return _dot(direction, vector) / _size(direction)


def _angle(one: Point, other: Point) -> float:
    return math.degrees(math.acos(_along(one, other) / _size(other)))


def seconds(work: Callable[[], object]) -> float:
    """Wall time of a call."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def main(frames: int = 1200, repeats: int = 5) -> None:
    """Measure and print, on one thread of the CPU.

    Args:
        frames: of the motion, 20 s of it.
        repeats: passes of each in turns; medians are compared.
    """
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    motion = rng.standard_normal((24, 3)) / 2 + 0.01 * rng.standard_normal((frames, 24, 3)).cumsum(
        axis=0
    )
    ways: dict[str, Callable[[], Sequence[float]]] = {
        "geometric_features": lambda: geometric_features(motion).tolist(),
        "frames and joints, Python floats": partial(looped, motion.tolist()),
    }
    results = [np.array(work()) for work in ways.values()]  # a first pass also pays for loading
    turns = [[seconds(work) for work in ways.values()] for _ in range(repeats)]
    times = [median(turn) for turn in zip(*turns, strict=True)]

    hardware = Hardware.here()
    grid = Table(
        title=f"32 geometric features of {frames} frames, one thread of {hardware.processor}",
        caption=f"medians of {repeats}; target: 20 times as fast as the loop; error: largest "
        "difference from Python floats",
    )
    for column in ("what", "milliseconds", "ratio", "error"):
        grid.add_column(column, justify="left" if column == "what" else "right")
    for name, took, result in zip(ways, times, results, strict=True):
        off = np.abs(result - results[-1]).max()
        grid.add_row(name, f"{1000 * took:.1f}", f"{took / times[0]:.1f}", f"{off:.0e}")
    Console().print(grid)


if __name__ == "__main__":
    auto_cli(main, as_positional=False)
