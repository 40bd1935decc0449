"""A tiny Candombe: two performances a session, FLAC, bars and beats as ``bar.beat``."""

from pathlib import Path

from tests import lookalikes
from tests.mirdata_index import write_index

HOME = "candombe"
COUNTS = {"candombe": 16}
PATCHES = []

SESSIONS = (
    "csic.1995_ansina1",
    "csic.1995_ansina2",
    "csic.1995_cuareim",
    "proyecto.1992_gimenez",
    "proyecto.1992_lobo",
    "proyecto.1992_magarinos",
    "proyecto.1992_pelado",
    "zavala.muniz.2014",
)


def write(folder: Path) -> None:
    beats = folder / "candombe_annotations/with_bar_number"
    beats.mkdir(parents=True)
    tracks = {}
    for session in SESSIONS:
        for number in (1, 2):
            id = f"{session}_{number:02d}"
            audio = f"candombe_audio/{id}.flac"
            lookalikes.write_audio(folder / audio, len(tracks), 3, 44100, channels=2)
            lines = [f"{0.2 + n / 2:.9f},{n // 4 + 1}.{n % 4 + 1}\n" for n in range(5)]
            (beats / f"{id}.csv").write_text("".join(lines))
            tracks[id] = {
                "audio": audio,
                "beats": f"candombe_annotations/with_bar_number/{id}.csv",
            }
    write_index(folder, "candombe_index_1.0.json", tracks)
