"""Medley-solos-DB: floating-point clips side by side, told apart by their metadata."""

import hashlib
import json
import uuid

from tests import lookalikes

from motionbeat.data_modules.published.medley_solos_db import INSTRUMENTS

HOME = "medley_solos_db"
COUNTS = {"medley_solos_db": 3 * len(INSTRUMENTS)}
PATCHES = []


def write(folder):
    lines = ["subset,instrument,instrument_id,song_id,uuid4"]
    tracks = {}
    for song, subset in enumerate(("test", "training", "validation")):
        for place, instrument in enumerate(INSTRUMENTS):
            id = str(uuid.uuid5(uuid.NAMESPACE_OID, f"{subset} {instrument}"))
            audio = f"audio/Medley-solos-DB_{subset}-{place}_{id}.wav"
            lookalikes.write_audio(
                folder / audio, 3 * place + song, 1.0, rate=44100, subtype="FLOAT"
            )
            tracks[id] = {"audio": [audio, hashlib.md5((folder / audio).read_bytes()).hexdigest()]}
            lines.append(f"{subset},{instrument},{place},{song:03d},{id}")
    (folder / "annotation").mkdir()
    (folder / "annotation/Medley-solos-DB_metadata.csv").write_text("\n".join(lines) + "\n")
    index = {"version": "1.2", "tracks": tracks}
    (folder / "medley_solos_db_index_1.2.json").write_text(json.dumps(index))
