"""IRMAS: training clips that say all in their names, test excerpts with texts beside them."""

import hashlib
import json
import shutil
import unicodedata

from tests import lookalikes

from motionbeat.data_modules.published.collection import hashed_split
from motionbeat.data_modules.published.irmas import INSTRUMENTS

HOME = "irmas"
EXCERPTS = 6
COUNTS = {"irmas": 2 * len(INSTRUMENTS) + 2 + EXCERPTS}
PATCHES = []


def numbers(split):
    """Numbers of recordings that the hash sends to a split."""
    return [f"{n:04d}" for n in range(1, 999) if hashed_split(f"{n:04d}", test=0) == split]


TWICE = (numbers("train")[40], numbers("validation")[20])
"""A recording under two numbers and two instruments; the numbers hash to different splits."""

ACCENTED = unicodedata.normalize("NFD", "01 - Canto das três raças-3")
"""A name as the index has it; the archive does not say that its bytes are UTF-8."""


def write(folder):
    clips, tracks = [], {}
    for place, code in enumerate(INSTRUMENTS):
        train, validation = numbers("train")[place], numbers("validation")[place]
        clips.append((f"[{code}][cla]", code, train, "1"))
        clips.append((f"0{place:02d}__[{code}][dru][pop_roc]", code, validation, "2"))
    clips.append(("080__[gac][dru][cou_fol]", "gac", TWICE[0], "1"))
    clips.append(("209__[gel][nod][cou_fol]", "gel", TWICE[1], "1"))
    for seed, (start, code, number, excerpt) in enumerate(clips):
        path = f"IRMAS-TrainingData/{code}/{start}{number}__{excerpt}.wav"
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        if number == TWICE[1]:
            shutil.copyfile(folder / tracks[f"{TWICE[0]}__1"]["audio"][0], folder / path)
        else:
            lookalikes.write_audio(folder / path, seed, 1.0, rate=44100, channels=2)
        entry = [path, _md5(folder / path)]
        tracks[f"{number}__{excerpt}"] = {"audio": entry, "annotation": entry}
    codes = list(INSTRUMENTS)
    for place in range(EXCERPTS):
        name = f"02. Song - No. {place}-1{place}" if place < EXCERPTS - 1 else ACCENTED
        stem = f"IRMAS-TestingData-Part1/Part1/{name}"
        stored = stem.encode().decode("cp437")
        audio, text = folder / f"{stored}.wav", folder / f"{stored}.txt"
        lookalikes.write_audio(audio, 50 + place, 2.0, rate=44100, channels=2)
        text.write_text("".join(f"{code}\t\n" for code in codes[2 * place : 2 * place + 2]))
        tracks[str(place + 1)] = {
            "audio": [f"{stem}.wav", _md5(audio)],
            "annotation": [f"{stem}.txt", _md5(text)],
        }
    index = {"version": "1.0", "tracks": tracks}
    (folder / "irmas_index_1.0.json").write_text(json.dumps(index))


def _md5(path):
    return hashlib.md5(path.read_bytes()).hexdigest()
