"""Log-mel spectrum: the floor that every learned encoder should beat."""

from typing import ClassVar

from torch import Tensor

from motionbeat.encoder import Encoder, EncoderCard
from motionbeat.spectrum import LogMelSpectrum

_SAMPLE_RATE = 24_000
_HOP = 480


class LogMel(Encoder):
    """Eighty log-mel bands as a single hidden layer."""

    card: ClassVar[EncoderCard] = EncoderCard(
        name="logmel",
        revision="1",
        sample_rate=_SAMPLE_RATE,
        frame_rate=_SAMPLE_RATE / _HOP,
        layers=1,
        width=80,
        parameters=0,
        licence="Apache-2.0",
        training_data=(),
        source="MotionBeat Bench, benchmarks/encoders/logmel.py",
        unequal_lengths=True,
    )
    context: ClassVar[float] = 0.05

    def __init__(self) -> None:
        super().__init__()
        self.frontend = LogMelSpectrum(_SAMPLE_RATE, _HOP, self.card.width)
        self.eval().requires_grad_(False)

    def forward(self, waveform: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Encode (B, T) samples as (B, 1, frames, 80); beyond the end there is silence anyway."""
        frames: Tensor = self.frontend(waveform)
        return frames.unsqueeze(1)
