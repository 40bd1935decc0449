"""Dasheng, a transformer trained to fill in masked spectra of all sorts of sound (Dinkel, 2024).

Weights: ``dasheng_base.pt`` of https://zenodo.org/records/11511780, code:
https://github.com/XiaoMi/dasheng, paper: https://arxiv.org/abs/2406.06992.
"""

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from motionbeat.benchmarks.encoders.frames import MelDecibels, around, in_pieces
from motionbeat.benchmarks.encoders.pretrained.weight_files import (
    FileEncoder,
    hollow,
    load_strictly,
)
from motionbeat.encoder import EncoderCard

_SAMPLE_RATE = 16_000
_FFT_SIZE, _HOP, _BANDS = 512, 160, 64
_PATCH = 4  # spectra in a frame
_PLACES = 252  # frames the network has positions for, 10.08 s
_MARGIN = 25
_RANGE = 120.0  # decibels below the loudest spot that are told apart
_EPSILON = 1e-6


class Attention(nn.Module):
    """Attention of all frames to all.

    Args:
        width: features a frame.
        heads: number of heads.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, frames: Tensor) -> Tensor:
        """Map (B, frames, width) to the same shape."""
        query, key, value = self.qkv(frames).unflatten(-1, (3, self.heads, -1)).unbind(2)
        heads = functional.scaled_dot_product_attention(
            query.transpose(1, 2), key.transpose(1, 2), value.transpose(1, 2)
        )
        attended: Tensor = self.proj(heads.transpose(1, 2).flatten(2))
        return attended


class Block(nn.Module):
    """Attention and two dense layers, each after a norm and added.

    Args:
        width: features a frame.
        heads: of attention.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, _EPSILON)
        self.attn = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width, _EPSILON)
        self.mlp = nn.ModuleDict(
            {"fc1": nn.Linear(width, 4 * width), "fc2": nn.Linear(4 * width, width)}
        )

    def forward(self, frames: Tensor) -> Tensor:
        """Map (B, frames, width) to the same shape."""
        frames = frames + self.attn(self.norm1(frames))
        hidden = functional.gelu(self.mlp["fc1"](self.norm2(frames)))
        added: Tensor = frames + self.mlp["fc2"](hidden)
        return added


class DashengNetwork(nn.Module):
    """From a spectrum to the states of all blocks, names as in the published file.

    Args:
        width: features a frame.
        depth: number of blocks.
        heads: of attention.
    """

    def __init__(self, width: int, depth: int, heads: int) -> None:
        super().__init__()
        self.init_bn = nn.ModuleDict({"1": nn.BatchNorm2d(_BANDS)})
        self.patch_embed = nn.ModuleDict({"proj": nn.Conv2d(1, width, (_BANDS, _PATCH), _PATCH)})
        self.time_pos_embed = nn.Parameter(torch.empty(1, width, 1, _PLACES))
        self.freq_pos_embed = nn.Parameter(torch.empty(1, width, 1, 1))
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(depth))
        self.norm = nn.LayerNorm(width, _EPSILON)

    def forward(self, mel: Tensor) -> Tensor:
        """Map (B, 4 frames, 64) to (B, depth + 1, frames, width); the last state is normed."""
        normed = self.init_bn["1"](mel.mT.unsqueeze(2)).transpose(1, 2)
        patches = self.patch_embed["proj"](normed)
        patches = patches + self.time_pos_embed[..., : patches.shape[-1]] + self.freq_pos_embed
        states = [patches.squeeze(2).mT]
        for block in self.blocks:
            states.append(block(states[-1]))
        states[-1] = self.norm(states[-1])
        return torch.stack(states, dim=1)


class DashengBase(FileEncoder):
    """The smallest of three published networks.

    Long inputs are encoded in pieces of the 10.08 s that it was trained on. Neighbours share 2 s of
    audio, where the published code lets them only touch. The hidden layers are the embedded
    spectrum and the output of each block, the last one normed, as published.
    """

    card: ClassVar[EncoderCard] = EncoderCard(
        name="dasheng-base",
        revision="1",
        sample_rate=_SAMPLE_RATE,
        frame_rate=_SAMPLE_RATE / (_PATCH * _HOP),
        layers=13,
        width=768,
        parameters=85_447_808,
        licence="Apache-2.0",
        training_data=("ACAV100M", "AudioSet", "VGGSound", "MTG-Jamendo"),
        source="https://arxiv.org/abs/2406.06992, zenodo.org/records/11511780",
        experimental=True,
    )
    file: ClassVar[str] = "dasheng_base.pt"
    origin: ClassVar[str] = "https://zenodo.org/records/11511780"
    sizes: ClassVar[Sequence[int]] = (768, 12, 12)

    def __init__(self) -> None:
        super().__init__()
        from motionbeat._torchaudio import functional as audio

        filters = audio.melscale_fbanks(
            _FFT_SIZE // 2 + 1, 0.0, _SAMPLE_RATE / 2, _BANDS, _SAMPLE_RATE, mel_scale="htk"
        )
        self.mel = MelDecibels(filters, _HOP)
        self.network = hollow(DashengNetwork, *self.sizes)
        load_strictly(self.network, self.read("model"), self.path(), unused=("front_end.",))
        self.eval().requires_grad_(False)

    def forward(self, waveform: Tensor) -> Tensor:
        """Encode (B, T) samples as (B, 13, frames, 768)."""
        core = _PLACES - 2 * _MARGIN - 1  # a piece begins and ends with a frame
        return in_pieces(self._encode, waveform, _PATCH * _HOP, core, _MARGIN)

    def _encode(self, waveform: Tensor) -> Tensor:
        """States of one piece."""
        frames = waveform.shape[1] // (_PATCH * _HOP) + 1
        reach = (_PATCH - 1) * _HOP  # from the centre of a frame's first spectrum to its last's
        mel = self.mel(around(waveform, reach, (frames * _PATCH - 1) * _HOP))
        mel = mel.maximum(mel.amax(dim=(1, 2), keepdim=True) - _RANGE)
        states: Tensor = self.network(mel)
        return states
