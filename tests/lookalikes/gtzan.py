"""A tiny GTZAN: one clip a genre and split, the lists of the split, beats with and without bars.

One clip is .au; one has no annotation, as in the real set.
"""

from pathlib import Path

from tests import lookalikes
from tests.mirdata_index import write_index

from motionbeat.data_modules.published.gtzan import GENRES

HOME = "gtzan"
COUNTS = {"gtzan": 30, "gtzan_rhythm": 30}
PATCHES = []

LISTS = ("train_filtered.txt", "valid_filtered.txt", "test_filtered.txt")


def write(folder: Path) -> None:
    lists = {name: [] for name in LISTS}
    tracks = {}
    for place, genre in enumerate(GENRES):
        for number, name in enumerate(LISTS):
            id = f"{genre}.{number:05d}"
            lists[name].append(f"{genre}/{id}.wav\n")
            tracks[id] = annotated(folder, genre, id, 3 * place + number)
    audio = "gtzan_genre/genres/reggae/reggae.00086.wav"
    lookalikes.write_audio(folder / audio, 86, 1)
    tracks["reggae.00086"] = {"audio": audio, "beats": None, "tempo": None}
    for name, lines in lists.items():
        (folder / name).write_text("".join(lines))
    write_index(folder, "gtzan_genre_index_1.0.json", tracks)
    # The index names .wav always; some copies hold .au.
    (folder / "gtzan_genre/genres/rock/rock.00000.wav").unlink()
    lookalikes.write_audio(folder / "gtzan_genre/genres/rock/rock.00000.au", 0, 2)


def annotated(folder: Path, genre: str, id: str, seed: int) -> dict[str, str | None]:
    """Write a clip, its beats and its tempo."""
    root, name = "gtzan_tempo_beat-main", f"gtzan_{id.replace('.', '_')}"
    files: dict[str, str | None] = {
        "audio": f"gtzan_genre/genres/{genre}/{id}.wav",
        "beats": f"{root}/beats/{name}.beats",
        "tempo": f"{root}/tempo/{name}.bpm",
    }
    lookalikes.write_audio(folder / files["audio"], seed, 2)
    for kind in ("beats", "tempo"):
        (folder / files[kind]).parent.mkdir(parents=True, exist_ok=True)
    bars = id != "jazz.00001"
    beats = [f"{0.113 + n / 2:.3f}" + (f"\t{n % 4 + 1}" if bars else "") for n in range(4)]
    (folder / files["beats"]).write_text("\n".join(beats) + "\n")
    (folder / files["tempo"]).write_text(f"{120 + seed:.18e}\n")
    return files
