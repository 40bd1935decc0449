"""How a dance is aligned with the beats of its music, as published code computes it.

Numbers of different papers can be compared only where variant, frame rate, length of the clips and
number of clips are the same. A score says little without the score of the same dance beside other
music (:func:`pair_scores`), which is chance.
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
"""The variants of the beat alignment score, and the frames a second of their published numbers."""


class Music(NamedTuple):
    """Beats (n,) and duration of a recording in seconds; no beats give no score."""

    beats: Floats
    duration: float


class Interval(NamedTuple):
    """A mean and the 95 % percentile interval of what it is the mean of."""

    mean: float
    low: float
    high: float


def motion_beats(positions: Positions, variant: Variant = "fact") -> Frames:
    """Frames in which a dancer is slowest, (n,) from 0, increasing.

    ``fact`` and ``edge30``: strict minima among the 10 frames before and after of the summed way of
    the joints from the frame before, Σ_j ‖p_j[t] − p_j[t−1]‖, 0 in the first frame; float32.
    ``bailando``: strict minima between neighbours of the mean way to the frame after, smoothed by a
    Gaussian of 5 frames. Positions are (T, 24, 3) in SMPL's order, any axis up.

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
    """How near the moments of rest of a dance are to the beats of its music; higher is nearer.

    With M the :func:`motion_beats`, B the frames nearest to the music's beats, and σ = 3 frames:

    * ``fact``, at 60 frames a second (σ = 0.05 s): the mean over m in M of exp(−min_b (m − b)² /
      2σ²); beats after the end of the motion do not count. Source: Li et al., "AI Choreographer",
      2021; ``tools/calculate_beat_scores.py`` of google-research/mint;
    * ``bailando``, at 60 frames a second: the mean over b in B of exp(−min_m (m − b)² /
      2σ²); beats after the last but one frame do not count. Source: Siyao et al., "Bailando", 2022;
      ``utils/beat_align_score.py`` of lisiyao21/Bailando;
    * ``edge30``, FACT's code with its settings in frames at 30 frames a second (σ = 0.1 s); beats
      after the end of the motion count. Source: ``eval/calculate_beat_scores.py`` of
      Luke-Luo1/POPDG; EDGE has published no code of its own.

    Faults of the published code, all kept: σ is fixed in frames; ``fact`` does not fall when most
    music beats have no motion beat, and ``bailando`` rises with every further minimum, jitter
    included; motion without minima scores 0; its speed is half a frame early. Music-blind motion
    scores about 0.22 by ``fact`` and 0.44 by ``edge30``. Where a dance begins with frames that were
    given (120 for FACT), leave out the moves and beats in them.

    Args:
        moves: (n,) :func:`motion_beats` of the variant.
        length: frames of the motion.
        beats: (m,) seconds from the first frame on.
        variant: whose score; the motion has its frame rate.

    Returns:
        A score in [0, 1]; NaN when no music beat counts, where published code stops.
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
    """Motion beats for each music beat within the motion; near that of real dances is best.

    |M| / |B| with the :func:`motion_beats` of ``fact``; NaN without a music beat. It counts and
    does not compare times, and may pass 1. Source: Lee et al., "Dancing to Music", 2019, with other
    motion beats. Arguments as for :func:`beat_alignment_score`.
    """
    within = _within(beats, length / fps)
    return len(moves) / len(within) if len(within) else float("nan")


def beat_hit_rate(moves: Frames, length: int, beats: Floats, fps: float = 60.0) -> float:
    """Share of the motion beats with a music beat within ``HIT`` seconds; higher is nearer.

    0 without motion beats; NaN without a music beat. Source: Lee et al., "Dancing to Music", 2019,
    which does not state its tolerance. Arguments as for :func:`beat_alignment_score`.
    """
    within = _within(beats, length / fps)
    if not len(within):
        return float("nan")
    if not len(moves):
        return 0.0
    return float((_gaps(moves / fps, within) <= HIT).mean())


class PairScores(NamedTuple):
    """Scores of n dances beside m pieces of music, pair by pair on the span that both last."""

    whole: Floats  # (n,) of a dance with its own music, from 0 to where the shorter of both ends
    own: Floats  # (n, m) the same, but no further than the piece of the column lasts
    other: Floats  # (n, m) of the dance with the piece of the column, on the span of own


def pair_scores(
    score: Callable[[Frames, int, Floats], float],
    fps: float,
    moves: Sequence[Frames],
    lengths: Sequence[int],
    songs: Sequence[Music],
    own: Sequence[int],
) -> PairScores:
    """Score dances with their own music and with every other piece, on common spans.

    Where a piece is shorter than the dance, every motion beat after its end would be a miss, and
    other music would look worse than it is. So a pair is scored from 0 to the end of the shortest
    of the dance, its own music and the other piece; NaN where a piece has no beat in the span.

    Args:
        score: of motion beats, length of the motion in frames, and beats in seconds.
        fps: frames a second.
        moves: :func:`motion_beats` of each dance.
        lengths: of the dances in frames.
        songs: the music.
        own: number of the piece each dance belongs to.
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
    """How much nearer dances are to their own music than chance, and what chance is.

    A dance is compared with the pieces of other groups alone, each group counting the same. Chance
    is its mean score with them. Sensitivity is the mean of ``own`` − ``other`` over them, less the
    amount by which its music is easier for dances of other groups than the other pieces are. That
    amount has mean 0 over groups; without it fast music would spread the differences of dances that
    hear nothing, and a t test would miss small effects.

    Args:
        scores: of n dances and the n pieces they belong to, in one order.
        groups: of the dances: those of one group share their music, or nearly.

    Returns:
        (n,) sensitivity and (n,) chance; NaN for music without a beat and with one group alone.
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
    """What the same dances score with the music of others: chance, and where its means lie.

    The mean over permutations of the mean over dances; NaN with one song alone. Each permutation
    sends every song to another one, so that no dance keeps its own music and dances to one song
    keep one song together.

    Args:
        scores: (dances, songs) ``other`` of :func:`pair_scores`.
        own: (dances,) the song each dance belongs to.
        permutations: how many.
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
