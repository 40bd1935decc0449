"""A tiny Beatles: two songs an album, the white album in two discs, a song without beats."""

from pathlib import Path

from tests import lookalikes
from tests.mirdata_index import write_index

HOME = "beatles"
COUNTS = {"beatles": 14}
PATCHES = []

ALBUMS = (
    "01_-_Please_Please_Me",
    "02_-_With_the_Beatles",
    "04_-_Beatles_for_Sale",
    "06_-_Rubber_Soul",
    "09_-_Magical_Mystery_Tour",
    "10CD1_-_The_Beatles",
    "10CD2_-_The_Beatles",
)


def write(folder: Path) -> None:
    tracks = {}
    for album in ALBUMS:
        disc = f"CD{album[4]}_-_" if "CD" in album else ""
        for number in (1, 2):
            id = f"{album[:2]}{album[4] if disc else ''}{number:02d}"
            song = f"{album}/{disc}{number:02d}_-_Song"
            tracks[id] = annotated(folder, song, len(tracks), beats=True)
    song = "10CD2_-_The_Beatles/CD2_-_12_-_Revolution_9"
    tracks["10212"] = annotated(folder, song, 12, beats=False)
    write_index(folder, "beatles_index_1.2.json", tracks)


def annotated(folder: Path, song: str, seed: int, beats: bool) -> dict[str, str | None]:
    """Write a song, its sections and its beats, the first two of unknown position."""
    root = "annotations"
    files: dict[str, str | None] = {
        "audio": f"audio/{song}.wav",
        "beat": f"{root}/beat/The Beatles/{song}.txt" if beats else None,
        "chords": f"{root}/chordlab/The Beatles/{song}.lab",
        "keys": f"{root}/keylab/The Beatles/{song}.lab",
        "sections": f"{root}/seglab/The Beatles/{song}.lab",
    }
    lookalikes.write_audio(folder / files["audio"], seed, 4, channels=2)
    texts = {
        "chords": "0.000 4.000 N\n",
        "keys": "0.000\t4.000\tKey\tE\n",
        "sections": "0.000\t4.000\tsilence\tsilence\n",
    }
    if beats:
        positions = ["New Point", "New Point", "3", "4", "1", "2", "3"]
        texts["beat"] = "".join(f"{n / 2 + 0.2:.3f}\t{p}\n" for n, p in enumerate(positions))
    for kind, text in texts.items():
        (folder / files[kind]).parent.mkdir(parents=True, exist_ok=True)
        (folder / files[kind]).write_text(text)
    return files
