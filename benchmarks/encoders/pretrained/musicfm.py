"""MusicFM and MuQ, conformers trained to name masked stretches of a mel spectrum.

They are one architecture and differ in what they were made to name: random projections of the
spectrum (MusicFM, https://github.com/minzwon/musicfm), or codes of a quantiser learned before (MuQ,
https://github.com/tencent-ailab/MuQ). The block is wav2vec 2.0's conformer with rotary positions,
taken from ``transformers``.
"""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from motionbeat.benchmarks.encoders.frames import in_pieces, mel_decibels
from motionbeat.benchmarks.encoders.pretrained.hub import HubEncoder
from motionbeat.benchmarks.encoders.pretrained.weight_files import (
    below,
    load_strictly,
    read_weights,
)
from motionbeat.encoder import EncoderCard
from motionbeat.errors import MotionBeatError

_SAMPLE_RATE = 24_000
_FFT_SIZE, _HOP, _BANDS = 2048, 240, 128
_STRIDE = 4  # spectra in a frame
_ROTARY_BASE = 10_000.0
_PIECE, _MARGIN = 30.0, 5.0  # seconds: what the networks were trained on, and what is seen twice
_UNUSED = (
    "cls_token",
    "conformer.pos_conv_embed.",  # made by wav2vec 2.0's code, asked by nobody
    "linear.",
    "preprocessor_melspec_2048.",
    "quantizer_melspec_2048",
    "recon_proj.",
    "rvq.",
)


class Residual(nn.Module):
    """Two convolutions beside a third, all of spectrum and time, halving both."""

    def __init__(self, inputs: int, filters: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, filters, 3, stride=2, padding=1)
        self.conv2 = nn.Conv2d(filters, filters, 3, padding=1)
        self.conv3 = nn.Conv2d(inputs, filters, 3, stride=2, padding=1)
        self.bn1, self.bn2, self.bn3 = (nn.BatchNorm2d(filters) for _ in range(3))

    def forward(self, maps: Tensor) -> Tensor:
        """Map (B, inputs, bands, spectra) to (B, filters, bands / 2, spectra / 2)."""
        hidden = self.bn2(self.conv2(functional.relu(self.bn1(self.conv1(maps)))))
        return functional.relu(hidden + self.bn3(self.conv3(maps)))


class MusicFmNetwork(nn.Module):
    """What the published networks have between spectrum and hidden states, names as there."""

    def __init__(self, filters: int, width: int, depth: int, heads: int) -> None:
        super().__init__()
        from transformers import Wav2Vec2ConformerConfig
        from transformers.models.wav2vec2_conformer import modeling_wav2vec2_conformer as conformer

        config = Wav2Vec2ConformerConfig(
            hidden_size=width,
            num_hidden_layers=depth,
            num_attention_heads=heads,
            intermediate_size=4 * width,
            hidden_act="swish",
            position_embeddings_type="rotary",
        )
        residuals = nn.Sequential(Residual(1, filters), Residual(filters, filters))
        linear = nn.Linear(filters * _BANDS // 4, width)
        self.conv = nn.ModuleDict({"conv": residuals, "linear": linear})
        self.conformer = conformer.Wav2Vec2ConformerEncoder(config)
        self.conformer.pos_conv_embed = nn.Identity()  # in the published files, but never called

    def forward(self, mel: Tensor) -> Tensor:
        """Map a standardised spectrum (B, 128, spectra) to (B, depth + 1, frames, width)."""
        maps = self.conv["conv"](mel.unsqueeze(1))
        frames = self.conv["linear"](maps.flatten(1, 2).mT)
        found = self.conformer(frames, output_hidden_states=True)
        # What it keeps of an input would stay behind where the module moves to another device.
        self.conformer.embed_positions.cached_sequence_length = None
        self.conformer.embed_positions.cached_rotary_positional_embedding = None
        return torch.stack(found.hidden_states, dim=1)


class MusicFmMsd(HubEncoder):
    """MusicFM trained on the Million Song Dataset, the better of the two published ones.

    Long inputs are encoded in pieces of 30 s, the length of the training examples, of which the
    outer 5 s are seen by two pieces. The hidden layers are the input of the conformer and the
    output of each layer, the last one normed, as published. The last spectrum, which the published
    code drops, is kept, so that the end of the input has its frame.

    Raises:
        MotionBeatError: the weights cannot be had or read, or are those of another network.
    """

    card: ClassVar[EncoderCard] = EncoderCard(
        name="musicfm-msd",
        revision="4513b38b-1",
        sample_rate=_SAMPLE_RATE,
        frame_rate=_SAMPLE_RATE / (_STRIDE * _HOP),
        layers=13,
        width=1024,
        parameters=316_343_296,
        licence="MIT",
        training_data=("Million Song Dataset",),
        source="https://arxiv.org/abs/2311.03318, huggingface.co/minzwon/MusicFM",
        experimental=True,
    )
    context: ClassVar[float] = _MARGIN
    repo: ClassVar[str] = "minzwon/MusicFM"
    commit: ClassVar[str] = "4513b38bc25ad1d227b1980819b9691ba97f4d87"
    files: ClassVar[tuple[str, ...]] = ("pretrained_msd.pt", "msd_stats.json")
    sizes: ClassVar[tuple[int, ...]] = (512, 1024, 12, 16)
    build: ClassVar[Callable[..., nn.Module]] = MusicFmNetwork

    def __init__(self) -> None:
        super().__init__()
        weights, settings = (self.folder() / file for file in self.files)
        try:
            statistics = json.loads(settings.read_text(encoding="utf-8"))
            statistics = statistics.get("stat", statistics)
            self.mean = float(statistics["melspec_2048_mean"])
            self.deviation = float(statistics["melspec_2048_std"])
        except Exception as error:  # a damaged file may fail in any way
            raise MotionBeatError(
                f"{settings}: no mean and deviation of the spectrum; delete it and get it again"
            ) from error
        contents = read_weights(weights)
        tensors = below(contents.get("state_dict", contents), "model.")
        # Constants, which not every version of the published code writes.
        half = self.sizes[1] // self.sizes[3] // 2
        speeds = _ROTARY_BASE ** (-torch.arange(half) / half)
        tensors["conformer.embed_positions.inv_freq"] = speeds
        with torch.device("meta"):
            self.network = self.build(*self.sizes)
        load_strictly(self.network, tensors, weights, _UNUSED)
        self.mel = mel_decibels(_SAMPLE_RATE, _FFT_SIZE, _HOP, _BANDS)
        self.eval()

    def forward(self, waveform: Tensor) -> Tensor:
        """Encode (B, T) samples as (B, 13, frames, 1024)."""
        margin = round(_MARGIN * self.card.frame_rate)
        core = round(_PIECE * self.card.frame_rate) - 2 * margin
        return in_pieces(self._encode, waveform, _STRIDE * _HOP, core, margin)

    def _encode(self, waveform: Tensor) -> Tensor:
        """States of one piece."""
        states: Tensor = self.network((self.mel(waveform) - self.mean) / self.deviation)
        return states


class MusicFmFma(MusicFmMsd):
    """MusicFM trained on FMA, the one its paper is about."""

    card: ClassVar[EncoderCard] = replace(
        MusicFmMsd.card, name="musicfm-fma", training_data=("FMA",)
    )
    files: ClassVar[tuple[str, ...]] = ("pretrained_fma.pt", "fma_stats.json")


class Muq(MusicFmMsd):
    """MuQ trained on the Million Song Dataset, the one published."""

    card: ClassVar[EncoderCard] = replace(
        MusicFmMsd.card,
        name="muq",
        revision="0562a578-1",
        licence="CC-BY-NC-4.0",
        source="https://arxiv.org/abs/2501.01108, huggingface.co/OpenMuQ/MuQ-large-msd-iter",
    )
    repo: ClassVar[str] = "OpenMuQ/MuQ-large-msd-iter"
    commit: ClassVar[str] = "0562a57814f6f8bbd9fdea0a25921a2fce1a841a"
    files: ClassVar[tuple[str, ...]] = ("model.safetensors", "config.json")
