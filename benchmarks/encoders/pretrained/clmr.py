"""CLMR, a network on samples trained to know a song by two of its excerpts (Spijkervet, 2021).

Weights: ``clmr_checkpoint_10000.pt`` from the archive ``clmr_checkpoint_10000.zip`` of
https://github.com/Spijkervet/CLMR/releases/tag/2.0, paper: https://arxiv.org/abs/2103.09410.
"""

from typing import ClassVar

import torch
from torch import Tensor, nn

from motionbeat.benchmarks.encoders.frames import around, by_blocks
from motionbeat.benchmarks.encoders.pretrained.weight_files import (
    FileEncoder,
    hollow,
    load_strictly,
)
from motionbeat.encoder import EncoderCard

_SAMPLE_RATE = 22_050
_FILTERS = (1, 1, 1, 2, 2, 2, 2, 2, 2, 4, 4)  # of each layer, in those of the first
_EXCERPT = 3 ** (len(_FILTERS) - 1)  # samples that the layers make one of
_HOP = _EXCERPT // 9
_BLOCK = 32  # excerpts at a time: bounds the memory


class SampleCnn(nn.Module):
    """Eleven convolutions, each but the last making one step of three; names as published.

    Args:
        width: filters of the first.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        layers = []
        inputs = 1
        for number, times in enumerate(_FILTERS):
            filters = times * width
            first, last = number == 0, number == len(_FILTERS) - 1
            parts = [
                nn.Conv1d(inputs, filters, 3, stride=3 if first else 1, padding=0 if first else 1),
                nn.BatchNorm1d(filters),
                nn.ReLU(),
            ]
            layers.append(nn.Sequential(*parts, *([] if first or last else [nn.MaxPool1d(3)])))
            inputs = filters
        self.sequential = nn.Sequential(*layers)

    def forward(self, excerpts: Tensor) -> Tensor:
        """Map excerpts (N, 59049) to the averages of all layers, (N, 23 width)."""
        hidden, states = excerpts.unsqueeze(1), []
        for layer in self.sequential:
            hidden = layer(hidden)
            states.append(hidden.mean(dim=2))
        return torch.cat(states, dim=1)


class Clmr(FileEncoder):
    """CLMR's encoder on excerpts of 2.68 s, as it was trained, taken every 0.3 s.

    The hidden layer holds, side by side, the averages of all eleven layers over the excerpt; the
    last 512 features are what the authors probe.
    """

    card: ClassVar[EncoderCard] = EncoderCard(
        name="clmr",
        revision="1",
        sample_rate=_SAMPLE_RATE,
        frame_rate=_SAMPLE_RATE / _HOP,
        layers=1,
        width=2944,
        parameters=2_368_512,
        licence="Apache-2.0",
        training_data=("MagnaTagATune",),
        source="https://arxiv.org/abs/2103.09410, github.com/Spijkervet/CLMR release 2.0",
        experimental=True,
    )
    context: ClassVar[float] = _EXCERPT / 2 / _SAMPLE_RATE
    file: ClassVar[str] = "clmr_checkpoint_10000.pt"
    origin: ClassVar[str] = (
        "https://github.com/Spijkervet/CLMR/releases/download/2.0/clmr_checkpoint_10000.zip"
    )
    filters: ClassVar[int] = 128  # of the first layer

    def __init__(self) -> None:
        super().__init__()
        self.network = hollow(SampleCnn, self.filters)
        tensors = {  # Lightning puts them under a key and their names behind "model."
            name.rpartition("encoder.")[2]: tensor
            for name, tensor in self.read("state_dict").items()
            if "encoder." in name
        }
        load_strictly(self.network, tensors, self.path(), unused=("fc.",))
        self.eval().requires_grad_(False)

    def forward(self, waveform: Tensor) -> Tensor:
        """Encode (B, T) samples as (B, 1, frames, 2944)."""
        padded = around(waveform, _EXCERPT, _EXCERPT + waveform.shape[1] // _HOP * _HOP)
        return by_blocks(self.network, padded.unfold(1, _EXCERPT, _HOP), _BLOCK)
