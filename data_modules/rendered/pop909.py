"""POP909: piano arrangements of Chinese pop songs, performed by this project and danced to.

Source: Wang, Chen, Jiang, Zhang, Xu, Dai, Bin and Xia, "POP909: A Pop-song Dataset for Music
Arrangement Generation" (ISMIR 2020). Melody, second melody ("bridge"), piano and their tempo curves
are human. The instruments are a soundfont's, and half of the songs have drums and a bass by this
project: a groove on the true beats, and the piano's lowest note on every stroke of the bass drum.
Pedals are left out.

Beats and bars are those of ``beat_midi.txt``. Bars of other lengths stand between regular ones in
most songs, and some annotations are a beat late or early. An excerpt therefore has regular bars
only and is taken where the notes confirm the annotation; songs without such a place are left out.
How is said in ``docs/decisions/rendered_data.md``.
"""

import io
import math
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import mode
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from motionbeat.data_modules.base import (
    Annotation,
    Beats,
    DatasetCard,
    Metre,
    MotionFile,
    Split,
    Tempo,
)
from motionbeat.data_modules.generated import Piece, Recipe
from motionbeat.data_modules.rendered.rendering import (
    MARGIN,
    TAIL,
    Excerpts,
    Source,
    generator,
    perform,
    timed,
    unrated,
)
from motionbeat.data_modules.rendered.synthesis import styles
from motionbeat.data_modules.rendered.synthesis.arranger import (
    Score,
    gather_accents,
    slip,
    within,
)
from motionbeat.data_modules.rendered.synthesis.render import Note, Part

if TYPE_CHECKING:
    from mido import MidiFile, MidiTrack

_SONGS = tuple(f"{number:03}" for number in range(1, 701))
_VERSIONS = {"018": "017", "103": "101", "666": "492"}  # share runs of 20 steps of the melody

_EARLY = 1 / 16  # of a beat by which a note may come before the beat it belongs to
_UNEVEN = 0.2  # share by which a beat may be longer or shorter than the song's median
_LOOSE = 0.02  # of a beat that onsets may be beside its quarters or thirds, in the median
_LOW = 52  # MIDI key below which a note of the piano is bass
_BASS_LOWEST = 31
_JITTER = 0.003  # seconds
_TOUCH = 0.03  # seconds from which on a note of the piano sounds under a stroke

_PLAYERS = {  # track: role in the mix, instrument families
    "MELODY": ("lead", ("voice", "reed", "flute", "fiddle", "lead_synth", "brass")),
    "BRIDGE": ("chords", ("strings", "guitar", "mallet", "plucked")),
    "PIANO": ("chords", ("piano",)),
}
_BANDS = {  # beats a bar: styles whose grooves the drums play
    2: ("rock", "disco"),
    3: ("waltz",),
    4: ("rock", "disco", "funk", "hip_hop"),
}
_LOUD = {"lead": 0.4, "chords": 0.5, "bass": 0.6}  # share of a note in an accent
_STROKES = {36: 1.0, 37: 0.8, 38: 0.8, 39: 0.8}  # and of a stroke


@dataclass(frozen=True, eq=False)
class Song:
    """What the files of a song say."""

    id: str  # its number, three digits
    tracks: dict[str, tuple[Note, ...]]  # of MELODY, BRIDGE and PIANO, by onset
    beats: NDArray[np.float64]  # (n,) seconds
    downbeats: NDArray[np.int64]  # (k,) int, indices of the beats on which bars begin
    beats_a_bar: int  # in a regular bar, 2 to 4

    def places(
        self, tracks: tuple[str, ...] = tuple(_PLAYERS), below: int = 128
    ) -> NDArray[np.float64]:
        """(m,) onsets of notes below a key, in beats from the first; none outside of the beats."""
        onsets = np.array([
            note.start for name in tracks for note in self.tracks[name] if note.pitch < below
        ])  # fmt: skip
        onsets = onsets[(onsets >= self.beats[0]) & (onsets <= self.beats[-1])]
        places: NDArray[np.float64] = np.interp(onsets, self.beats, np.arange(len(self.beats)))
        return places

    def windows(self, seconds: float) -> list[range]:
        """The beats of every longest run of regular bars that lasts no more than some seconds."""
        steps = np.diff(self.beats)
        even = np.abs(steps / np.median(steps) - 1) < _UNEVEN
        bars = [range(*pair) for pair in zip(self.downbeats, self.downbeats[1:], strict=False)]
        regular = [
            len(bar) == self.beats_a_bar and even[bar.start : bar.stop].all() for bar in bars
        ]
        runs = []
        for first, bar in enumerate(bars):
            stop = first
            while (
                stop < len(bars)
                and regular[stop]
                and self.beats[bars[stop].stop] - self.beats[bar.start] <= seconds
            ):
                stop += 1
            runs.append(range(bar.start, bar.start + (stop - first) * self.beats_a_bar))
        longest = max(map(len, runs))
        return [run for run in runs if len(run) >= max(longest - self.beats_a_bar, 1)]

    def confirms(self, window: range) -> bool:
        """Whether the notes lie on the beats of a window and the bass on its downbeats."""
        places = self.places()
        inside = places[(places >= window.start - _EARLY) & (places < window.stop - _EARLY)]
        if not len(inside):
            return False
        loose = min(
            float(np.median(np.abs(inside * parts - np.rint(inside * parts)))) / parts
            for parts in (4, 3)
        )
        bass = self.places(("PIANO",), below=_LOW)
        nearest = np.rint(bass[np.abs(bass - np.rint(bass)) < _EARLY])
        struck = np.isin(window, nearest).reshape(-1, self.beats_a_bar).mean(axis=0)
        beside = max(struck[1], struck[-1])
        strongest = struck[0] == struck.max() and struck[0] > beside
        return bool(loose <= _LOOSE and struck[0] >= 0.5 and strongest)


class Pop909(Excerpts):
    """Excerpts of pop songs with beats, bars and a dance.

    Splits share no song, instrument program, groove or drum kit.
    """

    card = DatasetCard(
        name="pop909",
        revision="1",
        annotations=(Beats, Tempo, Metre, MotionFile),
        licence=(
            "MIT (arrangements and annotations); the compositions are commercial songs: render "
            "them locally, never pass the audio on; rendered with TimGM6mb.sf2 (GPL-2.0)"
        ),
        citation=(
            "Z. Wang, K. Chen, J. Jiang, Y. Zhang, M. Xu, S. Dai, G. Bin, G. Xia, POP909: A "
            "Pop-song Dataset for Music Arrangement Generation, ISMIR 2020"
        ),
        size="632 excerpts of up to 30 s (4.9 h), each with a dance; 1.2 GB, made from 6 MB",
        how_to_get=(
            "put the folder POP909 of https://github.com/music-x-lab/POP909-Dataset, or a "
            "pop909.zip with it, into a folder and set MOTIONBEAT_DATA to that folder"
        ),
        splits=(
            "ours, as none is published: by a hash of the song's number; drums and bass, mix and "
            "soundfont come from the arranger and renderer of groovebox and groove_midi, which the "
            "motionbeat encoders are trained on"
        ),
        data="rendered",
        renderer="motionbeat",
    )
    places = ("POP909", "pop909.zip")

    def ids(self) -> tuple[str, ...]:
        """All songs, by number; a song that is left out is a piece without excerpts."""
        return _SONGS

    def recipes(self) -> dict[str, Recipe]:
        """The songs, by number."""
        source = self.source
        return {song: partial(_make, song, source, self.seconds, self.excerpts) for song in _SONGS}

    def entries(self, id: str, piece: Piece) -> Iterator[tuple[str, dict[str, Any]]]:
        """The excerpts of a song."""
        for number, labels in enumerate(piece.labels["excerpts"]):
            yield f"{id}-{number}", labels

    def describe(self, id: str, labels: dict[str, Any]) -> tuple[Split, str, Sequence[Annotation]]:
        """The split of a song's number, and the song."""
        song = id.partition("-")[0]
        return split_of(song), group_of(song), ()


def group_of(song: str) -> str:
    """The number under which all versions of a song go."""
    return _VERSIONS.get(song, song)


def split_of(song: str) -> Split:
    """The split that a song and its versions are in, by its number."""
    tenth = zlib.crc32(group_of(song).encode()) % 10
    return "train" if tenth < 8 else "validation" if tenth == 8 else "test"


def read_song(source: Source, id: str) -> Song:
    """The notes, beats and bars of a song by its number, three digits."""
    name = f"{id}/beat_midi.txt"
    try:
        times, halves, bars = np.loadtxt(io.BytesIO(source.content(name)), ndmin=2).T
        if not (np.diff(times, prepend=-1e-9) > 0).all():
            raise ValueError("beats that do not increase")
    except ValueError as error:
        raise source.fault(name, "is malformed") from error
    for column in (bars, halves):
        downbeats = np.flatnonzero(column == 1)
        if len(downbeats) > 1 and (usual := mode(np.diff(downbeats).tolist())) in (2, 3, 4):
            return Song(id, _read_tracks(source, f"{id}/{id}.mid"), times, downbeats, usual)
    raise source.fault(name, "has no bars of 2, 3 or 4 beats")


def choose_excerpts(song: Song, seconds: float, excerpts: int) -> list[range]:
    """The beats of excerpts that do not overlap and whose notes confirm the annotation.

    The first excerpts are the same however many are asked for.
    """
    windows = song.windows(seconds - MARGIN)
    chosen: list[range] = []
    for turn in generator(song.id, 0).permutation(len(windows)):
        window = windows[turn]
        apart = all(window.stop <= other.start or other.stop <= window.start for other in chosen)
        if apart and song.confirms(window):
            chosen.append(window)
        if len(chosen) == excerpts:
            break
    return chosen


def arrange(id: str, song: Song, window: range) -> Score:
    """Some bars of a song on instruments of its split, perhaps with drums and a bass.

    The id decides on instruments, band and silence before the first beat.
    """
    rng, split = generator(id, 1), split_of(song.id)
    clock = song.beats[window.start : window.stop + 1]
    lead_in = rng.uniform(0.2, MARGIN - TAIL)
    shift = lead_in - float(clock[0])
    clock = clock + shift
    early = _EARLY * float(np.median(np.diff(clock)))
    tracks = {
        name: tuple(
            replace(note, start=note.start + shift, end=min(note.end + shift, float(clock[-1])))
            for note in notes
            if lead_in - early <= note.start + shift < clock[-1] - early
        )
        for name, notes in song.tracks.items()
    }
    parts = []
    for name, (role, families) in _PLAYERS.items():
        family = str(rng.choice(families))
        program = int(rng.choice(styles.PROGRAMS[family][split]))
        if tracks[name]:
            parts.append(Part(role, family, program, tracks[name]))
    if rng.random() < 0.5:
        parts += _play_along(tracks["PIANO"], clock, song.beats_a_bar, split, rng)
    onsets = sorted((note.start, _loudness(part, note)) for part in parts for note in part.notes)
    return Score(
        style="pop",
        metre=f"{song.beats_a_bar}/4",
        bpm=60 / float(np.median(np.diff(clock))),
        duration=math.floor((float(clock[-1]) + TAIL) * 100) / 100,
        beats=clock[:-1],
        positions=np.arange(len(window)) % song.beats_a_bar + 1,
        accents=gather_accents(onsets),
        parts=tuple(parts),
        cues=unrated(rng),
    )


def _play_along(
    piano: tuple[Note, ...],
    clock: NDArray[np.float64],
    beats_a_bar: int,
    split: Split,
    rng: np.random.Generator,
) -> list[Part]:
    """Drums in a groove, and a bass that plays the piano's lowest note with the bass drum."""
    style = styles.STYLES[str(rng.choice(_BANDS[beats_a_bar]))]
    rows = style.rows(int(rng.choice(styles.GROOVES[split])))
    parts = style.steps // styles.count_beats(style.metre)[1]  # of a beat
    loudness = rng.uniform(0.75, 1.0)
    strokes: list[Note] = []
    bass: list[Note] = []
    for step in range((len(clock) - 1) * parts):
        onset, later = np.interp([step / parts, step / parts + 0.9], np.arange(len(clock)), clock)
        for name, row in rows.items():
            sign = row[step % len(row)]
            if sign == "." or name not in styles.DRUMS:
                continue
            start = onset + slip(rng, _JITTER)
            velocity = int(np.clip(loudness * rng.normal(styles.LOUDNESS[sign], 5), 1, 127))
            strokes.append(Note(start, float(later), styles.DRUMS[name], velocity))
            sounding = [note.pitch for note in piano if note.start < start + _TOUCH < note.end]
            if name == "kick" and sounding:
                bass.append(
                    Note(start, float(later), within(_BASS_LOWEST, min(sounding)), velocity)
                )
    kit = styles.KITS["acoustic"][split]
    band = [Part("drums", "drums", kit, tuple(strokes))]
    if bass:
        program = int(rng.choice(styles.PROGRAMS["bass"][split]))
        band.append(Part("bass", "bass", program, tuple(bass)))
    return band


def _loudness(part: Part, note: Note) -> float:
    """How much a note makes of an accent."""
    share = _STROKES.get(note.pitch, 0.3) if part.drums else _LOUD[part.role]
    return share * note.velocity / 127


def _make(id: str, source: Source, seconds: float, excerpts: int, folder: Path) -> Piece:
    """Arrange, render and dance the excerpts of a song; write their audio and their motion."""
    song = read_song(source, id)
    pieces = [
        perform(
            folder,
            name := f"{id}-{number}",
            arrange(name, song, window),
            "pop",
            generator(name, 2),
            generator(name, 3),
            beat=window.start,
        )
        for number, window in enumerate(choose_excerpts(song, seconds, excerpts))
    ]
    files = tuple(file for piece in pieces for file in piece.files)
    return Piece(files, {"excerpts": [piece.labels for piece in pieces]})


def _read_tracks(source: Source, name: str) -> dict[str, tuple[Note, ...]]:
    """The notes of the three tracks, each in the order of their onsets."""
    file = source.midi(name)
    clock = _clock(file)
    tracks = {
        track.name: tuple(sorted(_notes(track, clock), key=lambda note: note.start))
        for track in file.tracks
        if track.name in _PLAYERS
    }
    if absent := [track for track in _PLAYERS if not tracks.get(track)]:
        raise source.fault(name, f"has no notes of {', '.join(absent)}")
    return tracks


def _clock(file: "MidiFile") -> Callable[[int], float]:
    """Seconds of a tick, by the tempos of all tracks."""
    import mido

    merged = list(timed(mido.merge_tracks(file.tracks)))
    changes = sorted((tick, each.tempo) for tick, each in merged if each.type == "set_tempo")
    ticks, seconds, tempo = [0], [0.0], 500_000  # microseconds a quarter until another is set
    for tick, following in [*changes, (merged[-1][0] + 1, 0)]:
        seconds.append(seconds[-1] + (tick - ticks[-1]) * tempo / 1e6 / file.ticks_per_beat)
        ticks.append(tick)
        tempo = following
    return lambda tick: float(np.interp(tick, ticks, seconds))


def _notes(track: "MidiTrack", clock: Callable[[int], float]) -> Iterator[Note]:
    """The notes of a track; a key that is struck again ends its last note."""
    sounding: dict[int, tuple[int, int]] = {}
    for tick, message in timed(track):
        if message.type in ("note_on", "note_off"):
            if message.note in sounding:
                start, velocity = sounding.pop(message.note)
                yield Note(clock(start), clock(tick), message.note, velocity)
            if message.type == "note_on" and message.velocity:
                sounding[message.note] = tick, message.velocity
