"""Tagging networks of Won et al. (2020), trained alike on three datasets.

FCN (Choi et al., 2016), CRNN (Choi et al., 2017) and a port of musicnn (Pons and Serra, 2019),
which differs from the package's in filters, order of operations and weights. Paper:
https://arxiv.org/abs/2006.00751, code: https://github.com/minzwon/sota-music-tagging-models, whose
folder ``models`` is read from the folder of datasets, packed or not.
"""

import os
import re
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from motionbeat.benchmarks.encoders.pretrained.hub import read_weights
from motionbeat.encoder import Encoder, EncoderCard
from motionbeat.errors import MotionBeatError
from motionbeat.spectrum import AmplitudeSpectrum

_SAMPLE_RATE = 16_000
_HOP = 256
_FFT_SIZE = 512
_MEL_BANDS = 96
_MEL_RATE = _SAMPLE_RATE / _HOP
_FLOOR = 1e-10  # of power
_TIMBRAL, _TEMPORAL, _DENSE = 204, 51, 64  # filters of a bank or layer
_BLOCK_FRAMES = 128  # filtered at a time: bounds the memory, and fits the processor's cache
_GRU = 32
_CLIP_STEPS = 18  # of the recurrent layers in a clip of 29 s
_NEGLIGIBLE = (
    1e-20  # many weights were trained down to denormal numbers, which cost 30 times as much
)
_PLACE = "tagging_weights"


class Tagger(Encoder):
    """What the networks share: where the weights are, and the mel spectrum in dB.

    Raises:
        MotionBeatError: the weights are not there, or damaged.
    """

    weights: ClassVar[str]
    mel_filters: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.spectrum = AmplitudeSpectrum(_FFT_SIZE, _HOP)
        self.register_buffer("mel_filters", torch.empty(_FFT_SIZE // 2 + 1, _MEL_BANDS))
        self.spec_bn = nn.BatchNorm2d(1)
        self._build()
        self._load()
        self.eval().requires_grad_(False)

    @classmethod
    def unavailable(cls) -> str | None:
        """Why this encoder cannot be made here, with the remedy; None when it can."""
        if _find(cls.weights) is not None:
            return None
        return (
            "weights not found; put the folder models of minzwon/sota-music-tagging-models "
            f"(GitHub) into DIR/{_PLACE}, or packed into DIR/{_PLACE}.zip, and give --data DIR"
        )

    def _build(self) -> None:
        """Make the modules, under the names that their weights were published by."""
        raise NotImplementedError

    @torch.no_grad()
    def _load(self) -> None:
        """Copy the published weights."""
        place = _find(self.weights)
        if place is None:
            raise MotionBeatError(f"encoder {self.card.name}: {self.unavailable()}")
        published = read_weights(place, "fetch it again")
        for own, target in self.state_dict().items():
            if own == "spectrum.window":
                continue
            name = own.replace("mel_filters", "spec.mel_scale.fb")
            # Both recurrent layers are one module there; apart, they show the state between them.
            name = re.sub(r"^layer5\.(\d)\.(\w+)_l0$", r"layer5.\2_l\1", name)
            value = published.get(name)
            if not isinstance(value, Tensor) or value.shape != target.shape:
                raise MotionBeatError(
                    f"{place}: {name} is missing or has another shape; fetch it again"
                )
            target.copy_(torch.where(value.abs() < _NEGLIGIBLE, 0, value))

    def _mel(self, waveform: Tensor) -> Tensor:
        """Normalised mel spectrum (B, 1, 96, frames) of (B, T) samples."""
        # The published power is not normalised: a full-scale sine has the height 128 squared.
        power = (self.spectrum(waveform) * (_FFT_SIZE / 4)).square() @ self.mel_filters
        level: Tensor = self.spec_bn(10 * power.mT.unsqueeze(1).clamp_min(_FLOOR).log10())
        return level


class Block(nn.Module):
    """Convolution, batch norm, ReLU and maximum over a field, evaluated at every frame.

    A published block steps over time by the width of its field, so that each block is coarser. Here
    the fields of the first block alone are laid side by side; those of later blocks slide over its
    frames, and their taps are spread out to be as far apart as the coarser steps were. Of the
    values at every frame, those a published step apart are the published ones; in between lie
    those of the recording begun a little later.

    Args:
        inputs: number of input channels.
        maps: number of output channels.
        field: extent of the maximum in bands and in steps.
        spread: frames a step; 0 for the first block, whose output defines the frames.
    """

    def __init__(self, inputs: int, maps: int, field: tuple[int, int], spread: int) -> None:
        super().__init__()
        step = max(spread, 1)
        self.conv = nn.Conv2d(inputs, maps, 3, padding=(1, step), dilation=(1, step))
        self.bn = nn.BatchNorm2d(maps)
        self.field, self.spread = field, spread

    def forward(self, maps: Tensor) -> Tensor:
        """Map (B, inputs, bands, frames) to (B, maps, fewer bands, frames)."""
        response = functional.relu(self.bn(self.conv(maps)))
        bands, steps = self.field
        if not self.spread:
            return functional.max_pool2d(response, self.field)
        # Zeros change no maximum, as nothing is below zero.
        reach = (steps - 1) * self.spread
        padded = functional.pad(response, (reach // 2, reach - reach // 2))
        return functional.max_pool2d(
            padded, self.field, stride=(bands, 1), dilation=(1, self.spread)
        )


class BlockTagger(Tagger):
    """A tagger made of blocks.

    Frames are the steps of the first block, whose fields are centred on them by silence before the
    recording; those of later blocks are centred to within half a frame.
    """

    fields: ClassVar[tuple[tuple[int, int], ...]]
    maps: ClassVar[tuple[int, ...]]

    def _build(self) -> None:
        spread, inputs = 0, 1
        for number, (field, maps) in enumerate(zip(self.fields, self.maps, strict=True), start=1):
            self.add_module(f"layer{number}", Block(inputs, maps, field, spread))
            spread, inputs = spread * field[1] or 1, maps
        self.spread = spread

    def _blocks(self, waveform: Tensor) -> list[Tensor]:
        """Maps (B, maps, bands, frames) of all blocks."""
        step = self.fields[0][1]
        frames = waveform.shape[1] // (step * _HOP) + 1
        before = (step - 1) * _HOP // 2
        after = max(0, (frames * step - 1) * _HOP - before - waveform.shape[1])
        padded = functional.pad(waveform, (before, after))
        states = [self._mel(padded)[..., : frames * step]]
        for number in range(1, len(self.fields) + 1):
            states.append(self.get_submodule(f"layer{number}")(states[-1]))
        return states[1:]


class FcnJamendo(BlockTagger):
    """Five blocks of convolutions, the last of which sees twenty seconds, trained on MTG-Jamendo.

    The hidden layer concatenates the maps of all blocks, averaged over frequency: 64, three times
    128, and 64.
    """

    card: ClassVar[EncoderCard] = EncoderCard(
        name="fcn-jamendo",
        revision="1",
        sample_rate=_SAMPLE_RATE,
        frame_rate=_MEL_RATE / 4,
        layers=1,
        width=512,
        parameters=444_482,
        licence="MIT",
        training_data=("MTG-Jamendo",),
        source="https://arxiv.org/abs/2006.00751, models/jamendo/fcn",
    )
    # In frames: fields and convolutions of the later blocks, and two for the first with its window.
    context: ClassVar[float] = (2 + (1 + 2) + (4 + 6) + (16 + 32) + (80 + 120)) * 4 / _MEL_RATE
    weights: ClassVar[str] = "jamendo/fcn"
    fields = ((2, 4), (2, 4), (2, 4), (3, 5), (4, 4))
    maps = (64, 128, 128, 128, 64)

    def forward(self, waveform: Tensor) -> Tensor:
        """Encode (B, T) samples as (B, 1, frames, 512)."""
        states = [maps.mean(dim=2) for maps in self._blocks(waveform)]
        return torch.cat(states, dim=1).mT.unsqueeze(1)


class FcnMsd(FcnJamendo):
    """The same, trained on the Million Song Dataset."""

    card: ClassVar[EncoderCard] = replace(
        FcnJamendo.card,
        name="fcn-msd",
        training_data=("Million Song Dataset",),
        source="https://arxiv.org/abs/2006.00751, models/msd/fcn",
    )
    weights: ClassVar[str] = "msd/fcn"


class FcnMtat(FcnJamendo):
    """The same, trained on MagnaTagATune."""

    card: ClassVar[EncoderCard] = replace(
        FcnJamendo.card,
        name="fcn-mtat",
        training_data=("MagnaTagATune",),
        source="https://arxiv.org/abs/2006.00751, models/mtat/fcn",
    )
    weights: ClassVar[str] = "mtat/fcn"


class CrnnJamendo(BlockTagger):
    """Four blocks of convolutions and two recurrent layers (GRU), trained on MTG-Jamendo.

    The hidden layer concatenates the maps of all blocks, averaged over frequency, 64 and three
    times 128, and the states of both recurrent layers. These are causal and step over 1.5 s, so
    there is a sequence for each frame within a step. A state remembers the 18 steps of a clip of
    29 s, as in training; left to itself it would not forget within minutes.
    """

    card: ClassVar[EncoderCard] = EncoderCard(
        name="crnn-jamendo",
        revision="1",
        sample_rate=_SAMPLE_RATE,
        frame_rate=_MEL_RATE / 2,
        layers=1,
        width=512,
        parameters=392_450,
        licence="MIT",
        training_data=("MTG-Jamendo",),
        source="https://arxiv.org/abs/2006.00751, models/jamendo/crnn",
    )
    # As above, and the steps that are remembered.
    context: ClassVar[float] = (
        (2 + (1 + 1) + (3 + 5) + (12 + 18) + (_CLIP_STEPS - 1) * 48) * 2 / _MEL_RATE
    )
    weights: ClassVar[str] = "jamendo/crnn"
    fields = ((2, 2), (3, 3), (4, 4), (4, 4))
    maps = (64, 128, 128, 128)

    def _build(self) -> None:
        super()._build()
        self.layer5 = nn.ModuleList(
            nn.GRU(inputs, _GRU, batch_first=True) for inputs in (self.maps[-1], _GRU)
        )

    def forward(self, waveform: Tensor) -> Tensor:
        """Encode (B, T) samples as (B, 1, frames, 512)."""
        states = [maps.mean(dim=2) for maps in self._blocks(waveform)]
        # One band is left; the sequences of steps lie side by side in the batch.
        frames = states[-1].shape[-1]
        padded = functional.pad(states[-1], (0, -frames % self.spread))
        steps = torch.unflatten(padded, -1, (-1, self.spread)).permute(0, 3, 2, 1).flatten(0, 1)
        clips = steps.unfold(1, min(_CLIP_STEPS, steps.shape[1]), 1).mT
        for recurrence in self.layer5:
            clips = recurrence(clips.flatten(0, 1))[0].unflatten(0, clips.shape[:2])
            # All states of the first clip, then the last of each clip.
            apart = torch.cat([clips[:, 0], clips[:, 1:, -1]], dim=1)
            apart = torch.unflatten(apart, 0, (-1, self.spread))
            states.append(apart.permute(0, 3, 2, 1).flatten(2)[..., :frames])
        return torch.cat(states, dim=1).mT.unsqueeze(1)


class CrnnMsd(CrnnJamendo):
    """The same, trained on the Million Song Dataset."""

    card: ClassVar[EncoderCard] = replace(
        CrnnJamendo.card,
        name="crnn-msd",
        training_data=("Million Song Dataset",),
        source="https://arxiv.org/abs/2006.00751, models/msd/crnn",
    )
    weights: ClassVar[str] = "msd/crnn"


class TimbralBank(nn.Module):
    """Filters over time and frequency, normalised, each reduced to its largest response.

    The norm is made part of the filters, and the convolution is a matrix product over windows,
    which on a CPU is twice as fast as torch's own for a single input channel.

    Args:
        bands: extent of a filter in mel bands.
    """

    def __init__(self, bands: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, _TIMBRAL, (bands, 7))
        self.bn = nn.BatchNorm2d(_TIMBRAL)

    def forward(self, mel: Tensor) -> Tensor:
        """Map (B, 1, 96, frames) to (B, 204, frames)."""
        running_mean, running_var = (self.bn.get_buffer(f"running_{x}") for x in ("mean", "var"))
        scale = self.bn.weight * (running_var + self.bn.eps).rsqrt()
        weight = self.conv.weight.flatten(1).T * scale
        shift = (self.conv.get_parameter("bias") - running_mean) * scale + self.bn.bias
        bands, times = self.conv.weight.shape[2:]
        padded = functional.pad(mel.squeeze(1), (times // 2, times // 2))
        windows = padded.unfold(1, bands, 1).unfold(2, times, 1)
        largest = [
            (block.flatten(-2) @ weight).amax(dim=1)
            for block in torch.split(windows, max(1, _BLOCK_FRAMES // len(mel)), dim=2)
        ]
        return functional.relu(torch.cat(largest, dim=1) + shift).mT


class Convolution(nn.Module):
    """Convolution over time, batch norm and ReLU.

    Args:
        inputs: number of input features.
        filters: number of filters.
        times: extent of a filter in frames.
    """

    def __init__(self, inputs: int, filters: int, times: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(inputs, filters, times, padding="same")
        self.bn = nn.BatchNorm1d(filters)

    def forward(self, features: Tensor) -> Tensor:
        """Map (B, inputs, frames) to (B, filters, frames)."""
        return functional.relu(self.bn(self.conv(features)))


class MusicnnJamendo(Tagger):
    """The port of musicnn, trained on MTG-Jamendo.

    As in ``musicnn``, the hidden layer holds what the network pools: 408 timbral and 153 temporal
    features, then 64 of each of three dense layers.
    """

    card: ClassVar[EncoderCard] = EncoderCard(
        name="musicnn-jamendo",
        revision="1",
        sample_rate=_SAMPLE_RATE,
        frame_rate=_MEL_RATE,
        layers=1,
        width=2 * _TIMBRAL + 3 * _TEMPORAL + 3 * _DENSE,
        parameters=472_450,
        licence="MIT",
        training_data=("MTG-Jamendo",),
        source="https://arxiv.org/abs/2006.00751, models/jamendo/musicnn",
    )
    # 64 frames of the longest filter, 3 of each dense layer, one of the analysis window.
    context: ClassVar[float] = (64 + 3 * 3 + 1) / _MEL_RATE
    weights: ClassVar[str] = "jamendo/musicnn"

    def _build(self) -> None:
        self.layers = nn.ModuleList(
            [TimbralBank(int(share * _MEL_BANDS)) for share in (0.7, 0.4)]
            + [Convolution(1, _TEMPORAL, times) for times in (129, 65, 33)]
        )
        frontend = 2 * _TIMBRAL + 3 * _TEMPORAL
        self.layer1 = Convolution(frontend, _DENSE, 7)
        self.layer2 = Convolution(_DENSE, _DENSE, 7)
        self.layer3 = Convolution(_DENSE, _DENSE, 7)

    def forward(self, waveform: Tensor) -> Tensor:
        """Encode (B, T) samples as (B, 1, frames, 753)."""
        mel = self._mel(waveform)
        loudness = mel.mean(dim=2)
        features = [bank(mel) for bank in self.layers[:2]] + [
            bank(loudness) for bank in self.layers[2:]
        ]
        first = self.layer1(torch.cat(features, dim=1))
        second = self.layer2(first) + first
        third = self.layer3(second) + second
        return torch.cat([*features, first, second, third], dim=1).mT.unsqueeze(1)


class MusicnnMtat(MusicnnJamendo):
    """The same, trained on MagnaTagATune."""

    card: ClassVar[EncoderCard] = replace(
        MusicnnJamendo.card,
        name="musicnn-mtat",
        training_data=("MagnaTagATune",),
        source="https://arxiv.org/abs/2006.00751, models/mtat/musicnn",
    )
    weights: ClassVar[str] = "mtat/musicnn"


def _find(weights: str) -> Path | zipfile.Path | None:
    """A file of weights in the folder of datasets, unpacked or packed; None where there is none."""
    data = os.environ.get("MOTIONBEAT_DATA")
    if not data:
        return None
    name = f"models/{weights}/best_model.pth"
    if (unpacked := Path(data, _PLACE, name)).is_file():
        return unpacked
    try:
        packed = zipfile.Path(Path(data, f"{_PLACE}.zip"), name)
        return packed if packed.is_file() else None
    except Exception:  # a damaged archive may fail in any way
        return None
