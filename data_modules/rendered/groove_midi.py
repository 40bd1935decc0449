"""Groove MIDI Dataset: human drumming to a metronome, rendered, accompanied and danced to.

Source: Gillick, Roberts, Engel, Eck and Bamman, "Learning to Groove with Inverse Sequence
Transformations" (ICML 2019). The drumming with all its timing and dynamics is human. Its sound is a
soundfont's, and half of the excerpts have a bass and chords by this project, so that an encoder
hears more than drums.

A beat is what the metronome counted: k · 60 / bpm from tick 0, where a bar begins. What is left out
is said in ``docs/decisions/rendered_data.md``.
"""

import csv
import io
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import numpy as np

from motionbeat.data_modules.base import (
    SPLITS,
    Annotation,
    Beats,
    DatasetCard,
    DatasetError,
    Genre,
    Metre,
    MotionFile,
    Split,
    Tempo,
)
from motionbeat.data_modules.generated import Piece, Recipe
from motionbeat.data_modules.rendered.rendering import (
    MARGIN,
    SHORTEST,
    TAIL,
    Excerpts,
    Source,
    generator,
    perform,
    timed,
    unrated,
)
from motionbeat.data_modules.rendered.synthesis import steps, styles
from motionbeat.data_modules.rendered.synthesis.arranger import (
    Score,
    gather_accents,
    slip,
    within,
)
from motionbeat.data_modules.rendered.synthesis.render import Note, Part

_METRES = ("3-4", "4-4", "5-4", "6-8")
_UNTIMED = "drummer2/session2"  # onsets drift through all phases of the clock
_EARLY = 1 / 8  # of a beat by which a stroke may come before the beat it belongs to

# The Roland TD-11 has two zones of the hi-hat and one of a tom where General MIDI has others.
_GENERAL_MIDI = {22: 42, 26: 46, 58: 43}
_KITS = ("acoustic", "electronic")  # the snare of the jazz kits' brush is lost among their toms
_RING = 0.5  # seconds from a stroke to its release
_LOUD = {36: 1.0, 37: 0.8, 38: 0.8, 40: 0.8}  # share of a stroke in an accent

_MODES = ("major", "mixolydian", "dorian", "minor")
_CHORD_FAMILIES = ("piano", "organ", "guitar", "mallet", "strings", "free_reed")
_BASS_LOWEST, _CHORDS_LOWEST = 31, 52
_JITTER = 0.005  # seconds

Strokes = list[tuple[float, int, int]]
"""Onset in quarters from tick 0, General MIDI key and velocity, in the order of the onsets."""


@dataclass(frozen=True)
class Recording:
    """A row of ``info.csv``."""

    id: str  # drummer, session and number
    midi: str  # file name below the dataset's folder
    style: str  # primary style, perhaps with a secondary one after a slash
    bpm: float  # quarters a minute
    metre: str  # time signature
    seconds: float  # duration
    split: Split  # official

    @property
    def period(self) -> float:
        """Seconds from beat to beat."""
        return 60 / self.bpm * float(styles.count_beats(self.metre)[0])

    @property
    def beats_a_bar(self) -> int:
        """Beats in a bar."""
        return styles.count_beats(self.metre)[1]

    def bars(self, seconds: float, excerpts: int) -> tuple[list[int], int]:
        """First bars of excerpts that do not overlap, and how many bars each one lasts.

        The first excerpt is the same however many are asked for.
        """
        length = self.beats_a_bar * self.period
        longest = max(1, int((seconds - MARGIN) / length))
        if math.ceil(self.seconds / length) <= longest:
            return [0], longest
        room, spare = divmod(int(self.seconds / length), longest)
        rng = generator(self.id, 0)
        start = int(rng.integers(spare + 1))
        return [start + int(turn) * longest for turn in rng.permutation(room)[:excerpts]], longest


class GrooveMidi(Excerpts):
    """Excerpts of human drumming with the metronome's beats, metre, style and a dance.

    Half of the excerpts are drums alone, half are accompanied. Splits share no recording,
    instrument program, progression or drum kit.
    """

    card = DatasetCard(
        name="groove_midi",
        revision="1",
        annotations=(Beats, Tempo, Metre, Genre, MotionFile),
        licence="CC BY 4.0 (performances); rendered with TimGM6mb.sf2 (GPL-2.0)",
        citation=(
            "J. Gillick, A. Roberts, J. Engel, D. Eck, D. Bamman, Learning to Groove with Inverse "
            "Sequence Transformations, ICML 2019"
        ),
        size="431 excerpts of up to 30 s (3.2 h), each with a dance; 800 MB, made from 3 MB",
        how_to_get=(
            "put groove-v1.0.0-midionly.zip from https://magenta.tensorflow.org/datasets/groove, "
            "or its folder groove, into a folder and set MOTIONBEAT_DATA to that folder"
        ),
        splits="official; they share drummers, and takes of one groove, but no recording",
        data="rendered",
        renderer="motionbeat",
    )
    places = ("groove", "groove_midi.zip", "groove-v1.0.0-midionly.zip")

    def recipes(self) -> dict[str, Recipe]:
        """The excerpts, recording by recording."""
        source = self.source
        recipes: dict[str, Recipe] = {}
        for recording in read_info(source):
            starts, bars = recording.bars(self.seconds, self.excerpts)
            for number, start in enumerate(starts):
                id = f"{re.sub(r'[^A-Za-z0-9_]', '-', recording.id)}-{number}"
                recipes[id] = partial(_make, id, recording, source, start, bars)
        return recipes

    def describe(self, id: str, labels: dict[str, Any]) -> tuple[Split, str, Sequence[Annotation]]:
        """The official split, the recording, and the primary style."""
        return labels["split"], labels["recording"], [Genre(labels["style"].partition("/")[0])]


def read_info(source: Source) -> list[Recording]:
    """The recordings that can be used, in the order of the table."""
    table = source.content("info.csv").decode("utf-8", errors="replace")
    try:
        recordings = [
            Recording(
                row["id"],
                row["midi_filename"],
                row["style"],
                float(row["bpm"]),
                row["time_signature"].replace("-", "/"),
                float(row["duration"]),
                SPLITS[SPLITS.index(cast(Split, row["split"]))],
            )
            for row in csv.DictReader(io.StringIO(table))
            if row["beat_type"] == "beat" and row["time_signature"] in _METRES
        ]
    except (KeyError, ValueError, TypeError) as error:
        raise source.fault("info.csv", f"is unsound ({error})") from error
    return [
        each
        for each in recordings
        if each.seconds >= SHORTEST and each.id.rpartition("/")[0] != _UNTIMED
    ]


def read_strokes(source: Source, recording: Recording) -> Strokes:
    """The strokes of a recording."""
    import mido

    file = source.midi(recording.midi)
    tempos: set[int] = set()
    strokes: Strokes = []
    for tick, message in timed(mido.merge_tracks(file.tracks)):
        if message.type == "set_tempo":
            tempos.add(message.tempo)
        elif message.type == "note_on" and message.velocity:
            pitch = _GENERAL_MIDI.get(message.note, message.note)
            strokes.append((tick / file.ticks_per_beat, pitch, message.velocity))
    if not strokes:
        raise source.fault(recording.midi, "has no strokes")
    if len(tempos) != 1 or abs(60e6 / tempos.pop() / recording.bpm - 1) > 1e-3:
        raise source.fault(recording.midi, "has not the tempo of info.csv")
    return sorted(strokes)


def arrange(id: str, recording: Recording, strokes: Strokes, start: int, bars: int) -> Score:
    """Some bars of a recording from a first bar on, perhaps with bass and chords.

    Beats go from the bar of the recording's first stroke to its last stroke at most. The id decides
    on kit, accompaniment and silence before the first beat.

    Raises:
        DatasetError: nothing is played in these bars.
    """
    rng = generator(id, 1)
    per_bar, unit = recording.beats_a_bar, float(styles.count_beats(recording.metre)[0])
    opening, closing = (math.floor(strokes[at][0] / unit + _EARLY) for at in (0, -1))
    first = max(start, opening // per_bar) * per_bar
    end = min((start + bars) * per_bar, closing + 1)
    lead_in = rng.uniform(0.2, MARGIN - TAIL)

    def at(beat: float) -> float:
        return float(lead_in + (beat - first) * recording.period)

    played = tuple(
        Note(at(quarter / unit), at(quarter / unit) + _RING, pitch, velocity)
        for quarter, pitch, velocity in strokes
        if first - _EARLY <= quarter / unit < end - _EARLY
    )
    if not played:
        raise DatasetError(
            f"{recording.midi}: no strokes in bars {start + 1} to {start + bars}; "
            "get the dataset again"
        )
    kit = styles.KITS[str(rng.choice(_KITS))][recording.split]
    parts = [Part("drums", "drums", kit, played)]
    if rng.random() < 0.5:
        parts += _accompany(recording, range(first, end), at, rng)
    return Score(
        style=recording.style,
        metre=recording.metre,
        bpm=60 / recording.period,
        duration=math.floor((at(end) + TAIL) * 100) / 100,
        beats=np.array([at(beat) for beat in range(first, end)]),
        positions=np.arange(first, end) % per_bar + 1,
        accents=gather_accents(
            (note.start, _LOUD.get(note.pitch, 0.3) * note.velocity / 127) for note in played
        ),
        parts=tuple(parts),
        cues=unrated(rng),
    )


def _accompany(
    recording: Recording, beats: range, at: Callable[[float], float], rng: np.random.Generator
) -> list[Part]:
    """A bass and chords, one harmony a bar; strokes on beats only, so they suit any feel."""
    split, per_bar = recording.split, recording.beats_a_bar
    mode = str(rng.choice(_MODES))
    progression = str(rng.choice(styles.PROGRESSIONS[mode][split]))
    key = int(rng.integers(12))
    family = str(rng.choice(_CHORD_FAMILIES))
    each, half = list(range(per_bar)), (per_bar + 1) // 2
    bass_row = ([0], [0, half], each)[int(rng.integers(3))]
    chord_row = ([0], each[1:], each)[int(rng.integers(3))]
    loudness = rng.uniform(75, 105)
    bass: list[Note] = []
    chords: list[Note] = []

    def play(notes: list[Note], row: list[int], bar: int, tones: list[list[int]]) -> None:
        for (place, following), pitches in zip(pairwise([*row, per_bar]), tones, strict=True):
            beat = bar * per_bar + place
            if beat not in beats:
                continue
            onset = at(beat) + slip(rng, _JITTER)
            release = at(beat + 0.9 * (following - place))
            velocity = int(np.clip(rng.normal(loudness, 5), 1, 127))
            notes += [Note(onset, release, pitch, velocity) for pitch in pitches]

    for bar in range(beats.start // per_bar, (beats.stop - 1) // per_bar + 1):
        degree = int(progression[bar % len(progression)]) - 1
        root, third, fifth = (key + styles.SCALES[mode][(degree + step) % 7] for step in (0, 2, 4))
        low = [within(_BASS_LOWEST, fifth if place == half else root) for place in bass_row]
        voicing = [within(_CHORDS_LOWEST, tone) for tone in (root, third, fifth)]
        play(bass, bass_row, bar, [[pitch] for pitch in low])
        play(chords, chord_row, bar, [voicing for _ in chord_row])
    programs = [int(rng.choice(styles.PROGRAMS[name][split])) for name in ("bass", family)]
    return [
        Part("bass", "bass", programs[0], tuple(bass)),
        Part("chords", family, programs[1], tuple(chords)),
    ]


def _make(
    id: str, recording: Recording, source: Source, start: int, bars: int, folder: Path
) -> Piece:
    """Arrange, render and dance one excerpt; write its audio and its motion."""
    score = arrange(id, recording, read_strokes(source, recording), start, bars)
    primary = recording.style.partition("/")[0]
    style = steps.ALIASES.get(recording.style, steps.ALIASES.get(primary, primary))
    return perform(
        folder,
        id,
        score,
        style,
        generator(id, 2),
        generator(id, 3),
        recording=recording.id,
        split=recording.split,
        bar=start,
    )
