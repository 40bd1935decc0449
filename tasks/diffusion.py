"""A compact diffusion decoder: sequences from noise, step by step, under a condition.

Ho, Jain and Abbeel, "Denoising diffusion probabilistic models", 2020; the cosine schedule of Nichol
and Dhariwal, 2021; sampling as in Song, Meng and Ermon, "Denoising diffusion implicit models",
2021; guidance as in Ho and Salimans, "Classifier-free diffusion guidance", 2022. As in Tseng,
Castellon and Liu, "EDGE", 2023, the network predicts the clean sequence.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

TIMES = 1000
"""Steps of the diffusion that is learned."""

STEPS = 20
"""Steps in which it is undone."""

GUIDANCE = 3.0
"""Weight of the condition in sampling; 1 takes the network at its word."""

PATCH = 3
"""Rows a token."""

CHANNELS, LAYERS, HEADS = 128, 3, 4


class Denoiser(nn.Module):
    """A transformer that guesses the clean rows from noisy ones and a condition for each row.

    Args:
        width: numbers a row.
        condition: numbers a row of the condition.
    """

    def __init__(self, width: int, condition: int) -> None:
        super().__init__()
        self.width = width
        self.nothing = nn.Parameter(torch.zeros(condition))  # stands for a condition not given
        self.entry = nn.Linear(PATCH * (width + condition), CHANNELS)
        self.moment = nn.Sequential(
            nn.Linear(CHANNELS, CHANNELS), nn.SiLU(), nn.Linear(CHANNELS, CHANNELS)
        )
        layer = nn.TransformerEncoderLayer(
            CHANNELS, HEADS, 2 * CHANNELS, 0.0, functional.gelu, batch_first=True, norm_first=True
        )
        self.blocks = nn.TransformerEncoder(layer, LAYERS, enable_nested_tensor=False)
        self.exit = nn.Sequential(nn.LayerNorm(CHANNELS), nn.Linear(CHANNELS, PATCH * width))

    def forward(self, noisy: Tensor, times: Tensor, condition: Tensor) -> Tensor:
        """Guess the clean rows.

        Args:
            noisy: (B, T, width) rows, T a multiple of ``PATCH``.
            times: (B,) steps of the diffusion, 0 to ``TIMES`` - 1.
            condition: (B, T, condition).

        Returns:
            (B, T, width).
        """
        rows = torch.cat([noisy, condition], dim=-1)
        tokens = rows.reshape(len(rows), -1, PATCH * rows.shape[2])
        places = waves(torch.arange(tokens.shape[1], device=noisy.device))
        moment = self.moment(waves(times))[:, None]
        states = self.blocks(self.entry(tokens) + places + moment)
        clean: Tensor = self.exit(states).reshape(noisy.shape)
        return clean


def waves(numbers: Tensor) -> Tensor:
    """(n, CHANNELS) sines and cosines of numbers (n,); Vaswani et al., 2017, section 3.5."""
    half = CHANNELS // 2
    speeds = torch.exp(-math.log(10_000) * torch.arange(half, device=numbers.device) / half)
    angles = numbers[:, None] * speeds
    return torch.cat([angles.sin(), angles.cos()], dim=-1)


def kept(times: Tensor) -> Tensor:
    """Share of the variance that is signal after so many steps: the cosine schedule."""

    def curve(time: Tensor) -> Tensor:
        return torch.cos((time / TIMES + 0.008) / 1.008 * math.pi / 2).square()

    return (curve(times + 1.0) / curve(torch.zeros_like(times, dtype=torch.float32))).clamp_min(
        1e-5
    )


def noised(clean: Tensor, times: Tensor, noise: Tensor) -> Tensor:
    """Rows (B, T, width) after so many steps (B,) of the diffusion."""
    share = kept(times)[:, None, None]
    return share.sqrt() * clean + (1 - share).sqrt() * noise


@torch.inference_mode()
def sample(denoiser: Denoiser, condition: Tensor, window: int, noise: Tensor) -> Tensor:
    """A sequence of any length, in windows that overlap by half.

    All windows are denoised together; after each step, what they say of a row is averaged, near the
    middle of a window with more weight, so that they agree when they are done.

    Args:
        denoiser: a trained network, in evaluation mode.
        condition: (T, condition).
        window: rows it was trained on, a multiple of ``2 * PATCH``.
        noise: (T, width) standard normal; the same noise gives the same sequence.

    Returns:
        (T, width).
    """
    total = len(noise)
    half = window // 2
    count = max(1, math.ceil(total / half) - 1)
    room = (count + 1) * half - total
    rows = functional.pad(noise, (0, 0, 0, room))
    given = functional.pad(condition.mT[None], (0, room), mode="replicate")[0].mT
    given = given.unfold(0, window, half).mT
    nothing = denoiser.nothing.expand_as(given)
    weight = 1 - (torch.arange(window, device=noise.device) + 0.5 - half).abs() / half
    index = torch.arange(count, device=noise.device)[:, None] * half
    index = (index + torch.arange(window, device=noise.device)).flatten()
    total_weight = torch.zeros(len(rows), device=noise.device).index_add(
        0, index, weight.repeat(count)
    )
    times = torch.linspace(TIMES - 1, 0, STEPS, device=noise.device).round()
    for step, time in enumerate(times):
        noisy = rows.unfold(0, window, half).mT
        guess = denoiser(
            torch.cat([noisy, noisy]),
            time.expand(2 * count),
            torch.cat([given, nothing]),
        )
        with_it, without = guess.chunk(2)
        clean = without + GUIDANCE * (with_it - without)
        said = (clean * weight[:, None]).flatten(0, 1)
        clean = torch.zeros_like(rows).index_add(0, index, said) / total_weight[:, None]
        share = kept(time)
        remaining = (rows - share.sqrt() * clean) / (1 - share).sqrt()
        if step + 1 < len(times):
            share = kept(times[step + 1])
            rows = share.sqrt() * clean + (1 - share).sqrt() * remaining
        else:
            rows = clean
    return rows[:total]
