"""``motionbeat pretrain`` and ``motionbeat distill``, based on Lightning's command line."""

import os
from pathlib import Path
from typing import Any

import torch
from lightning import Callback, LightningDataModule, LightningModule, Trainer
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import LearningRateMonitor, ModelCheckpoint
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from lightning.pytorch.plugins.io import TorchCheckpointIO

from motionbeat.benchmarks.evaluator import Folders
from motionbeat.benchmarks.taught_music import TaughtMusic
from motionbeat.cache import default_cache
from motionbeat.console import bar, say
from motionbeat.data_modules.base import (
    Beats,
    DataModule,
    DatasetError,
    MotionFile,
    Split,
    Track,
)
from motionbeat.errors import MotionBeatError
from motionbeat.files import replacing
from motionbeat.pretraining.distillation import Distillation
from motionbeat.pretraining.module import Pretraining, PretrainingError
from motionbeat.pretraining.pair_data import PairDataModule
from motionbeat.pretraining.pairs import Pair
from motionbeat.progress import StepBar, quiet
from motionbeat.weights import save_weights

CHECKPOINTS = "checkpoints"
BEST, LAST, PREVIOUS = "best.ckpt", "last.ckpt", "previous.ckpt"


def pairs(dataset: DataModule, split: Split) -> list[Pair]:
    """The tracks of a split that have a motion.

    Raises:
        DatasetError: no track of the split has a motion.
    """
    name = dataset.card.name
    found = [
        Pair(
            f"{name}/{track.id}",
            track.audio_path,
            track.get(MotionFile).path,
            *_annotated(track),
        )
        for track in dataset.tracks(split)
        if track.has(MotionFile)
    ]
    if not found:
        raise DatasetError(f"{name}: no track of the {split} split has a dance; choose another one")
    return found


def _annotated(track: Track) -> tuple[tuple[float, ...] | None, tuple[float, ...] | None]:
    """Beats and downbeats of a track in seconds, None where unknown."""
    if not track.has(Beats):
        return None, None
    beats = track.get(Beats)
    downbeats = beats.downbeats
    return tuple(beats.times.tolist()), None if downbeats is None else tuple(downbeats.tolist())


class DatasetPairs(PairDataModule):
    """Pairs from any datasets with music and motion: all train splits, and one validation split.

    Args:
        datasets: options of each dataset, by its name.
        validation: the dataset whose validation split selects the checkpoint.
        cache: folder for generated data and features; by default ``MOTIONBEAT_CACHE`` or
            ``.cache/motionbeat``.
        data: folder with datasets that you provide; by default ``MOTIONBEAT_DATA``.
        options: passed to :class:`PairDataModule`.
    """

    def __init__(
        self,
        datasets: dict[str, dict[str, Any]],
        validation: str = "groovebox",
        cache: Path | None = None,
        data: Path | None = None,
        **options: Any,
    ) -> None:
        cache = cache or default_cache()
        super().__init__(cache / "pretraining", (), (), **options)
        self.save_hyperparameters()
        if validation not in datasets:
            raise DatasetError(f"validation on {validation}; choose from {', '.join(datasets)}")
        self.validation = validation
        self.datasets = {
            name: Folders(cache, data=data).datamodule(name, one) for name, one in datasets.items()
        }

    def prepare_data(self) -> None:
        """Fetch or generate the datasets."""
        for dataset in self.datasets.values():
            dataset.prepare_data()

    def setup(self, stage: str) -> None:
        """Find the pairs."""
        self.pairs = {
            "train": [pair for one in self.datasets.values() for pair in pairs(one, "train")],
            "validation": pairs(self.datasets[self.validation], "validation"),
        }


class WholeCheckpoints(TorchCheckpointIO):
    """Writes checkpoints atomically, and keeps the last but one too."""

    def __init__(self) -> None:
        self.written: set[Path] = set()

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        """Write a checkpoint.

        Raises:
            PretrainingError: an earlier checkpoint is gone, possibly the best one.
            WriteError: the folder cannot be written.
        """
        path = Path(path)
        if gone := [one for one in self.written if not one.is_file()]:
            raise PretrainingError(
                f"{gone[0]} was moved or deleted during training; put it back and run again"
            )
        with replacing(path) as unfinished:
            torch.save(checkpoint, unfinished)
            if path.name == LAST and path.is_file():
                os.replace(path, path.with_name(PREVIOUS))
        self.written.add(path)


class BestCheckpoint(ModelCheckpoint):
    """Keeps the best checkpoint, and still finds it if the whole folder was moved."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load the state; Lightning would forget a best checkpoint from another folder."""
        folder = Path(str(self.dirpath))
        best = str(folder / BEST) if state_dict["best_model_path"] else ""
        super().load_state_dict(
            state_dict
            | {
                "dirpath": self.dirpath,
                "best_model_path": best,
                "kth_best_model_path": best,
                "best_k_models": dict.fromkeys([best] * bool(best), state_dict["best_model_score"]),
            }
        )


def resumable(folder: Path, model: LightningModule) -> Path | None:
    """Find the latest undamaged checkpoint in a folder; None if the folder has no checkpoint.

    Raises:
        PretrainingError: all checkpoints are damaged.
    """
    there = [path for name in (LAST, PREVIOUS, BEST) if (path := folder / name).is_file()]
    for path in there:
        try:
            found = torch.load(path, map_location="cpu", weights_only=True)
            same = found["hyper_parameters"] == dict(model.hparams)
            parts = {"optimizer_states", "lr_schedulers", "loops", "callbacks", "global_step"}
            parts |= {"datamodule_hyper_parameters"}
            if parts <= found.keys() and (
                not same or found["state_dict"].keys() == model.state_dict().keys()
            ):
                return path
        except Exception:  # a damaged file may fail in any way
            pass
        say(f"ignored: {path} is damaged")
    if there:
        raise PretrainingError(
            f"{folder}: every checkpoint is damaged; restore one, or delete the folder to restart"
        )
    return None


class SameSettings(Callback):
    """Refuses to resume from a checkpoint with other settings."""

    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Compare the settings with those in the checkpoint."""
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        before = {f"model.{k}": v for k, v in checkpoint["hyper_parameters"].items()}
        before |= {f"data.{k}": v for k, v in checkpoint["datamodule_hyper_parameters"].items()}
        now = {f"model.{k}": v for k, v in pl_module.hparams.items()}
        now |= {f"data.{k}": v for k, v in data.hparams.items()}
        places = ("data.cache", "data.data", "data.num_workers")
        changed = [
            f"{name} {before[name]}, now {value}"
            for name, value in now.items()
            if before[name] != value and name not in places
        ]
        if changed:
            raise PretrainingError(
                f"{trainer.ckpt_path} was made with {'; '.join(changed)}; choose another output"
            )
        say(f"resuming from {trainer.ckpt_path}")


class WeightsCLI(LightningCLI):
    """Lightning's command line with the callbacks and loggers for training weights."""

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add one option for the output folder, and link one seed to everything."""
        parser.add_argument("--output", type=str, default="pretrained",
                            help="folder for checkpoints, logs and weights")  # fmt: skip
        parser.link_arguments("output", "trainer.default_root_dir")
        parser.link_arguments("seed_everything", "model.seed")
        parser.link_arguments("seed_everything", "data.seed")

    def instantiate_trainer(self, **options: Any) -> Trainer:
        """Make a trainer that keeps the best and the last checkpoint and logs below the output."""
        output = Path(self.config_init.output)
        module: Any = self.model
        self.best = BestCheckpoint(
            output / CHECKPOINTS,
            Path(BEST).stem,
            monitor=module.monitor,
            mode=module.mode,
            enable_version_counter=False,
        )
        self.trainer_defaults["callbacks"] = [
            self.best,
            # save_last of BestCheckpoint would wait for a better epoch.
            ModelCheckpoint(output / CHECKPOINTS, Path(LAST).stem, enable_version_counter=False),
            LearningRateMonitor(),
            SameSettings(),
        ]
        return super().instantiate_trainer(
            logger=[CSVLogger(output, "logs"), TensorBoardLogger(output, "tensorboard")],
            plugins=[WholeCheckpoints()],
            **options,
        )


class PretrainCLI(WeightsCLI):
    """The command line of pretraining."""

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Draw clips of similar tempo where they are negatives; a live model has a live clock."""
        super().add_arguments_to_parser(parser)
        parser.link_arguments("model.live", "data.live")
        parser.link_arguments("model.tempo_negatives", "data.similar_tempo")


class DistillCLI(WeightsCLI):
    """The command line of distillation."""

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Tell the model how many features each teacher has."""
        super().add_arguments_to_parser(parser)
        parser.link_arguments("data.widths", "model.widths", apply_on="instantiate")


def pretrain(args: list[str]) -> Path:
    """Train both towers on music and motion, see ``motionbeat pretrain --help``."""
    return _train(PretrainCLI, Pretraining, DatasetPairs, "pretrain", 26, args)


def distill(args: list[str]) -> Path:
    """Distil taggers into the sound stream, see ``motionbeat distill --help``."""
    return _train(DistillCLI, Distillation, TaughtMusic, "distill", 40, args)


def _train(
    command: type[WeightsCLI],
    module: type[Pretraining] | type[Distillation],
    data: type[LightningDataModule],
    name: str,
    epochs: int,
    args: list[str],
) -> Path:
    """Train weights, or resume an interrupted run from its last complete epoch.

    Returns:
        The weights of the best checkpoint, ``<output>/motionbeat.safetensors``.

    Raises:
        PretrainingError: the settings cannot be used for training; or the checkpoints have other
            settings, are damaged, or were moved during training.
        DatasetError, PairError, AudioError, MotionError: a dataset or a pair cannot be used.
    """
    try:
        with quiet():
            cli = command(
                module,
                data,
                args=args,
                run=False,
                auto_configure_optimizers=False,
                seed_everything_default=0,
                trainer_defaults={
                    "max_epochs": epochs,
                    "gradient_clip_val": 1.0,
                    "use_distributed_sampler": False,
                    "reload_dataloaders_every_n_epochs": 1,
                    "log_every_n_steps": 20,
                    "enable_model_summary": False,
                    "enable_progress_bar": False,
                },
                parser_kwargs={"prog": f"motionbeat {name}"},
            )
            output = Path(cli.trainer.default_root_dir)
            checkpoint = resumable(output / CHECKPOINTS, cli.model)
            with bar("steps") as progress:
                cli.trainer.callbacks.append(StepBar(progress, name))  # type: ignore[attr-defined]
                try:
                    cli.trainer.fit(
                        cli.model, cli.datamodule, ckpt_path=checkpoint, weights_only=True
                    )
                except SystemExit as stop:  # Lightning raises it on a keyboard interrupt
                    raise KeyboardInterrupt from stop
    except MisconfigurationException as error:
        raise PretrainingError(f"Lightning refuses the settings: {error}") from error
    except MotionBeatError as error:
        # One line, without the traceback that an error from a loader's process carries.
        *before, line = str(error.args[0]).strip().splitlines()
        raise type(error)(line.partition(": ")[2] if before else line) from error
    weights = output / "motionbeat.safetensors"
    if cli.trainer.is_global_zero:
        path = cli.best.best_model_path
        try:
            best = module.load_from_checkpoint(path, map_location="cpu", weights_only=True)
        except Exception as error:  # a damaged file may fail in any way
            raise PretrainingError(
                f"{path}: is missing or damaged; restore it, or delete {output / CHECKPOINTS} "
                "to start over"
            ) from error
        digest = save_weights(best.model, best.architecture, weights)
        score = float(cli.best.best_model_score or 0)
        say(f"{weights}: {module.monitor} {score:.3f}, SHA-256 {digest}")
    return weights
