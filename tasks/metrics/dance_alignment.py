"""Alignment of dances with the beats of their music, as computed by published code.

Numbers of different papers can be compared only if variant, frame rate, clip length and number of
clips are the same. A score means little without chance: the score of the same dance with other
music (:func:`pair_scores`).
"""

from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d
from scipy.signal import argrelextrema

from motionbeat.tasks.metrics.dance_features import Positions, clip
from motionbeat.tasks.metrics.per_track import Floats, mean_defined

Frames = NDArray[np.int64]
Variant = Literal["fact", "bailando", "edge30"]

HIT = 0.07
"""Seconds within which a motion beat hits a music beat, as in beat tracking."""

SIGMA = 3.0
"""Width of the Gaussian of all variants, in frames."""

_ORDER = 10  # frames before and after a minimum
_SMOOTHING = 5.0  # frames

ALIGNMENT_FPS: dict[Variant, float] = {"fact": 60.0, "bailando": 60.0, "edge30": 30.0}
"""Frames per second of the published numbers of each variant of the beat alignment score."""


class Music(NamedTuple):
    """Beats (n,) and duration of a recording, both in seconds; without beats there is no score."""

    beats: Floats
    duration: float


class Interval(NamedTuple):
    """A mean, and the 95 % percentile interval of the values that are averaged."""

    mean: float
    low: float
    high: float


def motion_beats(positions: Positions, variant: Variant = "fact") -> Frames:
    """Motion beats: the frames with a local minimum of the dancer's speed.

    ``fact`` and ``edge30``: strict minima within 10 frames before and after, of the summed joint
    displacement from the previous frame, Σ_j ‖p_j[t] − p_j[t−1]‖, 0 in the first frame, in float32.
    ``bailando``: strict local minima of the mean joint displacement to the next frame, smoothed by
    a Gaussian of 5 frames.

    Args:
        positions: (T, 24, 3) in SMPL joint order, with any up axis.
        variant: variant of the beat alignment score.

    Returns:
        (n,) frame indices, counted from 0, increasing.

    Raises:
        MotionError: wrong shape, fewer than 21 frames, or NaN.
    """
    ways = np.linalg.norm(np.diff(clip(positions, 2 * _ORDER + 1), axis=0), axis=2)
    if variant == "bailando":
        speed = gaussian_filter1d(ways.mean(axis=1), _SMOOTHING)
        return np.asarray(argrelextrema(speed, np.less)[0], np.int64)
    envelope = np.append(np.float32(0), ways.astype(np.float32).sum(axis=1))
    return np.asarray(argrelextrema(envelope, np.less, order=_ORDER)[0], np.int64)


def beat_alignment_score(
    moves: Frames, length: int, beats: Floats, variant: Variant = "fact"
) -> float:
    """Beat alignment score: how close motion beats are to the beats of the music.

    With the :func:`motion_beats` M, the frames B nearest to the music beats, and σ = 3 frames:

    * ``fact``, at 60 frames per second (σ = 0.05 s): the mean over m in M of exp(−min_b (m − b)² /
      2σ²). Beats after the end of the motion are ignored. Source: Li et al., "AI Choreographer",
      2021; ``tools/calculate_beat_scores.py`` of google-research/mint.
    * ``bailando``, at 60 frames per second: the mean over b in B of exp(−min_m (m − b)² /
      2σ²). Beats in the last frame or later are ignored. Source: Siyao et al., "Bailando", 2022;
      ``utils/beat_align_score.py`` of lisiyao21/Bailando.
    * ``edge30``: FACT's code with the same settings in frames, at 30 frames per second (σ = 0.1 s).
      Beats after the end of the motion count. Source: ``eval/calculate_beat_scores.py`` of
      Luke-Luo1/POPDG; EDGE has not published its code for this score.

    Faults of the published code, all reproduced: σ is fixed in frames; ``fact`` does not decrease
    if most music beats have no motion beat, and ``bailando`` increases with every additional
    minimum, including jitter; motion without minima scores 0; the speed is half a frame early.
    Motion that ignores the music scores about 0.22 with ``fact`` and 0.44 with ``edge30``. If a
    dance starts with seed frames that were not generated (120 for FACT), leave out the motion beats
    and music beats in them.

    Args:
        moves: (n,) :func:`motion_beats` of the variant.
        length: length of the motion in frames.
        beats: (m,) beats of the music in seconds from the first frame.
        variant: the variant; the motion must have its frame rate (``ALIGNMENT_FPS``).

    Returns:
        A score in [0, 1], higher for closer beats; NaN without a music beat, where the published
        code fails.
    """
    end = {"fact": length, "bailando": length - 1, "edge30": np.inf}[variant]
    frames = np.unique(np.round(beats * ALIGNMENT_FPS[variant]))
    frames = frames[(frames >= 0) & (frames < end)]
    if not len(frames):
        return float("nan")
    if not len(moves):
        return 0.0
    gaps = _gaps(frames, moves) if variant == "bailando" else _gaps(moves, frames)
    return float(np.exp(-(gaps**2) / (2 * SIGMA**2)).mean())


def beat_coverage(moves: Frames, length: int, beats: Floats, fps: float = 60.0) -> float:
    """Beat coverage: the number of motion beats per music beat; best if close to real dances.

    |M| / |B| with the :func:`motion_beats` of ``fact``. It does not compare times, and may exceed
    1. Source: Lee et al., "Dancing to Music", 2019, with other motion beats.

    Args:
        moves: (n,) :func:`motion_beats` of ``fact``.
        length: length of the motion in frames.
        beats: (m,) beats of the music in seconds from the first frame.
        fps: frames per second of the motion.

    Returns:
        The ratio; NaN without a music beat within the motion.
    """
    within = _within(beats, length / fps)
    return len(moves) / len(within) if len(within) else float("nan")


def beat_hit_rate(moves: Frames, length: int, beats: Floats, fps: float = 60.0) -> float:
    """Beat hit rate: the share of motion beats with a music beat within ``HIT`` seconds.

    Source: Lee et al., "Dancing to Music", 2019, which does not state its tolerance. The arguments
    are those of :func:`beat_coverage`.

    Returns:
        A score in [0, 1]; 0 without motion beats, NaN without a music beat within the motion.
    """
    within = _within(beats, length / fps)
    if not len(within):
        return float("nan")
    if not len(moves):
        return 0.0
    return float((_gaps(moves / fps, within) <= HIT).mean())


class PairScores(NamedTuple):
    """Scores of n dances with m pieces of music, each on a common span.

    Attributes:
        whole: (n,) each dance with its own music, from 0 s to the end of the shorter of the two.
        own: (n, m) each dance with its own music, at most to the end of the piece of the column.
        other: (n, m) each dance with the piece of the column, on the same span as ``own``.
    """

    whole: Floats
    own: Floats
    other: Floats


def pair_scores(
    score: Callable[[Frames, int, Floats], float],
    fps: float,
    moves: Sequence[Frames],
    lengths: Sequence[int],
    songs: Sequence[Music],
    own: Sequence[int],
) -> PairScores:
    """Score dances with their own music and with every other piece, on common spans.

    If a piece is shorter than the dance, every motion beat after its end would be a miss, and
    chance would be too low. A pair is therefore scored from 0 s to the end of the shortest of the
    dance, its own music and the other piece. The score is NaN if a piece has no beat in the span.

    Args:
        score: function of motion beats, length of the motion in frames, and beats in seconds.
        fps: frames per second of the motions.
        moves: :func:`motion_beats` of each dance.
        lengths: length of each dance in frames.
        songs: the pieces of music.
        own: index of the piece that each dance belongs to.
    """

    def on_span(dance: int, song: Music, span: float) -> float:
        frames = min(lengths[dance], round(span * fps))
        within = moves[dance][moves[dance] < frames]
        return score(within, frames, song.beats[song.beats < span])

    whole = np.full(len(moves), np.nan)
    pairs = np.full((2, len(moves), len(songs)), np.nan)
    for dance, number in enumerate(own):
        music = songs[number]
        whole[dance] = on_span(dance, music, music.duration)
        for column, other in enumerate(songs):
            span = min(music.duration, other.duration)
            pairs[0, dance, column] = on_span(dance, music, span)
            pairs[1, dance, column] = on_span(dance, other, span)
    return PairScores(whole, *pairs)


def sensitivity(scores: PairScores, groups: Sequence[object]) -> tuple[Floats, Floats]:
    """Sensitivity of dances to their music: the score with the own music minus chance.

    A dance is compared only with the pieces of other groups, each group with equal weight. Chance
    is its mean score with them. Sensitivity is the mean of ``own`` − ``other`` over them, minus a
    correction: the amount by which its music is easier than the other pieces for dances of other
    groups. The correction has mean 0 over groups. Without it, fast music would increase the
    variance of the differences, and a t test would miss small effects.

    Args:
        scores: scores of n dances and the n pieces they belong to, in the same order.
        groups: group of each dance; dances of one group share the same or nearly the same music.

    Returns:
        (n,) sensitivity and (n,) chance; NaN for music without a beat, and if there is only one
        group.
    """
    names = list(dict.fromkeys(groups))
    of = np.array([names.index(group) for group in groups])
    difference = scores.own - scores.other

    def of_others(values: Floats) -> Floats:
        """(n,) means of (n, n) over the other groups, of the means over their columns."""
        means = []
        for row, mine in zip(values, of, strict=True):
            others = [number for number in range(len(names)) if number != mine]
            by_group = [mean_defined(row[of == number]) for number in others]
            means.append(mean_defined(np.array(by_group)))
        return np.array(means)

    level = of_others(scores.other.T)  # of the music, for dances of other groups
    easier = level - of_others(np.broadcast_to(level, difference.shape))
    return of_others(difference) - easier, of_others(scores.other)


def chance_floor(scores: Floats, own: Sequence[int], permutations: int = 1000) -> Interval:
    """Chance: the mean score of the same dances with permuted music, and its interval.

    Each permutation maps every song to another one, so no dance keeps its own music, and dances to
    the same song get the same other song.

    Args:
        scores: (dances, songs) ``other`` of :func:`pair_scores`.
        own: (dances,) index of the song that each dance belongs to.
        permutations: number of permutations.

    Returns:
        Mean and 95 % interval, over permutations, of the mean over dances; NaN with only one song.
    """
    songs = scores.shape[1]
    if songs < 2:
        return Interval(*[float("nan")] * 3)
    rng = np.random.default_rng(0)
    means = []
    for _ in range(permutations):
        circle = rng.permutation(songs)
        other = np.empty(songs, np.int64)
        other[circle] = np.roll(circle, 1)
        means.append(mean_defined(scores[np.arange(len(scores)), other[np.asarray(own)]]))
    low, high = np.nanquantile(means, [0.025, 0.975]) if np.isfinite(means).any() else [np.nan] * 2
    return Interval(mean_defined(np.array(means)), float(low), float(high))


def _gaps(places: NDArray[Any], others: NDArray[Any]) -> Floats:
    """(n,) distances of places (n,) to the nearest of others, which increase."""
    around = np.concatenate([[-np.inf], others, [np.inf]])
    index = np.searchsorted(others, places)
    gaps: Floats = np.minimum(places - around[index], around[index + 1] - places)
    return gaps


def _within(beats: Floats, end: float) -> Floats:
    return np.sort(beats[(beats >= 0) & (beats < end)])
