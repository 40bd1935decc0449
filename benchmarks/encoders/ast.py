"""AST, an audio spectrogram transformer that tags AudioSet (Gong, Chung and Glass, 2021).

Paper: https://arxiv.org/abs/2104.01778; weights:
https://huggingface.co/MIT/ast-finetuned-audioset-10-10-0.4593.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.encoders.hub import TRANSFORMERS, HubEncoder, pretrained
from motionbeat.encoder import EncoderCard

_SAMPLE_RATE = 16_000
_SHIFT, _WINDOW, _FFT_SIZE = 160, 400, 512  # Kaldi's 10 and 25 ms
_PREEMPHASIS = 0.97
_LOWEST = 20.0  # Hz
_MEAN, _DEVIATION = -4.2677393, 4.5689974  # of AudioSet; the network sees half of its variance
_TAGS = 2  # tokens before those of patches: class and distillation


class Ast(HubEncoder):
    """AST, patches of 16 by 16 every 10 frames and bands, averaged over frequency.

    The network has places for 101 patches in time, 10.1 s, so longer input is cut into such
    windows, without overlap; the last one is filled up as in the published preprocessing, by
    zeros before scaling. The hidden layers are the embedded patches and the output of each layer.

    Raises:
        HubError: the weights cannot be had or read.
    """

    card: ClassVar[EncoderCard] = EncoderCard(
        name="ast",
        revision="1@f826b80d",
        sample_rate=_SAMPLE_RATE,
        frame_rate=10.0,
        layers=13,
        width=768,
        parameters=86_187_264,
        licence="BSD-3-Clause",
        training_data=("AudioSet", "ImageNet"),
        source="https://arxiv.org/abs/2104.01778, "
        "https://huggingface.co/MIT/ast-finetuned-audioset-10-10-0.4593",
    )
    context: ClassVar[float] = 10.24
    packages: ClassVar[Mapping[str, str]] = TRANSFORMERS
    repo: ClassVar[str] = "MIT/ast-finetuned-audioset-10-10-0.4593"
    commit: ClassVar[str] = "f826b80d28226b62986cc218e5cec390b1096902"
    files: ClassVar[Sequence[str]] = ("config.json", "model.safetensors")

    mel_filters: Tensor
    window: Tensor

    def __init__(self) -> None:
        super().__init__()
        from transformers import ASTModel

        self.model = pretrained(ASTModel, self.folder())
        config = self.model.config
        self.patch, self.stride = config.patch_size, config.time_stride
        self.places = (config.max_length - self.patch) // self.stride + 1
        self.length = config.max_length
        self.register_buffer("mel_filters", _kaldi_filters(config.num_mel_bins), persistent=False)
        window = torch.hann_window(_WINDOW, periodic=False)
        self.register_buffer("window", window, persistent=False)
        self.eval().requires_grad_(False)

    def forward(self, waveform: Tensor) -> Tensor:
        """Encode (B, T) samples as (B, layers, T // 1600 + 1, width)."""
        hop = self.stride * _SHIFT
        frames = waveform.shape[-1] // hop + 1
        # Half a patch of frames before its first sample, so that the first patch is centred there.
        before = ((self.patch - 1) * _SHIFT + _WINDOW) // 2
        mel = self._log_mel(functional.pad(waveform, (before, max(0, _WINDOW - before))))
        windows = -(-frames // self.places)
        step = self.places * self.stride
        missing = (windows - 1) * step + self.length - mel.shape[1]
        mel = functional.pad(mel, (0, 0, 0, max(0, missing)))
        mel = (mel - _MEAN) / (2 * _DEVIATION)
        cut = mel.unfold(1, self.length, step)[:, :windows].mT.flatten(0, 1)
        hidden = self.model(cut, output_hidden_states=True).hidden_states
        states = torch.stack(hidden, dim=1)[:, :, _TAGS:]
        layers, width = states.shape[1], states.shape[3]
        # Patches are numbered along time first, then along frequency.
        states = states.view(
            -1, windows, layers, states.shape[2] // self.places, self.places, width
        )
        states = states.mean(dim=3).transpose(1, 2).flatten(2, 3)
        return states[:, :, :frames]

    def _log_mel(self, waveform: Tensor) -> Tensor:
        """Kaldi's log-mel spectrum (B, frames, bands) of (B, T) samples, without dither."""
        frames = waveform.unfold(-1, _WINDOW, _SHIFT)
        frames = frames - frames.mean(dim=-1, keepdim=True)
        earlier = torch.cat([frames[..., :1], frames[..., :-1]], dim=-1)
        frames = (frames - _PREEMPHASIS * earlier) * self.window
        power: Tensor = torch.fft.rfft(frames, _FFT_SIZE).abs().square()
        return (power @ self.mel_filters).clamp_min(torch.finfo(torch.float32).eps).log()


def _kaldi_filters(bands: int) -> Tensor:
    """Triangles (257, bands) over the bins of a spectrum, evenly spaced and straight in mel."""

    def mel(hertz: Tensor) -> Tensor:
        return 1127.0 * torch.log1p(hertz / 700.0)

    ends = mel(torch.tensor([_LOWEST, _SAMPLE_RATE / 2], dtype=torch.float64))
    edges = torch.linspace(float(ends[0]), float(ends[1]), bands + 2, dtype=torch.float64)
    bins = mel(torch.arange(_FFT_SIZE // 2 + 1, dtype=torch.float64) * _SAMPLE_RATE / _FFT_SIZE)
    rising = (bins[:, None] - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins[:, None]) / (edges[2:] - edges[1:-1])
    filters = torch.minimum(rising, falling).clamp_min(0)
    filters[-1] = 0  # Kaldi leaves the Nyquist frequency out
    return filters.float()
