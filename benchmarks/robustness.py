"""What is left of a frozen probe's score when the test audio is deformed.

The evaluation is the ordinary one on a dataset whose test split holds every track in every
deformation too, so records, resuming and the embedding store are the ordinary ones; a record's
scores are those of the clean tracks, and its per-track scores are those of all.
"""

from collections.abc import Sequence
from dataclasses import fields
from functools import cached_property

from motionbeat.benchmarks.deformations import CLEAN, Deformed
from motionbeat.benchmarks.evaluator import Evaluation, Fold, ProtocolError
from motionbeat.data_modules.base import MotionFile
from motionbeat.tasks.metrics.per_track import PerTrackScores


def deformation_of(track: str) -> str:
    """Name of the deformation that a track id of :class:`Deformed` begins with."""
    return track.partition("/")[0]


class DeformedEvaluation(Evaluation):
    """An evaluation on deformed test splits, whose scores are those of the clean tracks."""

    @classmethod
    def of(cls, evaluation: Evaluation) -> "DeformedEvaluation":
        """The same evaluation on deformed test splits.

        Raises:
            ProtocolError: the task matches dances, which a deformation would leave behind.
        """
        if MotionFile in evaluation.task.needs:
            raise ProtocolError(
                f"task '{evaluation.task.name}' matches music with dances, which do not follow "
                "deformed audio; choose another task or leave --deform out"
            )
        settings = {field.name: getattr(evaluation, field.name) for field in fields(evaluation)}
        folder = evaluation.folders.cache / "deformed"
        return cls(**settings | {"modules": [Deformed(one, folder) for one in evaluation.modules]})

    @cached_property
    def folds(self) -> list[Fold]:
        """The folds, whose probes learn from the dataset as it is."""
        return [
            Fold(fold.task, fold.train_data.original, fold.test_data)
            if isinstance(fold.train_data, Deformed)
            else fold
            for fold in super().folds
        ]

    @cached_property
    def clean(self) -> list[bool]:
        """Which of the test tracks are as they were recorded."""
        return [deformation_of(track.id) == CLEAN for track in self.test_tracks]

    def scored(self, per_track: PerTrackScores) -> PerTrackScores:
        """The per-track scores of the clean tracks."""
        return {name: values[:, self.clean] for name, values in per_track.items()}

    def scored_groups(self, groups: Sequence[str]) -> Sequence[str]:
        """The groups of the clean tracks."""
        return [group for group, clean in zip(groups, self.clean, strict=True) if clean]
