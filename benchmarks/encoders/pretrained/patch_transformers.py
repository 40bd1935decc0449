"""AST and ImageBind's ear: transformers over 16 by 16 patches of Kaldi's spectrum.

AST tags AudioSet. ImageBind was taught to place sounds where CLIP places pictures.
"""

from abc import abstractmethod
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from motionbeat.benchmarks.encoders.pretrained.hub import TransformersEncoder
from motionbeat.benchmarks.encoders.pretrained.weight_files import FileEncoder, below
from motionbeat.encoder import Encoder, EncoderCard

_SAMPLE_RATE = 16_000
_SHIFT, _WINDOW = 160, 400  # samples: a spectrum of 25 ms every 10 ms
_BANDS = 128
_PATCH, _STRIDE = 16, 10  # bands, and spectra
_ROWS = (_BANDS - _PATCH) // _STRIDE + 1  # patches over frequency
_HOP = _STRIDE * _SHIFT
_EPSILON = 1e-6


class PatchTransformer(Encoder):
    """A transformer over patches every 10 frames and bands, averaged over frequency.

    It has places for so many patches in time; longer input is cut into such windows, without
    overlap, so that what a frame is told depends on where they begin. The last one is filled up as
    in the published preprocessing, by zeros before scaling. The hidden layers are the embedded
    patches and the output of each layer.

    Attributes:
        places: patches in time.
        length: spectra of a window.
        mean: of the spectrum.
        deviation: that it is divided by.
    """

    places: ClassVar[int]
    length: ClassVar[int]
    mean: ClassVar[float]
    deviation: ClassVar[float]

    @abstractmethod
    def states(self, mel: Tensor) -> Tensor:
        """States (N, layers, patches, width) of (N, length, 128), numbered along time first."""

    def forward(self, waveform: Tensor) -> Tensor:
        """Encode (B, T) samples as (B, layers, T // 1600 + 1, width)."""
        frames = waveform.shape[1] // _HOP + 1
        windows = -(-frames // self.places)
        # Half a patch before the first sample, so that the first patch is centred there.
        before = ((_PATCH - 1) * _SHIFT + _WINDOW) // 2
        mel = kaldi_log_mel(functional.pad(waveform, (before, 0)))
        step = self.places * _STRIDE
        missing = (windows - 1) * step + self.length - mel.shape[1]
        filled = functional.pad(mel, (0, 0, 0, max(0, missing)))
        cut = filled.unfold(1, self.length, step)[:, :windows].mT.flatten(0, 1)
        states = self.states((cut - self.mean) / self.deviation)
        _, layers, _, width = states.shape
        cells = states.view(-1, windows, layers, _ROWS, self.places, width).mean(dim=3)
        return cells.transpose(1, 2).flatten(2, 3)[:, :, :frames]


def kaldi_log_mel(waveform: Tensor) -> Tensor:
    """Kaldi's log-mel spectrum (B, spectra, 128), as many spectra as fit in whole."""
    from motionbeat._torchaudio import kaldi

    settings = {"num_mel_bins": _BANDS, "sample_frequency": _SAMPLE_RATE}
    rows = torch.split(waveform, 1)
    return torch.stack([kaldi.fbank(row, window_type="hanning", **settings) for row in rows])


class Ast(PatchTransformer, TransformersEncoder):
    """AST, on windows of 10.1 s."""

    card: ClassVar[EncoderCard] = EncoderCard(
        name="ast",
        revision="1@f826b80d",
        sample_rate=_SAMPLE_RATE,
        frame_rate=_SAMPLE_RATE / _HOP,
        layers=13,
        width=768,
        parameters=86_187_264,
        licence="BSD-3-Clause",
        training_data=("AudioSet", "ImageNet"),
        source="https://arxiv.org/abs/2104.01778, "
        "https://huggingface.co/MIT/ast-finetuned-audioset-10-10-0.4593",
    )
    context: ClassVar[float] = 10.24
    repo: ClassVar[str] = "MIT/ast-finetuned-audioset-10-10-0.4593"
    commit: ClassVar[str] = "f826b80d28226b62986cc218e5cec390b1096902"
    kind: ClassVar[str] = "ASTModel"
    places: ClassVar[int] = 101
    length: ClassVar[int] = 1024
    mean: ClassVar[float] = -4.2677393  # of AudioSet
    deviation: ClassVar[float] = 2 * 4.5689974

    def states(self, mel: Tensor) -> Tensor:
        """States of patches, without the tokens of class and distillation."""
        hidden = self.network(mel, output_hidden_states=True).hidden_states
        return torch.stack(hidden, dim=1)[:, :, 2:]


class Block(nn.Module):
    """Attention, also to a learned token, and two dense layers, each after a norm and added."""

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


class ImageBindAudio(PatchTransformer, FileEncoder):
    """The audio tower of ImageBind, on clips of 2 s, of whose spectra the patches see 196.

    Clips follow each other every 1.9 s, so that frames go on without a gap. Of the file, which
    holds six senses and more than 4 GB, only what belongs to hearing is copied.
    """

    card: ClassVar[EncoderCard] = EncoderCard(
        name="imagebind-audio",
        revision="1",
        sample_rate=_SAMPLE_RATE,
        frame_rate=_SAMPLE_RATE / _HOP,
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
    sizes: ClassVar[tuple[int, ...]] = (768, 12, 12)
    places: ClassVar[int] = 19
    length: ClassVar[int] = (19 - 1) * _STRIDE + _PATCH
    mean: ClassVar[float] = -4.268
    deviation: ClassVar[float] = 9.138

    @staticmethod
    def build(width: int, depth: int, heads: int) -> nn.Module:
        """Patches, a class token before them, positions and blocks."""
        projection = nn.Conv2d(1, width, _PATCH, _STRIDE, bias=False)
        stem = nn.ModuleDict({"proj": projection, "norm_layer": nn.LayerNorm(width)})
        blocks = nn.ModuleList(Block(width, heads) for _ in range(depth))
        network = nn.ModuleDict({"rgbt_stem": stem, "blocks": blocks})
        positions = torch.empty(1, 1 + _ROWS * ImageBindAudio.places, width)
        network.register_parameter("cls_token", nn.Parameter(torch.empty(1, 1, width)))
        network.register_parameter("pos_embed", nn.Parameter(positions))
        return network

    def named(self, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        """The tensors of hearing."""
        tensors = {k.replace("pos_embedding_helper.", ""): v for k, v in tensors.items()}
        patches, trunk = "modality_preprocessors.audio.", "modality_trunks.audio."
        return below(tensors, patches) | below(tensors, trunk)

    def states(self, mel: Tensor) -> Tensor:
        """States of patches, without the class token."""
        patches = self.network.rgbt_stem.proj(mel.mT.unsqueeze(1)).flatten(2).mT
        token = self.network.cls_token.expand(len(mel), -1, -1)
        tokens = torch.cat([token, self.network.rgbt_stem.norm_layer(patches)], dim=1)
        states = [tokens + self.network.pos_embed]
        for block in self.network.blocks:
            states.append(block(states[-1]))
        return torch.stack(states, dim=1)[:, :, 1:]
