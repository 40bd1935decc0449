"""Tempo estimation on datasets without annotated beats."""

from collections.abc import Sequence
from typing import ClassVar

from motionbeat.data_modules.base import Beats, Tempo, Track
from motionbeat.tasks.beat_baselines import Chance, Madmom
from motionbeat.tasks.beat_tracking import BeatTracking
from motionbeat.tasks.contract import Baseline
from motionbeat.tasks.decoders import BeatPrediction
from motionbeat.tasks.metrics.beat import tempo_scores
from motionbeat.tasks.metrics.per_track import Scores


class TempoEstimation(BeatTracking):
    """Tempo, estimated by heads that were trained for beat tracking on another dataset.

    Heads, decoders and validation are those of beat tracking, on the dataset that the card names
    as ``trained_on``. The per-track scores are those of :func:`metrics.beat.tempo_scores` for the
    peak picker and (prefix ``dbn_``) for the dynamic Bayesian network.
    """

    name = "tempo"
    version = 2
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
            for prefix, estimate in (("", prediction), ("dbn_", prediction.dbn))
            for name, value in tempo_scores(bpm, estimate.tempo).items()
        }

    @classmethod
    def baselines(cls) -> Sequence[Baseline]:
        """Chance, and madmom's tracker."""
        return (Chance(), Madmom())
