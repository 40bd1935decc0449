"""A tiny Motorica: BVH of one skeleton with two joints of the spine and fingers, casual dances."""

from pathlib import Path

from tests.lookalikes import write_audio

HOME = "motorica"
NAMES = (
    "kthstreet_gKR_sFM_cAll_d01_mKR1_ch01",
    "kthstreet_gLH_sFM_cAll_d02_mLH_ch01_thisisit_001",
    "kthstreet_gLH_sFM_cAll_d01_mLH_ch01_thisisit_001",
    "kthstreet_gLH_sFM_cAll_d01_mLH_ch01_danstrams",
    "kthstreet_gPO_sFM_cAll_d02_mPO_ch01_funk_002",
    "kthjazz_gTP_sFM_sngl_d02_014",
    "kthjazz_gCH_sFM_sngl_d02_005",
)
CASUAL = "kthmisc_gCA_sFM_cAll_d01_mCA_ch24"
COUNTS = {"motorica": len(NAMES)}
PATCHES = []

FRAMES = 120


def joint(name: str, offset: str, *inside: str) -> str:
    below = "\n".join(inside) or "End Site\n{\nOFFSET 0 0 0\n}"
    channels = "CHANNELS 3 Zrotation Xrotation Yrotation"
    return f"JOINT {name}\n{{\nOFFSET {offset}\n{channels}\n{below}\n}}"


def hierarchy() -> str:
    """Centimetres, in the proportions of no one in particular; arms stretched out at rest."""

    def leg(side: str, sign: str) -> str:
        toes = joint(f"{side}ToeBase", "0 -7 12")
        foot = joint(f"{side}Foot", "0 -40 0", toes)
        return joint(f"{side}UpLeg", f"{sign}9 0 0", joint(f"{side}Leg", "0 -40 0", foot))

    def arm(side: str, sign: str) -> str:
        finger = joint(f"{side}HandMiddle1", f"{sign}9 0 0")
        thumb = joint(f"{side}HandThumb1", f"{sign}3 0 3")
        hand = joint(f"{side}Hand", f"{sign}24 0 0", thumb, finger)
        fore = joint(f"{side}ForeArm", f"{sign}28 0 0", hand)
        return joint(f"{side}Shoulder", f"{sign}4 20 0", joint(f"{side}Arm", f"{sign}12 0 0", fore))

    neck = joint("Neck", "0 25 0", joint("Head", "0 14 2"))
    chest = joint("Spine1", "0 22 0", neck, arm("Left", ""), arm("Right", "-"))
    body = (joint("Spine", "0 8 0", chest), leg("Left", ""), leg("Right", "-"))
    root = joint("Hips", "-20 86 -96", *body).replace("JOINT Hips", "ROOT Hips")
    return "HIERARCHY\n" + root.replace(
        "CHANNELS 3",
        "CHANNELS 6 Xposition Yposition Zposition",
        1,
    )


def bvh(frames: int = FRAMES) -> str:
    """Hips at 87 cm that turn about the vertical, a degree a frame."""
    head = hierarchy()
    joints = head.count("CHANNELS")
    zeros = " ".join("0" for _ in range(3 * (joints - 1)))
    rows = (f"0 87 0 0 0 {frame} {zeros}" for frame in range(frames))
    return f"{head}\nMOTION\nFrames: {frames}\nFrame Time: 0.008333\n" + "\n".join(rows) + "\n"


def write(folder: Path) -> None:
    (folder / "bvh").mkdir()
    for seed, name in enumerate((*NAMES, CASUAL)):
        (folder / f"bvh/{name}.bvh").write_text(bvh(), newline="\r\n")
        if name != CASUAL:
            write_audio(folder / f"wav/{name}.wav", seed, FRAMES / 120, 44100, channels=2)
