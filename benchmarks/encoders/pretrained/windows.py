"""Convolutional networks on windows of fixed length: VGGish, OpenL3, CLMR and Wav2CLIP.

Papers are on their cards. The weights of VGGish and OpenL3 are ports from TensorFlow. The network
of Wav2CLIP is that of its authors' package ``wav2clip``.
"""

import warnings
from abc import abstractmethod
from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from motionbeat.benchmarks.encoders.frames import around
from motionbeat.benchmarks.encoders.pretrained.weight_files import FileEncoder
from motionbeat.encoder import EncoderCard

_KERAS_EPSILON = 1e-3  # in batch normalisation
_VGGISH = ((1,), (2,), (4, 4), (8, 8))  # filters of the stages, in those of the first
_VGGISH_CELLS = (96 // 16) * (64 // 16)  # of the last maps
_OPENL3 = (1, 1, 2, 2, 4, 4, 8)  # filters, in those of the first
_CLMR = (1, 1, 1, 2, 2, 2, 2, 2, 2, 4, 4)
_QUIET = 1e-3  # spread of a spectrum that is nothing but its floor and rounding


class WindowedEncoder(FileEncoder):
    """A network on windows that are centred at the frames' times, closer than published.

    The hidden layer holds the averages of the network's maps over a window, side by side.

    Attributes:
        window: length in samples.
        hop: distance of frames in samples.
        block: windows at a time, which bounds the memory.
    """

    window: ClassVar[int]
    hop: ClassVar[int]
    block: ClassVar[int] = 32

    @abstractmethod
    def features(self, windows: Tensor) -> Tensor:
        """What all layers say of (N, window) samples, (N, width)."""

    def forward(self, waveform: Tensor) -> Tensor:
        """Encode (B, T) samples as (B, 1, frames, width)."""
        length = self.window + waveform.shape[1] // self.hop * self.hop
        windows = around(waveform, self.window, length).unfold(1, self.window, self.hop)
        states = [self.features(some) for some in torch.split(windows.flatten(0, 1), self.block)]
        return torch.cat(states).view(len(waveform), 1, windows.shape[1], -1)


def averages(hidden: Tensor, layers: Iterable[nn.Module]) -> list[Tensor]:
    """What each of several layers, one after another, gives on average, (N, maps)."""
    states = []
    for layer in layers:
        hidden = layer(hidden)
        states.append(hidden.flatten(2).mean(dim=2))
    return states


class Vggish(WindowedEncoder):
    """VGGish as published, without the whitening and rounding made for YouTube-8M's features.

    Patches of 0.975 s are taken every 0.16 s. The features are the averages of the four stages'
    maps (64, 128, 256 and 512) and the three dense layers (4096, 4096 and the embedding's 128).
    """

    card: ClassVar[EncoderCard] = EncoderCard(
        name="vggish",
        revision="1",
        sample_rate=16_000,
        frame_rate=16_000 / (16 * 160),
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
    sizes: ClassVar[tuple[int, ...]] = (64, 4096, 128)
    window: ClassVar[int] = (96 - 1) * 160 + 400  # 96 spectra
    hop: ClassVar[int] = 16 * 160

    hann: Tensor
    mel_filters: Tensor

    def __init__(self) -> None:
        super().__init__()
        from motionbeat._torchaudio import kaldi

        filters, _ = kaldi.get_mel_banks(64, 512, 16_000.0, 125.0, 7500.0, 100.0, -500.0, 1.0)
        self.register_buffer("hann", torch.hann_window(400))
        self.register_buffer("mel_filters", functional.pad(filters, (0, 1)).T)

    @staticmethod
    def build(width: int, dense: int, embedding: int) -> nn.ModuleDict:
        """Four stages of convolutions, three dense layers."""
        layers: list[nn.Module] = []
        inputs = 1
        for stage in _VGGISH:
            for filters in (times * width for times in stage):
                layers += [nn.Conv2d(inputs, filters, 3, padding=1), nn.ReLU()]
                inputs = filters
            layers.append(nn.MaxPool2d(2))
        last: list[nn.Module] = []
        for size, outputs in pairwise((inputs * _VGGISH_CELLS, dense, dense, embedding)):
            last += [nn.Linear(size, outputs), nn.ReLU()]
        parts = {"features": nn.Sequential(*layers), "embeddings": nn.Sequential(*last)}
        return nn.ModuleDict(parts)

    def features(self, windows: Tensor) -> Tensor:
        """Averages of the stages, and dense layers."""
        hidden, states = self.log_mel(windows).unsqueeze(1), []
        for layer in self.network.features:
            hidden = layer(hidden)
            if isinstance(layer, nn.MaxPool2d):
                states.append(hidden.mean(dim=(2, 3)))
        hidden = hidden.permute(0, 2, 3, 1).flatten(1)  # TensorFlow's order
        for layer in self.network.embeddings:
            hidden = layer(hidden)
            if isinstance(layer, nn.ReLU):
                states.append(hidden)
        return torch.cat(states, dim=1)

    def log_mel(self, windows: Tensor) -> Tensor:
        """Log-mel magnitudes (N, spectra, 64) of (N, T) samples."""
        spectra = torch.fft.rfft(windows.unfold(-1, 400, 160) * self.hann, 512).abs()
        return torch.log(spectra @ self.mel_filters + 0.01)


class OpenL3(WindowedEncoder):
    """OpenL3 on windows of a second taken every 0.1 s, both as published.

    The features are the averages of seven maps (64 to 512) and the embedding of 512.
    """

    card: ClassVar[EncoderCard] = EncoderCard(
        name="openl3",
        revision="1",
        sample_rate=48_000,
        frame_rate=10.0,
        layers=1,
        width=1920,
        parameters=4_687_042,
        licence="CC-BY-4.0",
        training_data=("AudioSet",),
        source="https://doi.org/10.1109/ICASSP.2019.8682475, github.com/torchopenl3/torchopenl3",
        experimental=True,
    )
    context: ClassVar[float] = 0.5
    file: ClassVar[str] = "torchopenl3_mel256_music_512.pth.tar"
    origin: ClassVar[str] = f"https://github.com/torchopenl3/torchopenl3-models/raw/master/{file}"
    sizes: ClassVar[tuple[int, ...]] = (64,)
    unused: ClassVar[tuple[str, ...]] = ("speclayer.",)
    window: ClassVar[int] = 48_000
    hop: ClassVar[int] = 4_800
    block: ClassVar[int] = 8

    def __init__(self) -> None:
        super().__init__()
        from motionbeat._torchaudio import transforms

        with warnings.catch_warnings(action="ignore"):  # the lowest bands are empty, as published
            self.mel = transforms.MelSpectrogram(
                48_000, n_fft=2048, hop_length=242, n_mels=256, center=False
            )
        filters = self.mel.mel_scale.fb
        filters /= filters.sum(dim=0).clamp(min=1e-10)
        self.eval()

    @staticmethod
    def build(width: int) -> nn.ModuleDict:
        """Seven convolutions with batch norm, and one for the embedding."""
        network = nn.ModuleDict({"batch_normalization_1": nn.BatchNorm2d(1, _KERAS_EPSILON)})
        filters = [1, *(times * width for times in _OPENL3)]
        for number, (inputs, outputs) in enumerate(pairwise(filters), start=1):
            norm = nn.BatchNorm2d(outputs, _KERAS_EPSILON)
            network[f"conv2d_{number}"] = nn.Conv2d(inputs, outputs, 3, padding=1)
            network[f"batch_normalization_{number + 1}"] = norm
        network["audio_embedding_layer"] = nn.Conv2d(outputs, outputs, 3, padding=1)
        return network

    def features(self, windows: Tensor) -> Tensor:
        """Averages of the maps, and the embedding."""
        first, *layers, embedding = self.network.children()
        hidden, states = first(self.log_mel(windows).unsqueeze(1)), []
        for number, (convolution, norm) in enumerate(zip(layers[::2], layers[1::2], strict=True)):
            hidden = functional.relu(norm(convolution(hidden)))
            states.append(hidden.mean(dim=(2, 3)))
            if number % 2:
                hidden = functional.max_pool2d(hidden, 2)
        states.append(functional.max_pool2d(embedding(hidden), (32, 24)).flatten(1))
        return torch.cat(states, dim=1)

    def log_mel(self, windows: Tensor) -> Tensor:
        """Mel spectra (N, 256, 199) of windows, ten times their logarithm to base 10.

        The loudest spot of a window is 0, and nothing is below -80.
        """
        padded = functional.pad(windows, (982, 982))  # so that there are 199
        logarithm = 10 * self.mel(padded).sqrt().clamp(min=1e-10).log10()
        loudest = logarithm.amax(dim=(1, 2), keepdim=True)
        return torch.clamp(logarithm - loudest, min=-80.0)


class Clmr(WindowedEncoder):
    """CLMR's encoder on excerpts of 2.68 s, as it was trained, taken every 0.3 s.

    The features are the averages of all eleven layers; the last 512 are what the authors probe.
    """

    card: ClassVar[EncoderCard] = EncoderCard(
        name="clmr",
        revision="1",
        sample_rate=22_050,
        frame_rate=22_050 / 3**8,
        layers=1,
        width=2944,
        parameters=2_368_512,
        licence="Apache-2.0",
        training_data=("MagnaTagATune",),
        source="https://arxiv.org/abs/2103.09410, github.com/Spijkervet/CLMR release 2.0",
        experimental=True,
    )
    context: ClassVar[float] = 3**10 / 2 / 22_050
    file: ClassVar[str] = "clmr_checkpoint_10000.pt"
    origin: ClassVar[str] = (
        "https://github.com/Spijkervet/CLMR/releases/download/2.0/clmr_checkpoint_10000.zip"
    )
    sizes: ClassVar[tuple[int, ...]] = (128,)
    key: ClassVar[str] = "state_dict"
    window: ClassVar[int] = 3**10  # samples that the layers make one of
    hop: ClassVar[int] = 3**8

    @staticmethod
    def build(width: int) -> nn.Sequential:
        """Eleven convolutions, each but the last making one step of three."""
        layers = []
        filters = [1, *(times * width for times in _CLMR)]
        for number, (inputs, outputs) in enumerate(pairwise(filters)):
            stride, padding = (1, 1) if number else (3, 0)
            convolution = nn.Conv1d(inputs, outputs, 3, stride=stride, padding=padding)
            parts = [convolution, nn.BatchNorm1d(outputs), nn.ReLU()]
            if 0 < number < len(_CLMR) - 1:
                parts.append(nn.MaxPool1d(3))
            layers.append(nn.Sequential(*parts))
        return nn.Sequential(*layers)

    def named(self, tensors: dict[str, Any]) -> dict[str, Any]:
        """The encoder's tensors; a checkpoint of Lightning has a longer prefix."""
        prefix = "encoder.sequential."
        return {
            name.rpartition(prefix)[2]: tensor for name, tensor in tensors.items() if prefix in name
        }

    def features(self, windows: Tensor) -> Tensor:
        """Averages of all layers."""
        return torch.cat(averages(windows.unsqueeze(1), self.network), dim=1)


class Wav2Clip(WindowedEncoder):
    """Wav2CLIP on windows of a second, as published, but taken every 0.1 s.

    Each window's spectrum is standardised by itself; the published code does so with whatever lies
    in a batch. The features are the averages of the first convolution's maps and of the eight
    blocks' (64 to 512), and the two dense layers.
    """

    card: ClassVar[EncoderCard] = EncoderCard(
        name="wav2clip",
        revision="1",
        sample_rate=16_000,
        frame_rate=10.0,
        layers=1,
        width=3008,
        parameters=11_695_552,
        licence="MIT",
        training_data=("VGGSound",),
        source="https://arxiv.org/abs/2110.11499, github.com/descriptinc/lyrebird-wav2clip",
        experimental=True,
    )
    context: ClassVar[float] = 0.5
    packages: ClassVar[Mapping[str, str]] = {"wav2clip": "wav2clip==0.1.0"}
    file: ClassVar[str] = "Wav2CLIP.pt"
    origin: ClassVar[str] = (
        "https://github.com/descriptinc/lyrebird-wav2clip/releases/tag/v0.1.0-alpha"
    )
    window: ClassVar[int] = 16_000
    hop: ClassVar[int] = 1_600
    block: ClassVar[int] = 64

    @staticmethod
    def build() -> nn.ModuleDict:
        """The published residual network, and two dense layers to CLIP's space."""
        from motionbeat import _torchaudio  # noqa: F401 # isort: skip
        from wav2clip.model.encoder import BasicBlock, MLPLayers, ResNet

        residual = ResNet(BasicBlock, [2, 2, 2, 2])
        return nn.ModuleDict({"audio_encoder": residual, "audio_transform": MLPLayers()})

    def named(self, tensors: dict[str, Any]) -> dict[str, Any]:
        """The audio's parts; there may be CLIP's, which its own code passes over as well."""
        return {name: tensor for name, tensor in tensors.items() if name.startswith("audio_")}

    def features(self, windows: Tensor) -> Tensor:
        """Averages of the maps, and dense layers."""
        residual, dense = self.network.audio_encoder, self.network.audio_transform.sequential
        hidden = residual.relu(residual.bn1(residual.conv1(self.log_spectra(windows)[:, None])))
        stages = (residual.layer1, residual.layer2, residual.layer3, residual.layer4)
        blocks = [block for stage in stages for block in stage]
        states = [hidden.mean(dim=(2, 3)), *averages(residual.maxpool(hidden), blocks)]
        states.append(dense[:-1](states[-1]))
        states.append(dense[-1](states[-1]))
        return torch.cat(states, dim=1)

    def log_spectra(self, windows: Tensor) -> Tensor:
        """Standardised logarithms (N, 257, 46) of the power spectra of windows."""
        logarithm: Tensor = (self.network.audio_encoder.spectrogram(windows) + 1e-7).log()
        deviation, mean = torch.std_mean(logarithm, dim=(1, 2), keepdim=True)
        return (logarithm - mean) / deviation.clamp(min=_QUIET)
