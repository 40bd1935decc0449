"""LAION-CLAP, a Swin transformer that hears what captions say (Wu, Chen et al., 2023).

Paper: https://arxiv.org/abs/2211.06687; weights:
https://huggingface.co/laion/larger_clap_music, made from ``music_audioset_epoch_15_esc_90.14.pt``
of https://github.com/LAION-AI/CLAP, which says what it was trained on.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.encoders.hub import TRANSFORMERS, HubEncoder, pretrained
from motionbeat.encoder import EncoderCard

_SAMPLE_RATE = 48_000
_HOP, _FFT_SIZE = 480, 1024
_LOWEST, _HIGHEST = 50, 14_000  # Hz
_SECONDS = 10
_FLOOR = 1e-10  # of power


class ClapMusic(HubEncoder):
    """The audio tower of CLAP trained on music, AudioSet and LAION-Audio-630k.

    It sees 10 s at a time and thins them out, stage by stage, to 32 frames of 0.31 s; longer input
    is cut into such windows, the last of which is filled up by repeating the piece, as short ones
    are in the published preprocessing. The hidden layer joins the embedded patches and the states
    of all stages, averaged over frequency and over the time of such a frame. Frames lie within
    5 ms of their nominal times, as the network stretches 1001 frames of spectrum to 1024.

    Raises:
        HubError: the weights cannot be had or read.
    """

    card: ClassVar[EncoderCard] = EncoderCard(
        name="clap-music",
        revision="1@a0b4534a",
        sample_rate=_SAMPLE_RATE,
        frame_rate=3.2,
        layers=1,
        width=128 + 128 + 256 + 512 + 1024,
        parameters=67_824_408,
        licence="Apache-2.0",
        training_data=("AudioSet", "LAION-Audio-630K", "music (undisclosed)"),
        source="https://arxiv.org/abs/2211.06687, https://huggingface.co/laion/larger_clap_music",
    )
    context: ClassVar[float] = float(_SECONDS)
    packages: ClassVar[Mapping[str, str]] = TRANSFORMERS
    repo: ClassVar[str] = "laion/larger_clap_music"
    commit: ClassVar[str] = "a0b4534a14f58e20944452dff00a22a06ce629d1"
    files: ClassVar[Sequence[str]] = ("config.json", "pytorch_model.bin")

    mel_filters: Tensor
    window: Tensor

    def __init__(self) -> None:
        super().__init__()
        import librosa
        from transformers import ClapAudioModelWithProjection

        self.model = pretrained(ClapAudioModelWithProjection, self.folder()).audio_model
        bands = self.model.config.num_mel_bins
        mel_filters = librosa.filters.mel(
            sr=_SAMPLE_RATE, n_fft=_FFT_SIZE, n_mels=bands, fmin=_LOWEST, fmax=_HIGHEST
        )
        self.register_buffer("mel_filters", torch.from_numpy(mel_filters.T), persistent=False)
        self.register_buffer("window", torch.hann_window(_FFT_SIZE), persistent=False)
        self.eval().requires_grad_(False)

    def forward(self, waveform: Tensor) -> Tensor:
        """Encode (B, T) samples as (B, 1, T // 15000 + 1, width)."""
        hop = round(_SAMPLE_RATE / self.card.frame_rate)
        whole = _SECONDS * _SAMPLE_RATE
        frames = waveform.shape[-1] // hop + 1
        windows = -(-frames * hop // whole)
        padded = functional.pad(waveform, (hop // 2, 0))
        repeated = torch.arange(windows * whole, device=waveform.device) % padded.shape[-1]
        mel = self._log_mel(padded[:, repeated].view(-1, whole))
        hidden = self.model.audio_encoder(
            mel.unsqueeze(1),
            output_hidden_states=True,
            output_hidden_states_before_downsampling=True,
        ).hidden_states
        states = torch.cat([self._along_time(stage, hidden[-1].shape[-1]) for stage in hidden], -1)
        return states.view(len(waveform), 1, -1, states.shape[-1])[:, :, :frames]

    def _along_time(self, stage: Tensor, columns: int) -> Tensor:
        """States (B, width, rows, columns) of a stage as (B, frames, width).

        Its rows hold quarters of the window one below the other, in each the frequencies.
        """
        quarters = self.model.audio_encoder.freq_ratio
        batch, width, rows, across = stage.shape
        cells = stage.reshape(batch, width, quarters, rows // quarters, columns, across // columns)
        return cells.mean(dim=(3, 5)).flatten(2).mT

    def _log_mel(self, waveform: Tensor) -> Tensor:
        """Mel spectrum (B, frames, bands) in decibel of (B, T) samples."""
        spectrum = torch.stft(waveform, _FFT_SIZE, _HOP, window=self.window, return_complex=True)
        power = spectrum.abs().square().mT @ self.mel_filters
        return 10 * power.clamp_min(_FLOOR).log10()
