"""LAION-CLAP, a Swin transformer that hears what captions say (Wu, Chen et al., 2023).

Paper: https://arxiv.org/abs/2211.06687; weights:
https://huggingface.co/laion/larger_clap_music, made from ``music_audioset_epoch_15_esc_90.14.pt``
of https://github.com/LAION-AI/CLAP, which says what it was trained on.
"""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from motionbeat.benchmarks.encoders.pretrained.hub import TRANSFORMERS, HubEncoder, pretrained
from motionbeat.encoder import Encoder, EncoderCard

_SAMPLE_RATE = 48_000
_LOWEST, _HIGHEST = 50, 14_000  # Hz
_FFT_SIZE = 1024
_FRAMES = 32  # of a window
_FLOOR = 1e-10  # of power


class HtsatEncoder(Encoder):
    """HTSAT, a transformer over windows of a spectrum that are folded into a square each.

    It thins a window out, stage by stage, to 32 frames; longer input is cut into such windows, so
    that what a frame is told depends on where they begin. The last one is filled up by repeating
    the piece, as short ones are in the published preprocessing. The hidden layer joins the embedded
    patches and the states of all stages, averaged over frequency and over the time of such a frame.

    Attributes:
        hop: distance of spectra in samples.
        frame: distance of frames in samples.
    """

    packages: ClassVar[Mapping[str, str]] = TRANSFORMERS
    hop: ClassVar[int]
    frame: ClassVar[int]

    mel_filters: Tensor
    window: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.model, mel_filters = self.load()
        self.register_buffer("mel_filters", mel_filters, persistent=False)
        self.register_buffer("window", torch.hann_window(_FFT_SIZE), persistent=False)
        self.eval().requires_grad_(False)

    @abstractmethod
    def load(self) -> tuple[Any, Tensor]:
        """The network, a ``ClapAudioModel``, and the weights (513, bands) of its mel bands."""

    def forward(self, waveform: Tensor) -> Tensor:
        """Encode (B, T) samples as (B, 1, T // frame + 1, width)."""
        whole = _FRAMES * self.frame
        frames = waveform.shape[-1] // self.frame + 1
        windows = -(-frames // _FRAMES)
        padded = functional.pad(waveform, (self.frame // 2, 0))
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
        spectrum = torch.stft(
            waveform, _FFT_SIZE, self.hop, window=self.window, return_complex=True
        )
        power = spectrum.abs().square().mT @ self.mel_filters
        return 10 * power.clamp_min(_FLOOR).log10()


class ClapMusic(HtsatEncoder, HubEncoder):
    """The audio tower of CLAP trained on music, AudioSet and LAION-Audio-630k.

    It sees 10 s at a time. Frames lie within 5 ms of their nominal times, as the network stretches
    1001 frames of spectrum to 1024.

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
    context: ClassVar[float] = 10.0
    repo: ClassVar[str] = "laion/larger_clap_music"
    commit: ClassVar[str] = "a0b4534a14f58e20944452dff00a22a06ce629d1"
    files: ClassVar[Sequence[str]] = ("config.json", "pytorch_model.bin")
    hop: ClassVar[int] = 480
    frame: ClassVar[int] = 15_000

    def load(self) -> tuple[Any, Tensor]:
        """The network from the hub, and mel bands of Slaney's kind."""
        import librosa
        from transformers import ClapAudioModelWithProjection

        model = pretrained(ClapAudioModelWithProjection, self.folder()).audio_model
        bands = model.config.num_mel_bins
        mel_filters = librosa.filters.mel(
            sr=_SAMPLE_RATE, n_fft=_FFT_SIZE, n_mels=bands, fmin=_LOWEST, fmax=_HIGHEST
        )
        return model, torch.from_numpy(mel_filters.T)
