"""The metrics of clips against scikit-learn's and scipy's, on weighted and tied tracks."""

from functools import partial

import numpy as np
import pytest
from scipy.stats import pearsonr
from sklearn import metrics as sklearn_metrics

from motionbeat.tasks.metrics.classification import (
    confusion,
    macro_f1,
    ranking,
    summarise_multi_label,
    summarise_regression,
    summarise_single_label,
)

RNG = np.random.default_rng(0)
SEEDS, TRACKS = 2, 60
WEIGHTS = np.stack(
    [np.ones(TRACKS)]
    + [np.bincount(RNG.integers(TRACKS, size=TRACKS), minlength=TRACKS) for _ in range(5)]
).astype(float)
BINARY = (RNG.random((SEEDS, TRACKS)) < 0.3).astype(float)
SCORES = np.round(RNG.random((SEEDS, TRACKS)) * 0.7 + 0.3 * BINARY, 1)  # with ties
NAMES = np.array(["blues", "jazz", "rock", "pop", "ska"])
CLASSES = NAMES[RNG.integers(5, size=(SEEDS, TRACKS))]
GUESSES = np.where(RNG.random((SEEDS, TRACKS)) < 0.5, CLASSES, NAMES[3])
NUMBERS = RNG.standard_normal((SEEDS, TRACKS)) + 3
ESTIMATES = 0.6 * NUMBERS + 0.4 * RNG.standard_normal((SEEDS, TRACKS))
ONCE = np.ones((1, 4))


def lins(true, predicted):
    covariance = np.cov(true, predicted, bias=True)
    apart = (true.mean() - predicted.mean()) ** 2
    return 2 * covariance[0, 1] / (covariance[0, 0] + covariance[1, 1] + apart)


@pytest.mark.parametrize(
    ("summarise", "names", "pair", "references"),
    [
        (
            summarise_single_label,
            ("true", "predicted"),
            (CLASSES, GUESSES),
            {
                "accuracy": sklearn_metrics.accuracy_score,
                "macro_f1": partial(sklearn_metrics.f1_score, average="macro"),
            },
        ),
        (
            summarise_multi_label,
            ("true/a", "score/a"),
            (BINARY, SCORES),
            {
                "roc_auc/a": sklearn_metrics.roc_auc_score,
                "average_precision/a": sklearn_metrics.average_precision_score,
            },
        ),
        (
            summarise_regression,
            ("true_x", "predicted_x"),
            (NUMBERS, ESTIMATES),
            {
                "r2_x": sklearn_metrics.r2_score,
                "pearson_x": lambda *pair: pearsonr(*pair).statistic,
                "ccc_x": lins,
            },
        ),
    ],
    ids=["single label", "multi label", "regression"],
)
def test_values_are_those_of_the_reference_on_repeated_tracks(summarise, names, pair, references):
    found = summarise(dict(zip(names, pair, strict=True)), WEIGHTS)
    for metric, reference in references.items():
        assert found[metric].shape == (SEEDS, len(WEIGHTS))
        for seed in range(SEEDS):
            for sample, weights in enumerate(WEIGHTS.astype(int)):
                drawn = np.repeat(np.arange(TRACKS), weights)
                expected = reference(*(one[seed, drawn] for one in pair))
                assert found[metric][seed, sample] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("true", "predicted", "expected"),
    [("aabbcde", "aabbaba", 0.293), ("aabb", "aacc", 1 / 3), ("abc", "abc", 1)],
    ids=["unknown in training", "never true", "all found"],
)
def test_every_class_that_is_true_or_predicted_counts_in_macro_f1(true, predicted, expected):
    pair = np.array([list(true)]), np.array([list(predicted)])
    found = macro_f1(*pair, np.ones((1, len(true))))[0, 0]
    assert found == pytest.approx(expected, abs=5e-4)
    sklearns = sklearn_metrics.f1_score(*(one[0] for one in pair), average="macro", zero_division=0)
    assert found == pytest.approx(sklearns)


def test_classes_of_folds_with_other_vocabularies_are_told_apart_by_name():
    """A fold that lacks b would count c as its second class, as b is in the other: .867."""
    true, predicted = np.array([list("abcacc")]), np.array([list("aacacc")])
    assert macro_f1(true, predicted, np.ones((1, 6)))[0, 0] == pytest.approx(0.6)
    matrix = confusion(true, predicted)
    assert list(matrix.index) == list(matrix.columns) == ["a", "b", "c"]
    assert matrix.loc["b"].tolist() == [1, 0, 0]


def test_ranking_by_hand():
    true, score = np.array([[1.0, 0, 1, 0]]), np.array([[0.9, 0.8, 0.7, 0.1]])
    assert ranking(true, score, ONCE).ravel() == pytest.approx([3 / 4, (1 + 2 / 3) / 2])
    assert ranking(true, 0 * score, ONCE).ravel().tolist() == [0.5, 0.5], "ties count half"
    for one_sided in (0 * true, 0 * true + 1, np.full((1, 4), np.nan)):
        assert np.isnan(ranking(one_sided, score, ONCE)[0]).all()


def test_unknown_tracks_do_not_count():
    true = BINARY.copy()
    true[:, ::3] = np.nan
    known = np.isfinite(true[0])
    np.testing.assert_allclose(
        ranking(true, SCORES, WEIGHTS),
        ranking(BINARY[:, known], SCORES[:, known], WEIGHTS[:, known]),
    )


def test_scores_of_different_folds_are_not_ranked_against_each_other():
    per_track = {
        "true/a": np.array([[1.0, 0, 1, 0]]),
        "score/a": np.array([[0.9, 0.8, 0.2, 0.1]]),
        "fold": np.array([[0.0, 0, 1, 1]]),
    }
    assert summarise_multi_label(per_track, ONCE)["roc_auc"][0, 0] == 1
    del per_track["fold"]
    assert summarise_multi_label(per_track, ONCE)["roc_auc"][0, 0] == 3 / 4


def test_numbers_have_three_metrics_each_and_r2_is_their_mean():
    per_track = {"true_x": NUMBERS, "predicted_x": ESTIMATES, "true_y": NUMBERS}
    found = summarise_regression(per_track | {"predicted_y": NUMBERS}, WEIGHTS)
    assert set(found) == {"r2"} | {f"{m}_{n}" for m in ("r2", "pearson", "ccc") for n in "xy"}
    np.testing.assert_allclose(found["r2"], (found["r2_x"] + 1) / 2)
    constant = {"true_x": np.ones((1, 4)), "predicted_x": np.arange(4.0)[None]}
    found = summarise_regression(constant, ONCE)
    assert np.isnan([found["pearson_x"], found["r2_x"]]).all()
