"""Short-time amplitude spectra, and the log-mel spectrum of MotionBeat."""

import torch
from torch import Tensor, nn

SAMPLE_RATE = 22_050
HOP = 220
FFT_SIZE = 1024
BANDS = 80
AUDIO_FRAME_RATE = SAMPLE_RATE / HOP
"""Frame rate of MotionBeat's mel spectrum (Hz)."""

_COMPRESSION = 1000.0  # puts the knee of the logarithm 60 dB below full scale
_BLOCK = 8192  # frames computed at once, which bounds the memory


class AmplitudeSpectrum(nn.Module):
    """Centred short-time Fourier magnitudes, scaled so that a full-scale sine has a peak of 1.

    The signal is padded with zeros at both ends, so even a single sample gives a frame.

    Args:
        fft_size: length of the transform and of the Hann window in samples.
        hop: distance of successive frames in samples.
    """

    window: Tensor

    def __init__(self, fft_size: int, hop: int) -> None:
        super().__init__()
        self.fft_size, self.hop = fft_size, hop
        self.register_buffer("window", torch.hann_window(fft_size))

    def forward(self, waveform: Tensor) -> Tensor:
        """Map (B, T) samples to (B, frames, fft_size / 2 + 1) with frame ``i`` at ``i * hop``."""
        spectrum = torch.stft(
            waveform, self.fft_size, self.hop, window=self.window, pad_mode="constant",
            return_complex=True,
        )  # fmt: skip
        return spectrum.abs().mT * (2 / self.window.sum())


class LogMelSpectrum(nn.Module):
    """Log-mel spectrum ``log(1 + 1000 x)`` of mel-band amplitudes x.

    The mel scale is Slaney's, from 0 Hz to half the sample rate.

    Args:
        sample_rate: sample rate in Hz.
        hop: distance of successive frames in samples.
        bands: number of mel bands.
        fft_size: length of the transform in samples.
    """

    filters: Tensor

    def __init__(
        self, sample_rate: int, hop: int, bands: int = BANDS, fft_size: int = FFT_SIZE
    ) -> None:
        super().__init__()
        from motionbeat._torchaudio import functional

        self.spectrum = AmplitudeSpectrum(fft_size, hop)
        filters = functional.melscale_fbanks(
            fft_size // 2 + 1, 0.0, sample_rate / 2, bands, sample_rate, mel_scale="slaney"
        )
        self.register_buffer("filters", filters)

    def forward(self, waveform: Tensor) -> Tensor:
        """Map (B, T) samples to (B, frames, bands)."""
        hop = self.spectrum.hop
        margin = self.spectrum.fft_size // (2 * hop) + 1  # frames that see a block's edge
        frames = waveform.shape[1] // hop + 1
        bands = waveform.new_empty(len(waveform), frames, self.filters.shape[1])
        for first in range(0, frames, _BLOCK):
            start = max(0, first - margin)
            part = self.spectrum(waveform[:, start * hop : (first + _BLOCK + margin) * hop])
            part = part[:, first - start :][:, :_BLOCK]
            bands[:, first : first + _BLOCK] = torch.log1p(_COMPRESSION * (part @ self.filters))
        return bands


def regain(log_mel: Tensor, gain: Tensor) -> Tensor:
    """Apply gains in dB (..., bands) to log-mel spectra (..., bands)."""
    amplitude = torch.expm1(log_mel) * 10 ** (gain / 20)
    return torch.log1p(amplitude)
