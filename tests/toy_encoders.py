"""An encoder that keeps the contract, small enough for any test."""

from typing import ClassVar

import torch
from tests.toys import card
from torch.nn import functional

from motionbeat.encoder import Encoder

HOP = 320


class Loudness(Encoder):
    """Loudness of two kinds, fifty times a second."""

    card: ClassVar = card(
        "loudness", sample_rate=16000, frame_rate=50.0, layers=1, width=2, parameters=3,
        training_data=("clicks",),
    )  # fmt: skip
    context: ClassVar = 0.1

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(3))
        self.register_buffer("gain", torch.tensor([1.0, 2.0]))
        self.eval().requires_grad_(False)

    def power(self, waveform):
        frames = functional.pad(waveform, (HOP // 2, HOP - 1)).unfold(-1, HOP, HOP)
        return frames.square().mean(-1)

    def forward(self, waveform):
        return (self.power(waveform).add(1e-8).log()[..., None] * self.gain)[:, None]
