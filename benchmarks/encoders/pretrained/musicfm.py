"""MusicFM and MuQ, conformers trained to name masked stretches of a mel spectrum.

They are one architecture and differ in what they were made to name: random projections of the
spectrum (MusicFM, Won et al., 2023, https://arxiv.org/abs/2311.03318, code
https://github.com/minzwon/musicfm, weights https://huggingface.co/minzwon/MusicFM), or codes of a
quantiser learned before (MuQ, Zhu et al., 2025, https://arxiv.org/abs/2501.01108, code
https://github.com/tencent-ailab/MuQ, weights https://huggingface.co/OpenMuQ/MuQ-large-msd-iter).
The block is wav2vec 2.0's conformer with rotary positions.
"""

import json
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from motionbeat.benchmarks.encoders.frames import MelDecibels, in_pieces
from motionbeat.benchmarks.encoders.pretrained.hub import HubEncoder, HubError, read_weights
from motionbeat.benchmarks.encoders.pretrained.weight_files import (
    below,
    hollow,
    load_strictly,
    tensors_under,
)
from motionbeat.encoder import EncoderCard

_SAMPLE_RATE = 24_000
_FFT_SIZE, _HOP, _BANDS = 2048, 240, 128
_STRIDE = 4  # spectra in a frame
_KERNEL = 31
_ROTARY_BASE = 10_000.0
_PIECE, _MARGIN = 30.0, 5.0  # seconds: what the networks were trained on, and what is seen twice


class Residual(nn.Module):
    """Two convolutions beside a third, all of spectrum and time, halving both.

    Args:
        inputs: channels that come in.
        filters: of each convolution.
    """

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


class Subsampling(nn.Module):
    """From four spectra to a frame.

    Args:
        filters: of the convolutions.
        width: features of a frame.
    """

    def __init__(self, filters: int, width: int) -> None:
        super().__init__()
        self.conv = nn.Sequential(Residual(1, filters), Residual(filters, filters))
        self.linear = nn.Linear(filters * _BANDS // 4, width)

    def forward(self, mel: Tensor) -> Tensor:
        """Map (B, spectra, 128) to (B, frames, width)."""
        maps = self.conv(mel.mT.unsqueeze(1))
        frames: Tensor = self.linear(maps.flatten(1, 2).mT)
        return frames


class FeedForward(nn.Module):
    """Two dense layers with a swish between them.

    Args:
        width: features a frame, a quarter of those between.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.intermediate_dense = nn.Linear(width, 4 * width)
        self.output_dense = nn.Linear(4 * width, width)

    def forward(self, frames: Tensor) -> Tensor:
        """Map (B, frames, width) to the same shape."""
        hidden: Tensor = self.output_dense(functional.silu(self.intermediate_dense(frames)))
        return hidden


class Attention(nn.Module):
    """Attention of all frames to all, by queries and keys of frames turned by their place.

    It is the frames that turn, before queries and keys are made of them.

    Args:
        width: features a frame.
        heads: number of heads.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.linear_q, self.linear_k, self.linear_v, self.linear_out = (
            nn.Linear(width, width) for _ in range(4)
        )

    def forward(self, frames: Tensor) -> Tensor:
        """Map (B, frames, width) to the same shape."""
        turned = self._turned(frames)
        query, key, value = (
            layer(states).view(*frames.shape[:2], self.heads, -1).transpose(1, 2)
            for layer, states in (
                (self.linear_q, turned),
                (self.linear_k, turned),
                (self.linear_v, frames),
            )
        )
        heads = functional.scaled_dot_product_attention(query, key, value)
        attended: Tensor = self.linear_out(heads.transpose(1, 2).flatten(2))
        return attended

    def _turned(self, frames: Tensor) -> Tensor:
        """Frames whose halves of each head are turned into each other, faster or slower."""
        heads = frames.view(*frames.shape[:2], self.heads, -1)
        half = heads.shape[-1] // 2
        speeds = _ROTARY_BASE ** (-torch.arange(half, device=frames.device) / half)
        angles = torch.arange(frames.shape[1], device=frames.device)[:, None, None] * speeds
        one, other = heads[..., :half], heads[..., half:]
        cosine, sine = angles.cos(), angles.sin()
        turned = [one * cosine - other * sine, other * cosine + one * sine]
        return torch.cat(turned, dim=-1).flatten(2)


class Convolution(nn.Module):
    """A gated convolution along time for each feature.

    Args:
        width: features a frame.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layer_norm = nn.LayerNorm(width)
        self.pointwise_conv1 = nn.Conv1d(width, 2 * width, 1, bias=False)
        self.depthwise_conv = nn.Conv1d(
            width, width, _KERNEL, padding="same", groups=width, bias=False
        )
        self.batch_norm = nn.BatchNorm1d(width)
        self.pointwise_conv2 = nn.Conv1d(width, width, 1, bias=False)

    def forward(self, frames: Tensor) -> Tensor:
        """Map (B, frames, width) to the same shape."""
        gated = functional.glu(self.pointwise_conv1(self.layer_norm(frames).mT), dim=1)
        hidden = functional.silu(self.batch_norm(self.depthwise_conv(gated)))
        mixed: Tensor = self.pointwise_conv2(hidden).mT
        return mixed


class ConformerLayer(nn.Module):
    """Half a feed-forward step, attention, convolution, half a step, each added; then a norm.

    Args:
        width: features a frame.
        heads: of attention.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.ffn1_layer_norm, self.ffn1 = nn.LayerNorm(width), FeedForward(width)
        self.self_attn_layer_norm = nn.LayerNorm(width)
        self.self_attn = Attention(width, heads)
        self.conv_module = Convolution(width)
        self.ffn2_layer_norm, self.ffn2 = nn.LayerNorm(width), FeedForward(width)
        self.final_layer_norm = nn.LayerNorm(width)

    def forward(self, frames: Tensor) -> Tensor:
        """Map (B, frames, width) to the same shape."""
        frames = frames + self.ffn1(self.ffn1_layer_norm(frames)) / 2
        frames = frames + self.self_attn(self.self_attn_layer_norm(frames))
        frames = frames + self.conv_module(frames)
        frames = frames + self.ffn2(self.ffn2_layer_norm(frames)) / 2
        normed: Tensor = self.final_layer_norm(frames)
        return normed


class Conformer(nn.Module):
    """Layers and a norm.

    Args:
        width: features a frame.
        depth: number of layers.
        heads: of attention.
    """

    def __init__(self, width: int, depth: int, heads: int) -> None:
        super().__init__()
        self.layer_norm = nn.LayerNorm(width)
        self.layers = nn.ModuleList(ConformerLayer(width, heads) for _ in range(depth))

    def forward(self, frames: Tensor) -> Tensor:
        """Map (B, frames, width) to the states before and after each layer, the last normed."""
        states = [frames]
        for layer in self.layers:
            states.append(layer(states[-1]))
        states[-1] = self.layer_norm(states[-1])
        return torch.stack(states, dim=1)


class MusicFmNetwork(nn.Module):
    """What the published networks have between spectrum and hidden states, names as there.

    Args:
        filters: of the convolutions.
        width: features a frame.
        depth: number of conformer layers.
        heads: of attention.
    """

    def __init__(self, filters: int, width: int, depth: int, heads: int) -> None:
        super().__init__()
        self.conv = Subsampling(filters, width)
        self.conformer = Conformer(width, depth, heads)

    def forward(self, mel: Tensor) -> Tensor:
        """Map a standardised spectrum (B, spectra, 128) to (B, depth + 1, frames, width)."""
        states: Tensor = self.conformer(self.conv(mel))
        return states


class ConformerEncoder(HubEncoder):
    """What MusicFM and MuQ share.

    Long inputs are encoded in pieces of 30 s, the length of the training examples, of which the
    outer 5 s are seen by two pieces. The hidden layers are the input of the conformer and the
    output of each layer, the last one normed, as published. The last spectrum, which the published
    code drops, is kept, so that the end of the input has its frame.
    """

    sizes: ClassVar[Sequence[int]] = (512, 1024, 12, 16)
    context: ClassVar[float] = _MARGIN
    unused: ClassVar[Sequence[str]] = (
        "cls_token",
        "conformer.embed_positions.",  # the speeds of turning, which are the rotary ones
        "conformer.pos_conv_embed.",  # made by wav2vec 2.0's code, asked by nobody
        "linear.",
        "preprocessor_melspec_2048.",
        "quantizer_melspec_2048",
        "recon_proj.",
        "rvq.",
    )

    def __init__(self) -> None:
        super().__init__()
        from motionbeat._torchaudio import functional as audio

        filters = audio.melscale_fbanks(
            _FFT_SIZE // 2 + 1, 0.0, _SAMPLE_RATE / 2, _BANDS, _SAMPLE_RATE, mel_scale="htk"
        )
        self.mel = MelDecibels(filters, _HOP)
        folder = self.folder()
        weights, statistics = self.published(folder)
        try:
            self.mean = float(statistics["melspec_2048_mean"])
            self.deviation = float(statistics["melspec_2048_std"])
        except (KeyError, TypeError, ValueError) as error:
            raise HubError(
                f"{folder}: no mean and deviation of the spectrum in {self.files[1]}; "
                "delete it and try again"
            ) from error
        self.network = hollow(MusicFmNetwork, *self.sizes)
        load_strictly(self.network, below(weights, "model."), folder / self.files[0], self.unused)
        self.eval().requires_grad_(False)

    @abstractmethod
    def published(self, folder: Path) -> tuple[dict[str, Tensor], Mapping[str, float]]:
        """Weights by published name, and the statistics of the spectrum."""

    def forward(self, waveform: Tensor) -> Tensor:
        """Encode (B, T) samples as (B, 13, frames, 1024)."""
        margin = round(_MARGIN * self.card.frame_rate)
        core = round(_PIECE * self.card.frame_rate) - 2 * margin
        return in_pieces(self._encode, waveform, _STRIDE * _HOP, core, margin)

    def _encode(self, waveform: Tensor) -> Tensor:
        """States of one piece."""
        mel = self.mel(waveform)
        states: Tensor = self.network((mel - self.mean) / self.deviation)
        return states


class MusicFmMsd(ConformerEncoder):
    """MusicFM trained on the Million Song Dataset, the better of the two published ones."""

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
    repo: ClassVar[str] = "minzwon/MusicFM"
    commit: ClassVar[str] = "4513b38bc25ad1d227b1980819b9691ba97f4d87"
    files: ClassVar[Sequence[str]] = ("pretrained_msd.pt", "msd_stats.json")

    def published(self, folder: Path) -> tuple[dict[str, Tensor], Mapping[str, float]]:
        """A checkpoint of Lightning and a file of statistics."""
        weights = tensors_under(read_weights(folder / self.files[0]), "state_dict")
        return weights, read_json(folder / self.files[1])


class MusicFmFma(MusicFmMsd):
    """MusicFM trained on FMA, the one its paper is about."""

    card: ClassVar[EncoderCard] = replace(
        MusicFmMsd.card, name="musicfm-fma", training_data=("FMA",)
    )
    files: ClassVar[Sequence[str]] = ("pretrained_fma.pt", "fma_stats.json")


class Muq(ConformerEncoder):
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
    files: ClassVar[Sequence[str]] = ("model.safetensors", "config.json")

    def published(self, folder: Path) -> tuple[dict[str, Tensor], Mapping[str, float]]:
        """Safetensors, and the statistics in the configuration."""
        statistics = read_json(folder / self.files[1]).get("stat", {})
        return read_weights(folder / self.files[0]), statistics


def read_json(path: Path) -> dict[str, Any]:
    """What a JSON file holds.

    Raises:
        HubError: it is damaged, or holds no object.
    """
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")).items())
    except (OSError, ValueError, RecursionError, AttributeError) as error:
        raise HubError(f"{path}: no JSON object; delete it and try again") from error
