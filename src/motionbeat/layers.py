"""Layers of MotionBeat's towers: phase rotation, and attention guided by phase and contact.

Queries, keys and values are rotated by multiples of the bar phase of their token; the output is
rotated back. Attention then depends only on differences of phase, so the states do not depend on
where the bar begins. The states rotated once more by :class:`PhaseRotation` are bar-equivariant: a
shift of the bar phase by δ only rotates each pair of channels by kδ. MotionBeat (arXiv:2510.13244)
names phase rotation and contact guidance; the equations are this project's (docs/method.md).
"""

import itertools
import math

import torch
from torch import Tensor, nn
from torch.nn import functional

BAR_HARMONICS = (1, 2, 3)
BEAT_HARMONICS = (1, 2, 3, 4, 5, 6, 7, 8, 9)
_MAX_DISTANCE = 16  # beats; farther tokens are equally far
_MASKED = -1e4  # finite, or a window of padding alone would be NaN


class PhaseRotation(nn.Module):
    """Rotates pairs of channels by harmonics of the bar phase φ.

    Channel ``c`` of the first half and channel ``c`` of the second form a pair. At least half of
    the pairs are not rotated (k = 0). The others are rotated by kφ, where k cycles through the
    harmonics of the bar, 1, 2, 3, and those of the beat, beats_per_bar · (1, 2, …, 9). The angle of
    a beat harmonic is thus the same in any metre.

    Args:
        width: number of channels, even.
        bar: harmonics of the bar.
        beat: harmonics of the beat.
    """

    bar: Tensor
    beat: Tensor

    def __init__(
        self,
        width: int,
        bar: tuple[int, ...] = BAR_HARMONICS,
        beat: tuple[int, ...] = BEAT_HARMONICS,
    ) -> None:
        super().__init__()
        harmonics = itertools.cycle([(k, 0) for k in bar] + [(0, k) for k in beat])
        turning = width // 4
        bars, beats = torch.tensor(
            [(0, 0)] * (width // 2 - turning) + list(itertools.islice(harmonics, turning))
        ).T.float()
        self.register_buffer("bar", bars.clone(), persistent=False)
        self.register_buffer("beat", beats.clone(), persistent=False)

    def harmonics(self, beats_per_bar: Tensor) -> Tensor:
        """Harmonic k of each pair, (..., width / 2), for (..., 1) beats per bar."""
        return self.bar + self.beat * beats_per_bar

    def forward(
        self, x: Tensor, phase: Tensor, beats_per_bar: Tensor, inverse: bool = False
    ) -> Tensor:
        """Rotate tokens (..., width) by (...) bar phase in radians, or inversely."""
        turn = torch.remainder(phase, 2 * math.pi).unsqueeze(-1)
        angle = turn * self.harmonics(beats_per_bar.unsqueeze(-1))
        cos, sin = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
        if inverse:
            sin = -sin
        first, second = x.chunk(2, dim=-1)
        return torch.cat([first * cos - second * sin, first * sin + second * cos], dim=-1)


class AddedPhase(nn.Module):
    """Adds a linear map of the cosines and sines of :class:`PhaseRotation`.

    This is the usual additive position encoding of transformers; for ablation.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.rotation = PhaseRotation(width)
        self.linear = nn.Linear(width, width)

    def forward(self, x: Tensor, phase: Tensor, beats_per_bar: Tensor) -> Tensor:
        """Add the embedding of (...) bar phase in radians to tokens (..., width)."""
        waves = self.rotation(torch.ones_like(x), phase, beats_per_bar)
        added: Tensor = x + self.linear(waves)
        return added


class PhaseAttention(nn.Module):
    """Multi-head self-attention between tokens rotated by their bar phase.

    Logits have a learned bias per head for the distance of two tokens in beats. Contact guidance
    adds ``scale · contact`` of the attended token to its logit, with a positive learned scale per
    head, so beats with foot contacts get more attention. If ``causal`` is True, no token attends to
    a later one.

    Args:
        width: number of channels, a multiple of ``heads``; the quotient is even.
        heads: number of heads.
        phase_rotation: whether queries, keys and values are rotated.
        contact_guidance: whether attention is guided by contacts.
    """

    causal = False

    def __init__(
        self, width: int, heads: int, phase_rotation: bool = True, contact_guidance: bool = False
    ) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.out_proj = nn.Linear(width, width)
        self.rotation = PhaseRotation(width // heads, beat=()) if phase_rotation else None
        self.distance_bias = nn.Parameter(torch.zeros(2 * _MAX_DISTANCE + 1, heads))
        self.guidance = nn.Parameter(torch.zeros(heads)) if contact_guidance else None

    def forward(
        self,
        x: Tensor,
        phase: Tensor,
        beats_per_bar: Tensor,
        mask: Tensor,
        contact: Tensor | None = None,
    ) -> Tensor:
        """Attend between the tokens (B, n, width) of each clip.

        Args:
            x: the tokens.
            phase: (B, n) bar phase in radians.
            beats_per_bar: (B,).
            mask: (B, n) True for real tokens.
            contact: (B, n) contact strength of each token, 0 or more; needed for guidance.

        Returns:
            (B, n, width).
        """
        size = (*x.shape[:2], self.heads, -1)
        query, key, value = (part.reshape(size) for part in self.qkv(x).chunk(3, dim=-1))
        bar = phase[:, :, None], beats_per_bar[:, None, None]
        if self.rotation is not None:
            query, key, value = (self.rotation(part, *bar) for part in (query, key, value))
        query, key, value = (part.transpose(1, 2) for part in (query, key, value))
        bias = self._bias(mask, contact).to(query.dtype)
        attended = functional.scaled_dot_product_attention(query, key, value, bias).transpose(1, 2)
        if self.rotation is not None:
            attended = self.rotation(attended, *bar, inverse=True)
        projected: Tensor = self.out_proj(attended.flatten(2))
        return projected

    def _bias(self, mask: Tensor, contact: Tensor | None) -> Tensor:
        """(B, heads, n, n) bias of the logits; far below 0 for padding."""
        place = torch.arange(mask.shape[1], device=mask.device)
        apart = (place[:, None] - place).clamp(-_MAX_DISTANCE, _MAX_DISTANCE) + _MAX_DISTANCE
        bias = self.distance_bias[apart].permute(2, 0, 1)
        if self.causal:
            bias = bias.masked_fill(place > place[:, None], _MASKED)
        bias = bias.masked_fill(~mask[:, None, None], _MASKED)
        if self.guidance is None or contact is None:
            return bias
        return bias + functional.softplus(self.guidance)[:, None, None] * contact[:, None, None]


class Block(nn.Module):
    """Pre-norm transformer block: attention and an MLP, each with a residual connection."""

    def __init__(self, attention: PhaseAttention, width: int, dropout: float) -> None:
        super().__init__()
        self.attention = attention
        self.norm1 = nn.LayerNorm(width)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(4 * width, width),
            nn.Dropout(dropout),
        )

    def forward(self, x: Tensor, *clock: Tensor | None) -> Tensor:
        """Map (B, n, width) tokens to the same shape; ``clock`` is passed to the attention."""
        x = x + self.attention(self.norm1(x), *clock)
        update: Tensor = self.mlp(self.norm2(x))
        return x + update
