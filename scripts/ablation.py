"""What each part of MotionBeat brings: the full model against itself without one part at a time.

    python scripts/ablation.py

trains every variant with the same data, budget and seeds, and writes ``ablation.csv``. Finished
runs are kept below the output folder and not run again.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from jsonargparse import auto_cli

from motionbeat.benchmarks.evaluator import Folders, evaluate
from motionbeat.benchmarks.pretrain_cli import pairs, pretrain
from motionbeat.cache import default_cache
from motionbeat.console import say
from motionbeat.files import write_atomically
from motionbeat.pretraining.evaluation import clips, compare, embed
from motionbeat.weights import from_pretrained, load_model

VARIANTS: dict[str, dict[str, Any]] = {
    "full": {},
    "without tempo negatives": {"tempo_negatives": False},
    "without jitter negatives": {"jitter_negatives": False},
    "without SRAL at beats": {"beat_weight": 0.0},
    "without SRAL in bars": {"bar_weight": 0.0},
    "without phase rotation": {"phase_rotation": False},
    "without contact guidance": {"contact_guidance": False},
    "plain InfoNCE": {
        "tempo_negatives": False, "jitter_negatives": False,
        "beat_weight": 0.0, "bar_weight": 0.0, "anchor_weight": 0.0,
    },
}  # fmt: skip
"""Options of :class:`motionbeat.pretraining.module.Pretraining`."""

BUDGET: dict[str, Any] = {
    "trainer.max_epochs": 3,
    "model.size": "tiny",
    "data.steps_per_epoch": 80,
    "data.batch_size": 32,
    "data.variants": 2,
    "data.validation": "groovebox",
    "data.datasets": {
        "groovebox": {"train": 60, "validation": 6, "test": 1},
        "groove_midi": {"excerpts": 4},
    },
}
"""Options of ``motionbeat pretrain``, the same for all variants."""

LEARNING_RATES = (0.001, 0.003, 0.01)


def ablation(
    seeds: int = 2,
    output: Path = Path("pretrained/ablation"),
    results: Path = Path("results"),
    cache: Path | None = None,
    data: Path | None = None,
) -> None:
    """Train and measure all variants.

    Args:
        seeds: how many, counted from 0.
        output: folder for what is trained.
        results: folder for ``ablation.csv``.
        cache: folder for generated data and features (MOTIONBEAT_CACHE).
        data: folder with datasets put in place by hand (MOTIONBEAT_DATA).
    """
    folders = Folders(cache or default_cache(), data=data)
    rows = []
    for seed in range(seeds):
        for variant, changes in VARIANTS.items():
            place = output / f"{variant.replace(' ', '_')}-{seed}"
            options = BUDGET | {f"model.{name}": value for name, value in changes.items()}
            options |= {"seed_everything": seed, "output": str(place)}
            options |= {"data.cache": str(folders.cache)}
            options |= {} if data is None else {"data.data": str(data)}
            weights = pretrain(
                [
                    f"--{name}={value if isinstance(value, str) else json.dumps(value)}"
                    for name, value in options.items()
                ]
            )
            scores = measured(weights, folders, place / "scores.json")
            say(f"{variant}, seed {seed}: " + ", ".join(f"{k} {v:.3f}" for k, v in scores.items()))
            rows.append({"variant": variant, "seed": seed, **scores})
    write_atomically(results / "ablation.csv", summary(pd.DataFrame(rows)).to_csv().encode())


def measured(weights: Path, folders: Folders, kept: Path) -> Mapping[str, float]:
    """Scores of trained weights on the test split of groovebox, computed once."""
    if kept.is_file():
        scores: dict[str, float] = json.loads(kept.read_text())
        return scores
    groovebox = folders.datamodule("groovebox")
    groovebox.prepare_data()
    batch = clips(pairs(groovebox, "test"), folders.cache / "pretraining")
    with torch.inference_mode():
        scores = compare(*embed(load_model(weights), *batch[:3]), batch)
    result = evaluate(
        from_pretrained(weights), "beat", "groovebox", heads=["linear"],
        learning_rates=LEARNING_RATES, seeds=1, cache=folders.cache, data=folders.data,
    )  # fmt: skip
    probe = result.scores["linear"]
    scores |= {name: probe[name] for name in ("beat_f_measure", "downbeat_f_measure")}
    write_atomically(kept, json.dumps(scores).encode())
    return scores


def summary(rows: pd.DataFrame) -> pd.DataFrame:
    """Mean and standard deviation over the seeds of each variant, in the order of training."""
    groups = rows.drop(columns="seed").groupby("variant", sort=False)
    mean, std = groups.mean(), groups.std().add_suffix("_std")
    order = [name for column in mean for name in (column, f"{column}_std")]
    return pd.concat([mean, std], axis=1)[order].round(4).assign(seeds=groups.size())


if __name__ == "__main__":
    auto_cli(ablation, as_positional=False)
