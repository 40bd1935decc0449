"""MotionBeat's audio tower, trained and untrained."""

from dataclasses import replace
from typing import ClassVar

import torch

from motionbeat.encoder import EncoderCard
from motionbeat.model import MotionBeat, MotionBeatEncoder
from motionbeat.weights import CARDS, load_model


class MotionBeatSmall(MotionBeatEncoder):
    """The shipped weights."""

    card: ClassVar[EncoderCard] = CARDS["motionbeat-small"]

    def __init__(self) -> None:
        super().__init__(load_model(self.card.name))


class MotionBeatRandom(MotionBeatEncoder):
    """The same architecture with random weights, such as training begins with."""

    card: ClassVar[EncoderCard] = replace(
        MotionBeatSmall.card,
        name="motionbeat-random",
        training_data=(),
        source="MotionBeat Bench, src/motionbeat/model.py",
    )

    def __init__(self) -> None:
        super().__init__(untrained())


def untrained() -> MotionBeat:
    """The small model with the same random weights on every call."""
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        return MotionBeat("small").eval().requires_grad_(False)
