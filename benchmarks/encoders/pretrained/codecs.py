"""Encoders of neural audio codecs, up to what they quantise: EnCodec and DAC."""

from dataclasses import replace
from typing import ClassVar

import torch
from torch import Tensor

from motionbeat.benchmarks.encoders.frames import around
from motionbeat.benchmarks.encoders.pretrained.hub import TransformersEncoder
from motionbeat.encoder import EncoderCard


class Codec(TransformersEncoder):
    """A codec's encoder: a frame stands for the hop of samples that it is decoded to.

    Half a hop of padding centres these hops at the frames' times.
    """

    part: ClassVar[str] = "encoder"

    def whole_hops(self, waveform: Tensor) -> Tensor:
        """(B, T) samples as (B, 1, hops), one hop centred at each frame's time."""
        hop = round(self.card.sample_rate / self.card.frame_rate)
        length = (waveform.shape[1] // hop + 1) * hop
        return around(waveform, hop, length).unsqueeze(1)


class Encodec24(Codec):
    """EnCodec at 24 kHz, which does not look ahead.

    The hidden layer joins what the last strided convolution gives, what the LSTM behind it makes of
    that, and the vector that is quantised.
    """

    card: ClassVar[EncoderCard] = EncoderCard(
        name="encodec-24khz",
        revision="1@c1dbe2ae",
        sample_rate=24_000,
        frame_rate=75.0,
        layers=1,
        width=512 + 512 + 128,
        parameters=7_425_792,
        licence="MIT (code; none stated for the weights)",
        training_data=("AudioSet", "Common Voice", "DNS Challenge 4", "FSD50K", "MTG-Jamendo"),
        source="https://arxiv.org/abs/2210.13438, https://huggingface.co/facebook/encodec_24khz",
    )
    repo: ClassVar[str] = "facebook/encodec_24khz"
    commit: ClassVar[str] = "c1dbe2ae3f1de713481a3b3e7c47f357092ee040"
    kind: ClassVar[str] = "EncodecModel"

    def forward(self, waveform: Tensor) -> Tensor:
        """Encode (B, T) samples as (B, 1, T // hop + 1, width)."""
        *convolutions, recurrent, activation, last = self.network.layers
        convolved = self.whole_hops(waveform)
        for layer in convolutions:
            convolved = layer(convolved)
        remembered = recurrent(convolved)
        joined = torch.cat([convolved, remembered, last(activation(remembered))], dim=1)
        return joined.mT.unsqueeze(1)


class Encodec32(Encodec24):
    """EnCodec at 32 kHz, which MusicGen writes for: music alone, and it looks ahead."""

    card: ClassVar[EncoderCard] = replace(
        Encodec24.card,
        name="encodec-32khz",
        revision="1@d0c45384",
        sample_rate=32_000,
        frame_rate=50.0,
        width=1024 + 1024 + 128,
        parameters=28_441_984,
        licence="CC-BY-NC-4.0",
        training_data=("20 000 h of licensed music (Meta Music Initiative, Shutterstock, Pond5)",),
        source="https://arxiv.org/abs/2306.05284, https://huggingface.co/facebook/encodec_32khz",
    )
    repo: ClassVar[str] = "facebook/encodec_32khz"
    commit: ClassVar[str] = "d0c45384f6c44db055f78200cfdcb9c1c8706727"


class Dac44(Codec):
    """DAC at 44.1 kHz: the output of its last strided block, and the vector that is quantised."""

    card: ClassVar[EncoderCard] = EncoderCard(
        name="dac-44khz",
        revision="1@c1bc5216",
        sample_rate=44_100,
        frame_rate=44_100 / 512,
        layers=2,
        width=1024,
        parameters=22_299_200,
        licence="MIT",
        training_data=(
            "AudioSet",
            "Common Voice",
            "DAPS",
            "DNS Challenge 4",
            "MTG-Jamendo",
            "MUSDB",
            "VCTK",
        ),
        source="https://arxiv.org/abs/2306.06546, https://huggingface.co/descript/dac_44khz",
    )
    context: ClassVar[float] = 0.1  # reach of the convolutions: 4 000 samples
    repo: ClassVar[str] = "descript/dac_44khz"
    commit: ClassVar[str] = "c1bc521685adf9cfe247bc39a5ca58917eda1ac4"
    kind: ClassVar[str] = "DacModel"

    def forward(self, waveform: Tensor) -> Tensor:
        """Encode (B, T) samples as (B, 2, T // 512 + 1, width)."""
        convolved = self.network.conv1(self.whole_hops(waveform))
        for block in self.network.block:
            convolved = block(convolved)
        quantised = self.network.conv2(self.network.snake1(convolved))
        return torch.stack([convolved.mT, quantised.mT], dim=1)
