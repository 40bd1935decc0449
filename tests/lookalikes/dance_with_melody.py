"""A tiny Dance with Melody: points on a body that dances, about a centre that sinks."""

from pathlib import Path

import numpy as np
from tests.lookalikes import write_audio

from motionbeat.data_modules.published.dance_with_melody import FPS, JOINT_MIX
from motionbeat.data_modules.rendered.synthesis.dancer import dance
from motionbeat.motion import JOINTS

HOME = "dance_with_melody"
STYLES = {"DANCE_C_1": "chacha", "DANCE_W_2": "waltz"}
COUNTS = {"dance_with_melody": len(STYLES)}
PATCHES = []

SECONDS = 6.0


def at(name: str) -> int:
    return JOINTS.index(name)


def danced() -> np.ndarray:
    """(T, 24, 3) metres: a dance that faces +z in the first frame."""
    beats = np.arange(0.4, SECONDS, 0.5)
    return dance(
        beats=beats,
        positions=np.arange(len(beats)) % 4 + 1,
        accents=np.zeros((0, 2)),
        style="cha_cha",
        metre="4/4",
        duration=SECONDS,
        dancer=0,
        seed=0,
        fps=FPS,
    ).positions


def points_of(joints: np.ndarray) -> np.ndarray:
    """(T, 23, 3): the points that the capture would have put on these joints."""
    points = np.zeros((len(joints), 23, 3))
    for name, mix in JOINT_MIX.items():
        if len(mix) == 1:
            points[:, next(iter(mix))] = joints[:, at(name)]
    points[:, [0, 1]] = joints[:, [at("head")]]
    points[:, 2] = (joints[:, at("spine1")] + joints[:, at("spine2")]) / 2
    ankles = joints[:, [at("r_ankle"), at("l_ankle")]]
    points[:, [10, 19]] = ankles - [0, 0.03, 0]
    return points


def write_arrays(folder: Path, **changed: np.ndarray) -> None:
    arrays = {}
    for id in STYLES:
        points = 100 * points_of(danced())
        centre = points.mean(axis=1)
        arrays[id] = (points - centre[:, None]).astype(np.float16)
        centre[:, 1] -= np.linspace(0, 6, len(centre))  # the floor sinks by a centimetre a second
        arrays[f"{id}_center"] = centre.astype(np.float16)
    np.savez(folder / "motion.npz", **(arrays | changed))


def write(folder: Path) -> None:
    rows = "".join(f"{id},{style},25,150,0,150,6.0\n" for id, style in STYLES.items())
    header = "id,dance,fps,frames,start_frame_in_song,end_frame_in_song,seconds\n"
    (folder / "meta.csv").write_text(header + rows)
    for seed, id in enumerate(STYLES):
        write_audio(folder / f"audio/{id}.ogg", seed, SECONDS)
    write_arrays(folder)
