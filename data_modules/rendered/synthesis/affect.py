"""Rule-derived valence and arousal: sums of six musical cues, not ratings by listeners.

Eerola, Friberg & Bresin, "Emotional expression in music: contribution, linearity, and additivity of
primary musical cues" (Frontiers in Psychology 4:487, 2013) found that mode, tempo, register,
dynamics, articulation and timbre, ranked in this order over all emotions, contribute to perceived
emotion almost linearly and without interaction. The rule takes from there its six cues and its
form, a plain sum. The weights are this project's own: mode leads valence, tempo and dynamics lead
arousal.
"""

from dataclasses import astuple, dataclass


@dataclass(frozen=True)
class Cues:
    """The six primary cues, each in [-1, 1]."""

    mode: float  # dark to bright (minor to major)
    tempo: float  # slow to fast
    register: float  # low to high
    dynamics: float  # soft to loud
    articulation: float  # legato to staccato
    timbre: float  # dull to bright


VALENCE = Cues(
    mode=0.45, tempo=0.2, register=0.15, dynamics=0.0, articulation=0.15, timbre=0.05
)  # fmt: skip
"""Weights of the cues in valence; they sum to 1."""

AROUSAL = Cues(
    mode=0.0, tempo=0.35, register=0.05, dynamics=0.3, articulation=0.15, timbre=0.15
)  # fmt: skip
"""Weights of the cues in arousal; they sum to 1."""


def affect(cues: Cues) -> tuple[float, float]:
    """Valence and arousal of a piece, both in [-1, 1]."""
    return _weighted(VALENCE, cues), _weighted(AROUSAL, cues)


def _weighted(weights: Cues, cues: Cues) -> float:
    values: zip[tuple[float, float]] = zip(astuple(weights), astuple(cues), strict=True)
    return round(sum(weight * cue for weight, cue in values), 6)
