"""Copies of the datasets with captured dances."""

import json
import pickle

import numpy as np
from tests.lookalikes import copy, write_audio, write_text

from motionbeat.data_modules.published.dance_with_melody import FPS, JOINT_MIX
from motionbeat.data_modules.rendered.synthesis.dancer import dance
from motionbeat.motion import JOINTS

# --- AIST++ ---

AIST_LISTS = {
    "train": (
        "gWA_sFM_cAll_d25_mWA4_ch05",
        "gWA_sBM_cAll_d26_mWA2_ch03",
        "gHO_sBM_cAll_d20_mHO2_ch04",
        "gHO_sFM_cAll_d20_mHO3_ch13",  # ignored
        "gHO_sBM_cAll_d21_mHO1_ch04",
        "gHO_sBM_cAll_d19_mHO1_ch04",
    ),
    "val": ("gLH_sBM_cAll_d17_mLH4_ch01", "gKR_sBM_cAll_d30_mKR2_ch01"),
    "test": (
        "gLH_sBM_cAll_d18_mLH4_ch02",
        "gKR_sBM_cAll_d30_mKR2_ch02",
        "gKR_sBM_cAll_d28_mKR2_ch02",
    ),
}
AIST_IGNORED = ("gHO_sFM_cAll_d20_mHO3_ch13", "gLH_sBM_cAll_d17_mLH4_ch01")
AIST_OWN = "gLH_sBM_cAll_d18_mLH4_ch02"
AIST_FRAMES = 90


def aist_poses(seed):
    """A dance as its pickle holds it: a body that sways 4 cm a second to its left."""
    time, scaling = np.arange(AIST_FRAMES) / 60, 93.77
    axes = np.random.default_rng(seed).normal(0, 0.3, (72,))
    return {
        "smpl_loss": 1.5,
        "smpl_poses": np.sin(2 * np.pi * time)[:, None] * axes,
        "smpl_scaling": np.array([scaling]),
        "smpl_trans": np.stack([0.04 * time, 1 + 0 * time, 0 * time], axis=1) * scaling,
    }


@copy("aistpp", aistpp=9)
def aistpp(folder):
    """Three lists, one with a stray blank, pickles, songs longer than dances.

    The song of one test dance lacks, and the dance has audio of its own.
    """
    for name, ids in AIST_LISTS.items():
        write_text(folder / f"splits/crossmodal_{name}.txt", ids, end="")
    write_text(folder / "ignore_list.txt", [f"{id} " for id in AIST_IGNORED])
    (folder / "motions").mkdir()
    for seed, id in enumerate(id for ids in AIST_LISTS.values() for id in ids):
        (folder / f"motions/{id}.pkl").write_bytes(pickle.dumps(aist_poses(seed), protocol=4))
        song = id.split("_")[4]
        if song != "mLH4":
            write_audio(folder / f"music/{song}.wav", sum(map(ord, song)), 2.5, 48000, channels=2)
    write_audio(folder / f"wavs/{AIST_OWN}.wav", 3, AIST_FRAMES / 60, 48000, channels=2)


# --- Dance with Melody ---

MELODY = {"DANCE_C_1": "chacha", "DANCE_W_2": "waltz"}
MELODY_SECONDS = 6.0


def melody_dance():
    """(T, 24, 3) metres: a dance that faces +z in the first frame."""
    beats = np.arange(0.4, MELODY_SECONDS, 0.5)
    return dance(
        beats=beats,
        positions=np.arange(len(beats)) % 4 + 1,
        accents=np.zeros((0, 2)),
        style="cha_cha",
        metre="4/4",
        duration=MELODY_SECONDS,
        dancer=0,
        seed=0,
        fps=FPS,
    ).positions


def melody_points(joints):
    """(T, 23, 3): the points that the capture would have put on these joints."""

    def of(*names):
        return joints[:, [JOINTS.index(name) for name in names]]

    points = np.zeros((len(joints), 23, 3))
    for name, mix in JOINT_MIX.items():
        if len(mix) == 1:
            points[:, [*mix]] = of(name)
    points[:, [0, 1]] = of("head")
    points[:, 2] = of("spine1", "spine2").mean(axis=1)
    points[:, [10, 19]] = of("r_ankle", "l_ankle") - [0, 0.03, 0]
    return points


def write_melody_arrays(folder, **changed):
    arrays = {}
    for id in MELODY:
        points = 100 * melody_points(melody_dance())
        centre = points.mean(axis=1)
        arrays[id] = (points - centre[:, None]).astype(np.float16)
        centre[:, 1] -= np.linspace(0, 6, len(centre))  # the floor sinks by a centimetre a second
        arrays[f"{id}_center"] = centre.astype(np.float16)
    np.savez(folder / "motion.npz", **(arrays | changed))


@copy("dance_with_melody", dance_with_melody=len(MELODY))
def dance_with_melody(folder):
    """Points on a body that dances, about a centre that sinks."""
    rows = [f"{id},{style},25,150,0,150,6.0" for id, style in MELODY.items()]
    header = "id,dance,fps,frames,start_frame_in_song,end_frame_in_song,seconds"
    write_text(folder / "meta.csv", [header, *rows])
    for seed, id in enumerate(MELODY):
        write_audio(folder / f"audio/{id}.ogg", seed, MELODY_SECONDS)
    write_melody_arrays(folder)


# --- FineDance ---

FINE_IDS = ("012", "037", "001", "002", "003", "004", "005", "006", "007", "008")
FINE_STYLES = ("Dai", "Tai", "Popping", "jazz")
FINE_FRAMES = 45


@copy("finedance", finedance=len(FINE_IDS))
def finedance(folder):
    """Arrays of 315 or 319 columns, labels that write one style in two ways.

    The bodies stand at 1 m and turn about the vertical, one radian a second.
    """
    angle = np.arange(FINE_FRAMES) / 30
    for name in ("motion", "label_json"):
        (folder / name).mkdir()
    for seed, id in enumerate((*FINE_IDS, "116")):
        numbers = np.zeros((FINE_FRAMES, 315), np.float32)
        numbers[:, 1] = 1.0
        rows = numbers[:, 3:].reshape(FINE_FRAMES, 52, 6)
        rows[...] = [1, 0, 0, 0, 1, 0]
        rows[:, 0, 0], rows[:, 0, 2] = np.cos(angle), np.sin(angle)
        contacts = np.ones((FINE_FRAMES, 4 if id == "001" else 0), np.float32)
        np.save(folder / f"motion/{id}.npy", np.concatenate([contacts, numbers], axis=1))
        label = {"name": f"歌 {seed}", "style1": "Modern", "style2": FINE_STYLES[seed % 4]}
        text = json.dumps(label, ensure_ascii=False)
        write_text(folder / f"label_json/{id}.json", [text], end="")
        write_audio(folder / f"music_wav/{id}.wav", seed, 1.6, 44100, channels=2)


# --- Motorica ---

MOTORICA = (
    "kthstreet_gKR_sFM_cAll_d01_mKR1_ch01",
    "kthstreet_gLH_sFM_cAll_d02_mLH_ch01_thisisit_001",
    "kthstreet_gLH_sFM_cAll_d01_mLH_ch01_thisisit_001",
    "kthstreet_gLH_sFM_cAll_d01_mLH_ch01_danstrams",
    "kthstreet_gPO_sFM_cAll_d02_mPO_ch01_funk_002",
    "kthjazz_gTP_sFM_sngl_d02_014",
    "kthjazz_gCH_sFM_sngl_d02_005",
)
MOTORICA_FRAMES = 120


def bvh_joint(name, offset, *inside):
    below = "\n".join(inside) or "End Site\n{\nOFFSET 0 0 0\n}"
    channels = "CHANNELS 3 Zrotation Xrotation Yrotation"
    return f"JOINT {name}\n{{\nOFFSET {offset}\n{channels}\n{below}\n}}"


def bvh_hierarchy():
    """Centimetres, in the proportions of no one in particular; arms stretched out at rest."""
    chain = bvh_joint
    limbs = []
    for side, sign in (("Left", ""), ("Right", "-")):
        toes = chain(f"{side}ToeBase", "0 -7 12")
        leg = chain(f"{side}Leg", "0 -40 0", chain(f"{side}Foot", "0 -40 0", toes))
        finger = chain(f"{side}HandMiddle1", f"{sign}9 0 0")
        thumb = chain(f"{side}HandThumb1", f"{sign}3 0 3")
        hand = chain(f"{side}Hand", f"{sign}24 0 0", thumb, finger)
        arm = chain(f"{side}Arm", f"{sign}12 0 0", chain(f"{side}ForeArm", f"{sign}28 0 0", hand))
        limbs.append(chain(f"{side}UpLeg", f"{sign}9 0 0", leg))
        limbs.append(chain(f"{side}Shoulder", f"{sign}4 20 0", arm))
    neck = chain("Neck", "0 25 0", chain("Head", "0 14 2"))
    spine = chain("Spine", "0 8 0", chain("Spine1", "0 22 0", neck, *limbs[1::2]))
    root = chain("Hips", "-20 86 -96", spine, *limbs[::2]).replace("JOINT Hips", "ROOT Hips")
    positions = "CHANNELS 6 Xposition Yposition Zposition"
    return "HIERARCHY\n" + root.replace("CHANNELS 3", positions, 1)


def bvh():
    """Hips at 87 cm that turn about the vertical, a degree a frame."""
    head = bvh_hierarchy()
    zeros = " ".join("0" for _ in range(3 * (head.count("CHANNELS") - 1)))
    rows = "".join(f"0 87 0 0 0 {frame} {zeros}\n" for frame in range(MOTORICA_FRAMES))
    return f"{head}\nMOTION\nFrames: {MOTORICA_FRAMES}\nFrame Time: 0.008333\n{rows}"


@copy("motorica", motorica=len(MOTORICA))
def motorica(folder):
    """BVH of one skeleton with two joints of the spine and fingers, a casual dance."""
    (folder / "bvh").mkdir()
    casual = "kthmisc_gCA_sFM_cAll_d01_mCA_ch24"
    for seed, name in enumerate((*MOTORICA, casual)):
        (folder / f"bvh/{name}.bvh").write_text(bvh(), newline="\r\n")
        if name != casual:
            audio = folder / f"wav/{name}.wav"
            write_audio(audio, seed, MOTORICA_FRAMES / 120, 44100, channels=2)
