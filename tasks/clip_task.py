"""Tasks on whole clips: one class, several classes, or numbers.

A head is trained on features averaged over segments of about ten seconds. The prediction for a
track is the mean over its segments. Heads, nearest neighbours and the baseline share the targets.
"""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from scipy.special import expit, softmax
from torch import Tensor
from torch.nn import functional

from motionbeat.data_modules.base import DatasetError, Track
from motionbeat.tasks.contract import Baseline, Recipe
from motionbeat.tasks.cutting import Outputs, Tensors
from motionbeat.tasks.heads import Head
from motionbeat.tasks.metrics.classification import (
    summarise_multi_label,
    summarise_regression,
    summarise_single_label,
)
from motionbeat.tasks.metrics.per_track import Floats, PerTrackScores, Scores
from motionbeat.tasks.neighbours import knn_predict
from motionbeat.tasks.task import Task

SEGMENT = 10.0
"""Seconds averaged into one step."""


class ClipPrediction(NamedTuple):
    """Prediction for a clip.

    Attributes:
        values: (names,) probability, share of the neighbours or number of each name.
        names: classes or numbers.
    """

    values: Floats
    names: tuple[str, ...]


class Prior(Baseline):
    """Chance: a random class drawn by its frequency in the training split, or the mean targets."""

    name = "chance"
    kind = "baseline"

    def __init__(self, task: type["ClipTask"]) -> None:
        self.task = task

    def fit(self, tracks: Sequence[Track]) -> None:
        """Average the targets of the training split."""
        self.names = self.task.vocabulary(tracks)
        targets = np.stack([self.task.target(track, self.names) for track in tracks])
        self.mean = np.nan_to_num(np.nanmean(targets, axis=0))

    def predict(self, track: Track, seed: int) -> ClipPrediction:
        """The task's guess from the mean targets; the draw depends on the seed and track id."""
        rng = np.random.default_rng([seed, *track.id.encode()])
        return ClipPrediction(self.task.guess(self.mean, rng), self.names)


class ClipTask(Task):
    """Base of tasks with one target vector for a whole clip.

    A task derives from one of the three classes below and sets ``name``, ``version`` and ``needs``.
    """

    heads = ("linear", "mlp", "knn")
    segment_seconds = SEGMENT
    recipe = Recipe(
        clip_seconds=SEGMENT, batch_size=32, max_steps=400, epochs=20, check_every=40, patience=3
    )

    @classmethod
    def annotation(cls, track: Track) -> Any:
        """The annotation of a track that holds its target."""
        return track.get(cls.needs[0])

    @classmethod
    @abstractmethod
    def target(cls, track: Track, names: Sequence[str]) -> Floats:
        """Target of a track, (names,); NaN where unknown."""

    @abstractmethod
    def activation(self, outputs: Floats) -> Floats:
        """Outputs (segments, names) as probabilities or numbers."""

    @classmethod
    def guess(cls, mean: Floats, rng: np.random.Generator) -> Floats:
        """A guess from the mean training targets (names,); by default the means."""
        return mean

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the predicted classes or numbers."""
        return tuple(self.learned["names"])

    def learn(self, tracks: Sequence[Track]) -> dict[str, Any]:
        """Learn the names of the classes.

        Raises:
            DatasetError: no training track has a class.
        """
        names = self.vocabulary(tracks)
        if not names:
            raise DatasetError(f"no training track has anything for {self.name}; check its labels")
        return {"names": list(names)}

    def configure_head(self, layers: int, width: int) -> Head:
        """A head with an output for each name."""
        return Head(layers, width, len(self.names), self.kind == "mlp", self.seed)

    def track_targets(self, track: Track, steps: int) -> Tensors:
        """The target vector of the track, repeated for each of its segments."""
        vector = torch.from_numpy(self.target(track, self.names)).float()
        return {"target": vector.expand(steps, -1)}

    def decode(self, outputs: Outputs, track: Track) -> ClipPrediction:
        """The mean of the activations over the segments."""
        values = self.activation(outputs.astype(np.float64)).mean(axis=0)
        return ClipPrediction(values, self.names)

    @classmethod
    def neighbours(
        cls, known: Floats, tracks: Sequence[Track], asked: Floats
    ) -> list[ClipPrediction]:
        """Nearest-neighbour predictions.

        Args:
            known: (n, width) features of the training tracks.
            tracks: the n training tracks.
            asked: (m, width) features of the tracks to predict.
        """
        names = cls.vocabulary(tracks)
        targets = np.stack([cls.target(track, names) for track in tracks])
        return [ClipPrediction(row, names) for row in knn_predict(known, targets, asked)]

    @classmethod
    def baselines(cls) -> Sequence[Baseline]:
        """Chance."""
        return (Prior(cls),)


class SingleLabelTask(ClipTask):
    """One class out of many.

    The per-track scores are the names of the track's class (``true``) and of the class with the
    largest probability (``predicted``).
    """

    primary = "accuracy"
    headline: ClassVar = {"accuracy": "accuracy", "macro_f1": "macro F1"}
    monitor = "val/accuracy"
    summarise = staticmethod(summarise_single_label)

    @classmethod
    def vocabulary(cls, tracks: Sequence[Track]) -> tuple[str, ...]:
        """The classes, sorted."""
        return tuple(sorted({cls.annotation(track).name for track in tracks}))

    @classmethod
    def target(cls, track: Track, names: Sequence[str]) -> Floats:
        """One-hot vector of the track's class; all 0 if the class is not in the training split."""
        label = cls.annotation(track).name
        return np.array([float(name == label) for name in names])

    @classmethod
    def guess(cls, mean: Floats, rng: np.random.Generator) -> Floats:
        """A class drawn by its frequency in the training split."""
        drawn = rng.choice(len(mean), p=mean / mean.sum())
        return np.asarray(np.arange(len(mean)) == drawn, np.float64)

    def loss(self, outputs: Tensor, targets: Mapping[str, Tensor], mask: Tensor) -> Tensor:
        """Cross-entropy of the segments."""
        classes = targets["target"][mask].argmax(dim=-1)
        return functional.cross_entropy(outputs[mask], classes)

    def activation(self, outputs: Floats) -> Floats:
        """Softmax."""
        return np.asarray(softmax(outputs, axis=-1), np.float64)

    @classmethod
    def score(cls, prediction: ClipPrediction, track: Track) -> Scores:
        """True and predicted class."""
        predicted = prediction.names[int(np.argmax(prediction.values))]
        return {"true": cls.annotation(track).name, "predicted": predicted}

    @classmethod
    def warnings(cls, per_track: PerTrackScores, vocabulary: Sequence[str]) -> list[str]:
        """The number of test tracks whose class is not in the training split."""
        count = int((~np.isin(per_track["true"][0], list(vocabulary))).sum())
        return [
            f"{count} test tracks are of a class the train split lacks, and count as misses"
        ] * bool(count)


class MultiLabelTask(ClipTask):
    """Any number of classes out of many.

    The per-track scores are, for each class, its probability (``score/...``) and its label
    (``true/...``: 1, 0, or NaN where unknown).
    """

    primary = "roc_auc"
    headline: ClassVar = {
        "roc_auc": "ROC-AUC",
        "average_precision": "AP",
        "classes": "classes scored",
    }
    monitor = "val/roc_auc"
    summarise = staticmethod(summarise_multi_label)

    @classmethod
    def vocabulary(cls, tracks: Sequence[Track]) -> tuple[str, ...]:
        """The classes that are positive for a training track, sorted."""
        return tuple(sorted({name for track in tracks for name in cls.annotation(track).names}))

    @classmethod
    def target(cls, track: Track, names: Sequence[str]) -> Floats:
        """1 for positive classes, NaN for unknown ones, 0 for the others."""
        labels = cls.annotation(track)
        return np.array(
            [np.nan if name in labels.unknown else float(name in labels.names) for name in names]
        )

    def loss(self, outputs: Tensor, targets: Mapping[str, Tensor], mask: Tensor) -> Tensor:
        """Binary cross-entropy of the segments, over the classes that are known."""
        target = targets["target"]
        known = mask[..., None] & target.isfinite()
        return functional.binary_cross_entropy_with_logits(outputs[known], target[known])

    def activation(self, outputs: Floats) -> Floats:
        """Logistic function."""
        return np.asarray(expit(outputs), np.float64)

    @classmethod
    def score(cls, prediction: ClipPrediction, track: Track) -> Scores:
        """Probability and truth of each class."""
        true = cls.target(track, prediction.names)
        found: Scores = {}
        for name, value, real in zip(prediction.names, prediction.values, true, strict=True):
            found |= {f"score/{name}": float(value), f"true/{name}": float(real)}
        return found

    @classmethod
    def warnings(cls, per_track: PerTrackScores, vocabulary: Sequence[str]) -> list[str]:
        """The classes without a positive or without a negative track."""
        truths = {k.removeprefix("true/"): v for k, v in per_track.items() if k.startswith("true/")}
        names = [name for name, true in truths.items() if not {0.0, 1.0} <= set(true[0].tolist())]
        return [
            f"{len(names)} classes are not scored, no test track has them or all do: "
            f"{', '.join(names)}"
        ] * bool(names)


class RegressionTask(ClipTask):
    """Regression of numbers, which are attributes of the annotation, such as arousal.

    The per-track scores are the true (``true_...``) and the predicted (``predicted_...``) numbers.
    """

    numbers: ClassVar[tuple[str, ...]]
    primary = "r2"
    monitor = "val/r2"
    summarise = staticmethod(summarise_regression)

    @classmethod
    def vocabulary(cls, tracks: Sequence[Track]) -> tuple[str, ...]:
        """The numbers."""
        return cls.numbers

    @classmethod
    def target(cls, track: Track, names: Sequence[str]) -> Floats:
        """The numbers of a track."""
        return np.array([getattr(cls.annotation(track), name) for name in names])

    def learn(self, tracks: Sequence[Track]) -> dict[str, Any]:
        """Learn the mean and standard deviation of the targets, so that all have equal weight."""
        targets = np.stack([self.target(track, self.numbers) for track in tracks])
        return super().learn(tracks) | {
            "centre": torch.tensor(targets.mean(axis=0), dtype=torch.float32),
            "scale": torch.tensor(np.maximum(targets.std(axis=0), 1e-6), dtype=torch.float32),
        }

    def loss(self, outputs: Tensor, targets: Mapping[str, Tensor], mask: Tensor) -> Tensor:
        """Squared error of the segments, in standard deviations of the training targets."""
        centre, scale = (self.learned[name].to(outputs.device) for name in ("centre", "scale"))
        target = (targets["target"] - centre) / scale
        return functional.mse_loss(outputs[mask], target[mask])

    def activation(self, outputs: Floats) -> Floats:
        """Outputs on the scale of the targets."""
        return np.asarray(
            outputs * self.learned["scale"].numpy() + self.learned["centre"].numpy(), np.float64
        )

    @classmethod
    def score(cls, prediction: ClipPrediction, track: Track) -> Scores:
        """True and predicted numbers."""
        true = cls.target(track, prediction.names)
        found: Scores = {}
        for name, value, real in zip(prediction.names, prediction.values, true, strict=True):
            found |= {f"true_{name}": float(real), f"predicted_{name}": float(value)}
        return found
