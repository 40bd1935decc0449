"""The base of all tasks: frozen features in, probes trained side by side, predictions out."""

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Literal, cast

import numpy as np
import torch
from lightning import LightningModule
from numpy.typing import NDArray
from torch import Tensor, nn

from motionbeat.data_modules.base import Annotation, Track
from motionbeat.tasks.features import Batch, FeatureSource, Targets
from motionbeat.tasks.probe import Member, Probe

Outputs = NDArray[np.float32]
Scores = dict[str, float]
Evidence = dict[str, NDArray[np.float64]]
FOLD = "fold"
"""Name of the evidence that says in which fold a track was tested, where there are several."""

Decoder = Callable[[Outputs, Track], Any]
"""Turns outputs (steps, ...) on a track, left with its shown annotations, into a prediction."""


def weighted_mean(values: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Means (seeds, samples) of the values (seeds, tracks) that are no NaN."""
    defined = np.isfinite(values)
    with np.errstate(invalid="ignore"):
        means: NDArray[np.float64] = (
            np.where(defined, values, 0) @ weights.T / (defined @ weights.T)
        )
    return means


class Reference:
    """A row of the table that is no frozen encoder: a floor, a ceiling or a specialist.

    Attributes:
        name: name in every table.
        kind: ``floor`` (knows nothing of the test audio), ``ceiling`` (knows the answer) or
            ``specialist`` (a system made for the task).
        licence: of what it is made of.
        revision: of weights or of a rule that may change.
        training_data: names of the datasets that its weights have seen.
    """

    name: ClassVar[str]
    kind: ClassVar[Literal["floor", "ceiling", "specialist"]]
    licence: ClassVar[str] = "Apache-2.0"
    revision: ClassVar[str] = ""
    training_data: ClassVar[tuple[str, ...]] = ()

    def fit(self, tracks: Sequence[Track]) -> None:
        """Learn from the training split; most references have nothing to learn."""

    @abstractmethod
    def predict(self, track: Track, seed: int) -> Any:
        """Predict a test track, which carries its annotations for a ceiling only."""


class Task(LightningModule):
    """What is asked of frozen features, and how the answer is scored.

    Several probes, the members, train side by side on the same batches. Each has its own
    parameters, dropout stream and learning rate, and Adam works on each number alone, so every
    member ends as if it had trained by itself; only loading and standardising are shared.

    A subclass states the class attributes and defines :meth:`targets`, :meth:`loss`,
    :meth:`validate`, :meth:`decoder` and :meth:`score`.

    Attributes:
        name: name on the command line and in every table.
        version: changes whenever the same features would be scored otherwise, training included:
            what was finished on a machine is found again by it.
        needs: annotations a track must have.
        learned_from: annotations that tracks to learn from must have beside those.
        shown: those of them that a predictor may see on test tracks too, as :meth:`inputs`.
        probes: kinds of probe, by the names :meth:`configure_probe` knows; ``knn`` is not trained.
        primary: the metric that tables are sorted by; larger is better.
        headline: metrics that tables show and their column titles, ``primary`` first.
        of_split: metrics that are of the whole split alone, so that tracks give them no interval.
        conditions: numbers that scores depend on and papers differ in, by name with the unit; they
            stand in every record and table.
        monitor: what :meth:`validate` returns, by name; best epoch and learning rate follow it.
        mode: whether the monitor is to be large or small.
        pooling: seconds averaged into one step, None for the encoder's own frames.
        steps_a_second: that frames are brought to, None for the encoder's own.
        window: seconds of one training example.
        stride: seconds from one training example to the next, None for ``window``.
        batch_size: examples a training step.
        max_steps: training steps at most, the same for every encoder.
        epochs: passes over the training examples that are granted even where they take more steps.
        check_every: steps from one validation to the next.
        heavy_decoding: whether decoding a track takes longer than handing it to another process.
        patience: validations without an improvement of any member before training stops.
        learning_rates: tried on the validation split unless others are asked for.
        seeds: how many, unless another number is asked for.

    Args:
        source: the features; only its shape and rate are kept.
        tracks: the training split, for vocabularies and class weights.
        probe: which of the kinds in ``probes``.
        members: seed and learning rate of each probe.
    """

    name: ClassVar[str]
    version: ClassVar[int]
    needs: ClassVar[tuple[type[Annotation], ...]]
    learned_from: ClassVar[tuple[type[Annotation], ...]] = ()
    shown: ClassVar[tuple[type[Annotation], ...]] = ()
    probes: ClassVar[tuple[str, ...]] = ("linear", "mlp")
    primary: ClassVar[str]
    headline: ClassVar[Mapping[str, str]]
    of_split: ClassVar[frozenset[str]] = frozenset()
    conditions: ClassVar[Mapping[str, float]] = {}
    monitor: ClassVar[str]
    mode: ClassVar[Literal["max", "min"]] = "max"
    pooling: ClassVar[float | None] = None
    steps_a_second: ClassVar[float | None] = None
    window: ClassVar[float]
    stride: ClassVar[float | None] = None
    batch_size: ClassVar[int] = 8
    max_steps: ClassVar[int] = 400
    epochs: ClassVar[int] = 0
    check_every: ClassVar[int] = 80
    patience: ClassVar[int] = 2
    heavy_decoding: ClassVar[bool] = True
    learning_rates: ClassVar[tuple[float, ...]] = (0.0003, 0.001, 0.003, 0.01, 0.03)
    seeds: ClassVar[int] = 3

    mean: Tensor
    std: Tensor
    best: Tensor
    """(members,) float64, the monitor of each member where it was best; NaN before training."""

    def __init__(
        self,
        source: FeatureSource,
        tracks: Sequence[Track],
        *,
        probe: str,
        members: Sequence[Member],
    ) -> None:
        super().__init__()
        self.rate = source.rate
        self.members = list(members)
        self.validation_tracks: Sequence[Track] = ()
        self.monitored: list[float] = []
        self.register_buffer("best", torch.full((len(members),), torch.nan, dtype=torch.float64))
        self.outputs: list[list[Outputs]] = []
        self._steps: list[tuple[Tensor, Tensor, Tensor]] = []
        self.register_buffer("mean", torch.zeros(source.layers, source.width))
        self.register_buffer("std", torch.ones(source.layers, source.width))
        self.prepare(tracks)
        self.trained = nn.ModuleList(
            self.configure_probe(source.layers, source.width, probe, member.seed)
            for member in members
        )

    @classmethod
    def check(cls, track: Track) -> None:
        """Check, before anything is computed, that a track can be used; mostly it can.

        Raises:
            MotionBeatError: it cannot; the message names the file.
        """

    def prepare(self, tracks: Sequence[Track]) -> None:
        """Learn vocabularies or class weights from the training split."""

    @classmethod
    def vocabulary(cls, tracks: Sequence[Track]) -> list[str]:
        """Names of what is predicted, learned from the training split; mostly nothing."""
        return []

    @abstractmethod
    def configure_probe(self, layers: int, width: int, kind: str, seed: int) -> Probe:
        """Build one probe, with whatever else is trained beside it."""

    @abstractmethod
    def targets(self, track: Track, steps: int) -> Targets:
        """What the probe shall say at each step of a track, (steps, ...) tensors by name."""

    def inputs(self, track: Track, steps: int) -> Targets:
        """What a probe is given beside the features, (steps, ...) tensors by name; mostly nothing.

        Unlike targets it is there at test time too, so it is made of ``shown`` annotations alone.
        """
        return {}

    def output(self, probe: Probe, mixed: Tensor, batch: Batch) -> Tensor:
        """Outputs (B, T, ...) of one probe for its mixture of the layers (B, T, width)."""
        outputs: Tensor = probe(mixed)
        return outputs

    @abstractmethod
    def loss(self, probe: Probe, outputs: Tensor, batch: Batch) -> Tensor:
        """Loss of one probe's outputs (B, T, ...) on a batch, a scalar."""

    @abstractmethod
    def validate(self, probe: Probe, outputs: Sequence[Outputs], tracks: Sequence[Track]) -> float:
        """Monitor of one probe on the validation split; may set decision thresholds in it.

        Args:
            probe: the probe the outputs come from.
            outputs: (steps, ...) for each track.
            tracks: the validation split with its annotations.
        """

    @abstractmethod
    def decoder(self, probe: Probe) -> Decoder:
        """What makes predictions of one probe's outputs; it must pickle.

        It sees the ``shown`` annotations of a test track and no others.
        """

    @classmethod
    @abstractmethod
    def score(cls, prediction: Any, track: Track) -> Scores:
        """Evidence of one track: metrics, or what :meth:`summarise` needs to compute them."""

    @classmethod
    def score_split(cls, predictions: Sequence[Any], tracks: Sequence[Track]) -> list[Scores]:
        """Evidence of each track of a split; tasks that rank tracks against each other differ."""
        return [cls.score(*pair) for pair in zip(predictions, tracks, strict=True)]

    @classmethod
    def summarise(cls, evidence: Evidence, weights: NDArray[np.float64]) -> Evidence:
        """Metrics of a split from the evidence of its tracks: weighted means by default.

        Args:
            evidence: by name, (seeds, tracks); NaN marks what is undefined on a track.
            weights: (samples, tracks) how often each track counts.

        Returns:
            By metric, (seeds, samples); NaN where it is undefined on all tracks.
        """
        return {
            name: weighted_mean(values, weights)
            for name, values in evidence.items()
            if name != FOLD
        }

    @classmethod
    def remarks(cls, evidence: Evidence) -> list[str]:
        """What a reader of the scores must know about the test tracks; mostly nothing."""
        return []

    @classmethod
    def neighbours(
        cls,
        known: NDArray[np.floating],
        tracks: Sequence[Track],
        asked: NDArray[np.floating],
    ) -> list[Any]:
        """Predictions without any training; for tasks that have the probe ``knn``.

        Args:
            known: (n, width) features of the training tracks.
            tracks: the training tracks.
            asked: (m, width) features of the test tracks.
        """
        raise TypeError(f"{cls.name} has no nearest neighbours")

    @classmethod
    def references(cls) -> Sequence[Reference]:
        """Floors, ceilings and specialists that stand beside the encoders."""
        return ()

    def standardise(self, mean: NDArray[np.float64], std: NDArray[np.float64]) -> None:
        """Set the statistics (layers, width) of the training features; constants are left as is."""
        self.mean.copy_(torch.from_numpy(mean))
        self.std.copy_(torch.from_numpy(np.where(std > 1e-6, std, 1.0)))

    @property
    def typed_probes(self) -> list[Probe]:
        """The probes, in the order of the members."""
        return [cast("Probe", probe) for probe in self.trained]

    def forward(self, batch: Batch) -> list[Tensor]:
        """Outputs of each probe for a batch.

        The layers are mixed for all probes in one product, so that the features, which are large,
        are read once.
        """
        standardised = (batch.features.float() - self.mean) / self.std
        if standardised.shape[-2] == 1:
            mixed = standardised.squeeze(-2).expand(len(self.trained), -1, -1, -1)
        else:
            weights = torch.stack([probe.layer_weights for probe in self.typed_probes])
            mixed = torch.tensordot(weights, standardised.movedim(-2, 0), dims=1)
        return [
            self.output(probe, one, batch)
            for probe, one in zip(self.typed_probes, mixed, strict=True)
        ]

    def training_step(self, batch: Batch, _: int) -> Tensor:
        """Sum of the members' losses; no gradient reaches another member."""
        losses = [
            self.loss(probe, outputs, batch)
            for probe, outputs in zip(self.typed_probes, self(batch), strict=True)
        ]
        return torch.stack(losses).sum()

    def validation_step(self, batch: Batch, _: int) -> None:
        """Keep the outputs of the probes."""
        outputs = torch.stack(self(batch)).float().cpu()
        self._steps.append((batch.track.cpu(), batch.mask.cpu(), outputs))

    test_step = validation_step

    def on_validation_epoch_end(self) -> None:
        """Compute the monitor of each member."""
        outputs = self._collect()
        self.monitored = [
            self.validate(probe, member, self.validation_tracks)
            for probe, member in zip(self.typed_probes, outputs, strict=True)
        ]
        values: Mapping[str, float] = {
            f"{self.monitor}/seed={member.seed}/lr={member.learning_rate:g}": value
            for member, value in zip(self.members, self.monitored, strict=True)
        }
        self.log_dict(values)

    def on_test_epoch_end(self) -> None:
        """Leave the outputs of each member for each track in ``outputs``."""
        self.outputs = self._collect()

    def _collect(self) -> list[list[Outputs]]:
        """Outputs [member][track] (steps, ...), windows joined again; empties the collection."""
        pieces: dict[int, list[Tensor]] = {}
        for tracks, mask, outputs in self._steps:
            for index, track in enumerate(tracks.tolist()):
                pieces.setdefault(track, []).append(outputs[:, index, mask[index]])
        self._steps = []
        whole = [torch.cat(pieces[track], dim=1).numpy() for track in sorted(pieces)]
        return [[track[member] for track in whole] for member in range(len(self.trained))]

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Adam with each member's own learning rate."""
        return torch.optim.Adam(
            [
                {"params": list(probe.parameters()), "lr": member.learning_rate}
                for probe, member in zip(self.trained, self.members, strict=True)
            ],
            fused=True,
        )
