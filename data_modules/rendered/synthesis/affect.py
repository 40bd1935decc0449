"""Rule-derived valence and arousal: sums of six musical cues, not ratings by listeners.

Eerola, Friberg & Bresin, "Emotional expression in music: contribution, linearity, and additivity of
primary musical cues" (Frontiers in Psychology 4:487, 2013) found that mode, tempo, register,
dynamics, articulation and timbre, ranked in this order over all emotions, contribute to perceived
emotion almost linearly and without interaction. The rule takes from there its six cues and its
form, a plain sum. The weights are this project's own: mode leads valence, tempo and dynamics lead
arousal.
"""

from typing import NamedTuple


class Cues(NamedTuple):
    """The six primary cues, each in [-1, 1]."""

    mode: float  # dark to bright (minor to major)
    tempo: float  # slow to fast
    register: float  # low to high
    dynamics: float  # soft to loud
    articulation: float  # legato to staccato
    timbre: float  # dull to bright


VALENCE = Cues(0.45, 0.2, 0.15, 0.0, 0.15, 0.05)
AROUSAL = Cues(0.0, 0.35, 0.05, 0.3, 0.15, 0.15)
"""Weights of the cues in valence and in arousal; each set sums to 1."""


def affect(cues: Cues) -> tuple[float, float]:
    """Valence and arousal of a piece, both in [-1, 1]."""

    def rated(weights: Cues) -> float:
        return round(sum(weight * cue for weight, cue in zip(weights, cues, strict=True)), 6)

    return rated(VALENCE), rated(AROUSAL)
