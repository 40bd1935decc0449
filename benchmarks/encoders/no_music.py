"""Nothing: what a probe does that hears no music at all."""

from typing import ClassVar

import torch
from torch import Tensor

from motionbeat.encoder import Encoder, EncoderCard

_SAMPLE_RATE = 8_000
_HOP = 160


class NoMusic(Encoder):
    """A single feature that is always 0; only the length of the music gets through."""

    card: ClassVar[EncoderCard] = EncoderCard(
        name="no-music",
        revision="1",
        sample_rate=_SAMPLE_RATE,
        frame_rate=_SAMPLE_RATE / _HOP,
        layers=1,
        width=1,
        parameters=0,
        licence="Apache-2.0",
        training_data=(),
        source="MotionBeat Bench, benchmarks/encoders/no_music.py",
        unequal_lengths=True,
    )
    context: ClassVar[float] = 0.0

    def __init__(self) -> None:
        super().__init__()
        self.eval()

    def forward(self, waveform: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Encode (B, T) samples as (B, 1, frames, 1) zeros."""
        return torch.zeros(
            len(waveform), 1, waveform.shape[1] // _HOP + 1, 1, device=waveform.device
        )
