"""What the pages show of run records: the columns of the leaderboard and the cells in them.

Records are read one at a time, and what is kept of each is what the pages show.
"""

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
import pandas as pd

from motionbeat.benchmarks.leaderboards import Row, collect
from motionbeat.benchmarks.records import HeadResult, Protocol, RunRecord
from motionbeat.benchmarks.registry import DATASETS, ENCODERS, TASKS
from motionbeat.benchmarks.report.licences import commercial
from motionbeat.benchmarks.variants import parted
from motionbeat.errors import MotionBeatError
from motionbeat.tasks.metrics.per_track import Floats, PerTrackScores, mean_defined

if TYPE_CHECKING:
    from motionbeat.tasks.task import Task

SIGNIFICANT = 0.05
"""Corrected p-values below it are called significant."""

COUNT = 3  # seeds that a bench has where nobody says how many
_MOST = 1000  # tracks whose predictions are shown; of larger test splits scores alone are
_NO_QUESTION = "undefined on every track"


class TrackScores(NamedTuple):
    """A score of every track, mean over the seeds.

    Attributes:
        title: what it is.
        better: whether larger (1) or smaller (-1) is better.
        values: (tracks,), NaN where undefined.
        kind: ``class``, ``tags`` or ``numbers`` where such are predicted for each track.
        predicted: these for each track: the class by each seed, tags with their mean probabilities,
            or numbers by name.
    """

    title: str
    better: int
    values: Floats
    kind: Literal["", "class", "tags", "numbers"] = ""
    predicted: Sequence[Any] = ()


@dataclass(eq=False)
class Cell:
    """One head of one entry in one column.

    Attributes:
        row: its row of the leaderboard; comparisons are in it once all records are read.
        samples: (samples,) bootstrap samples of the primary metric.
        scores: of each track.
        first_seed: scores of each dance of the first seed by name.
        protocol: the seeds and learning rates of its probes.
        facts: what the details of a cell show beside the row.
    """

    row: Row
    samples: Floats
    scores: TrackScores
    first_seed: dict[str, list[float]]
    protocol: Protocol
    facts: dict[str, Any]

    @property
    def label(self) -> str:
        """Name of the entry, with its mode where that is not ``frozen``."""
        row = self.row
        return row["entry"] if row["mode"] == "frozen" else f"{row['entry']}.{row['mode']}"


@dataclass(eq=False)
class Column:
    """The cells of a task on a state of a dataset, on the same test tracks.

    Attributes:
        id: task, dataset and revision, the same whenever the report is made.
        true: what is true of each track: its class or tags in a list, or numbers by name.
    """

    id: str
    task: "type[Task]"
    dataset: str
    revision: str
    data: str
    folds: int
    partial: bool
    trained_on: str | None
    tracks: tuple[str, ...]
    groups: tuple[str, ...]
    true: Sequence[Any]
    cells: list[Cell] = field(default_factory=list)

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
        known = {"track": self.tracks, "group": self.groups}
        scores = {f"{cell.label} {cell.row['head']}": cell.scores.values for cell in self.cells}
        return pd.DataFrame(known | scores)

    def predictions(self) -> dict[str, Any]:
        """What is true of each track, and what each cell says; nothing where tracks have neither.

        ``kind`` is ``class`` (one a seed), ``tags`` (each with its probability in percent) or
        ``numbers``. Classes and tags are numbers of ``names``.
        """
        kind, true = self.cells[0].scores.kind, self.true
        if not kind or len(self.tracks) > _MOST:
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
    columns: dict[object, Column] = {}

    def keep(record: RunRecord, head: str, row: Row, samples: Floats) -> None:
        task = TASKS.get(record.task)
        key = record.task, record.dataset, record.dataset_revision, record.tracks
        if key not in columns:
            columns[key] = _column(record, task, taken={one.id for one in columns.values()})
        result = record.results[head]
        columns[key].cells.append(
            Cell(
                row,
                samples,
                track_scores(task, result.per_track),
                _first_seed(task, result.per_track),
                record.protocol,
                _facts(record, head, result, task),
            )
        )

    tables = collect(records, keep=keep)
    order = sorted(columns.values(), key=lambda one: (one.task.name, one.dataset, one.revision))
    return Gathered(order, tables)


def _column(record: RunRecord, task: "type[Task]", taken: set[str]) -> Column:
    place = f"{record.task}/{record.dataset}/{record.dataset_revision}"
    again = sum(one == place or one.startswith(f"{place}#") for one in taken)
    return Column(
        id=place + f"#{again + 1}" * bool(again),
        task=task,
        dataset=record.dataset,
        revision=record.dataset_revision,
        data=record.data,
        folds=record.folds,
        partial=record.partial,
        trained_on=record.trained_on,
        tracks=record.tracks,
        groups=record.groups,
        true=_true(next(iter(record.results.values())).per_track),
    )


def _true(per_track: PerTrackScores) -> Sequence[Any]:
    """The class or the tags of each track in a list, or its numbers by name."""
    if "true" in per_track:
        return [[str(name)] for name in per_track["true"][0]]
    if tags := _named(per_track, "true/"):
        return [
            [name for name, values in tags.items() if values[0, track] == 1]
            for track in range(next(iter(tags.values())).shape[1])
        ]
    if numbers := _named(per_track, "true_"):
        return _rows(numbers)
    return ()


def _rows(numbers: dict[str, Floats]) -> list[dict[str, float | None]]:
    """Numbers of each track by name, mean over seeds."""
    rows = np.stack([values.mean(axis=0) for values in numbers.values()], axis=1)
    return [dict(zip(numbers, map(_short, row), strict=True)) for row in rows]


def _named(per_track: PerTrackScores, prefix: str) -> dict[str, Floats]:
    return {
        name.removeprefix(prefix): values
        for name, values in per_track.items()
        if name.startswith(prefix)
    }


def track_scores(task: "type[Task]", per_track: PerTrackScores) -> TrackScores:
    """How well each track is predicted, by the primary metric or what it is made of.

    Metrics of a whole split stand on one value a track: whether its class is right, how well its
    tags are ranked (ROC-AUC over the tags of the track), or the mean absolute error of its numbers.
    """
    if task.primary in per_track:
        values = _over_seeds(per_track[task.primary])
        return TrackScores(task.headline[task.primary].strip(), 1, values)
    if "true" in per_track:
        said = per_track["predicted"]
        right = (per_track["true"] == said).astype(np.float64)
        return TrackScores("class is right", 1, right.mean(axis=0), "class", said.T.tolist())
    if tags := _named(per_track, "true/"):
        areas, top = _ranked_tags(tags, _named(per_track, "score/"))
        return TrackScores("ROC-AUC over its tags", 1, areas, "tags", top)
    if numbers := _named(per_track, "true_"):
        predicted = _named(per_track, "predicted_")
        errors = np.mean([np.abs(numbers[name] - predicted[name]) for name in numbers], axis=0)
        error = errors.mean(axis=0)
        return TrackScores("absolute error", -1, error, "numbers", _rows(predicted))
    tracks = next(iter(per_track.values())).shape[1]
    return TrackScores(_NO_QUESTION, 1, np.full(tracks, np.nan))


def _over_seeds(values: Floats) -> Floats:
    return np.array([mean_defined(track) for track in values.T])


def _ranked_tags(
    true: dict[str, Floats], score: dict[str, Floats]
) -> tuple[Floats, list[list[list[Any]]]]:
    """ROC-AUC over the tags of each track, mean over seeds, and its most probable tags."""
    names = list(true)
    truths, values = (np.stack([part[name] for name in names]) for part in (true, score))
    areas = np.full(truths.shape[2], np.nan)
    top = []
    for track in range(truths.shape[2]):
        holds, says = truths[:, 0, track], values[:, :, track]
        mean = says.mean(axis=1)
        best = np.argsort(-mean, kind="stable")[: max(3, int((holds == 1).sum()))]
        top.append([[names[tag], _short(mean[tag])] for tag in best])
        apart = says[holds == 1][:, None] - says[holds == 0][None]
        if apart.size:
            areas[track] = float(np.mean((apart > 0) + (apart == 0) / 2))
    return areas, top


def _first_seed(task: "type[Task]", per_track: PerTrackScores) -> dict[str, list[float]]:
    """Scores of the dances of the first seed, which the page of dances shows beside them."""
    if task.name != "dance":
        return {}
    names = ("bas_fact", "bas_fact_sensitivity", "pfc")
    return {name: per_track[name][0].tolist() for name in names if name in per_track}


def _facts(record: RunRecord, head: str, result: HeadResult, task: "type[Task]") -> dict[str, Any]:
    """What the details of a cell show beside its row."""
    machine = record.hardware
    processor = machine.accelerator or f"{machine.processor}, {machine.cores} cores"
    return {
        "metrics": {
            name: [score.mean, score.std, score.low, score.high]
            for name in task.headline
            if (score := result.scores[name])
        },
        "sweep": result.sweep,
        "layers": np.mean(result.layer_weights, axis=0).tolist() if result.layer_weights else [],
        "hardware": f"{processor}, torch {machine.torch}",
        "seconds": result.seconds,
        "speed": record.seconds_per_hour,
        "command": command(record, head),
        "remark": remark(record),
    }


def command(record: RunRecord, head: str) -> str:
    """The command that makes a result anew."""
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
    """What the command that makes a result anew does not say."""
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
            f"the dataset was of revision {record.dataset_revision}, and by default it is {usual}: "
            "give its options by --dataset_options"
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
        for cell in column.cells:
            row, known = cell.row, found.get(cell.label)
            if known is None:
                known = found[cell.label] = {
                    "name": cell.label,
                    "kind": row["kind"],
                    "mode": row["mode"],
                    "licence": row["licence"],
                    "commercial": commercial(row["licence"]),
                    "parameters": row["parameters"],
                    "training": row["training_data"],
                    "speed": None,
                }
            speed = cell.facts["speed"]
            known["speed"] = known["speed"] if np.isnan(speed) else speed
    return list(found.values())


def tied(column: Column, cell: Cell) -> bool:
    """Whether a cell is the best encoder's of its kind, or not significantly below it.

    By the Holm-corrected paired bootstrap of the leaderboard; False where it compared nothing.
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


def _short(value: float) -> float | None:
    return float(f"{value:.4g}") if np.isfinite(value) else None
