import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog
from torch.nn import functional

from motionbeat.losses import (
    bar_emd,
    embodied_contrastive_loss,
    soft_dtw,
    structural_rhythm_alignment_loss,
)


def rand(*shape, seed=0, dtype=torch.float64):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def randn(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


# Soft-DTW


def both_ways(function, cost, gamma):
    """The gradient of the sum of a function of a cost."""
    cost = cost.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(function(cost, gamma).sum(), cost)
    return gradient


def alignments(n, m, i=0, j=0):
    """All monotone paths from the first cell to the last, as lists of cells."""
    if (i, j) == (n - 1, m - 1):
        yield [(i, j)]
    for di, dj in ((1, 1), (1, 0), (0, 1)):
        if i + di < n and j + dj < m:
            for rest in alignments(n, m, i + di, j + dj):
                yield [(i, j), *rest]


def hard_dtw(cost):
    return min(sum(cost[i, j].item() for i, j in path) for path in alignments(*cost.shape))


@pytest.mark.parametrize(("n", "m"), [(1, 1), (1, 4), (3, 3), (4, 3), (3, 5)])
def test_soft_dtw_is_the_soft_minimum_over_all_alignments(n, m):
    cost, gamma = randn(2, n, m), 0.7
    paths = list(alignments(n, m))
    delannoy = {(1, 1): 1, (1, 4): 1, (3, 3): 13, (4, 3): 25, (3, 5): 41}
    assert len(paths) == delannoy[n, m]
    sums = torch.stack([sum(cost[:, i, j] for i, j in path) for path in paths], 1)
    torch.testing.assert_close(soft_dtw(cost, gamma), -gamma * torch.logsumexp(-sums / gamma, 1))
    # The gradient is the expected alignment: in how many of the paths, by weight, a cell lies.
    weights = torch.softmax(-sums / gamma, 1)
    expected = torch.zeros_like(cost)
    for weight, path in zip(weights.T, paths, strict=True):
        for i, j in path:
            expected[:, i, j] += weight
    torch.testing.assert_close(both_ways(soft_dtw, cost, gamma), expected)


def test_soft_dtw_equals_tslearn():
    """tslearn 0.10.0: soft_dtw_alignment([0, 1, 3, 2], [0.5, 2.5, 2], 0.1), squared differences."""
    x, y = np.array([0, 1, 3, 2.0]), np.array([0.5, 2.5, 2])
    cost = torch.from_numpy((x[:, None] - y) ** 2)[None]
    assert soft_dtw(cost, 0.1).item() == pytest.approx(0.7421068308382378, abs=1e-12)
    alignment = [[1, 0, 0], [0.999999998, 2e-9, 0], [0, 1, 4.1954e-05], [0, 0.075854997, 1]]
    expected = torch.tensor([alignment], dtype=torch.float64)
    torch.testing.assert_close(both_ways(soft_dtw, cost, 0.1), expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("scale", [0.0, 1.0, 1e4, 1e20])
def test_soft_dtw_is_stable(scale, dtype):
    """Values and gradients stay finite; every row and column is aligned, with cost no path beats.

    At the far end of single precision soft-DTW is hard DTW, up to rounding.
    """
    cost = scale * rand(2, 7, 6, dtype=dtype)
    value, gradient = soft_dtw(cost, 0.001), both_ways(soft_dtw, cost, 0.001)
    assert value.isfinite().all()
    assert ((gradient >= 0) & (gradient < 1 + 1e-3)).all()
    assert (gradient.sum(1) > 1 - 1e-3).all()
    assert (gradient.sum(2) > 1 - 1e-3).all()
    if scale > 1:
        hard = torch.tensor([hard_dtw(item) for item in cost], dtype=dtype)
        torch.testing.assert_close(value, hard, rtol=1e-3, atol=0)


def test_padding_has_no_influence():
    n, m = 7, 6
    cost = rand(4, n, m)
    rows, columns = torch.tensor([1, 7, 3, 5]), torch.tensor([6, 6, 2, 1])
    cost[0, 1:] = torch.nan
    cost[2, :, 2:] = torch.inf
    gradient = both_ways(lambda c, gamma: soft_dtw(c, gamma, (rows, columns)), cost, 0.2)
    values = soft_dtw(cost, 0.2, (rows, columns))
    for item, (row, column) in enumerate(zip(rows, columns, strict=True)):
        cropped = cost[item : item + 1, :row, :column]
        torch.testing.assert_close(values[item], soft_dtw(cropped, 0.2)[0])
        expected = torch.zeros(n, m, dtype=torch.float64)
        expected[:row, :column] = both_ways(soft_dtw, cropped, 0.2)[0]
        torch.testing.assert_close(gradient[item], expected)


def test_soft_dtw_of_half_precision_is_summed_in_single():
    cost = (100 * rand(2, 40, 40)).bfloat16()
    torch.testing.assert_close(soft_dtw(cost), soft_dtw(cost.float()), rtol=0, atol=0)
    gradient, single = (both_ways(soft_dtw, x, 1.0) for x in (cost, cost.float()))
    torch.testing.assert_close(gradient, single.bfloat16(), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("shape", "gamma", "lengths", "message"),
    [
        ((2, 0, 4), 1.0, None, "cost has shape"),
        ((2, 3, 4), 1.0, ([3, 3], [4, 5]), "1..4"),
    ],
)
def test_soft_dtw_refuses(shape, gamma, lengths, message):
    lengths = None if lengths is None else tuple(map(torch.tensor, lengths))
    with pytest.raises(ValueError, match=message):
        soft_dtw(torch.zeros(shape), gamma, lengths)


# Earth mover's distance around the bar


def transport(p, q):
    """The distance as a linear programme over all flows between positions."""
    k = len(p)
    p, q = (x / x.sum() if x.sum() else np.full(k, 1 / k) for x in (p, q))
    apart = np.abs(np.subtract.outer(np.arange(k), np.arange(k)))
    arc = np.minimum(apart, k - apart) / k
    leaving, arriving = np.kron(np.eye(k), np.ones(k)), np.kron(np.ones(k), np.eye(k))
    flows = linprog(arc.ravel(), A_eq=np.vstack([leaving, arriving]), b_eq=np.concatenate([p, q]))
    assert flows.success
    return flows.fun


def point(position, positions=8):
    return functional.one_hot(torch.tensor(position), positions).double()


masses = st.integers(1, 9).flatmap(
    lambda k: st.tuples(*[st.lists(st.integers(0, 5), min_size=k, max_size=k)] * 2)
)


@settings(max_examples=80, deadline=None)
@given(masses)
def test_bar_emd_is_optimal_transport(pair):
    p, q = (np.array(x, dtype=float) for x in pair)
    distance = bar_emd(torch.from_numpy(p), torch.from_numpy(q))
    assert distance.item() == pytest.approx(transport(p, q), abs=1e-9)


def test_gradient_of_bar_emd_is_finite_where_a_bar_has_no_mass():
    nothing = torch.zeros(8).double()
    assert both_ways(lambda p, _: bar_emd(p, point(2)), nothing, 0).isfinite().all()


def test_gradient_of_bar_emd_between_points_is_a_subgradient_that_turns_with_the_bar():
    """Many positions tie with the median here; distance is convex in normalised masses."""
    gradients = []
    for turn in range(12):
        p, q = point(turn, 12).requires_grad_(), point((turn + 3) % 12, 12)
        value = bar_emd(p, q)
        (gradient,) = torch.autograd.grad(value, p)
        for other in torch.lerp(p.detach(), torch.eye(12).double(), 0.01):
            assert bar_emd(other, q) >= value + (gradient * (other - p)).sum() - 1e-12
        gradients.append(gradient.roll(-turn))
    # Up to position 3 each step is a twelfth nearer.
    near = torch.tensor([0, -1, -2, -3]).double() / 12
    for gradient in gradients:
        torch.testing.assert_close(gradient[:4], near)
        torch.testing.assert_close(gradient, gradients[0])


# Embodied Contrastive Loss


def by_the_formula(audio, motion, tempo=None, jitter=None, temperature=0.07, symmetric=False):
    """The loss, term by term in Python floats."""

    def term(x, y):
        cosine = (x @ y / (x.norm() * y.norm())).item()
        return math.exp(cosine / temperature)

    loss = back = 0.0
    for i, (a, m) in enumerate(zip(audio, motion, strict=True)):
        own = [term(a, x) for negatives in (tempo, jitter) if negatives is not None
               for x in negatives[i]]  # fmt: skip
        loss -= math.log(term(a, m) / (sum(term(a, x) for x in motion) + sum(own)))
        back -= math.log(term(a, m) / sum(term(x, m) for x in audio))
    return (loss + back) / 2 / len(audio) if symmetric else loss / len(audio)


@pytest.mark.parametrize("symmetric", [False, True])
def test_contrast_follows_the_formula(symmetric):
    audio, motion = randn(6, 5), randn(6, 5, seed=1)
    tempo, jitter = randn(6, 3, 5, seed=2), randn(6, 2, 5, seed=3)
    for own in ((None, None), (tempo, None), (None, jitter), (tempo, jitter)):
        loss = embodied_contrastive_loss(audio, motion, *own, 0.3, symmetric)
        expected = by_the_formula(audio, motion, *own, 0.3, symmetric)
        assert loss.item() == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_contrast_of_low_precision_is_close_to_double(dtype):
    """The inputs are rounded first, so that only the computation differs; lengths are large."""
    inputs = [
        (200 * x).to(dtype).requires_grad_()
        for x in (randn(16, 32), randn(16, 32, seed=1), randn(16, 4, 32, seed=2))
    ]
    loss = embodied_contrastive_loss(*inputs, None, 0.01, symmetric=True)
    double = embodied_contrastive_loss(*(x.double() for x in inputs), None, 0.01, symmetric=True)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(double.item(), rel=1e-4)
    loss.backward()
    assert all(x.grad.dtype == dtype and x.grad.isfinite().all() for x in inputs)


def test_gradient_of_the_contrast_and_of_its_temperature():
    tensors = (randn(3, 4), randn(3, 4, seed=1), randn(3, 2, 4, seed=2), randn(3, 2, 4, seed=3))
    temperature = torch.tensor(0.5, dtype=torch.float64)
    inputs = [x.requires_grad_() for x in (*tensors, temperature)]
    assert torch.autograd.gradcheck(embodied_contrastive_loss, inputs)
    fixed = embodied_contrastive_loss(*tensors, temperature=0.5)
    torch.testing.assert_close(embodied_contrastive_loss(*inputs), fixed)


def test_contrast_refuses_embeddings_that_do_not_fit():
    with pytest.raises(ValueError, match="embeddings have shapes"):
        embodied_contrastive_loss(torch.ones(4, 5), torch.ones(3, 5))


# Structural Rhythm Alignment Loss

BEATS, P, METRE = 12, 4, 4


def rhythms(batch=2, beats=BEATS, seed=0):
    """Strong first beats and random weaker ones."""
    pulses = rand(batch, beats, P, seed=seed)
    pulses[:, ::METRE, 0] += 3
    return pulses


def align(audio, motion, mask=None, position=None, metre=METRE, **options):
    """The loss, by default of whole bars of one metre from a downbeat."""
    batch, beats, _ = audio.shape
    mask = torch.ones(batch, beats, dtype=torch.bool) if mask is None else mask
    position = (torch.arange(beats) % METRE).repeat(batch, 1) if position is None else position
    metre = torch.full((batch,), metre) if isinstance(metre, int) else metre
    return structural_rhythm_alignment_loss(audio, motion, mask, position, metre, **options)


def test_both_parts_by_hand():
    """One beat a clip, two points a beat, one beat a bar.

    One beat has one alignment: the divergence is the mean squared difference of (1, 0) and (0, 1),
    1, less nothing. All of the mass moves half a bar.
    """
    x, y = torch.tensor([[[1.0, 0]]]), torch.tensor([[[0, 1.0]]])
    parts = align(x, y, metre=1)
    assert [part.item() for part in parts] == pytest.approx([1.5, 1, 0.5])
    weighted = align(x, y, metre=1, beat_weight=3.0, bar_weight=2.0)
    assert [part.item() for part in weighted] == pytest.approx([4, 1, 0.5])


def test_bars_are_blind_to_shifts_by_whole_bars_and_to_nothing_less():
    audio = rhythms()
    whole = align(audio, audio.roll(METRE, 1))
    assert whole.bar.item() == pytest.approx(0, abs=1e-12)
    assert whole.beat > 1e-3
    for shift in (1, 2, 3):
        assert align(audio, audio.roll(shift, 1)).bar > 0.05


def test_a_clip_need_not_begin_with_a_downbeat():
    """Accents are placed by where beats stand, so moving the phase of both changes nothing."""
    audio, motion = rhythms(), rhythms(seed=1)
    bars = [
        align(audio, motion, position=((torch.arange(BEATS) + phase) % METRE).repeat(2, 1)).bar
        for phase in range(METRE)
    ]
    for bar in bars[1:]:
        torch.testing.assert_close(bar, bars[0])


def mixed():
    """Three clips of 12, 7 and 9 beats in 4, 3 and 5, the second from its third beat."""
    audio, motion = rhythms(3), rhythms(3, seed=1)
    beats, metre = torch.tensor([12, 7, 9]), torch.tensor([4, 3, 5])
    mask = torch.arange(BEATS) < beats[:, None]
    position = (torch.arange(BEATS) + torch.tensor([[0], [2], [0]])) % metre[:, None]
    return audio, motion, mask, position, metre


def test_a_batch_of_mixed_metres_and_lengths_is_the_mean_of_its_clips():
    audio, motion, mask, position, metre = mixed()
    whole = structural_rhythm_alignment_loss(audio, motion, mask, position, metre)
    alone = [
        structural_rhythm_alignment_loss(
            *(x[i : i + 1, : mask[i].sum()] for x in (audio, motion, mask, position)),
            metre[i : i + 1],
        )
        for i in range(3)
    ]
    for part, parts in zip(whole, zip(*alone, strict=True), strict=True):
        torch.testing.assert_close(part, sum(parts) / 3)
    assert len({round(x.bar.item(), 6) for x in alone}) == 3


def test_padding_of_beats_has_no_influence():
    audio, motion, mask, position, metre = mixed()
    expected = structural_rhythm_alignment_loss(audio, motion, mask, position, metre)
    gradients = []
    for rubbish, place in ((0.0, 99), (torch.nan, -1)):
        x, y = (z.masked_fill(~mask[..., None], rubbish).requires_grad_() for z in (audio, motion))
        places = position.masked_fill(~mask, place)
        parts = structural_rhythm_alignment_loss(x, y, mask, places, metre)
        assert parts == expected
        parts.total.backward()
        assert (x.grad[~mask] == 0).all()
        gradients.append((x.grad, y.grad))
    torch.testing.assert_close(*gradients)


def test_clips_without_beats_count_as_0():
    clips = mixed()
    some = structural_rhythm_alignment_loss(*(x[:2] for x in clips))
    audio, _, mask, _, metre = clips
    mask[2], metre[2] = False, 0
    whole = structural_rhythm_alignment_loss(*clips)
    for part, rest in zip(whole, some, strict=True):
        torch.testing.assert_close(part, rest * 2 / 3)
    audio.requires_grad_()
    mask[:] = False
    nothing = structural_rhythm_alignment_loss(*clips)
    assert nothing == (0, 0, 0)
    nothing.total.backward()
    assert (audio.grad == 0).all()


def test_gradient_of_the_alignment_passes_gradcheck():
    audio, motion, mask, position, metre = mixed()
    x, y = (z[:, :, :2].clone().requires_grad_() for z in (audio, motion))
    assert torch.autograd.gradcheck(
        lambda x, y: structural_rhythm_alignment_loss(x, y, mask, position, metre, 0.5).total,
        (x, y),
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"motion": torch.ones(3, BEATS, P + 1)}, "pulses have shapes"),
        ({"mask": torch.arange(BEATS).repeat(3, 1) > 0}, "padding before a beat"),
        ({"position": torch.full((3, BEATS), 3)}, "outside 0"),
    ],
)
def test_alignment_refuses(change, message):
    names = ("audio", "motion", "mask", "position", "metre")
    arguments = dict(zip(names, mixed(), strict=True)) | change
    with pytest.raises(ValueError, match=message):
        structural_rhythm_alignment_loss(*arguments.values())
