import numpy as np
import pytest

from motionbeat.motion import MotionError
from motionbeat.tasks.metrics.dance_distances import (
    distance_between_halves,
    diversity,
    frechet_distance,
    frechet_floor,
    normalise,
)

CLOUD = np.random.default_rng(0).standard_normal((50, 4))


def test_frechet_distance_by_hand():
    one, other = np.array([[0.0], [2.0]]), np.array([[4.0], [8.0]])
    assert frechet_distance(one, one) == pytest.approx(0)
    assert frechet_distance(one, other) == pytest.approx(25 + 2)  # deviations √2 and √8
    assert frechet_distance(CLOUD + np.array([3, 0, 4, 0]), CLOUD) == pytest.approx(25)
    spread = np.trace(np.cov(CLOUD, rowvar=False)) + (CLOUD.mean(axis=0) ** 2).sum()
    assert frechet_distance(3 * CLOUD, CLOUD) == pytest.approx(4 * spread)


@pytest.mark.parametrize(("n", "width", "floor"), [(40, 72, 48.5), (186, 32, 1.9)])
def test_few_clips_are_far_from_many(n, width, floor):
    assert frechet_floor(n, 1363, width, draws=3) == pytest.approx(floor, rel=0.06)


def test_diversity_by_hand():
    assert diversity(np.array([[0.0, 0], [3, 4], [0, 4]])) == pytest.approx((5 + 4 + 3) / 3)
    assert np.isnan(diversity(np.zeros((1, 2))))


def test_normalised_features_have_the_references_scale():
    reference = CLOUD * 7 + 3
    scaled = normalise(reference, reference)
    assert scaled.mean(axis=0) == pytest.approx(np.zeros(4), abs=1e-9)
    assert scaled.std(axis=0) == pytest.approx(np.ones(4))
    assert np.isfinite(normalise(np.ones((4, 2)), np.ones((4, 2)))).all()


def test_sets_that_cannot_be_compared_are_refused():
    with pytest.raises(MotionError, match="give 2 of each"):
        frechet_distance(np.zeros((1, 3)), np.zeros((5, 3)))
    with pytest.raises(MotionError, match="compare like ones"):
        frechet_distance(np.zeros((4, 3)), np.zeros((5, 2)))


def test_clips_of_a_dance_are_in_the_same_half():
    rng = np.random.default_rng(0)
    features, dances = rng.standard_normal((12, 3)), np.array([4, 7] * 6)
    whole = frechet_distance(features[dances == 4], features[dances == 7])
    assert distance_between_halves(features, dances) == pytest.approx(whole)
    assert np.isnan(distance_between_halves(features[:4], np.array([4, 4, 4, 7])))
