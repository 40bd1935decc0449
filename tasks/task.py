"""The base of all tasks: a head on an encoder, and how its predictions are scored."""

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
"""Learning rate of an encoder that is fine-tuned, as a share of the head's."""


class Task(Contract, LightningModule):
    """A head on an encoder.

    A subclass states the class attributes of :class:`Contract` and defines :meth:`configure_head`,
    :meth:`track_targets`, :meth:`loss`, :meth:`decode` and :meth:`score`. Annotations are read for
    targets and scores alone, never for predictions.

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

    # What a subclass says

    def learn(self, tracks: Sequence[Track]) -> dict[str, Any]:
        """What the training split tells beside its features: class names, weights of a loss.

        Plain values and tensors by name, which checkpoints keep in ``learned``.
        """
        return {}

    @abstractmethod
    def configure_head(self, layers: int, width: int) -> Any:
        """Build the :class:`~motionbeat.tasks.heads.Head`, with whatever is trained beside it."""

    @abstractmethod
    def track_targets(self, track: Track, steps: int) -> Tensors:
        """What the head shall say at each step of a track, (steps, ...) tensors by name."""

    def track_inputs(self, track: Track, steps: int) -> Tensors:
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
        """Loss of outputs (B, T, ...), a scalar; ``mask`` (B, T) is True where a step is real."""

    @abstractmethod
    def decode(self, outputs: Outputs, track: Track) -> Any:
        """The prediction for a track, which carries its ``visible`` annotations and no others."""

    def validation_value(self, outputs: Outputs, track: Track) -> Any:
        """What :meth:`validation_result` needs to know of a validation track: its prediction."""
        return self.decode(outputs, track)

    def validation_result(self, values: Sequence[Any], tracks: Sequence[Track]) -> float:
        """The monitor: the primary metric. Decision thresholds may be set on the way."""
        return self.metrics_of(self.score_all(values, tracks))[self.primary]

    # The LightningModule

    @property
    def trained_head(self) -> Any:
        """The head.

        Raises:
            RuntimeError: neither was it trained nor was a checkpoint loaded.
        """
        if self.head is None:
            name = type(self).__name__
            raise RuntimeError(f"{name} has no head yet; fit it or load a checkpoint")
        return self.head

    def setup(self, stage: str) -> None:
        """Tell the data module what is needed; before training, learn and build the head."""
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
        """Learn from the training tracks and build the head."""
        self.learned = self.learn(tracks)
        self.head = self.configure_head(self.card.layers, self.card.width)

    def on_fit_start(self) -> None:
        """Gather the statistics of the training features."""
        self.trainer.fit_loop.setup_data()
        assert self.trainer.train_dataloader is not None
        self.front_end.gather_statistics(self.trainer.train_dataloader)

    def targets(self, batch: Batch, steps: int) -> Tensors:
        """Targets (B, steps, ...) by name."""
        return self._targets(batch, steps)

    def inputs(self, batch: Batch, steps: int) -> Tensors:
        """Inputs (B, steps, ...) by name, made of visible annotations alone."""
        tracks = [track.without_annotations(self.visible) for track in batch.tracks]
        return self._inputs(batch._replace(tracks=tracks), steps)

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Outputs (B, T, ...) of the head for a batch, and where they are real (B, T)."""
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
        values, tracks = zip(*self.validation_values.pop(), strict=True)
        return self.validation_result(values, tracks)

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Predict whole tracks, whose annotations are read after that."""
        for track, one in zip(batch.tracks, self.predict_step(batch, batch_idx), strict=True):
            self.test_predictions.update(track.id, (one, track))

    def on_test_epoch_end(self) -> None:
        """Log the metrics of the test split; their per-track scores stay in ``test_scores``."""
        predictions, tracks = zip(*self.test_predictions.pop(), strict=True)
        self.test_scores = self.score_all(predictions, tracks)
        metrics = self.metrics_of(self.test_scores)
        self.log_dict({f"test/{name}": value for name, value in metrics.items()})

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
        """What the optimiser moves, each with its learning rate."""
        groups = [{"params": list(self.trained_head.parameters()), "lr": self.learning_rate}]
        if moving := [one for one in self.front_end.parameters() if one.requires_grad]:
            groups.append({"params": moving, "lr": self.learning_rate * ENCODER_LEARNING_RATE})
        return groups

    def configure_optimizers(self) -> Any:
        """Adam."""
        return adam(self, self.parameter_groups(), self.one_cycle)

    def teardown(self, stage: str) -> None:
        """Forget what was made of whole tracks."""
        self._targets.clear()
        self._inputs.clear()

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
            self.learned = checkpoint["learned"]
            self.head = self.configure_head(self.card.layers, self.card.width)


def adam(module: LightningModule, groups: list[dict[str, Any]], one_cycle: bool) -> Any:
    """Adam over parameter groups, as Lightning wants it.

    With ``one_cycle`` the learning rates rise for a while and fall to nothing (Smith and Topin,
    "Super-convergence", 2019).
    """
    optimizer = torch.optim.Adam(groups, fused=True)
    if not one_cycle:
        return optimizer
    steps = int(module.trainer.estimated_stepping_batches)
    rates = [group["lr"] for group in groups]
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rates, steps)
    return [optimizer], [{"scheduler": schedule, "interval": "step"}]
