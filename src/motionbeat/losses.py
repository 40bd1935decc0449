"""Losses between music and motion: contrastive loss of embeddings, alignment of rhythm curves.

Every function computes in float32, or in float64 if an input is float64, also under autocast and
for half-precision inputs, and returns that type.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional


def soft_dtw(
    cost: Tensor, gamma: float = 0.1, lengths: tuple[Tensor, Tensor] | None = None
) -> Tensor:
    """Soft minimum of the costs of all monotone alignments of two sequences.

    Source: Cuturi and Blondel, "Soft-DTW: a differentiable loss function for time-series", 2017,
    https://arxiv.org/abs/1703.01541, algorithms 1 (value) and 2 (gradient: the expected alignment
    matrix).

    Args:
        cost: (B, n, m) finite cost of aligning step i of the first sequence with step j of the
            second.
        gamma: smoothing in units of the cost; as it goes to 0, the value converges to hard DTW.
        lengths: two (B,) integer tensors, the numbers of valid rows and columns of each item of a
            padded batch; the padding has no influence. None if all are valid.

    Returns:
        (B,) values. They can be negative, because the soft minimum is below the cost of the best
        alignment. Differentiable once.

    Raises:
        ValueError: ``gamma`` is not positive, ``cost`` is not 3-D or is empty, or a length is 0 or
            larger than ``cost``.
    """
    if gamma <= 0:
        raise ValueError(f"gamma is {gamma}; expected more than 0")
    if cost.ndim != 3 or 0 in cost.shape[1:]:
        raise ValueError(f"cost has shape {tuple(cost.shape)}; expected (batch, n > 0, m > 0)")
    batch, n, m = cost.shape
    if lengths is None:
        rows, columns = cost.new_tensor([[n], [m]], dtype=torch.long).expand(2, batch)
    else:
        rows, columns = (length.to(cost.device, torch.long) for length in lengths)
        inside = []
        for length, most in ((rows, n), (columns, m)):
            if length.shape != (batch,) or ((length < 1) | (length > most)).any():
                raise ValueError(f"lengths must be {batch} numbers in 1..{most}; got {length}")
            inside.append(torch.arange(most, device=cost.device) < length[:, None])
        # The recursions pass over the padding too, where NaN would spread through a weight of 0.
        cost = torch.where(inside[0][:, :, None] & inside[1][:, None], cost, 0)
    value: Tensor = _SoftDTW.apply(cost, gamma, rows, columns)  # type: ignore[no-untyped-call]
    return value


class _SoftDTW(torch.autograd.Function):
    """Algorithms 1 and 2 over whole anti-diagonals, whose cells do not depend on each other.

    Tables are skewed: cell (i, j), counted from 1 with a border at 0, lies in row i + j at column
    i, with the batch innermost. The cells of an anti-diagonal and each of their three kinds of
    predecessors are then contiguous slices.
    """

    @staticmethod
    def forward(ctx: Any, cost: Tensor, gamma: float, rows: Tensor, columns: Tensor) -> Tensor:
        batch, n, m = cost.shape
        dtype = _accumulator(cost)
        # In units of gamma: costs on entry, values r of the recursion once the loop has passed.
        table = cost.new_full((n + m + 1, n + 1, batch), torch.inf, dtype=dtype)
        _cells(table, n, m).copy_(cost)
        table[0, 0] = 0
        # Share of each predecessor in the soft minimum of a cell: all that the gradient needs.
        shares = cost.new_empty((n + m + 1, 3, n + 1, batch), dtype=dtype)
        scratch = cost.new_empty((2, n, batch), dtype=dtype)
        for d in range(2, n + m + 1):
            low, high = max(1, d - m), min(n, d - 1) + 1
            diagonal = table[d - 2, low - 1 : high - 1]
            above, left = table[d - 1, low - 1 : high - 1], table[d - 1, low:high]
            here, share = table[d, low:high], shares[d, :, low:high]
            least, total = scratch[:, : high - low]
            torch.minimum(above, left, out=least)
            torch.minimum(least, diagonal, out=least)
            torch.sub(least, diagonal, out=share[0])
            torch.sub(least, above, out=share[1])
            torch.sub(least, left, out=share[2])
            torch.sum(share.exp_(), 0, out=total)
            share.div_(total)
            least.sub_(total.log_())
            torch.add(least, here, alpha=1 / gamma, out=here)
        ctx.save_for_backward(shares, rows, columns)
        ctx.shape = cost.shape
        return gamma * table[rows + columns, rows, torch.arange(batch, device=cost.device)]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        shares, rows, columns = ctx.saved_tensors
        batch, n, m = ctx.shape
        expected = shares.new_zeros((n + m + 1, n + 1, batch))
        ends = (rows + columns, rows, torch.arange(batch, device=shares.device))
        expected[ends] = gradient
        for d in range(n + m, 1, -1):
            low, high = max(1, d - m), min(n, d - 1) + 1
            here, share = expected[d, low:high], shares[d, :, low:high]
            expected[d - 2, low - 1 : high - 1].addcmul_(here, share[0])
            expected[d - 1, low - 1 : high - 1].addcmul_(here, share[1])
            expected[d - 1, low:high].addcmul_(here, share[2])
        return _cells(expected, n, m), None, None, None


def _cells(table: Tensor, n: int, m: int) -> Tensor:
    """View of a skewed (n + m + 1, n + 1, B) table as (B, n, m), without the border."""
    row, column, item = table.stride()
    return table.as_strided((table.shape[2], n, m), (item, row + column, row), 2 * row + column)


def bar_emd(p: Tensor, q: Tensor) -> Tensor:
    """Earth mover's distance between two distributions of accents in the bar, on a circle.

    The mean absolute difference between the cumulative difference of the masses and its median.
    Source: Werman, Peleg, Melter and Kong, "Bipartite graph matching for points on a line or a
    circle", 1986; Rabin, Delon and Gousseau, "Transportation distances on the circle", 2011.

    Args:
        p: (..., positions) non-negative masses at evenly spaced positions of a bar. They are
            normalised to sum 1; a bar without mass counts as uniform.
        q: masses of the other distribution, of the same shape.

    Returns:
        (...,) distances in bars: mass times arc length, 0.5 between opposite points.
    """
    dtype = _accumulator(p, q)
    difference = (_distribution(p.to(dtype)) - _distribution(q.to(dtype))).cumsum(-1)
    # The value is linear in the difference, with slopes that sum to 0. Where many positions tie
    # with the median, as between sparse accents, the gradient of torch.median is no subgradient.
    with torch.no_grad():
        slope = (difference - difference.median(-1, keepdim=True).values).sign()
        tied = slope == 0
        slope = torch.where(tied, -slope.sum(-1, keepdim=True) / tied.sum(-1, keepdim=True), slope)
    return (slope * difference).mean(-1)


def _distribution(mass: Tensor) -> Tensor:
    total = mass.sum(-1, keepdim=True)
    # The inner choice keeps NaN out of the gradient of the branch that is not taken.
    shares = mass / torch.where(total > 0, total, 1)
    return torch.where(total > 0, shares, torch.full_like(mass, 1 / mass.shape[-1]))


def embodied_contrastive_loss(
    audio: Tensor,
    motion: Tensor,
    tempo_negatives: Tensor | None = None,
    jitter_negatives: Tensor | None = None,
    temperature: float | Tensor = 0.07,
    symmetric: bool = False,
) -> Tensor:
    """Embodied Contrastive Loss: InfoNCE with negatives that differ only in rhythm.

    With cosine similarity s and temperature t, the loss of a row is minus the logarithm of e^(s/t)
    of its pair, divided by the sum of e^(s/t) over the pair, the other motions of the batch and the
    row's own negatives. The result is the mean over rows. Source: MotionBeat,
    https://arxiv.org/abs/2510.13244.

    Args:
        audio: (N, d) embeddings of music.
        motion: (N, d) embeddings of motion; row i belongs to row i of ``audio``.
        tempo_negatives: (N, K, d) motions whose tempo is similar to that of row i, with another bar
            phase or other accents.
        jitter_negatives: (N, L, d) the motion of row i, shifted by a beat.
        temperature: a number, or a scalar tensor if it is learned.
        symmetric: average with the loss from motion to audio, which uses only the negatives of the
            batch.

    Returns:
        The loss, a scalar.

    Raises:
        ValueError: the embeddings have different shapes.
    """
    if audio.ndim != 2 or motion.shape != audio.shape:
        raise ValueError(
            f"embeddings have shapes {tuple(audio.shape)} and {tuple(motion.shape)}; "
            "expected the same (N, d)"
        )
    own = [negatives for negatives in (tempo_negatives, jitter_negatives) if negatives is not None]
    dtype = _accumulator(audio, motion, *own)
    with torch.autocast(audio.device.type, enabled=False):
        a, b, *rest = (
            functional.normalize(x.to(dtype), dim=-1) / scale
            for x, scale in ((audio, temperature), (motion, 1), *((x, 1) for x in own))
        )
        batch = a @ b.T
        logits = torch.cat([batch, *(torch.einsum("nd,nkd->nk", a, x) for x in rest)], dim=1)
        pairs = torch.arange(len(audio), device=audio.device)
        loss = functional.cross_entropy(logits, pairs)
        return (loss + functional.cross_entropy(batch.T, pairs)) / 2 if symmetric else loss


class RhythmAlignment(NamedTuple):
    """Structural Rhythm Alignment Loss and its parts, scalars.

    Attributes:
        total: weighted sum of the parts.
        beat: soft-DTW divergence between the rhythm curves, per beat.
        bar: earth mover's distance between the accents in the bar, in bars.
    """

    total: Tensor
    beat: Tensor
    bar: Tensor


def structural_rhythm_alignment_loss(
    audio_pulses: Tensor,
    motion_pulses: Tensor,
    mask: Tensor,
    bar_position: Tensor,
    beats_per_bar: Tensor,
    gamma: float = 0.1,
    beat_weight: float = 1.0,
    bar_weight: float = 1.0,
) -> RhythmAlignment:
    """Structural Rhythm Alignment Loss: soft-DTW over beats, earth mover's distance in the bar.

    Both parts follow MotionBeat, https://arxiv.org/abs/2510.13244. The beat part uses the soft-DTW
    divergence, which is 0 for equal sequences, instead of soft-DTW, which is negative for equal
    sequences and not minimal there: Blondel, Mensch and Vert, "Differentiable divergences between
    time series", 2021, https://arxiv.org/abs/2010.08354. The bar part compares the accents at each
    position of the bar, summed over the clip, with :func:`bar_emd`.

    Args:
        audio_pulses: (B, beats, P) non-negative rhythm curve of the music, at P evenly spaced
            points of each beat.
        motion_pulses: (B, beats, P) rhythm curve of the motion on the same beats.
        mask: (B, beats) bool, True at the beats of a clip, which come first, False at padding.
        bar_position: (B, beats) integers, position of each beat in its bar, 0 for a downbeat.
        beats_per_bar: (B,) integers.
        gamma: smoothing of soft-DTW, in units of squared pulses.
        beat_weight: weight of the beat part; with 0 it is not computed and returned as 0.
        bar_weight: weight of the bar part; with 0 it is not computed and returned as 0.

    Returns:
        Means over the batch; a clip without beats counts as 0.

    Raises:
        ValueError: the pulses have different shapes, there is padding before a beat, or a bar
            position is outside its bar.
    """
    shape = audio_pulses.shape
    if len(shape) != 3 or motion_pulses.shape != shape:
        raise ValueError(
            f"pulses have shapes {tuple(shape)} and {tuple(motion_pulses.shape)}; "
            "expected the same (B, beats, P)"
        )
    if (mask[:, 1:] & ~mask[:, :-1]).any():
        raise ValueError("mask has padding before a beat; expected all beats first")
    if (mask & ((bar_position < 0) | (bar_position >= beats_per_bar[:, None]))).any():
        raise ValueError("bar_position is outside 0..beats_per_bar - 1 at a beat")

    some = mask.any(1)
    mask, bar_position, beats_per_bar = mask[some], bar_position[some], beats_per_bar[some]
    dtype = _accumulator(audio_pulses, motion_pulses)
    audio, motion = (
        torch.where(mask[..., None], pulses[some].to(dtype), 0)
        for pulses in (audio_pulses, motion_pulses)
    )
    beat = bar = audio.new_zeros(())
    if beat_weight:
        beat = _beat_divergence(audio, motion, mask.sum(1), gamma).sum() / max(shape[0], 1)
    if bar_weight:
        bar = _bar_distance(audio, motion, bar_position, beats_per_bar).sum() / max(shape[0], 1)
    return RhythmAlignment(beat_weight * beat + bar_weight * bar, beat, bar)


def _beat_divergence(x: Tensor, y: Tensor, beats: Tensor, gamma: float) -> Tensor:
    """Soft-DTW divergence per beat, (B,), of (B, beats, P) pulses by mean squared difference."""
    pairs = ((x, y), (x, x), (y, y))
    cost = torch.cat([(a[:, :, None] - b[:, None]).square().mean(-1) for a, b in pairs])
    lengths = beats.repeat(len(pairs))
    xy, xx, yy = soft_dtw(cost, gamma, (lengths, lengths)).chunk(len(pairs))
    return (xy - (xx + yy) / 2) / beats


def _bar_distance(x: Tensor, y: Tensor, bar_position: Tensor, beats_per_bar: Tensor) -> Tensor:
    """:func:`bar_emd`, (B,), of what of (B, beats, P) pulses falls on each position of the bar."""
    distance = x.new_zeros(len(x))
    for metre in set(beats_per_bar.tolist()):
        rows = (beats_per_bar == metre).nonzero()[:, 0]
        place = bar_position[rows].clamp(0, metre - 1)
        where = functional.one_hot(place, metre).to(x.dtype)
        with torch.autocast(x.device.type, enabled=False):
            masses = [torch.einsum("ntk,ntp->nkp", where, z[rows]).flatten(1) for z in (x, y)]
        distance = distance.index_add(0, rows, bar_emd(*masses))
    return distance


def _accumulator(*tensors: Tensor) -> torch.dtype:
    """The type to compute in."""
    double = any(tensor.dtype == torch.float64 for tensor in tensors)
    return torch.float64 if double else torch.float32
