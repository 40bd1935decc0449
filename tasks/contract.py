"""What a task needs, asks and is scored by: all that can be said of it without an encoder."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from motionbeat.data_modules.base import Annotation, Track
from motionbeat.tasks.metrics.per_track import (
    Floats,
    Metrics,
    PerTrackScores,
    Scores,
    arrays,
    summarise_means,
)


class Baseline:
    """An entry of the table that is no frozen encoder.

    Attributes:
        name: name in every table.
        kind: ``baseline`` (knows nothing of the test audio), ``upper bound`` (knows the answer) or
            ``dedicated`` (a system made for the task).
        licence: of what it is made of.
        revision: of weights or of a rule that may change.
        training_data: names of the datasets that its weights have seen.
    """

    name: ClassVar[str]
    kind: ClassVar[Literal["baseline", "upper bound", "dedicated"]]
    licence: ClassVar[str] = "Apache-2.0"
    revision: ClassVar[str] = ""
    training_data: ClassVar[tuple[str, ...]] = ()

    def fit(self, tracks: Sequence[Track]) -> None:
        """Learn from the training split; most baselines have nothing to learn."""

    @abstractmethod
    def predict(self, track: Track, seed: int) -> Any:
        """Predict a test track, which carries its annotations for an upper bound only."""


@dataclass(frozen=True)
class Recipe:
    """How the heads of a task are trained by the protocol, the same for every encoder.

    Attributes:
        clip_seconds: length of a training clip.
        stride_seconds: from one clip to the next, None for ``clip_seconds``.
        batch_size: clips a training step.
        max_steps: training steps at most.
        epochs: passes over the training clips that are granted even where they take more steps.
        check_every: steps from one validation to the next.
        patience: validations without an improvement before training stops.
        learning_rates: tried on the validation split.
    """

    clip_seconds: float
    stride_seconds: float | None = None
    batch_size: int = 8
    max_steps: int = 400
    epochs: int = 0
    check_every: int = 80
    patience: int = 2
    learning_rates: tuple[float, ...] = (0.0003, 0.001, 0.003, 0.01, 0.03)


class Contract:
    """What the protocol and the tables know of a task.

    Attributes:
        name: name on the command line and in every table.
        version: changes whenever the same features would be scored otherwise, training included.
        needs: annotations a track must have.
        learned_from: annotations that tracks to learn from must have beside those.
        visible: annotations that a predictor may see on test tracks too.
        heads: kinds of head; ``knn`` is not trained.
        primary: the metric that tables are sorted by; larger is better.
        headline: metrics that tables show and their column titles, ``primary`` first.
        undefined: what tracks have for which ``primary`` is undefined.
        corpus_level: metrics of the whole split alone, so that tracks give them no interval.
        conditions: numbers that scores depend on and papers differ in, by name with the unit.
        monitor: what is logged on the validation split; checkpoints and learning rates follow it.
        mode: whether the monitor is to be large or small.
        segment_seconds: seconds of features averaged into one step, None for frames.
        target_rate: Hz that frames are brought to, None for the encoder's own.
        one_cycle: whether learning rates rise for a while and fall to nothing.
        recipe: how the protocol trains the heads.
    """

    name: ClassVar[str]
    version: ClassVar[int]
    needs: ClassVar[tuple[type[Annotation], ...]]
    learned_from: ClassVar[tuple[type[Annotation], ...]] = ()
    visible: ClassVar[tuple[type[Annotation], ...]] = ()
    heads: ClassVar[tuple[str, ...]] = ("linear", "mlp")
    primary: ClassVar[str]
    headline: ClassVar[Mapping[str, str]]
    undefined: ClassVar[str] = ""
    corpus_level: ClassVar[frozenset[str]] = frozenset()
    conditions: ClassVar[Mapping[str, float]] = {}
    monitor: ClassVar[str]
    mode: ClassVar[Literal["max", "min"]] = "max"
    segment_seconds: ClassVar[float | None] = None
    target_rate: ClassVar[float | None] = None
    one_cycle: ClassVar[bool] = False
    recipe: ClassVar[Recipe]

    @classmethod
    def check(cls, track: Track) -> None:
        """Check, before anything is computed, that a track can be used; mostly it can.

        Raises:
            MotionBeatError: it cannot; the message names the file.
        """

    @classmethod
    def baselines(cls) -> Sequence[Baseline]:
        """Chance, upper bounds and dedicated systems that stand beside the encoders."""
        return ()

    @classmethod
    def score(cls, prediction: Any, track: Track) -> Scores:
        """Per-track scores: metrics, or what ``summarise`` needs to compute them."""
        raise NotImplementedError

    @classmethod
    def score_all(cls, predictions: Sequence[Any], tracks: Sequence[Track]) -> list[Scores]:
        """Scores of each track; tasks that rank tracks against each other define this instead."""
        return [cls.score(*pair) for pair in zip(predictions, tracks, strict=True)]

    @staticmethod
    def summarise(per_track: PerTrackScores, weights: Floats) -> Metrics:
        """Metrics of a split by name, (seeds, samples); the means of the scores by default.

        Args:
            per_track: by name, (seeds, tracks).
            weights: (samples, tracks) how often each track counts.
        """
        return summarise_means(per_track, weights)

    @classmethod
    def metrics_of(cls, scores: Sequence[Scores]) -> dict[str, float]:
        """Metrics of a split from the scores of its tracks, each counted once."""
        metrics = cls.summarise(arrays([scores]), np.ones((1, len(scores))))
        return {name: float(value[0, 0]) for name, value in metrics.items()}

    @classmethod
    def vocabulary(cls, tracks: Sequence[Track]) -> tuple[str, ...]:
        """Names of what is predicted, as the training split has them; mostly nothing."""
        return ()

    @classmethod
    def warnings(cls, per_track: PerTrackScores, vocabulary: Sequence[str]) -> list[str]:
        """What a reader of the scores must know about the test tracks; mostly nothing."""
        if cls.primary not in per_track:
            return []
        lacking = np.isnan(per_track[cls.primary]).any(axis=0)
        why = f", which have {cls.undefined}" if cls.undefined else ""
        return [
            f"{cls.primary} is undefined for {lacking.sum()} of {len(lacking)} test tracks{why}"
        ] * bool(lacking.any())
