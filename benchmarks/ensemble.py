"""Several probes that train side by side on the same batches."""

import copy
import math
from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
from lightning import LightningModule
from torch import Tensor, nn

from motionbeat.data_modules.base import Batch
from motionbeat.errors import MotionBeatError
from motionbeat.tasks.heads import mix_layers
from motionbeat.tasks.task import Task, adam


class TrainingError(MotionBeatError):
    """Probes that could not be trained."""


class Ensemble(LightningModule):
    """Tasks on one encoder that differ in learning rate and seed.

    Each has its own parameters, dropout stream and learning rate, and Adam works on each number
    alone, so every member ends as it would in a Trainer of its own with early stopping and a
    checkpoint of its best epoch. Loading, standardising and targets are shared. A member whose
    monitor has not improved for ``patience`` validations is done and costs nothing any more.

    Args:
        tasks: the members.
        halving: whether each validation ends the members that are not in the better half of those
            that were in it before, by their best monitors. Jamieson and Talwalkar, "Non-stochastic
            best arm identification and hyperparameter optimization", 2016, algorithm 1.
        statistics: state of a front end that has seen the training features; gathered when left
            out.
    """

    monitors: Tensor
    """(members,) float64, the monitor of each member where it was best; NaN before training."""

    def __init__(
        self,
        tasks: Sequence[Task],
        halving: bool = False,
        statistics: Mapping[str, Tensor] | None = None,
    ) -> None:
        super().__init__()
        self.members = nn.ModuleList(tasks)
        self.halving = halving
        self.statistics = statistics
        self.register_buffer("monitors", torch.full((len(tasks),), torch.nan, dtype=torch.float64))
        self._states: list[dict[str, Tensor]] = [{} for _ in tasks]
        self._stale = [0] * len(tasks)
        self._candidates = list(range(len(tasks)))

    @property
    def tasks(self) -> list[Task]:
        """The members."""
        return [cast("Task", member) for member in self.members]

    @property
    def active(self) -> list[int]:
        """Numbers of the members that are not done."""
        patience = self.tasks[0].recipe.patience
        return [index for index in self._candidates if self._stale[index] < patience]

    def setup(self, stage: str) -> None:
        """Let each member learn from the training tracks."""
        if stage == "fit":
            tracks = self.trainer.datamodule.tracks("train")  # type: ignore[attr-defined]
            for task in self.tasks:
                if task.head is None:
                    task.prepare(tracks)

    def on_fit_start(self) -> None:
        """Gather the statistics of the training features, once for all."""
        if self.statistics is None:
            self.trainer.fit_loop.setup_data()
            loader = self.trainer.train_dataloader
            assert loader is not None
            self.tasks[0].front_end.gather_statistics(loader)
            self.statistics = self.tasks[0].front_end.state_dict()
        for task in self.tasks:
            task.front_end.load_state_dict(self.statistics)

    def respond(self, batch: Batch, members: Sequence[int]) -> tuple[list[Tensor], Tensor]:
        """Outputs of some members for a batch, and where they are real."""
        first = self.tasks[0]
        features, mask = first.front_end(batch)
        chosen = [self.tasks[index] for index in members]
        weights = torch.stack([task.trained_head.layer_weights for task in chosen])
        mixed = mix_layers(features, weights)
        inputs = first.inputs(batch, mask.shape[1])
        return [task.respond(one, inputs) for task, one in zip(chosen, mixed, strict=True)], mask

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Sum of the members' losses; no gradient reaches another member."""
        members = self.active
        outputs, mask = self.respond(batch, members)
        targets = self.tasks[0].targets(batch, mask.shape[1])
        losses = [
            self.tasks[index].loss(one, targets, mask)
            for index, one in zip(members, outputs, strict=True)
        ]
        return torch.stack(losses).sum()

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Gather what each member needs of whole tracks."""
        members = self.active
        outputs, mask = self.respond(batch, members)
        for index, one in zip(members, outputs, strict=True):
            self.tasks[index].gather_validation(batch, one, mask)

    def on_validation_epoch_end(self) -> None:
        """Copy the members that are better than ever, halve the others; stop when all are done."""
        sign = 1 if self.tasks[0].mode == "max" else -1

        def goodness(index: int) -> float:
            best = float(self.monitors[index])
            return -math.inf if math.isnan(best) else sign * best

        for index in self.active:
            task = self.tasks[index]
            value = task.finish_validation()
            if sign * value > goodness(index):
                self.monitors[index] = value
                self._states[index] = copy.deepcopy(task.state_dict())
                self._stale[index] = 0
            else:
                self._stale[index] += 1
        if self.halving:
            best_first = sorted(self._candidates, key=goodness, reverse=True)
            self._candidates = sorted(best_first[: math.ceil(len(best_first) / 2)])
        self.trainer.should_stop = not self.active

    def on_fit_end(self) -> None:
        """Put the best states back.

        A member that diverged keeps its last state and a monitor that is no number.

        Raises:
            TrainingError: no member's monitor was ever a number.
        """
        if not any(self._states):
            task = self.tasks[0]
            why = f" (do all have {task.undefined}?)" if task.undefined else ""
            raise TrainingError(
                f"{task.monitor} was never a number at any learning rate; check that the "
                f"validation tracks can be scored{why}, or lower the learning rates"
            )
        for task, state in zip(self.tasks, self._states, strict=True):
            if state:
                task.load_state_dict(state)

    def predict_step(self, batch: Batch, batch_idx: int) -> list[list[Any]]:
        """Predictions [member][track] for the whole tracks of a batch."""
        outputs, mask = self.respond(batch, range(len(self.tasks)))
        return [
            task.predictions(batch, one, mask)
            for task, one in zip(self.tasks, outputs, strict=True)
        ]

    def configure_optimizers(self) -> Any:
        """Adam, with the learning rates and the schedule of the members."""
        groups = [group for task in self.tasks for group in task.parameter_groups()]
        return adam(self, groups, self.tasks[0].one_cycle)
