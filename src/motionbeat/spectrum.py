"""Short-time spectra without statistics of the input, and MotionBeat's own."""

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
    """Centred short-time Fourier magnitudes in which a full-scale sine has the height 1.

    The signal is padded with zeros, so a file's first and last frames see silence beyond its ends
    and an input of a single sample still gives a frame. The Hann window is as long as the transform
    of ``fft_size`` samples.
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
    """Mel-band amplitudes (Slaney's scale, up to half the sample rate), ``log(1 + 1000 x)``."""

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
    """Log-mel spectra (..., bands) as if their bands were louder by so many dB (..., bands)."""
    amplitude = torch.expm1(log_mel) * 10 ** (gain / 20)
    return torch.log1p(amplitude)
