"""A tiny MTG-Jamendo: whole songs in MP3, lists whose rows differ in length, four sets of tags."""

from pathlib import Path

from tests import lookalikes

from motionbeat.data_modules.base import SPLITS
from motionbeat.data_modules.published.mtg_jamendo import CATEGORIES, TOP50

HOME = "mtg_jamendo"
COUNTS = {
    "mtg_jamendo_top50": 24,
    "mtg_jamendo_genre": 24,
    "mtg_jamendo_instrument": 18,
    "mtg_jamendo_moodtheme": 12,
}
PATCHES = []

SETS = {
    "top50tags": (TOP50, 1),
    "genre": ({"genre": CATEGORIES["genre"]}, 1),
    "instrument": ({"instrument": CATEGORIES["instrument"]}, 3 / 4),
    "moodtheme": ({"mood/theme": CATEGORIES["mood/theme"]}, 1 / 2),
}
LISTS = "data/splits/split-0"
SHARES = {"train": range(12), "validation": range(12, 16), "test": range(16, 24)}


def song(number: int) -> str:
    """Path of a song, as the lists have it."""
    id = 241 + 707 * number
    return f"{id % 100:02d}/{id}.mp3"


def write(folder: Path) -> None:
    (folder / LISTS).mkdir(parents=True)
    for subset, (tags, share) in SETS.items():
        names = [f"{category}---{tag}" for category, of in tags.items() for tag in of]
        for split in SPLITS:
            rows = ["TRACK_ID\tARTIST_ID\tALBUM_ID\tPATH\tDURATION\tTAGS"]
            numbers = SHARES[split]
            for number in numbers[: round(share * len(numbers))]:
                id = f"track_{241 + 707 * number:07d}"
                place = f"artist_{number // 2:06d}\talbum_{number:06d}\t{song(number)}\t1.5"
                held = names[number % 2 :: 2][: len(names) - number % 3]
                rows.append("\t".join([id, place, *held]))
            file = folder / LISTS / f"autotagging_{subset}-{split}.tsv"
            file.write_text("\n".join(rows) + "\n")
    for number in range(24):
        lookalikes.write_audio(folder / "audio" / song(number), number, 1.5, 44100, channels=2)
