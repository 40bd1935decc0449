"""An untrained network: what architecture and chance alone give a probe."""

import math
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from motionbeat.encoder import Encoder, EncoderCard
from motionbeat.spectrum import LogMelSpectrum

_SAMPLE_RATE = 24_000
_HOP = 480
_BANDS = 80
_WIDTH = 256
_KERNEL = 7
_CENTRE, _SPREAD = 3.0, 2.0  # of log-mel values of music, near enough for unit variance
_DILATIONS = (1, 2, 4, 8, 16, 32)


class ResidualBlock(nn.Module):
    """Layer norm, dilated convolution over time, GELU and projection, added to the input."""

    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.convolution = nn.Conv1d(width, width, _KERNEL, padding="same", dilation=dilation)
        self.projection = nn.Linear(width, width)

    def forward(self, frames: Tensor) -> Tensor:
        """Map (B, frames, width) to the same shape."""
        hidden = self.convolution(self.norm(frames).mT).mT
        update: Tensor = self.projection(functional.gelu(hidden))
        return frames + update


class RandomNetwork(Encoder):
    """Log-mel front end and six residual convolution blocks with random weights.

    The hidden layers are the embedded spectrum and the output of each block. The weights come
    from a generator of the network's own and are uniform numbers, scaled by operations that round
    the same way on every processor (normal ones would not): they are identical on all machines
    and leave the global generators as they were.
    """

    card: ClassVar[EncoderCard] = EncoderCard(
        name="random",
        revision="1",
        sample_rate=_SAMPLE_RATE,
        frame_rate=_SAMPLE_RATE / _HOP,
        layers=1 + len(_DILATIONS),
        width=_WIDTH,
        parameters=3_172_608,
        licence="Apache-2.0",
        training_data=(),
        source="MotionBeat Bench, benchmarks/encoders/random.py",
        unequal_lengths=True,
    )
    # Receptive field of the convolutions, plus two frames for the analysis window.
    context: ClassVar[float] = (_KERNEL // 2 * sum(_DILATIONS) + 2) * _HOP / _SAMPLE_RATE

    def __init__(self) -> None:
        super().__init__()
        self.frontend = LogMelSpectrum(_SAMPLE_RATE, _HOP, _BANDS)
        with torch.random.fork_rng(devices=()):  # the default initialisation draws from it
            self.embedding = nn.Linear(_BANDS, _WIDTH)
            self.blocks = nn.ModuleList(ResidualBlock(_WIDTH, dilation) for dilation in _DILATIONS)
        self.eval().requires_grad_(False)
        generator = torch.Generator().manual_seed(0)
        for module in self.modules():
            if isinstance(module, nn.Conv1d | nn.Linear):
                bound = math.sqrt(3 / module.weight[0].numel())  # variance 1 / fan-in
                for weights in module.parameters():
                    unit = torch.rand(weights.shape, generator=generator)
                    weights.copy_(bound * (2 * unit - 1))

    def forward(self, waveform: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Encode (B, T) samples, (B,) of them valid, as (B, 7, frames, 256)."""
        states = [self.embedding((self.frontend(waveform) - _CENTRE) / _SPREAD)]
        frames = torch.arange(states[0].shape[1], device=waveform.device)
        for block in self.blocks:
            if lengths is not None:  # convolutions see zeros beyond the end
                states[-1] = states[-1] * (frames <= lengths[:, None] // _HOP)[..., None]
            states.append(block(states[-1]))
        return torch.stack(states, dim=1)
