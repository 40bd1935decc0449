"""Whole clips: one class, several classes, or numbers; tasks differ in annotation and name alone.

Frozen features are averaged over segments of about ten seconds. A probe learns from segments, and a
track is predicted by the mean over all of its segments. Every task has one vector of targets a
track, which the probes, the nearest neighbours and the floor share.
"""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from functools import partial
from typing import ClassVar, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import expit, softmax
from torch import Tensor
from torch.nn import functional

from motionbeat.data_modules.base import DatasetError, Label, Labels, Track
from motionbeat.tasks.base import FOLD, Decoder, Evidence, Outputs, Reference, Scores, Task
from motionbeat.tasks.features import Batch, Targets
from motionbeat.tasks.metrics.clip import (
    Floats,
    accuracy,
    average_precision,
    ccc,
    macro,
    macro_f1,
    over_seeds,
    pearson,
    r2,
    roc_auc,
)
from motionbeat.tasks.neighbours import neighbours_say
from motionbeat.tasks.probe import Probe

UNKNOWN = -1.0
"""Number of a class that the training split lacks."""

SEGMENT = 10.0
"""Seconds averaged into one step."""


class ClipPrediction(NamedTuple):
    """What is predicted of a track.

    Attributes:
        values: a probability, a vote or a number for each name.
        names: of the classes or of the numbers.
    """

    values: NDArray[np.float64]
    names: tuple[str, ...]


class Prior(Reference):
    """Knows the training split alone: draws a class as often as it stands there, or gives means.

    Args:
        task: what is predicted.
    """

    name = "chance"
    kind = "floor"

    def __init__(self, task: type["ClipTask"]) -> None:
        self.task = task

    def fit(self, tracks: Sequence[Track]) -> None:
        """Average the targets of the training split."""
        self.names = tuple(self.task.vocabulary(tracks))
        targets = np.stack([self.task.target(track, self.names) for track in tracks])
        self.mean = np.nan_to_num(np.nanmean(targets, axis=0))

    def predict(self, track: Track, seed: int) -> ClipPrediction:
        """What the task guesses of the means; draws follow from the seed and the track's id."""
        rng = np.random.default_rng([seed, *track.id.encode()])
        return ClipPrediction(self.task.guess(self.mean, rng), self.names)


class ClipTask(Task):
    """A vector of targets for a whole clip.

    A subclass of one of the three kinds below states ``name``, ``version`` and ``needs``.
    """

    probes = ("linear", "mlp", "knn")
    pooling = SEGMENT
    window = SEGMENT
    batch_size = 32
    max_steps = 400
    epochs = 20
    check_every = 40
    patience = 3
    heavy_decoding = False

    def prepare(self, tracks: Sequence[Track]) -> None:
        """Learn the names.

        Raises:
            DatasetError: there are none.
        """
        self.names = tuple(self.vocabulary(tracks))
        if not self.names:
            raise DatasetError(f"no training track has anything for {self.name}; check its labels")

    @classmethod
    @abstractmethod
    def target(cls, track: Track, names: Sequence[str]) -> NDArray[np.float64]:
        """What is true of a track, (names,); NaN where nobody knows."""

    @classmethod
    def guess(cls, mean: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
        """What one who knows nothing but the mean targets says: those."""
        return mean

    def configure_probe(self, layers: int, width: int, kind: str, seed: int) -> Probe:
        """A probe with an output for each name."""
        return Probe(layers, width, len(self.names), kind == "mlp", seed)

    def targets(self, track: Track, steps: int) -> Targets:
        """The track's vector at each of its segments."""
        vector = torch.from_numpy(self.target(track, self.names)).float()
        return {"target": vector.expand(steps, -1)}

    def validate(self, probe: Probe, outputs: Sequence[Outputs], tracks: Sequence[Track]) -> float:
        """The primary metric on the validation split."""
        decode = self.decoder(probe)
        predictions = [decode(one, track) for one, track in zip(outputs, tracks, strict=True)]
        rows = self.score_split(predictions, tracks)
        evidence = {name: np.array([[row[name] for row in rows]]) for name in rows[0]}
        metrics = self.summarise(evidence, np.ones((1, len(rows))))
        return float(metrics[self.primary][0, 0])

    def decoder(self, probe: Probe) -> Decoder:
        """The mean over the segments of what the outputs stand for."""
        return partial(_decode, self.activation(), self.names)

    @abstractmethod
    def activation(self) -> Callable[[Outputs], NDArray[np.float64]]:
        """Turns outputs (segments, names) into probabilities or numbers; it must pickle."""

    @classmethod
    def neighbours(
        cls,
        known: NDArray[np.floating],
        tracks: Sequence[Track],
        asked: NDArray[np.floating],
    ) -> list[ClipPrediction]:
        """Targets of the nearest training tracks."""
        names = tuple(cls.vocabulary(tracks))
        targets = np.stack([cls.target(track, names) for track in tracks])
        return [ClipPrediction(row, names) for row in neighbours_say(known, targets, asked)]

    @classmethod
    def references(cls) -> Sequence[Reference]:
        """The floor."""
        return (Prior(cls),)


class SingleLabelTask(ClipTask):
    """One class out of many.

    The evidence of a track is the number of its class (``true``) and of the class with the largest
    probability (``predicted``) in the sorted vocabulary of the training split; a class that is not
    in it has the number -1 and is never found. Accuracy, and the mean over the classes of the F1
    score.
    """

    primary = "accuracy"
    headline: ClassVar = {"accuracy": "accuracy", "macro_f1": "macro F1"}
    monitor = "val/accuracy"

    @classmethod
    def annotation(cls) -> type[Label]:
        """The annotation that holds the class."""
        (kind,) = cls.needs
        assert issubclass(kind, Label)
        return kind

    @classmethod
    def vocabulary(cls, tracks: Sequence[Track]) -> list[str]:
        """The classes, sorted."""
        return sorted({track.get(cls.annotation()).name for track in tracks})

    @classmethod
    def target(cls, track: Track, names: Sequence[str]) -> NDArray[np.float64]:
        """1 for the track's class and 0 for the others; 0 throughout where training lacks it."""
        label = track.get(cls.annotation()).name
        return np.array([float(name == label) for name in names])

    @classmethod
    def guess(cls, mean: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
        """A class drawn as often as it stands in the training split."""
        drawn = rng.choice(len(mean), p=mean / mean.sum())
        return np.asarray(np.arange(len(mean)) == drawn, np.float64)

    def loss(self, probe: Probe, outputs: Tensor, batch: Batch) -> Tensor:
        """Cross-entropy of the segments."""
        return functional.cross_entropy(outputs[batch.mask], batch.targets["target"][batch.mask])

    def activation(self) -> Callable[[Outputs], NDArray[np.float64]]:
        """Softmax."""
        return partial(softmax, axis=-1)

    @classmethod
    def score(cls, prediction: ClipPrediction, track: Track) -> Scores:
        """Numbers of the true and of the predicted class."""
        label = track.get(cls.annotation()).name
        known = label in prediction.names
        return {
            "true": float(prediction.names.index(label)) if known else UNKNOWN,
            "predicted": float(prediction.values.argmax()),
        }

    @classmethod
    def remarks(cls, evidence: Evidence) -> list[str]:
        """How many tracks are of a class that no probe can know."""
        count = int((evidence["true"][0] == UNKNOWN).sum())
        return [
            f"{count} test tracks are of a class the train split lacks, and count as misses"
        ] * bool(count)

    @classmethod
    def summarise(cls, evidence: Evidence, weights: Floats) -> Evidence:
        """Accuracy and macro F1."""
        pair = evidence["true"], evidence["predicted"]
        return {
            "accuracy": over_seeds(accuracy, *pair, weights),
            "macro_f1": over_seeds(macro_f1, *pair, weights),
        }

    @classmethod
    def confusion(cls, evidence: Evidence, classes: int) -> NDArray[np.float64]:
        """Share of the tracks of a class (row) that were taken for each class, mean over seeds."""
        counts = np.zeros((classes, classes))
        true, predicted = (evidence[name].astype(int).ravel() for name in ("true", "predicted"))
        np.add.at(counts, (true[true >= 0], predicted[true >= 0]), 1)
        shares: NDArray[np.float64] = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        return shares


class MultiLabelTask(ClipTask):
    """Any number of classes out of many.

    The evidence of a track is, for each class, its probability (``score/...``) and whether it holds
    (``true/...``, NaN where nobody knows). Area under the ROC curve and average precision of each
    class over the tracks, and their means over the classes. A class without a positive or without a
    negative has neither; it is left out of the means, and ``classes`` says how many are in them.
    Where there are folds, both metrics are those of each fold, averaged: probabilities of probes
    that were trained on different tracks do not compare.
    """

    primary = "roc_auc"
    headline: ClassVar = {
        "roc_auc": "ROC-AUC",
        "average_precision": "AP",
        "classes": "classes scored",
    }
    monitor = "val/roc_auc"

    @classmethod
    def annotation(cls) -> type[Labels]:
        """The annotation that holds the classes."""
        (kind,) = cls.needs
        assert issubclass(kind, Labels)
        return kind

    @classmethod
    def vocabulary(cls, tracks: Sequence[Track]) -> list[str]:
        """The classes that hold for a training track, sorted."""
        return sorted({name for track in tracks for name in track.get(cls.annotation()).names})

    @classmethod
    def target(cls, track: Track, names: Sequence[str]) -> NDArray[np.float64]:
        """1 for each class that holds, NaN where nobody knows, else 0."""
        labels = track.get(cls.annotation())
        return np.array(
            [np.nan if name in labels.unknown else float(name in labels.names) for name in names]
        )

    def loss(self, probe: Probe, outputs: Tensor, batch: Batch) -> Tensor:
        """Binary cross-entropy of the segments, over the classes that are known."""
        target = batch.targets["target"]
        known = batch.mask[..., None] & target.isfinite()
        return functional.binary_cross_entropy_with_logits(outputs[known], target[known])

    def activation(self) -> Callable[[Outputs], NDArray[np.float64]]:
        """Logistic function."""
        return _logistic

    @classmethod
    def score(cls, prediction: ClipPrediction, track: Track) -> Scores:
        """Probability and truth of each class."""
        true = cls.target(track, prediction.names)
        found: Scores = {}
        for name, value, real in zip(prediction.names, prediction.values, true, strict=True):
            found |= {f"score/{name}": float(value), f"true/{name}": float(real)}
        return found

    @classmethod
    def summarise(cls, evidence: Evidence, weights: Floats) -> Evidence:
        """Both metrics of each class, and their means over the classes."""
        names = [key.removeprefix("true/") for key in evidence if key.startswith("true/")]
        fold = evidence.get(FOLD, np.zeros((1, weights.shape[1])))[0]
        parts = [fold == number for number in np.unique(fold)]
        metrics: Evidence = {}
        for metric, of in (("roc_auc", roc_auc), ("average_precision", average_precision)):
            each = {
                name: macro(
                    np.stack(
                        [
                            over_seeds(
                                of,
                                evidence[f"true/{name}"][:, part],
                                evidence[f"score/{name}"][:, part],
                                weights[:, part],
                            )
                            for part in parts
                        ]
                    )
                )
                for name in names
            }
            if metric == "roc_auc":
                scored = {name: np.isfinite(values) for name, values in each.items()}
            each = {name: np.where(scored[name], values, np.nan) for name, values in each.items()}
            metrics[metric] = macro(np.stack(list(each.values())))
            metrics |= {f"{metric}/{name}": values for name, values in each.items()}
        return metrics | {"classes": np.sum(list(scored.values()), axis=0).astype(float)}

    @classmethod
    def remarks(cls, evidence: Evidence) -> list[str]:
        """The classes without a positive or without a negative track."""
        truths = {k.removeprefix("true/"): v for k, v in evidence.items() if k.startswith("true/")}
        names = [name for name, true in truths.items() if not {0.0, 1.0} <= set(true[0].tolist())]
        return [
            f"{len(names)} classes are not scored, no test track has them or all do: "
            f"{', '.join(names)}"
        ] * bool(names)


class RegressionTask(ClipTask):
    """Numbers, such as a point on the plane of emotions.

    The evidence of a track is each number as it is (``true_...``) and as predicted. R², Pearson's
    and the concordance correlation of each number over the tracks; ``r2`` is the mean of the R².
    """

    numbers: ClassVar[tuple[str, ...]]
    primary = "r2"
    monitor = "val/r2"

    centre: Tensor
    scale: Tensor

    def prepare(self, tracks: Sequence[Track]) -> None:
        """Learn the targets' means and deviations, so that both axes weigh alike."""
        super().prepare(tracks)
        targets = np.stack([self.target(track, self.names) for track in tracks])
        self.register_buffer("centre", torch.tensor(targets.mean(axis=0), dtype=torch.float32))
        spread = np.maximum(targets.std(axis=0), 1e-6)
        self.register_buffer("scale", torch.tensor(spread, dtype=torch.float32))

    @classmethod
    def vocabulary(cls, tracks: Sequence[Track]) -> list[str]:
        """The numbers."""
        return list(cls.numbers)

    def loss(self, probe: Probe, outputs: Tensor, batch: Batch) -> Tensor:
        """Squared error of the segments, in deviations of the training targets."""
        target = (batch.targets["target"] - self.centre) / self.scale
        return functional.mse_loss(outputs[batch.mask], target[batch.mask])

    def activation(self) -> Callable[[Outputs], NDArray[np.float64]]:
        """Back to the targets' own scale."""
        return partial(_rescaled, self.centre.cpu().numpy(), self.scale.cpu().numpy())

    @classmethod
    def score(cls, prediction: ClipPrediction, track: Track) -> Scores:
        """True and predicted numbers."""
        true = cls.target(track, prediction.names)
        found: Scores = {}
        for name, value, real in zip(prediction.names, prediction.values, true, strict=True):
            found |= {f"true_{name}": float(real), f"predicted_{name}": float(value)}
        return found

    @classmethod
    def summarise(cls, evidence: Evidence, weights: Floats) -> Evidence:
        """The three metrics of each number."""
        metrics = {
            f"{metric}_{name}": over_seeds(
                of, evidence[f"true_{name}"], evidence[f"predicted_{name}"], weights
            )
            for metric, of in (("r2", r2), ("pearson", pearson), ("ccc", ccc))
            for name in cls.numbers
        }
        return {"r2": macro(np.stack([metrics[f"r2_{name}"] for name in cls.numbers]))} | metrics


def _decode(
    activation: Callable[[Outputs], NDArray[np.float64]],
    names: tuple[str, ...],
    outputs: Outputs,
    track: Track,
) -> ClipPrediction:
    return ClipPrediction(activation(outputs.astype(np.float64)).mean(axis=0), names)


def _logistic(outputs: Outputs) -> NDArray[np.float64]:
    return np.asarray(expit(outputs), np.float64)


def _rescaled(
    centre: NDArray[np.float32], scale: NDArray[np.float32], outputs: Outputs
) -> NDArray[np.float64]:
    return outputs.astype(np.float64) * scale + centre
