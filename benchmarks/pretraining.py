"""Pretraining on any dataset that has both music and dance."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from motionbeat.benchmarks.runner import Folders
from motionbeat.data_modules.base import Beats, DataModule, DatasetError, MotionFile, Split
from motionbeat.pretraining.pairs import Pair
from motionbeat.pretraining.settings import Architecture, Objective, Training


def pairs(datamodule: DataModule, split: Split) -> list[Pair]:
    """The tracks of a split that have a dance.

    Raises:
        DatasetError: none has.
    """
    name = datamodule.card.name
    found = [
        Pair(
            f"{name}/{track.id}",
            track.audio_path,
            track.get(MotionFile).path,
            tuple(track.get(Beats).times.tolist()) if track.has(Beats) else None,
        )
        for track in datamodule.tracks(split)
        if track.has(MotionFile)
    ]
    if not found:
        raise DatasetError(f"{name}: no track of the {split} split has a dance; choose another")
    return found


def pretrain(
    folders: Folders,
    output: Path,
    datasets: Mapping[str, Mapping[str, Any]],
    validation: str,
    architecture: Architecture,
    objective: Objective,
    training: Training,
) -> Path:
    """Prepare datasets and train on their train splits.

    Args:
        folders: where things are.
        output: folder for checkpoints, logs and weights.
        datasets: options of each dataset by its name.
        validation: the dataset whose validation split chooses the checkpoint.
        architecture: what is trained.
        objective: the losses.
        training: how it is trained.

    Returns:
        The weights.

    Raises:
        DatasetError: a dataset has no dances, or the one to validate on is not among them.
    """
    from motionbeat.pretraining.training import pretrain as train

    if validation not in datasets:
        raise DatasetError(f"validation on {validation}; choose from {', '.join(datasets)}")
    modules = {name: folders.datamodule(name, dict(opts)) for name, opts in datasets.items()}
    for module in modules.values():
        module.prepare_data()
    return train(
        [pair for module in modules.values() for pair in pairs(module, "train")],
        pairs(modules[validation], "validation"),
        folders.cache / "pretraining",
        output,
        architecture,
        objective,
        training,
    )
