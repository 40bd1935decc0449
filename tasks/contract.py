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

    A ``baseline`` knows nothing of the test audio, an ``upper bound`` knows the answer, and a
    ``dedicated`` system is made for the task.
    """

    name: ClassVar[str]
    kind: ClassVar[Literal["baseline", "upper bound", "dedicated"]]
    licence: ClassVar[str] = "Apache-2.0"
    revision: ClassVar[str] = ""  # of weights or of a rule that may change
    training_data: ClassVar[tuple[str, ...]] = ()  # datasets that its weights have seen

    def fit(self, tracks: Sequence[Track]) -> None:
        """Learn from the training split; most baselines have nothing to learn."""

    @abstractmethod
    def predict(self, track: Track, seed: int) -> Any:
        """Predict a test track, which carries its annotations for an upper bound only."""


@dataclass(frozen=True)
class Recipe:
    """How the heads of a task are trained by the protocol, the same for every encoder."""

    clip_seconds: float
    stride_seconds: float | None = None  # from one clip to the next, None for clip_seconds
    batch_size: int = 8
    max_steps: int = 400
    epochs: int = 0  # passes over the clips that are granted even where they take more steps
    check_every: int = 80  # steps from one validation to the next
    patience: int = 2  # validations without an improvement before training stops
    learning_rates: tuple[float, ...] = (0.0003, 0.001, 0.003, 0.01, 0.03)  # that are tried


class Contract:
    """What the protocol and the tables know of a task."""

    name: ClassVar[str]  # on the command line and in every table
    version: ClassVar[int]  # changes whenever the same features would be scored otherwise
    needs: ClassVar[tuple[type[Annotation], ...]]  # annotations a track must have
    learned_from: ClassVar[tuple[type[Annotation], ...]] = ()  # and those to learn from, beside
    visible: ClassVar[tuple[type[Annotation], ...]] = ()  # that a predictor may see too
    heads: ClassVar[tuple[str, ...]] = ("linear", "mlp")  # knn is not trained
    primary: ClassVar[str]  # the metric that tables are sorted by; larger is better
    headline: ClassVar[Mapping[str, str]]  # column titles of metrics in tables, primary first
    undefined: ClassVar[str] = ""  # what a track has for which primary is undefined
    corpus_level: ClassVar[frozenset[str]] = frozenset()  # metrics that have no interval
    conditions: ClassVar[Mapping[str, float]] = {}  # what scores depend on and papers differ in
    monitor: ClassVar[str]  # what checkpoints and learning rates follow
    mode: ClassVar[Literal["max", "min"]] = "max"  # whether it is to be large or small
    segment_seconds: ClassVar[float | None] = None  # averaged into one step, None for frames
    target_rate: ClassVar[float | None] = None  # Hz of the steps, None for the encoder's own
    one_cycle: ClassVar[bool] = False  # whether learning rates rise and then fall to nothing
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
        values = per_track[cls.primary]
        lacking = int(np.isnan(values).any(axis=0).sum())
        why = f", which have {cls.undefined}" if cls.undefined else ""
        return [
            f"{cls.primary} is undefined for {lacking} of {values.shape[1]} test tracks{why}"
        ] * bool(lacking)
