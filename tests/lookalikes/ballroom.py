"""A tiny Ballroom: clips of each folder from albums of each split, and two replicas."""

from pathlib import Path

from tests import lookalikes
from tests.mirdata_index import write_index

HOME = "ballroom"
COUNTS = {"ballroom": 30}
PATCHES = []

FOLDERS = (
    "ChaChaCha",
    "Jive",
    "Quickstep",
    "Rumba-American",
    "Rumba-International",
    "Rumba-Misc",
    "Samba",
    "Tango",
    "VienneseWaltz",
    "Waltz",
)
ALBUMS = ("Albums-Latin_Jam3", "Media-1059", "Media-1006")
REPLICAS = {"Media-103414": "ChaChaCha", "Albums-Fire-09": "Samba"}


def write(folder: Path) -> None:
    tracks = {}
    for place, style in enumerate(FOLDERS):
        for album in ALBUMS:
            dash = "-" if album.startswith("Albums") else ""
            id = f"{album}{dash}{place + 1:02d}"
            tracks[id] = annotated(folder, style, id, len(tracks))
    for id, style in REPLICAS.items():
        tracks[id] = annotated(folder, style, id, len(tracks))
    write_index(folder, "ballroom_full_index_1.0.json", tracks)


def annotated(folder: Path, style: str, id: str, seed: int) -> dict[str, str | None]:
    """Write a clip, its beats and its tempo."""
    files: dict[str, str | None] = {
        "audio": f"B_1.0/audio/{style}/{id}.wav",
        "beats": f"B_1.0/annotations/beats/{id}.beats",
        "tempo": f"B_1.0/annotations/tempo/{id}.bpm",
    }
    lookalikes.write_audio(folder / files["audio"], seed, 2, 44100)
    for kind in ("beats", "tempo"):
        (folder / files[kind]).parent.mkdir(parents=True, exist_ok=True)
    metre = 3 if "Waltz" in style else 4
    beats = [f"{0.1 + n / 2:.10f} {n % metre + 1}\n" for n in range(4)]
    (folder / files["beats"]).write_text("".join(beats))
    (folder / files["tempo"]).write_text("120\n")
    return files
