import numpy as np
import pytest

from motionbeat.benchmarks.statistics import interval, paired_p_value, resample, scores
from motionbeat.tasks.base import Task


def evidence(values):
    return {"metric": np.atleast_2d(np.asarray(values, float))}


def score(values):
    return scores(evidence(values), Task.summarise)["metric"]


def p_value(ours, theirs):
    rows = (resample(evidence(row), Task.summarise)["metric"] for row in (ours, theirs))
    return paired_p_value(*rows)


def test_mean_and_deviation_over_seeds_by_hand():
    one = score([[0.1, 0.3], [0.4, 0.6], [0.7, 0.9]])
    assert one.mean == pytest.approx(0.5)
    assert one.std == pytest.approx(0.3)


def test_one_seed_has_no_deviation():
    assert score([0.1, 0.3]).std == 0


def test_undefined_tracks_do_not_count():
    one = score([[0.2, np.nan, 0.4], [0.2, np.nan, 0.4]])
    assert one.mean == pytest.approx(0.3)
    assert (one.low, one.high) == pytest.approx((0.2, 0.4))


def test_a_metric_undefined_on_all_tracks_is_undefined():
    assert np.isnan(score([np.nan, np.nan])).tolist() == [True, False, True, True]
    assert np.isnan(interval(np.array([np.nan]))).all()


def test_interval_covers_the_true_mean_as_often_as_it_says():
    rng = np.random.default_rng(0)
    covered = [
        one.low <= 0.5 <= one.high for one in (score(rng.uniform(0, 1, 60)) for _ in range(100))
    ]
    assert 88 <= sum(covered) <= 100


def test_interval_is_that_of_the_mean_over_seeds():
    """Seeds that err in opposite directions on every track leave nothing to doubt."""
    tracks = np.linspace(0, 1, 20)
    one = score([tracks, 1 - tracks])
    assert (one.low, one.high) == pytest.approx((0.5, 0.5))


def test_identical_rows_do_not_differ():
    values = np.random.default_rng(0).uniform(size=(3, 40))
    assert p_value(values, values) == 1


def test_clearly_different_rows_do():
    rng = np.random.default_rng(0)
    worse = rng.uniform(size=(2, 40))
    better = worse + rng.uniform(0, 0.1, size=(2, 40))
    assert p_value(better, worse) == pytest.approx(2 / 1001), "small, but never 0"
    assert p_value(better, worse) == p_value(worse, better)


def test_chance_alone_is_rarely_significant():
    rng = np.random.default_rng(0)
    values = [p_value(rng.uniform(size=50), rng.uniform(size=50)) for _ in range(60)]
    assert 0.2 < np.median(values) < 0.8
    assert np.mean(np.array(values) < 0.05) < 0.17


def test_metrics_of_a_corpus_are_computed_anew_for_every_sample():
    def spread(evidence, weights):
        share, values = weights.T / weights.sum(axis=-1), evidence["metric"]
        return {"metric": np.sqrt(values**2 @ share - (values @ share) ** 2)}

    values = np.random.default_rng(0).standard_normal((2, 200))
    one = scores(evidence(values), spread)["metric"]
    assert one.mean == pytest.approx(values.std(axis=1).mean())
    assert 0.85 < one.low < one.mean < one.high < 1.15
