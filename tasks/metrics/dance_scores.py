"""The metrics of dances by name, each at the frame rate that its published numbers have."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from motionbeat.audio import load_audio, resample
from motionbeat.model import AUDIO_FRAME_RATE, SAMPLE_RATE
from motionbeat.motion import Motion, MotionError
from motionbeat.pretraining.pairs import audio_inputs
from motionbeat.tasks.metrics import dance

Better = Literal["higher", "lower", "as real"]
Positions = NDArray[np.float32]
Times = NDArray[np.float64]

FEATURES_FPS = dance.ALIGNMENTS["fact"].fps
"""Frames a second of the kinetic and geometric features."""

SHORTEST = 20 / 30
"""Seconds between the first and the last frame of a motion at least: the 21 frames in which a beat
is looked for, at 30 frames a second."""


@dataclass(frozen=True)
class BeatScore:
    """A score of a dance beside the beats of a piece of music.

    Attributes:
        better: which way is better.
        fps: frames a second.
        sigma: width of its tolerance in seconds, NaN where it has none.
        variant: of the motion beats.
        of: the score of (motion beats, frames of the motion, seconds of the music's beats).
    """

    better: Better
    fps: float
    sigma: float
    variant: dance.Variant
    of: Callable[[NDArray[np.int64], int, Times], float]

    def table(self, motions: Sequence[Motion], songs: Sequence[Times]) -> Times:
        """(motions, songs) score of every dance to every piece of music."""
        rows = []
        for motion in motions:
            positions = motion.at(self.fps)
            moves = dance.motion_beats(positions, self.variant)
            rows.append([self.of(moves, len(positions), beats) for beats in songs])
        return np.array(rows, np.float64).reshape(len(motions), len(songs))


BEAT_SCORES: dict[str, BeatScore] = {
    f"BAS {variant}": BeatScore(
        "higher",
        settings.fps,
        settings.sigma,
        variant,
        lambda moves, length, beats, variant=variant: dance.alignment(  # type: ignore[misc]
            moves, length, beats, variant=variant
        ),
    )
    for variant, settings in dance.ALIGNMENTS.items()
} | {
    "beat coverage": BeatScore("as real", 60.0, float("nan"), "fact", dance.coverage),
    "beat hit rate": BeatScore("higher", 60.0, dance.HIT, "fact", dance.hit_rate),
}

PHYSICAL_SCORES: dict[str, tuple[Better, Callable[[Positions], float]]] = {
    "PFC": ("lower", dance.physical_foot_contact),
    "foot sliding": ("lower", dance.foot_sliding_ratio),
    "penetration mm": ("lower", lambda p: dance.penetration(p, dance.floor_height(p))),
    "float mm": ("as real", lambda p: dance.floating(p, dance.floor_height(p))),
    "jerk m/s³": ("as real", partial(dance.jerk, fps=dance.PFC_FPS)),
    "bone drift %": ("lower", dance.bone_length_drift),
}
"""By name: which way is better, and the score of positions at ``dance.PFC_FPS``."""

FEATURES: dict[str, Callable[[Positions], Times]] = {
    "k legacy": lambda positions: dance.kinetic_features(
        positions - positions[0, 0], variant="legacy"
    ),
    "k fixed": partial(dance.kinetic_features, fps=FEATURES_FPS),
    "g": dance.geometric_features,
}
"""By name: features of positions at ``FEATURES_FPS``."""


def hear(path: Path) -> Times:
    """Seconds of the beats heard in a piece of music; none where there is no beat.

    Raises:
        AudioError: the file is unreadable.
    """
    _, envelope, grid = audio_inputs(resample(*load_audio(path), SAMPLE_RATE))
    seconds = len(envelope) / AUDIO_FRAME_RATE
    if not grid.has_beat:
        return np.zeros(0)
    times: Times = grid.times[(grid.times >= 0) & (grid.times < seconds)]
    return times


def check_length(motion: Motion) -> None:
    """Check that a motion is long enough for every metric.

    Raises:
        MotionError: it is not.
    """
    if (len(motion.positions) - 1) / motion.fps < SHORTEST - 1e-6:
        raise MotionError(
            f"{motion.duration:.2f} s of motion; the beat scores look at windows of "
            f"{SHORTEST + 1 / 30:.1f} s, drop the clip"
        )
