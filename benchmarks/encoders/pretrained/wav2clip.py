"""Wav2CLIP, a residual network taught to place sounds where CLIP places pictures (Wu et al., 2022).

Weights: ``Wav2CLIP.pt`` of https://github.com/descriptinc/lyrebird-wav2clip (release
v0.1.0-alpha), paper: https://arxiv.org/abs/2110.11499.
"""

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from motionbeat.benchmarks.encoders.frames import around, by_blocks
from motionbeat.benchmarks.encoders.pretrained.weight_files import (
    FileEncoder,
    hollow,
    load_strictly,
)
from motionbeat.encoder import EncoderCard

_SAMPLE_RATE = 16_000
_FFT_SIZE, _SPECTRA_HOP = 512, 353
_WINDOW, _HOP = _SAMPLE_RATE, _SAMPLE_RATE // 10
_STAGES = (1, 2, 4, 8)  # filters, in those of the first
_FLOOR = 1e-7
_QUIET = 1e-3  # spread of a spectrum that is nothing but its floor and rounding
_BLOCK = 64  # windows at a time: bounds the memory


class Residual(nn.Module):
    """Two convolutions, added to what came in.

    Args:
        inputs: channels that come in.
        filters: of either convolution.
    """

    def __init__(self, inputs: int, filters: int) -> None:
        super().__init__()
        stride = 1 if inputs == filters else 2
        self.conv1 = nn.Conv2d(inputs, filters, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(filters)
        self.conv2 = nn.Conv2d(filters, filters, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(filters)
        if stride > 1:
            self.downsample = nn.Sequential(
                nn.Conv2d(inputs, filters, 1, stride, bias=False), nn.BatchNorm2d(filters)
            )
        else:
            self.downsample = nn.Sequential()

    def forward(self, maps: Tensor) -> Tensor:
        """Map (N, inputs, bins, spectra) to maps of the filters."""
        hidden = self.bn2(self.conv2(functional.relu(self.bn1(self.conv1(maps)))))
        return functional.relu(hidden + self.downsample(maps))


class ResNet(nn.Module):
    """ResNet-18 for a single channel, names as published.

    Args:
        width: filters of the first stage.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, width, 7, 2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        inputs = width
        for number, times in enumerate(_STAGES, start=1):
            filters = times * width
            stage = nn.Sequential(Residual(inputs, filters), Residual(filters, filters))
            setattr(self, f"layer{number}", stage)
            inputs = filters

    def forward(self, spectra: Tensor) -> list[Tensor]:
        """Map (N, bins, spectra) to the averages of all maps, the last being the features."""
        hidden = functional.relu(self.bn1(self.conv1(spectra.unsqueeze(1))))
        states = [hidden.mean(dim=(2, 3))]
        hidden = functional.max_pool2d(hidden, 3, 2, padding=1)
        for number in range(1, len(_STAGES) + 1):
            for block in getattr(self, f"layer{number}"):
                hidden = block(hidden)
                states.append(hidden.mean(dim=(2, 3)))
        return states


class Wav2ClipNetwork(nn.Module):
    """The residual network and two dense layers to CLIP's space, names as published.

    Args:
        width: filters of the first stage.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.audio_encoder = ResNet(width)
        features = _STAGES[-1] * width
        dense = [nn.Linear(features, features), nn.ReLU(), nn.Identity()]  # a dropout is third
        dense.append(nn.Linear(features, features))
        self.audio_transform = nn.Module()
        self.audio_transform.sequential = nn.Sequential(*dense)

    def forward(self, spectra: Tensor) -> Tensor:
        """Map (N, bins, spectra) to what all layers say, (N, 47 width)."""
        states = self.audio_encoder(spectra)
        dense = self.audio_transform.get_submodule("sequential")
        assert isinstance(dense, nn.Sequential)
        states.append(dense[:-1](states[-1]))
        states.append(dense[-1](states[-1]))
        return torch.cat(states, dim=1)


class Wav2Clip(FileEncoder):
    """Wav2CLIP on windows of a second, as published, but taken every 0.1 s.

    Each window's spectrum is standardised by itself; the published code does so with whatever lies
    in a batch. The hidden layer holds, side by side, the averages of the first convolution's maps
    and of the eight blocks' (64 to 512 features), and the two dense layers.
    """

    card: ClassVar[EncoderCard] = EncoderCard(
        name="wav2clip",
        revision="1",
        sample_rate=_SAMPLE_RATE,
        frame_rate=_SAMPLE_RATE / _HOP,
        layers=1,
        width=3008,
        parameters=11_695_552,
        licence="MIT",
        training_data=("VGGSound",),
        source="https://arxiv.org/abs/2110.11499, github.com/descriptinc/lyrebird-wav2clip",
        experimental=True,
    )
    context: ClassVar[float] = _WINDOW / 2 / _SAMPLE_RATE
    file: ClassVar[str] = "Wav2CLIP.pt"
    origin: ClassVar[str] = (
        "https://github.com/descriptinc/lyrebird-wav2clip/releases/tag/v0.1.0-alpha"
    )
    filters: ClassVar[int] = 64  # of the first stage

    window: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("window", torch.hann_window(_FFT_SIZE))
        self.network = hollow(Wav2ClipNetwork, self.filters)
        # Besides the audio's parts there may be CLIP's, which its own code passes over as well.
        tensors = {
            name: tensor
            for name, tensor in self.read().items()
            if name.startswith(("audio_encoder.", "audio_transform."))
        }
        unused = ("audio_encoder.spectrogram.",)
        load_strictly(self.network, tensors, self.path(), unused)
        self.eval().requires_grad_(False)

    def forward(self, waveform: Tensor) -> Tensor:
        """Encode (B, T) samples as (B, 1, frames, 3008)."""
        padded = around(waveform, _WINDOW, _WINDOW + waveform.shape[1] // _HOP * _HOP)
        return by_blocks(self._encode, padded.unfold(1, _WINDOW, _HOP), _BLOCK)

    def log_spectra(self, windows: Tensor) -> Tensor:
        """Standardised logarithms (N, 257, 46) of the power spectra of windows (N, 16000)."""
        spectra = torch.stft(
            windows, _FFT_SIZE, _SPECTRA_HOP, window=self.window, return_complex=True
        )
        logarithm = (spectra.abs().square() + _FLOOR).log()
        deviation, mean = torch.std_mean(logarithm, dim=(1, 2), keepdim=True)
        return (logarithm - mean) / deviation.clamp(min=_QUIET)

    def _encode(self, windows: Tensor) -> Tensor:
        """Features (N, 3008) of windows."""
        features: Tensor = self.network(self.log_spectra(windows))
        return features
