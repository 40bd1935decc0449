"""Dance metrics by name, each at the frame rate of its published numbers."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from motionbeat.audio import load_audio, resample
from motionbeat.motion import Motion, MotionError
from motionbeat.tasks.madmom import MADMOM_SAMPLE_RATE, madmom_beats
from motionbeat.tasks.metrics import dance_alignment as alignment
from motionbeat.tasks.metrics import dance_physics as physics
from motionbeat.tasks.metrics.dance_alignment import Music
from motionbeat.tasks.metrics.dance_features import (
    Positions,
    geometric_features,
    kinetic_features,
)
from motionbeat.tasks.metrics.per_track import Floats

Better = Literal["higher", "lower", "as real"]

FEATURES_FPS = alignment.ALIGNMENT_FPS["fact"]
"""Frames per second of the kinetic and geometric features."""

SHORTEST = 20 / 30
"""Shortest time between the first and the last frame of a motion, in seconds: a motion beat is a
minimum among 21 frames, here at 30 frames per second."""


@dataclass(frozen=True)
class BeatScore:
    """A score that compares a dance with the beats of a piece of music.

    Attributes:
        better: which values are better.
        fps: frames per second at which it is computed.
        sigma: width of its tolerance in seconds; NaN if it has none.
        variant: variant of the motion beats.
        of: function of motion beats, length in frames, and beats of the music in seconds.
    """

    better: Better
    fps: float
    sigma: float
    variant: alignment.Variant
    of: Callable[[alignment.Frames, int, Floats], float]

    def pairs(
        self, motions: Sequence[Motion], songs: Sequence[Music], own: Sequence[int]
    ) -> alignment.PairScores:
        """Scores of every dance with its own music (by index) and with every other piece."""
        positions = [motion.at(self.fps) for motion in motions]
        moves = [alignment.motion_beats(one, self.variant) for one in positions]
        lengths = [len(one) for one in positions]
        return alignment.pair_scores(self.of, self.fps, moves, lengths, songs, own)


BEAT_SCORES: dict[str, BeatScore] = {
    f"BAS {variant}": BeatScore(
        "higher",
        fps,
        alignment.SIGMA / fps,
        variant,
        partial(alignment.beat_alignment_score, variant=variant),
    )
    for variant, fps in alignment.ALIGNMENT_FPS.items()
} | {
    "beat coverage": BeatScore("as real", 60.0, float("nan"), "fact", alignment.beat_coverage),
    "beat hit rate": BeatScore("higher", 60.0, alignment.HIT, "fact", alignment.beat_hit_rate),
}
"""Beat scores by name."""

PHYSICAL_SCORES: dict[str, tuple[Better, Callable[[Positions], float]]] = {
    "PFC": ("lower", physics.physical_foot_contact),
    "foot sliding": ("lower", physics.foot_sliding_ratio),
    "penetration mm": ("lower", physics.penetration),
    "float mm": ("as real", physics.floating),
    "jerk m/s³": ("as real", partial(physics.jerk, fps=physics.PFC_FPS)),
    "bone drift %": ("lower", physics.bone_length_drift),
}
"""Physical scores by name: which values are better, and a function of positions at ``PFC_FPS``."""

FEATURES: dict[str, Callable[[Positions], Floats]] = {
    "k legacy": lambda positions: kinetic_features(positions - positions[0, 0], variant="legacy"),
    "k fixed": partial(kinetic_features, fps=FEATURES_FPS),
    "g": geometric_features,
}
"""Features by name: functions of positions at ``FEATURES_FPS``."""


def estimate_beats(path: Path) -> Music:
    """Estimate the beats of a piece of music by madmom; empty if fewer than two are found.

    No encoder hears these beats, so they favour none.

    Raises:
        AudioError: the file is unreadable.
    """
    waveform = resample(*load_audio(path), MADMOM_SAMPLE_RATE)
    beats = madmom_beats(waveform).beats
    return Music(beats if len(beats) > 1 else beats[:0], len(waveform) / MADMOM_SAMPLE_RATE)


def check_length(motion: Motion) -> None:
    """Check that a motion is long enough for every metric.

    Raises:
        MotionError: the motion is too short.
    """
    if (len(motion.positions) - 1) / motion.fps < SHORTEST - 1e-6:
        raise MotionError(
            f"{motion.duration:.2f} s of motion; the beat scores need at least "
            f"{SHORTEST + 1 / 30:.1f} s, drop the clip"
        )
