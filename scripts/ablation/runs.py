"""Runs that are finished once, and the table of what they came to."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import pandas as pd
from scipy.stats import t as student

from motionbeat.cache import digest
from motionbeat.files import write_atomically

CONFIDENCE = 0.95
"""Of all intervals."""

Scores = dict[str, dict[str, float]]
"""Of each condition, the value of each metric."""


class Run(Protocol):
    """A variant that can be trained and measured."""

    @property
    def name(self) -> str:
        """Its name among all runs."""

    @property
    def settings(self) -> Mapping[str, object]:
        """All that decides its scores, beside the seed."""

    def __call__(self, seed: int) -> Scores:
        """Train and measure it."""


@dataclass(frozen=True)
class Group:
    """Variants that are compared with the first of them.

    Attributes:
        name: of the group.
        variants: a run by the name of its variant.
        conditions: those that the table shows.
        metrics: likewise.
    """

    name: str
    variants: Mapping[str, Run]
    conditions: Sequence[str]
    metrics: Sequence[str]


class Value(NamedTuple):
    """A row of values: what a run with a seed came to."""

    group: str
    variant: str
    condition: str
    metric: str
    seed: int
    value: float


def place(folder: Path, run: Run, seed: int, ending: str) -> Path:
    """Where something of a run is kept; other settings have another place."""
    name = re.sub(r"\W+", "-", f"{run.name} {seed}")
    return folder / f"{name}-{digest(**run.settings)[:8]}.{ending}"


def kept(path: Path, compute: Callable[[], Scores]) -> Scores:
    """Scores from a file, or computed and written there."""
    if path.is_file():
        scores: Scores = json.loads(path.read_text())
        return scores
    scores = compute()
    write_atomically(path, json.dumps(scores, indent=1).encode())
    return scores


def values(group: Group, variant: str, seed: int, scores: Scores) -> list[Value]:
    """What the table shows of the scores of a variant."""
    return [
        Value(group.name, variant, condition, metric, seed, scores[condition][metric])
        for condition in group.conditions
        for metric in group.metrics
        if metric in scores[condition]
    ]


def summary(rows: Sequence[Value]) -> pd.DataFrame:
    """Means over the seeds, and mean differences from the first variant of the group.

    Differences are between runs with the same seed. Intervals are Student's, over the seeds; with
    one seed there are none.
    """
    table = pd.DataFrame(rows, columns=Value._fields)
    cell = ["group", "variant", "condition", "metric"]
    first = table.groupby("group", sort=False)["variant"].transform("first")
    full = table[table["variant"] == first].drop(columns="variant")
    paired = table.merge(full, on=["group", "condition", "metric", "seed"], suffixes=("", "_full"))
    paired["difference"] = paired["value"] - paired["value_full"]
    lines = []
    for key, part in paired.groupby(cell, sort=False):
        line = dict(zip(cell, key, strict=True))
        for name, column in (("mean", "value"), ("difference", "difference")):
            mean, low, high = interval(part[column].to_numpy())
            prefix = "" if name == "mean" else "difference_"
            line |= {name: mean, f"{prefix}low": low, f"{prefix}high": high}
        lines.append(line | {"seeds": len(part)})
    return pd.DataFrame(lines).round(4)


def interval(values: np.ndarray) -> tuple[float, float, float]:
    """Mean, and the bounds of its interval; values that are no number do not count."""
    found = values[np.isfinite(values)]
    if len(found) < 2:
        return float(found.mean()) if len(found) else np.nan, np.nan, np.nan
    mean, error = found.mean(), found.std(ddof=1) / np.sqrt(len(found))
    reach = student.ppf((1 + CONFIDENCE) / 2, len(found) - 1) * error
    return float(mean), float(mean - reach), float(mean + reach)
