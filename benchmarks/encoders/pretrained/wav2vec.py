"""wav2vec 2.0 and HuBERT, which heard nothing but speech: controls for encoders of music.

Papers: https://arxiv.org/abs/2006.11477 and https://arxiv.org/abs/2106.07447; weights:
https://huggingface.co/facebook/wav2vec2-base and
https://huggingface.co/facebook/hubert-base-ls960.
"""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from motionbeat.benchmarks.encoders.pretrained.hub import TRANSFORMERS, HubEncoder, pretrained
from motionbeat.encoder import EncoderCard


class WaveformTransformer(HubEncoder):
    """Strided convolutions over the waveform, then a transformer over all of their frames.

    The hidden layers are what enters the transformer and the output of each of its layers. A piece
    is brought to mean 0 and variance 1 where the published preprocessing does so, then padded by
    half the reach of the convolutions, which centres their first frame at its first sample.

    Raises:
        HubError: the weights cannot be had or read.
    """

    packages: ClassVar[Mapping[str, str]] = TRANSFORMERS
    files: ClassVar[Sequence[str]] = (
        "config.json",
        "preprocessor_config.json",
        "pytorch_model.bin",
    )
    context: ClassVar[float] = 5.0  # attention has no bound; this is what MERT was trained on
    network: ClassVar[str] = "HubertModel"

    def __init__(self) -> None:
        super().__init__()
        import transformers

        folder = self.folder()
        self.model = pretrained(getattr(transformers, self.network), folder)
        preprocessing: dict[str, Any] = json.loads(
            (folder / "preprocessor_config.json").read_text()
        )
        self.normalised = bool(preprocessing.get("do_normalize", True))
        self.hop = math.prod(self.model.config.conv_stride)
        self.reach = 1
        for kernel, stride in reversed(
            list(zip(self.model.config.conv_kernel, self.model.config.conv_stride, strict=True))
        ):
            self.reach = (self.reach - 1) * stride + kernel
        self.eval().requires_grad_(False)

    def forward(self, waveform: Tensor) -> Tensor:
        """Encode (B, T) samples as (B, layers, T // hop + 1, width)."""
        if self.normalised:
            deviation = (waveform.var(dim=-1, keepdim=True, correction=0) + 1e-7).sqrt()
            waveform = (waveform - waveform.mean(dim=-1, keepdim=True)) / deviation
        half = self.reach // 2
        padded = functional.pad(waveform, (half, self.reach - half))
        states = self.model(padded, output_hidden_states=True).hidden_states
        frames = waveform.shape[-1] // self.hop + 1
        return torch.stack(states, dim=1)[:, :, :frames]


class Wav2Vec2Base(WaveformTransformer):
    """wav2vec 2.0 base, pretrained on speech and not tuned to transcribe it."""

    card: ClassVar[EncoderCard] = EncoderCard(
        name="wav2vec2-base",
        revision="1@0b5b8e86",
        sample_rate=16_000,
        frame_rate=50.0,
        layers=13,
        width=768,
        parameters=94_371_712,
        licence="Apache-2.0",
        training_data=("LibriSpeech",),
        source="https://arxiv.org/abs/2006.11477, https://huggingface.co/facebook/wav2vec2-base",
    )
    repo: ClassVar[str] = "facebook/wav2vec2-base"
    commit: ClassVar[str] = "0b5b8e868dd84f03fd87d01f9c4ff0f080fecfe8"
    network: ClassVar[str] = "Wav2Vec2Model"


class HubertBase(WaveformTransformer):
    """HuBERT base."""

    card: ClassVar[EncoderCard] = EncoderCard(
        name="hubert-base",
        revision="1@dba3bb02",
        sample_rate=16_000,
        frame_rate=50.0,
        layers=13,
        width=768,
        parameters=94_371_712,
        licence="Apache-2.0",
        training_data=("LibriSpeech",),
        source="https://arxiv.org/abs/2106.07447, "
        "https://huggingface.co/facebook/hubert-base-ls960",
    )
    repo: ClassVar[str] = "facebook/hubert-base-ls960"
    commit: ClassVar[str] = "dba3bb02fda4248b6e082697eee756de8fe8aa8a"
