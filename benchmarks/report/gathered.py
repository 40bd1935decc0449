"""What the pages show of run records: the columns of the leaderboard and the cells in them.

Records are read one at a time, and what is kept of each is what the pages show.
"""

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from motionbeat.benchmarks.leaderboards import Row, collect
from motionbeat.benchmarks.records import HeadResult, RunRecord
from motionbeat.benchmarks.registry import DATASETS, ENCODERS, TASKS
from motionbeat.benchmarks.report.licences import commercial
from motionbeat.benchmarks.report.track_scores import TrackScores, track_scores, true_of_tracks
from motionbeat.benchmarks.variants import parted
from motionbeat.errors import MotionBeatError
from motionbeat.tasks.metrics.per_track import Floats, PerTrackScores

if TYPE_CHECKING:
    from motionbeat.tasks.task import Task

SIGNIFICANT = 0.05
"""Corrected p-values below it are called significant."""

COUNT = 3  # seeds that a bench has where nobody says how many
_MOST = 1000  # tracks whose predictions are shown; of larger test splits scores alone are


@dataclass(eq=False)
class Cell:
    """One head of one entry in one column.

    Attributes:
        record: of the entry, without its results.
        result: of the head, without its per-track scores.
        row: its row of the leaderboard; comparisons are in it once all records are read.
        samples: (samples,) bootstrap samples of the primary metric.
        scores: of each track.
        first_seed: scores of each dance of the first seed by name.
    """

    record: RunRecord
    result: HeadResult
    row: Row
    samples: Floats
    scores: TrackScores
    first_seed: dict[str, list[float]]


@dataclass(eq=False)
class Column:
    """The cells of a task on a state of a dataset, on the same test tracks.

    Attributes:
        id: task, dataset and revision, the same whenever the report is made.
        record: one of its records, without results; what it says of task, dataset and tracks holds
            for all of them.
        true: what is true of each track: its class or tags in a list, or numbers by name.
    """

    id: str
    record: RunRecord
    true: Sequence[Any]
    cells: list[Cell] = field(default_factory=list)

    @property
    def task(self) -> "type[Task]":
        """Its task."""
        return TASKS.get(self.record.task)

    @property
    def metric(self) -> str:
        """Title of the primary metric."""
        return self.task.headline[self.task.primary].strip()

    def best(self) -> list[Cell]:
        """The cells of encoders, best first."""
        encoders = [cell for cell in self.cells if cell.row["kind"] == "encoder"]
        return sorted(encoders, key=lambda cell: -np.nan_to_num(self.value(cell), nan=-np.inf))

    def value(self, cell: Cell) -> float:
        """The primary metric of a cell."""
        return float(cell.row[self.task.primary])

    def table(self) -> pd.DataFrame:
        """Scores of every track, a column an entry and head."""
        known = {"track": self.record.tracks, "group": self.record.groups}
        scores = {
            f"{cell.record.label} {cell.row['head']}": cell.scores.values for cell in self.cells
        }
        return pd.DataFrame(known | scores)

    def predictions(self) -> dict[str, Any]:
        """What is true of each track, and what each cell says; nothing where tracks have neither.

        ``kind`` is ``class`` (one a seed), ``tags`` (each with its probability in percent) or
        ``numbers``. Classes and tags are numbers of ``names``.
        """
        kind, true = self.cells[0].scores.kind, self.true
        if not kind or len(self.record.tracks) > _MOST:
            return {}
        said = [cell.scores.predicted for cell in self.cells]
        if kind == "numbers":
            return {"kind": kind, "true": true, "predicted": said}
        names: dict[str, int] = {}

        def number(name: str) -> int:
            return names.setdefault(name, len(names))

        right = [[number(name) for name in track] for track in true]
        if kind == "class":
            predicted = [[[number(name) for name in track] for track in cell] for cell in said]
        else:
            predicted = [
                [
                    [part for name, p in track for part in (number(name), round(100 * (p or 0)))]
                    for track in cell
                ]
                for cell in said
            ]
        return {"kind": kind, "names": list(names), "true": right, "predicted": predicted}


@dataclass(eq=False)
class Gathered:
    """All columns, and the tables that :func:`~motionbeat.benchmarks.leaderboards.collect` made."""

    columns: list[Column]
    tables: dict[str, pd.DataFrame]


def gather(records: Iterable[RunRecord]) -> Gathered:
    """What the pages show of records."""
    columns: dict[tuple[str, str, str, tuple[str, ...]], Column] = {}

    def keep(record: RunRecord, head: str, row: Row, samples: Floats) -> None:
        task, result = TASKS.get(record.task), record.results[head]
        known = record.model_copy(update={"results": {}})
        key = record.task, record.dataset, record.dataset_revision, record.tracks
        if key not in columns:
            place = "/".join(key[:3])
            again = sum(other[:3] == key[:3] for other in columns)
            id = f"{place}#{again + 1}" if again else place
            columns[key] = Column(id, known, true_of_tracks(result.per_track))
        columns[key].cells.append(
            Cell(
                known,
                result.model_copy(update={"per_track": {}}),
                row,
                samples,
                track_scores(task, result.per_track),
                _first_seed(task, result.per_track),
            )
        )

    tables = collect(records, keep=keep)
    return Gathered(sorted(columns.values(), key=lambda one: one.id), tables)


def _first_seed(task: "type[Task]", per_track: PerTrackScores) -> dict[str, list[float]]:
    """Scores of the dances of the first seed, which the page of dances shows beside them."""
    if task.name != "dance":
        return {}
    names = ("bas_fact", "bas_fact_sensitivity", "pfc")
    return {name: per_track[name][0].tolist() for name in names if name in per_track}


def command(record: RunRecord, head: str) -> str:
    """The command that reproduces a result."""
    task = TASKS.get(record.task)
    parts = ["motionbeat", "bench", "--task", record.task, "--dataset", record.dataset]
    if record.kind == "encoder":
        parts += ["--encoder", record.name, "--heads", head]
    if record.partial:
        parts += ["--dataset_options", "{partial: true}"]
    if len(record.protocol.seeds) != COUNT:
        parts += ["--seeds", str(len(record.protocol.seeds))]
    if record.protocol.learning_rates != task.recipe.learning_rates:
        rates = ", ".join(f"{rate:g}" for rate in record.protocol.learning_rates)
        parts += ["--learning_rates", f"[{rates}]"]
    if record.mode != "frozen":
        parts += ["--mode", record.mode]
    return shlex.join(parts)


def remark(record: RunRecord) -> str:
    """What the command that reproduces a result does not say."""
    parts = []
    if record.kind == "encoder" and parted(record.name)[0] not in ENCODERS.classes:
        parts.append(f"the encoder {record.name} is no shipped one: give it as file.py:Class")
    elif record.kind != "encoder":
        parts.append("whatever is not an encoder is scored beside the encoders")
    usual = usual_revision(record.dataset)
    if usual is None:
        parts.append(f"the dataset {record.dataset} is no shipped one: give it as file.py:Class")
    elif record.dataset_revision not in (usual, f"{usual}-{record.folds}folds"):
        parts.append(
            f"the dataset was of revision {record.dataset_revision}, and here it is {usual}: "
            "its card says how to get the data, and its options are given by --dataset_options"
        )
    return "; ".join(parts)


@cache
def usual_revision(dataset: str) -> str | None:
    """Revision of a shipped dataset with its default options; None where it is not shipped."""
    kind = DATASETS.classes.get(dataset)
    try:
        return None if kind is None else kind(cache=Path()).revision
    except (MotionBeatError, TypeError, AttributeError):  # a stranger's constructor
        return None


def entries(columns: Iterable[Column]) -> list[dict[str, Any]]:
    """The entries of all columns, each once, with what filters ask of them."""
    found: dict[str, dict[str, Any]] = {}
    for column in columns:
        for record in (cell.record for cell in column.cells):
            if record.label not in found:
                kept = record.model_dump(include={"kind", "mode", "licence", "parameters"})
                found[record.label] = kept | {
                    "name": record.label,
                    "commercial": commercial(record.licence),
                    "training": "; ".join(record.training_data),
                    "speed": None,
                }
            if np.isfinite(record.seconds_per_hour):
                found[record.label]["speed"] = record.seconds_per_hour
    return list(found.values())


def tied(column: Column, cell: Cell) -> bool:
    """Whether a cell is the best encoder's of its kind, or not significantly below it.

    By the Holm-corrected paired test of the leaderboard; False where it compared nothing.
    """
    row = cell.row
    if row["compared_with"] is None:
        return False
    rivals = [
        other
        for other in column.cells
        if (other.row["entry"], other.row["head"], other.row["mode"])
        == (row["compared_with"], row["head"], row["mode"])
    ]
    ahead = any(column.value(cell) >= column.value(other) for other in rivals)
    return ahead or bool(row["p_holm"] >= SIGNIFICANT)
