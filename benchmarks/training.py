"""Training the probes of a task with Lightning, each member kept at its best epoch."""

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from lightning import Callback, LightningModule, Trainer, seed_everything
from numpy.typing import NDArray
from torch.utils.data import Dataset

from motionbeat.benchmarks.kept import keep, recall
from motionbeat.console import bar
from motionbeat.data_modules.base import DataModule, Split, Track
from motionbeat.errors import MotionBeatError
from motionbeat.progress import StepBar, quiet
from motionbeat.tasks.base import Decoder, Outputs, Task
from motionbeat.tasks.features import FeatureSource, Resampled, Windows, collate
from motionbeat.tasks.probe import Member, Probe

Precision = Literal["32-true", "bf16-mixed"]


class TrainingError(MotionBeatError):
    """Probes that could not be trained."""


class KeepBest(Callback):
    """Keep every member where its monitor was best; a member that stopped improving is done.

    Lightning's own checkpoint and early stopping follow one number a module; here each member of
    the module has its own. A member that is done is not looked at again, so what it ends as does
    not depend on how long the others go on.
    """

    def __init__(self) -> None:
        self.best: list[float] = []
        self.states: list[dict[str, torch.Tensor]] = []
        self.stale: list[int] = []

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Copy the members that are better than ever; stop when all are done."""
        assert isinstance(pl_module, Task)
        sign = 1 if pl_module.mode == "max" else -1
        if not self.best:
            self.best = [-sign * math.inf] * len(pl_module.members)
            self.states = [{}] * len(pl_module.members)
            self.stale = [0] * len(pl_module.members)
        for index, value in enumerate(pl_module.monitored):
            if self.stale[index] >= pl_module.patience:
                continue
            if sign * value > sign * self.best[index]:
                self.best[index] = value
                self.states[index] = copy.deepcopy(pl_module.trained[index].state_dict())
                self.stale[index] = 0
            else:
                self.stale[index] += 1
        trainer.should_stop = min(self.stale) >= pl_module.patience

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Put the best states back.

        A member that diverged keeps its last state and the worst monitor there is.

        Raises:
            TrainingError: no member's monitor was ever a number.
        """
        assert isinstance(pl_module, Task)
        if not any(self.states):
            raise TrainingError(
                f"{pl_module.monitor} was never a number at any learning rate; lower them"
            )
        for probe, state in zip(pl_module.trained, self.states, strict=True):
            if state:
                probe.load_state_dict(state)
        pl_module.best.copy_(torch.tensor(self.best, dtype=torch.float64))


@dataclass(frozen=True, eq=False)
class Trained:
    """A probe at its best: its monitor there, how it decodes, its outputs for each test track."""

    probe: Probe
    monitor: float
    decoder: Decoder
    outputs: list[Outputs]


@dataclass(frozen=True, eq=False)
class Examples:
    """The windows of a split with their inputs; targets are made for the training split alone."""

    task: Task
    source: FeatureSource

    def __call__(self, tracks: Sequence[Track], split: Split) -> Dataset[Any]:
        """Cut the tracks of a split into windows."""
        window = max(1, round(self.task.window * self.source.rate))
        if split != "train":
            return Windows(self.source, tracks, window, window, self.task.inputs, None)
        stride = max(1, round((self.task.stride or self.task.window) * self.source.rate))
        return Windows(self.source, tracks, window, stride, self.task.inputs, self.task.targets)


def train(
    kind: type[Task],
    source: FeatureSource,
    teacher: DataModule,
    examined: DataModule,
    *,
    probe: str,
    members: Sequence[Member],
    statistics: tuple[NDArray[np.float64], NDArray[np.float64]],
    label: str,
    kept: Path,
) -> list[Trained]:
    """Train probes side by side and run them on the test split, whose annotations stay unread.

    Probes that were trained before are not trained again.

    Args:
        kind: the task.
        source: features of all tracks.
        teacher: its train and validation splits are learned from.
        examined: its test split is run.
        probe: kind of the probes.
        members: the probes.
        statistics: mean and standard deviation (layers, width) of the training features.
        label: name of the progress bar.
        kept: file that the trained probes are kept in; its name says all that decides them.

    Returns:
        One result for each member.
    """
    seed_everything(members[0].seed, verbose=False)
    source = source if kind.steps_a_second is None else Resampled(source, kind.steps_a_second)
    task = kind(source, teacher.tracks("train"), probe=probe, members=members)
    task.standardise(*statistics)
    examples = Examples(task, source)
    for datamodule in {id(teacher): teacher, id(examined): examined}.values():
        datamodule.serve(examples, collate, task.batch_size, seed=members[0].seed)
    if not recall(task, kept):
        learn(task, teacher, label=label)
        keep(task, kept)
    return examine(task, examined)


def learn(
    task: Task,
    teacher: DataModule,
    *,
    label: str,
    accumulated: int = 1,
    precision: Precision = "32-true",
) -> None:
    """Train the members of a task.

    Args:
        task: the task with its members, which end at their best.
        teacher: its train and validation splits, as it serves them, are learned from.
        label: name of the progress bar.
        accumulated: batches a training step.
        precision: of the arithmetic.
    """
    task.validation_tracks = teacher.tracks("validation")
    batches = len(teacher.train_dataloader())
    steps = math.ceil(batches / accumulated)  # the last one of an epoch may have fewer batches
    between = max(task.check_every, task.epochs and steps)
    with bar("steps") as progress, quiet():
        trainer = trainer_of(
            precision,
            max_epochs=-1,
            max_steps=max(task.max_steps, task.epochs * steps),
            val_check_interval=between * batches // steps,
            accumulate_grad_batches=accumulated,
            check_val_every_n_epoch=None,
            reload_dataloaders_every_n_epochs=1,
            num_sanity_val_steps=0,
            callbacks=[KeepBest(), StepBar(progress, label)],
        )
        try:
            trainer.fit(task, datamodule=teacher)
        except SystemExit as stop:  # Lightning's answer to an interrupt from the keyboard
            raise KeyboardInterrupt from stop


def trainer_of(precision: Precision, **options: Any) -> Trainer:
    """Lightning on one device, which leaves files and progress bars to us."""
    return Trainer(
        accelerator="gpu" if torch.cuda.is_available() else "cpu",
        devices=1,
        precision=precision,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        **options,
    )


def examine(task: Task, examined: DataModule, precision: Precision = "32-true") -> list[Trained]:
    """Run the members of a task, trained, on the test split that a dataset serves.

    Args:
        task: the task with its members.
        examined: the dataset.
        precision: of the arithmetic.

    Returns:
        One result for each member.
    """
    with quiet():
        trainer_of(precision).test(task, datamodule=examined, verbose=False)
    task.cpu()
    return [
        Trained(one, monitor, task.decoder(one), outputs)
        for one, monitor, outputs in zip(
            task.typed_probes, task.best.tolist(), task.outputs, strict=True
        )
    ]


def feature_statistics(
    source: FeatureSource, tracks: Sequence[Track]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and standard deviation (layers, width) of the features of tracks, one track at a time.

    Chan, Golub and LeVeque, "Algorithms for computing the sample variance", 1983, eq. 2.1.
    """
    count = 0
    mean = np.zeros((source.layers, source.width))
    squares = np.zeros_like(mean)
    for track in tracks:
        steps = source.read(track, 0, source.length(track)).astype(np.float32)
        new_mean = steps.mean(axis=0, dtype=np.float64)
        delta = new_mean - mean
        total = count + len(steps)
        squares += steps.var(axis=0, dtype=np.float64) * len(steps)
        squares += delta**2 * count * len(steps) / total
        mean += delta * len(steps) / total
        count = total
    return mean, np.sqrt(squares / max(count, 1))
