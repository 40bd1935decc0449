"""musicnn, a convolutional tagger with musically shaped filters (Pons and Serra, 2019).

The weights are read from the package, which is neither imported nor asked to run; the network is
reimplemented in torch. Code: https://github.com/jordipons/musicnn.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from motionbeat.benchmarks.encoders.pretrained.tf_checkpoint import copy_layer, read_checkpoint
from motionbeat.benchmarks.encoders.pretrained.weight_files import PackageEncoder
from motionbeat.encoder import EncoderCard
from motionbeat.spectrum import AmplitudeSpectrum

_SAMPLE_RATE = 16_000
_HOP = 256
_FFT_SIZE = 512
_MEL_BANDS = 96
_TIMBRAL, _TEMPORAL, _DENSE = 204, 51, 64  # filters of a bank or layer
_FRONTEND = 2 * _TIMBRAL + 3 * _TEMPORAL
_WIDTH = _FRONTEND + 3 * _DENSE
_PENULTIMATE, _TAGS = 200, 50
_PATCH_FRAMES = 187  # of the three seconds the network was trained on
_EPSILON = 1e-3  # TensorFlow's default in batch normalisation
_BLOCK_FRAMES = 128  # filtered at a time: bounds the memory, and fits the processor's cache
_KINDS: dict[type[nn.Module], str] = {  # of layers, in the checkpoint
    nn.BatchNorm1d: "batch_normalization",
    nn.Conv1d: "conv2d",
    nn.Conv2d: "conv2d",
    nn.Linear: "dense",
}


class FilterBank(nn.Module):
    """Filters over time and frequency, each reduced to its largest response over frequency.

    Convolution, ReLU, batch norm and the maximum over frequency, in an order that costs less: the
    maximum is taken straight from the convolution, with the filters of falling batch norm turned
    over to make it a minimum. The convolution is a matrix product over windows, which on a CPU is
    twice as fast as torch's own for a single input channel.
    """

    def __init__(self, filters: int, times: int, bands: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(1, filters, (times, bands))
        self.norm = nn.BatchNorm1d(filters, _EPSILON)

    def forward(self, mel: Tensor) -> Tensor:
        """Map (B, frames, mel bands) to (B, filters, frames)."""
        sign = self.norm.weight.sign()
        weight = self.convolution.weight.flatten(1).T.contiguous() * sign
        times, bands = self.convolution.kernel_size
        padded = functional.pad(mel, (0, 0, (times - 1) // 2, times // 2))
        windows = padded.unfold(1, times, 1).unfold(2, bands, 1)
        largest = [
            (block.flatten(-2) @ weight).amax(dim=2)
            for block in torch.split(windows, max(1, _BLOCK_FRAMES // len(mel)), dim=1)
        ]
        bias = self.convolution.get_parameter("bias")
        response = functional.relu(torch.cat(largest, dim=1) * sign + bias)
        normed: Tensor = self.norm(response.mT)
        return normed


class DenseLayer(nn.Module):
    """Convolution over time of all features, ReLU and batch norm."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.convolution = nn.Conv1d(features, _DENSE, 7, padding="same")
        self.norm = nn.BatchNorm1d(_DENSE, _EPSILON)

    def forward(self, features: Tensor) -> Tensor:
        """Map (B, features, frames) to (B, 64, frames)."""
        normed: Tensor = self.norm(functional.relu(self.convolution(features)))
        return normed


class Musicnn(PackageEncoder):
    """musicnn trained on MagnaTagATune, up to the features that its back end pools.

    The hidden layer holds what the published network concatenates for each frame: 408 timbral and
    153 temporal features of the front end, then 64 of each of three dense layers. It is computed
    for the whole input at once instead of in patches of three seconds. The log-mel spectrum is
    kept in float32, as half precision overflows where the published code uses it.
    """

    card: ClassVar[EncoderCard] = EncoderCard(
        name="musicnn",
        revision="1",
        sample_rate=_SAMPLE_RATE,
        frame_rate=_SAMPLE_RATE / _HOP,
        layers=1,
        width=_WIDTH,
        parameters=787_159,
        licence="ISC",
        training_data=("MagnaTagATune",),
        source="https://arxiv.org/abs/1909.06654, package musicnn 0.1.0 (MTT_musicnn)",
    )
    # 64 frames of the longest filter, 3 of each dense layer, one of the analysis window.
    context: ClassVar[float] = (64 + 3 * 3 + 1) * _HOP / _SAMPLE_RATE
    packages: ClassVar[Mapping[str, str]] = {"musicnn": "--no-deps musicnn==0.1.0"}
    files: ClassVar[tuple[str, ...]] = ("MTT_musicnn/.index", "MTT_musicnn/.data-00000-of-00001")
    sha256: ClassVar[str] = "5a310d763b7d8bafda59f31636c3f1b87b5c62d134d7e6ff9b880e4c25515ab4"

    mel_filters: Tensor

    def __init__(self) -> None:
        super().__init__()
        import librosa

        mel_filters = librosa.filters.mel(sr=_SAMPLE_RATE, n_fft=_FFT_SIZE, n_mels=_MEL_BANDS)
        self.spectrum = AmplitudeSpectrum(_FFT_SIZE, _HOP)
        # The published spectrum is not normalised: its full-scale sine has the height 128.
        self.register_buffer("mel_filters", torch.from_numpy(mel_filters.T * (_FFT_SIZE / 4) ** 2))
        self.input_norm = nn.BatchNorm1d(1, _EPSILON)
        self.banks = nn.ModuleList(
            [FilterBank(_TIMBRAL, 7, int(share * _MEL_BANDS)) for share in (0.4, 0.7)]
            + [FilterBank(_TEMPORAL, times, 1) for times in (128, 64, 32)]
        )
        self.dense = nn.ModuleList(DenseLayer(features) for features in (_FRONTEND, _DENSE, _DENSE))
        self.tagger = nn.Sequential(
            nn.BatchNorm1d(2 * _WIDTH, _EPSILON),
            nn.Linear(2 * _WIDTH, _PENULTIMATE),
            nn.ReLU(),
            nn.BatchNorm1d(_PENULTIMATE, _EPSILON),
            nn.Linear(_PENULTIMATE, _TAGS),
        )
        self._load()
        self.eval().requires_grad_(False)

    def forward(self, waveform: Tensor) -> Tensor:
        """Encode (B, T) samples as (B, 1, frames, 753)."""
        return self._features(self._log_mel(waveform)).mT.unsqueeze(1)

    def tags(self, waveform: Tensor) -> Tensor:
        """Probabilities (B, 50) of the tags, as published: from the first 187 frames."""
        features = self._features(self._log_mel(waveform)[:, :_PATCH_FRAMES])
        pooled = torch.stack([features.amax(dim=-1), features.mean(dim=-1)], dim=-1).flatten(1)
        tags: Tensor = self.tagger(pooled).sigmoid()
        return tags

    def _log_mel(self, waveform: Tensor) -> Tensor:
        """Compressed mel spectrum (B, frames, 96) of (B, T) samples."""
        power: Tensor = self.spectrum(waveform).square() @ self.mel_filters
        return torch.log10(10_000 * power + 1)

    def _features(self, mel: Tensor) -> Tensor:
        """Concatenated features (B, 753, frames) of a (B, frames, 96) log-mel spectrum."""
        normed = self.input_norm(mel.flatten(1).unsqueeze(1)).view_as(mel)
        features = [torch.cat([bank(normed) for bank in self.banks], dim=1)]
        features.append(self.dense[0](features[0]))
        for layer in self.dense[1:]:
            features.append(layer(features[-1]) + features[-1])
        return torch.cat(features, dim=1)

    def _load(self) -> None:
        """Copy the checkpoint's variables, which are numbered in the order of the network."""
        variables = read_checkpoint((self.folder() / self.files[0]).parent)
        numbers: Counter[str] = Counter()
        for layer in self.modules():
            if (kind := _KINDS.get(type(layer))) is not None:
                number = f"_{numbers[kind]}" if numbers[kind] else ""
                copy_layer(layer, variables, kind + number)
                numbers[kind] += 1


class MusicnnMsd(Musicnn):
    """musicnn trained on the Million Song Dataset."""

    card: ClassVar[EncoderCard] = replace(
        Musicnn.card,
        name="musicnn-msd",
        training_data=("Million Song Dataset",),
        source="https://arxiv.org/abs/1909.06654, package musicnn 0.1.0 (MSD_musicnn)",
    )
    files: ClassVar[tuple[str, ...]] = ("MSD_musicnn/.index", "MSD_musicnn/.data-00000-of-00001")
    sha256: ClassVar[str] = "ffb40cd66093fac1af5e4bae851c19c767a962aa577d0aa1fa12b426f15215ad"
