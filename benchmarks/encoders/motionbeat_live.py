"""MotionBeat's audio tower with attention to the past."""

from typing import ClassVar

from motionbeat.encoder import EncoderCard
from motionbeat.live import LiveEncoder
from motionbeat.weights import CARDS, load_model


class MotionBeatLive(LiveEncoder):
    """The shipped weights: a frame depends on sound up to its time and on none after it."""

    card: ClassVar[EncoderCard] = CARDS["motionbeat-live"]

    def __init__(self) -> None:
        super().__init__(load_model(self.card.name))
