"""ImageBind's ear, a transformer taught to place sounds where CLIP places pictures.

Weights: ``imagebind_huge.pth`` of https://github.com/facebookresearch/ImageBind, paper:
https://arxiv.org/abs/2305.05665 (Girdhar et al., 2023).
"""

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from motionbeat.benchmarks.encoders.frames import (
    KALDI_SHIFT,
    KALDI_WINDOW,
    KaldiLogMel,
    along_time,
    in_windows,
)
from motionbeat.benchmarks.encoders.pretrained.weight_files import (
    FileEncoder,
    hollow,
    load_strictly,
)
from motionbeat.encoder import EncoderCard

_SAMPLE_RATE = 16_000
_BANDS = 128
_PATCH, _STRIDE = 16, 10  # bands, and spectra of 10 ms
_ROWS = (_BANDS - _PATCH) // _STRIDE + 1
_PLACES = 19  # along time, 1.9 s
_LENGTH = (_PLACES - 1) * _STRIDE + _PATCH  # spectra, all that patches see of a clip of 2 s
_MEAN, _DEVIATION = -4.268, 9.138
_EPSILON = 1e-6


class Patches(nn.Module):
    """A spectrum as a class token and patches, with positions; names as published.

    Args:
        width: features a patch.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.cls_token = nn.Parameter(torch.empty(1, 1, width))
        positions = nn.Parameter(torch.empty(1, 1 + _ROWS * _PLACES, width))
        self.pos_embedding_helper = nn.ParameterDict({"pos_embed": positions})
        self.rgbt_stem = nn.ModuleDict(
            {
                "proj": nn.Conv2d(1, width, _PATCH, _STRIDE, bias=False),
                "norm_layer": nn.LayerNorm(width),
            }
        )

    def forward(self, mel: Tensor) -> Tensor:
        """Map (B, 196, 128) to (B, 229, width), patches numbered along time first."""
        maps = self.rgbt_stem["proj"](mel.mT.unsqueeze(1))
        patches = self.rgbt_stem["norm_layer"](maps.flatten(2).mT)
        tokens = torch.cat([self.cls_token.expand(len(mel), -1, -1), patches], dim=1)
        placed: Tensor = tokens + self.pos_embedding_helper["pos_embed"]
        return placed


class Block(nn.Module):
    """Attention, also to a learned token, and two dense layers, each after a norm and added.

    Args:
        width: features a token.
        heads: of attention.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.attn = nn.MultiheadAttention(width, heads, add_bias_kv=True, batch_first=True)
        self.norm_1 = nn.LayerNorm(width, _EPSILON)
        self.mlp = nn.ModuleDict(
            {"fc1": nn.Linear(width, 4 * width), "fc2": nn.Linear(4 * width, width)}
        )
        self.norm_2 = nn.LayerNorm(width, _EPSILON)

    def forward(self, tokens: Tensor) -> Tensor:
        """Map (B, tokens, width) to the same shape."""
        normed = self.norm_1(tokens)
        tokens = tokens + self.attn(normed, normed, normed, need_weights=False)[0]
        hidden = functional.gelu(self.mlp["fc1"](self.norm_2(tokens)))
        added: Tensor = tokens + self.mlp["fc2"](hidden)
        return added


class Trunk(nn.Module):
    """Blocks, one after the other.

    Args:
        width: features a token.
        depth: number of blocks.
        heads: of attention.
    """

    def __init__(self, width: int, depth: int, heads: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(depth))

    def forward(self, tokens: Tensor) -> Tensor:
        """Map (B, tokens, width) to (B, depth + 1, tokens, width), itself first."""
        states = [tokens]
        for block in self.blocks:
            states.append(block(states[-1]))
        return torch.stack(states, dim=1)


class ImageBindNetwork(nn.Module):
    """From a spectrum to the states of all blocks, names as in the published file.

    Args:
        width: features a token.
        depth: number of blocks.
        heads: of attention.
    """

    def __init__(self, width: int, depth: int, heads: int) -> None:
        super().__init__()
        self.modality_preprocessors = nn.ModuleDict({"audio": Patches(width)})
        self.modality_trunks = nn.ModuleDict({"audio": Trunk(width, depth, heads)})

    def forward(self, mel: Tensor) -> Tensor:
        """Map (B, 196, 128) to (B, depth + 1, 228, width), without the class token."""
        states: Tensor = self.modality_trunks["audio"](self.modality_preprocessors["audio"](mel))
        return states[:, :, 1:]


class ImageBindAudio(FileEncoder):
    """The audio tower of ImageBind, patches of 16 by 16 every 10 spectra and bands.

    It hears clips of 2 s, whose patches have 19 places in time. Clips follow each other every
    1.9 s, so that frames go on without a gap, but what a frame is told depends on where clips
    begin; the last one is filled up as in the published preprocessing, by zeros before scaling. The
    hidden layers are the embedded patches and the output of each block, averaged over frequency.
    Of the file, which holds six senses and more than 4 GB, only what belongs to hearing is read.

    Raises:
        MotionBeatError: the weights are not there, damaged or those of another network.
    """

    card: ClassVar[EncoderCard] = EncoderCard(
        name="imagebind-audio",
        revision="1",
        sample_rate=_SAMPLE_RATE,
        frame_rate=_SAMPLE_RATE / (_STRIDE * KALDI_SHIFT),
        layers=13,
        width=768,
        parameters=85_447_680,
        licence="CC-BY-NC-SA-4.0",
        training_data=("AudioSet",),
        source="https://arxiv.org/abs/2305.05665, github.com/facebookresearch/ImageBind",
        experimental=True,
    )
    context: ClassVar[float] = 2.0
    file: ClassVar[str] = "imagebind_huge.pth"
    origin: ClassVar[str] = "https://dl.fbaipublicfiles.com/imagebind/imagebind_huge.pth"
    sizes: ClassVar[Sequence[int]] = (768, 12, 12)

    def __init__(self) -> None:
        super().__init__()
        self.mel = KaldiLogMel(_BANDS)
        self.network = hollow(ImageBindNetwork, *self.sizes)
        tensors = self.read("", "modality_preprocessors.audio.", "modality_trunks.audio.")
        load_strictly(self.network, tensors, self.path())
        self.eval().requires_grad_(False)

    def forward(self, waveform: Tensor) -> Tensor:
        """Encode (B, T) samples as (B, 13, T // 1600 + 1, 768)."""
        frames = waveform.shape[1] // (_STRIDE * KALDI_SHIFT) + 1
        windows = -(-frames // _PLACES)
        # Half a patch before the first sample, so that the first patch is centred there.
        before = ((_PATCH - 1) * KALDI_SHIFT + KALDI_WINDOW) // 2
        mel = self.mel(functional.pad(waveform, (before, 0)))
        cut = in_windows(mel, windows, _LENGTH, _PLACES * _STRIDE)
        states = self.network((cut - _MEAN) / _DEVIATION)
        return along_time(states, windows, _PLACES)[:, :, :frames]
