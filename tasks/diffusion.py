"""A compact diffusion decoder: sequences generated from noise under a condition.

Ho, Jain and Abbeel, "Denoising diffusion probabilistic models", 2020; the cosine schedule of Nichol
and Dhariwal, 2021; sampling as in Song, Meng and Ermon, "Denoising diffusion implicit models",
2021; guidance as in Ho and Salimans, "Classifier-free diffusion guidance", 2022. As in Tseng,
Castellon and Liu, "EDGE", 2023, the network predicts the clean sequence.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

TIMESTEPS = 1000
"""Steps of the diffusion in training."""

SAMPLING_STEPS = 20
GUIDANCE = 3.0  # weight of the condition in sampling; 1 is no guidance
PATCH = 3  # rows a token
CHANNELS, LAYERS, HEADS = 128, 3, 4


class Denoiser(nn.Module):
    """A transformer that predicts the clean rows from noisy ones and a condition for each row."""

    def __init__(self, width: int, condition: int) -> None:
        super().__init__()
        self.null_condition = nn.Parameter(torch.zeros(condition))
        self.in_proj = nn.Linear(PATCH * (width + condition), CHANNELS)
        self.time_mlp = nn.Sequential(
            nn.Linear(CHANNELS, CHANNELS), nn.SiLU(), nn.Linear(CHANNELS, CHANNELS)
        )
        layer = nn.TransformerEncoderLayer(
            CHANNELS, HEADS, 2 * CHANNELS, 0.0, functional.gelu, batch_first=True, norm_first=True
        )
        self.blocks = nn.TransformerEncoder(layer, LAYERS, enable_nested_tensor=False)
        self.out_proj = nn.Sequential(nn.LayerNorm(CHANNELS), nn.Linear(CHANNELS, PATCH * width))

    def forward(self, noisy: Tensor, timesteps: Tensor, condition: Tensor) -> Tensor:
        """The clean rows (B, T, width).

        Args:
            noisy: (B, T, width), T a multiple of ``PATCH``.
            timesteps: (B,) of the diffusion, 0 to ``TIMESTEPS`` - 1.
            condition: (B, T, condition).
        """
        rows = torch.cat([noisy, condition], dim=-1)
        tokens = rows.reshape(len(rows), -1, PATCH * rows.shape[2])
        positions = sinusoidal_embedding(torch.arange(tokens.shape[1], device=noisy.device))
        time_embedding = self.time_mlp(sinusoidal_embedding(timesteps))[:, None]
        states = self.blocks(self.in_proj(tokens) + positions + time_embedding)
        clean: Tensor = self.out_proj(states).reshape(noisy.shape)
        return clean


def sinusoidal_embedding(numbers: Tensor) -> Tensor:
    """(n, CHANNELS) sines and cosines of numbers (n,); Vaswani et al., 2017, section 3.5."""
    half = CHANNELS // 2
    frequencies = torch.exp(-math.log(10_000) * torch.arange(half, device=numbers.device) / half)
    angles = numbers[:, None] * frequencies
    return torch.cat([angles.sin(), angles.cos()], dim=-1)


def alpha_bar(timesteps: Tensor) -> Tensor:
    """Share of the variance that is signal after so many timesteps: the cosine schedule."""

    def curve(time: Tensor) -> Tensor:
        return torch.cos((time / TIMESTEPS + 0.008) / 1.008 * math.pi / 2).square()

    start = torch.zeros_like(timesteps, dtype=torch.float32)
    return (curve(timesteps + 1.0) / curve(start)).clamp_min(1e-5)


def add_noise(clean: Tensor, timesteps: Tensor, noise: Tensor) -> Tensor:
    """Rows (B, T, width) after so many timesteps (B,) of the diffusion."""
    signal = alpha_bar(timesteps)[:, None, None]
    return signal.sqrt() * clean + (1 - signal).sqrt() * noise


@torch.inference_mode()
def sample(denoiser: Denoiser, condition: Tensor, window: int, noise: Tensor) -> Tensor:
    """A sequence (T, width) of any length, sampled in windows that overlap by half.

    All windows are denoised together. After each step the predictions for a row are averaged, with
    more weight near the middle of a window, so that the windows agree when they are done.

    Args:
        denoiser: a trained network, in evaluation mode.
        condition: (T, condition).
        window: rows the network was trained on, a multiple of ``2 * PATCH``.
        noise: (T, width) standard normal; the same noise gives the same sequence.
    """
    total = len(noise)
    half = window // 2
    count = max(1, math.ceil(total / half) - 1)
    padding = (count + 1) * half - total
    rows = functional.pad(noise, (0, 0, 0, padding))
    padded = functional.pad(condition.mT[None], (0, padding), mode="replicate")[0].mT
    conditions = padded.unfold(0, window, half).mT
    conditions = torch.cat([conditions, denoiser.null_condition.expand_as(conditions)])
    weight = 1 - (torch.arange(window, device=noise.device) + 0.5 - half).abs() / half
    index = torch.arange(count, device=noise.device)[:, None] * half
    index = (index + torch.arange(window, device=noise.device)).flatten()
    total_weight = torch.zeros(len(rows), device=noise.device).index_add(
        0, index, weight.repeat(count)
    )
    timesteps = torch.linspace(TIMESTEPS - 1, 0, SAMPLING_STEPS, device=noise.device).round()
    for step, timestep in enumerate(timesteps):
        noisy = rows.unfold(0, window, half).mT
        predicted = denoiser(torch.cat([noisy, noisy]), timestep.expand(2 * count), conditions)
        conditional, unconditional = predicted.chunk(2)
        guided = unconditional + GUIDANCE * (conditional - unconditional)
        weighted = (guided * weight[:, None]).flatten(0, 1)
        clean = torch.zeros_like(rows).index_add(0, index, weighted) / total_weight[:, None]
        rows = _next_rows(rows, clean, timesteps[step : step + 2])
    return rows[:total]


@torch.inference_mode()
def continue_rows(
    denoiser: Denoiser, known: Tensor, condition: Tensor, noise: Tensor, steps: int
) -> Tensor:
    """The rows (T - K, width) that follow on known rows (K, width).

    The known rows are put in place of what is predicted of them in each step: Lugmayr et al.,
    "RePaint", 2022, as EDGE continues a dance.

    Args:
        denoiser: a trained network, in evaluation mode.
        known: K of the rows, from the first on; there may be none.
        condition: (T, condition).
        noise: (T, width) standard normal; the same noise gives the same rows.
        steps: of the sampling.
    """
    rows = noise
    conditions = torch.stack([condition, denoiser.null_condition.expand_as(condition)])
    timesteps = torch.linspace(TIMESTEPS - 1, 0, steps, device=noise.device).round()
    for step, timestep in enumerate(timesteps):
        predicted = denoiser(torch.stack([rows, rows]), timestep.expand(2), conditions)
        guided = predicted[1] + GUIDANCE * (predicted[0] - predicted[1])
        clean = torch.cat([known, guided[len(known) :]])
        rows = _next_rows(rows, clean, timesteps[step : step + 2])
    return rows[len(known) :]


def _next_rows(rows: Tensor, clean: Tensor, timesteps: Tensor) -> Tensor:
    """Rows at the second of two timesteps, of rows at the first and what is predicted of them.

    Where there is no second one they are what is predicted.
    """
    if len(timesteps) < 2:
        return clean
    now, following = alpha_bar(timesteps)
    noise_left = (rows - now.sqrt() * clean) / (1 - now).sqrt()
    noisy: Tensor = following.sqrt() * clean + (1 - following).sqrt() * noise_left
    return noisy
