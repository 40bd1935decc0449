"""Keys of probes and of finished runs: digests of everything that determines a number."""

import dataclasses
import inspect
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from motionbeat.benchmarks.digests import file_digest
from motionbeat.benchmarks.records import PROTOCOL
from motionbeat.benchmarks.store import FRAMES_VERSION, POOLED_VERSION
from motionbeat.cache import digest
from motionbeat.data_modules.base import Track
from motionbeat.tasks.task import Task


def task_key(task: type[Task], version: int) -> str:
    """Key of a task: version, training recipe, form of the features, and code.

    Code of this project is represented by the task's version, other code by a digest of its file.
    """
    own = task.__module__.startswith("motionbeat.")
    return digest(
        protocol=PROTOCOL,
        name=task.name,
        version=version,
        recipe=dataclasses.asdict(task.recipe),
        features=[FRAMES_VERSION, POOLED_VERSION, task.segment_seconds, task.target_rate],
        one_cycle=task.one_cycle,
        code=None if own else file_digest(Path(inspect.getfile(task))),
    )


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
    """A JSON value that identifies ``value`` among values of its type."""
    if dataclasses.is_dataclass(value):
        return [_content(getattr(value, field.name)) for field in dataclasses.fields(value)]
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, frozenset):
        return sorted(value)
    if isinstance(value, Path):
        return file_digest(value)
    return value
