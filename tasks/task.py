"""The base of all tasks: an encoder, a head on it, and how what the head says is scored."""

import math
from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, cast

import numpy as np
import torch
from lightning import LightningModule
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader

from motionbeat.audio import load_audio, resample
from motionbeat.data_modules.base import Annotation, Batch, Clips, DatasetError, Loaders, Track
from motionbeat.encoder import Encoder
from motionbeat.encoding import encode, find_encoder, make_encoder
from motionbeat.errors import MotionBeatError
from motionbeat.features import frames_in_segment, resample_frames, segment_means
from motionbeat.tasks.adapters import EncoderMode, unfreeze
from motionbeat.tasks.heads import Head, mix_layers
from motionbeat.tasks.metrics.per_track import PerTrack

Outputs = NDArray[np.float32]
Scores = dict[str, Any]
"""Per-track scores by name: numbers, or names of classes."""

PerTrackScores = Mapping[str, NDArray[Any]]
"""By name, (seeds, tracks); NaN marks what is undefined on a track."""

Metrics = dict[str, NDArray[np.float64]]
"""By name, (seeds, samples) of corpus-level metrics."""

FOLD = "fold"
"""Name of the per-track score that numbers the fold a track was tested in, if there are several."""

ENCODER_LEARNING_RATE = 0.03
"""Learning rate of an encoder that is fine-tuned, as a share of the head's."""


def weighted_mean(values: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Means (seeds, samples) of the values (seeds, tracks) that are no NaN."""
    defined = np.isfinite(values)
    with np.errstate(invalid="ignore"):
        means: NDArray[np.float64] = (
            np.where(defined, values, 0) @ weights.T / (defined @ weights.T)
        )
    return means


def summarise_means(per_track: PerTrackScores, weights: NDArray[np.float64]) -> Metrics:
    """The weighted mean over the tracks of every per-track score.

    Args:
        per_track: by name, (seeds, tracks).
        weights: (samples, tracks) how often each track counts.

    Returns:
        By name, (seeds, samples); NaN where it is undefined on all tracks.
    """
    return {
        name: weighted_mean(values, weights) for name, values in per_track.items() if name != FOLD
    }


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


class Task(LightningModule):
    """A head on an encoder, and what it is asked.

    It takes batches of audio, which its encoder encodes, or of features that were encoded before.
    Features are standardised by the statistics of the training split, which are gathered when
    training starts. Annotations are read for targets and scores alone, never for predictions.

    A subclass states the class attributes and defines :meth:`configure_head`,
    :meth:`track_targets`, :meth:`loss`, :meth:`validation_value`, :meth:`validation_result`,
    :meth:`decode` and :meth:`score`.

    Attributes:
        name: name on the command line and in every table.
        version: changes whenever the same features would be scored otherwise, training included.
        needs: annotations a track must have.
        learned_from: annotations that tracks to learn from must have beside those.
        visible: annotations that a predictor may see on test tracks too.
        heads: kinds of head; ``knn`` is not trained.
        primary: the metric that tables are sorted by; larger is better.
        headline: metrics that tables show and their column titles, ``primary`` first.
        corpus_level: metrics of the whole split alone, so that tracks give them no interval.
        conditions: numbers that scores depend on and papers differ in, by name with the unit.
        monitor: what is logged on the validation split; checkpoints and learning rates follow it.
        mode: whether the monitor is to be large or small.
        segment_seconds: seconds of features averaged into one step, None for frames.
        target_rate: Hz that frames are brought to, None for the encoder's own.
        one_cycle: whether learning rates rise for a while and fall to nothing.
        recipe: how the protocol trains the heads.

    Args:
        encoder: a name that ``motionbeat list encoders`` shows, or an encoder.
        head: which of ``heads``.
        learning_rate: of Adam.
        seed: of initialisation and dropout.
        encoder_mode: what of the encoder is trained: nothing (``frozen``), low-rank adapters
            (``lora``) or all of it (``full``), at 0.03 of the learning rate.

    Raises:
        UnknownNameError: no encoder has the name.
    """

    name: ClassVar[str]
    version: ClassVar[int]
    needs: ClassVar[tuple[type[Annotation], ...]]
    learned_from: ClassVar[tuple[type[Annotation], ...]] = ()
    visible: ClassVar[tuple[type[Annotation], ...]] = ()
    heads: ClassVar[tuple[str, ...]] = ("linear", "mlp")
    primary: ClassVar[str]
    headline: ClassVar[Mapping[str, str]]
    corpus_level: ClassVar[frozenset[str]] = frozenset()
    conditions: ClassVar[Mapping[str, float]] = {}
    monitor: ClassVar[str]
    mode: ClassVar[Literal["max", "min"]] = "max"
    segment_seconds: ClassVar[float | None] = None
    target_rate: ClassVar[float | None] = None
    one_cycle: ClassVar[bool] = False
    recipe: ClassVar[Recipe]

    feature_mean: Tensor
    feature_std: Tensor

    def __init__(
        self,
        encoder: str | Encoder = "motionbeat-small",
        head: str = "linear",
        learning_rate: float = 1e-3,
        seed: int = 0,
        encoder_mode: EncoderMode = "frozen",
    ) -> None:
        super().__init__()
        self.save_hyperparameters(ignore=[] if isinstance(encoder, str) else ["encoder"])
        if head not in self.heads or head == "knn":
            trained = [name for name in self.heads if name != "knn"]
            raise ValueError(f"{self.name} has no head '{head}'; choose from {', '.join(trained)}")
        self.kind = head
        self.learning_rate = learning_rate
        self.seed = seed
        self.encoder_mode = encoder_mode
        self.card = find_encoder(encoder).card
        self._named = encoder
        self._frozen: list[Encoder] = []  # in a list, so that its weights are in no checkpoint
        self.encoder_module: Encoder | None = None
        if encoder_mode != "frozen":
            self.encoder_module = unfreeze(make_encoder(encoder), encoder_mode, seed)
        self.head: Head | None = None
        self.learned: dict[str, Any] = {}
        shape = self.card.layers, self.card.width
        self.register_buffer("feature_mean", torch.zeros(shape))
        self.register_buffer("feature_std", torch.ones(shape))
        self.configure_metrics()
        self._whole: dict[tuple[str, str, Path], dict[str, Tensor]] = {}

    # Hooks of subclasses

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

    def learn(self, tracks: Sequence[Track]) -> dict[str, Any]:
        """What the training split tells beside its features: class names, weights of a loss.

        Returns:
            Plain values and tensors by name, which checkpoints keep in ``learned``.
        """
        return {}

    @abstractmethod
    def configure_head(self, layers: int, width: int) -> Head:
        """Build the head, with whatever else is trained beside it."""

    def configure_metrics(self) -> None:
        """Make what gathers the values of tracks."""
        self.validation_values = PerTrack()
        self.test_predictions = PerTrack()

    @abstractmethod
    def track_targets(self, track: Track, steps: int) -> dict[str, Tensor]:
        """What the head shall say at each step of a track, (steps, ...) tensors by name."""

    def track_inputs(self, track: Track, steps: int) -> dict[str, Tensor]:
        """What the head is given beside the features, (steps, ...) by name; mostly nothing.

        It is there at test time too, so it is made of ``visible`` annotations alone.
        """
        return {}

    def respond(self, mixed: Tensor, inputs: Mapping[str, Tensor]) -> Tensor:
        """Outputs (B, T, ...) for the mixture of the layers (B, T, width)."""
        outputs: Tensor = self.trained_head(mixed)
        return outputs

    @abstractmethod
    def loss(self, outputs: Tensor, targets: Mapping[str, Tensor], mask: Tensor) -> Tensor:
        """Loss of outputs (B, T, ...), a scalar.

        Args:
            outputs: of :meth:`respond`.
            targets: (B, T, ...) tensors of :meth:`track_targets`.
            mask: (B, T) True where a step is real.
        """

    @abstractmethod
    def validation_value(self, outputs: Outputs, track: Track) -> Any:
        """What :meth:`validation_result` needs to know of a validation track."""

    @abstractmethod
    def validation_result(self, values: Sequence[Any], tracks: Sequence[Track]) -> float:
        """The monitor; decision thresholds may be set on the way."""

    @abstractmethod
    def decode(self, outputs: Outputs, track: Track) -> Any:
        """The prediction for a track, which carries its ``visible`` annotations and no others."""

    @classmethod
    @abstractmethod
    def score(cls, prediction: Any, track: Track) -> Scores:
        """Per-track scores: metrics, or what ``summarise`` needs to compute them."""

    @classmethod
    def score_all(cls, predictions: Sequence[Any], tracks: Sequence[Track]) -> list[Scores]:
        """Scores of each track of a split; tasks that rank tracks against each other differ."""
        return [cls.score(*pair) for pair in zip(predictions, tracks, strict=True)]

    @staticmethod
    def summarise(per_track: PerTrackScores, weights: NDArray[np.float64]) -> Metrics:
        """Metrics of a split from the scores of its tracks; their weighted means by default.

        Args:
            per_track: by name, (seeds, tracks).
            weights: (samples, tracks) how often each track counts.

        Returns:
            By metric, (seeds, samples); NaN where it is undefined on all tracks.
        """
        return summarise_means(per_track, weights)

    @classmethod
    def vocabulary(cls, tracks: Sequence[Track]) -> tuple[str, ...]:
        """Names of what is predicted, as the training split has them; mostly nothing."""
        return ()

    @classmethod
    def warnings(cls, per_track: PerTrackScores, vocabulary: Sequence[str]) -> list[str]:
        """What a reader of the scores must know about the test tracks; mostly nothing."""
        return []

    # Features

    @property
    def step_rate(self) -> float:
        """Steps a second of features, targets and outputs, in Hz."""
        if self.segment_seconds is not None:
            return self.card.frame_rate / frames_in_segment(
                self.card.frame_rate, self.segment_seconds
            )
        return self.target_rate or self.card.frame_rate

    @property
    def trained_head(self) -> Head:
        """The head.

        Raises:
            RuntimeError: neither was it trained nor was a checkpoint loaded.
        """
        if self.head is None:
            raise RuntimeError(
                f"{type(self).__name__} has no head yet; fit it or load a checkpoint"
            )
        return self.head

    @property
    def encoder(self) -> Encoder:
        """The encoder, made when it is first asked for."""
        if self.encoder_module is not None:
            return self.encoder_module
        if not self._frozen:
            self._frozen = [make_encoder(self._named)]
        return self._frozen[0].to(self.device)

    def steps(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Features (B, T, layers, width), float32, at ``step_rate``, and where they are real."""
        if batch.features is not None and math.isclose(batch.frame_rate, self.step_rate):
            return batch.features.float(), batch.mask
        if batch.features is not None:
            lengths = batch.mask.sum(dim=1).tolist()
            rows = [
                self._at_step_rate(one[:length].float(), batch.frame_rate)
                for one, length in zip(batch.features, lengths, strict=True)
            ]
        else:
            rows = self._encoded(batch)
        padded = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
        sizes = torch.tensor([len(row) for row in rows], device=padded.device)
        return padded, torch.arange(padded.shape[1], device=padded.device) < sizes[:, None]

    def _encoded(self, batch: Batch) -> list[Tensor]:
        """Features (steps, layers, width) of the audio of each row of a batch."""
        assert batch.waveform is not None
        rows = []
        learning = torch.is_grad_enabled() and self.training and self.encoder_mode != "frozen"
        for waveform, length in zip(batch.waveform, batch.mask.sum(dim=1).tolist(), strict=True):
            audio = resample_audio(waveform[:length], batch.frame_rate, self.card.sample_rate)
            if learning:  # one by one, so that memory does not grow with the batch
                frames = self.encoder(audio[None])[0].movedim(0, 1)
            else:
                features = encode(self.encoder, audio.cpu().numpy(), self.device)
                frames = torch.from_numpy(features).to(self.device).float()
            rows.append(self._at_step_rate(frames, self.card.frame_rate))
        return rows

    def _at_step_rate(self, frames: Tensor, frame_rate: float) -> Tensor:
        if frame_rate < self.step_rate:
            raise ValueError(
                f"{self.name}: features at {frame_rate:g} Hz, where {self.step_rate:g} Hz are "
                "needed; give the encoder's own frames"
            )
        if self.segment_seconds is not None:
            return segment_means(frames, frame_rate, self.segment_seconds)
        return resample_frames(frames, frame_rate, self.step_rate)

    def standardised(self, features: Tensor) -> Tensor:
        """Features with mean 0 and deviation 1 on the training split."""
        return (features - self.feature_mean) / self.feature_std

    @torch.no_grad()
    def gather_statistics(self, loader: Iterable[Batch]) -> None:
        """Set the mean and deviation of the training features, whole track by whole track.

        Chan, Golub and LeVeque, "Algorithms for computing the sample variance", 1983, eq. 2.1.

        Args:
            loader: of training clips; its order does not matter.
        """
        if isinstance(loader, DataLoader) and isinstance(loader.dataset, Clips):
            loader = DataLoader(
                loader.dataset.whole(),
                collate_fn=loader.collate_fn,
                num_workers=loader.num_workers,
            )
        count = 0
        mean = np.zeros((self.card.layers, self.card.width))
        squares = np.zeros_like(mean)
        for batch in loader:
            features, mask = self.steps(batch.to(self.device))
            steps = features.detach()[mask].cpu().numpy()
            new_mean = steps.mean(axis=0, dtype=np.float64)
            delta = new_mean - mean
            total = count + len(steps)
            squares += steps.var(axis=0, dtype=np.float64) * len(steps)
            squares += delta**2 * count * len(steps) / total
            mean += delta * len(steps) / total
            count = total
        std = np.sqrt(squares / max(count, 1))
        self.feature_mean.copy_(torch.from_numpy(mean))
        self.feature_std.copy_(torch.from_numpy(np.where(std > 1e-6, std, 1.0)))

    # Targets and inputs

    def targets(self, batch: Batch, steps: int) -> dict[str, Tensor]:
        """Targets (B, steps, ...) by name."""
        return self._cut("targets", self.track_targets, batch, steps)

    def inputs(self, batch: Batch, steps: int) -> dict[str, Tensor]:
        """Inputs (B, steps, ...) by name, made of visible annotations alone."""
        tracks = [track.without_annotations(self.visible) for track in batch.tracks]
        return self._cut("inputs", self.track_inputs, batch._replace(tracks=tracks), steps)

    def _cut(
        self,
        what: str,
        make: Callable[[Track, int], dict[str, Tensor]],
        batch: Batch,
        steps: int,
    ) -> dict[str, Tensor]:
        """Parts of what is made of whole tracks, which is made once for each track."""
        rows: list[dict[str, Tensor]] = []
        for track, start in zip(batch.tracks, batch.start.tolist(), strict=True):
            first = round(start * self.step_rate)
            place = what, track.id, track.audio_path
            whole = self._whole.get(place)
            if whole is None or any(len(one) < first + steps for one in whole.values()):
                length = math.ceil(track.duration * self.step_rate) + 1
                whole = make(track, max(length, first + steps))
                self._whole[place] = whole
            rows.append({name: one[first : first + steps] for name, one in whole.items()})
        return {name: torch.stack([row[name] for row in rows]).to(self.device) for name in rows[0]}

    # Lightning

    def setup(self, stage: str) -> None:
        """Tell the data module what is needed; before training, learn and build the head."""
        data = getattr(self.trainer, "datamodule", None)
        if isinstance(data, Loaders):
            data.visible = self.visible
            data.encoder_sample_rate = self.card.sample_rate
        if stage == "fit" and self.head is None:
            if data is None:
                raise DatasetError(
                    f"{type(self).__name__} learns from the tracks of a data module; "
                    "call trainer.fit(task, datamodule)"
                )
            self.prepare(data.tracks("train"))

    def teardown(self, stage: str) -> None:
        """Forget what was made of whole tracks."""
        self._whole.clear()

    def prepare(self, tracks: Sequence[Track]) -> None:
        """Learn from the training tracks and build the head."""
        self.build(self.learn(tracks))

    def build(self, learned: dict[str, Any]) -> None:
        """Build the head from what was learned of the training tracks."""
        self.learned = learned
        self.head = self.configure_head(self.card.layers, self.card.width)

    def on_fit_start(self) -> None:
        """Gather the statistics of the training features."""
        self.trainer.fit_loop.setup_data()
        loader = self.trainer.train_dataloader
        assert loader is not None
        self.gather_statistics(loader)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep what the head was built from."""
        checkpoint["learned"] = self.learned
        checkpoint["encoder"] = [self.card.name, self.card.revision]

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Build the head that the weights belong to.

        Raises:
            MotionBeatError: it was trained on another encoder, or on another revision of it.
        """
        name, revision = checkpoint["encoder"]
        if (name, revision) != (self.card.name, self.card.revision):
            raise MotionBeatError(
                f"the checkpoint belongs to encoder {name}, revision {revision}, and not to "
                f"{self.card.name}, revision {self.card.revision}; give that encoder"
            )
        if self.head is None:
            self.build(checkpoint["learned"])

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Outputs (B, T, ...) of the head for a batch, and where they are real (B, T)."""
        features, mask = self.steps(batch)
        weights = self.trained_head.layer_weights[None]
        [mixed] = mix_layers(self.standardised(features), weights)
        return self.respond(mixed, self.inputs(batch, mask.shape[1])), mask

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Loss of a batch of clips."""
        outputs, mask = self(batch)
        loss = self.loss(outputs, self.targets(batch, mask.shape[1]), mask)
        self.log("train/loss", loss, batch_size=len(batch.tracks))
        return loss

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Gather what is needed of whole tracks."""
        self.gather_validation(batch, *self(batch))

    def gather_validation(self, batch: Batch, outputs: Tensor, mask: Tensor) -> None:
        """Gather what is needed of the whole tracks of a batch."""
        for track, one in zip(batch.tracks, unpadded(outputs, mask), strict=True):
            self.validation_values.update(track.id, (self.validation_value(one, track), track))

    def on_validation_epoch_end(self) -> None:
        """Log the monitor."""
        if self.trainer.sanity_checking:  # of a few tracks, which may be too few
            self.validation_values.reset()
        else:
            self.log(self.monitor, self.finish_validation())

    def finish_validation(self) -> float:
        """The monitor of the validation split that was gathered."""
        values, tracks = zip(*self.validation_values.by_track().values(), strict=True)
        self.validation_values.reset()
        return self.validation_result(values, tracks)

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Predict whole tracks, whose annotations are read after that."""
        for track, prediction in zip(
            batch.tracks, self.predictions(batch, *self(batch)), strict=True
        ):
            self.test_predictions.update(track.id, (prediction, track))

    def on_test_epoch_end(self) -> None:
        """Log the metrics of the test split; their per-track scores stay in ``test_scores``."""
        predictions, tracks = zip(*self.test_predictions.by_track().values(), strict=True)
        self.test_predictions.reset()
        self.test_scores = self.score_all(predictions, tracks)
        metrics = type(self).summarise(arrays([self.test_scores]), np.ones((1, len(tracks))))
        self.log_dict({f"test/{name}": float(value[0, 0]) for name, value in metrics.items()})

    def predict_step(self, batch: Batch, batch_idx: int) -> list[Any]:
        """Predictions for the whole tracks of a batch; annotations are left unread."""
        return self.predictions(batch, *self(batch))

    def predictions(self, batch: Batch, outputs: Tensor, mask: Tensor) -> list[Any]:
        """Predictions of outputs for the whole tracks of a batch."""
        return [
            self.decode(one, track.without_annotations(self.visible))
            for track, one in zip(batch.tracks, unpadded(outputs, mask), strict=True)
        ]

    @torch.inference_mode()
    def predict(self, path: str | Path) -> Any:
        """The prediction for an audio file.

        Raises:
            AudioError: the file is missing or cannot be read.
        """
        audio, rate = load_audio(path)
        waveform = torch.from_numpy(resample(audio, rate, self.card.sample_rate))
        track = Track(Path(path).stem, Path(path), len(audio) / rate, Path(path).stem)
        batch = Batch(
            waveform=waveform[None],
            features=None,
            mask=torch.ones(1, len(waveform), dtype=torch.bool),
            tracks=[track],
            start=torch.zeros(1, dtype=torch.float64),
            frame_rate=self.card.sample_rate,
        )
        modes = {module: module.training for module in self.modules()}
        self.eval()
        try:
            [prediction] = self.predict_step(batch.to(self.device), 0)
        finally:
            for module, training in modes.items():
                module.training = training
        return prediction

    def parameter_groups(self) -> list[dict[str, Any]]:
        """What the optimiser moves, each with its learning rate."""
        groups = [{"params": list(self.trained_head.parameters()), "lr": self.learning_rate}]
        if self.encoder_module is not None:
            moving = [one for one in self.encoder_module.parameters() if one.requires_grad]
            groups.append({"params": moving, "lr": self.learning_rate * ENCODER_LEARNING_RATE})
        return groups

    def configure_optimizers(self) -> Any:
        """Adam."""
        return adam(self, self.parameter_groups(), self.one_cycle)


def adam(module: LightningModule, groups: list[dict[str, Any]], one_cycle: bool) -> Any:
    """Adam over parameter groups as Lightning wants it.

    Args:
        module: what is trained.
        groups: parameters with their learning rates.
        one_cycle: let the learning rates rise for a while and fall to nothing (Smith and Topin,
            "Super-convergence", 2019).
    """
    optimizer = torch.optim.Adam(groups, fused=True)
    if not one_cycle:
        return optimizer
    steps = int(module.trainer.estimated_stepping_batches)
    rates = [group["lr"] for group in groups]
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rates, steps)
    return [optimizer], [{"scheduler": schedule, "interval": "step"}]


def unpadded(outputs: Tensor, mask: Tensor) -> list[Outputs]:
    """Outputs (steps, ...) of each row of a batch, without padding."""
    lengths = mask.sum(dim=1).tolist()
    rows = outputs.detach().float().cpu().numpy()
    return [cast("Outputs", row[:length]) for row, length in zip(rows, lengths, strict=True)]


def arrays(scores: Sequence[Sequence[Scores]]) -> PerTrackScores:
    """Scores [seed][track] as arrays (seeds, tracks) by name."""
    return {
        name: np.array([[track[name] for track in seed] for seed in scores])
        for name in scores[0][0]
    }


def resample_audio(waveform: Tensor, source_rate: float, target_rate: int) -> Tensor:
    """Audio (samples,) at another sample rate in Hz, on its own device."""
    if source_rate == target_rate:
        return waveform
    from motionbeat._torchaudio import functional

    resampled: Tensor = functional.resample(waveform, round(source_rate), target_rate)
    return resampled
