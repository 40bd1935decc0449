"""Tagging networks of Won et al. (2020), trained alike on three datasets.

FCN (Choi et al., 2016), CRNN (Choi et al., 2017) and a port of musicnn (Pons and Serra, 2019),
which differs from the package's in filters, order of operations and weights. Paper:
https://arxiv.org/abs/2006.00751, code: https://github.com/minzwon/sota-music-tagging-models, whose
folder ``models`` is read from the folder of datasets, packed or not.
"""

import os
import re
import zipfile
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from motionbeat.benchmarks.encoders.pretrained.weight_files import FileEncoder
from motionbeat.encoder import EncoderCard
from motionbeat.spectrum import AmplitudeSpectrum

_SAMPLE_RATE = 16_000
_HOP = 256
_FFT_SIZE = 512
_MEL_BANDS = 96
_MEL_RATE = _SAMPLE_RATE / _HOP
_FLOOR = 1e-10  # of power
_TIMBRAL, _TEMPORAL, _DENSE = 204, 51, 64  # filters of a bank or layer
_WIDTH = 2 * _TIMBRAL + 3 * _TEMPORAL + 3 * _DENSE
_BLOCK_FRAMES = 128  # filtered at a time: bounds the memory, and fits the processor's cache
_GRU = 32
_CLIP_STEPS = 18  # of the recurrent layers in a clip of 29 s
_NEGLIGIBLE = 1e-20  # many weights were trained down to denormal numbers, which are slow
_PLACE = "tagging_weights"
_DATASETS = {"jamendo": "MTG-Jamendo", "msd": "Million Song Dataset", "mtat": "MagnaTagATune"}


def card(name: str, frame_rate: float, width: int, parameters: int) -> EncoderCard:
    """The card of a network, which is named by its architecture and training data."""
    network, _, dataset = name.partition("-")
    return EncoderCard(
        name=name,
        revision="1",
        sample_rate=_SAMPLE_RATE,
        frame_rate=frame_rate,
        layers=1,
        width=width,
        parameters=parameters,
        licence="MIT",
        training_data=(_DATASETS[dataset],),
        source=f"https://arxiv.org/abs/2006.00751, models/{dataset}/{network}",
    )


class Tagger(FileEncoder):
    """What the networks share: where the weights are, and the mel spectrum in dB."""

    unused: ClassVar[tuple[str, ...]] = ("spec.", "dense", "bn.")

    def __init__(self) -> None:
        super().__init__()
        self.spectrum = AmplitudeSpectrum(_FFT_SIZE, _HOP)
        self.eval()

    @classmethod
    def path(cls) -> Path | zipfile.Path | None:
        """Where the file lies in the folder of datasets, unpacked or packed."""
        data = os.environ.get("MOTIONBEAT_DATA")
        network, _, dataset = cls.card.name.partition("-")
        name = f"models/{dataset}/{network}/best_model.pth"
        if data and (unpacked := Path(data, _PLACE, name)).is_file():
            return unpacked
        try:
            packed = zipfile.Path(Path(data or "", f"{_PLACE}.zip"), name)
            return packed if data and packed.is_file() else None
        except Exception:  # a damaged archive may fail in any way
            return None

    @classmethod
    def unavailable(cls) -> str | None:
        """Why this encoder cannot be made here, with the remedy; None when it can."""
        if cls.path() is not None:
            return None
        return (
            "no weights; put the folder models of minzwon/sota-music-tagging-models (GitHub) into "
            f"DIR/{_PLACE}, or packed into DIR/{_PLACE}.zip, and give --data DIR"
        )

    def named(self, tensors: dict[str, Any]) -> dict[str, Any]:
        """Tensors of the file, without denormal numbers."""
        named = {"mel_filters": tensors["spec.mel_scale.fb"]}
        for name, tensor in tensors.items():
            # Both recurrent layers are one module there; apart, they show the state between them.
            name = re.sub(r"^layer5\.(\w+)_l(\d)$", r"layer5.\2.\1_l0", name)
            named[name] = torch.where(tensor.abs() < _NEGLIGIBLE, 0, tensor)
        return named

    def mel(self, waveform: Tensor) -> Tensor:
        """Normalised mel spectrum (B, 1, 96, frames) of (B, T) samples."""
        # The published power is not normalised: a full-scale sine has the height 128 squared.
        power = (self.spectrum(waveform) * (_FFT_SIZE / 4)).square() @ self.network.mel_filters
        level: Tensor = self.network.spec_bn(10 * power.mT[:, None].clamp_min(_FLOOR).log10())
        return level


def with_mel(layers: dict[str, nn.Module]) -> nn.ModuleDict:
    """Layers of a network, with the filters and norm of its spectrum."""
    network = nn.ModuleDict({"spec_bn": nn.BatchNorm2d(1), **layers})
    network.register_buffer("mel_filters", torch.empty(_FFT_SIZE // 2 + 1, _MEL_BANDS))
    return network


class Block(nn.Module):
    """Convolution, batch norm, ReLU and maximum over a field, evaluated at every frame.

    A published block steps over time by the width of its field, so that each block is coarser. Here
    the fields of the first block alone are laid side by side; those of later blocks slide over its
    frames, and their taps are spread out to be as far apart as the coarser steps were. Of the
    values at every frame, those a published step apart are the published ones.

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
        return functional.max_pool2d(padded, self.field, (bands, 1), dilation=(1, self.spread))


class BlockTagger(Tagger):
    """A tagger made of blocks.

    Frames are the steps of the first block, whose fields are centred on them by silence before the
    recording; those of later blocks are centred to within half a frame.
    """

    fields: ClassVar[tuple[tuple[int, int], ...]]
    maps: ClassVar[tuple[int, ...]]

    @classmethod
    def build(cls) -> nn.Module:
        """The blocks."""
        layers: dict[str, nn.Module] = {}
        spread, inputs = 0, 1
        for number, (field, maps) in enumerate(zip(cls.fields, cls.maps, strict=True), start=1):
            layers[f"layer{number}"] = Block(inputs, maps, field, spread)
            spread, inputs = spread * field[1] or 1, maps
        return with_mel(layers)

    def states(self, waveform: Tensor) -> list[Tensor]:
        """Maps (B, maps, frames) of all blocks, averaged over frequency."""
        step = self.fields[0][1]
        frames = waveform.shape[1] // (step * _HOP) + 1
        before = (step - 1) * _HOP // 2
        after = max(0, (frames * step - 1) * _HOP - before - waveform.shape[1])
        padded = functional.pad(waveform, (before, after))
        maps, states = self.mel(padded)[..., : frames * step], []
        for number in range(1, len(self.fields) + 1):
            maps = self.network[f"layer{number}"](maps)
            states.append(maps.mean(dim=2))
        return states


class FcnJamendo(BlockTagger):
    """Five blocks of convolutions, the last of which sees twenty seconds, trained on MTG-Jamendo.

    The hidden layer concatenates the maps of all blocks, averaged over frequency: 64, three times
    128, and 64.
    """

    card: ClassVar[EncoderCard] = card("fcn-jamendo", _MEL_RATE / 4, 512, 444_482)
    # In frames: fields and convolutions of the later blocks, and two for the first with its window.
    context: ClassVar[float] = (2 + (1 + 2) + (4 + 6) + (16 + 32) + (80 + 120)) * 4 / _MEL_RATE
    fields = ((2, 4), (2, 4), (2, 4), (3, 5), (4, 4))
    maps = (64, 128, 128, 128, 64)

    def forward(self, waveform: Tensor) -> Tensor:
        """Encode (B, T) samples as (B, 1, frames, 512)."""
        return torch.cat(self.states(waveform), dim=1).mT.unsqueeze(1)


class FcnMsd(FcnJamendo):
    """The same, trained on the Million Song Dataset."""

    card: ClassVar[EncoderCard] = card("fcn-msd", _MEL_RATE / 4, 512, 444_482)


class FcnMtat(FcnJamendo):
    """The same, trained on MagnaTagATune."""

    card: ClassVar[EncoderCard] = card("fcn-mtat", _MEL_RATE / 4, 512, 444_482)


class CrnnJamendo(BlockTagger):
    """Four blocks of convolutions and two recurrent layers (GRU), trained on MTG-Jamendo.

    The hidden layer concatenates the maps of all blocks, averaged over frequency, 64 and three
    times 128, and the states of both recurrent layers. These are causal and step over 1.5 s, so
    there is a sequence for each frame within a step. A state remembers the 18 steps of a clip of
    29 s, as in training; left to itself it would not forget within minutes.
    """

    card: ClassVar[EncoderCard] = card("crnn-jamendo", _MEL_RATE / 2, 512, 392_450)
    # As above, and the steps that are remembered.
    context: ClassVar[float] = (
        (2 + (1 + 1) + (3 + 5) + (12 + 18) + (_CLIP_STEPS - 1) * 48) * 2 / _MEL_RATE
    )
    fields = ((2, 2), (3, 3), (4, 4), (4, 4))
    maps = (64, 128, 128, 128)
    step: ClassVar[int] = 3 * 4 * 4  # frames a step of the recurrent layers

    @classmethod
    def build(cls) -> nn.Module:
        """Blocks and recurrent layers."""
        network = super().build()
        sizes = (cls.maps[-1], _GRU)
        layers = nn.ModuleList(nn.GRU(inputs, _GRU, batch_first=True) for inputs in sizes)
        network.add_module("layer5", layers)
        return network

    def forward(self, waveform: Tensor) -> Tensor:
        """Encode (B, T) samples as (B, 1, frames, 512)."""
        states = self.states(waveform)
        # One band is left; the sequences of steps lie side by side in the batch.
        frames = states[-1].shape[-1]
        padded = functional.pad(states[-1], (0, -frames % self.step))
        steps = torch.unflatten(padded, -1, (-1, self.step)).permute(0, 3, 2, 1).flatten(0, 1)
        clips = steps.unfold(1, min(_CLIP_STEPS, steps.shape[1]), 1).mT
        for recurrence in self.network.layer5:
            clips = recurrence(clips.flatten(0, 1))[0].unflatten(0, clips.shape[:2])
            # All states of the first clip, then the last of each clip.
            apart = torch.cat([clips[:, 0], clips[:, 1:, -1]], dim=1)
            apart = torch.unflatten(apart, 0, (-1, self.step))
            states.append(apart.permute(0, 3, 2, 1).flatten(2)[..., :frames])
        return torch.cat(states, dim=1).mT.unsqueeze(1)


class CrnnMsd(CrnnJamendo):
    """The same, trained on the Million Song Dataset."""

    card: ClassVar[EncoderCard] = card("crnn-msd", _MEL_RATE / 2, 512, 392_450)


class TimbralBank(nn.Module):
    """Filters over time and frequency, normalised, each reduced to its largest response.

    The norm is made part of the filters, and the convolution is a matrix product over windows,
    which on a CPU is twice as fast as torch's own for a single input channel.
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
    """Convolution over time, batch norm and ReLU."""

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

    card: ClassVar[EncoderCard] = card("musicnn-jamendo", _MEL_RATE, _WIDTH, 472_450)
    # 64 frames of the longest filter, 3 of each dense layer, one of the analysis window.
    context: ClassVar[float] = (64 + 3 * 3 + 1) / _MEL_RATE

    @staticmethod
    def build() -> nn.Module:
        """Two timbral and three temporal banks of filters, and three dense layers."""
        banks = nn.ModuleList(
            [TimbralBank(int(share * _MEL_BANDS)) for share in (0.7, 0.4)]
            + [Convolution(1, _TEMPORAL, times) for times in (129, 65, 33)]
        )
        sizes = (2 * _TIMBRAL + 3 * _TEMPORAL, _DENSE, _DENSE)
        dense = {f"layer{i}": Convolution(size, _DENSE, 7) for i, size in enumerate(sizes, start=1)}
        return with_mel({"layers": banks, **dense})

    def forward(self, waveform: Tensor) -> Tensor:
        """Encode (B, T) samples as (B, 1, frames, 753)."""
        mel = self.mel(waveform)
        loudness = mel.mean(dim=2)
        banks = self.network.layers
        features = [bank(mel) for bank in banks[:2]] + [bank(loudness) for bank in banks[2:]]
        features.append(self.network.layer1(torch.cat(features, dim=1)))
        for layer in (self.network.layer2, self.network.layer3):
            features.append(layer(features[-1]) + features[-1])
        return torch.cat(features, dim=1).mT.unsqueeze(1)


class MusicnnMtat(MusicnnJamendo):
    """The same, trained on MagnaTagATune."""

    card: ClassVar[EncoderCard] = card("musicnn-mtat", _MEL_RATE, _WIDTH, 472_450)
