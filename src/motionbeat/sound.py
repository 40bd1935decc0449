"""The sound stream: features of timbre, independent of the beats.

A small convolutional network on the log-mel spectrum, including the mean spectrum that is
subtracted in the audio tower. It is trained by distillation of music taggers
(:mod:`motionbeat.pretraining.distillation`).
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from motionbeat.spectrum import AUDIO_FRAME_RATE, BANDS
from motionbeat.tokens import on_lines

_STAGES = ((2, 1, 1), (4, 2, 2), (8, 2, 3), (12, 1, 2))
"""Of each stage: channels in twelfths of the width, stride in time, layers."""

_POOLED = 2  # frames averaged before the first layer
_FRAMES = _POOLED * 2**3  # of the spectrum, from one frame of the stream to the next
_BLOCK = 512  # frames of the stream computed at once, which bounds the memory
_MARGIN = 16  # frames of the stream, more than a frame depends on at either side


class Separable(nn.Module):
    """A convolution of each channel, one across channels, batch norm and ReLU.

    Howard et al., "MobileNets", 2017; with a residual connection where the shape stays.
    """

    def __init__(self, inputs: int, outputs: int, stride: tuple[int, int]) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(inputs, inputs, 3, stride, 1, groups=inputs, bias=False)
        self.pointwise = nn.Conv2d(inputs, outputs, 1, bias=False)
        self.norm = nn.BatchNorm2d(outputs)
        self.residual = inputs == outputs and stride == (1, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, inputs, bands, frames) to (B, outputs, bands', frames')."""
        y = functional.relu(self.norm(self.pointwise(self.depthwise(x))))
        return x + y if self.residual else y


class SoundStream(nn.Module):
    """Features of the log-mel spectrum, at a sixteenth of its frame rate.

    Args:
        width: number of features per frame, a multiple of 12.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        channels = width // 12
        layers: list[nn.Module] = [
            nn.Conv2d(1, channels, 3, 2, 1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
        ]
        for share, stride, count in _STAGES:
            outputs = width * share // 12
            halved = 1 if len(layers) == 3 else 2  # bands; the stem has halved them before
            layers.append(Separable(channels, outputs, (halved, stride)))
            layers += [Separable(outputs, outputs, (1, 1)) for _ in range(count - 1)]
            channels = outputs
        self.layers = nn.Sequential(*layers)
        self.bands = nn.Conv2d(width, width, (BANDS // 16, 1), groups=width)
        self.mix = nn.Conv1d(width, width, 1)
        for part in self.modules():  # keep the height of the signal before there are statistics
            if isinstance(part, nn.Conv1d | nn.Conv2d):
                nn.init.kaiming_normal_(part.weight, nonlinearity="relu")

    def forward(self, log_mel: Tensor) -> Tensor:
        """Map (B, T, BANDS) at ``AUDIO_FRAME_RATE`` to (B, T / 16, width), rounded up."""
        pooled = functional.avg_pool1d(log_mel.mT, _POOLED, ceil_mode=True)
        heard = functional.relu(self.bands(self.layers(pooled.unsqueeze(1))).squeeze(2))
        features: Tensor = self.mix(heard).mT
        return features

    def stream(self, log_mel: Tensor) -> Tensor:
        """The features of a whole recording, computed block by block."""
        count = -(-log_mel.shape[1] // _FRAMES)
        parts = []
        for first in range(0, count, _BLOCK):
            start, stop = max(0, first - _MARGIN), first + _BLOCK + _MARGIN
            part = self(log_mel[:, start * _FRAMES : stop * _FRAMES])
            parts.append(part[:, first - start :][:, :_BLOCK])
        return torch.cat(parts, dim=1)

    def interpolate(self, features: Tensor, seconds: Tensor) -> Tensor:
        """Features (B, frames, width) at (B, F) seconds, on straight lines, held at the ends."""
        middle = (_POOLED - 1) / 2  # of the first frame, in frames of the spectrum
        place = (seconds * AUDIO_FRAME_RATE - middle) / _FRAMES
        last = place.new_full((1, 1), features.shape[1] - 1)
        return on_lines(features, torch.minimum(place.clamp_min(0), last), last)
