"""Tasks as LightningModules, for example ``motionbeat.tasks.BeatTracking``.

The module of a task is imported on first use of its class.
"""

from importlib import import_module
from typing import Any

_CLASSES = {
    "beat_tracking": "BeatTracking",
    "dance_generation": "DanceGeneration",
    "emotion": "EmotionRegression MoodTagging",
    "genre": "GenreClassification",
    "instrument": "InstrumentClassification InstrumentTagging PitchClassification",
    "music_motion_retrieval": "MusicMotionRetrieval MusicMotionRetrieval2D",
    "tagging": "Tagging",
    "tempo_estimation": "TempoEstimation",
}
_MODULES = {name: module for module, names in _CLASSES.items() for name in names.split()}
__all__ = list(_MODULES)


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return [*globals(), *_MODULES]
