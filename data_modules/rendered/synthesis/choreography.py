"""Plans a dance: which foot lands where and when, by style, bar, accents and habits."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator
from scipy.ndimage import gaussian_filter1d

from motionbeat.data_modules.rendered.synthesis.skeleton import Floats
from motionbeat.data_modules.rendered.synthesis.steps import (
    BY_BAR,
    STYLES,
    Arms,
    Dancer,
    Kind,
    Pattern,
    Step,
    Style,
    walk,
)

NEAR = 0.07
"""Seconds within which an accent belongs to a step or a beat."""

STANDING = np.array([[0.07, 0.03], [-0.07, 0.03]])
"""(2, 2) places x and z of the left and right toes at rest, as fractions of height."""

SPLAY = np.radians([8.0, -8.0])
"""(2,) directions of the left and right foot at rest, in radians to the left."""

_PULL = 0.4  # share of the way from the planned time of a step to an accent close by


@dataclass(frozen=True)
class Music:
    """What a dancer hears."""

    beats: Floats  # (n,) seconds
    positions: NDArray[np.int64]  # (n,) positions in the bar, 1 on the downbeat
    accents: Floats  # (m, 2) onset times in seconds and strengths
    beats_a_bar: int  # beats in a full bar
    steps: Floats | None = None  # (k,) seconds to step at, in place of the times of a pattern


@dataclass(frozen=True)
class Clock:
    """The beats as this dancer feels them: late or early, and never twice the same."""

    seconds: PchipInterpolator  # of the number of a beat, counted from the first beat
    beat: PchipInterpolator  # the inverse
    period: float  # s
    count: int  # beats of the piece


def _listen(beats: Floats, person: Dancer, duration: float, rng: np.random.Generator) -> Clock:
    """Feel the beats, and go on counting for a second or more on either side of the piece."""
    period = float(np.median(np.diff(beats))) if len(beats) > 1 else 0.5
    drift = gaussian_filter1d(rng.normal(0, 1, len(beats)), 1.5, mode="nearest")
    felt = beats + person.lag + np.clip(1.5 * person.jitter * drift, -0.1 * period, 0.1 * period)
    before = np.arange(-max(int((felt[0] + 1) / period), 0) - 2, 0)
    after = np.arange(1, max(int((duration + 1 - felt[-1]) / period), 0) + 3)
    numbers = np.concatenate([before, np.arange(len(felt)), after + len(felt) - 1])
    times = np.concatenate([felt[0] + before * period, felt, felt[-1] + after * period])
    return Clock(
        PchipInterpolator(numbers, times), PchipInterpolator(times, numbers), period, len(beats)
    )


def _repertoire(name: str, beats_a_bar: int, period: float, person: Dancer) -> tuple[Style, float]:
    """The moves that fit the metre, and the beats of music that one beat of them takes."""
    style = STYLES.get(name, BY_BAR.get(beats_a_bar, BY_BAR[4]))
    tempo = 60 / period * 2**person.pace
    unit = 2.0 if tempo > style.fastest else 0.5 if tempo < 62 else 1.0
    for candidate in (style, BY_BAR.get(beats_a_bar, style)):
        for pace in (unit, 1.0):
            fitting = tuple(p for p in candidate.patterns if p.beats * pace % beats_a_bar == 0)
            if fitting:
                return replace(candidate, patterns=fitting), pace
    return replace(style, patterns=(walk(beats_a_bar),)), max(unit, 1.0)


@dataclass(frozen=True)
class Landing:
    """A foot that comes down: when, how, and where the toes go (x, z in metres)."""

    time: float
    foot: int
    kind: Kind
    toe: Floats
    yaw: float
    air: float  # s
    size: float


@dataclass(frozen=True)
class Plan:
    """A dance before anybody moves."""

    moves: Style  # the style, with the patterns that fit the music
    unit: float  # beats of music that one beat of the moves takes; 2 is half time
    clock: Clock  # the beats as felt
    landings: list[Landing]  # all steps in order of time
    motifs: list[tuple[float, Arms]]  # arm motifs with the second from which each one lasts
    downbeat: int  # number of the beat on which the dance starts
    start: float  # seconds
    end: float  # seconds


@dataclass(frozen=True)
class _Section:
    """A few bars of the same steps and arms."""

    start: int  # bar
    end: int
    steps: Pattern
    arms: Arms
    size: float
    turn: float  # radians a bar
    travel: float  # m a bar


def _section(
    bar: int, moves: Style, unit: float, person: Dancer, rng: np.random.Generator
) -> _Section:
    size = person.size * rng.uniform(0.85, 1.15)
    calm = person.turns / max(unit, 1)  # half the steps cannot go as far
    way = rng.choice([-1, 1]) if not moves.travel else 1  # the line of dance is anticlockwise
    return _Section(
        bar,
        bar + int(rng.choice([4, 4, 8])),
        moves.patterns[rng.integers(len(moves.patterns))],
        moves.arms[rng.integers(len(moves.arms))],
        size,
        np.radians(moves.turn) * calm * way * rng.uniform(0.4, 1),
        moves.travel * calm * size,
    )


def choreograph(
    music: Music, style: str, person: Dancer, duration: float, rng: np.random.Generator
) -> Plan:
    """Plan a dance to the music; pickups and, sometimes, the first bars are only listened to."""
    clock = _listen(music.beats, person, duration, rng)
    moves, unit = _repertoire(style, music.beats_a_bar, clock.period, person)
    bars = np.flatnonzero(music.positions == 1)
    asked = None if music.steps is None else _numbers(music.steps, music.beats)
    if len(bars) > 6:
        bars = bars[rng.integers(0, 3) :]
    heading, origin = 0.0, np.zeros(2)
    landings: list[Landing] = []
    sections: list[_Section] = []
    for bar, (first, end) in enumerate(zip(bars, [*bars[1:], clock.count], strict=True)):
        if not sections or bar == sections[-1].end:
            sections.append(_section(bar, moves, unit, person, rng))
        now = sections[-1]
        if rng.random() < person.lazy / 2:
            continue
        if asked is None:
            steps = _steps_of_bar(now, bar, music.beats_a_bar, unit, moves.offbeat)
        else:
            steps = _steps_at(now, asked, int(first), int(end))
        for beat, step in steps:
            nudge, chance = rng.normal(0, person.jitter), rng.random()
            if first + beat >= end or chance < person.lazy:
                continue
            moment = float(clock.seconds(first + beat))
            gap, strength = _accent_near(music.accents, moment - person.lag)
            size = now.size * (0.85 + 0.35 * strength)
            foot = 1 - step.foot if person.mirrored else step.foot
            side = -step.side if person.mirrored else step.side
            done = beat / music.beats_a_bar
            facing = heading + done * now.turn
            path = _turned(np.array([0, done * now.travel]), heading + done * now.turn / 2)
            place = STANDING[foot] * person.height + size * np.array([side, step.forward])
            landings.append(
                Landing(
                    moment + nudge + _PULL * gap,
                    foot,
                    step.kind,
                    origin + path + _turned(place, facing),
                    facing + SPLAY[foot],
                    step.kind.swing * moves.legato * unit * clock.period,
                    size,
                )
            )
        origin = origin + _turned(np.array([0, now.travel]), heading + now.turn / 2)
        heading += now.turn
    motifs = [(float(clock.seconds(bars[now.start])), now.arms) for now in sections]
    start, end = float(clock.seconds(bars[0])), float(clock.seconds(clock.count - 1))
    landings.sort(key=lambda landing: landing.time)
    return Plan(moves, unit, clock, landings, motifs, int(bars[0]), start, end)


def _steps_of_bar(
    section: _Section, bar: int, beats_a_bar: int, unit: float, offbeat: float
) -> list[tuple[float, Step]]:
    """Steps of one bar with their beats from its start, as often as the pattern fits."""
    length = section.steps.beats * unit
    start = (bar - section.start) * beats_a_bar
    found = []
    for cycle in range(int(start // length), int((start + beats_a_bar - 1e-9) // length) + 1):
        for step in section.steps.steps:
            whole, part = divmod(step.beat, 1)
            swung = np.interp(part, [0, 0.5, 1], [0, offbeat, 1])
            beat = cycle * length + (whole + swung) * unit - start
            if 0 <= beat < beats_a_bar:
                found.append((float(beat), step))
    return found


def _numbers(times: Floats, beats: Floats) -> Floats:
    """Numbers of beats, with fractions, of the times from the first to the last beat."""
    inside = times[(times >= beats[0]) & (times <= beats[-1])]
    numbers: Floats = np.interp(inside, beats, np.arange(len(beats)))
    return numbers


def _steps_at(section: _Section, numbers: Floats, first: int, end: int) -> list[tuple[float, Step]]:
    """Steps of a pattern, left and right in turn, on given beats of one bar, from its start."""
    of_foot = [[step for step in section.steps.steps if step.foot == foot] for foot in (0, 1)]
    found = []
    for index in np.flatnonzero((numbers >= first) & (numbers < end)):
        own = of_foot[index % 2]
        found.append((float(numbers[index] - first), own[index // 2 % len(own)]))
    return found


def _accent_near(accents: Floats, moment: float) -> tuple[float, float]:
    """Distance in seconds to the nearest accent and its strength; zeros when there is none."""
    if not len(accents):
        return 0.0, 0.0
    nearest = accents[np.argmin(np.abs(accents[:, 0] - moment))]
    gap = float(nearest[0] - moment)
    return (gap, float(nearest[1])) if abs(gap) < NEAR else (0.0, 0.0)


def _turned(place: Floats, yaw: float) -> Floats:
    """Turn (x, z) to the left by ``yaw``."""
    x, z = place
    return np.array([x * np.cos(yaw) + z * np.sin(yaw), z * np.cos(yaw) - x * np.sin(yaw)])
