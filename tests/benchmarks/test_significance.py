import numpy as np
import pytest
from scipy.stats import ttest_rel

from motionbeat.benchmarks.significance import (
    Estimate,
    group_weights,
    holm,
    interval,
    once,
    paired_p_values,
    resample,
    scores,
)


def means(per_track, weights):
    """Weighted means of what is defined."""
    defined = np.isfinite(per_track["metric"])
    with np.errstate(invalid="ignore"):
        values = np.where(defined, per_track["metric"], 0) @ weights.T / (defined @ weights.T)
    return {"metric": values}


def scored(values):
    return {"metric": np.atleast_2d(np.asarray(values, float))}


def alone(values):
    """Every track is a group of its own."""
    return [str(number) for number in range(np.shape(values)[-1])]


def score(values, groups=None):
    return scores(scored(values), groups or alone(values), means)["metric"]


def p_values(entries, groups=None):
    """Of each entry with each other one."""
    groups = groups or alone(entries[0])
    estimates = [
        Estimate(once(scored(one), means)["metric"], resample(scored(one), groups, means)["metric"])
        for one in entries
    ]
    return paired_p_values(estimates, len(set(groups)))


def p_value(ours, theirs, groups=None):
    return p_values([ours, theirs], groups)[0, 1]


def test_mean_and_deviation_over_seeds_by_hand():
    one = score([[0.1, 0.3], [0.4, 0.6], [0.7, 0.9]])
    assert (one.mean, one.std) == pytest.approx((0.5, 0.3))
    assert score([0.1, 0.3]).std == 0


def test_what_is_undefined_does_not_count():
    values = [0.2, np.nan, 0.4, 0.2, 0.4, 0.3]
    one, without = score([values, values]), score([0.2, 0.4, 0.2, 0.4, 0.3])
    assert one.mean == pytest.approx(0.3)
    assert (one.low, one.high) == pytest.approx((without.low, without.high), abs=0.02)
    unknown = [np.nan] * 6
    one = score(unknown)
    assert np.isnan([one.mean, one.low, one.high]).all()
    found = p_values([values, unknown, [0.1] * 6])
    assert np.isfinite(found).tolist() == [
        [False, False, True],
        [False, False, False],
        [True, False, False],
    ]


def test_few_groups_have_no_interval_and_no_p_value():
    """A bootstrap over two groups has three samples, and is blind to all other groups."""
    values, groups = np.linspace(0, 1, 20), ["a", "b"] * 10
    one = score(values, groups)
    assert one.mean == pytest.approx(0.5)
    assert np.isnan([one.low, one.high, p_value(values, values**2, groups)]).all()


def test_interval_covers_the_true_mean_as_often_as_it_says():
    rng = np.random.default_rng(0)
    found = [score(rng.uniform(0, 1, 60)) for _ in range(100)]
    assert 88 <= sum(one.low <= 0.5 <= one.high for one in found) <= 100


def test_tracks_of_a_group_are_drawn_together_and_single_ones_as_ever():
    weights = group_weights(("a", "b", "a", "c"))
    assert (weights[:, 0] == weights[:, 2]).all()
    assert (weights[:, [0, 1, 3]].sum(axis=1) == 3).all()
    draws = np.random.default_rng(0).integers(4, size=(1000, 4))
    by_track = np.stack([np.bincount(draw, minlength=4) for draw in draws])
    np.testing.assert_array_equal(group_weights(tuple("zyxw")), by_track)


def test_an_interval_is_wider_where_tracks_of_a_group_agree():
    """Ten songs in eight versions each say no more than ten songs."""
    songs = np.random.default_rng(0).uniform(size=10)
    groups = [str(song) for song in range(10) for _ in range(8)]
    whole, versions = score(songs), score(songs.repeat(8), groups)
    assert (versions.low, versions.high) == pytest.approx((whole.low, whole.high))
    as_tracks = score(songs.repeat(8))
    assert versions.high - versions.low > 2 * (as_tracks.high - as_tracks.low)


def test_identical_entries_do_not_differ_and_clearly_different_ones_do():
    rng = np.random.default_rng(0)
    worse = rng.uniform(size=(2, 40))
    better = worse + rng.uniform(0, 0.1, size=(2, 40))
    assert p_value(worse, worse) == 1
    assert p_value(better, worse) == p_value(worse, better) < 0.01


@pytest.mark.parametrize("size", [1, 4], ids=["tracks", "groups"])
def test_p_is_uniform_where_neither_hears_anything(size):
    """Scores of two guesses; all tracks of a group are as easy for the one as for the other."""
    rng = np.random.default_rng(0)
    groups = [str(group) for group in range(40) for _ in range(size)]
    luck = rng.standard_normal((300, 2, 40)).repeat(size, axis=-1)
    tracks = luck + 0.3 * rng.standard_normal(luck.shape)
    found = np.sort([p_value(ours, theirs, groups) for ours, theirs in tracks])
    uniform = np.linspace(0, 1, len(found))
    assert np.abs(found - uniform).max() < 1.36 / np.sqrt(len(found)) + 0.03  # Kolmogorov-Smirnov
    assert np.mean(found < 0.05) < 0.1
    if size > 1:  # as tracks they are called different far too often
        wrong = [p_value(ours, theirs) for ours, theirs in tracks[:100]]
        assert np.mean(np.array(wrong) < 0.05) > 0.2


def test_with_few_groups_a_difference_is_called_real_no_more_often():
    """The share of bootstrap samples on one side of 0 would err twice as often."""
    rng = np.random.default_rng(0)
    pairs = rng.standard_normal((400, 2, 6))
    wrong = np.mean([p_value(*pair) < 0.05 for pair in pairs])
    samples = [
        resample(scored(ours - theirs), alone(ours), means)["metric"] for ours, theirs in pairs
    ]
    excluded = np.mean([low > 0 or high < 0 for low, high in map(interval, samples)])
    assert wrong < 0.075 < 0.1 < excluded


def test_seeds_that_agree_on_no_difference_are_heard():
    """Each trained probe is better or worse on all tracks alike, by chance."""
    rng = np.random.default_rng(0)
    luck = rng.standard_normal((300, 2, 3, 1)) + 0.1 * rng.standard_normal((300, 2, 3, 40))
    assert np.mean([p_value(*pair) < 0.05 for pair in luck]) < 0.08


def test_p_values_by_hand():
    """Paired t tests, where only seeds differ and where only groups do."""
    ours, theirs = np.array([0.1, 0.2, 0.6]), np.array([0.5, 0.9, 0.7])
    found = p_value(ours[:, None] * np.ones(6), theirs[:, None] * np.ones(6))
    assert found == pytest.approx(ttest_rel(ours, theirs).pvalue)
    one, other = np.random.default_rng(1).standard_normal((2, 50))
    assert p_value(one, other) == pytest.approx(ttest_rel(one, other).pvalue, rel=0.15)


def test_holm_by_hand():
    """By the definition, as statsmodels' multipletests(method="holm") computes it."""
    found = holm([0.01, 0.04, np.nan, 0.03, 0.005])
    np.testing.assert_allclose(found, [0.03, 0.06, np.nan, 0.06, 0.02])
    np.testing.assert_allclose(holm([0.6, 0.7]), [1, 1])
    assert holm([0.2]).tolist() == [0.2]
    assert holm([]).tolist() == []


def test_metrics_of_a_corpus_are_computed_anew_for_every_sample():
    def spread(per_track, weights):
        share, values = weights.T / weights.sum(axis=-1), per_track["metric"]
        return {"metric": np.sqrt(values**2 @ share - (values @ share) ** 2)}

    values = np.random.default_rng(0).standard_normal((2, 200))
    one = scores(scored(values), alone(values), spread)["metric"]
    assert one.mean == pytest.approx(values.std(axis=1).mean())
    assert 0.85 < one.low < one.mean < one.high < 1.15
