"""MotionBeat's audio tower, trained and untrained."""

from typing import ClassVar

import torch

from motionbeat.encoder import EncoderCard
from motionbeat.model import FRAME_RATE, SAMPLE_RATE, SIZES, MotionBeat, MotionBeatEncoder
from motionbeat.weights import load_model

_SMALL = SIZES["small"]


class MotionBeatSmall(MotionBeatEncoder):
    """The shipped weights."""

    card: ClassVar[EncoderCard] = EncoderCard(
        name="motionbeat-small",
        revision="1",
        sample_rate=SAMPLE_RATE,
        frame_rate=FRAME_RATE,
        layers=_SMALL.audio_blocks + 1,
        width=_SMALL.width,
        parameters=2_982_646,
        licence="Apache-2.0",
        training_data=("groovebox", "groove_midi"),
        source="MotionBeat Bench, src/motionbeat/pretrained/motionbeat-small.md",
    )

    def __init__(self) -> None:
        super().__init__(load_model(self.card.name), self.card)


class MotionBeatRandom(MotionBeatEncoder):
    """The same architecture with the random weights training begins with."""

    card: ClassVar[EncoderCard] = EncoderCard(
        name="motionbeat-random",
        revision="1",
        sample_rate=SAMPLE_RATE,
        frame_rate=FRAME_RATE,
        layers=_SMALL.audio_blocks + 1,
        width=_SMALL.width,
        parameters=2_982_646,
        licence="Apache-2.0",
        training_data=(),
        source="MotionBeat Bench, src/motionbeat/model.py",
    )

    def __init__(self) -> None:
        with torch.random.fork_rng(devices=()):
            torch.manual_seed(0)
            model = MotionBeat("small")
        super().__init__(model, self.card)
