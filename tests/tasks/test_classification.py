"""The metrics of clips against scikit-learn's and torchmetrics', on weighted and tied tracks."""

import numpy as np
import pytest
import torch
from sklearn import metrics as sklearn_metrics
from torchmetrics.functional import concordance_corrcoef, pearson_corrcoef

from motionbeat.tasks.metrics.clip import (
    accuracy,
    average_precision,
    ccc,
    macro,
    macro_f1,
    over_seeds,
    pearson,
    r2,
    roc_auc,
)

RNG = np.random.default_rng(0)
TRACKS = 80
WEIGHTS = np.stack(
    [np.ones(TRACKS)]
    + [np.bincount(RNG.integers(TRACKS, size=TRACKS), minlength=TRACKS) for _ in range(5)]
).astype(float)
TRUTH = (RNG.random(TRACKS) < 0.3).astype(float)
SCORE = np.round(RNG.random(TRACKS) * 0.7 + 0.3 * TRUTH, 1)  # with ties
CLASSES = RNG.integers(5, size=TRACKS).astype(float)
GUESSES = np.where(RNG.random(TRACKS) < 0.5, CLASSES, RNG.integers(5, size=TRACKS)).astype(float)
REAL = RNG.standard_normal(TRACKS) + 3
SAID = 0.6 * REAL + 0.4 * RNG.standard_normal(TRACKS)


@pytest.mark.parametrize(
    ("metric", "reference"),
    [
        (roc_auc, sklearn_metrics.roc_auc_score),
        (average_precision, sklearn_metrics.average_precision_score),
    ],
)
def test_ranking_agrees_with_scikit_learn(metric, reference):
    expected = [reference(TRUTH, SCORE, sample_weight=weights) for weights in WEIGHTS]
    np.testing.assert_allclose(metric(TRUTH, SCORE, WEIGHTS), expected, atol=1e-12)


def test_classes_agree_with_scikit_learn():
    found = accuracy(CLASSES, GUESSES, WEIGHTS), macro_f1(CLASSES, GUESSES, WEIGHTS)
    for row, weights in enumerate(WEIGHTS):
        options = {"sample_weight": weights}
        assert found[0][row] == pytest.approx(
            sklearn_metrics.accuracy_score(CLASSES, GUESSES, **options)
        )
        assert found[1][row] == pytest.approx(
            sklearn_metrics.f1_score(CLASSES, GUESSES, average="macro", **options)
        )


def test_numbers_agree_with_scikit_learn_and_torchmetrics():
    for row, weights in enumerate(WEIGHTS):
        drawn = np.repeat(np.arange(TRACKS), weights.astype(int))
        real, said = torch.from_numpy(REAL[drawn]), torch.from_numpy(SAID[drawn])
        one = WEIGHTS[row : row + 1]
        assert r2(REAL, SAID, one)[0] == pytest.approx(sklearn_metrics.r2_score(real, said))
        assert pearson(REAL, SAID, one)[0] == pytest.approx(
            float(pearson_corrcoef(said, real)), abs=1e-6
        )
        expected = float(concordance_corrcoef(said, real))
        count = weights.sum()
        # torchmetrics divides by n - 1, Lin's coefficient by n.
        if np.array_equal(weights, np.ones(TRACKS)):
            covariance = np.cov(REAL, SAID, bias=True)
            by_hand = (
                2
                * covariance[0, 1]
                / (covariance[0, 0] + covariance[1, 1] + (REAL.mean() - SAID.mean()) ** 2)
            )
            assert ccc(REAL, SAID, one)[0] == pytest.approx(by_hand)
        assert ccc(REAL, SAID, one)[0] == pytest.approx(expected, abs=2 / count)


def test_by_hand():
    weights = np.ones((1, 4))
    truth, score = np.array([1.0, 0, 1, 0]), np.array([0.9, 0.8, 0.7, 0.1])
    assert roc_auc(truth, score, weights)[0] == pytest.approx(3 / 4)
    assert average_precision(truth, score, weights)[0] == pytest.approx((1 + 2 / 3) / 2)
    assert roc_auc(truth, np.zeros(4), weights)[0] == 0.5, "ties count half"
    assert average_precision(truth, np.zeros(4), weights)[0] == 0.5


def test_unknown_tracks_do_not_count():
    truth = TRUTH.copy()
    truth[::3] = np.nan
    known = np.isfinite(truth)
    for metric in (roc_auc, average_precision):
        np.testing.assert_allclose(
            metric(truth, SCORE, WEIGHTS), metric(TRUTH[known], SCORE[known], WEIGHTS[:, known])
        )


@pytest.mark.parametrize("truth", [np.zeros(4), np.ones(4), np.full(4, np.nan)])
def test_one_sided_truth_has_no_area(truth):
    assert np.isnan(roc_auc(truth, np.arange(4.0), np.ones((2, 4)))).all()


def test_constants_have_no_correlation():
    weights = np.ones((1, 3))
    assert np.isnan(pearson(np.ones(3), np.arange(3.0), weights)[0])
    assert np.isnan(r2(np.ones(3), np.arange(3.0), weights)[0])


def test_a_class_that_is_neither_there_nor_said_does_not_count():
    weights = np.array([[1.0, 1, 0]])
    assert macro_f1(np.array([0.0, 1, 2]), np.array([0.0, 1, 0]), weights)[0] == 1


def test_means_over_classes_and_rows_over_seeds():
    assert macro(np.array([[0.2, np.nan], [0.4, np.nan]])).tolist()[0] == pytest.approx(0.3)
    assert np.isnan(macro(np.array([[np.nan]]))[0])
    found = over_seeds(accuracy, np.array([[1.0, 2], [1, 2]]), np.array([[1.0, 2], [1, 1]]),
                       np.ones((1, 2)))  # fmt: skip
    assert found.tolist() == [[1.0], [0.5]]
