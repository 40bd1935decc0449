import numpy as np
import pytest
import torch
from tests.toys import ToyEmotion

from motionbeat.tasks.features import Batch, Windows, collate
from motionbeat.tasks.probe import Member, Probe, SeededDropout


class Shape:
    rate, layers, width = 2.0, 3, 5


def batch_of(features):
    mask = torch.ones(features.shape[:2], dtype=torch.bool)
    return Batch(features, mask, torch.zeros(len(features)), {}, {})


def task(*members):
    return ToyEmotion(Shape, [], probe="mlp", members=members)


@pytest.mark.parametrize("layers", [1, 3])
def test_layer_weights_are_positive_and_sum_to_1(layers):
    probe = Probe(layers, 5, 2, hidden=False, seed=0)
    probe.layer_logits.data.normal_()
    assert (probe.layer_weights > 0).all()
    assert probe.layer_weights.sum().item() == pytest.approx(1)


def test_initialisation_follows_the_seed_and_leaves_the_global_generator():
    torch.manual_seed(7)
    before = torch.get_rng_state()
    first, again, other = (Probe(2, 5, 3, hidden=True, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(first.head[0].weight, again.head[0].weight)
    assert not torch.equal(first.head[0].weight, other.head[0].weight)


def test_dropout_has_a_stream_of_its_own():
    inputs = torch.ones(1000)
    first, second = SeededDropout(0.2, 5), SeededDropout(0.2, 5)
    masks = [first(inputs)]
    torch.rand(10)
    assert torch.equal(masks[0], second(inputs))
    assert not torch.equal(masks[0], first(inputs))
    assert set(masks[0].tolist()) == {0.0, 1.25}
    assert masks[0].mean().item() == pytest.approx(1, abs=0.06)
    assert torch.equal(first.eval()(inputs), inputs)


def test_mixing_all_members_at_once_equals_mixing_one_by_one():
    module = task(Member(0, 0.1), Member(1, 0.1))
    for probe in module.trained:
        probe.layer_logits.data.normal_()
    module.eval()
    module.standardise(np.full((3, 5), 2.0), np.full((3, 5), 4.0))
    features = torch.randn(2, 7, 3, 5)
    for probe, outputs in zip(module.trained, module(batch_of(features)), strict=True):
        mixed = torch.einsum("l,btlw->btw", probe.layer_weights, (features - 2) / 4)
        torch.testing.assert_close(outputs, probe(mixed))


def test_constant_features_are_centred_but_not_blown_up():
    module = task(Member(0, 0.1))
    module.standardise(np.ones((3, 5)), np.zeros((3, 5)))
    assert (module.std == 1).all()


def test_no_gradient_reaches_another_member():
    module = task(Member(0, 0.1), Member(1, 0.1))
    module(batch_of(torch.randn(2, 7, 3, 5)))[0].sum().backward()
    first, second = module.trained
    assert all(weights.grad is not None for weights in first.parameters())
    assert all(
        not (weights.grad is not None and weights.grad.any()) for weights in second.parameters()
    )


class Counting(Shape):
    """Features that are the number of their step."""

    def length(self, track):
        return track

    def read(self, track, start, stop):
        return np.arange(start, stop, dtype=np.float16)[:, None, None]


def test_windows_cover_every_step_once_and_are_padded_at_the_end():
    windows = Windows(
        Counting(),
        [5, 3],
        3,
        3,
        lambda track, steps: {"triple": 3 * torch.arange(steps)},
        lambda track, steps: {"double": 2 * torch.arange(steps)},
    )
    batch = collate([windows[index] for index in range(len(windows))])
    assert batch.track.tolist() == [0, 0, 1]
    assert batch.mask.tolist() == [[True] * 3, [True, True, False], [True] * 3]
    assert batch.features[batch.mask].flatten().tolist() == [0, 1, 2, 3, 4, 0, 1, 2]
    assert batch.targets["double"][batch.mask].tolist() == [0, 2, 4, 6, 8, 0, 2, 4]
    assert batch.inputs["triple"][batch.mask].tolist() == [0, 3, 6, 9, 12, 0, 3, 6]


def test_windows_of_both_precisions_meet_in_full_precision():
    batch = collate(
        [
            (torch.ones(2, 1, 1, dtype=torch.float16), 0, {}, {}),
            (torch.full((2, 1, 1), 1e6), 1, {}, {}),
        ]
    )
    assert batch.features.flatten().tolist() == [1, 1, 1e6, 1e6]
