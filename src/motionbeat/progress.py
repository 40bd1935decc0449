"""What people see of a training by Lightning: its progress, and no advice."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from lightning import Callback, LightningModule, Trainer
from rich.progress import Progress


class StepBar(Callback):
    """Advance a progress bar by one for each training step or predicted batch."""

    def __init__(self, progress: Progress, label: str) -> None:
        self.progress = progress
        self.label = label

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Show the bar; after an interruption, from where training goes on."""
        total, self.done = trainer.estimated_stepping_batches, trainer.global_step
        self.id = self.progress.add_task(self.label, total=total, completed=self.done)

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: object) -> None:
        """Advance it."""
        self.progress.advance(self.id, trainer.global_step - self.done)
        self.done = trainer.global_step

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Show the bar."""
        self.id = self.progress.add_task(self.label, total=sum(trainer.num_predict_batches))

    def on_predict_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, *_: object
    ) -> None:
        """Advance it."""
        self.progress.advance(self.id)


@contextmanager
def quiet() -> Iterator[None]:
    """Silence Lightning's advice on choices made here on purpose."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="lightning")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
