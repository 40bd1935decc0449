"""Members of an ensemble end as each would alone, at its own best validation."""

import copy
import math
from dataclasses import replace

import pytest
import torch
from tests.toys import Tiny

from motionbeat.benchmarks.embedded import Embedded
from motionbeat.benchmarks.ensemble import Ensemble, TrainingError
from motionbeat.benchmarks.protocol import best_of, fit
from motionbeat.tasks.beat_tracking import BeatTracking
from motionbeat.tasks.contract import Recipe

NAN = math.nan


class Short(BeatTracking):
    recipe = Recipe(clip_seconds=2.0, max_steps=24, check_every=6, patience=4)


@pytest.fixture(scope="module")
def features(clicks):
    module = Embedded(clicks, Tiny(), cache=clicks.cache / "embeddings", clip_seconds=2.0)
    module.prepare_data()
    return module


def trained(features, *members, kind=Short, head="linear", **options):
    """An ensemble of members (seed, learning rate)."""
    tasks = [kind(Tiny(), head, learning_rate=rate, seed=seed) for seed, rate in members]
    ensemble = Ensemble(tasks, **options)
    fit(ensemble, features, "test")
    return ensemble


@pytest.mark.parametrize("head", ["linear", "mlp"])
def test_members_side_by_side_end_as_if_alone(features, head):
    members = [(0, 0.001), (1, 0.01), (0, 0.1)]
    together = trained(features, *members, head=head)
    for number, member in enumerate(members):
        alone = trained(features, member, head=head)
        assert alone.monitors[0].item() == pytest.approx(together.monitors[number].item(), rel=1e-4)
        beside = together.tasks[number].state_dict()
        for name, weights in alone.tasks[0].state_dict().items():
            torch.testing.assert_close(weights, beside[name], rtol=1e-4, atol=1e-5)


def test_the_same_members_give_the_same_bits_and_other_seeds_do_not(features):
    first, again, other = (
        trained(features, (seed, 0.01), head="mlp").tasks[0].head.map[0].weight
        for seed in (3, 3, 4)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def scripted(script, mode="max"):
    """A task whose monitor follows a script, by learning rate a value a validation."""

    class Scripted(Short):
        recipe = replace(Short.recipe, max_steps=100, check_every=3, patience=2)

        def __init__(self, *rest, **options):
            super().__init__(*rest, **options)
            self.heard = 0
            self.states = []

        def training_step(self, *rest):
            raise AssertionError("the ensemble has its own")

        def loss(self, *rest):
            self.heard += 1
            return super().loss(*rest)

        def validation_result(self, values, tracks):
            self.states.append(copy.deepcopy(self.head.state_dict()))
            return script[self.learning_rate][len(self.states) - 1]

    Scripted.mode = mode
    return Scripted


def test_each_member_ends_at_its_own_best_and_costs_nothing_once_done(features):
    script = {0.01: (0.5, 0.4, 0.3), 0.02: (0.1, 0.2, 0.9, 0.8, 0.7)}
    ensemble = trained(features, (0, 0.01), (0, 0.02), kind=scripted(script))
    assert ensemble.monitors.tolist() == [0.5, 0.9]
    for task, best, checks in zip(ensemble.tasks, (0, 2), (3, 5), strict=True):
        assert len(task.states) == checks, "it is not validated any more"
        assert task.heard == 3 * checks, "nor trained"
        state = task.head.state_dict()
        assert all(torch.equal(state[name], task.states[best][name]) for name in state)
        assert any(not torch.equal(state[name], task.states[-1][name]) for name in state)


def test_a_sweep_halves_its_members_at_each_validation(features):
    script = {
        0.01: (0.5, 0.1, 0.1, 0.9),  # its best still counts when it is not better any more
        0.02: (0.1, 0.9),
        0.03: (0.4, 0.6, 0.7, 0.8, 0.9, 0.1, 0.1),
        0.04: (0.3, 0.4, 0.9),
        0.05: (NAN, 0.9),
    }
    members = [(0, rate) for rate in script]
    ensemble = trained(features, *members, kind=scripted(script), halving=True)
    assert [len(task.states) for task in ensemble.tasks] == [3, 1, 7, 2, 1]


def test_statistics_that_are_known_are_not_gathered_again(features, monkeypatch):
    first = trained(features, (0, 0.01))
    monkeypatch.setattr("motionbeat.tasks.front_end.FrontEnd.gather_statistics", None)
    statistics = first.tasks[0].front_end.state_dict()
    again = trained(features, (0, 0.01), statistics=statistics)
    assert torch.equal(first.tasks[0].head.map.weight, again.tasks[0].head.map.weight)


def test_halving_chooses_a_rate_within_seed_noise_of_the_whole_sweep(features):
    rates = Short.recipe.learning_rates
    whole = trained(features, *((0, rate) for rate in rates)).monitors
    halved = trained(features, *((0, rate) for rate in rates), halving=True).monitors
    chosen, best = best_of(halved.tolist(), "max"), best_of(whole.tolist(), "max")
    seeds = trained(features, *((seed, rates[best]) for seed in range(4))).monitors
    assert whole[best] - whole[chosen] <= seeds.std()
    assert whole[chosen] > whole.median() - seeds.std()


def test_a_monitor_that_shall_be_small(features):
    script = {0.01: (0.5, 0.1, 0.2, 0.3, 0.0)}
    ensemble = trained(features, (0, 0.01), kind=scripted(script, "min"))
    assert ensemble.monitors.tolist() == [0.1]
    assert best_of([0.5, NAN, 0.1, 0.2], "min") == 2


def test_a_member_that_diverges_loses_and_the_others_go_on(features):
    script = {0.01: (NAN,) * 4, 0.02: (0.2, 0.4, 0.3, 0.1)}
    ensemble = trained(features, (0, 0.01), (0, 0.02), kind=scripted(script))
    monitors = ensemble.monitors.tolist()
    assert math.isnan(monitors[0])
    assert monitors[1] == 0.4
    assert best_of(monitors, "max") == 1
    assert best_of([-2.0, NAN], "max") == 0


def test_a_monitor_that_is_never_a_number_is_one_clear_error(features):
    with pytest.raises(TrainingError, match="never a number at any learning rate"):
        trained(features, (0, 0.01), kind=scripted({0.01: (NAN,) * 3}))
