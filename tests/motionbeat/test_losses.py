import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog
from torch.nn import functional

from motionbeat.losses import (
    accent_mass,
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


def test_soft_dtw_by_hand():
    """A 2 x 2 table of zeros has three alignments, each of cost 0: -log 3 at gamma 1.

    Each is as likely as the others, and either of the cells off the diagonal lies on one.
    """
    cost = torch.zeros(1, 2, 2)
    assert soft_dtw(cost, 1.0).item() == pytest.approx(-math.log(3))
    expected = torch.tensor([[[1, 1 / 3], [1 / 3, 1]]])
    torch.testing.assert_close(both_ways(soft_dtw, cost, 1.0), expected)


# tslearn 0.10.0: soft_dtw_alignment([0, 1, 3, 2], [0.5, 2.5, 2], gamma), squared differences as
# the cost; the alignment is rounded to 9 decimals.
@pytest.mark.parametrize(
    ("gamma", "value", "alignment"),
    [
        (
            1.0,
            -0.2890232112091844,
            [
                [1.0, 0.000413338, 2.791e-06],
                [0.865861835, 0.238127978, 0.014971906],
                [0.002221154, 0.943997096, 0.217021958],
                [7.1987e-05, 0.343230619, 1.0],
            ],
        ),
        (
            0.1,
            0.7421068308382378,
            [
                [1.0, 0.0, 0.0],
                [0.999999998, 2e-09, 0.0],
                [0.0, 1.0, 4.1954e-05],
                [0.0, 0.075854997, 1.0],
            ],
        ),
    ],
)
def test_soft_dtw_equals_tslearn(gamma, value, alignment):
    x, y = np.array([0, 1, 3, 2.0]), np.array([0.5, 2.5, 2])
    cost = torch.from_numpy((x[:, None] - y) ** 2)[None]
    assert soft_dtw(cost, gamma).item() == pytest.approx(value, abs=1e-12)
    expected = torch.tensor([alignment], dtype=torch.float64)
    torch.testing.assert_close(both_ways(soft_dtw, cost, gamma), expected, rtol=0, atol=1e-9)


def test_soft_dtw_tends_to_hard_dtw():
    cost = rand(4, 5, 4)
    hard = torch.tensor([hard_dtw(item) for item in cost], dtype=torch.float64)
    off = [(hard - soft_dtw(cost, gamma)).abs().max().item() for gamma in (1, 0.1, 0.01, 0.001)]
    assert all(smaller < larger for larger, smaller in pairwise(off))
    assert off[-1] < 1e-6


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("scale", [0.0, 1.0, 1e4, 1e20])
@pytest.mark.parametrize("gamma", [0.001, 1.0])
def test_soft_dtw_is_stable(scale, gamma, dtype):
    """Values and gradients stay finite; every row and column is aligned, with cost no path beats.

    At the far end of single precision soft-DTW is hard DTW, up to rounding.
    """
    cost = scale * rand(2, 7, 6, dtype=dtype)
    value, gradient = soft_dtw(cost, gamma), both_ways(soft_dtw, cost, gamma)
    assert value.isfinite().all()
    assert (gradient >= 0).all()
    assert (gradient < 1 + 1e-3).all()
    for sums in (gradient.sum(1), gradient.sum(2)):
        assert (sums > 1 - 1e-3).all()
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


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_soft_dtw_of_half_precision_is_summed_in_single(dtype):
    cost = (100 * rand(2, 40, 40)).to(dtype)
    value = soft_dtw(cost)
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, soft_dtw(cost.float()), rtol=0, atol=0)
    gradient = both_ways(soft_dtw, cost, 1.0)
    assert gradient.dtype == dtype
    single = both_ways(soft_dtw, cost.float(), 1.0)
    torch.testing.assert_close(gradient, single.to(dtype), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("shape", "gamma", "lengths", "message"),
    [
        ((2, 3, 4), 0.0, None, "gamma is 0.0"),
        ((3, 4), 0.1, None, r"shape \(3, 4\)"),
        ((2, 3, 4), 0.1, ([3, 0], [4, 4]), r"2 numbers in 1\.\.3"),
    ],
)
def test_soft_dtw_refuses(shape, gamma, lengths, message):
    tensors = lengths and tuple(map(torch.tensor, lengths))
    with pytest.raises(ValueError, match=message):
        soft_dtw(torch.zeros(shape), gamma, tensors)


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


def test_bar_emd_by_hand():
    """A third of the mass moves a quarter of the bar; then one of two points half a bar."""
    thirds = torch.tensor([[1.0, 2, 0, 0], [1, 1, 1, 0]])
    assert bar_emd(*thirds).item() == pytest.approx(1 / 3 * 1 / 4)
    half = torch.tensor([[1.0, 1, 0, 0], [0, 1, 1, 0]])
    assert bar_emd(*half).item() == pytest.approx(1 / 4)


def test_bar_emd_ignores_joint_rotation_order_and_scale():
    p, q = rand(5, 12), rand(5, 12, seed=1)
    distance = bar_emd(p, q)
    assert (distance > 0).all()
    for steps in range(1, 12):
        torch.testing.assert_close(bar_emd(p.roll(steps, -1), q.roll(steps, -1)), distance)
    torch.testing.assert_close(bar_emd(q, p), distance)
    torch.testing.assert_close(bar_emd(7 * p, q / 3), distance)
    torch.testing.assert_close(bar_emd(p, 2 * p), torch.zeros(5).double())


def test_a_bar_without_mass_is_uniform():
    """Uniform to a point: half of the mass moves on each side; 0 + 2 * (1 + 2 + 3) + 4 eighths."""
    nothing, uniform = torch.zeros(8).double(), torch.ones(8).double()
    assert bar_emd(nothing, point(2)).item() == pytest.approx(16 / 8 / 8)
    assert bar_emd(uniform, point(2)).item() == pytest.approx(16 / 8 / 8)
    assert bar_emd(nothing, nothing) == 0
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


def by_the_formula(
    audio, motion, tempo=None, jitter=None, temperature=0.07, symmetric=False, group=None
):
    """The loss, term by term in Python floats."""

    def term(x, y):
        cosine = (x @ y / (x.norm() * y.norm())).item()
        return math.exp(cosine / temperature)

    def negatives(i):
        return [j for j in range(len(audio)) if j != i and (group is None or group[i] != group[j])]

    loss = back = 0.0
    for i, (a, m) in enumerate(zip(audio, motion, strict=True)):
        others = [motion[j] for j in negatives(i)]
        others += [x for own in (tempo, jitter) if own is not None for x in own[i]]
        pair = term(a, m)
        loss -= math.log(pair / (pair + sum(term(a, x) for x in others)))
        back -= math.log(pair / (pair + sum(term(audio[j], m) for j in negatives(i))))
    return (loss + back) / 2 / len(audio) if symmetric else loss / len(audio)


def test_contrast_by_hand():
    """Orthogonal pairs at temperature 1; cosines are 1, 0, -1 and 0.6.

    Row 1: e over e + 1 (the other motion) + e^-1 (tempo) + e^0.6 (jitter);
    row 2: e over e + 1 + 1 (tempo) + e^-1 (jitter). Lengths do not matter.
    """
    audio = torch.tensor([[2.0, 0], [0, 1]])
    motion = torch.tensor([[1.0, 0], [0, 3]])
    tempo = torch.tensor([[[-1.0, 0]], [[5.0, 0]]])
    jitter = torch.tensor([[[0.6, 0.8]], [[0, -2.0]]])
    e = math.e
    first = -math.log(e / (e + 1 + 1 / e + e**0.6))  # 0.7764
    second = -math.log(e / (e + 1 + 1 + 1 / e))  # 0.6265
    assert (first, second) == pytest.approx((0.7764, 0.6265), abs=5e-5)
    loss = embodied_contrastive_loss(audio, motion, tempo, jitter, temperature=1.0)
    assert loss.item() == pytest.approx((first + second) / 2)
    # From motion to audio each row has the other one alone: e over e + 1.
    both = embodied_contrastive_loss(audio, motion, tempo, jitter, 1.0, symmetric=True)
    assert both.item() == pytest.approx(((first + second) / 2 + math.log(1 + 1 / e)) / 2)


@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("group", [None, [0, 1, 0, 2, 1, 3]])
def test_contrast_follows_the_formula(symmetric, group):
    audio, motion = randn(6, 5), randn(6, 5, seed=1)
    tempo, jitter = randn(6, 3, 5, seed=2), randn(6, 2, 5, seed=3)
    ids = None if group is None else torch.tensor(group)
    for own in ((None, None), (tempo, None), (None, jitter), (tempo, jitter)):
        loss = embodied_contrastive_loss(audio, motion, *own, 0.3, symmetric, ids)
        expected = by_the_formula(audio, motion, *own, 0.3, symmetric, group)
        assert loss.item() == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("temperature", [0.01, 0.07])
@pytest.mark.parametrize(
    ("dtype", "tolerance"),
    [(torch.float16, 1e-4), (torch.bfloat16, 1e-4), (torch.float32, 1e-5)],
)
def test_contrast_of_low_precision_is_close_to_double(dtype, tolerance, temperature):
    """The inputs are rounded first, so that only the computation differs; lengths are large."""
    audio, motion, tempo = (
        (200 * x).to(dtype).requires_grad_()
        for x in (randn(16, 32), randn(16, 32, seed=1), randn(16, 4, 32, seed=2))
    )
    loss = embodied_contrastive_loss(audio, motion, tempo, None, temperature, symmetric=True)
    double = embodied_contrastive_loss(
        audio.double(), motion.double(), tempo.double(), None, temperature, symmetric=True
    )
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(double.item(), rel=tolerance)
    loss.backward()
    for x in (audio, motion, tempo):
        assert x.grad.dtype == dtype
        assert x.grad.isfinite().all()


def test_gradient_of_the_contrast_and_of_its_temperature():
    tensors = (randn(3, 4), randn(3, 4, seed=1), randn(3, 2, 4, seed=2), randn(3, 2, 4, seed=3))
    temperature = torch.tensor(0.5, dtype=torch.float64)
    inputs = [x.requires_grad_() for x in (*tensors, temperature)]
    assert torch.autograd.gradcheck(embodied_contrastive_loss, inputs)
    fixed = embodied_contrastive_loss(*tensors, temperature=0.5)
    torch.testing.assert_close(embodied_contrastive_loss(*inputs), fixed)


@pytest.mark.parametrize(
    ("shapes", "options", "message"),
    [
        (((4, 5), (3, 5)), {}, "embeddings have shapes"),
        (((4, 5), (4, 5), (3, 2, 5)), {}, "negatives have shape"),
        (((4, 5), (4, 5)), {"group": torch.zeros(3)}, "group has shape"),
        (((4, 5), (4, 5)), {"temperature": 0.0}, "temperature is 0.0"),
    ],
)
def test_contrast_refuses(shapes, options, message):
    with pytest.raises(ValueError, match=message):
        embodied_contrastive_loss(*map(torch.ones, shapes), **options)


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


def test_divergence_by_hand():
    """Two beats of one point: x = (0, 1), y = (1, 0), gamma 1.

    Costs between them are [[1, 0], [0, 1]]: alignments of cost 2, 2 and 2, so 2 - log 3. Within
    either they are [[0, 1], [1, 0]]: 0, 1 and 1, so -log(1 + 2/e). Per beat, half the difference.
    """
    x, y = torch.tensor([[[0.0], [1]]]), torch.tensor([[[1.0], [0]]])
    beat = align(x, y, metre=2, position=torch.tensor([[0, 1]]), gamma=1.0).beat
    expected = (2 - math.log(3) + math.log(1 + 2 / math.e)) / 2
    assert beat.item() == pytest.approx(expected)


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
    # In a metre of 12 the same clip is one bar: its accents are no longer folded.
    once = align(audio, motion, metre=BEATS, position=torch.arange(BEATS).repeat(2, 1)).bar
    expected = bar_emd(audio.flatten(1), motion.flatten(1)).mean()
    torch.testing.assert_close(once, expected)
    assert (once - bars[0]).abs() > 1e-4


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
    for rubbish in (0.0, torch.nan, 1e9):
        x, y = (z.masked_fill(~mask[..., None], rubbish).requires_grad_() for z in (audio, motion))
        places = position.masked_fill(~mask, -1 if rubbish else 99)
        parts = structural_rhythm_alignment_loss(x, y, mask, places, metre)
        assert parts == expected
        parts.total.backward()
        assert (x.grad[~mask] == 0).all()
        assert (x.grad[mask] != 0).any()
        gradients.append((x.grad, y.grad))
    for other in gradients[1:]:
        torch.testing.assert_close(other, gradients[0])


def test_clips_without_beats_count_as_0():
    audio, motion, mask, position, metre = mixed()
    some = structural_rhythm_alignment_loss(
        audio[:2], motion[:2], mask[:2], position[:2], metre[:2]
    )
    mask[2], metre[2] = False, 0
    whole = structural_rhythm_alignment_loss(audio, motion, mask, position, metre)
    for part, rest in zip(whole, some, strict=True):
        torch.testing.assert_close(part, rest * 2 / 3)
    audio.requires_grad_()
    nothing = structural_rhythm_alignment_loss(
        audio, motion, torch.zeros_like(mask), position, metre
    )
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
        ({"mask": torch.ones(3, BEATS - 1, dtype=torch.bool)}, "mask has shape"),
        ({"position": torch.zeros(3, 1, dtype=torch.long)}, "bar_position has shape"),
        ({"mask": torch.arange(BEATS).repeat(3, 1) > 0}, "padding before a beat"),
        ({"position": torch.full((3, BEATS), 3)}, "outside 0"),
    ],
)
def test_alignment_refuses(change, message):
    names = ("audio", "motion", "mask", "position", "metre")
    arguments = dict(zip(names, mixed(), strict=True)) | change
    with pytest.raises(ValueError, match=message):
        structural_rhythm_alignment_loss(*arguments.values())


def test_accent_mass_adds_up_what_falls_on_each_position_of_the_bar():
    pulses = torch.tensor([[[1.0, 0.0], [0.0, 2.0], [3.0, 0.0], [4.0, 5.0], [0.0, 0.0]]])
    positions = torch.tensor([[2, 0, 1, 2, 0]])  # a pickup, a bar of three, padding
    expected = torch.tensor([[0.0, 2.0, 3.0, 0.0, 5.0, 5.0]])
    assert torch.equal(accent_mass(pulses, positions, 3), expected)
