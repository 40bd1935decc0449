"""Emotion of a track: arousal and valence, or moods by name."""

from typing import ClassVar

from motionbeat.data_modules.base import Emotion, Moods
from motionbeat.tasks.clip_task import MultiLabelTask, RegressionTask


class EmotionRegression(RegressionTask):
    """Arousal and valence of a track, each in [-1, 1]."""

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


class MoodTagging(MultiLabelTask):
    """Moods of a track, several classes."""

    name = "mood"
    version = 2
    needs = (Moods,)
