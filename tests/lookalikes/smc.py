"""A tiny SMC: gaps in the numbers, names that say more than the excerpt, beats of two versions."""

from pathlib import Path

from tests import lookalikes

HOME = "smc"
COUNTS = {"smc": 28}
PATCHES = []

ROOT = "SMC_MIREX"


def write(folder: Path) -> None:
    for part in ("Annotations", "Annotations_05_08_2014", "Tags"):
        (folder / f"{ROOT}/SMC_MIREX_{part}").mkdir(parents=True)
    for number in range(28):
        id = f"SMC_{1 + 10 * number:03d}"
        lookalikes.write_audio(folder / f"{ROOT}/SMC_MIREX_Audio/{id}.wav", number, 2, 44100)
        beats = "".join(f"{0.3 + 0.6 * n:.4f}\n" for n in range(3))
        name = f"{id}_{1 + number % 2}_2_1_{'ajo'[number % 3]}.txt"
        (folder / f"{ROOT}/SMC_MIREX_Annotations_05_08_2014/{name}").write_text(beats)
        (folder / f"{ROOT}/SMC_MIREX_Annotations/{name}").write_text(f"{beats}9.0000\n")
        (folder / f"{ROOT}/SMC_MIREX_Tags/{id}.tag").write_text("slow tempo\na1\n")
