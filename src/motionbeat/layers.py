"""Layers of MotionBeat's towers: phase rotation, and attention guided by phase and contact.

Before attention, queries, keys and values are rotated by multiples of their token's bar phase; the
output is rotated back. Only differences of phase remain, so the states do not depend on where the
bar begins. The states rotated once more by :class:`PhaseRotation` are the bar-equivariant
representation: a shift of the bar phase by δ rotates each pair of channels by kδ and does nothing
else. MotionBeat (arXiv:2510.13244) names phase rotation and contact guidance; the equations are
this project's.
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
    """Turns pairs of channels by harmonics of the bar phase φ.

    Channel ``c`` of the first half and channel ``c`` of the second are a pair. One half of the
    pairs, at least, never turn (k = 0). The others turn by kφ, where k goes round the harmonics of
    the bar, 1, 2, 3, and of the beat, beats_per_bar · (1, 2, …, 9), so that a beat means the same
    angle in any metre. The width is even.
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
        """Harmonic k of each pair: (..., 1) beats a bar to (..., width / 2)."""
        return self.bar + self.beat * beats_per_bar

    def forward(
        self, x: Tensor, phase: Tensor, beats_per_bar: Tensor, inverse: bool = False
    ) -> Tensor:
        """Turn tokens (..., width) by (...) bar phase in radians, or back."""
        turn = torch.remainder(phase, 2 * math.pi).unsqueeze(-1)
        angle = turn * self.harmonics(beats_per_bar.unsqueeze(-1))
        cos, sin = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
        if inverse:
            sin = -sin
        first, second = x.chunk(2, dim=-1)
        return torch.cat([first * cos - second * sin, first * sin + second * cos], dim=-1)


class AddedPhase(nn.Module):
    """Adds a linear map of the cosines and sines by which :class:`PhaseRotation` turns.

    What transformers usually do with positions; for ablation.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.rotation = PhaseRotation(width)
        self.linear = nn.Linear(width, width)

    def forward(self, x: Tensor, phase: Tensor, beats_per_bar: Tensor) -> Tensor:
        """Add to tokens (..., width) what belongs to their (...) bar phase in radians."""
        waves = self.rotation(torch.ones_like(x), phase, beats_per_bar)
        added: Tensor = x + self.linear(waves)
        return added


class PhaseAttention(nn.Module):
    """Multi-head self-attention between tokens turned by their bar phase.

    Logits have a learned bias for the distance of two tokens in beats, which knows nothing of the
    bar. Contact guidance adds ``scale · contact`` to the logit of each attended token, with a
    positive learned scale a head: beats on which feet strike the floor draw attention. Heads divide
    the width into even parts. Where ``causal`` is set, no token attends to a later one.
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
