"""An encoder that keeps the contract, small enough for any test."""

from typing import ClassVar

import torch
from tests.toys import card
from torch.nn import functional

from motionbeat.encoder import Encoder
from motionbeat.live import LiveEncoder, LiveMotionBeat
from motionbeat.model import FRAME_RATE, SAMPLE_RATE, SIZES

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


class TinyLive(LiveEncoder):
    """A live encoder with random weights."""

    card: ClassVar = card(
        "tiny-live", sample_rate=SAMPLE_RATE, frame_rate=FRAME_RATE, layers=1,
        width=LiveEncoder.width(SIZES["tiny"]), parameters=109_720,
    )  # fmt: skip

    def __init__(self):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            super().__init__(LiveMotionBeat("tiny"))
