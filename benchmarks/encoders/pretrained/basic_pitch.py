"""Basic Pitch, a small network that transcribes notes (Bittner et al., 2022).

The weights are read from the package, which is neither imported nor asked to run; the network is
reimplemented in torch, so it needs neither TensorFlow nor an ONNX runtime and can be
differentiated. Code: https://github.com/spotify/basic-pitch.
"""

import math
from collections.abc import Mapping
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from motionbeat.benchmarks.encoders.pretrained.tf_checkpoint import copy_layer, read_checkpoint
from motionbeat.benchmarks.encoders.pretrained.weight_files import PackageEncoder
from motionbeat.encoder import EncoderCard

_SAMPLE_RATE = 22_050
_HOP = 256
_LOWEST = 27.5  # Hz, the piano's lowest key
_PER_OCTAVE = 36
_KEYS = 88
_CONTOURS = 3 * _KEYS
_BINS = 309  # of the spectrum: up to half the sampling rate
_TAPS = 256  # of the spectrum's longest filter in the top octave, and of the half-band filter
_HARMONICS = (0.5, 1, 2, 3, 4, 5, 6, 7)
_CONTOUR_MAPS, _MAPS = 8, 32
_EPSILON = 1e-3  # Keras's default in batch normalisation
_VARIABLES = "saved_models/icassp_2022/nmp/variables"

_WINDOW = 2 * _SAMPLE_RATE - _HOP  # samples the network was trained on: 172 frames
# The inner frames of a window are kept. This many divide the store's pieces of 60 s, so a long
# file's pieces are cut into the windows that the whole file would be cut into.
_KEPT, _EDGE = 136, 18
_BATCH = 8  # windows at a time: bounds the memory


class ConstantQSpectrum(nn.Module):
    """Levels in dB of 309 bins, three a semitone, from 0 at a window's least to 1 at its largest.

    Each octave is filtered with the same 36 filters, after halving the sampling rate once more.
    """

    half_band: Tensor
    filters: Tensor
    scale: Tensor

    def __init__(self) -> None:
        super().__init__()
        from scipy.signal import firwin2

        self.octaves = math.ceil(_BINS / _PER_OCTAVE)
        quality = 1 / (2 ** (1 / _PER_OCTAVE) - 1)
        hertz = _LOWEST * 2 ** (np.arange(_BINS) / _PER_OCTAVE)
        filters = np.zeros((_PER_OCTAVE, _TAPS), np.complex128)
        for row, frequency in zip(filters, hertz[-_PER_OCTAVE:], strict=True):
            length = math.ceil(quality * _SAMPLE_RATE / frequency)
            time = np.arange(length) - (length + 1) // 2
            wave = np.hanning(length + 1)[:-1] * np.exp(
                2j * np.pi * frequency * time / _SAMPLE_RATE
            )
            start = math.ceil((_TAPS - length) / 2) - length % 2
            row[start : start + length] = wave / np.abs(wave).sum()
        steep = 0.5 / 1.001, 0.5 * 1.001
        half_band = firwin2(_TAPS, [0, *steep, 1], [1, 1, 0, 0])
        kernels = np.concatenate([filters.real, filters.imag])[:, None]
        scale = np.sqrt(np.ceil(quality * _SAMPLE_RATE / hertz))
        self.register_buffer("half_band", torch.tensor(half_band[None, None], dtype=torch.float32))
        self.register_buffer("filters", torch.tensor(kernels, dtype=torch.float32))
        self.register_buffer("scale", torch.tensor(scale, dtype=torch.float32))

    def forward(self, windows: Tensor) -> Tensor:
        """Map (B, 43844) samples to (B, 172, 309)."""
        signal = windows.unsqueeze(1)
        octaves: list[Tensor] = []
        for octave in range(self.octaves):
            if octave:
                signal = functional.conv1d(signal, self.half_band, stride=2, padding=_TAPS // 2 - 1)
            padded = functional.pad(signal, (_TAPS // 2, _TAPS // 2), mode="reflect")
            parts = functional.conv1d(padded, self.filters, stride=_HOP >> octave)
            octaves.insert(0, torch.unflatten(parts, 1, (2, -1)).square().sum(dim=1))
        power = torch.cat(octaves, dim=1)[:, -_BINS:].mT * self.scale.square()
        level = 10 * torch.log10(power + 1e-10)
        level = level - level.amin(dim=(1, 2), keepdim=True)
        largest = level.amax(dim=(1, 2), keepdim=True)
        return level / torch.where(largest > 0, largest, 1)


class BasicPitch(PackageEncoder):
    """What Basic Pitch says of pitches, and the maps that it says it from.

    The hidden layer holds for each frame the probabilities of 264 contours, 88 notes and 88 onsets,
    then the activations of the 8, 32 and 32 maps behind them, averaged over frequency. As
    published, windows of two seconds are levelled and transcribed each by itself, and their inner
    frames kept; here they overlap by a whole number of frames, so that none drifts.
    """

    card: ClassVar[EncoderCard] = EncoderCard(
        name="basic-pitch",
        revision="1",
        sample_rate=_SAMPLE_RATE,
        frame_rate=_SAMPLE_RATE / _HOP,
        layers=1,
        width=_CONTOURS + 2 * _KEYS + _CONTOUR_MAPS + 2 * _MAPS,
        parameters=16_782,
        licence="Apache-2.0",
        training_data=("GuitarSet", "iKala", "MAESTRO", "MedleyDB", "Slakh2100"),
        source="https://arxiv.org/abs/2203.09893, package basic-pitch 0.4.0 (icassp_2022)",
    )
    # One window of kept frames; the half frame is rounded up and keeps the margin's pieces whole.
    context: ClassVar[float] = (_KEPT - 0.5) * _HOP / _SAMPLE_RATE
    packages: ClassVar[Mapping[str, str]] = {"basic_pitch": "--no-deps basic-pitch==0.4.0"}
    files: ClassVar[tuple[str, ...]] = (
        f"{_VARIABLES}/variables.index",
        f"{_VARIABLES}/variables.data-00000-of-00001",
    )
    sha256: ClassVar[str] = "ff52f5c2b410603f7ffff8df83ff4a8e5781710ac54be18f36af86e8929607cb"

    def __init__(self) -> None:
        super().__init__()
        self.spectrum = ConstantQSpectrum()
        self.input_norm = nn.BatchNorm2d(1, _EPSILON)
        self.contour_maps = nn.Conv2d(len(_HARMONICS), _CONTOUR_MAPS, (3, 39), padding=(1, 19))
        self.contour_norm = nn.BatchNorm2d(_CONTOUR_MAPS, _EPSILON)
        self.contour = nn.Conv2d(_CONTOUR_MAPS, 1, 5, padding=2)
        self.note_maps = nn.Conv2d(1, _MAPS, 7, stride=(1, 3), padding=(3, 2))
        self.onset_maps = nn.Conv2d(len(_HARMONICS), _MAPS, 5, stride=(1, 3), padding=(2, 1))
        self.onset_norm = nn.BatchNorm2d(_MAPS, _EPSILON)
        self.note = nn.Conv2d(_MAPS, 1, (7, 3), padding=(3, 1))
        self.onset = nn.Conv2d(1 + _MAPS, 1, 3, padding=1)
        variables = read_checkpoint(self.folder() / _VARIABLES, "variables")
        for number, layer in enumerate(list(self.children())[1:]):  # in the order they were made
            scope = f"layer_with_weights-{number}"
            copy_layer(layer, variables, scope, "/.ATTRIBUTES/VARIABLE_VALUE")
        self.eval().requires_grad_(False)

    def forward(self, waveform: Tensor) -> Tensor:
        """Encode (B, T) samples as (B, 1, frames, 512)."""
        batch, samples = waveform.shape
        frames = samples // _HOP + 1
        count = -(-frames // _KEPT)
        missing = ((count - 1) * _KEPT - _EDGE) * _HOP + _WINDOW - samples
        padded = functional.pad(waveform, (_EDGE * _HOP, max(0, missing)))
        windows = padded.unfold(1, _WINDOW, _KEPT * _HOP)[:, :count].flatten(0, 1)
        features = torch.cat([self._transcribe(some) for some in torch.split(windows, _BATCH)])
        kept = features[:, _EDGE : _EDGE + _KEPT].reshape(batch, 1, count * _KEPT, -1)
        return kept[:, :, :frames]

    def _transcribe(self, windows: Tensor) -> Tensor:
        """Features (B, 172, 512) of (B, 43844) samples."""
        spectrum = self.input_norm(self.spectrum(windows).unsqueeze(1))
        stack = torch.cat([_shifted(spectrum, harmonic) for harmonic in _HARMONICS], dim=1)
        contour_maps = functional.relu(self.contour_norm(self.contour_maps(stack)))
        contours = self.contour(contour_maps).sigmoid()
        note_maps = functional.relu(self.note_maps(contours))
        notes = self.note(note_maps).sigmoid()
        onset_maps = functional.relu(self.onset_norm(self.onset_maps(stack)))
        onsets = self.onset(torch.cat([notes, onset_maps], dim=1)).sigmoid()
        said = [one.squeeze(1) for one in (contours, notes, onsets)]
        maps = [some.mean(dim=-1).mT for some in (contour_maps, note_maps, onset_maps)]
        return torch.cat(said + maps, dim=-1)


def _shifted(spectrum: Tensor, harmonic: float) -> Tensor:
    """The lowest 264 bins of (..., 309), each replaced by that of a harmonic; 0 beyond the ends."""
    shift = round(_PER_OCTAVE * math.log2(harmonic))
    return functional.pad(spectrum, (-shift, _CONTOURS + shift - _BINS))
