"""A tiny FMA small: three header rows, other subsets, line breaks in cells, an empty clip."""

import csv
from pathlib import Path

from tests import lookalikes

from motionbeat.data_modules.published.fma_small import GENRES

HOME = "fma"
COUNTS = {"fma_small": 24}
PATCHES = []

COLUMNS = [
    ("album", "id"),
    ("album", "information"),
    ("artist", "id"),
    ("artist", "name"),
    ("set", "split"),
    ("set", "subset"),
    ("track", "genre_top"),
    ("track", "title"),
]
PARTS = ("training", "validation", "test")


def write(folder: Path) -> None:
    rows = [
        ["", *(first for first, _ in COLUMNS)],
        ["", *(second for _, second in COLUMNS)],
        ["track_id", *[""] * len(COLUMNS)],
    ]
    for number in range(24):
        id, genre, part = 2 + 6101 * number, GENRES[number % 8], PARTS[number // 8]
        about = 'An album,\nand "more" of it'
        artist = f"{number // 8}{number // 3}"  # of one split
        rows.append([id, number, about, artist, "A choir", part, "small", genre, "A song"])
        name = f"{id:06d}"
        path = folder / f"fma_small/{name[:3]}/{name}.mp3"
        lookalikes.write_audio(path, number, 1.5, 44100, channels=2)
    rows.append([20, 5, "", 4, "A choir", "training", "large", "", "Without a genre"])
    rows.append([99134, 5, "", 4, "A choir", "training", "small", "Rock", "Cut after its end"])
    table = folder / "fma_metadata/tracks.csv"
    table.parent.mkdir()
    with table.open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    empty = folder / "fma_small/099/099134.mp3"
    empty.parent.mkdir()
    empty.write_bytes(b"")
