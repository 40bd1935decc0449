"""From windows and spectra of published networks to frames that lie where the contract says."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from motionbeat.spectrum import AmplitudeSpectrum

_FLOOR = 1e-10


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
