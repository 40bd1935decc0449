"""What the dancers know: step patterns, arm motifs and the groove of each style."""

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """A way to set a foot down.

    Attributes:
        swing: time in the air before the landing, in beats.
        lift: height of the toes on the way, in metres.
        weight: share of the body weight that the foot takes on landing.
        free: the foot may leave the floor while the other one is in the air.
        rise: how much of the lift the whole body follows.
        kick: distance in metres that the foot shoots forward on its way.
    """

    swing: float
    lift: float
    weight: float
    free: bool = False
    rise: float = 0.0
    kick: float = 0.0


KINDS = {
    "": Kind(swing=0.75, lift=0.05, weight=0.72),
    "t": Kind(swing=0.6, lift=0.04, weight=0.3),
    "s": Kind(swing=0.7, lift=0.13, weight=0.75),
    "k": Kind(swing=1.6, lift=0.18, weight=0.7, kick=0.3),
    "h": Kind(swing=0.5, lift=0.07, weight=0.75, free=True, rise=0.9),
    "f": Kind(swing=0.9, lift=0.14, weight=0.72, free=True),
}
"""Plain step, tap, stomp, kick, hop on one foot, and a free foot carried through a hop."""


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

    Raises:
        ValueError: a token that is no step.
    """
    steps = []
    for token in text.split():
        match = _TOKEN.fullmatch(token)
        if match is None:
            raise ValueError(f"{token!r} is no step; write for example 2.5Rt:10,-20")
        beat, foot, kind, forward, side = match.groups(default="0")
        steps.append(
            Step(
                float(beat) - 1,
                "LR".index(foot),
                KINDS["" if kind in "0" else kind],
                int(forward) / 100,
                int(side) / 100,
            )
        )
    return Pattern(beats, tuple(steps))


def walk(beats_per_bar: int) -> Pattern:
    """A step on every beat for two bars, in any metre."""
    text = " ".join(f"{beat + 1}{'LR'[beat % 2]}" for beat in range(2 * beats_per_bar))
    return pattern(2 * beats_per_bar, text)


@dataclass(frozen=True)
class Arms:
    """A motif of both arms: shoulder flexion, abduction, inward twist and elbow, in degrees.

    Attributes:
        pose: angles that the motif moves about.
        swing: amplitudes of the movement.
        hit: what an accent of full strength adds.
        period: beats that one swing takes.
        opposed: the arms swing against each other.
    """

    pose: tuple[float, float, float, float]
    swing: tuple[float, float, float, float]
    hit: tuple[float, float, float, float] = (26, 14, 0, -18)
    period: float = 2
    opposed: bool = True


HANG = Arms((5, 8, 0, 15), (7, 0, 0, 5))
_WALK = Arms((8, 8, 5, 28), (24, 0, 0, 12))
_MARCH = Arms((2, 6, 0, 20), (36, 0, 0, 10), hit=(12, 4, 0, 8))
_GROOVE = Arms((25, 15, 18, 72), (14, 5, 6, 16))
_PUMP = Arms((48, 20, 15, 92), (22, 5, 0, 22), opposed=False)
_FRAME = Arms((58, 42, 35, 72), (3, 4, 0, 4), hit=(6, 6, 0, -8), period=6, opposed=False)
_WINGS = Arms((8, 68, -15, 30), (12, 14, 0, 10), period=4, opposed=False)
_POINT = Arms((55, 25, 0, 55), (48, 18, 0, -28), period=4)
_LATIN = Arms((22, 20, 28, 92), (14, 5, 10, 10))
_SKANK = Arms((42, 24, 25, 92), (22, 8, 0, 16))
_RAISED = Arms((118, 32, 0, 45), (20, 0, 0, 24), period=4, opposed=False)
_STILL = Arms((0, 4, 0, 6), (1, 0, 0, 1), hit=(3, 3, 0, 2))
_HEAVY = Arms((15, 14, 10, 45), (10, 6, 0, 14), hit=(32, 8, 0, 14), opposed=False)


_TOUCH = pattern(4, "1L:0,26 2Rt:0,20 3R 4Lt:0,6")
_SIDE = pattern(8, "1L:0,24 2R:0,20 3L:0,44 4Rt:0,38 5R:0,18 6L:0,24 7R 8Lt:0,6")
_STOMP = pattern(4, "1Ls:0,10 2Rt:6,4 3Rs:0,-10 4Lt:6,-4")
_LAZY = pattern(4, "1L:0,16 3R:0,-16")
_SHUFFLE = pattern(4, "1L:14,8 1.5R:-6,0 2L 3R:14,-8 3.5L:-6,0 4R")
_TOPROCK = pattern(4, "1L:22,-10 1.5R:-6,-6 2L 3R:22,10 3.5L:-6,6 4R")
_KICKS = pattern(4, "1L:4,0 3Rk:-18,0 4Lt:-26,0")
_BREAK = pattern(8, "1L:12,6 1.5R:-6,0 2.5L:-10,8 4R:12,-6 5R:-4,-10 5.5L:-6,0 7R:10,-6 8L")
_LINDY = pattern(8, "1L:-22,0 2R 3L:0,10 3.5R:0,6 4L:0,18 5R:18,8 6L:6,4 7R:0,-8 7.5L:0,-2 8R:0,-4")
_SALSA = pattern(8, "1L:26,0 2R 3L 5R:-26,0 6L 7R")
_MAMBO_SIDE = pattern(8, "1L:0,28 2R 3L 5R:0,-28 6L 7R")
_RUMBA = pattern(8, "1L:28,0 3R:28,-26 4L:28,-26 5R:0,-26 7L 8R")
_CHA_CHA = pattern(8, "1R 2L:24,0 3R 4L:0,14 4.5R:0,14 5L:0,28 6R:-24,28 7L:0,28 8R:0,14 8.5L:0,14")
_SAMBA = pattern(4, "1L:0,18 1.75R:-16,12 2L:0,16 3R:0,-18 3.75L:-16,-12 4R:0,-16")
_BOSSA = pattern(4, "1L:0,18 2Rt:4,12 2.5R:0,6 3R:0,-14 4Lt:4,-8 4.5L")
_DEMBOW = pattern(4, "1L:0,18 1.75Rt:0,14 2.5R:0,4 3R:0,-14 3.75Lt:0,-8 4.5L")
_TANGO = pattern(8, "1L:8,0 3R:14,0 5L:10,0 6R:4,-24 7Lt:4,-20")
_POLKA = pattern(4, "1Lf:14,6 1.5R:4,0 2L:12,4 2.5Lh:12,4 3Rf:14,-6 3.5L:4,0 4R:12,-4 4.5Rh:12,-4")
_BOX = pattern(6, "1L:30,0 2R:30,-30 3L:30,-30 4R:0,-30 5L 6R")
_BALANCE = pattern(6, "1L:0,28 2R:-12,20 3L:0,24 4R:0,-28 5L:-12,-20 6R:0,-24")
_HESITATE = pattern(6, "1L:22,0 2Rt:18,6 4R:-8,0 5Lt:-4,-6")
_JIG = pattern(4, "1Lf:8,4 1.67R:-6,0 2L:4,2 2.67Lh:4,2 3Rf:8,-4 3.67L:-6,0 4R:4,-2 4.67Rh:4,-2")
_SKIP = pattern(4, "1Lf 1.67Lh 2Rf 2.67Rh 3Lf 3.67Lh 4Rf 4.67Rh")
_ROCKING = pattern(4, "1L:0,18 2Rt:2,12 3R:0,-18 4Lt:2,-12")


@dataclass(frozen=True)
class Style:
    """How a style is danced.

    Attributes:
        patterns: steps to choose from, section by section.
        arms: arm motifs to choose from.
        bounce: depth in metres to which the body sinks, once every ``period`` beats.
        period: beats of one bounce.
        upbeat: the body rises on the beat instead of sinking.
        crouch: depth in metres of the bent knees between bounces.
        hips: roll and twist of the pelvis over the standing leg, in degrees.
        wave: body roll through the spine, in degrees, once every two bounces.
        lean: forward lean in degrees.
        nod: head nod in degrees, on each bounce.
        hit: share of an accent that trunk and arms show.
        legato: length of the steps in the air; below 1 they are staccato.
        travel: metres covered a bar.
        turn: degrees turned a bar.
        offbeat: place of the off-beat inside the beat; 0.5 is straight, 2/3 triplets.
        fastest: tempo in beats a minute above which it is danced in half time.
    """

    patterns: tuple[Pattern, ...]
    arms: tuple[Arms, ...]
    bounce: float = 0.035
    period: float = 1
    upbeat: bool = False
    crouch: float = 0.02
    hips: float = 3
    wave: float = 2
    lean: float = 2
    nod: float = 6
    hit: float = 1
    legato: float = 1
    travel: float = 0
    turn: float = 15
    offbeat: float = 0.5
    fastest: float = 150


def _latin(
    *patterns: Pattern, hips: float = 9, fastest: float = 225, bounce: float = 0.01
) -> Style:
    return Style(patterns, (_LATIN, _FRAME), bounce=bounce, hips=hips, nod=1, fastest=fastest)


_WALTZ = Style((_BOX, _BALANCE, _HESITATE), (_FRAME, _WINGS), bounce=0.04, period=3, crouch=0.0,
               hips=2, nod=0, hit=0.5, legato=1.2, turn=30, fastest=210)  # fmt: skip
_FOLK = Style((_JIG, _SKIP), (_STILL, _WINGS), bounce=0.02, crouch=0.0, hips=1, wave=0, lean=0,
              nod=1, hit=0.5, turn=20, fastest=180)  # fmt: skip

STYLES = {
    "house": Style((_SHUFFLE, _TOUCH, walk(4)), (_GROOVE, _PUMP, _RAISED), bounce=0.05, wave=7),
    "disco": Style((_TOUCH, _SIDE, _KICKS), (_POINT, _GROOVE, _PUMP), hips=6, turn=25),
    "funk": Style((_TOUCH, _SHUFFLE, _STOMP), (_GROOVE, _SKANK), crouch=0.05, hips=5, wave=6),
    "hip_hop": Style((_TOUCH, _TOPROCK, _LAZY), (_GROOVE, _HEAVY, _PUMP), bounce=0.065,
                     crouch=0.06, wave=6, lean=6, nod=12, hit=1.3),
    "breakbeat": Style((_TOPROCK, _BREAK, _KICKS), (_GROOVE, _SKANK), bounce=0.04, crouch=0.05,
                       lean=8, hit=1.3, turn=30),
    "drum_and_bass": Style((_BREAK, _SHUFFLE, _STOMP), (_SKANK, _PUMP), crouch=0.05, lean=8),
    "rock": Style((_STOMP, _TOUCH, _LAZY), (_HEAVY, _PUMP, _RAISED), nod=16, lean=5, hit=1.2),
    "shuffle": Style((_TOUCH, _SHUFFLE), (_GROOVE, _WALK), offbeat=0.66, upbeat=True, fastest=170),
    "swing": Style((_LINDY, _KICKS), (_WALK, _WINGS, _GROOVE), offbeat=0.64, lean=7, turn=30,
                   fastest=215),
    "waltz": _WALTZ,
    "viennese_waltz": Style((_BOX, _BALANCE), (_FRAME,), bounce=0.02, period=3, crouch=0.0, hips=1,
                            nod=0, hit=0.3, turn=75, fastest=225),
    "tango": Style((_TANGO,), (_FRAME,), bounce=0.0, crouch=0.045, hips=1, wave=0, nod=0, hit=0.6,
                   legato=0.5, travel=0.45, turn=30),
    "cha_cha": _latin(_CHA_CHA, fastest=150),
    "rumba": _latin(_RUMBA, _MAMBO_SIDE, hips=11, fastest=150, bounce=0.0),
    "samba": _latin(_SAMBA, bounce=0.03, fastest=130),
    "bossa_nova": _latin(_BOSSA, _LAZY, hips=6, fastest=170),
    "salsa": _latin(_SALSA, _MAMBO_SIDE, hips=8),
    "merengue": _latin(walk(4), _SIDE, hips=11, fastest=180),
    "reggae": Style((_LAZY, _ROCKING, _STOMP), (_SKANK, _HEAVY), bounce=0.06, upbeat=True,
                    crouch=0.05, wave=6, lean=6),
    "reggaeton": Style((_DEMBOW, _LAZY), (_GROOVE, _LATIN), bounce=0.04, crouch=0.06, hips=9,
                       wave=6),
    "polka": Style((_POLKA,), (_FRAME, _WINGS), bounce=0.02, crouch=0.0, wave=0, travel=0.35,
                   turn=45, fastest=145),
    "jig": _FOLK,
    "blues": Style((_ROCKING, _LAZY, _TOUCH), (_HEAVY, _GROOVE), hips=5, wave=5, offbeat=0.66,
                   legato=1.2),
    "march": Style((walk(4),), (_MARCH,), bounce=0.02, crouch=0.0, hips=1, wave=0, lean=0, nod=0,
                   hit=0.4, travel=1.3, turn=50, fastest=160),
}  # fmt: skip
"""Steps and groove by style name."""

BY_BAR = {
    2: Style((_ROCKING, _JIG), (_WALK, _GROOVE), fastest=180),
    3: _WALTZ,
    4: Style((_TOUCH, walk(4), _LAZY), (_GROOVE, _WALK)),
}
"""What is danced to an unknown style, by beats a bar; other bars are walked."""
