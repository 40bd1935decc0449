"""Distances between sets of dances, and their diversity, from features of clips."""

import numpy as np
from scipy.spatial.distance import pdist

from motionbeat.motion import MotionError
from motionbeat.tasks.metrics.per_track import Floats


def normalise(features: Floats, reference: Floats) -> Floats:
    """Features (n, d) by the mean and the standard deviation (+ 1e-10) of the reference's (m, d).

    As published code does before :func:`frechet_distance` and :func:`diversity`, to both sets. Its
    fault: a feature that is the same in the whole reference, as geometric ones can be in a small
    one, is divided by 1e-10.
    """
    scaled: Floats = (features - reference.mean(axis=0)) / (reference.std(axis=0) + 1e-10)
    return scaled


def frechet_distance(generated: Floats, reference: Floats) -> float:
    """Distance between Gaussians fitted to two sets of features (n, d) and (m, d), 0 or more.

    ‖μ₁ − μ₂‖² + tr(Σ₁ + Σ₂ − 2 (Σ₁Σ₂)^½), the covariances with n − 1. FID_k is that of kinetic,
    FID_g that of geometric features, :func:`normalise`d both by the reference. It is biased upwards
    for few clips (:func:`frechet_floor`), so state n. Source: Heusel et al., 2017;
    ``tools/calculate_scores.py`` of google-research/mint, ``utils/metrics_new.py`` of
    lisiyao21/Bailando.

    Published code takes the square root of the product, which has no exact one where there are
    fewer clips than features, and adds 1e-6 (mint) or 1e-5 (Bailando) to the diagonals where it is
    not finite. Here the trace of the root is the sum of the square roots of the eigenvalues of
    Σ₁^½ Σ₂ Σ₁^½, which always exists.

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

    What a perfect model of ``width`` independent features scores for the number of its clips alone:
    48.5 in 72 dimensions for 40 clips against 1363.
    """
    rng = np.random.default_rng(0)
    sets = [
        (rng.standard_normal((generated, width)), rng.standard_normal((reference, width)))
        for _ in range(draws)
    ]
    return float(np.mean([frechet_distance(*both) for both in sets]))


def diversity(features: Floats) -> float:
    """Mean L2 distance between the features (n, d) of two clips; that of real dances is best.

    Div_k of kinetic, Div_g of geometric features, :func:`normalise`d by the reference; NaN for
    fewer than two clips. Source: as for :func:`frechet_distance`.
    """
    return float(pdist(features).mean()) if len(features) > 1 else float("nan")
