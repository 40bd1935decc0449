"""Pretraining from beginning to end: data loaders, trainer, checkpoints, weights."""

import logging
import warnings
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning import LightningDataModule, Trainer
from lightning.pytorch.callbacks import Callback, ModelCheckpoint, RichProgressBar
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from torch.utils.data import DataLoader

from motionbeat.console import console, say
from motionbeat.errors import MotionBeatError
from motionbeat.model import SIZES, MotionBeat
from motionbeat.pretraining.batches import PairDataset, TempoSampler, collate
from motionbeat.pretraining.evaluation import Clips, clips
from motionbeat.pretraining.module import Pretraining
from motionbeat.pretraining.pairs import Pair
from motionbeat.pretraining.settings import Architecture, Objective, Training
from motionbeat.weights import save_weights


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
            PairDataset(self.pairs, self.cache),
            batch_sampler=sampler,
            collate_fn=collate,
            num_workers=settings.workers,
            pin_memory=torch.cuda.is_available(),
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
        PretrainingError: an unknown size, too few pairs, or a checkpoint of other settings.
        PairError, AudioError, MotionError: a pair cannot be used.
    """
    if architecture.size not in SIZES:
        raise PretrainingError(f"no size {architecture.size}; choose from {', '.join(SIZES)}")
    if training.batch_size % 4 or training.batch_size > len(pairs):
        raise PretrainingError(
            f"a batch of {training.batch_size} clips out of {len(pairs)} pairs; choose a multiple "
            "of 4 that is no more than there are pairs"
        )
    settings = {
        "architecture": asdict(architecture),
        "objective": asdict(objective),
        "training": {k: v for k, v in asdict(training).items() if k not in _FREE},
    }
    held = clips(validation, cache, each=2)
    torch.manual_seed(training.seed)
    module = Pretraining(
        MotionBeat(**asdict(architecture)),
        objective,
        training.learning_rate,
        training.weight_decay,
        training.warm_up,
        training.seed,
        held,
    )
    keeper = ModelCheckpoint(
        output / "checkpoints", "best", monitor="retrieval", mode="max", save_last=True,
        enable_version_counter=False,
    )  # fmt: skip
    callbacks: list[Callback] = [keeper, _Settings(settings)]
    if console.is_terminal:
        callbacks.append(RichProgressBar())
    trainer = Trainer(
        max_epochs=training.epochs,
        precision=training.precision,  # type: ignore[arg-type]
        accelerator=training.accelerator,
        devices=training.devices,
        strategy=training.strategy,
        gradient_clip_val=training.gradient_clip,
        callbacks=callbacks,
        logger=[CSVLogger(output, "logs", ""), TensorBoardLogger(output, "tensorboard", "")],
        log_every_n_steps=min(20, training.steps),
        num_sanity_val_steps=0,
        reload_dataloaders_every_n_epochs=1,
        use_distributed_sampler=False,
        enable_progress_bar=console.is_terminal,
        enable_model_summary=False,
    )
    data = PairData(pairs, held, cache, training, objective.tempo_negatives)
    last = output / "checkpoints" / "last.ckpt"
    if last.is_file():
        say(f"going on from {last}")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*does not have many workers.*")
        warnings.filterwarnings("ignore", ".*Checkpoint directory.*")
        logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
        trainer.fit(module, data, ckpt_path=last if last.is_file() else None, weights_only=True)
    weights = output / "motionbeat.safetensors"
    if trainer.is_global_zero:
        best = torch.load(keeper.best_model_path, map_location="cpu", weights_only=True)
        module.load_state_dict(best["state_dict"])
        save_weights(module.model, asdict(architecture), weights)
        say(f"{weights}: R@10 on validation {float(keeper.best_model_score or 0):.3f}")
    return weights


_FREE = ("precision", "accelerator", "devices", "strategy", "workers")  # may change on the way


class _Settings(Callback):
    """Keeps the settings in each checkpoint, and refuses a checkpoint of other settings."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self.settings = settings

    def state_dict(self) -> dict[str, Any]:
        return self.settings

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        other = [
            f"{part}.{name} {state_dict.get(part, {}).get(name)}, now {value}"
            for part, values in self.settings.items()
            for name, value in values.items()
            if state_dict.get(part, {}).get(name) != value
        ]
        if other:
            raise PretrainingError(
                f"the checkpoint was made with {'; '.join(other)}; choose another output folder"
            )


def _tempo(pair: Pair) -> float:
    if pair.beats is None or len(pair.beats) < 2:
        return float("nan")
    return float(60 / np.median(np.diff(pair.beats)))
