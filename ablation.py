"""What each part of MotionBeat brings: the full model against itself without one part at a time.

    python -m motionbeat.benchmarks.ablation

trains every variant with the same data, budget and seeds, and writes ``ablation.csv``. Finished
runs are kept below the output folder and not run again.
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from jsonargparse import auto_cli
from motionbeat.benchmarks.pretraining import pairs, pretrain
from motionbeat.pretraining.settings import Architecture, Objective, Training

from motionbeat.benchmarks.cli import CACHE, DATA
from motionbeat.benchmarks.record import Protocol
from motionbeat.benchmarks.runner import Folders, Run
from motionbeat.benchmarks.training import feature_statistics
from motionbeat.console import say
from motionbeat.files import write_atomically
from motionbeat.model import MotionBeatEncoder
from motionbeat.pretraining.evaluation import clips, compare, embed
from motionbeat.tasks.beat import BeatTask
from motionbeat.weights import from_pretrained, load_model

FULL = Architecture("tiny"), Objective()
VARIANTS: dict[str, tuple[Architecture, Objective]] = {
    "full": FULL,
    "without tempo negatives": (FULL[0], replace(FULL[1], tempo_negatives=False)),
    "without jitter negatives": (FULL[0], replace(FULL[1], jitter_negatives=False)),
    "without SRAL at beats": (FULL[0], replace(FULL[1], beat=0.0)),
    "without SRAL in bars": (FULL[0], replace(FULL[1], bar=0.0)),
    "without phase rotation": (replace(FULL[0], rotate=False), FULL[1]),
    "without contact guidance": (replace(FULL[0], guide=False), FULL[1]),
    "plain InfoNCE": (FULL[0], Objective(False, False, 0.0, 0.0, 0.0)),
}
TRAINING = Training(epochs=3, steps=80, batch_size=32, variants=2)
DATASETS: dict[str, dict[str, Any]] = {
    "groovebox": {"train": 60, "validation": 6, "test": 1},
    "groove_midi": {"excerpts": 4},
}
LEARNING_RATES = (0.001, 0.003, 0.01)


def ablation(
    seeds: int = 2,
    training: Training = TRAINING,
    datasets: Mapping[str, Mapping[str, int | float | str | list[str]]] = DATASETS,
    output: Path = Path("pretrained/ablation"),
    results: Path = Path("results"),
    cache: Path = CACHE,
    data: Path | None = DATA,
) -> None:
    """Train and measure all variants.

    Args:
        seeds: how many, counted from 0.
        training: the budget, the same for all.
        datasets: what is trained on; the first one's validation split chooses checkpoints.
        output: folder for what is trained.
        results: folder for ``ablation.csv``.
        cache: folder for generated data and features (MOTIONBEAT_CACHE).
        data: folder with datasets put in place by hand (MOTIONBEAT_DATA).
    """
    folders = Folders(cache, output, data)
    rows = []
    for seed in range(seeds):
        for variant, (architecture, objective) in VARIANTS.items():
            place = output / f"{variant.replace(' ', '_')}-{seed}"
            weights = pretrain(
                folders,
                place,
                datasets,
                next(iter(datasets)),
                architecture,
                objective,
                replace(training, seed=seed),
            )
            scores = measured(weights, folders, place / "scores.json")
            say(f"{variant}, seed {seed}: " + ", ".join(f"{k} {v:.3f}" for k, v in scores.items()))
            rows.append({"variant": variant, "seed": seed, **scores})
    results.mkdir(parents=True, exist_ok=True)
    write_atomically(results / "ablation.csv", summary(pd.DataFrame(rows)).to_csv().encode())


def measured(weights: Path, folders: Folders, kept: Path) -> dict[str, float]:
    """Scores of trained weights on the test split of groovebox, worked out once."""
    if kept.is_file():
        scores: dict[str, float] = json.loads(kept.read_text())
        return scores
    groovebox = folders.datamodule("groovebox")
    groovebox.prepare_data()
    known = clips(pairs(groovebox, "test"), folders.cache / "pretraining")
    with torch.inference_mode():
        scores = compare(*embed(load_model(weights), known.batch), known)
    scores |= beat_scores(from_pretrained(weights), groovebox, folders)
    write_atomically(kept, json.dumps(scores).encode())
    return scores


def beat_scores(encoder: MotionBeatEncoder, groovebox: Any, folders: Folders) -> dict[str, float]:
    """F-measures of beats and downbeats by a linear probe."""
    run = Run(BeatTask, [groovebox], Protocol(learning_rates=LEARNING_RATES, seeds=(0,)), folders)
    source = run.embed([encoder])[encoder.card.name]
    statistics = feature_statistics(source, run.folds[0].tracks["train"])
    found = run.probe(source, "linear", [statistics], "ablation").scores
    return {name: found[name].mean for name in ("beat_f_measure", "downbeat_f_measure")}


def summary(rows: pd.DataFrame) -> pd.DataFrame:
    """Mean and standard deviation over the seeds of each variant, in the order of training."""
    groups = rows.drop(columns="seed").groupby("variant", sort=False)
    mean, std = groups.mean(), groups.std().add_suffix("_std")
    order = [name for column in mean for name in (column, f"{column}_std")]
    return pd.concat([mean, std], axis=1)[order].round(4).assign(seeds=groups.size())


if __name__ == "__main__":
    auto_cli(ablation, as_positional=False)
