"""What the arranger knows about music: dance styles, progressions, rhythms and instruments.

The tables stand in ``styles.toml``. What a listener could learn by heart (grooves, progressions,
melody rhythms, instruments, drum kits) comes in three pools, one a split, that share nothing.

A row of a groove is one bar or more of equal steps. In drum rows ``X`` is an accent, ``x`` a
stroke, ``o`` a ghost stroke and ``.`` silence. In ``bass`` and ``chord`` rows a digit is a tone of
the chord (``1`` root, ``3`` third, ``5`` fifth, ``7`` seventh, ``8`` octave), ``a`` the semitone
below the next root, ``x`` and ``X`` a short chord, and ``=`` a chord that is held.
"""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from motionbeat.data_modules.base import Split


@dataclass(frozen=True)
class Style:
    """A dance style."""

    scene: str  # broad family of styles, a tag
    metre: str  # time signature
    steps: int  # steps a bar in the rows of the grooves
    bpm: Sequence[int]  # slowest and fastest tempo
    kit: str  # family of drum kits
    modes: Sequence[str]  # scales it is played in
    chords: Sequence[str]  # instrument families that play its chords
    leads: Sequence[str]  # instrument families that play its melody
    grooves: Sequence[str]  # four patterns: two to train on, one for validation, one to test on
    # Range of the place of the off-beat step in its pair (steps of a quarter of a beat) or of the
    # last step in its beat (steps of a third); None is even.
    swing: Sequence[float] | None = None
    sevenths: bool = False  # whether its chords have four tones
    drumless: float = 0.0  # share of its pieces without drums

    def rows(self, groove: int) -> dict[str, str]:
        """The rows of a groove by drum, ``bass`` and ``chord``."""
        words = self.grooves[groove].split()
        return dict(zip(words[::2], words[1::2], strict=True))


def count_beats(metre: str) -> tuple[Fraction, int]:
    """Quarters a beat and beats a bar of a time signature.

    A beat is a dotted quarter in compound metres, else the lower number.
    """
    count, unit = map(int, metre.split("/"))
    if unit == 8 and count % 3 == 0:
        return Fraction(3, 2), count // 3
    return Fraction(4, unit), count


GROOVES: Mapping[Split, Sequence[int]] = {"train": (0, 1), "validation": (2,), "test": (3,)}
"""Which of a style's grooves a split uses."""

LOUDNESS = {"X": 112, "x": 92, "o": 52, "=": 88}
"""MIDI velocities of the signs in the rows of a groove."""

_TABLES = tomllib.loads(Path(__file__).with_name("styles.toml").read_text(encoding="utf-8"))

STYLES = {name: Style(**style) for name, style in _TABLES["styles"].items()}

DRUMS: Mapping[str, int] = _TABLES["drums"]
"""General MIDI keys of the drums."""

SCALES: Mapping[str, Sequence[int]] = _TABLES["scales"]
"""Semitones of the scale degrees; ``blues`` is mixolydian over twelve-bar progressions."""

KITS: Mapping[str, Mapping[Split, int]] = _TABLES["kits"]
"""Programs of the drum kits."""

PROGRAMS: Mapping[str, Mapping[Split, Sequence[int]]] = _TABLES["programs"]
"""General MIDI programs of the instrument families."""

PROGRESSIONS: Mapping[str, Mapping[Split, Sequence[str]]] = _TABLES["progressions"]
"""Scale degrees of the chords by mode."""

RHYTHMS: Mapping[str, Mapping[str, Mapping[Split, Sequence[str]]]] = _TABLES["rhythms"]
"""Rhythms of melodies by metre and steps a bar."""
