"""NSynth: a list of notes and their audio for each part; two parts share their instruments."""

import json

from tests import lookalikes

from motionbeat.data_modules.published.nsynth import FAMILIES

HOME = "nsynth"
COUNTS = {"nsynth": 3 * len(FAMILIES)}
PATCHES = []


def write(folder):
    for part, number in (("train", 0), ("valid", 18), ("test", 18)):
        notes = {}
        for place, family in enumerate(FAMILIES):
            instrument = f"{family}_synthetic_{number:03d}"
            pitch, velocity = 60 + place % 3, 100 if part == "test" else 25
            name = f"{instrument}-{pitch:03d}-{velocity:03d}"
            notes[name] = {
                "note": place,
                "note_str": name,
                "instrument": number,
                "instrument_str": instrument,
                "instrument_family": place,
                "instrument_family_str": family,
                "instrument_source": 2,
                "instrument_source_str": "synthetic",
                "pitch": pitch,
                "velocity": velocity,
                "sample_rate": 16000,
                "qualities": [0] * 10,
                "qualities_str": [],
            }
            lookalikes.write_audio(
                folder / f"nsynth-{part}/audio/{name}.wav", place, 1.0, rate=16000
            )
        (folder / f"nsynth-{part}/examples.json").write_text(json.dumps(notes))
