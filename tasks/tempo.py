"""Tempo of datasets whose beats nobody annotated."""

from collections.abc import Sequence
from typing import ClassVar

from motionbeat.data_modules.base import Beats, Tempo, Track
from motionbeat.tasks.base import Reference, Scores
from motionbeat.tasks.beat import BeatTask
from motionbeat.tasks.beat_references import Chance, Madmom
from motionbeat.tasks.decoders import BeatPrediction
from motionbeat.tasks.metrics.beat import tempo_scores


class TempoTask(BeatTask):
    """How fast? Answered by probes that learned to find beats where beats are annotated.

    Probes, decoders and validation are those of the beat task, on the dataset that the card names
    under ``trained_on``. The evidence of a track holds :func:`metrics.beat.tempo_scores` for
    the peak picker and (prefix ``dbn_``) for the dynamic Bayesian network.
    """

    name = "tempo"
    version = 1
    needs = (Tempo,)
    learned_from = (Beats,)
    primary = "acc1"
    headline: ClassVar = {
        "acc1": "Acc1",
        "acc2": "Acc2",
        "dbn_acc1": "DBN Acc1",
        "dbn_acc2": "DBN Acc2",
    }

    @classmethod
    def score(cls, prediction: BeatPrediction, track: Track) -> Scores:
        """Both accuracies of both decoders."""
        bpm = track.get(Tempo).bpm
        return {
            f"{prefix}{name}": value
            for prefix, estimate in zip(("", "dbn_"), prediction, strict=True)
            for name, value in tempo_scores(bpm, estimate.tempo).items()
        }

    @classmethod
    def references(cls) -> Sequence[Reference]:
        """Chance, and madmom's tracker."""
        return (Chance(), Madmom())
