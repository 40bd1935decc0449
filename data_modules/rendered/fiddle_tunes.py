"""Fiddle tunes: the human-composed dance tunes of Ryan's Mammoth Collection, rendered.

Source: William Bradbury Ryan, *Ryan's Mammoth Collection: 1050 Reels and Jigs* (Boston, 1883),
transcribed to ABC by John Chambers and others, as it stands in the corpus of music21. The notes,
the metre, the bars and the dance type are human; tempo, expression, instruments and accompaniment
are the project's own.

What a beat is, and what is left out, is said in ``docs/decisions/rendered_data.md``.
"""

import math
import re
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from importlib.metadata import distribution
from itertools import chain, islice, pairwise, zip_longest
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from motionbeat.console import bar
from motionbeat.data_modules import generated
from motionbeat.data_modules.base import (
    SPLITS,
    Annotation,
    Beats,
    DatasetCard,
    DatasetError,
    Genre,
    Metre,
    Split,
    Tempo,
)
from motionbeat.data_modules.generated import Piece, Recipe
from motionbeat.data_modules.rendered.rendering import Rendered
from motionbeat.data_modules.rendered.synthesis.arranger import slip, within
from motionbeat.data_modules.rendered.synthesis.render import (
    Note,
    Part,
    normalise,
    render,
    write_audio,
)
from motionbeat.data_modules.rendered.synthesis.styles import count_beats

Clock = Callable[[float], float]  # seconds of a place counted in beats


@dataclass(frozen=True)
class Dance:
    """How a dance type is played."""

    metres: tuple[str, ...]  # time signatures it is notated in
    tempo: tuple[float, float]  # slowest and fastest, in beats a minute
    accents: tuple[int, ...]  # velocity added in equal parts of the beat, the first on the beat


DANCES = {
    "reel": Dance(("2/4", "2/2"), (104, 120), (10, -6, 4, -6)),
    "hornpipe": Dance(("2/4", "2/2"), (76, 96), (12, -10, 8, -10)),
    "jig": Dance(("6/8",), (104, 122), (12, -8, 2)),
    "slip jig": Dance(("9/8",), (108, 126), (10, -8, 4)),
    "strathspey": Dance(("4/4",), (108, 128), (14, -4)),
    "clog": Dance(("2/4", "2/2"), (70, 88), (14, -12, 6, -12)),
}
"""The dance types with enough tunes to learn from, in the order in which they take turns."""

_CHORDS = {  # mode: triads above the tonic, in semitones, the most usual first
    "major": ((0, 4, 7), (7, 11, 2), (5, 9, 0)),
    "minor": ((0, 3, 7), (10, 2, 5), (5, 8, 0)),
    "dorian": ((0, 3, 7), (10, 2, 5), (5, 9, 0)),
    "mixolydian": ((0, 4, 7), (10, 2, 5), (5, 9, 0)),
}
_LEADS = {  # melody instrument: General MIDI program, share of the tunes
    "fiddle": (40, 0.4),
    "flute": (73, 0.15),
    "accordion": (21, 0.15),
    "banjo": (105, 0.1),
    "piano": (0, 0.1),
    "whistle": (78, 0.1),
}
_ACCOMPANIMENTS = {"none": 0.4, "piano": 0.25, "guitar": 0.2, "feet": 0.15}
_CHORD_PROGRAMS = {"piano": 0, "guitar": 25}
_HEEL, _TOE = 36, 37  # bass drum and side stick

_OPENING = 12  # notes by which a tune is known
_SECONDS = 28.0  # music is cut at the last bar that ends before
_TAIL = 1.5  # seconds for the last notes to ring


@dataclass(frozen=True)
class Source:
    """A tune as it stands in the collection."""

    id: str  # name of its file without suffix
    abc: str  # text of the file
    family: str  # what its title shares with other settings of the tune
    dance: str  # name of its dance type
    metre: str  # time signature


@dataclass(frozen=True)
class Tune:
    """The notes of a tune, counted in beats from its first downbeat."""

    source: Source  # where it comes from
    # (onset, length, MIDI key) in the order of the onsets, which are negative in an upbeat
    notes: tuple[tuple[float, float, int], ...]
    start: float  # where the first bar or upbeat begins, at most 0
    end: float  # where the last bar ends
    tonic: int  # pitch class of the key, 0 is C
    mode: str  # one of major, minor, dorian, mixolydian

    @property
    def beats_per_bar(self) -> int:
        """Number of beats in a bar."""
        return count_beats(self.source.metre)[1]

    @property
    def opening(self) -> tuple[int, ...]:
        """Steps in semitones between the first notes: the same tune under another title or key."""
        keys = [key for onset, _, key in self.notes if onset >= 0][:_OPENING]
        return tuple(high - low for low, high in pairwise(keys))

    @property
    def goes_round(self) -> bool:
        """Whether the last bar and the upbeat make whole bars, so that it can be played again."""
        bars = (self.end - self.start) / self.beats_per_bar
        return abs(bars - round(bars)) < 1e-6

    def melody(self, beats: int) -> Iterator[tuple[float, float, int]]:
        """The notes up to a beat, from the beginning again after the end."""
        shift = 0.0
        while shift + self.start < beats:
            for onset, length, key in self.notes:
                if shift + onset < beats:
                    yield shift + onset, min(length, beats - shift - onset), key
            shift += self.end - self.start


class FiddleTunes(Rendered):
    """Human-composed tunes, rendered: beats, downbeats, metre and dance type.

    Every dance type has about the same number of tunes in every split. A tune stands once in the
    whole dataset, whatever its title, so no two splits share one. Tunes whose bars do not add up
    are left out.

    Args:
        train: number of tunes to train on.
        validation: number of tunes to validate on.
        test: number of tunes to test on.
        seed: of the choice of tunes and of how they are played.
        options: of every dataset.

    Raises:
        DatasetError: a size below 1 or a negative seed.
    """

    card = DatasetCard(
        name="fiddle_tunes",
        revision="1",
        annotations=(Beats, Tempo, Metre, Genre),
        licence="public domain (tunes, 1883); rendered with TimGM6mb (GPL-2.0)",
        citation=(
            "W. B. Ryan, Ryan's Mammoth Collection, Boston 1883; ABC by J. Chambers and others "
            "from music21 (Cuthbert and Ariza, ISMIR 2010)"
        ),
        size="168 human-composed tunes, rendered; 80 min, 250 MB",
        how_to_get="rendered on first use from the corpus of the music21 package",
        splits=(
            "ours, as none is published: every dance type in turn, a tune once; renderer and "
            "soundfont are those of groovebox and groove_midi, which the motionbeat encoders are "
            "trained on"
        ),
        data="rendered",
        renderer="motionbeat",
    )

    def __init__(
        self,
        *,
        train: int = 80,
        validation: int = 24,
        test: int = 64,
        seed: int = 0,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.sizes: dict[Split, int] = {"train": train, "validation": validation, "test": test}
        self.seed = seed
        if min(self.sizes.values()) < 1 or seed < 0:
            raise DatasetError("fiddle_tunes needs at least 1 tune a split and a seed from 0")

    @property
    def revision(self) -> str:
        """The card's revision, the sizes of the splits and the seed."""
        sizes = "-".join(str(self.sizes[split]) for split in SPLITS)
        return f"{self.card.revision}-{sizes}-seed{self.seed}"

    def ids(self) -> list[str]:
        """The tunes that are rendered; there is no telling which without reading the collection."""
        made = sorted(generated.read(self.folder))
        return made + ["?"] * (sum(self.sizes.values()) - len(made))

    def recipes(self) -> dict[str, Recipe]:
        """The chosen tunes."""
        # The test split comes first: it stays the same when more tunes are asked to train on.
        order: tuple[Split, ...] = ("test", "validation", "train")
        splits = [split for split in order for _ in range(self.sizes[split])]
        tunes = choose(read_sources(), len(splits), self.seed)
        return {
            tune.source.id: partial(_make, tune, split, self.seed)
            for tune, split in zip(tunes, splits, strict=True)
        }

    def describe(self, id: str, labels: dict[str, Any]) -> tuple[Split, str, Sequence[Annotation]]:
        """The split, what the titles of all settings of a tune share, and the dance type."""
        return labels["split"], labels["family"], [Genre(labels["dance"])]

    def prepare_data(self) -> None:
        """Render what is missing or damaged; when nothing is, the collection is not read."""
        if len(generated.intact(self.folder)) < sum(self.sizes.values()):
            super().prepare_data()


def read_sources(folder: Path | None = None) -> list[Source]:
    """The tunes of known dance types and their usual metres, by id, from a folder of ABC files."""
    if folder is None:
        folder = Path(str(distribution("music21").locate_file("music21/corpus/ryansMammoth")))
    sources = []
    for path in sorted(folder.glob("*.abc")):
        abc = path.read_text(encoding="utf-8", errors="replace")
        # Only the first of each: a second title is a remark.
        fields = dict(reversed(re.findall(r"^([TRM]):\s*(.*?)\s*$", abc, re.MULTILINE)))
        metre = {"C": "4/4", "C|": "2/2"}.get(fields.get("M", ""), fields.get("M", ""))
        dance = fields.get("R", "").lower()
        if dance in ("jig", "slipjig") and metre == "9/8":
            dance = "slip jig"
        family = re.sub(r"[^a-z0-9]", "", fields.get("T", path.stem).lower().split("--")[0])
        if dance in DANCES and metre in DANCES[dance].metres:
            sources.append(Source(path.stem, abc, family, dance, metre))
    if not sources:
        raise DatasetError(f"{folder}: no ABC tunes here; install the music21 package again")
    return sources


def read_tune(source: Source) -> Tune | None:
    """The notes of a tune; None when its file, repeats or lengths of bars are not sound."""
    from music21 import converter, stream
    from music21.exceptions21 import Music21Exception

    try:
        score = converter.parse(source.abc, format="abc")
        if not isinstance(score, stream.Score):  # several tunes
            return None
        written = score.parts[0]
        everything = written.recurse()
        signatures = {each.ratioString for each in everything.getElementsByClass("TimeSignature")}
        key = everything.getElementsByClass("Key").first()
        played = written.expandRepeats()
    except (Music21Exception, ValueError, IndexError):
        return None
    if signatures != {source.metre} or key is None or key.mode not in _CHORDS:
        return None
    beat, beats_per_bar = count_beats(source.metre)

    notes: list[tuple[float, float, int]] = []
    now = start = Fraction(0)
    for index, measure in enumerate(played.getElementsByClass("Measure")):
        length = _exactly(measure.duration.quarterLength) / beat
        if index == 0 and length < beats_per_bar:
            now = start = -length
        if length > beats_per_bar - now % beats_per_bar:
            return None
        for note in measure.notes:
            onset = float(now + _exactly(note.offset) / beat)
            sounds = float(_exactly(note.quarterLength) / beat)
            for pitch in note.pitches if sounds else ():
                tied = note.tie is not None and note.tie.type in ("stop", "continue")
                if tied and notes and notes[-1][2] == pitch.midi:
                    notes[-1] = (notes[-1][0], notes[-1][1] + sounds, pitch.midi)
                else:
                    notes.append((onset, sounds, pitch.midi))
        now += length
    tune = Tune(source, tuple(notes), float(start), float(now), key.tonic.pitchClass, key.mode)
    seconds = tune.end * 60 / DANCES[source.dance].tempo[1]
    return tune if notes and (tune.goes_round or seconds >= _SECONDS) else None


def choose(sources: list[Source], count: int, seed: int) -> list[Tune]:
    """Usable tunes, dance types in turn, every title and every opening once.

    Any run of them is as even over the dance types as can be, until a type has no more tunes.

    Raises:
        DatasetError: there are not so many.
    """
    rng = np.random.default_rng(seed)
    taken: set[str | tuple[int, ...]] = set()
    queues = []
    for dance in DANCES:
        own = [source for source in sources if source.dance == dance]
        queues.append(_usable([own[index] for index in rng.permutation(len(own))[::-1]], taken))
    tunes = islice(filter(None, chain.from_iterable(zip_longest(*queues))), count)
    with bar("tunes") as progress:
        chosen = list(progress.track(tunes, total=count, description="reading fiddle tunes"))
    if len(chosen) < count:
        raise DatasetError(
            f"fiddle_tunes: {count} tunes wanted, {len(chosen)} usable; ask for less"
        )
    return chosen


def _usable(sources: list[Source], taken: set[str | tuple[int, ...]]) -> Iterator[Tune]:
    """Sources that can be read, each with a new title and a new opening."""
    for source in sources:
        tune = None if source.family in taken else read_tune(source)
        if tune and tune.opening not in taken:
            taken |= {source.family, tune.opening}
            yield tune


def perform(tune: Tune, rng: np.random.Generator) -> tuple[list[Part], dict[str, Any]]:
    """Play whole bars of a tune: melody and perhaps accompaniment, and the performance's labels."""
    dance, per_bar = DANCES[tune.source.dance], tune.beats_per_bar
    period = 60 / rng.uniform(*dance.tempo)
    drift = rng.uniform(0.01, 0.03) if rng.random() < 0.5 else 0.0
    swell = rng.uniform(0, 2 * np.pi)
    silence = rng.uniform(0.2, 0.8)
    bars = int((_SECONDS - silence) / period + tune.start) // per_bar
    if not tune.goes_round:
        bars = min(bars, int(tune.end) // per_bar)
    beats = bars * per_bar

    counted = np.arange(-per_bar, beats + 1)
    periods = period * (1 + drift * np.sin(2 * np.pi * counted / max(beats, 1) + swell))
    clock = np.cumsum(periods) - periods[0]
    first = tune.notes[0][0]
    clock += silence - np.interp(first, counted, clock)

    def at(beat: float) -> float:
        return float(np.interp(beat, counted, clock))

    lead = str(rng.choice(list(_LEADS), p=[share for _, share in _LEADS.values()]))
    accompaniment = str(rng.choice(list(_ACCOMPANIMENTS), p=list(_ACCOMPANIMENTS.values())))
    loudness = rng.uniform(78, 92)
    notes = []
    for onset, length, key in tune.melody(beats):
        place = int(onset % 1 * len(dance.accents) + 1e-6)
        accent = dance.accents[place] + (6 if onset % per_bar < 1e-6 else 0)
        notes.append(_human(rng, at(onset), at(onset + 0.92 * length), key, loudness + accent))
    parts = [Part("lead", lead, _LEADS[lead][0], tuple(notes))]
    if accompaniment == "feet":
        parts.append(_feet(tune, beats, at, rng))
    elif accompaniment != "none":
        chords = _boom_chuck(tune, beats, at, rng)
        parts.append(Part("chords", accompaniment, _CHORD_PROGRAMS[accompaniment], chords, -5))
    heard = np.arange(math.ceil(first - 1e-6), beats)
    times = np.interp(heard, counted, clock)
    return parts, {
        "bpm": float(60 * (len(times) - 1) / (times[-1] - times[0])),
        "beats": times.tolist(),
        "positions": (heard % per_bar + 1).tolist(),
        "duration": at(beats) + _TAIL,
        "lead": lead,
        "accompaniment": accompaniment,
    }


def _exactly(quarters: float | Fraction) -> Fraction:
    """A length in quarters without the rounding of floats."""
    return Fraction(quarters).limit_denominator(960)


def _human(rng: np.random.Generator, start: float, end: float, key: int, velocity: float) -> Note:
    """A note as a player places it: some milliseconds off, some steps louder or softer."""
    start = max(0.0, start + slip(rng, 0.004))
    touch = int(np.clip(round(velocity + rng.normal(0, 4)), 1, 127))
    return Note(start, max(end, start + 0.03), key, touch)


def _off_beat(tune: Tune) -> float:
    """Where in a beat the second foot or the chord falls: the last third of a compound beat."""
    return 2 / 3 if tune.source.metre.endswith("/8") else 1 / 2


def _feet(tune: Tune, beats: int, at: Clock, rng: np.random.Generator) -> Part:
    """Heel on the beat, toe between the beats."""
    notes = []
    for beat in range(beats):
        for place, drum, velocity in ((beat, _HEEL, 80), (beat + _off_beat(tune), _TOE, 45)):
            notes.append(_human(rng, at(place), at(place + 0.2), drum, velocity))
    return Part("drums", "drums", 0, tuple(notes), gain_db=-5)


def _boom_chuck(tune: Tune, beats: int, at: Clock, rng: np.random.Generator) -> tuple[Note, ...]:
    """Bass on the beat and a chord after it; in bars of four they take the beats in turn."""
    notes = []
    weights = _pitch_classes(tune, beats)
    step = 2 if tune.beats_per_bar == 4 else 1
    chuck = 1.0 if step == 2 else _off_beat(tune)
    for beat in range(0, beats, step):
        in_bar = beat % tune.beats_per_bar
        chords = [[(tune.tonic + tone) % 12 for tone in chord] for chord in _CHORDS[tune.mode]]
        chord = max(chords, key=lambda chord: weights[beat // tune.beats_per_bar, chord].sum())
        bass = 36 + (chord[0] if in_bar == 0 else chord[2])
        notes.append(_human(rng, at(beat), at(beat + 0.8 * chuck), bass, 84))
        for tone in chord:
            after = at(beat + chuck), at(beat + chuck + 0.25)
            notes.append(_human(rng, *after, within(52, tone), 62))
    return tuple(notes)


def _pitch_classes(tune: Tune, beats: int) -> NDArray[np.float64]:
    """How long each pitch class sounds in each bar, (bars, 12) in beats."""
    weights = np.zeros((beats // tune.beats_per_bar, 12))
    for onset, length, key in tune.melody(beats):
        if onset >= 0:
            weights[int(onset) // tune.beats_per_bar, key % 12] += length
    return weights


def _make(tune: Tune, split: Split, seed: int, folder: Path) -> Piece:
    rng = np.random.default_rng([seed, zlib.crc32(tune.source.id.encode())])
    parts, labels = perform(tune, rng)
    name = f"{tune.source.id}.flac"
    write_audio(folder / name, normalise(render(parts, labels["duration"])))
    source = {name: getattr(tune.source, name) for name in ("family", "dance", "metre")}
    return Piece((name,), {"split": split, **source, **labels})
