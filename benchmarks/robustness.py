"""What is left of a frozen probe's score when the test audio is deformed.

The run is the ordinary one on a dataset whose test split holds every track in every deformation
too, so records, resuming and the embedding store are the ordinary ones; a record's scores are those
of the clean tracks, and its evidence speaks of all.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

from motionbeat.benchmarks.deformations import CLEAN, Deformed
from motionbeat.benchmarks.records import Protocol, RunRecord
from motionbeat.benchmarks.registry import ENCODERS
from motionbeat.benchmarks.runner import Fold, Folders, ProtocolError, Run, plan
from motionbeat.data_modules.base import MotionFile
from motionbeat.tasks.base import Evidence


def deformation_of(track: str) -> str:
    """Name of the deformation that a track id of :class:`Deformed` begins with."""
    return track.partition("/")[0]


class DeformedRun(Run):
    """A run on deformed datasets, whose scores are those of the clean tracks."""

    @cached_property
    def folds(self) -> list[Fold]:
        """The folds, whose probes learn from the dataset as it is."""
        return [
            replace(fold, teacher=fold.teacher.original)
            if isinstance(fold.teacher, Deformed)
            else fold
            for fold in super().folds
        ]

    def counted(self, evidence: Evidence) -> Evidence:
        """The evidence of the clean tracks."""
        return part(evidence, [track.id for track in self.test_tracks], CLEAN)


def part(evidence: Evidence, tracks: Sequence[str], deformation: str) -> Evidence:
    """The evidence of the tracks in one deformation."""
    chosen = [deformation_of(track) == deformation for track in tracks]
    return {name: values[:, chosen] for name, values in evidence.items()}


def bench(
    task: str,
    dataset: str,
    encoders: Sequence[str],
    protocol: Protocol,
    folders: Folders,
    dataset_options: Mapping[str, Any] | None = None,
) -> list[RunRecord]:
    """Score frozen probes on clean and deformed test audio, as :func:`runner.bench`.

    Raises:
        MotionBeatError: as there; or the task matches dances, which a deformation would leave
            behind.
    """
    classes = [ENCODERS.get(name) for name in encoders]
    run = plan(task, dataset, protocol, folders, dataset_options)
    if MotionFile in run.task.needs:
        raise ProtocolError(
            f"task '{run.task.name}' matches music with dances, which do not follow deformed "
            "audio; choose another task or leave --deform out"
        )
    modules = [Deformed(module, folders.cache / "deformed") for module in run.modules]
    shown = replace(folders, results=folders.results / "robustness")
    return DeformedRun(run.task, modules, protocol, shown).rows(classes, ())
