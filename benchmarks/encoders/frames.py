"""From windows and spectra of published networks to frames that lie where the contract says."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


def mel_decibels(
    sample_rate: int, fft_size: int, hop: int, bands: int, **options: Any
) -> nn.Sequential:
    """Mel spectrum of torchaudio in decibels: (B, T) samples to (B, bands, frames).

    Beyond the ends of the input there is silence, where published code mirrors the signal: this
    also works for inputs shorter than a window, and differs in the first and last frames alone.
    """
    from motionbeat._torchaudio import transforms

    options = {"pad_mode": "constant"} | options
    mel = transforms.MelSpectrogram(
        sample_rate, n_fft=fft_size, hop_length=hop, n_mels=bands, **options
    )
    return nn.Sequential(mel, transforms.AmplitudeToDB())


def around(waveform: Tensor, size: int, length: int) -> Tensor:
    """Extend (B, T) samples by silence to (B, length).

    A window of a size that begins at their beginning is then centred at their first sample.
    """
    before = size // 2
    return functional.pad(waveform, (before, length - before - waveform.shape[1]))


def in_pieces(
    encode: Callable[[Tensor], Tensor], waveform: Tensor, hop: int, core: int, margin: int
) -> Tensor:
    """Encode a long input in overlapping pieces, none longer than a network was trained on.

    Args:
        encode: maps (B, T) samples to (B, layers, T // hop + 1, width).
        waveform: (B, T) samples.
        hop: distance of frames in samples.
        core: frames kept of a piece.
        margin: frames that a piece sees beyond them on either side.
    """
    pieces = []
    for first in range(0, waveform.shape[1] // hop + 1, core):
        start = max(0, first - margin)
        states = encode(waveform[:, start * hop : (first + core + margin) * hop])
        pieces.append(states[:, :, first - start :][:, :, :core])
    return torch.cat(pieces, dim=2)
