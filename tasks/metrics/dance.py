"""Metrics of generated dance as published code computes them, each variant under its own name.

Positions are (T, 24, 3) in metres, in the joint order of :data:`motionbeat.motion.JOINTS` (SMPL)
and with y up, as numpy arrays or torch tensors; music is the times of its beats in seconds. Numbers
of different papers can be compared only where variant, frame rate, length of the clips and number
of clips are the same; a beat score says little without its :func:`chance_floor` and the score of
real dances beside it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d
from scipy.signal import argrelextrema
from scipy.spatial.distance import pdist
from torch import Tensor

from motionbeat.motion import FEET, PARENTS, MotionError
from motionbeat.tasks.metrics.dance_features import (
    FLAT,
    UP,
    Floats,
    Positions,
    clip,
    geometric_features,
    kinetic_features,
)

__all__ = [
    "Alignment",
    "Interval",
    "alignment",
    "beat_alignment_score",
    "beat_coverage",
    "beat_hit_rate",
    "bone_length_drift",
    "chance_floor",
    "coverage",
    "diversity",
    "floating",
    "floor_height",
    "foot_sliding_ratio",
    "frechet_distance",
    "frechet_floor",
    "geometric_features",
    "hit_rate",
    "jerk",
    "kinetic_features",
    "mean_defined",
    "motion_beats",
    "normalise",
    "penetration",
    "physical_foot_contact",
]

Times = NDArray[np.floating[Any]] | Tensor
Variant = Literal["fact", "bailando", "edge30"]

HIT = 0.07
"""Seconds within which a motion beat hits a music beat, as in beat tracking."""

PFC_FPS = 30.0
"""Frames a second of the published physical foot contact and foot sliding."""

TOLERANCE = 0.005
"""Metres by which penetration and float are forgiven (Yuan et al., PhysDiff, 2023)."""

_SIGMA = 3.0  # frames
_ORDER = 10  # frames before and after a minimum
_SMOOTHING = 5.0  # frames
_SHORTEST = 2 * _ORDER + 1
_BONES = np.arange(1, len(PARENTS))
_SAME_GROUND, _LOW_ANKLE, _LOW_TOE, _SLIDES = 0.02, 0.08, 0.05, 0.01  # m


@dataclass(frozen=True)
class Alignment:
    """What a variant of the beat alignment score takes for granted.

    Attributes:
        fps: frames a second of its published numbers.
    """

    fps: float

    @property
    def sigma(self) -> float:
        """Width of the Gaussian in seconds."""
        return _SIGMA / self.fps


ALIGNMENTS: dict[Variant, Alignment] = {
    "fact": Alignment(60.0),
    "bailando": Alignment(60.0),
    "edge30": Alignment(30.0),
}
"""The variants of the beat alignment score."""


class Interval(NamedTuple):
    """A mean and the 95 % percentile interval of what it is the mean of."""

    mean: float
    low: float
    high: float


def motion_beats(positions: Positions, variant: Variant = "fact") -> NDArray[np.int64]:
    """Frames in which a dancer is slowest.

    ``fact`` and ``edge30``: strict minima among the 10 frames before and after of the summed way of
    the joints from the frame before, Σ_j ‖p_j[t] − p_j[t−1]‖, 0 in the first frame; float32.
    ``bailando``: strict minima between neighbours of the mean way to the frame after, smoothed by a
    Gaussian of 5 frames.

    Args:
        positions: (T, 24, 3) metres, any axis up, SMPL order.
        variant: whose.

    Returns:
        (n,) frame numbers from 0, increasing.

    Raises:
        MotionError: wrong shape, fewer than 21 frames, or NaN.
    """
    ways = np.linalg.norm(np.diff(clip(positions, _SHORTEST), axis=0), axis=2)
    if variant == "bailando":
        speed = gaussian_filter1d(ways.mean(axis=1), _SMOOTHING)
        return np.asarray(argrelextrema(speed, np.less)[0], np.int64)
    envelope = np.append(np.float32(0), ways.astype(np.float32).sum(axis=1))
    return np.asarray(argrelextrema(envelope, np.less, order=_ORDER)[0], np.int64)


def beat_alignment_score(
    positions: Positions,
    beats: Times,
    fps: float | None = None,
    variant: Variant = "fact",
    seed_frames: int = 0,
) -> float:
    """How near the moments of rest of a dance are to the beats of its music; higher is nearer.

    With M the :func:`motion_beats`, B the frames nearest to the music's beats, and σ = 3 frames:

    * ``fact``, FACT at 60 frames a second (σ = 0.05 s): the mean over m in M of
      exp(−min_b (m − b)² / 2σ²); beats after the end of the motion do not count. Source: Li et al.,
      "AI Choreographer", 2021; ``tools/calculate_beat_scores.py`` of google-research/mint;
    * ``bailando``, Bailando at 60 frames a second (σ = 0.05 s): the mean over b in B of
      exp(−min_m (m − b)² / 2σ²); beats after the last but one frame do not count. Source: Siyao et
      al., "Bailando", 2022; ``utils/beat_align_score.py`` of lisiyao21/Bailando. LODGE runs it at
      30 frames a second (σ = 0.1 s);
    * ``edge30``, FACT's code with its settings in frames left as they are at 30 frames a second
      (σ = 0.1 s, minima among 21 frames or 0.7 s); beats after the end of the motion count. Source:
      ``eval/calculate_beat_scores.py`` of Luke-Luo1/POPDG; EDGE has published no code of its own.

    Faults of the published code, all kept: σ is fixed in frames; what is measured by ``fact`` does
    not fall when most music beats have no motion beat, and ``bailando`` rises with every further
    minimum, jitter included; motion without minima scores 0; its speed is half a frame early.
    Music-blind motion scores about 0.22 by ``fact`` and 0.44 by ``edge30``.

    Args:
        positions: (T, 24, 3) metres, any axis up, SMPL order.
        beats: (n,) seconds from the first frame on.
        fps: frames a second of the motion; the variant's own when left out.
        variant: whose score.
        seed_frames: frames at the start that the dance was given, not generated (120 for FACT): no
            beat in them counts.

    Returns:
        A score in [0, 1]; NaN when no music beat counts, where published code stops.

    Raises:
        MotionError: wrong shape, fewer than 21 frames, or NaN.
    """
    moves = motion_beats(positions, variant)
    return alignment(moves, len(positions), beats, fps, variant, seed_frames)


def alignment(
    moves: NDArray[np.int64],
    length: int,
    beats: Times,
    fps: float | None = None,
    variant: Variant = "fact",
    seed_frames: int = 0,
) -> float:
    """:func:`beat_alignment_score` of known :func:`motion_beats` of a motion of ``length`` frames.

    For one dance to many pieces of music.
    """
    moves = moves[moves >= seed_frames]
    end = {"fact": length, "bailando": length - 1, "edge30": np.inf}[variant]
    frames = np.unique(np.round(_seconds(beats) * (fps or ALIGNMENTS[variant].fps)))
    frames = frames[(frames >= seed_frames) & (frames < end)]
    if not len(frames):
        return float("nan")
    if not len(moves):
        return 0.0
    gaps = np.abs(moves[:, None] - frames).min(axis=0 if variant == "bailando" else 1)
    return float(np.exp(-(gaps**2) / (2 * _SIGMA**2)).mean())


def beat_coverage(positions: Positions, beats: Times, fps: float = 60.0) -> float:
    """Motion beats for each music beat within the motion; near that of real dances is best.

    |M| / |B| with the :func:`motion_beats` of ``fact``. Source: Lee et al., "Dancing to Music",
    2019, with other motion beats. Its fault: it counts and does not compare times, and may pass 1.

    Args:
        positions: (T, 24, 3) metres, any axis up, SMPL order.
        beats: (n,) seconds from the first frame on.
        fps: frames a second; the minima are those of 60.

    Returns:
        0 or more; NaN without a music beat within the motion.

    Raises:
        MotionError: wrong shape, fewer than 21 frames, or NaN.
    """
    return coverage(motion_beats(positions), len(positions), beats, fps)


def coverage(moves: NDArray[np.int64], length: int, beats: Times, fps: float = 60.0) -> float:
    """:func:`beat_coverage` of known :func:`motion_beats` of a motion of ``length`` frames."""
    within = _within(beats, length / fps)
    return len(moves) / len(within) if len(within) else float("nan")


def beat_hit_rate(positions: Positions, beats: Times, fps: float = 60.0) -> float:
    """Share of the motion beats with a music beat within ``HIT`` seconds; higher is nearer.

    Source: Lee et al., "Dancing to Music", 2019, with the :func:`motion_beats` of ``fact``. The
    paper does not state its tolerance; here it is that of the F-measure of beat tracking.

    Args:
        positions: (T, 24, 3) metres, any axis up, SMPL order.
        beats: (n,) seconds from the first frame on.
        fps: frames a second; the minima are those of 60.

    Returns:
        In [0, 1], 0 without motion beats; NaN without a music beat within the motion.

    Raises:
        MotionError: wrong shape, fewer than 21 frames, or NaN.
    """
    return hit_rate(motion_beats(positions), len(positions), beats, fps)


def hit_rate(moves: NDArray[np.int64], length: int, beats: Times, fps: float = 60.0) -> float:
    """:func:`beat_hit_rate` of known :func:`motion_beats` of a motion of ``length`` frames."""
    within = _within(beats, length / fps)
    if not len(within):
        return float("nan")
    if not len(moves):
        return 0.0
    return float((np.abs(moves[:, None] / fps - within).min(axis=1) <= HIT).mean())


def chance_floor(
    scores: Floats, own: Sequence[int], permutations: int = 1000, seed: int = 0
) -> Interval:
    """What the same dances score with the music of others: chance, and where its means lie.

    Each permutation sends every song to another one, so that no dance keeps its own music and
    dances to one song keep one song together.

    Args:
        scores: (dances, songs) the score of each dance with the beats of each song; NaN where the
            song has none.
        own: (dances,) the song each dance belongs to.
        permutations: how many.
        seed: of the permutations.

    Returns:
        Mean over permutations of the mean over dances, with its interval; NaN with one song alone.
    """
    songs = scores.shape[1]
    if songs < 2:
        return Interval(*[float("nan")] * 3)
    rng = np.random.default_rng(seed)
    means = []
    for _ in range(permutations):
        circle = rng.permutation(songs)
        other = np.empty(songs, np.int64)
        other[circle] = np.roll(circle, 1)
        means.append(mean_defined(scores[np.arange(len(scores)), other[np.asarray(own)]]))
    low, high = np.nanquantile(means, [0.025, 0.975]) if np.isfinite(means).any() else [np.nan] * 2
    return Interval(mean_defined(np.array(means)), float(low), float(high))


def normalise(features: Floats, reference: Floats) -> Floats:
    """Features (n, d) by the mean and the standard deviation (+ 1e-10) of the reference's (m, d).

    As published code does before :func:`frechet_distance` and :func:`diversity`, to both sets. Its
    fault: a feature that is the same in the whole reference, as geometric ones can be in a small
    one, is divided by 1e-10.
    """
    scaled: Floats = (features - reference.mean(axis=0)) / (reference.std(axis=0) + 1e-10)
    return scaled


def frechet_distance(generated: Floats, reference: Floats) -> float:
    """Distance between two sets of features, as between Gaussians fitted to them; lower is nearer.

    ‖μ₁ − μ₂‖² + tr(Σ₁ + Σ₂ − 2 (Σ₁Σ₂)^½), the covariances with n − 1. FID_k is that of kinetic,
    FID_g that of geometric features, :func:`normalise`d both by the reference. Source: Heusel et
    al., 2017; ``tools/calculate_scores.py`` of google-research/mint, ``utils/metrics_new.py`` of
    lisiyao21/Bailando.

    Published code takes the square root of the product, which has no exact one where there are
    fewer clips than features; where it is not finite, 1e-6 (mint) or 1e-5 (Bailando) is added to
    the diagonals. Here the trace of the root is the sum of the square roots of the eigenvalues of
    Σ₁^½ Σ₂ Σ₁^½, which always exists.

    The distance is biased upwards for few clips: see :func:`frechet_floor`. State n.

    Args:
        generated: (n, d), n of 2 or more.
        reference: (m, d), m of 2 or more.

    Returns:
        0 or more.

    Raises:
        MotionError: fewer than two clips, or features of different widths.
    """
    if min(len(generated), len(reference)) < 2:
        raise MotionError(
            f"Fréchet distance of {len(generated)} to {len(reference)} clips; give 2 of each"
        )
    if generated.shape[1:] != reference.shape[1:]:
        raise MotionError(
            f"features are {generated.shape[1:]} and {reference.shape[1:]} wide; compare like ones"
        )
    one, other = (np.atleast_2d(np.cov(each, rowvar=False)) for each in (generated, reference))
    values, vectors = np.linalg.eigh(one)
    root = vectors * np.sqrt(np.maximum(values, 0)) @ vectors.T
    shared = np.sqrt(np.maximum(np.linalg.eigvalsh(root @ other @ root), 0)).sum()
    apart = generated.mean(axis=0) - reference.mean(axis=0)
    return max(float(apart @ apart + np.trace(one) + np.trace(other) - 2 * shared), 0.0)


def frechet_floor(generated: int, reference: int, width: int, draws: int = 10) -> float:
    """Mean Fréchet distance between sets of so many clips of one isotropic Gaussian.

    What a perfect model of features that do not depend on one another scores for the number of its
    clips alone: 48.5 in 72 dimensions for 40 clips against 1363.

    Args:
        generated: number of clips.
        reference: number of clips.
        width: of the features.
        draws: how often it is drawn.
    """
    rng = np.random.default_rng(0)
    sets = [
        (rng.standard_normal((generated, width)), rng.standard_normal((reference, width)))
        for _ in range(draws)
    ]
    return float(np.mean([frechet_distance(*both) for both in sets]))


def diversity(features: Floats) -> float:
    """Mean L2 distance between two different clips' features; that of real dances is best.

    Div_k of kinetic, Div_g of geometric features, :func:`normalise`d by the reference. Source: as
    for :func:`frechet_distance`.

    Args:
        features: (n, d).

    Returns:
        0 or more; NaN for fewer than two clips.
    """
    return float(pdist(features).mean()) if len(features) > 1 else float("nan")


def physical_foot_contact(positions: Positions) -> float:
    """PFC: how far both feet slide while the body accelerates; lower is better.

    With a the second difference of the pelvis, its upward component 0 where it is negative, and f
    the smaller of the horizontal ways of ankle and toe (joints 7, 10 and 8, 11) from frame to
    frame: mean over the frames from the third on of ‖a‖ / max ‖a‖ · f_left · f_right, times 10000.
    The unit is 1e-4 m²; ways are not divided by Δt. Source: Tseng et al., "EDGE", 2023;
    ``eval/eval_pfc.py`` of Stanford-TML/EDGE, where z is up.

    Faults of the published code, all kept: it depends on the frame rate, about with its inverse
    square (published at 30), and, by the maximum, on how clips are cut; a clip whose pelvis never
    accelerates makes it NaN. POPDG adds the upper body in another score of the same name.

    Args:
        positions: (T, 24, 3) metres, y up, SMPL order, T of 3 or more, at ``PFC_FPS``.

    Returns:
        0 or more for one clip, of which a set's is the mean; NaN when the pelvis never accelerates.

    Raises:
        MotionError: wrong shape, fewer than 3 frames, or NaN.
    """
    joints = clip(positions, 3).astype(np.float64)
    push = np.diff(joints[:, 0], n=2, axis=0)
    push[:, UP] = np.maximum(push[:, UP], 0)
    size = np.linalg.norm(push, axis=1)
    ways = np.linalg.norm(np.diff(joints[1:, FEET][..., FLAT], axis=0), axis=2)
    slides = np.minimum(ways[:, ::2], ways[:, 1::2]).prod(axis=1)
    if not size.any():
        return float("nan")
    return float((size / size.max() * slides).mean() * 10000)


def foot_sliding_ratio(positions: Positions) -> float:
    """Share of its frames on the floor in which a foot slides, of both feet; lower is better.

    The mean of left and right. A foot is on the floor where its ankle is at most 8 cm and its toe
    at most 5 cm above the ground: the mean height of the toes in the first frame, or the lower one
    when they are 2 cm or more apart. It slides where |Δx + Δz| / 2 of ankle or toe to the next
    frame passes 1 cm.
    Source: Li et al., "Lodge", 2024; ``metric/foot_skating.py`` of li-ronghui/LODGE.

    Faults of the published code, all kept: components are averaged with their signs, so that a
    foot that slides along x = −z does not slide; the threshold is in metres a frame, for 30 frames
    a second; the ground is taken from the first frame, in which a dancer may be in the air.

    Args:
        positions: (T, 24, 3) metres, y up, SMPL order, T of 2 or more, at ``PFC_FPS``.

    Returns:
        In [0, 1]; NaN when a foot is never on the floor.

    Raises:
        MotionError: wrong shape, fewer than 2 frames, or NaN.
    """
    feet = clip(positions, 2)[:, FEET].astype(np.float64).reshape(-1, 2, 2, 3)  # side, ankle or toe
    toes = feet[0, :, 1, UP]
    ground = toes.mean() if np.ptp(toes) < _SAME_GROUND else toes.min()
    down = (feet[..., UP] - ground <= [_LOW_ANKLE, _LOW_TOE]).all(axis=2)
    ways = np.abs(np.diff(feet[..., FLAT], axis=0).mean(axis=3))
    slides = np.append(ways > _SLIDES, np.zeros((1, 2, 2), bool), axis=0).any(axis=2) & down
    with np.errstate(invalid="ignore"):
        return float(np.mean(slides.sum(axis=0) / down.sum(axis=0)))


def floor_height(positions: Positions) -> float:
    """Height of the floor in metres: the median of the lowest joint of the feet.

    A dancer stands on it most of the time; heels and toes of a skeleton are above the soles, and so
    is this floor.

    Args:
        positions: (T, 24, 3) metres, y up, SMPL order, any frame rate.

    Raises:
        MotionError: wrong shape, no frames, or NaN.
    """
    return float(np.median(_lowest(positions)))


def penetration(positions: Positions, floor: float) -> float:
    """Mean depth of the lowest joint of the feet below the floor, in millimetres; lower is better.

    Mean over all frames of max(floor − y, 0) where that is more than ``TOLERANCE``. Source: Yuan et
    al., "PhysDiff", 2023, for the vertices of a body; here for joints.

    Args:
        positions: (T, 24, 3) metres, y up, SMPL order, any frame rate.
        floor: height in metres, for example the :func:`floor_height`.

    Raises:
        MotionError: wrong shape, no frames, or NaN.
    """
    return _beyond(floor - _lowest(positions))


def floating(positions: Positions, floor: float) -> float:
    """Mean height of the lowest joint of the feet above the floor, in millimetres.

    Mean over all frames of max(y − floor, 0) where that is more than ``TOLERANCE``; that of real
    dancers, who jump, is best. Source: as for :func:`penetration`.

    Args:
        positions: (T, 24, 3) metres, y up, SMPL order, any frame rate.
        floor: height in metres, for example the :func:`floor_height`.

    Raises:
        MotionError: wrong shape, no frames, or NaN.
    """
    return _beyond(_lowest(positions) - floor)


def jerk(positions: Positions, fps: float) -> float:
    """Mean size of the third derivative of the joints in m/s³; that of real dances is best.

    mean ‖p[t+3] − 3 p[t+2] + 3 p[t+1] − p[t]‖ · fps³ over frames and joints; it grows with the
    frame rate where there is noise. Source: Flash and Hogan, 1985, for the measure of smoothness.

    Args:
        positions: (T, 24, 3) metres, any axis up, SMPL order, T of 4 or more.
        fps: frames a second.

    Raises:
        MotionError: wrong shape, fewer than 4 frames, or NaN.
    """
    third = np.diff(clip(positions, 4).astype(np.float64), n=3, axis=0)
    return float(np.linalg.norm(third, axis=2).mean() * fps**3)


def bone_length_drift(positions: Positions) -> float:
    """How much the bones change their lengths, in percent; 0 for a rigid skeleton.

    Mean over the 23 bones of the standard deviation of a bone's length over its mean length. Bones
    of no length are left out.

    Args:
        positions: (T, 24, 3) metres, any axis up, SMPL order, any frame rate.

    Raises:
        MotionError: wrong shape, no frames, or NaN.
    """
    joints = clip(positions, 1).astype(np.float64)
    lengths = np.linalg.norm(joints[:, _BONES] - joints[:, np.array(PARENTS)[_BONES]], axis=2)
    means = lengths.mean(axis=0)
    there = means > 0
    return float(100 * mean_defined(lengths.std(axis=0)[there] / means[there]))


def _seconds(beats: Times) -> Floats:
    return np.asarray(beats.detach().cpu() if isinstance(beats, Tensor) else beats, np.float64)


def _within(beats: Times, end: float) -> Floats:
    times = _seconds(beats)
    within: Floats = times[(times >= 0) & (times < end)]
    return within


def _lowest(positions: Positions) -> Floats:
    """(T,) height of the lowest joint of the feet."""
    lowest: Floats = clip(positions, 1)[:, FEET, UP].astype(np.float64).min(axis=1)
    return lowest


def _beyond(depths: Floats) -> float:
    return float(1000 * np.where(depths > TOLERANCE, depths, 0).mean())


def mean_defined(values: Floats) -> float:
    """Mean of what is defined; NaN where nothing is."""
    defined = values[np.isfinite(values)]
    return float(defined.mean()) if len(defined) else float("nan")
