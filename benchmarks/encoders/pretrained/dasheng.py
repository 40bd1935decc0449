"""Dasheng, a transformer trained to fill in masked spectra of all sorts of sound.

The network is that of the authors' package ``dasheng`` (https://github.com/XiaoMi/dasheng).
"""

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from motionbeat.benchmarks.encoders.frames import around, in_pieces, mel_decibels
from motionbeat.benchmarks.encoders.pretrained.weight_files import FileEncoder
from motionbeat.encoder import EncoderCard

_SAMPLE_RATE = 16_000
_FFT_SIZE, _HOP, _BANDS = 512, 160, 64
_PATCH = 4  # spectra in a frame
_PLACES = 252  # frames the network has positions for, 10.08 s
_MARGIN = 25
_RANGE = 120.0  # decibels below the loudest spot that are told apart


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
    packages: ClassVar[Mapping[str, str]] = {"dasheng": "dasheng==0.0.9"}
    file: ClassVar[str] = "dasheng_base.pt"
    origin: ClassVar[str] = "https://zenodo.org/records/11511780"
    sizes: ClassVar[tuple[int, ...]] = (768, 12, 12)
    key: ClassVar[str] = "model"
    unused: ClassVar[tuple[str, ...]] = ("front_end.",)

    def __init__(self) -> None:
        super().__init__()
        self.mel = mel_decibels(_SAMPLE_RATE, _FFT_SIZE, _HOP, _BANDS)
        self.eval()

    @staticmethod
    def build(width: int, depth: int, heads: int) -> nn.Module:
        """The published encoder without its spectrum."""
        from motionbeat import _torchaudio  # noqa: F401 # isort: skip
        from dasheng.train.models import AudioTransformerMAE_Encoder

        with torch.device("cpu"):  # its spectrum looks at values
            network: nn.Module = AudioTransformerMAE_Encoder(
                embed_dim=width, depth=depth, num_heads=heads, target_length=_PLACES * _PATCH
            )
        network.front_end = nn.Identity()
        return network

    def forward(self, waveform: Tensor) -> Tensor:
        """Encode (B, T) samples as (B, 13, frames, 768)."""
        core = _PLACES - 2 * _MARGIN - 1  # a piece begins and ends with a frame
        return in_pieces(self._encode, waveform, _PATCH * _HOP, core, _MARGIN)

    def _encode(self, waveform: Tensor) -> Tensor:
        """States of one piece."""
        network, frames = self.network, waveform.shape[1] // (_PATCH * _HOP) + 1
        reach = (_PATCH - 1) * _HOP  # from the centre of a frame's first spectrum to its last's
        mel = self.mel(around(waveform, reach, (frames * _PATCH - 1) * _HOP))
        mel = mel.maximum(mel.amax(dim=(1, 2), keepdim=True) - _RANGE)
        patches = network.patch_embed(network.init_bn(mel.unsqueeze(1)))
        placed = patches + network.time_pos_embed[..., : patches.shape[-1]] + network.freq_pos_embed
        states = [placed.squeeze(2).mT]
        for block in network.blocks:
            states.append(block(states[-1]))
        states[-1] = network.norm(states[-1])
        return torch.stack(states, dim=1)
