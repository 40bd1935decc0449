"""Tiny look-alikes of the archives of Groove MIDI and of POP909."""

import csv
import io
import zipfile
from itertools import pairwise
from pathlib import Path

import mido
import numpy as np

TICKS = 480

# id, style, bpm, kind, metre, bars, split
TABLE = [
    ("drummer1/session1/1", "rock/shuffle", 120, "beat", "4-4", 26, "train"),
    ("drummer1/session1/2", "funk", 96, "beat", "4-4", 5, "train"),
    ("drummer2/session1/1", "rock", 60, "beat", "6-8", 4, "validation"),
    ("drummer1/eval_session/1", "latin/samba", 150, "beat", "3-4", 10, "test"),
    ("drummer1/session1/3", "rock", 120, "fill", "4-4", 8, "train"),
    ("drummer1/session1/4", "rock", 120, "beat", "4-4", 2, "train"),
    ("drummer5/session1/8", "latin", 162, "beat", "5-8", 12, "train"),
    ("drummer2/session2/1", "rock", 130, "beat", "4-4", 8, "train"),
]
COLUMNS = (
    "drummer", "session", "id", "style", "bpm", "beat_type", "time_signature", "midi_filename",
    "audio_filename", "duration", "split",
)  # fmt: skip
USED = [row[0] for row in TABLE[:4]]
QUARTERS = {"4-4": 4, "3-4": 3, "6-8": 3, "5-8": 2.5}  # a bar


def save(tracks, kind=1):
    buffer = io.BytesIO()
    mido.MidiFile(type=kind, ticks_per_beat=TICKS, tracks=tracks).save(file=buffer)
    return buffer.getvalue()


def zipped(archive, folder, root):
    with zipfile.ZipFile(archive, "w") as file:
        for path in sorted(folder.rglob("*.*")):
            file.write(path, path.relative_to(root))


def groove_midi(bpm: float, strokes: list[tuple[float, int, int]]) -> bytes:
    """One track as the dataset has them: strokes of (quarter, pitch, velocity)."""
    on = [(round(quarter * TICKS), pitch, velocity) for quarter, pitch, velocity in strokes]
    events = sorted(on + [(tick + 40, pitch, 0) for tick, pitch, _ in on])
    track = mido.MidiTrack([mido.MetaMessage("set_tempo", tempo=mido.bpm2tempo(bpm))])
    for (before, *_), (tick, pitch, velocity) in pairwise([(0, 0, 0), *events]):
        message = {"channel": 9, "note": pitch, "velocity": velocity, "time": tick - before}
        track.append(mido.Message("note_on", **message))
    return save([track], 0)


def groove(metre: str, bars: int) -> list[tuple[float, int, int]]:
    """Kick on one, snare in the middle, the hats' edges (TD-11) in between; starts in bar 2."""
    length = QUARTERS[metre]
    middle = length / 2 if metre == "6-8" else 1
    return [
        (bar * length + place, pitch, velocity)
        for bar in range(1, bars)
        for place, pitch, velocity in ((0, 36, 110), (middle, 38, 100), (0.5, 22, 50))
    ]


def write_groove_folder(data: Path) -> Path:
    folder = data / "groove"
    folder.mkdir(parents=True)
    with (folder / "info.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(COLUMNS)
        for id, style, bpm, kind, metre, bars, split in TABLE:
            drummer, session, _ = id.split("/")
            name = f"{id}_{style.replace('/', '-')}_{bpm}_{kind}_{metre}.mid"
            seconds = bars * QUARTERS[metre] * 60 / bpm
            rows.writerow(
                [drummer, f"{drummer}/{session}", id, style, bpm, kind, metre, name, "", seconds,
                 split]
            )  # fmt: skip
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(groove_midi(bpm, groove(metre, bars)))
    return folder


def write_groove_zip(data: Path, name: str = "groove_midi.zip") -> Path:
    folder = write_groove_folder(data / "unpacked")
    zipped(data / name, folder, folder.parent)
    return data


SONGS = ("001", "002", "003", "004", "017", "018", "034")  # the downbeats of 003 are a beat late


class Written:
    """A song: bars of some beats on a tempo a beat, first beats that belong to no bar.

    The piano plays a low note on every downbeat and a chord on every beat, the melody eighths.
    """

    def __init__(self, bars, bpms, pickup=0, late=0, sixes=False):
        count = pickup + sum(bars)
        self.bpms = (list(bpms) * count)[:count]
        self.times = np.cumsum([0.0, *(60 / bpm for bpm in self.bpms[:-1])])
        self.downbeats = (pickup + np.cumsum([0, *bars[:-1]])).tolist()
        self.marked = [beat + late for beat in self.downbeats][:: 2 if sixes else 1]
        self.simple = [beat + late for beat in self.downbeats] if sixes else range(0, count, 2)

    def beats(self):
        return "".join(
            f"{time} {float(beat in self.simple)} {float(beat in self.marked)}\n"
            for beat, time in enumerate(self.times.tolist())
        )

    def midi(self):
        tempo = mido.MidiTrack()
        for before, bpm in zip([None, *self.bpms], self.bpms, strict=False):
            same = bpm == before
            event = mido.MetaMessage("set_tempo", tempo=mido.bpm2tempo(bpm), time=TICKS)
            tempo.append(mido.MetaMessage("marker", time=TICKS) if same else event)
        tempo[0].time = 0
        beats = range(len(self.bpms))
        notes = {
            "MELODY": [(beat + part, 72 + beat % 5) for beat in beats for part in (0, 0.5)],
            "BRIDGE": [(beat, 67) for beat in beats[::2]],
            "PIANO": [(beat, key) for beat in beats for key in (60, 64)]
            + [(beat, 40 + beat % 3) for beat in self.downbeats],
        }
        return save([tempo, *(midi_track(name, some) for name, some in notes.items())])


def midi_track(name, notes, length=0.4):
    """Notes of (beat, key), each of some beats."""
    ends = [(beat, 1, key) for beat, key in notes] + [
        (beat + length, 0, key) for beat, key in notes
    ]
    events = sorted((round(beat * TICKS), onset, key) for beat, onset, key in ends)
    written = mido.MidiTrack([mido.MetaMessage("track_name", name=name)])
    for (before, _, _), (tick, onset, key) in pairwise([(0, 0, 0), *events]):
        kind = "note_on" if onset else "note_off"
        written.append(mido.Message(kind, note=key, velocity=90, time=tick - before))
    return written


WRITTEN = {
    "001": Written([4] * 16, [100] * 32 + [110] * 32),
    "002": Written([3] * 16, [90], sixes=True),
    "003": Written([4] * 12, [120], late=1),
    "004": Written([4] * 7 + [2] + [4] * 8, [120]),
    "017": Written([4] * 12, [125]),
    "018": Written([4] * 12, [120]),
    "034": Written([4] * 10, [100], pickup=2),
}


def write_pop909_folder(data):
    for id, song in WRITTEN.items():
        folder = data / "POP909" / id
        folder.mkdir(parents=True)
        (folder / f"{id}.mid").write_bytes(song.midi())
        (folder / "beat_midi.txt").write_text(song.beats())
    return data


def write_pop909_zip(data):
    folder = write_pop909_folder(data / "unpacked")
    zipped(data / "pop909.zip", folder, folder)
    return data
