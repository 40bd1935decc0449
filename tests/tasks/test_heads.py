import pytest
import torch

from motionbeat.tasks.heads import Head, SeededDropout, mix_layers


@pytest.mark.parametrize("layers", [1, 3])
def test_layer_weights_are_positive_and_sum_to_1(layers):
    head = Head(layers, 5, 2, hidden=False, seed=0)
    head.layer_logits.data.normal_()
    assert (head.layer_weights > 0).all()
    assert head.layer_weights.sum().item() == pytest.approx(1)


def test_initialisation_follows_the_seed_and_leaves_the_global_generator():
    torch.manual_seed(7)
    before = torch.get_rng_state()
    first, again, other = (Head(2, 5, 3, hidden=True, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(first.map[0].weight, again.map[0].weight)
    assert not torch.equal(first.map[0].weight, other.map[0].weight)


def test_dropout_has_a_stream_of_its_own():
    inputs = torch.ones(1000)
    first, second = SeededDropout(0.2, 5), SeededDropout(0.2, 5)
    masks = [first(inputs)]
    torch.rand(10)
    assert torch.equal(masks[0], second(inputs))
    assert not torch.equal(masks[0], first(inputs))
    kept = torch.tensor(256 / (256 - round(0.2 * 256))).item()
    assert set(masks[0].tolist()) == {0.0, kept}
    assert masks[0].mean().item() == pytest.approx(1, abs=0.06)
    assert torch.equal(first.eval()(inputs), inputs)


@pytest.mark.parametrize("layers", [1, 3])
def test_mixing_for_all_heads_at_once_is_the_weighted_sum_of_the_layers(layers):
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(2, 7, layers, 5, generator=generator)
    weights = torch.rand(4, layers, generator=generator).softmax(dim=-1)
    expected = torch.einsum("hl,btlw->hbtw", weights, features)
    torch.testing.assert_close(mix_layers(features, weights), expected)
