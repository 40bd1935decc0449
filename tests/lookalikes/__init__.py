"""Tiny copies of published datasets, with their layouts, formats and quirks, and sounds of our own.

A module a dataset (or a family that shares its audio) has ``HOME``, the folder's name; ``COUNTS``,
by dataset name the number of tracks that ``write(folder)`` makes it list; and ``PATCHES``, a
(object, attribute, value) for each constant that cannot be true of so small a copy.
"""

from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from types import ModuleType

import numpy as np
import pytest
import soundfile

from motionbeat.benchmarks.registry import DATASETS
from motionbeat.data_modules.base import SPLITS, DataModule, Track


def tone(seed: int, seconds: float, rate: int = 22050, channels: int = 1) -> np.ndarray:
    """A tone with some noise and clicks twice a second; other seeds sound otherwise."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * rate)) / rate
    sound = 0.3 * np.sin(2 * np.pi * 110 * (1 + seed % 12) * time)
    sound += 0.02 * rng.standard_normal(len(time)) + 0.5 * (time % 0.5 < 0.01)
    return np.repeat(sound[:, None], channels, axis=1) if channels > 1 else sound


def write_audio(path: Path, seed: int, seconds: float = 2.0, rate: int = 22050, **options) -> None:
    """Write a tone; the format follows from the name, unless ``format`` and ``subtype`` say it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    channels = options.pop("channels", 1)
    soundfile.write(path, tone(seed, seconds, rate, channels), rate, **options)


def place(module: ModuleType, root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write a copy into ``root/data`` and make its datasets expect no more than is in it."""
    for name, count in module.COUNTS.items():
        monkeypatch.setattr(DATASETS.get(name), "count", count)
    for target, attribute, value in module.PATCHES:
        monkeypatch.setattr(target, attribute, value)
    folder = root / "data" / module.HOME
    folder.mkdir(parents=True)
    module.write(folder)
    return folder


def every(dataset: DataModule) -> dict[str, Track]:
    """All tracks of a dataset by id."""
    return {track.id: track for split in SPLITS for track in dataset.tracks(split)}


# Last: the modules need what is above.
MODULES = {
    found.name: import_module(f"{__name__}.{found.name}") for found in iter_modules(__path__)
}
