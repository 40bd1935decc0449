"""Training of the probes of an entry: a sweep of learning rates, then further seeds."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from lightning import Trainer
from numpy.typing import NDArray

from motionbeat.benchmarks.embedded import Embedded
from motionbeat.benchmarks.ensemble import Ensemble
from motionbeat.benchmarks.keys import task_key, tracks_key
from motionbeat.benchmarks.store import address_of
from motionbeat.cache import digest
from motionbeat.console import bar
from motionbeat.data_modules.base import DataModule, Loaders
from motionbeat.devices import accelerator, has_gpu
from motionbeat.encoder import Encoder
from motionbeat.encoding import find_encoder
from motionbeat.progress import StepBar, quiet
from motionbeat.states import load_state, save_state
from motionbeat.tasks.adapters import EncoderMode
from motionbeat.tasks.clip_task import ClipTask
from motionbeat.tasks.task import Task

FINE_TUNING_SECONDS = 10.0
"""Shortest training clips for fine-tuning, in seconds."""


@dataclass(frozen=True)
class Probed:
    """Results of the probes in one fold.

    Attributes:
        predictions: predictions [seed][test track].
        monitors: best monitor of each seed.
        layer_weights: weights of the layers [seed][layer].
        learning_rate: the chosen learning rate.
        sweep: best monitor of the first seed, by learning rate.
    """

    predictions: list[list[Any]]
    monitors: list[float]
    layer_weights: list[list[float]]
    learning_rate: float
    sweep: dict[float, float]


@dataclass(frozen=True, eq=False)
class Probing:
    """The probes of one head on one encoder, in one fold.

    Attributes:
        task: the task.
        encoder: name of the encoder, or the encoder.
        head: name of the head.
        mode: part of the encoder that is trained.
        train_data: dataset whose train and validation splits are used.
        test_data: dataset whose test split is predicted.
        cache: folder of embeddings and trained probes.
        label: name of the entry, for progress bars.
        loaded: datasets with their features, kept in memory.
    """

    task: type[Task]
    encoder: str | Encoder
    head: str
    mode: EncoderMode
    train_data: DataModule
    test_data: DataModule
    cache: Path
    label: str
    loaded: dict[DataModule, Embedded] = field(default_factory=dict, init=False)

    def run(self, learning_rates: Sequence[float], seeds: Sequence[int]) -> Probed:
        """Sweep learning rates with the first seed, then train the other seeds at the best one."""
        first, *others = seeds
        rates = [(first, rate) for rate in learning_rates]
        sweep = self.train(rates, "learning rates", halving=self.task.halving)
        monitors: list[float] = sweep.monitors.tolist()
        best = best_of(monitors, self.task.mode)
        chosen = [sweep.tasks[best]]
        found = [monitors[best]]
        if others:
            members = [(seed, learning_rates[best]) for seed in others]
            statistics = chosen[0].front_end.state_dict() if self.mode == "frozen" else None
            ensemble = self.train(members, "seeds", statistics=statistics)
            chosen += ensemble.tasks
            found += ensemble.monitors.tolist()
        return Probed(
            predictions=self.predict(chosen),
            monitors=found,
            layer_weights=[task.trained_head.layer_weights.tolist() for task in chosen],
            learning_rate=learning_rates[best],
            sweep=dict(zip(learning_rates, monitors, strict=True)),
        )

    def recall(self, learning_rates: Sequence[float], seed: int) -> Task | None:
        """The cached probe of a seed at the best of its learning rates; None if not cached.

        Only the first seed has a sweep.
        """
        members = [(seed, rate) for rate in learning_rates]
        ensemble = self._ensemble(members, halving=self.task.halving)
        if not load_state(ensemble, self.kept(members)):
            return None
        return ensemble.tasks[best_of(ensemble.monitors.tolist(), self.task.mode)]

    def train(self, members: Sequence[tuple[int, float]], stage: str, **options: Any) -> Ensemble:
        """Train probes with given (seed, learning rate) pairs, or load them from the cache.

        Each probe is returned at its best checkpoint. Fine-tuned encoders are trained one after
        another, because of their memory, without halving, and are not cached.

        Args:
            members: seed and learning rate of each probe.
            stage: name of the stage, for progress bars.
            options: options of :class:`Ensemble`.
        """
        if self.mode == "frozen":
            ensemble = self._ensemble(members, **options)
            if not load_state(ensemble, self.kept(members)):
                ensemble = self._fit(members, stage, **options)
                save_state(ensemble, self.kept(members))
            return ensemble
        alone = [self._fit([one], f"{stage} {one[0]}/{one[1]:g}") for one in members]
        joined = Ensemble([task for ensemble in alone for task in ensemble.tasks])
        joined.monitors.copy_(torch.cat([ensemble.monitors for ensemble in alone]))
        return joined

    def _ensemble(self, members: Sequence[tuple[int, float]], **options: Any) -> Ensemble:
        """Probes that are not trained yet."""
        tasks = [
            self.task(
                self.encoder, self.head, learning_rate=rate, seed=seed, encoder_mode=self.mode
            )
            for seed, rate in members
        ]
        tracks = self.train_data.tracks("train")
        for task in tasks:
            task.prepare(tracks)
        return Ensemble(tasks, **options)

    def _fit(self, members: Sequence[tuple[int, float]], stage: str, **options: Any) -> Ensemble:
        ensemble = self._ensemble(members, **options)
        fit(ensemble, self.data(self.train_data, members[0][0]), f"{self.label} · {stage}")
        return ensemble

    def predict(self, tasks: Sequence[Task]) -> list[list[Any]]:
        """Predictions [task][track] for the test split, whose annotations are not read."""
        data = self.data(self.test_data)
        groups = [tasks] if self.mode == "frozen" else [[task] for task in tasks]
        predictions: list[list[Any]] = []
        for group in groups:
            with bar("tracks") as progress, quiet():
                trainer = trainer_of(callbacks=[StepBar(progress, f"{self.label} · predictions")])
                batches = trainer.predict(Ensemble(group), datamodule=data)
            assert batches is not None
            predictions += [
                [one for batch in batches for one in batch[member]] for member in range(len(group))
            ]
        return predictions

    def neighbours(self) -> list[Any]:
        """Predictions for the test split from nearest neighbours in the training split.

        The features of a track are the mean over its steps of the standardised features, with the
        layers concatenated.
        """
        assert issubclass(self.task, ClipTask)
        task = self.task(self.encoder)
        train, test = self.data(self.train_data), self.data(self.test_data)
        task.front_end.gather_statistics(train.train_dataloader())

        def means(data: Loaders, split: Literal["train", "test"]) -> NDArray[np.float64]:
            clips = data.clips(data.tracks(split), whole=True)
            rows = [clips[index].values.float().mean(dim=0) for index in range(len(clips))]
            # Layers are concatenated, because their features have different meanings.
            features = task.front_end.standardise(torch.stack(rows)).flatten(1)
            return np.asarray(features.numpy(), np.float64)

        return self.task.neighbours(
            means(train, "train"), train.tracks("train"), means(test, "test")
        )

    def data(self, data: DataModule, shuffle_seed: int = 0) -> Loaders:
        """The dataset in the form that probes use: features, or audio for fine-tuning."""
        recipe = self.task.recipe
        loaders: Loaders = data
        if self.mode != "frozen":
            data.batch_size = 1
            data.clip_seconds = max(recipe.clip_seconds, FINE_TUNING_SECONDS)
            card = find_encoder(self.encoder).card
            data.encoder_sample_rate, data.encoder_channels = card.sample_rate, card.channels
            data.visible = self.task.visible
        else:
            if data not in self.loaded:
                self.loaded[data] = Embedded(
                    data,
                    self.encoder,
                    segment_seconds=self.task.segment_seconds,
                    frame_rate=self.task.target_rate,
                    stride_seconds=recipe.stride_seconds,
                    cache=address_of(self.cache),
                    batch_size=recipe.batch_size,
                    clip_seconds=recipe.clip_seconds,
                    visible=self.task.visible,
                )
            loaders = self.loaded[data]
        loaders.shuffle_seed = shuffle_seed
        return loaders

    def kept(self, members: Sequence[tuple[int, float]]) -> Path:
        """Cache file of probes trained in this fold; its key is independent of the test data."""
        card = find_encoder(self.encoder).card
        key = digest(
            task=task_key(self.task, self.task.probe_version or self.task.version),
            train=tracks_key(self.train_data.tracks("train")),
            validation=tracks_key(self.train_data.tracks("validation")),
            revision=card.revision,
            members=members,
        )
        name = f"{self.task.name}-{card.name}-{self.head}-{key}.safetensors"
        return self.cache / "probes" / name


def best_of(monitors: Sequence[float], mode: Literal["max", "min"]) -> int:
    """Index of the best monitor; NaN counts as worst."""
    sign = 1 if mode == "max" else -1
    return int(np.argmax([-math.inf if math.isnan(m) else sign * m for m in monitors]))


def fit(ensemble: Ensemble, data: Loaders, label: str) -> None:
    """Train the probes of an ensemble; each ends at its best checkpoint.

    For fine-tuning, the batch size is 1 and gradients are accumulated.
    """
    task = ensemble.tasks[0]
    recipe, frozen = task.recipe, task.front_end.mode == "frozen"
    accumulate = 1 if frozen else recipe.batch_size
    data.prepare_data()
    batches = len(data.train_dataloader())
    steps = math.ceil(batches / accumulate)  # the last one of an epoch may have fewer batches
    between = max(recipe.check_every, steps if recipe.epochs else 0)
    with bar("steps") as progress, quiet():
        trainer = trainer_of(
            precision="32-true" if frozen or not has_gpu() else "bf16-mixed",
            max_epochs=-1,
            max_steps=max(recipe.max_steps, recipe.epochs * steps),
            val_check_interval=between * batches // steps,
            check_val_every_n_epoch=None,
            accumulate_grad_batches=accumulate,
            num_sanity_val_steps=0,
            callbacks=[StepBar(progress, label)],
        )
        try:
            trainer.fit(ensemble, datamodule=data)
        except SystemExit as stop:  # Lightning's answer to an interrupt from the keyboard
            raise KeyboardInterrupt from stop
    ensemble.cpu()


def trainer_of(**options: Any) -> Trainer:
    """A Trainer on one device, without loggers, checkpoints and progress bars."""
    return Trainer(
        accelerator=accelerator(),
        devices=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        **options,
    )
