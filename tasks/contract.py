"""Interface of a task towards the protocol: annotations, metrics, baselines and training."""

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
    """An entry of the table that is not a frozen encoder.

    A ``baseline`` does not use the test audio, an ``upper bound`` uses the test annotations, and a
    ``dedicated`` system is designed for the task.
    """

    name: ClassVar[str]
    kind: ClassVar[Literal["baseline", "upper bound", "dedicated"]]
    licence: ClassVar[str] = "Apache-2.0"
    revision: ClassVar[str] = ""  # of weights or of a rule that may change
    training_data: ClassVar[tuple[str, ...]] = ()  # datasets that the weights were trained on

    def fit(self, tracks: Sequence[Track]) -> None:
        """Learn from the training split; most baselines have nothing to learn."""

    @abstractmethod
    def predict(self, track: Track, seed: int) -> Any:
        """Predict for a test track; only an upper bound is given the track's annotations."""


@dataclass(frozen=True)
class Recipe:
    """Training settings for the heads of a task, the same for every encoder."""

    clip_seconds: float
    stride_seconds: float | None = None  # from one clip to the next; None for clip_seconds
    batch_size: int = 8
    max_steps: int = 400
    epochs: int = 0  # passes over the clips that are allowed even if they exceed max_steps
    check_every: int = 80  # steps from one validation to the next
    patience: int = 2  # validations without improvement before training stops
    learning_rates: tuple[float, ...] = (0.0003, 0.001, 0.003, 0.01, 0.03)  # swept


class Contract:
    """The part of a task that the protocol and the tables use."""

    name: ClassVar[str]  # on the command line and in every table
    version: ClassVar[int]  # must change whenever the same features would be scored differently
    probe_version: ClassVar[int | None] = None  # first version whose probes are still valid
    needs: ClassVar[tuple[type[Annotation], ...]]  # annotations that a track must have
    learned_from: ClassVar[tuple[type[Annotation], ...]] = ()  # further ones to train on
    visible: ClassVar[tuple[type[Annotation], ...]] = ()  # annotations that a predictor may see
    heads: ClassVar[tuple[str, ...]] = ("linear", "mlp")  # knn is not trained
    primary: ClassVar[str]  # metric that tables are sorted by; larger is better
    headline: ClassVar[Mapping[str, str]]  # column titles of metrics in tables, primary first
    undefined: ClassVar[str] = ""  # reason why the primary metric of a track may be undefined
    corpus_level: ClassVar[frozenset[str]] = frozenset()  # metrics without an interval
    conditions: ClassVar[Mapping[str, float]] = {}  # settings of scores that differ among papers
    monitor: ClassVar[str]  # metric that selects checkpoints and learning rates
    mode: ClassVar[Literal["max", "min"]] = "max"  # whether a large or a small monitor is better
    segment_seconds: ClassVar[float | None] = None  # averaged into one step; None for frames
    target_rate: ClassVar[float | None] = None  # Hz of the steps; None for the encoder's own
    halving: ClassVar[bool] = False  # whether a sweep ends the worse half at each validation
    one_cycle: ClassVar[bool] = False  # whether the learning rate rises, then falls to zero
    recipe: ClassVar[Recipe]

    @classmethod
    def check(cls, track: Track) -> None:
        """Check, before anything is computed, that a track can be used; by default it can.

        Raises:
            MotionBeatError: the track cannot be used; the message names the file.
        """

    @classmethod
    def baselines(cls) -> Sequence[Baseline]:
        """Chance, upper bounds and dedicated systems to list beside the encoders."""
        return ()

    @classmethod
    def score(cls, prediction: Any, track: Track) -> Scores:
        """Score one track: metrics, or the values that ``summarise`` computes them from."""
        raise NotImplementedError

    @classmethod
    def score_all(cls, predictions: Sequence[Any], tracks: Sequence[Track]) -> list[Scores]:
        """Score all tracks; tasks that rank tracks against each other override this."""
        return [cls.score(*pair) for pair in zip(predictions, tracks, strict=True)]

    @staticmethod
    def summarise(per_track: PerTrackScores, weights: Floats) -> Metrics:
        """Metrics of a split by name, (seeds, samples); by default the means of the scores.

        Args:
            per_track: scores by name, (seeds, tracks).
            weights: (samples, tracks), how often each track counts in each sample.
        """
        return summarise_means(per_track, weights)

    @classmethod
    def metrics_of(cls, scores: Sequence[Scores]) -> dict[str, float]:
        """Metrics of a split from the scores of its tracks, each counted once."""
        metrics = cls.summarise(arrays([scores]), np.ones((1, len(scores))))
        return {name: float(value[0, 0]) for name, value in metrics.items()}

    @classmethod
    def vocabulary(cls, tracks: Sequence[Track]) -> tuple[str, ...]:
        """Names of the predicted classes in the training split; by default none."""
        return ()

    @classmethod
    def warnings(cls, per_track: PerTrackScores, vocabulary: Sequence[str]) -> list[str]:
        """Warnings about the test tracks for a reader of the scores; usually none."""
        if cls.primary not in per_track:
            return []
        values = per_track[cls.primary]
        lacking = int(np.isnan(values).any(axis=0).sum())
        why = f", which have {cls.undefined}" if cls.undefined else ""
        return [
            f"{cls.primary} is undefined for {lacking} of {values.shape[1]} test tracks{why}"
        ] * bool(lacking)
