"""Pairs of music and motion as a LightningDataModule."""

from collections.abc import Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import torch
from lightning import LightningDataModule
from torch.utils.data import DataLoader

from motionbeat.devices import has_gpu
from motionbeat.pretraining.batches import Batch, PairDataset, TempoSampler
from motionbeat.pretraining.evaluation import clips
from motionbeat.pretraining.pairs import Pair, variant_tempi


class PairDataModule(LightningDataModule):
    """Batches of training clips, and one batch of all validation clips.

    A subclass that has to find its pairs first sets ``pairs`` in ``setup``. On several devices the
    Trainer needs ``use_distributed_sampler=False``, because every process draws its own batches. To
    resume with exactly the batches of an uninterrupted run, set
    ``reload_dataloaders_every_n_epochs=1``.

    Args:
        cache: folder of the features.
        train: pairs for training.
        validation: pairs that select the checkpoint.
        batch_size: clips per step, a multiple of 4.
        steps_per_epoch: batches per epoch; each epoch ends with a validation and a checkpoint.
        seconds: length of the shortest and of the longest clip in seconds.
        variants: number of variants of each pair; the first is the original, the others are
            augmented.
        captured: simulate motion capture errors in augmented and validation pairs; the ranges were
            taken from motions of ``dance_with_melody``, including its test split.
        live: use the beats of the online beat tracker.
        similar_tempo: draw batches as clusters of four clips of similar tempo.
        mistaken: share of the training clips whose music gets a simulated beat tracking error; the
            phases of the loss stay true, so the tower learns to correct the beats.
        num_workers: number of processes that load, render and augment.
        seed: seed of the batches.
    """

    def __init__(
        self,
        cache: Path,
        train: Sequence[Pair] = (),
        validation: Sequence[Pair] = (),
        *,
        batch_size: int = 32,
        steps_per_epoch: int = 100,
        seconds: tuple[float, float] = (5.0, 12.0),
        variants: int = 3,
        captured: bool = False,
        live: bool = False,
        similar_tempo: bool = True,
        mistaken: float = 0.0,
        num_workers: int = 1,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.cache = cache
        self.pairs = {"train": list(train), "validation": list(validation)}
        self.captured, self.live, self.variants = captured, live, variants
        self.num_workers = num_workers
        self.sampler = partial(
            TempoSampler,
            batch_size=batch_size,
            steps=steps_per_epoch,
            seconds=seconds,
            seed=seed,
            similar_tempo=similar_tempo,
            mistaken=mistaken,
        )

    def train_dataloader(self) -> DataLoader[Any]:
        """Batches of drawn clips."""
        tempi = [variant_tempi(pair, self.variants) for pair in self.pairs["train"]]
        sampler = self.sampler(tempi, rank=self.trainer.global_rank if self.trainer else 0)
        if self.trainer:  # loader processes draw before Lightning sets the epoch
            sampler.set_epoch(self.trainer.current_epoch)
        return DataLoader(
            PairDataset(self.pairs["train"], self.cache, self.captured, self.live),
            batch_size=None,  # the sampler draws whole batches
            sampler=sampler,
            num_workers=self.num_workers,
            pin_memory=has_gpu(),
            generator=torch.Generator(),  # not the global one, which dropout draws from
        )

    def val_dataloader(self) -> DataLoader[Any]:
        """All validation clips as one batch."""
        batch: Any = [self._validation_clips]
        return DataLoader(batch, batch_size=None)

    @cached_property
    def _validation_clips(self) -> Batch:
        return clips(
            self.pairs["validation"], self.cache, 2, captured=self.captured, live=self.live
        )
