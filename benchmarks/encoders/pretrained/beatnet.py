"""BeatNet, a causal beat tracker of convolution and LSTMs (Heydari, Cwitkowitz and Duan, 2021).

The weights are read from the package, which is neither imported nor asked to run; spectrum and
network are reimplemented in torch. Code: https://github.com/mjhydri/BeatNet.
"""

import math
import re
from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from motionbeat.benchmarks.encoders.pretrained.weight_files import (
    PackageEncoder,
    below,
    read_weights,
)
from motionbeat.encoder import EncoderCard
from motionbeat.threads import one_thread

_SAMPLE_RATE = 22_050
_HOP = 441
_WINDOW = 1411  # samples: 64 ms, rounded down
_BANDS = 136
_TAPS = 10
_WIDTH = 150
_WEIGHTS = "models/model_1_weights.pt"


class LogFilteredSpectrum(nn.Module):
    """Log magnitudes in 24 bands an octave, and by how much each rose since the frame before.

    The bands are those of madmom, which the package uses: triangles of unit area between the bins
    nearest to quarter tones from 30 Hz to 17 kHz, low quarter tones that share a bin counted once.
    """

    window: Tensor
    filters: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("window", torch.hann_window(_WINDOW, periodic=False))
        self.register_buffer("filters", _triangles())

    def forward(self, waveform: Tensor) -> Tensor:
        """Map (B, T) samples to (B, frames, 272) with frame ``i`` centred at ``i * 441``."""
        spectrum = torch.stft(
            functional.pad(waveform, (0, 1)),  # the window is odd: room for a last frame
            _WINDOW,
            _HOP,
            window=self.window,
            pad_mode="constant",
            return_complex=True,
        ).abs()
        # As many bins as madmom has: it counts none at half the sampling rate.
        level = torch.log10(1 + spectrum[:, : _WINDOW // 2].mT @ self.filters)
        rise = functional.relu(level.diff(dim=1, prepend=level[:, :1]))
        return torch.cat([level, rise], dim=-1)


class BeatNet(PackageEncoder):
    """The first of the package's three networks, which has not seen GTZAN.

    The hidden layers are the projected convolution and the states of both LSTMs. The network is
    causal: a frame knows nothing of what follows it. What came before fades, but slowly: in rock
    songs, states of at most 1 that began without it differ by .15 after 30 s where this lasts
    longest, by .006 after 40 s and by .00001 after 60 s, and by less than .003 after 25 s in half
    of the cases.
    """

    card: ClassVar[EncoderCard] = EncoderCard(
        name="beatnet",
        revision="1",
        sample_rate=_SAMPLE_RATE,
        frame_rate=_SAMPLE_RATE / _HOP,
        layers=3,
        width=_WIDTH,
        parameters=401_872,
        licence="CC BY 4.0",
        training_data=("Ballroom", "Beatles", "Carnatic Music Rhythm", "Rock Corpus"),
        source="https://arxiv.org/abs/2108.03576, package BeatNet 1.1.3 (model 1)",
    )
    context: ClassVar[float] = 40.0
    packages: ClassVar[Mapping[str, str]] = {"BeatNet": "--no-deps BeatNet==1.1.3"}
    files: ClassVar[tuple[str, ...]] = (_WEIGHTS,)
    sha256: ClassVar[str] = "619091bc317ca3e83b45591d46f6de3d5a41588bcb39fe9fe7be30cffa6aca84"

    def __init__(self) -> None:
        super().__init__()
        self.spectrum = LogFilteredSpectrum()
        self.conv1 = nn.Conv1d(1, 2, _TAPS)
        self.linear0 = nn.Linear(2 * ((2 * _BANDS - _TAPS + 1) // 2), _WIDTH)
        self.lstms = nn.ModuleList(nn.LSTM(_WIDTH, _WIDTH, batch_first=True) for _ in range(2))
        # Published, both LSTMs are layers of one module.
        weights = {
            re.sub(r"^lstm\.(\w+)_l(\d)$", r"lstms.\2.\1_l0", name): weight
            for name, weight in read_weights(self.folder() / _WEIGHTS).items()
        }
        for name, parameter in self.named_parameters():
            parameter.data.copy_(weights[name])
        self.eval().requires_grad_(False)

    def forward(self, waveform: Tensor) -> Tensor:
        """Encode (B, T) samples as (B, 3, frames, 150)."""
        spectrum = self.spectrum(waveform)
        maps = functional.relu(self.conv1(spectrum.flatten(0, 1).unsqueeze(1)))
        pooled = functional.max_pool1d(maps, 2).flatten(1)
        states = [self.linear0(pooled).unflatten(0, spectrum.shape[:2])]
        with one_thread():  # ten times as fast: two would wait for each other at every frame
            for lstm in self.lstms:
                states.append(lstm(states[-1])[0])
        return torch.stack(states, dim=1)


class BeatActivation(nn.Module):
    """What BeatNet says of each frame: probabilities of a beat and of a downbeat.

    Its particle filter and its dynamic Bayesian network are not used.
    """

    frame_rate: ClassVar[float] = BeatNet.card.frame_rate
    sample_rate: ClassVar[int] = BeatNet.card.sample_rate

    def __init__(self) -> None:
        super().__init__()
        self.encoder = BeatNet()
        self.linear = nn.Linear(_WIDTH, 3)  # beat, downbeat, neither
        weights = read_weights(BeatNet.folder() / _WEIGHTS)
        self.linear.load_state_dict(below(weights, "linear."))
        self.eval().requires_grad_(False)

    def forward(self, waveform: Tensor) -> Tensor:
        """Map (B, T) samples to (B, frames, 2): a beat of either kind, and a downbeat."""
        beat, downbeat, _ = self.linear(self.encoder(waveform)[:, -1]).softmax(dim=-1).unbind(-1)
        return torch.stack([beat + downbeat, downbeat], dim=-1)


def _triangles() -> Tensor:
    """Weights (705 bins, 136 bands) of the band filters."""
    bins = torch.arange(_WINDOW // 2, dtype=torch.float64) * _SAMPLE_RATE / (2 * (_WINDOW // 2))
    low, high = (24 * math.log2(hertz / 440) for hertz in (30, 17_000))
    steps = torch.arange(math.ceil(low), math.floor(high) + 1, dtype=torch.float64)
    edges = torch.unique((440 * 2 ** (steps / 24) - bins[:, None]).abs().argmin(dim=0)).tolist()
    filters = torch.zeros(len(bins), len(edges) - 2)
    for band, (start, centre, stop) in enumerate(zip(edges, edges[1:], edges[2:], strict=False)):
        filters[start:centre, band] = torch.arange(centre - start) / (centre - start)
        filters[centre:stop, band] = 1 - torch.arange(stop - centre) / (stop - centre)
    return filters / filters.sum(dim=0)
