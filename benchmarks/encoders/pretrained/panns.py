"""CNN14 of PANNs, a tagger of sounds trained on all of AudioSet.

Code: https://github.com/qiuqiangkong/audioset_tagging_cnn.
"""

from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from motionbeat.benchmarks.encoders.frames import around, mel_decibels
from motionbeat.benchmarks.encoders.pretrained.weight_files import FileEncoder
from motionbeat.encoder import EncoderCard

_SAMPLE_RATE = 32_000
_FFT_SIZE, _HOP = 1024, 320
_BANDS = 64
_BLOCKS = 6
_STRIDE = 32  # spectra in a pixel of the last two blocks' maps
_PASSES = 4  # of the network over the input, each begun later
_STEP = _STRIDE // _PASSES


class Block(nn.Module):
    """Two convolutions with batch norm and ReLU."""

    def __init__(self, inputs: int, filters: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, filters, 3, padding=1, bias=False)
        self.conv2 = nn.Conv2d(filters, filters, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(filters)
        self.bn2 = nn.BatchNorm2d(filters)

    def forward(self, maps: Tensor) -> Tensor:
        """Map (B, inputs, spectra, bands) to (B, filters, spectra, bands)."""
        hidden = functional.relu(self.bn1(self.conv1(maps)))
        return functional.relu(self.bn2(self.conv2(hidden)))


class PannsCnn14(FileEncoder):
    """CNN14 up to what its dense layers pool over the whole clip.

    The hidden layer holds, side by side, the six blocks' maps (64 to 2048 features), averaged over
    bands and 320 ms, which is a pixel of the last map. The network passes over the input four times
    begun 80 ms apart, so that there is a frame every 80 ms and none depends on where a piece of
    audio begins.
    """

    card: ClassVar[EncoderCard] = EncoderCard(
        name="panns-cnn14",
        revision="1",
        sample_rate=_SAMPLE_RATE,
        frame_rate=_SAMPLE_RATE / (_STEP * _HOP),
        layers=1,
        width=4032,
        parameters=75_477_440,
        licence="CC-BY-4.0",
        training_data=("AudioSet",),
        source="https://arxiv.org/abs/1912.10211, zenodo.org/records/3987831",
        experimental=True,
    )
    # Two spectra a block to either side, ever coarser, half a pixel and half a window.
    context: ClassVar[float] = (2 * (_STRIDE * 2 - 1) + _STRIDE // 2 + 2) * _HOP / _SAMPLE_RATE
    file: ClassVar[str] = "Cnn14_mAP=0.431.pth"
    origin: ClassVar[str] = "https://zenodo.org/records/3987831"
    sizes: ClassVar[tuple[int, ...]] = (64,)
    key: ClassVar[str] = "model"
    unused: ClassVar[tuple[str, ...]] = ("spectrogram_", "logmel_", "fc1.", "fc_audioset.")

    def __init__(self) -> None:
        with torch.serialization.safe_globals(_integers()):
            super().__init__()
        scale = {"f_min": 50, "f_max": 14_000, "norm": "slaney", "mel_scale": "slaney"}
        self.mel = mel_decibels(_SAMPLE_RATE, _FFT_SIZE, _HOP, _BANDS, **scale)
        self.eval()

    @staticmethod
    def build(width: int) -> nn.ModuleDict:
        """Batch norm of the bands, and blocks of which each has twice the filters of the last."""
        network = nn.ModuleDict({"bn0": nn.BatchNorm2d(_BANDS)})
        filters = [1, *(width << number for number in range(_BLOCKS))]
        for number, (inputs, outputs) in enumerate(pairwise(filters), start=1):
            network[f"conv_block{number}"] = Block(inputs, outputs)
        return network

    def forward(self, waveform: Tensor) -> Tensor:
        """Encode (B, T) samples as (B, 1, frames, 4032)."""
        frames = waveform.shape[1] // (_STEP * _HOP) + 1
        pixels = -(-frames // _PASSES)
        spectra = (pixels + 1) * _STRIDE - _STEP
        # From the centre of a pixel's first spectrum to that of its last are 31 hops.
        mel = self.mel(around(waveform, (_STRIDE - 1) * _HOP, (spectra - 1) * _HOP))
        starts = range(0, _STRIDE, _STEP)
        passes = [self._pixels(mel[:, :, start : start + pixels * _STRIDE]) for start in starts]
        return torch.stack(passes, dim=2).flatten(1, 2)[:, None, :frames]

    def _pixels(self, mel: Tensor) -> Tensor:
        """What all blocks say of every 32 spectra, (B, n, 4032), of (B, 64, 32 n)."""
        norm, *blocks = self.network.children()
        hidden, states = norm(mel.unsqueeze(2)).permute(0, 2, 3, 1), []
        for number, block in enumerate(blocks, start=1):
            hidden = block(hidden)
            if number < _BLOCKS:
                hidden = functional.avg_pool2d(hidden, 2)
            states.append(hidden.mean(dim=3).unflatten(2, (mel.shape[2] // _STRIDE, -1)).mean(-1))
        return torch.cat(states, dim=1).mT


def _integers() -> list[Any]:
    """What pickle needs for the integers in numpy that lie in the file beside its tensors."""
    reconstruct = np.empty(0).__reduce__()[0]
    names = ("numpy.core.multiarray._reconstruct", "numpy._core.multiarray._reconstruct")
    return [*((reconstruct, name) for name in names), np.ndarray, np.dtype, np.dtypes.Int64DType]
