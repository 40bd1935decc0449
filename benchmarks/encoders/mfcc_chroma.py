"""Timbre and pitch-class features as hand-made music retrieval used them."""

from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from motionbeat.encoder import Encoder, EncoderCard
from motionbeat.spectrum import AmplitudeSpectrum

_SAMPLE_RATE = 24_000
_HOP = 480
_MEL_FFT = 1024
_CHROMA_FFT = 4096  # 5.9 Hz a bin: semitones are resolved down to about 100 Hz
_BANDS = 80
_COEFFICIENTS = 20
_PITCH_CLASSES = 12
_FLOOR = 1e-8  # of power: 80 dB below a full-scale sine
_DELTA_REACH = 4  # frames on either side


class MfccChroma(Encoder):
    """Twenty MFCCs, their slopes and twelve pitch classes as a single hidden layer.

    Features 0 to 19 are the orthonormal cosine transform of 80 mel-band powers in bel (logarithm
    to the base 10, floored 80 dB below a full-scale sine). Features 20 to 39 are their regression
    slopes over nine frames, in bel a frame. Features 40 to 51 are the energies of the pitch
    classes C to B at concert pitch (librosa's chroma filters), divided by the frame's largest.
    """

    card: ClassVar[EncoderCard] = EncoderCard(
        name="mfcc_chroma",
        revision="1",
        sample_rate=_SAMPLE_RATE,
        frame_rate=_SAMPLE_RATE / _HOP,
        layers=1,
        width=2 * _COEFFICIENTS + _PITCH_CLASSES,
        parameters=0,
        licence="Apache-2.0",
        training_data=(),
        source="MotionBeat Bench, benchmarks/encoders/mfcc_chroma.py",
    )
    # The longest window, or the shorter one and the slopes.
    context: ClassVar[float] = (
        max(_CHROMA_FFT / 2, _MEL_FFT / 2 + _DELTA_REACH * _HOP) + _HOP
    ) / _SAMPLE_RATE

    mel_filters: Tensor
    cosines: Tensor
    slope: Tensor
    chroma_filters: Tensor

    def __init__(self) -> None:
        super().__init__()
        import librosa

        from motionbeat._torchaudio import functional as audio

        mel_filters = audio.melscale_fbanks(
            _MEL_FFT // 2 + 1, 0.0, _SAMPLE_RATE / 2, _BANDS, _SAMPLE_RATE, mel_scale="slaney"
        )
        # Without tuning, which librosa would otherwise estimate from a whole recording.
        chroma_filters = librosa.filters.chroma(sr=_SAMPLE_RATE, n_fft=_CHROMA_FFT, tuning=0.0)
        slope = torch.arange(-_DELTA_REACH, _DELTA_REACH + 1, dtype=torch.float32)
        self.mel_spectrum = AmplitudeSpectrum(_MEL_FFT, _HOP)
        self.chroma_spectrum = AmplitudeSpectrum(_CHROMA_FFT, _HOP)
        self.register_buffer("mel_filters", mel_filters)
        self.register_buffer("cosines", audio.create_dct(_COEFFICIENTS, _BANDS, norm="ortho"))
        self.register_buffer("slope", (slope / slope.square().sum()).view(1, 1, -1))
        self.register_buffer("chroma_filters", torch.from_numpy(chroma_filters.T.copy()))
        self.eval().requires_grad_(False)

    def forward(self, waveform: Tensor) -> Tensor:
        """Encode (B, T) samples as (B, 1, frames, 52)."""
        power = self.mel_spectrum(waveform).square() @ self.mel_filters
        mfcc = power.clamp_min(_FLOOR).log10() @ self.cosines
        frames = torch.cat([mfcc, self._slopes(mfcc), self._chroma(waveform)], dim=-1)
        return frames.unsqueeze(1)

    def _slopes(self, mfcc: Tensor) -> Tensor:
        """Regression slopes over time of (B, frames, coefficients), ends held."""
        tracks = mfcc.mT.flatten(0, 1).unsqueeze(1)
        padded = functional.pad(tracks, (_DELTA_REACH, _DELTA_REACH), mode="replicate")
        return functional.conv1d(padded, self.slope).view_as(mfcc.mT).mT

    def _chroma(self, waveform: Tensor) -> Tensor:
        """Pitch-class energies (B, frames, 12) of (B, T) samples, at most 1."""
        energy: Tensor = self.chroma_spectrum(waveform).square() @ self.chroma_filters
        return energy / energy.amax(dim=-1, keepdim=True).clamp_min(_FLOOR)
