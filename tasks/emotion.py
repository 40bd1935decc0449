"""Emotion of a track: a point on the plane of arousal and valence, or moods by name."""

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from motionbeat.data_modules.base import Emotion, Moods, Track
from motionbeat.tasks.clip_task import MultiLabelTask, RegressionTask


class EmotionRegression(RegressionTask):
    """How aroused, and how pleasant?"""

    name = "emotion"
    version = 2
    needs = (Emotion,)
    numbers = ("arousal", "valence")
    headline: ClassVar = {
        "r2": "mean R²",
        "r2_arousal": "R² arousal",
        "r2_valence": "R² valence",
        "pearson_arousal": "r arousal",
        "pearson_valence": "r valence",
        "ccc_arousal": "CCC arousal",
        "ccc_valence": "CCC valence",
    }

    @classmethod
    def target(cls, track: Track, names: Sequence[str]) -> NDArray[np.float64]:
        """Arousal and valence."""
        emotion = track.get(Emotion)
        return np.array([emotion.arousal, emotion.valence])


class MoodTagging(MultiLabelTask):
    """Which emotions, by name?"""

    name = "mood"
    version = 2
    needs = (Moods,)
