"""What decides a number: keys of probes and of finished runs."""

import dataclasses
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from motionbeat.benchmarks.store import file_digest
from motionbeat.cache import digest
from motionbeat.data_modules.base import Track


def tracks_key(tracks: Iterable[Track]) -> str:
    """Key of tracks: their ids, groups, annotations and the content of their files."""
    return digest(
        tracks=[
            [
                track.id,
                track.group,
                round(track.duration, 6),
                file_digest(track.audio_path),
                [[type(one).__name__, _content(one)] for one in track.annotations],
            ]
            for track in tracks
        ]
    )


def _content(value: object) -> object:
    """A value as JSON that tells it apart from others of its type."""
    if dataclasses.is_dataclass(value):
        return [_content(getattr(value, field.name)) for field in dataclasses.fields(value)]
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, frozenset):
        return sorted(value)
    if isinstance(value, Path):
        return file_digest(value)
    return value
