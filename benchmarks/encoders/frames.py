"""From windows and spectra of published networks to frames that lie where the contract says."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from motionbeat.spectrum import AmplitudeSpectrum

_FLOOR = 1e-10
_KALDI_RATE = 16_000
KALDI_SHIFT, KALDI_WINDOW = 160, 400  # samples: 10 and 25 ms
_KALDI_FFT_SIZE = 512
_PREEMPHASIS = 0.97
_KALDI_LOWEST = 20.0  # Hz


class MelDecibels(nn.Module):
    """Mel bands of a centred power spectrum, in decibels above 1.

    Beyond the ends of the input there is silence, where published code mirrors the signal: this
    also works for inputs shorter than a window, and differs in the first and last frames alone.

    Args:
        filters: (fft_size / 2 + 1, bands) weights of the bands.
        hop: distance of frames in samples.
    """

    filters: Tensor

    def __init__(self, filters: Tensor, hop: int) -> None:
        super().__init__()
        fft_size = 2 * (len(filters) - 1)
        self.spectrum = AmplitudeSpectrum(fft_size, hop)
        # There a full-scale sine has the height 1, here that of the plain transform.
        self.register_buffer("filters", filters * (fft_size / 4) ** 2)

    def forward(self, waveform: Tensor) -> Tensor:
        """Map (B, T) samples to (B, frames, bands) with frame ``i`` at ``i * hop``."""
        power: Tensor = self.spectrum(waveform).square() @ self.filters
        return 10 * power.clamp(min=_FLOOR).log10()


class KaldiLogMel(nn.Module):
    """Kaldi's log-mel spectrum at 16 kHz, without dither and with a Hann window.

    Args:
        bands: number of them.
    """

    filters: Tensor
    window: Tensor

    def __init__(self, bands: int) -> None:
        super().__init__()
        self.register_buffer("filters", _kaldi_filters(bands), persistent=False)
        window = torch.hann_window(KALDI_WINDOW, periodic=False)
        self.register_buffer("window", window, persistent=False)

    def forward(self, waveform: Tensor) -> Tensor:
        """Map (B, T) samples to (B, spectra, bands), as many spectra as fit in whole."""
        frames = waveform.unfold(-1, KALDI_WINDOW, KALDI_SHIFT)
        frames = frames - frames.mean(dim=-1, keepdim=True)
        earlier = torch.cat([frames[..., :1], frames[..., :-1]], dim=-1)
        frames = (frames - _PREEMPHASIS * earlier) * self.window
        power: Tensor = torch.fft.rfft(frames, _KALDI_FFT_SIZE).abs().square()
        return (power @ self.filters).clamp_min(torch.finfo(torch.float32).eps).log()


def _kaldi_filters(bands: int) -> Tensor:
    """Triangles (257, bands) over the bins of a spectrum, evenly spaced and straight in mel."""

    def mel(hertz: Tensor) -> Tensor:
        return 1127.0 * torch.log1p(hertz / 700.0)

    ends = mel(torch.tensor([_KALDI_LOWEST, _KALDI_RATE / 2], dtype=torch.float64))
    edges = torch.linspace(float(ends[0]), float(ends[1]), bands + 2, dtype=torch.float64)
    numbers = torch.arange(_KALDI_FFT_SIZE // 2 + 1, dtype=torch.float64)
    bins = mel(numbers * _KALDI_RATE / _KALDI_FFT_SIZE)
    rising = (bins[:, None] - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins[:, None]) / (edges[2:] - edges[1:-1])
    filters = torch.minimum(rising, falling).clamp_min(0)
    filters[-1] = 0  # Kaldi leaves the Nyquist frequency out
    return filters.float()


def in_windows(spectra: Tensor, windows: int, length: int, step: int) -> Tensor:
    """Cut spectra into windows, the last of which is filled up by zeros.

    Args:
        spectra: (B, spectra, bands).
        windows: how many.
        length: of each in spectra.
        step: from the beginning of one to that of the next.

    Returns:
        (B * windows, length, bands).
    """
    missing = (windows - 1) * step + length - spectra.shape[1]
    filled = functional.pad(spectra, (0, 0, 0, max(0, missing)))
    return filled.unfold(1, length, step)[:, :windows].mT.flatten(0, 1)


def along_time(states: Tensor, windows: int, places: int) -> Tensor:
    """States of patches, averaged over frequency, with windows one after the other.

    Args:
        states: (B * windows, layers, patches, width), numbered along time first, then along
            frequency.
        windows: of each input.
        places: patches along time.

    Returns:
        (B, layers, windows * places, width).
    """
    _, layers, patches, width = states.shape
    cells = states.view(-1, windows, layers, patches // places, places, width)
    return cells.mean(dim=3).transpose(1, 2).flatten(2, 3)


def around(waveform: Tensor, size: int, length: int) -> Tensor:
    """Extend samples by silence so that a window at the beginning is centred at their first.

    Args:
        waveform: (B, T).
        size: of the window in samples.
        length: of the result in samples.

    Returns:
        (B, length) samples.
    """
    before = size // 2
    return functional.pad(waveform, (before, length - before - waveform.shape[1]))


def in_pieces(
    encode: Callable[[Tensor], Tensor], waveform: Tensor, hop: int, core: int, margin: int
) -> Tensor:
    """Encode a long input in overlapping pieces, none longer than a network was trained on.

    Args:
        encode: maps (B, T) samples to (B, layers, T // hop + 1, width).
        waveform: (B, T).
        hop: distance of frames in samples.
        core: frames kept of a piece.
        margin: frames that a piece sees beyond them on either side.

    Returns:
        (B, layers, T // hop + 1, width).
    """
    pieces = []
    for first in range(0, waveform.shape[1] // hop + 1, core):
        start = max(0, first - margin)
        states = encode(waveform[:, start * hop : (first + core + margin) * hop])
        pieces.append(states[:, :, first - start :][:, :, :core])
    return torch.cat(pieces, dim=2)


def by_blocks(network: Callable[[Tensor], Tensor], windows: Tensor, block: int) -> Tensor:
    """Apply a network to windows, some at a time, which bounds the memory.

    Args:
        network: maps (N, ...) to (N, width).
        windows: (B, frames, ...).
        block: how many at a time.

    Returns:
        (B, 1, frames, width).
    """
    flat = windows.flatten(0, 1)
    states = [network(part) for part in torch.split(flat, block)]
    return torch.cat(states).view(len(windows), 1, windows.shape[1], -1)
