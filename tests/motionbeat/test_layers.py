"""Phase rotation is exact, and attention in the local frame does not know where the bar begins."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from motionbeat.layers import Block, PhaseAttention, PhaseRotation

EXACT = 1e-5
BAR = 2 * math.pi
WIDTH, HEADS, TOKENS = 64, 4, 24
METRES = torch.tensor([3, 4])
BARS = [BAR, -2 * BAR]
SHIFTS = [0.01, 1.0, -2.5, 33.3, *BARS]


def angle(radians):
    """In double precision: the 36th harmonic is as exact as a 36th of a phase's rounding."""
    return torch.tensor(radians, dtype=torch.float64)


def phases():
    """Two clips, in three and in four, that begin in the middle of a bar."""
    positions = torch.stack([(torch.arange(TOKENS) + 2) % 3, (torch.arange(TOKENS) + 1) % 4])
    return BAR * positions.double() / METRES[:, None]


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def stack(depth):
    """Blocks with and without guidance, and heavier weights than training begins with."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(depth)
        attention = [
            PhaseAttention(WIDTH, HEADS, contact_guidance=n % 2 == 1) for n in range(depth)
        ]
        blocks = nn.ModuleList(Block(one, WIDTH, 0.1) for one in attention)
        for one in attention:
            nn.init.normal_(one.distance_bias)
            nn.init.normal_(one.qkv.weight, std=0.12)
    return blocks.eval().requires_grad_(False)


def run(blocks, phase):
    """Local states of the two clips, the second of them shorter."""
    x = normal(2, TOKENS, WIDTH)
    mask = torch.arange(TOKENS) < torch.tensor([[TOKENS], [TOKENS - 5]])
    contact = torch.rand(2, TOKENS, generator=torch.Generator().manual_seed(1))
    for block in blocks:
        x = block(x, phase, METRES, mask, contact)
    return x


def distance(one, other):
    return (one - other).abs().max().item()


@pytest.mark.parametrize("depth", [1, 2, 12])
@pytest.mark.parametrize("shift", SHIFTS)
def test_a_shift_of_the_bar_leaves_states_and_rotates_the_representation(shift, depth):
    rotation, metre, blocks = PhaseRotation(WIDTH), METRES[:, None], stack(depth)
    states, shifted = run(blocks, phases()), run(blocks, phases() + shift)
    assert states.dtype == shifted.dtype == torch.float32
    assert distance(states, shifted) < EXACT
    before = rotation(states, phases(), metre)
    after = rotation(shifted, phases() + shift, metre)
    assert distance(after, rotation(before, angle(shift), metre)) < EXACT
    moved = distance(after, before)
    assert moved < EXACT if shift in BARS else moved > 0.1


def test_harmonics_by_hand():
    """Half of the pairs never turn; the others go round those of the bar and of the beat."""
    rotation = PhaseRotation(56)
    of_bar, of_beat = [1, 2, 3], np.arange(1, 10)
    for metre in (3, 4):
        turning = [*of_bar, *(metre * of_beat), 1, 2]
        assert rotation.harmonics(torch.tensor([metre])).tolist() == [0] * 14 + turning


@pytest.mark.parametrize("part", [0.0, 0.3, 0.5, 1.0])
def test_a_beat_is_the_same_angle_in_any_metre(part):
    """Pairs with harmonics of the beat turn alike at the same place in a beat, whatever the bar."""
    x, rotation = normal(60), PhaseRotation(60, bar=())
    found = [
        rotation(x, angle(BAR * (beat + part) / metre), torch.tensor(metre))
        for metre in (3, 4)
        for beat in range(metre)
    ]
    for other in found[1:]:
        assert distance(other, found[0]) < EXACT
    assert distance(found[0], x) < EXACT if part in (0, 1) else distance(found[0], x) > 0.1


def complex_attention(module, x, phase, mask, contact=0.0):
    """The same attention for one clip with complex numbers, token by token."""
    x, width = x.double().numpy(), x.shape[1]
    size, half = width // module.heads, width // module.heads // 2
    still = (half + 1) // 2
    harmonics = np.array([0] * still + [index % 3 + 1 for index in range(half - still)])
    turn = np.exp(1j * phase.double().numpy()[:, None] * harmonics)
    weight, bias = (one.detach().double().numpy() for one in module.qkv.parameters())
    channels_of = x @ weight.T + bias
    heads = np.zeros_like(x)
    for head in range(module.heads):
        parts = []
        for part in range(3):
            start = part * width + head * size
            channels = channels_of[:, start : start + size]
            parts.append((channels[:, :half] + 1j * channels[:, half:]) * turn)
        query, key, value = parts
        for i in range(len(x)):
            logits = (query[i] * key.conj()).real.sum(axis=1) / math.sqrt(size)
            apart = np.clip(i - np.arange(len(x)), -16, 16) + 16
            logits += module.distance_bias.detach().double().numpy()[apart, head] + contact
            weights = np.where(mask, np.exp(logits - logits.max()), 0)
            heard = (weights / weights.sum()) @ value / turn[i]
            heads[i, head * size : (head + 1) * size] = [*heard.real, *heard.imag]
    weight, bias = (one.detach().double().numpy() for one in module.out_proj.parameters())
    return heads @ weight.T + bias


@pytest.mark.parametrize("guided", [False, True])
def test_attention_equals_one_written_with_complex_numbers(guided):
    module = stack(2)[int(guided)].attention
    x, contact = normal(1, 40, WIDTH), normal(1, 40, seed=4).abs()
    phase = BAR * torch.arange(40)[None] / 5
    mask = torch.arange(40)[None] % 7 != 3
    found = module(x, phase, torch.tensor([5]), mask, contact)
    # A scale of softplus(0) = log 2 weighs a token 2 to the power of its contact.
    added = math.log(2) * contact[0].numpy() if guided else 0.0
    true = complex_attention(module, x[0], phase[0], mask[0].numpy(), added)
    assert found[0].numpy() == pytest.approx(true, abs=1e-5)


def test_a_row_of_padding_alone_is_finite_and_so_are_its_gradients():
    module = PhaseAttention(WIDTH, HEADS, contact_guidance=True)
    x = normal(2, TOKENS, WIDTH).requires_grad_()
    mask = torch.tensor([[False], [True]]).expand(2, TOKENS)
    found = module(x, phases(), METRES, mask, torch.zeros(2, TOKENS))
    found[1].sum().backward()
    assert found.isfinite().all()
    assert x.grad.isfinite().all()
    assert all(parameter.grad.isfinite().all() for parameter in module.parameters())
