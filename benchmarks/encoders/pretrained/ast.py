"""AST, an audio spectrogram transformer that tags AudioSet (Gong, Chung and Glass, 2021).

Paper: https://arxiv.org/abs/2104.01778; weights:
https://huggingface.co/MIT/ast-finetuned-audioset-10-10-0.4593.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from motionbeat.benchmarks.encoders.frames import (
    KALDI_SHIFT,
    KALDI_WINDOW,
    KaldiLogMel,
    along_time,
    in_windows,
)
from motionbeat.benchmarks.encoders.pretrained.hub import TRANSFORMERS, HubEncoder, pretrained
from motionbeat.encoder import EncoderCard

_SAMPLE_RATE = 16_000
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

    def __init__(self) -> None:
        super().__init__()
        from transformers import ASTModel

        self.model = pretrained(ASTModel, self.folder())
        config = self.model.config
        self.patch, self.stride = config.patch_size, config.time_stride
        self.places = (config.max_length - self.patch) // self.stride + 1
        self.length = config.max_length
        self.mel = KaldiLogMel(config.num_mel_bins)
        self.eval().requires_grad_(False)

    def forward(self, waveform: Tensor) -> Tensor:
        """Encode (B, T) samples as (B, layers, T // 1600 + 1, width)."""
        hop = self.stride * KALDI_SHIFT
        frames = waveform.shape[-1] // hop + 1
        # Half a patch of frames before its first sample, so that the first patch is centred there.
        before = ((self.patch - 1) * KALDI_SHIFT + KALDI_WINDOW) // 2
        mel = self.mel(functional.pad(waveform, (before, max(0, KALDI_WINDOW - before))))
        windows = -(-frames // self.places)
        cut = in_windows(mel, windows, self.length, self.places * self.stride)
        hidden = self.model((cut - _MEAN) / (2 * _DEVIATION), output_hidden_states=True)
        states = torch.stack(hidden.hidden_states, dim=1)[:, :, _TAGS:]
        return along_time(states, windows, self.places)[:, :, :frames]
