"""A tiny Hainsworth: excerpts in FLAC, whose bytes differ from those the index knows."""

from pathlib import Path

from tests import lookalikes
from tests.mirdata_index import write_index

HOME = "hainsworth"
COUNTS = {"hainsworth": 24}
PATCHES = []


def write(folder: Path) -> None:
    root = "H_1.0/annotations"
    for kind in ("beats", "tempo"):
        (folder / root / kind).mkdir(parents=True)
    tracks = {}
    for number in range(24, 0, -1):
        id = f"hains{number:03d}"
        files = {
            "audio": f"H_1.0/audio/{id}.flac",
            "beats": f"{root}/beats/{id}.beats",
            "tempo": f"{root}/tempo/{id}.bpm",
        }
        lookalikes.write_audio(folder / files["audio"], number, 2, 44100)
        beats = [f"{0.47 + n / 2:.9f}\t{(n + 1) % 4 + 1}\n" for n in range(3)]
        (folder / files["beats"]).write_text("".join(beats))
        (folder / files["tempo"]).write_text("120.00\tnan\t1.00\n")
        tracks[id] = files
    write_index(folder, "hainsworth_full_index_1.0.json", tracks)
    for id, files in tracks.items():
        lookalikes.write_audio(folder / files["audio"], len(id), 2.5, 44100)
