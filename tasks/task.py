"""Base of all tasks: a head on an encoder, with its training, prediction and scoring."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from lightning import LightningModule
from torch import Tensor

from motionbeat.audio import load_audio, resample
from motionbeat.data_modules.base import Batch, DatasetError, Example, Loaders, Track, collate
from motionbeat.encoder import Encoder
from motionbeat.errors import MotionBeatError
from motionbeat.tasks.adapters import EncoderMode
from motionbeat.tasks.contract import Contract
from motionbeat.tasks.cutting import Outputs, Tensors, TrackCutter, unpadded
from motionbeat.tasks.front_end import FrontEnd
from motionbeat.tasks.heads import mix_layers
from motionbeat.tasks.metrics.per_track import PerTrack

ENCODER_LEARNING_RATE = 0.03
"""Learning rate of a fine-tuned encoder, relative to that of the head."""


class Task(Contract, LightningModule):
    """A head on an encoder.

    A subclass sets the class attributes of :class:`Contract` and defines :meth:`configure_head`,
    :meth:`track_targets`, :meth:`loss`, :meth:`decode` and :meth:`score`. Annotations are used
    for targets and scores, never for predictions.

    Args:
        encoder: a name that ``motionbeat list encoders`` shows, or an encoder.
        head: one of ``heads``, except ``knn``.
        learning_rate: learning rate of Adam.
        seed: seed of initialisation and dropout.
        encoder_mode: the part of the encoder that is trained: nothing (``frozen``), low-rank
            adapters (``lora``) or all weights (``full``), at 0.03 times the learning rate.

    Raises:
        UnknownNameError: no encoder has the name.
        UnavailableError: a package or the weights of the encoder are missing.
        ValueError: the task has no such head.
        FineTuningError: the encoder cannot be fine-tuned in this mode.
    """

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
        self.front_end = FrontEnd(
            encoder, encoder_mode, seed, self.segment_seconds, self.target_rate
        )
        self.card = self.front_end.card
        self.step_rate = self.front_end.step_rate
        self.head: Any = None
        self.learned: dict[str, Any] = {}
        self.validation_values, self.test_predictions = PerTrack(), PerTrack()
        self._targets = TrackCutter(self.track_targets, self.step_rate)
        self._inputs = TrackCutter(self.track_inputs, self.step_rate)

    # Defined or overridden by subclasses

    def learn(self, tracks: Sequence[Track]) -> dict[str, Any]:
        """Values learned from the annotations of the training split, such as class names.

        Returns:
            Plain values and tensors by name; they are kept in ``learned`` and in checkpoints.
        """
        return {}

    @abstractmethod
    def configure_head(self, layers: int, width: int) -> Any:
        """Build the :class:`~motionbeat.tasks.heads.Head`, with all other trained modules.

        Args:
            layers: number of layers of the encoder.
            width: features per layer.
        """

    @abstractmethod
    def track_targets(self, track: Track, steps: int) -> Tensors:
        """Targets at each step of a track, (steps, ...) tensors by name."""

    def track_inputs(self, track: Track, steps: int) -> Tensors:
        """Inputs of the head besides the features, (steps, ...) tensors by name; by default none.

        They are needed at test time too, so they may use only ``visible`` annotations.
        """
        return {}

    def respond(self, mixed: Tensor, inputs: Mapping[str, Tensor]) -> Tensor:
        """Outputs (B, T, ...) of the head for mixed layers (B, T, width)."""
        outputs: Tensor = self.trained_head(mixed)
        return outputs

    @abstractmethod
    def loss(self, outputs: Tensor, targets: Mapping[str, Tensor], mask: Tensor) -> Tensor:
        """Loss of outputs (B, T, ...), a scalar; ``mask`` (B, T) is False at padding."""

    @abstractmethod
    def decode(self, outputs: Outputs, track: Track) -> Any:
        """The prediction for a whole track from its outputs (T, ...).

        The track has only its ``visible`` annotations.
        """

    def validation_value(self, outputs: Outputs, track: Track) -> Any:
        """The input of :meth:`validation_result` for one track; by default its prediction."""
        return self.decode(outputs, track)

    def validation_result(self, values: Sequence[Any], tracks: Sequence[Track]) -> float:
        """The monitor; by default the primary metric. A subclass may also set thresholds here."""
        return self.metrics_of(self.score_all(values, tracks))[self.primary]

    # The LightningModule

    @property
    def trained_head(self) -> Any:
        """The head.

        Raises:
            RuntimeError: the task was not trained, and no checkpoint was loaded.
        """
        if self.head is None:
            name = type(self).__name__
            raise RuntimeError(f"{name} has no head yet; fit it or load a checkpoint")
        return self.head

    def setup(self, stage: str) -> None:
        """Configure the data module; before training, also call :meth:`prepare`.

        Raises:
            DatasetError: the Trainer has no data module to learn from.
        """
        data = getattr(self.trainer, "datamodule", None)
        if isinstance(data, Loaders):
            data.visible = self.visible
            data.encoder_sample_rate = self.card.sample_rate
            data.encoder_channels = self.card.channels
        if stage == "fit" and self.head is None:
            if data is None:
                raise DatasetError(
                    f"{type(self).__name__} learns from the tracks of a data module; "
                    "call trainer.fit(task, datamodule)"
                )
            self.prepare(data.tracks("train"))

    def prepare(self, tracks: Sequence[Track]) -> None:
        """Call :meth:`learn` on the training tracks and build the head."""
        self.learned = self.learn(tracks)
        self.head = self.configure_head(self.card.layers, self.card.width)

    def on_fit_start(self) -> None:
        """Compute the mean and standard deviation of the training features."""
        self.trainer.fit_loop.setup_data()
        assert self.trainer.train_dataloader is not None
        self.front_end.gather_statistics(self.trainer.train_dataloader)

    def targets(self, batch: Batch, steps: int) -> Tensors:
        """Targets (B, steps, ...) by name."""
        return self._targets(batch, steps)

    def inputs(self, batch: Batch, steps: int) -> Tensors:
        """Inputs (B, steps, ...) by name, from visible annotations only."""
        tracks = [track.without_annotations(self.visible) for track in batch.tracks]
        return self._inputs(batch._replace(tracks=tracks), steps)

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Outputs (B, T, ...) of the head for a batch, and a mask (B, T), False at padding."""
        features, mask = self.front_end(batch)
        [mixed] = mix_layers(features, self.trained_head.layer_weights[None])
        return self.respond(mixed, self.inputs(batch, mask.shape[1])), mask

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Loss of a batch of clips."""
        outputs, mask = self(batch)
        loss = self.loss(outputs, self.targets(batch, mask.shape[1]), mask)
        self.log("train/loss", loss, batch_size=len(batch.tracks))
        return loss

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Collect the validation values of whole tracks."""
        self.gather_validation(batch, *self(batch))

    def gather_validation(self, batch: Batch, outputs: Tensor, mask: Tensor) -> None:
        """Collect the validation values of the whole tracks of a batch from outputs."""
        for track, one in zip(batch.tracks, unpadded(outputs, mask), strict=True):
            self.validation_values.update(track.id, (self.validation_value(one, track), track))

    def on_validation_epoch_end(self) -> None:
        """Log the monitor."""
        if self.trainer.sanity_checking:  # of a few tracks, which may be too few
            self.validation_values.reset()
        else:
            self.log(self.monitor, self.finish_validation())

    def finish_validation(self) -> float:
        """The monitor, from the collected values of the validation split."""
        values, tracks = zip(*self.validation_values.pop(), strict=True)
        return self.validation_result(values, tracks)

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Predict whole tracks; their annotations are read afterwards, for the scores."""
        for track, one in zip(batch.tracks, self.predict_step(batch, batch_idx), strict=True):
            self.test_predictions.update(track.id, (one, track))

    def on_test_epoch_end(self) -> None:
        """Log the metrics of the test split; per-track scores are kept in ``test_scores``."""
        predictions, tracks = zip(*self.test_predictions.pop(), strict=True)
        self.test_scores = self.score_all(predictions, tracks)
        metrics = self.metrics_of(self.test_scores)
        self.log_dict({f"test/{name}": value for name, value in metrics.items()})

    def predict_step(self, batch: Batch, batch_idx: int) -> list[Any]:
        """Predictions for the whole tracks of a batch; annotations are not read."""
        return self.predictions(batch, *self(batch))

    def predictions(self, batch: Batch, outputs: Tensor, mask: Tensor) -> list[Any]:
        """Predictions for the whole tracks of a batch from outputs."""
        return [
            self.decode(one, track.without_annotations(self.visible))
            for track, one in zip(batch.tracks, unpadded(outputs, mask), strict=True)
        ]

    @torch.inference_mode()
    def predict(self, path: str | Path) -> Any:
        """The prediction for an audio file.

        Raises:
            AudioError: the file is missing or cannot be read.
            RuntimeError: the task has no trained head.
        """
        path = Path(path)
        audio, rate = load_audio(path, self.card.channels)
        waveform = torch.from_numpy(resample(audio, rate, self.card.sample_rate))
        track = Track(path.stem, path, len(audio) / rate, path.stem)
        batch = collate([Example(track, 0.0, waveform)], self.card.sample_rate)
        head, training = self.trained_head, self.trained_head.training
        head.eval()  # the encoder always is
        try:
            [prediction] = self.predict_step(batch.to(self.device), 0)
        finally:
            head.train(training)
        return prediction

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Parameter groups of the optimiser, each with its learning rate."""
        groups = [{"params": list(self.trained_head.parameters()), "lr": self.learning_rate}]
        if moving := [one for one in self.front_end.parameters() if one.requires_grad]:
            groups.append({"params": moving, "lr": self.learning_rate * ENCODER_LEARNING_RATE})
        return groups

    def configure_optimizers(self) -> Any:
        """Adam, with a one-cycle learning rate if the task sets ``one_cycle``."""
        return adam(self, self.parameter_groups(), self.one_cycle)

    def teardown(self, stage: str) -> None:
        """Free the cached targets and inputs of whole tracks."""
        self._targets.clear()
        self._inputs.clear()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Save the values from which the head was built."""
        checkpoint["learned"] = self.learned
        checkpoint["encoder"] = [self.card.name, self.card.revision]

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Build the head for the weights in the checkpoint.

        Raises:
            MotionBeatError: the head was trained on another encoder or another revision of it.
        """
        name, revision = checkpoint["encoder"]
        if (name, revision) != (self.card.name, self.card.revision):
            raise MotionBeatError(
                f"the checkpoint belongs to encoder {name}, revision {revision}, and not to "
                f"{self.card.name}, revision {self.card.revision}; use that encoder"
            )
        if self.head is None:
            self.learned = checkpoint["learned"]
            self.head = self.configure_head(self.card.layers, self.card.width)


def adam(module: LightningModule, groups: list[dict[str, Any]], one_cycle: bool) -> Any:
    """Adam over parameter groups, in the form that ``configure_optimizers`` returns.

    With ``one_cycle`` the learning rates rise, then fall to nearly zero (Smith and Topin,
    "Super-convergence", 2019).
    """
    optimizer = torch.optim.Adam(groups, fused=True)
    if not one_cycle:
        return optimizer
    steps = int(module.trainer.estimated_stepping_batches)
    rates = [group["lr"] for group in groups]
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rates, steps)
    return [optimizer], [{"scheduler": schedule, "interval": "step"}]
