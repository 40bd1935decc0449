"""VGGish, an image network on a second of log-mel spectrum (Hershey et al., 2017).

The weights are those of https://github.com/harritaylor/torchvggish (release v0.1), ported from the
TensorFlow checkpoint of https://github.com/tensorflow/models/tree/master/research/audioset/vggish.
Paper: https://arxiv.org/abs/1609.09430.
"""

from collections.abc import Sequence
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

_SAMPLE_RATE = 16_000
_WINDOW, _HOP, _FFT_SIZE = 400, 160, 512
_BANDS, _LOWEST, _HIGHEST = 64, 125.0, 7500.0
_LOG_OFFSET = 0.01
_PATCH = 96  # spectra in a patch
_STEP = 16  # spectra from patch to patch; the published code takes a patch's length
_STAGES = ((1,), (2,), (4, 4), (8, 8))  # filters between poolings, in those of the first
_BLOCK = 32  # patches at a time: bounds the memory


class VggishNetwork(nn.Module):
    """Four stages of convolutions, three dense layers; names follow the published file.

    Args:
        width: filters of the first convolution.
        dense: features of either of the first two dense layers.
        embedding: features of the last.
    """

    def __init__(self, width: int, dense: int, embedding: int) -> None:
        super().__init__()
        convolutions: list[nn.Module] = []
        channels = 1
        for stage in _STAGES:
            for times in stage:
                filters = times * width
                convolutions += [nn.Conv2d(channels, filters, 3, padding=1), nn.ReLU()]
                channels = filters
            convolutions.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*convolutions)
        layers: list[nn.Module] = []
        inputs = channels * (_PATCH // 2 ** len(_STAGES)) * (_BANDS // 2 ** len(_STAGES))
        for outputs in (dense, dense, embedding):
            layers += [nn.Linear(inputs, outputs), nn.ReLU()]
            inputs = outputs
        self.embeddings = nn.Sequential(*layers)

    def forward(self, patches: Tensor) -> Tensor:
        """Map patches (N, 96, 64) to what all layers say of them."""
        hidden, states = patches.unsqueeze(1), []
        for layer in self.features:
            hidden = layer(hidden)
            if isinstance(layer, nn.MaxPool2d):
                states.append(hidden.mean(dim=(2, 3)))
        hidden = hidden.permute(0, 2, 3, 1).flatten(1)  # TensorFlow's order
        for layer in self.embeddings:
            hidden = layer(hidden)
            if isinstance(layer, nn.ReLU):
                states.append(hidden)
        return torch.cat(states, dim=1)


class Vggish(FileEncoder):
    """VGGish as published, without the whitening and rounding made for YouTube-8M's features.

    Patches of 0.975 s are taken every 0.16 s, so that frames are dense enough to be placed. The
    hidden layer holds, side by side, the averages of the four stages' maps over a patch (64, 128,
    256 and 512 features) and the three dense layers (4096, 4096 and the 128 of the embedding).
    """

    card: ClassVar[EncoderCard] = EncoderCard(
        name="vggish",
        revision="1",
        sample_rate=_SAMPLE_RATE,
        frame_rate=_SAMPLE_RATE / (_STEP * _HOP),
        layers=1,
        width=9280,
        parameters=72_141_184,
        licence="Apache-2.0",
        training_data=("YouTube-8M (preliminary version)",),
        source="https://arxiv.org/abs/1609.09430, github.com/harritaylor/torchvggish v0.1",
        experimental=True,
    )
    context: ClassVar[float] = 0.5
    file: ClassVar[str] = "vggish-10086976.pth"
    origin: ClassVar[str] = "https://github.com/harritaylor/torchvggish/releases/tag/v0.1"

    sizes: ClassVar[Sequence[int]] = (64, 4096, 128)

    window: Tensor
    mel_filters: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("window", torch.hann_window(_WINDOW))
        self.register_buffer("mel_filters", _mel_filters())
        self.network = hollow(VggishNetwork, *self.sizes)
        load_strictly(self.network, self.read(), self.path())
        self.eval().requires_grad_(False)

    def forward(self, waveform: Tensor) -> Tensor:
        """Encode (B, T) samples as (B, 1, frames, 9280)."""
        hop, size = _STEP * _HOP, (_PATCH - 1) * _HOP + _WINDOW
        padded = around(waveform, size, size + waveform.shape[1] // hop * hop)
        patches = self.log_mel(padded).unfold(1, _PATCH, _STEP).mT  # (B, frames, 96, 64)
        return by_blocks(self.network, patches, _BLOCK)

    def log_mel(self, waveform: Tensor) -> Tensor:
        """Log-mel magnitudes (B, spectra, 64) of whole windows of (B, T) samples."""
        windows = waveform.unfold(-1, _WINDOW, _HOP) * self.window
        bands = torch.fft.rfft(windows, _FFT_SIZE).abs() @ self.mel_filters
        return torch.log(bands + _LOG_OFFSET)


def _mel_filters() -> Tensor:
    """Triangles whose flanks are straight on the mel axis, (257, 64); the zeroth bin has none."""

    def mel(hertz: Tensor) -> Tensor:
        return 1127 * torch.log1p(hertz / 700)

    bins = mel(torch.linspace(0, _SAMPLE_RATE / 2, _FFT_SIZE // 2 + 1, dtype=torch.float64))
    lowest, highest = mel(torch.tensor([_LOWEST, _HIGHEST], dtype=torch.float64)).tolist()
    edges = torch.linspace(lowest, highest, _BANDS + 2, dtype=torch.float64)
    width = (highest - lowest) / (_BANDS + 1)
    filters: Tensor = (1 - (bins[:, None] - edges[1:-1]).abs() / width).clamp(min=0)
    filters[0] = 0
    return filters.float()
