"""What the dancers know: step patterns, arm motifs and the groove of each style.

They are written in ``dances.toml``.
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Kind:
    """A way to set a foot down."""

    swing: float  # time in the air before the landing, in beats
    lift: float  # height of the toes on the way, in metres
    weight: float  # share of the body weight that the foot takes on landing
    free: bool = False  # the foot may leave the floor while the other one is in the air
    rise: float = 0.0  # how much of the lift the whole body follows
    kick: float = 0.0  # distance in metres that the foot shoots forward on its way


@dataclass(frozen=True)
class Step:
    """One landing: ``beat`` from the start of the pattern, foot 0 left or 1 right, metres."""

    beat: float
    foot: int
    kind: Kind
    forward: float
    side: float


@dataclass(frozen=True)
class Pattern:
    """A cycle of steps ``beats`` beats long."""

    beats: int
    steps: tuple[Step, ...]


_TOKEN = re.compile(r"([\d.]+)([LR])([tskhf]?)(?::(-?\d+),(-?\d+))?")


def pattern(beats: int, text: str) -> Pattern:
    """Read a pattern: ``2.5Rt:10,-20`` lands the right foot as a tap halfway into beat 2.

    The numbers after the colon say where, in centimetres forward and to the left of the place
    where that foot stands at rest; without them it lands there.
    """
    steps = [
        Step(
            float(beat) - 1,
            "LR".index(foot),
            KINDS[kind],
            int(ahead or 0) / 100,
            int(side or 0) / 100,
        )
        for beat, foot, kind, ahead, side in _TOKEN.findall(text)
    ]
    return Pattern(beats, tuple(steps))


def walk(beats_per_bar: int) -> Pattern:
    """A step on every beat for two bars, in any metre."""
    text = " ".join(f"{beat + 1}{'LR'[beat % 2]}" for beat in range(2 * beats_per_bar))
    return pattern(2 * beats_per_bar, text)


@dataclass(frozen=True)
class Arms:
    """A motif of both arms: shoulder flexion, abduction, inward twist and elbow, in degrees."""

    pose: tuple[float, float, float, float]  # angles that the motif moves about
    swing: tuple[float, float, float, float]  # amplitudes of the movement
    hit: tuple[float, float, float, float] = (26, 14, 0, -18)  # what the strongest accent adds
    period: float = 2  # beats that one swing takes
    opposed: bool = True  # the arms swing against each other


@dataclass(frozen=True)
class Style:
    """How a style is danced."""

    patterns: tuple[Pattern, ...]  # steps to choose from, section by section
    arms: tuple[Arms, ...]  # arm motifs to choose from
    bounce: float = 0.035  # depth in metres to which the body sinks, once every ``period`` beats
    period: float = 1  # beats of one bounce
    upbeat: bool = False  # the body rises on the beat instead of sinking
    crouch: float = 0.02  # depth in metres of the bent knees between bounces
    hips: float = 3  # roll and twist of the pelvis over the standing leg, in degrees
    wave: float = 2  # body roll through the spine, in degrees, once every two bounces
    lean: float = 2  # forward lean in degrees
    nod: float = 6  # head nod in degrees, on each bounce
    hit: float = 1  # share of an accent that trunk and arms show
    legato: float = 1  # length of the steps in the air; below 1 they are staccato
    travel: float = 0  # metres covered a bar
    turn: float = 15  # degrees turned a bar
    offbeat: float = 0.5  # place of the off-beat inside the beat; 0.5 is straight, 2/3 triplets
    fastest: float = 150  # tempo in beats a minute above which it is danced in half time


@dataclass(frozen=True)
class Dancer:
    """One dancer's body and habits."""

    height: float  # stature in metres
    lag: float  # seconds behind the music; negative for one who anticipates it
    jitter: float  # standard deviation of the timing of single steps, in seconds
    size: float  # size of steps and gestures, 1 on average
    bounce: float  # springiness, 1 on average
    arms: float  # activity of the arms, 1 on average
    lazy: float  # probability of leaving out a step
    pace: float  # octaves by which the music seems faster than it is: above 0 tends to half time
    backbeat: float  # taste for accents on the backbeat (1) or on the downbeat (-1)
    mirrored: bool  # starts with the other foot, and hits with the left arm
    turns: float  # how much of the style's turning and travel is danced, 1 on average


def _style(patterns: list[str], arms: list[str], **groove: Any) -> Style:
    return Style(tuple(PATTERNS[p] for p in patterns), tuple(ARMS[a] for a in arms), **groove)


_TABLES = tomllib.loads(Path(__file__).with_name("dances.toml").read_text(encoding="utf-8"))

KINDS = {letter: Kind(**kind) for letter, kind in _TABLES["kinds"].items()}
PATTERNS = {name: pattern(*written) for name, written in _TABLES["patterns"].items()}
ARMS = {name: Arms(**motif) for name, motif in _TABLES["arms"].items()}

STYLES = {name: _style(**style) for name, style in _TABLES["styles"].items()}
"""Steps and groove by style name."""

BY_BAR = {int(beats): _style(**style) for beats, style in _TABLES["by_bar"].items()}
BY_BAR[3] = STYLES["waltz"]
"""What is danced to an unknown style, by beats a bar; other bars are walked."""

ALIASES: Mapping[str, str] = _TABLES["aliases"]
"""The dance to styles, or primary and secondary styles, of drumming that go by other names."""

DANCERS = tuple(Dancer(**dancer) for dancer in _TABLES["dancers"])
"""The dancers to choose from; ``dance`` takes an index."""
