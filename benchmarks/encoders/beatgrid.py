"""What MotionBeat's front end knows by itself: the beats and bars it lays its tokens on."""

import math
from collections.abc import Iterator
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from motionbeat.encoder import Encoder, EncoderCard
from motionbeat.layers import BAR_HARMONICS
from motionbeat.model import FRAME_RATE, AudioFrontend, frame_times
from motionbeat.rhythm import onset_envelope
from motionbeat.spectrum import AUDIO_FRAME_RATE, SAMPLE_RATE

_BEAT_HARMONICS = (1, 2, 3, 4)
_PULSE = 0.03  # s
_WIDTH = 3 + 2 * (len(BAR_HARMONICS) + len(_BEAT_HARMONICS))


class BeatGridEncoder(Encoder):
    """Onset envelope and beat grid as a single hidden layer; nothing is learned.

    Feature 0 is the onset envelope; 1 and 2 are bumps of 30 ms on beats and downbeats; the others
    are cosines and sines of the bar phase and of the beat phase at their harmonics.
    """

    card: ClassVar[EncoderCard] = EncoderCard(
        name="beatgrid",
        revision="2",
        sample_rate=SAMPLE_RATE,
        frame_rate=FRAME_RATE,
        layers=1,
        width=_WIDTH,
        parameters=0,
        licence="Apache-2.0",
        training_data=(),
        source="MotionBeat Bench, src/motionbeat/rhythm.py",
    )
    context: ClassVar[float] = math.inf

    def __init__(self) -> None:
        super().__init__()
        self.listening = AudioFrontend()
        self.eval().requires_grad_(False)

    def forward(self, waveform: Tensor) -> Tensor:
        """Encode (B, T) samples as (B, 1, frames, 17)."""
        return self._features(self.listening.spectrum(waveform), frame_times(waveform))

    def stream(self, waveform: Tensor) -> Iterator[Tensor]:
        """Encode a whole recording, without its waveform while beats are tracked."""
        log_mel, seconds = self.listening.spectrum(waveform), frame_times(waveform)
        del waveform  # frees a gigabyte for three hours
        yield self._features(log_mel, seconds)[0]

    def _features(self, log_mel: Tensor, seconds: Tensor) -> Tensor:
        """Features (B, 1, frames, 17) at (B, frames) seconds."""
        clock = self.listening.beats(log_mel)
        envelope = torch.stack(
            [
                torch.from_numpy(onset_envelope(one, AUDIO_FRAME_RATE))
                for one in log_mel.float().cpu().numpy()
            ]
        ).to(seconds.device)
        nearby = functional.max_pool1d(envelope, 3, stride=1, padding=1)
        frame = (seconds * AUDIO_FRAME_RATE).round().long().clamp_max(envelope.shape[1] - 1)
        beat, phase = clock.beat(seconds), clock.phase_at(seconds)
        metre = clock.beats_per_bar[:, None]
        period = clock.periods.gather(1, beat.floor().long().clamp(0, clock.periods.shape[1] - 1))
        in_bar = phase / (2 * math.pi) * metre
        from_beat = (in_bar - in_bar.round()) * period
        from_bar = (in_bar - metre * (in_bar / metre).round()) * period
        angles = [k * phase for k in BAR_HARMONICS]
        angles += [k * metre * phase for k in _BEAT_HARMONICS]
        features = [
            nearby.gather(1, frame),
            *(torch.exp(-0.5 * (away / _PULSE) ** 2) for away in (from_beat, from_bar)),
            *(turn(angle) for angle in angles for turn in (torch.cos, torch.sin)),
        ]
        return torch.stack(features, dim=-1).unsqueeze(1).to(log_mel.dtype)
