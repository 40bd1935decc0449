"""The arranger: a style and a seed become a score with exact beats and labels."""

import itertools
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from motionbeat.data_modules.base import SPLITS, Split
from motionbeat.data_modules.rendered.synthesis import styles
from motionbeat.data_modules.rendered.synthesis.affect import Cues
from motionbeat.data_modules.rendered.synthesis.render import Note, Part

_TICKS = 24  # a beat, of the tempo curve
_TOGETHER = 0.03  # seconds within which onsets are one accent
_VELOCITY = 96  # of notes written as digits
_BRIGHT_MODES = {"major": 1.0, "mixolydian": 0.6, "blues": 0.3, "dorian": -0.5, "minor": -1.0}
_BACKBEAT = ("snare", "clap", "stick")
_BACKGROUND = ("hat", "shaker", "ride", "tamb", "pedal", "guiro", "block")
_FILLS = {"latin": ("timbale", "conga", "timbale", "tumba")}
_ROCK_FILL = ("snare", "high_tom", "tom", "floor")
_BASS_LOWEST, _CHORDS_LOWEST, _LEAD_LOWEST = 31, 52, 58
_INTROS = ({"drums"}, {"chords", "pad"}, {"bass", "chords"}, {"light", "bass"}, {"lead", "bass"})
_BREAKS = ({"bass", "chords", "lead"}, {"drums", "chords"}, {"drums", "bass"}, {"chords", "lead"})
_PADS = ("strings", "voice", "pad_synth", "organ")
_JITTER = {"drums": 0.0025, "bass": 0.004, "chords": 0.006, "lead": 0.006, "pad": 0.006}  # seconds
_ACCENT = {"bass": 0.6, "chords": 0.5, "lead": 0.4, "pad": 0.1}


@dataclass(frozen=True, eq=False)
class Score:
    """An arranged piece; times in seconds."""

    style: str  # name of the style
    metre: str  # time signature
    bpm: float  # beats a minute, the median over the piece
    duration: float  # length with the tail
    beats: NDArray[np.float64]  # (n,) all beats
    positions: NDArray[np.int64]  # (n,) place of each beat in its bar, 1 is the downbeat
    accents: NDArray[np.float64]  # (k, 2) time and strength in [0, 1] of everything that sounds
    parts: tuple[Part, ...]  # the parts; those without a note are left out
    cues: Cues  # what the emotion rule reads; dynamics and timbre also shape the mix
    tags: frozenset[str] = frozenset()  # free tags
    used: dict[str, Any] = field(default_factory=dict)  # what it took from the pools, as JSON

    def programs(self, drums: bool) -> list[int]:
        """Programs of the drum kits, or of the other instruments."""
        return [part.program for part in self.parts if part.drums == drums]


def generator(seed: int, split: Split, style: str, index: int, stage: int) -> np.random.Generator:
    """The random numbers of one stage of one piece, whatever else is made."""
    return np.random.default_rng(
        [seed, SPLITS.index(split), zlib.crc32(style.encode()), index, stage]
    )


def compose(style: str, split: Split, index: int, seed: int, seconds: float = 24.0) -> Score:
    """Arrange one piece of a style in whole bars of about so many seconds.

    It draws grooves, progressions, rhythms and instruments from the pools of its split. Seed,
    split, style and index decide on everything.
    """
    return _Arranger(style, split, index, generator(seed, split, style, index, 0), seconds).score()


def gather_accents(onsets: Iterable[tuple[float, float]]) -> NDArray[np.float64]:
    """Merge onsets (time, strength), ordered by time, that sound together; the strongest has 1.

    Returns:
        (k, 2) times and strengths.
    """
    moments: list[list[float]] = []
    for time, strength in onsets:
        if moments and time - moments[-1][0] < _TOGETHER:
            moments[-1][1] += strength
        else:
            moments.append([time, strength])
    merged = np.array(moments)
    merged[:, 1] /= merged[:, 1].max()
    return merged


def within(lowest: int, pitch: int) -> int:
    """The pitch of the same name in the octave from the lowest up."""
    return lowest + (pitch - lowest) % 12


def slip(rng: np.random.Generator, spread: float) -> float:
    """Seconds by which a player misses the beat."""
    return float(np.clip(rng.normal(0, spread), -3 * spread, 3 * spread))


@dataclass(frozen=True)
class _Event:
    """A note before the performers' inaccuracy: onset and length in beats."""

    role: str
    beat: float
    length: float
    pitch: int
    velocity: float
    accent: float


class _Arranger:
    def __init__(
        self, name: str, split: Split, index: int, rng: np.random.Generator, seconds: float
    ) -> None:
        self.name, self.split, self.rng = name, split, rng
        self.style = style = styles.STYLES[name]
        self.groove = styles.GROOVES[split][index % len(styles.GROOVES[split])]
        self.rows = style.rows(self.groove)
        self.beats = styles.count_beats(style.metre)[1]
        self.per_beat = style.steps // self.beats

        bpm = float(rng.uniform(*style.bpm))
        self.bars = max(2, round((seconds - 1.5) * bpm / 60 / self.beats))
        self.pickup = int(rng.integers(0, self.beats)) if rng.random() < 0.4 else 0
        self.ending = bool(rng.random() < 0.6)
        self.lead_in = float(rng.uniform(0.1, 1.2)) if rng.random() < 0.5 else 0.03
        drifts = rng.random() < 0.25
        self.drift = float(rng.choice([-1, 1]) * rng.uniform(0.03, 0.06)) if drifts else 0.0
        self.swing = float(rng.uniform(style.swing[0], style.swing[1])) if style.swing else None
        self.clock = self._clock(bpm, arch=bool(rng.random() < 0.5))

        self.mode = str(rng.choice(style.modes))
        self.key = int(rng.integers(12))
        self.progression = str(rng.choice(styles.PROGRESSIONS[self.mode][split]))
        degrees = itertools.islice(itertools.cycle(self.progression), self.bars + 1)
        self.chords = [self._chord(int(degree)) for degree in degrees]
        self.gate = float(rng.uniform(0.4, 1.0))
        self.level = float(rng.uniform(0.6, 1.1))
        self.brightness = float(rng.uniform(-1, 1))
        self.high = int(rng.integers(-4, 5))  # semitones the upper parts are moved by

        self.kit = styles.KITS[style.kit][split]
        turn = index + SPLITS.index(split)  # in turns, so that training hears every family
        chords = style.chords[turn % len(style.chords)]
        leads = [family for family in style.leads if family != chords]
        self.families = {"bass": "bass", "chords": chords, "lead": leads[turn % len(leads)]}
        if style.scene in ("electronic", "ballroom", "rock"):
            pads = [family for family in _PADS if family not in self.families.values()]
            self.families["pad"] = str(rng.choice(pads))
        self.programs = {
            role: int(rng.choice(styles.PROGRAMS[family][split]))
            for role, family in self.families.items()
        }
        rhythms = styles.RHYTHMS[style.metre][str(style.steps)][split]
        self.rhythms = [str(rhythm) for rhythm in rng.choice(rhythms, 3)]
        self.drums = bool(rng.random() >= style.drumless)
        self.layers = self._form()

    def _clock(self, bpm: float, arch: bool) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Beats and seconds of the tempo curve: an arch or a ramp, in plain arithmetic."""
        beats = self.pickup + self.bars * self.beats + 2
        ticks = np.arange(beats * _TICKS + 1) / _TICKS
        progress = ticks[:-1] / beats
        curve = 4 * progress * (1 - progress) if arch else 2 * progress - 1
        lengths = 60 / (bpm * (1 + self.drift * curve)) / _TICKS
        return ticks, self.lead_in + np.concatenate([[0.0], np.cumsum(lengths)])

    def _time(self, beat: float) -> float:
        return float(np.interp(beat, *self.clock))

    def _beat(self, bar: int, step: float) -> float:
        """Place of a step of a bar in beats, swung."""
        whole, inside = divmod(step, self.per_beat)
        fraction = inside / self.per_beat
        if self.swing is not None:
            fraction = (
                (0.0, self.swing / 2, self.swing)[int(inside)]
                if self.per_beat == 3
                else (inside + (inside % 2) * (2 * self.swing - 1)) / self.per_beat
            )
        return self.pickup + bar * self.beats + whole + fraction

    def _chord(self, degree: int) -> tuple[int, ...]:
        """Four chord tones in semitones above the tonic, stacked in thirds."""
        scale = styles.SCALES[self.mode]
        places = [degree - 1 + 2 * third for third in range(4)]
        tones = [scale[place % 7] + 12 * (place // 7) for place in places]
        if self.mode == "blues":
            tones = [tones[0] + interval for interval in (0, 4, 7, 10)]
        elif self.mode == "minor" and degree == 5:
            tones[1] += 1  # the leading tone of the harmonic minor
        return tuple(tones)

    def _form(self) -> list[set[str]]:
        """The roles that play in each bar: perhaps an intro and a break around the whole band."""
        band = {"drums", "bass", "chords", "lead"}
        if self.rng.random() < 0.5:
            band.add("pad")
        layers = [set(band) for _ in range(self.bars)]
        intro = _INTROS[int(self.rng.integers(len(_INTROS)))]
        for bar in range(min(int(self.rng.integers(0, 3)), self.bars // 4)):
            layers[bar] = set(intro)
        pause = band & _BREAKS[int(self.rng.integers(len(_BREAKS)))]
        if self.bars >= 6 and self.rng.random() < 0.6:
            first = self.bars // 2
            for bar in range(first, first + int(self.rng.integers(1, 3))):
                layers[bar] = set(pause)
        for layer in layers:
            if not self.drums:
                layer -= {"drums", "light"}
                layer |= {"bass", "chords"}  # somebody must keep time
        return layers

    def score(self) -> Score:
        """Write all parts and perform them."""
        events = sorted(
            [*self._drums(), *self._bass(), *self._harmony(), *self._pads(), *self._lead(),
             *self._pickup(), *self._ending()],
            key=lambda event: (event.role, event.beat, event.pitch),
        )  # fmt: skip
        count = self.pickup + self.bars * self.beats + self.ending
        beats = np.interp(np.arange(count, dtype=np.float64), *self.clock)
        positions = (np.arange(count) - self.pickup) % self.beats + 1
        end = self._time(self.pickup + self.bars * self.beats)
        duration = round(end + (1.8 if self.ending else 0.6), 2)
        parts = tuple(self._perform(events, duration))
        bpm = 60 / float(np.median(np.diff(beats)))
        cues = self._cues(bpm, events)
        return Score(
            style=self.name,
            metre=self.style.metre,
            bpm=bpm,
            duration=duration,
            beats=beats,
            positions=positions.astype(np.int64),
            accents=self._accents(events),
            parts=parts,
            cues=cues,
            tags=self._tags(bpm, cues, drums=parts[0].drums),
            used={
                "groove": f"{self.name}-{self.groove}",
                "progression": self.progression,
                "mode": self.mode,
                "key": self.key,
                "rhythms": self.rhythms,
                "swing": self.swing,
                "drift": self.drift,
                "pickup": self.pickup,
            },
        )

    def _strokes(self, row: str, bar: int) -> Iterator[tuple[int, int, str]]:
        """Step, steps to the next stroke, and sign of the strokes of a row in a bar."""
        steps = self.style.steps
        start = bar * steps % len(row)
        signs = row[start : start + steps]
        struck = [step for step, sign in enumerate(signs) if sign != "."]
        for step, following in zip(struck, [*struck[1:], steps], strict=False):
            yield step, following - step, signs[step]

    def _event(
        self, role: str, beat: float, steps: float, pitch: int, loud: float, accent: float = 0.0
    ) -> _Event:
        loudness = loud * self.level * float(self.rng.normal(1.0, 0.06))
        accent = accent or _ACCENT[role]
        return _Event(role, beat, steps / self.per_beat, pitch, loudness, accent * loud / 127)

    def _stroke(self, drum: str, beat: float, loud: float) -> _Event:
        accent = 1.0 if drum in ("kick", "floor") else 0.8 if drum in _BACKBEAT else 0.3
        loud *= 0.75 if drum in _BACKGROUND else 1.0
        return self._event("drums", beat, self.per_beat, styles.DRUMS[drum], loud, accent)

    def _drums(self) -> Iterator[_Event]:
        """The groove with its fills; a light bar leaves the background alone."""
        rows = {drum: row for drum, row in self.rows.items() if drum in styles.DRUMS}
        background = [drum for drum in rows if drum in _BACKGROUND]
        if len(rows) > 3 and background and self.rng.random() < 0.4:
            del rows[str(self.rng.choice(background))]
        light = {drum: row for drum, row in rows.items() if drum in _BACKGROUND}
        crash = False
        for bar, layer in enumerate(self.layers):
            if crash and "drums" in layer:
                yield self._stroke("crash", self._beat(bar, 0), 100)
            last = bar == self.bars - 1 or layer != self.layers[bar + 1]
            chance = 0.6 if bar % 4 == 3 or last else 0.0
            fill = "drums" in layer and self.rng.random() < chance
            crash = fill and self.rng.random() < 0.7
            length = self.per_beat * int(self.rng.integers(1, 3)) if fill else 0
            playing = rows if "drums" in layer else light if "light" in layer else {}
            for drum, row in playing.items():
                for step, _, sign in self._strokes(row, bar):
                    if step < self.style.steps - length:
                        yield self._stroke(drum, self._beat(bar, step), styles.LOUDNESS[sign])
            if fill:
                yield from self._fill(bar, length)

    def _fill(self, bar: int, length: int) -> Iterator[_Event]:
        drums = _FILLS.get(self.style.scene, _ROCK_FILL)
        for step in range(length):
            if self.rng.random() < 0.75:
                drum = drums[step * len(drums) // length]
                beat = self._beat(bar, self.style.steps - length + step)
                yield self._stroke(drum, beat, float(self.rng.uniform(80, 115)))

    def _bars(self, role: str) -> list[int]:
        return [bar for bar, layer in enumerate(self.layers) if role in layer]

    def _bass(self) -> Iterator[_Event]:
        for bar in self._bars("bass"):
            root = self._bass_root(bar)
            lowest, *_ = chord = self.chords[bar]
            tones = dict(zip("13578", [*(tone - lowest for tone in chord), 12], strict=True))
            for step, steps, sign in self._strokes(self.rows["bass"], bar):
                pitch = self._bass_root(bar + 1) - 1 if sign == "a" else root + tones[sign]
                length = min(steps, 2 * self.per_beat) * (0.5 + self.gate / 2)
                yield self._event("bass", self._beat(bar, step), length, pitch, _VELOCITY)

    def _bass_root(self, bar: int) -> int:
        return within(_BASS_LOWEST, self.key + self.chords[bar][0])

    def _voicing(self, bar: int) -> list[int]:
        tones = self.chords[bar][: 4 if self.style.sevenths else 3]
        lowest = _CHORDS_LOWEST + self.high
        return sorted(within(lowest, self.key + tone) for tone in tones)

    def _harmony(self) -> Iterator[_Event]:
        for bar in self._bars("chords"):
            voicing = self._voicing(bar)
            arpeggio = dict(zip("135", voicing, strict=False)) | {"8": voicing[0] + 12}
            for step, steps, sign in self._strokes(self.rows["chord"], bar):
                beat = self._beat(bar, step)
                if sign.isdigit():
                    yield self._event("chords", beat, steps * 1.5, arpeggio[sign], _VELOCITY)
                    continue
                length = steps * 0.95 if sign == "=" else min(steps, self.per_beat) * self.gate
                for pitch in voicing:
                    yield self._event("chords", beat, length, pitch, styles.LOUDNESS[sign])

    def _pads(self) -> Iterator[_Event]:
        for bar in self._bars("pad") if "pad" in self.families else ():
            for pitch in self._voicing(bar):
                yield self._event("pad", self._beat(bar, 0), self.style.steps, pitch, 70)

    def _lead(self) -> Iterator[_Event]:
        """Four-bar phrases a b a c: each bar its rhythm and contour, bent to the chords."""
        contours = [self.rng.integers(-2, 3, self.style.steps) for _ in self.rhythms]
        place = 4
        for bar, layer in enumerate(self.layers):
            which = (0, 1, 0, 2)[bar % 4]
            tones = {(self.key + tone) % 12 for tone in self.chords[bar]}
            for step, steps, _ in self._strokes(self.rhythms[which], bar):
                place += int(contours[which][step])
                place = place if 0 <= place <= 10 else 4 + int(np.sign(place - 4)) * 2
                if step % self.per_beat == 0:
                    place = self._nearest(place, tones)
                if "lead" in layer:
                    length = min(steps, 2 * self.per_beat) * self.gate
                    loud = 104 if step % self.per_beat == 0 else 92
                    pitch = self._lead_pitch(place)
                    yield self._event("lead", self._beat(bar, step), length, pitch, loud)

    def _nearest(self, place: int, tones: set[int]) -> int:
        """The nearest place of the scale with one of the tones, if there is one close by."""
        near = (place, place + 1, place - 1, place + 2, place - 2)
        return next((at for at in near if self._lead_pitch(at) % 12 in tones), place)

    def _lead_pitch(self, place: int) -> int:
        tonic = within(_LEAD_LOWEST + self.high, self.key)
        return tonic + styles.SCALES[self.mode][place % 7] + 12 * (place // 7)

    def _pickup(self) -> Iterator[_Event]:
        """A run of the melody or a few strokes into the first bar."""
        for beat in range(self.pickup):
            if self.drums and "drums" in self.layers[0]:
                yield self._stroke("snare", beat, 90)
            else:
                yield self._event("lead", beat, self.per_beat * self.gate,
                                  self._lead_pitch(4 + beat - self.pickup), 92)  # fmt: skip

    def _ending(self) -> Iterator[_Event]:
        """The last downbeat, held."""
        if not self.ending:
            return
        beat = self._beat(self.bars, 0)
        if self.drums:
            yield self._stroke("kick", beat, 112)
            yield self._stroke("crash", beat, 96)
        yield self._event("bass", beat, 1.5 * self.per_beat, self._bass_root(self.bars), 100)
        for pitch in self._voicing(self.bars):
            yield self._event("chords", beat, 1.5 * self.per_beat, pitch, 96)

    def _perform(self, events: list[_Event], duration: float) -> Iterator[Part]:
        """Notes in seconds, each a few milliseconds beside its place, drums first."""
        for role in ("drums", *self.families):
            spread = _JITTER[role]
            notes = []
            for event in events:
                if event.role == role:
                    start = max(0.0, self._time(event.beat) + slip(self.rng, spread))
                    end = min(max(self._time(event.beat + event.length), start + 0.04), duration)
                    velocity = int(min(max(event.velocity, 1), 127))
                    notes.append(Note(start, end, event.pitch, velocity))
            if notes:
                family = self.families.get(role, "drums")
                yield Part(role, family, self.programs.get(role, self.kit), tuple(notes))

    def _accents(self, events: list[_Event]) -> NDArray[np.float64]:
        """Strength of what sounds on each beat or between, (k, 2); the strongest has 1."""
        strengths: dict[float, float] = {}
        for event in events:
            strengths[event.beat] = strengths.get(event.beat, 0.0) + event.accent
        beats = np.array(sorted(strengths))
        strength = np.array([strengths[beat] for beat in beats])
        return np.stack([np.interp(beats, *self.clock), strength / strength.max()], axis=1)

    def _cues(self, bpm: float, events: list[_Event]) -> Cues:
        upper = [event.pitch for event in events if event.role in ("chords", "lead")]
        return Cues(
            mode=_BRIGHT_MODES[self.mode],
            tempo=_unit((bpm - 115) / 65),
            register=_unit((float(np.mean(upper)) - 63) / 8),
            dynamics=_unit((self.level - 0.85) / 0.25),
            articulation=_unit((0.7 - self.gate) / 0.3),
            timbre=self.brightness,
        )

    def _tags(self, bpm: float, cues: Cues, drums: bool) -> frozenset[str]:
        return frozenset({
            self.style.scene,
            {"3/4": "triple", "6/8": "compound", "12/8": "compound"}.get(self.style.metre, "duple"),
            "slow" if bpm < 90 else "medium" if bpm < 130 else "fast",
            "swung" if self.swing is not None and self.swing > 0.55 else "straight",
            "major" if cues.mode > 0 else "minor",
            "drums" if drums else "no_drums",
            *({"staccato"} if cues.articulation > 0.4 else set()),
            *({"legato"} if cues.articulation < -0.4 else set()),
            *({"loud"} if cues.dynamics > 0.4 else set()),
            *({"quiet"} if cues.dynamics < -0.4 else set()),
            *({"bright"} if cues.timbre > 0.4 else set()),
            *({"dark"} if cues.timbre < -0.4 else set()),
        })  # fmt: skip


def _unit(value: float) -> float:
    return min(max(value, -1.0), 1.0)
