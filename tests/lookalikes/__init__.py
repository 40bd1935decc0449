"""Tiny copies of published datasets, with their layouts, formats and quirks, and sounds of our own.

A function that writes a copy is registered by :func:`copy`, under the name of its folder and with
the number of tracks that it makes each dataset list.
"""

import hashlib
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import soundfile

from motionbeat.benchmarks.registry import DATASETS
from motionbeat.data_modules.base import SPLITS, DataModule, Track


class Copy(NamedTuple):
    home: str
    count: int
    write: Callable[[Path], None]


COPIES: dict[str, Copy] = {}
"""The copy of each dataset, by its name."""


def copy(home: str, **counts: int) -> Callable[[Callable[[Path], None]], Callable[[Path], None]]:
    """Register what writes the copy of one or several datasets in a folder."""

    def register(write: Callable[[Path], None]) -> Callable[[Path], None]:
        COPIES.update({name: Copy(home, count, write) for name, count in counts.items()})
        return write

    return register


def place(name: str, root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write a copy into ``root/data``, once; its datasets expect no more than is in it."""
    home, count, write = COPIES[name]
    monkeypatch.setattr(DATASETS.get(name), "count", count)
    folder = root / "data" / home
    if not folder.is_dir():
        folder.mkdir(parents=True)
        write(folder)
    return folder


def every(dataset: DataModule) -> dict[str, Track]:
    """All tracks of a dataset by id."""
    return {track.id: track for split in SPLITS for track in dataset.tracks(split)}


def tone(seed: int, seconds: float, rate: int = 22050, channels: int = 1) -> np.ndarray:
    """A tone with some noise and clicks twice a second; other seeds sound otherwise."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * rate)) / rate
    sound = 0.3 * np.sin(2 * np.pi * 110 * (1 + seed % 12) * time)
    sound += 0.02 * rng.standard_normal(len(time)) + 0.5 * (time % 0.5 < 0.01)
    return np.repeat(sound[:, None], channels, axis=1) if channels > 1 else sound


def write_audio(
    path: Path, seed: int, seconds: float = 2.0, rate: int = 22050, channels: int = 1, **options
) -> None:
    """Write a tone; the format follows from the name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, tone(seed, seconds, rate, channels), rate, **options)


def write_text(path: Path, lines: Iterable[str], end: str = "\n") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + end, encoding="utf-8")


def md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes()).hexdigest()


def write_index(
    folder: Path,
    name: str,
    tracks: dict[str, dict[str, str | None]],
    metadata: dict[str, str] | None = None,
) -> None:
    """Write mirdata's index of files that are in place; a path that is None is nobody's."""

    def entry(path: str | None) -> list[str | None]:
        return [path, path and md5(folder / path)]

    index: dict[str, object] = {
        "version": "1.0",
        "tracks": {
            id: {kind: entry(path) for kind, path in files.items()} for id, files in tracks.items()
        },
        "metadata": {key: entry(path) for key, path in (metadata or {}).items()},
    }
    (folder / name).write_text(json.dumps(index, indent=2))


# Last: they need what is above.
from tests.lookalikes import dance, labels, rhythm  # noqa: E402, F401
