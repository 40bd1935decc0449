"""MERT, a HuBERT of music that predicts codec tokens and a constant-Q spectrum (Li et al., 2023).

The repositories hold code of their own, which is not run: with the settings of both published
models (no constant-Q input, no DeepNorm) it comes to the network of HuBERT under the same names of
weights. Their setting ``attention_relax`` only guards a softmax against overflow in half
precision, and is not read by the encoder that the larger model uses.

Paper: https://arxiv.org/abs/2306.00107; weights: https://huggingface.co/m-a-p/MERT-v1-95M and
https://huggingface.co/m-a-p/MERT-v1-330M.
"""

import dataclasses
from typing import ClassVar

from motionbeat.benchmarks.encoders.pretrained.wav2vec import WaveformTransformer
from motionbeat.encoder import EncoderCard


class Mert95(WaveformTransformer):
    """MERT-v1-95M."""

    card: ClassVar[EncoderCard] = EncoderCard(
        name="mert-v1-95m",
        revision="1@12af15fe",
        sample_rate=24_000,
        frame_rate=75.0,
        layers=13,
        width=768,
        parameters=94_371_712,
        licence="CC-BY-NC-4.0",
        training_data=("20 000 h of music from the internet (undisclosed)",),
        source="https://arxiv.org/abs/2306.00107, https://huggingface.co/m-a-p/MERT-v1-95M",
    )
    repo: ClassVar[str] = "m-a-p/MERT-v1-95M"
    commit: ClassVar[str] = "12af15fef9d0ac838c3f475bfbbf26d2060dd4f5"


class Mert330(WaveformTransformer):
    """MERT-v1-330M."""

    card: ClassVar[EncoderCard] = dataclasses.replace(
        Mert95.card,
        name="mert-v1-330m",
        revision="1@5240c270",
        layers=25,
        width=1024,
        parameters=315_428_992,
        training_data=("160 000 h of music from the internet (undisclosed)",),
        source="https://arxiv.org/abs/2306.00107, https://huggingface.co/m-a-p/MERT-v1-330M",
    )
    repo: ClassVar[str] = "m-a-p/MERT-v1-330M"
    commit: ClassVar[str] = "5240c2708a5acaee1007f43fb9735c7dcd0b78c9"
