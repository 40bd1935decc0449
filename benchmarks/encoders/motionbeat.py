"""MotionBeat's audio tower, trained and untrained."""

from dataclasses import replace
from typing import ClassVar

from motionbeat.encoder import EncoderCard
from motionbeat.model import SIZES, MotionBeatEncoder
from motionbeat.weights import CARDS, load_model, untrained


class MotionBeatSmall(MotionBeatEncoder):
    """The shipped weights."""

    card: ClassVar[EncoderCard] = CARDS["motionbeat-small"]

    def __init__(self) -> None:
        super().__init__(load_model(self.card.name))


class MotionBeatEmbodied(MotionBeatEncoder):
    """The shipped weights without the sound stream: what dances and true beats have taught.

    What distillation brings is the difference to motionbeat-small.
    """

    card: ClassVar[EncoderCard] = replace(
        MotionBeatSmall.card,
        name="motionbeat-embodied",
        width=MotionBeatEncoder.width(SIZES["small"], embodied=True),
        parameters=2_983_804,
        training_data=tuple(
            name
            for name in MotionBeatSmall.card.training_data
            if name not in ("Million Song Dataset", "MTG-Jamendo")
        ),
    )

    def __init__(self) -> None:
        super().__init__(load_model(MotionBeatSmall.card.name), embodied=True)


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
