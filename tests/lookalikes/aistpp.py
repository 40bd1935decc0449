"""A tiny AIST++: three lists, one of them with a stray blank, pickles, songs longer than dances.

The songs are the original ones; one of the test set lacks, and its one dance has audio of its own.
"""

import pickle
from pathlib import Path

import numpy as np
from tests.lookalikes import write_audio

HOME = "aistpp"
COUNTS = {"aistpp": 9}
PATCHES = []

TRAIN = (
    "gWA_sFM_cAll_d25_mWA4_ch05",
    "gWA_sBM_cAll_d26_mWA2_ch03",
    "gHO_sBM_cAll_d20_mHO2_ch04",
    "gHO_sFM_cAll_d20_mHO3_ch13",  # ignored
    "gHO_sBM_cAll_d21_mHO1_ch04",
    "gHO_sBM_cAll_d19_mHO1_ch04",
)
VAL = ("gLH_sBM_cAll_d17_mLH4_ch01", "gKR_sBM_cAll_d30_mKR2_ch01")
TEST = ("gLH_sBM_cAll_d18_mLH4_ch02", "gKR_sBM_cAll_d30_mKR2_ch02", "gKR_sBM_cAll_d28_mKR2_ch02")
IGNORED = ("gHO_sFM_cAll_d20_mHO3_ch13", "gLH_sBM_cAll_d17_mLH4_ch01")
OWN = "gLH_sBM_cAll_d18_mLH4_ch02"
SCALING = 93.77
FRAMES = 90


def poses(seed: int, frames: int = FRAMES) -> dict[str, object]:
    """A dance as its pickle holds it: a body that sways 4 cm a second to its left."""
    rng = np.random.default_rng(seed)
    time = np.arange(frames) / 60
    axes = rng.normal(0, 0.3, (72,))
    trans = np.stack([0.04 * time, 1 + 0 * time, 0 * time], axis=1) * SCALING
    return {
        "smpl_loss": 1.5,
        "smpl_poses": np.sin(2 * np.pi * time)[:, None] * axes,
        "smpl_scaling": np.array([SCALING]),
        "smpl_trans": trans,
    }


def write(folder: Path) -> None:
    for name, ids in (("train", TRAIN), ("val", VAL), ("test", TEST)):
        path = folder / f"splits/crossmodal_{name}.txt"
        path.parent.mkdir(exist_ok=True)
        path.write_text("\n".join(ids))  # the last line has no end
    (folder / "ignore_list.txt").write_text("".join(f"{id} \n" for id in IGNORED))
    (folder / "motions").mkdir()
    for seed, id in enumerate((*TRAIN, *VAL, *TEST)):
        (folder / f"motions/{id}.pkl").write_bytes(pickle.dumps(poses(seed), protocol=4))
        song = id.split("_")[4]
        if song != "mLH4":
            write_audio(folder / f"music/{song}.wav", sum(map(ord, song)), 2.5, 48000, channels=2)
    write_audio(folder / f"wavs/{OWN}.wav", 3, FRAMES / 60, 48000, channels=2)
