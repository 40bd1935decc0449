"""TinySOL: notes in folders of families and instruments, parted into folds by their metadata."""

import hashlib
import json

from tests import lookalikes

from motionbeat.data_modules.published.tinysol import INSTRUMENTS

HOME = "tinysol"
COUNTS = {"tinysol": 3 * len(INSTRUMENTS)}
PATCHES = []

_COLUMNS = (
    "Path,Fold,Family,Instrument (abbr.),Instrument (in full),Technique (abbr.),"
    "Technique (in full),Pitch,Pitch ID,Dynamics,Dynamics ID,Instance ID,"
    "String ID (if applicable),Needed digital retuning"
)


def write(folder):
    lines = [_COLUMNS]
    tracks = {}
    for place, instrument in enumerate(INSTRUMENTS):
        for fold, dynamics in ((place % 3, "pp"), (3, "mf"), (4, "ff")):
            pitch = ("C4", "C#4", "D4")[place % 3]
            id = f"I{place}-ord-{pitch}-{dynamics}-N-N"
            path = f"Winds/{instrument.replace(' ', '_')}/ordinario/{id}.wav"
            audio = f"audio/{path}"
            lookalikes.write_audio(folder / audio, 5 * place + fold, 1.0, rate=44100)
            tracks[id] = {"audio": [audio, hashlib.md5((folder / audio).read_bytes()).hexdigest()]}
            lines.append(
                f"{path},{fold},Winds,I{place},{instrument},ord,ordinario,{pitch},"
                f"{60 + place % 3},{dynamics},0,0,,FALSE"
            )
    (folder / "annotation").mkdir()
    (folder / "annotation/TinySOL_metadata.csv").write_text("\n".join(lines) + "\n")
    metadata = {"TinySOL_metadata": ["annotation/TinySOL_metadata.csv", "0" * 32]}
    index = {"version": "6.0", "tracks": tracks, "metadata": metadata}
    (folder / "tinysol_index_6.0.json").write_text(json.dumps(index))
