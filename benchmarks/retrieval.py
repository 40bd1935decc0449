"""How MotionBeat's own towers find the dance to a piece of music, on groovebox's test split.

    python -m benchmarks.retrieval

compares all clips of 5 s with all, the trained towers beside the untrained, and writes
``retrieval.csv``. groovebox is synthetic.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from jsonargparse import auto_cli
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.cli import CACHE, DATA
from benchmarks.encoders.motionbeat import untrained
from benchmarks.pretraining import pairs
from benchmarks.runner import Folders
from benchmarks.statistics import scores
from motionbeat.console import say
from motionbeat.files import write_atomically
from motionbeat.pretraining.evaluation import clips, embed, judge
from motionbeat.weights import load_model
from tasks.base import Evidence


def retrieval(
    weights: tuple[str, ...] = ("motionbeat-small",),
    dataset: str = "groovebox",
    results: Path = Path("results"),
    cache: Path = CACHE,
    data: Path | None = DATA,
) -> None:
    """Compare all test clips with all, and write the table.

    Args:
        weights: names or files of weights; the untrained model always comes along.
        dataset: with dances, its test split is used.
        results: folder for ``retrieval.csv``.
        cache: folder for generated data and features (MOTIONBEAT_CACHE).
        data: folder with datasets put in place by hand (MOTIONBEAT_DATA).
    """
    datamodule = Folders(cache, results, data).datamodule(dataset)
    datamodule.prepare_data()
    known = clips(pairs(datamodule, "test"), cache / "pretraining")
    models = {Path(name).stem: load_model(name) for name in weights}
    rows = {}
    for name, model in (models | {"motionbeat-random": untrained()}).items():
        with torch.inference_mode():
            judged = judge(*embed(model, known.batch), known)
        rows[name] = row(judged, known.piece)
    count = len(known.piece)
    rows["chance"] = {"clips": count} | {
        name: 10 / count if name.endswith("r10") else 1 / count if name.endswith("r1") else 0.5
        for name in [*judged, "discrimination"]
    }
    table = pd.DataFrame.from_dict(rows, orient="index").rename_axis("model")
    say(table.T.to_string())
    write_atomically(results / "retrieval.csv", table.round(4).to_csv().encode())


def row(judged: Mapping[str, Tensor], piece: NDArray[np.int64]) -> dict[str, float]:
    """Means over the clips with 95 % bootstrap intervals over the pieces they are cut from."""
    pieces = np.unique(piece)
    evidence: Evidence = {}
    for name, values in judged.items():
        clip = values.numpy()
        parts = [clip[piece == one] for one in pieces]
        evidence[name] = np.array([[np.nansum(part) for part in parts]])
        evidence[f"{name}_count"] = np.array([[(~np.isnan(part)).sum() for part in parts]])
    found: dict[str, float] = {"clips": len(piece)}
    for name, score in scores(evidence, _means).items():
        found |= {name: score.mean, f"{name}_low": score.low, f"{name}_high": score.high}
    return found


def _means(evidence: Evidence, weights: NDArray[np.float64]) -> Evidence:
    with np.errstate(invalid="ignore"):  # no two pieces may share a tempo
        means = {
            name: values @ weights.T / (evidence[f"{name}_count"] @ weights.T)
            for name, values in evidence.items()
            if not name.endswith("_count")
        }
    return means | {"discrimination": (means["shift"] + means["impostor"]) / 2}


if __name__ == "__main__":
    auto_cli(retrieval, as_positional=False)
