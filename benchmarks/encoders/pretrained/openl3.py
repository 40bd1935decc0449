"""OpenL3, trained to tell whether a sound and a picture are from one moment (Cramer et al., 2019).

The weights are those for music and 256 mel bands, converted by
https://github.com/torchopenl3/torchopenl3 from the Keras files of https://github.com/marl/openl3
(``torchopenl3_mel256_music_512.pth.tar``). Paper: https://doi.org/10.1109/ICASSP.2019.8682475.
"""

import warnings
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

_SAMPLE_RATE = 48_000
_FFT_SIZE, _SPECTRA_HOP, _BANDS = 2048, 242, 256
_WINDOW, _HOP = _SAMPLE_RATE, _SAMPLE_RATE // 10
_PADDING = 982  # samples before and after a window, of which "same" makes 199 spectra
_POOL = (32, 24)  # bands and spectra that a feature of the embedding is the maximum of
_FILTERS = (1, 1, 2, 2, 4, 4, 8)  # of each convolution, in those of the first
_FLOOR, _RANGE = 1e-10, 80.0
_EPSILON = 1e-3  # Keras's default in batch normalisation
_BLOCK = 8  # windows at a time: bounds the memory


class OpenL3Network(nn.Module):
    """Seven convolutions with batch norm, and one for the embedding; names as published.

    Args:
        width: filters of the first.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.batch_normalization_1 = nn.BatchNorm2d(1, _EPSILON)
        inputs = 1
        for number, times in enumerate(_FILTERS, start=1):
            filters = times * width
            setattr(self, f"conv2d_{number}", nn.Conv2d(inputs, filters, 3, padding=1))
            setattr(self, f"batch_normalization_{number + 1}", nn.BatchNorm2d(filters, _EPSILON))
            inputs = filters
        self.audio_embedding_layer = nn.Conv2d(inputs, inputs, 3, padding=1)

    def forward(self, mel: Tensor) -> Tensor:
        """Map (N, 256, 199) spectra to the averages of all maps and the embedding."""
        hidden, states = self.batch_normalization_1(mel.unsqueeze(1)), []
        for number in range(1, len(_FILTERS) + 1):
            hidden = getattr(self, f"conv2d_{number}")(hidden)
            hidden = functional.relu(getattr(self, f"batch_normalization_{number + 1}")(hidden))
            states.append(hidden.mean(dim=(2, 3)))
            if number % 2 == 0:
                hidden = functional.max_pool2d(hidden, 2)
        embedding = functional.max_pool2d(self.audio_embedding_layer(hidden), _POOL)
        return torch.cat([*states, embedding.flatten(1)], dim=1)


class OpenL3(FileEncoder):
    """OpenL3 on windows of a second taken every 0.1 s, both as published.

    The hidden layer holds, side by side, the averages of the seven maps (64 to 512 features) and
    the embedding of 512.
    """

    card: ClassVar[EncoderCard] = EncoderCard(
        name="openl3",
        revision="1",
        sample_rate=_SAMPLE_RATE,
        frame_rate=_SAMPLE_RATE / _HOP,
        layers=1,
        width=1920,
        parameters=4_687_042,
        licence="CC-BY-4.0",
        training_data=("AudioSet",),
        source="https://doi.org/10.1109/ICASSP.2019.8682475, github.com/torchopenl3/torchopenl3",
        experimental=True,
    )
    context: ClassVar[float] = _WINDOW / 2 / _SAMPLE_RATE
    file: ClassVar[str] = "torchopenl3_mel256_music_512.pth.tar"
    origin: ClassVar[str] = f"https://github.com/torchopenl3/torchopenl3-models/raw/master/{file}"
    filters: ClassVar[int] = 64  # of the first convolution

    window: Tensor
    mel_filters: Tensor

    def __init__(self) -> None:
        super().__init__()
        import librosa

        with warnings.catch_warnings(action="ignore"):  # the lowest bands are empty, as published
            mel_filters = librosa.filters.mel(
                sr=_SAMPLE_RATE, n_fft=_FFT_SIZE, n_mels=_BANDS, htk=True, norm=1
            )
        self.register_buffer("window", torch.hann_window(_FFT_SIZE))
        self.register_buffer("mel_filters", torch.from_numpy(mel_filters.T))
        self.network = hollow(OpenL3Network, self.filters)
        load_strictly(self.network, self.read(), self.path(), unused=("speclayer.",))
        self.eval().requires_grad_(False)

    def forward(self, waveform: Tensor) -> Tensor:
        """Encode (B, T) samples as (B, 1, frames, 1920)."""
        padded = around(waveform, _WINDOW, _WINDOW + waveform.shape[1] // _HOP * _HOP)
        return by_blocks(self._encode, padded.unfold(1, _WINDOW, _HOP), _BLOCK)

    def log_mel(self, windows: Tensor) -> Tensor:
        """Mel spectra (N, 256, 199) of windows (N, 48000), ten times their logarithm to base 10.

        The loudest spot of a window is 0, and nothing is below -80.
        """
        padded = functional.pad(windows, (_PADDING, _PADDING))
        framed = padded.unfold(1, _FFT_SIZE, _SPECTRA_HOP) * self.window
        mel = (torch.fft.rfft(framed).abs().square() @ self.mel_filters).sqrt().mT
        logarithm: Tensor = 10 * mel.clamp(min=_FLOOR).log10()
        loudest = logarithm.amax(dim=(1, 2), keepdim=True)
        return torch.clamp(logarithm - loudest, min=-_RANGE)

    def _encode(self, windows: Tensor) -> Tensor:
        """Features (N, 1920) of windows."""
        features: Tensor = self.network(self.log_mel(windows))
        return features
