"""wav2vec 2.0, HuBERT and MERT: convolutions over the waveform, then a transformer.

wav2vec 2.0 and HuBERT heard nothing but speech: controls for encoders of music. MERT is a HuBERT of
music. Its repositories hold code of their own, which is not run: with the settings of both
published models (no constant-Q input, no DeepNorm) it comes to the network of HuBERT under the same
names of weights; ``attention_relax`` only guards a softmax against overflow in half precision.
"""

import json
import math
from dataclasses import replace
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from motionbeat.benchmarks.encoders.pretrained.hub import TransformersEncoder
from motionbeat.encoder import EncoderCard


class WaveformTransformer(TransformersEncoder):
    """Strided convolutions over the waveform, then a transformer over all of their frames.

    The hidden layers are what enters the transformer and the output of each of its layers. A piece
    is brought to mean 0 and variance 1 where the published preprocessing does so, then padded by
    half the reach of the convolutions, which centres their first frame at its first sample.
    """

    files = ("config.json", "preprocessor_config.json", "pytorch_model.bin")
    context: ClassVar[float] = 5.0  # attention has no bound; this is what MERT was trained on
    kind: ClassVar[str] = "HubertModel"

    def __init__(self) -> None:
        super().__init__()
        preprocessing = json.loads((self.folder() / "preprocessor_config.json").read_text())
        self.normalised = bool(preprocessing.get("do_normalize", True))
        kernels, strides = self.network.config.conv_kernel, self.network.config.conv_stride
        self.hop, self.reach = math.prod(strides), 1
        for kernel, stride in zip(reversed(kernels), reversed(strides), strict=True):
            self.reach = (self.reach - 1) * stride + kernel

    def forward(self, waveform: Tensor) -> Tensor:
        """Encode (B, T) samples as (B, layers, T // hop + 1, width)."""
        if self.normalised:
            deviation = (waveform.var(dim=-1, keepdim=True, correction=0) + 1e-7).sqrt()
            waveform = (waveform - waveform.mean(dim=-1, keepdim=True)) / deviation
        half = self.reach // 2
        padded = functional.pad(waveform, (half, self.reach - half))
        states = self.network(padded, output_hidden_states=True).hidden_states
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
    kind: ClassVar[str] = "Wav2Vec2Model"


class HubertBase(WaveformTransformer):
    """HuBERT base."""

    card: ClassVar[EncoderCard] = replace(
        Wav2Vec2Base.card,
        name="hubert-base",
        revision="1@dba3bb02",
        source="https://arxiv.org/abs/2106.07447, "
        "https://huggingface.co/facebook/hubert-base-ls960",
    )
    repo: ClassVar[str] = "facebook/hubert-base-ls960"
    commit: ClassVar[str] = "dba3bb02fda4248b6e082697eee756de8fe8aa8a"


class Mert95(WaveformTransformer):
    """MERT-v1-95M."""

    card: ClassVar[EncoderCard] = replace(
        Wav2Vec2Base.card,
        name="mert-v1-95m",
        revision="1@12af15fe",
        sample_rate=24_000,
        frame_rate=75.0,
        licence="CC-BY-NC-4.0",
        training_data=("20 000 h of music from the internet (undisclosed)",),
        source="https://arxiv.org/abs/2306.00107, https://huggingface.co/m-a-p/MERT-v1-95M",
    )
    repo: ClassVar[str] = "m-a-p/MERT-v1-95M"
    commit: ClassVar[str] = "12af15fef9d0ac838c3f475bfbbf26d2060dd4f5"


class Mert330(WaveformTransformer):
    """MERT-v1-330M."""

    card: ClassVar[EncoderCard] = replace(
        Mert95.card,
        name="mert-v1-330m",
        revision="1@5240c270",
        layers=25,
        width=1024,
        parameters=315_428_992,
        training_data=("160 000 h of music from the internet (undisclosed)",),
        source="https://arxiv.org/abs/2306.00107, https://huggingface.co/m-a-p/MERT-v1-330M",
    )
    repo: ClassVar[str] = "m-a-p/MERT-v1-330M"
    commit: ClassVar[str] = "5240c2708a5acaee1007f43fb9735c7dcd0b78c9"
