"""Pretraining from beginning to end: data loaders, trainer, checkpoints, weights."""

import csv
import hashlib
import pickle
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning import LightningDataModule, Trainer
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from torch.utils.data import DataLoader

from motionbeat.console import bar, say
from motionbeat.errors import MotionBeatError
from motionbeat.model import SIZES, MotionBeat
from motionbeat.pretraining.batches import CLUSTER, PairDataset, TempoSampler, collate
from motionbeat.pretraining.evaluation import Clips, clips
from motionbeat.pretraining.module import Pretraining
from motionbeat.pretraining.pairs import Pair
from motionbeat.pretraining.settings import Architecture, Objective, Training
from motionbeat.progress import StepBar, quiet
from motionbeat.weights import load_model, save_weights


class PretrainingError(MotionBeatError):
    """Settings that cannot be trained with, or a checkpoint that does not fit them."""


class PairData(LightningDataModule):
    """Batches of clips to train on, and the clips to validate on.

    Args:
        pairs: to train on.
        validation: clips to validate on.
        cache: folder of the features.
        training: how it is trained.
        similar: whether clips of similar tempo stand together.
    """

    def __init__(
        self,
        pairs: Sequence[Pair],
        validation: Clips,
        cache: Path,
        training: Training,
        similar: bool,
    ) -> None:
        super().__init__()
        self.pairs, self.validation, self.cache = pairs, validation, cache
        self.training, self.similar = training, similar

    def train_dataloader(self) -> DataLoader[Any]:
        """The batches of the current epoch."""
        settings, trainer = self.training, self.trainer
        epoch, rank = (trainer.current_epoch, trainer.global_rank) if trainer else (0, 0)
        sampler = TempoSampler(
            [_tempo(pair) for pair in self.pairs],
            settings.batch_size,
            settings.steps,
            settings.seconds,
            settings.variants,
            (settings.seed, epoch, rank),
            self.similar,
        )
        return DataLoader(
            PairDataset(self.pairs, self.cache, settings.captured),
            batch_sampler=sampler,
            collate_fn=collate,
            num_workers=settings.workers,
            pin_memory=torch.cuda.is_available(),
            generator=torch.Generator(),  # not the global one, which the steps draw from
        )

    def val_dataloader(self) -> DataLoader[Any]:
        """All validation clips as one batch."""
        whole: Any = [self.validation.batch]
        return DataLoader(whole, batch_size=None)


def pretrain(
    pairs: Sequence[Pair],
    validation: Sequence[Pair],
    cache: Path,
    output: Path,
    architecture: Architecture,
    objective: Objective,
    training: Training,
) -> Path:
    """Train MotionBeat; the same call after an interruption goes on from the last whole epoch.

    Args:
        pairs: to train on.
        validation: to choose the checkpoint by.
        cache: folder of the features.
        output: folder for checkpoints, logs and weights.
        architecture: what is trained.
        objective: the losses.
        training: how it is trained.

    Returns:
        The weights of the best checkpoint, ``<output>/motionbeat.safetensors``.

    Raises:
        PretrainingError: settings that cannot be trained with, or a checkpoint of other settings.
        PairError, AudioError, MotionError: a pair cannot be used.
    """
    _check(architecture, training, len(pairs))
    settings = {
        "architecture": asdict(architecture),
        "objective": asdict(objective),
        "training": {k: v for k, v in asdict(training).items() if k not in _FREE},
        "data": {"training": _name(pairs), "validation": _name(validation)},
    }
    last = output / "checkpoints" / "last.ckpt"
    done = _steps_done(last, settings) if last.is_file() else None
    held = clips(validation, cache, each=2, captured=training.captured)
    torch.manual_seed(training.seed)
    module = Pretraining(
        _model(architecture, training.start),
        objective,
        training.learning_rate,
        training.weight_decay,
        training.warm_up,
        training.seed,
        held,
        training.locked,
    )
    keeper = ModelCheckpoint(
        last.parent, "best", monitor="retrieval", mode="max", enable_version_counter=False
    )
    # Not the keeper's save_last, which waits for a better epoch.
    latest = ModelCheckpoint(last.parent, last.stem, enable_version_counter=False)
    data = PairData(pairs, held, cache, training, objective.tempo_negatives)
    with bar("steps") as progress, quiet():
        try:
            trainer = Trainer(
                max_epochs=training.epochs,
                precision=training.precision,  # type: ignore[arg-type]
                accelerator=training.accelerator,
                devices=training.devices,
                strategy=training.strategy,
                gradient_clip_val=training.gradient_clip,
                callbacks=[keeper, latest, _Settings(settings), StepBar(progress, "training")],
                logger=[_csv_log(output, done or 0), TensorBoardLogger(output, "tensorboard", "")],
                log_every_n_steps=min(20, training.steps),
                num_sanity_val_steps=0,
                reload_dataloaders_every_n_epochs=1,
                use_distributed_sampler=False,
                enable_progress_bar=False,
                enable_model_summary=False,
            )
        except (MisconfigurationException, ValueError) as error:
            raise PretrainingError(f"Lightning's trainer refuses the settings: {error}") from error
        if done is not None:
            say(f"going on from {last}")
        try:
            trainer.fit(module, data, ckpt_path=None if done is None else last, weights_only=True)
        except SystemExit as stop:  # Lightning's answer to an interrupt from the keyboard
            raise KeyboardInterrupt from stop
        except MotionBeatError as error:
            raise _of_one_line(error) from error
    weights = output / "motionbeat.safetensors"
    if trainer.is_global_zero:
        best = torch.load(keeper.best_model_path, map_location="cpu", weights_only=True)
        module.load_state_dict(best["state_dict"])
        save_weights(module.model, asdict(architecture), weights)
        say(f"{weights}: R@10 on validation {float(keeper.best_model_score or 0):.3f}")
    return weights


_FREE = ("precision", "accelerator", "devices", "strategy", "workers")  # may change on the way


class _Settings(Callback):
    """Keeps the settings in each checkpoint."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self.settings = settings

    def state_dict(self) -> dict[str, Any]:
        return self.settings


def _model(architecture: Architecture, start: str | None) -> MotionBeat:
    """A model with random weights, or those to start with."""
    model = MotionBeat(**asdict(architecture))
    if start is not None:
        known = load_model(start).state_dict()
        if {k: v.shape for k, v in known.items()} != {
            k: v.shape for k, v in model.state_dict().items()
        }:
            raise PretrainingError(
                f"training.start: {start} is no model of size {architecture.size}; choose its size"
            )
        model.load_state_dict(known)
    return model


def _check(architecture: Architecture, training: Training, pairs: int) -> None:
    if architecture.size not in SIZES:
        raise PretrainingError(f"no size {architecture.size}; choose from {', '.join(SIZES)}")
    for name in ("epochs", "steps", "variants"):
        if (value := getattr(training, name)) < 1:
            raise PretrainingError(f"training.{name} is {value}; choose 1 or more")
    if training.locked and training.start is None:
        raise PretrainingError(
            "training.locked keeps the audio tower at random weights; give training.start"
        )
    if training.batch_size % CLUSTER or not 0 < training.batch_size <= pairs:
        raise PretrainingError(
            f"a batch of {training.batch_size} clips out of {pairs} pairs; choose a multiple "
            f"of {CLUSTER} that is no more than there are pairs"
        )
    if not 0 < training.seconds[0] <= training.seconds[1]:
        shortest, longest = training.seconds
        raise PretrainingError(f"clips of {shortest} to {longest} s; choose the shorter one first")


def _name(pairs: Sequence[Pair]) -> str:
    digest = hashlib.sha256("\n".join(pair.id for pair in pairs).encode()).hexdigest()
    return f"{len(pairs)} pairs ({digest[:8]})"


def _steps_done(checkpoint: Path, settings: dict[str, dict[str, Any]]) -> int:
    """Steps after which a checkpoint was made; one of other settings is refused."""
    try:
        found = torch.load(checkpoint, map_location="cpu", weights_only=True)
        known, steps = found["callbacks"]["_Settings"], int(found["global_step"])
    except (RuntimeError, pickle.UnpicklingError, EOFError, KeyError) as error:
        reason = str(error).partition("\n")[0]
        raise PretrainingError(
            f"{checkpoint}: unreadable checkpoint ({reason}); delete it to begin anew"
        ) from error
    other = [
        f"{part}.{name} {known[part].get(name)}, now {value}"
        for part, values in settings.items()
        if part in known
        for name, value in values.items()
        if known[part].get(name) != value
    ]
    if other:
        raise PretrainingError(
            f"{checkpoint} was made with {'; '.join(other)}; choose another output folder"
        )
    return steps


def _csv_log(output: Path, done: int) -> CSVLogger:
    """A log that begins with what was logged in so many steps; Lightning would delete it."""
    file = output / "logs" / "metrics.csv"
    rows: list[dict[str, Any]] = []
    if file.is_file():
        with file.open(newline="") as lines:
            rows = [
                {name: value for name, value in row.items() if value}
                for row in csv.DictReader(lines)
                if int(row["step"]) < done
            ]
    log = CSVLogger(output, "logs", "")
    log.experiment.metrics = rows
    log.save()
    return log


def _of_one_line(error: MotionBeatError) -> MotionBeatError:
    """An error without the traceback that one from a worker of a data loader brings."""
    *before, line = str(error).strip().splitlines()
    return type(error)(line.partition(": ")[2]) if before else error


def _tempo(pair: Pair) -> float:
    if pair.beats is None or len(pair.beats) < 2:
        return float("nan")
    return float(60 / np.median(np.diff(pair.beats)))
