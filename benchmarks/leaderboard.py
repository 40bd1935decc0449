"""Tables and pictures, made from run records alone."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from motionbeat.benchmarks.record import RecordError, Result, RunRecord, read_model
from motionbeat.benchmarks.registry import DATASETS, TASKS
from motionbeat.benchmarks.statistics import paired_p_value, resample
from motionbeat.console import say, wide
from motionbeat.data_modules.base import canonical
from motionbeat.errors import MotionBeatError
from motionbeat.files import write_atomically
from motionbeat.tasks.base import Task
from motionbeat.tasks.clip import SingleLabelTask

Samples = NDArray[np.float64]

ORDER = {"ceiling": 0, "specialist": 1, "encoder": 2, "floor": 3}
_STYLES = {
    "linear": ("o", "tab:blue"),
    "mlp": ("s", "tab:orange"),
    "knn": ("^", "tab:green"),
    "reference": ("D", "gray"),
}
MARK = "†"
MEANING = (
    f"{MARK} the encoder was trained on this dataset, on a split of it or on recordings it shares"
)
_NAMED_CLASSES = 40  # more names than that cannot be read
_SMALL = 0.3  # largest score on an axis that need not reach 1


def read_records(results: Path) -> list[RunRecord]:
    """All records of a results folder that still count, in the order of their paths.

    A record that is damaged, or whose task is unknown or has another version by now, is left out
    with a message.
    """
    records = []
    for path in sorted((results / "runs").rglob("*.json")):
        try:
            record = read_model(path, RunRecord)
            if TASKS.get(record.task).version != record.task_version:
                raise RecordError(f"{path}: of another version of the task; run it again")
            records.append(record)
        except MotionBeatError as error:
            say(f"left out: {error}")
    return records


def rows(records: Sequence[RunRecord]) -> list[dict[str, Any]]:
    """One row for each result of some records of one task and dataset, best first within a kind.

    An encoder's row says against which other encoder's row of the same probe it was compared, the
    best one, and how likely the difference is chance.
    """
    task = TASKS.get(records[0].task)
    listed = [(record, probe, one) for record in records for probe, one in record.results.items()]
    known: dict[int, Samples] = {}  # the best row is compared with all others, but resampled once

    def samples(one: Result) -> Samples:
        if id(one) not in known:
            known[id(one)] = resample(one.arrays(), task.summarise)[task.primary]
        return known[id(one)]

    return sorted(
        (
            row(task, record, probe, one, rivals(record, probe, listed), samples)
            for record, probe, one in listed
        ),
        key=lambda entry: (
            ORDER[entry["kind"]],
            task.probes.index(entry["probe"]) if entry["kind"] == "encoder" else 0,
            -entry[task.primary],
        ),
    )


def rivals(
    record: RunRecord, probe: str, listed: Iterable[tuple[RunRecord, str, Result]]
) -> list[tuple[str, Result]]:
    """The other encoders' results with the same probe and protocol on the same tracks."""
    if record.kind != "encoder":
        return []
    return [
        (other.name, one)
        for other, its_probe, one in listed
        if other.kind == "encoder"
        and other.protocol == record.protocol
        and other.mode == record.mode
        and its_probe == probe
        and other.name != record.name
        and other.tracks == record.tracks
    ]


def row(
    task: type[Task],
    record: RunRecord,
    probe: str,
    one: Result,
    others: Sequence[tuple[str, Result]],
    samples: Callable[[Result], Samples],
) -> dict[str, Any]:
    """One line of a leaderboard."""
    entry: dict[str, Any] = {
        "dataset": record.dataset,
        "dataset_revision": record.dataset_revision,
        "synthetic": record.synthetic,
        "partial": record.partial,
        "trained_on": record.trained_on or record.dataset,
        "kind": record.kind,
        "name": record.name,
        "probe": probe,
        **({} if record.mode == "frozen" else {"mode": record.mode}),
        "tracks": len(record.tracks),
        "folds": record.folds,
        "seeds": len(next(iter(one.evidence.values()))),
        "learning_rate": one.learning_rate,
        **record.conditions,
    }
    for metric in task.headline:
        score = one.scores[metric]
        entry |= {metric: score.mean, f"{metric}_std": score.std}
        if metric not in task.of_split:
            entry |= {f"{metric}_low": score.low, f"{metric}_high": score.high}
    best = max(others, key=lambda other: other[1].scores[task.primary].mean, default=None)
    return entry | {
        "compared_with": best and best[0],
        "p_value": best and round(paired_p_value(samples(one), samples(best[1])), 4),
        "revision": record.revision,
        "parameters": record.parameters,
        "licence": record.licence,
        "training_data": "; ".join(record.training_data),
        "contaminated": contaminated(record),
        "task_version": record.task_version,
        "package_version": record.package_version,
        "git_commit": record.git_commit,
        "finished": record.finished.date().isoformat(),
    }


def contaminated(record: RunRecord) -> bool:
    """Whether a row's encoder was trained on the recordings it is tested on, or on their like.

    A dataset that is not known here, as it lies in a file of its author's, goes by its name alone.
    """
    known = DATASETS.classes.get(record.dataset)
    if known is None:
        return canonical(record.dataset) in map(canonical, record.training_data)
    return known.card.is_among(record.training_data)


def write_leaderboards(
    results: Path, only: str | None = None, records: Sequence[RunRecord] | None = None
) -> dict[str, pd.DataFrame]:
    """Write ``leaderboard_TASK.csv`` and its picture for each task, and ``leaderboard.csv``.

    Args:
        results: folder with the records.
        only: name of the one task whose records have changed; the tables of others that are there
            are taken as they are.
        records: those of the folder, where they are at hand.

    Returns:
        The table of each task.

    Raises:
        WriteError: the folder cannot be written.
    """
    records = read_records(results) if records is None else records
    records = [record for record in records if record.mode == "frozen"]
    tables = {}
    for name, group in groupby(records, key=lambda record: record.task):
        path = results / f"leaderboard_{name}.csv"
        if only not in (None, name) and path.is_file():
            tables[name] = pd.read_csv(path)
            continue
        datasets = [
            list(members)
            for _, members in groupby(
                group, key=lambda record: (record.dataset, record.dataset_revision)
            )
        ]
        task = TASKS.get(name)
        tables[name] = pd.DataFrame([line for members in datasets for line in rows(members)])
        write_csv(path, tables[name], index=False)
        draw(tables[name], task, results / f"leaderboard_{name}.png")
        if issubclass(task, SingleLabelTask):
            draw_confusions(datasets, task, results / f"confusion_{name}.png")
    if tables:
        write_csv(results / "leaderboard.csv", overview(tables))
    return tables


def write_finetuned(
    results: Path, only: str | None = None, records: Sequence[RunRecord] | None = None
) -> dict[str, pd.DataFrame]:
    """Write ``leaderboard_TASK_finetuned.csv`` for each task with encoders that were fine-tuned.

    Args:
        results: folder with the records.
        only: name of the one task to do.
        records: those of the folder, where they are at hand.

    Returns:
        The table of each task.
    """
    records = [
        record
        for record in (read_records(results) if records is None else records)
        if record.mode != "frozen" and only in (None, record.task)
    ]
    tables = {}
    for name, group in groupby(records, key=lambda record: record.task):
        datasets = groupby(group, key=lambda record: (record.dataset, record.dataset_revision))
        tables[name] = pd.DataFrame(
            [line for _, members in datasets for line in rows(list(members))]
        )
        write_csv(results / f"leaderboard_{name}_finetuned.csv", tables[name], index=False)
    return tables


def write_csv(path: Path, table: pd.DataFrame, index: bool = True) -> None:
    """Write a table, its numbers in six digits."""
    write_atomically(path, table.to_csv(index=index, float_format="%.6g").encode())


def by_dataset(table: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """The rows of each dataset and its label: the name, and what else tells it apart."""
    revisions = table.groupby("dataset")["dataset_revision"].nunique()
    for (name, revision), part in table.groupby(["dataset", "dataset_revision"], sort=False):
        label = f"{name} {revision}" if revisions[str(name)] > 1 else str(name)
        marks = [mark for mark in ("synthetic", "partial") if part[mark].any()]
        yield label + (f" ({', '.join(marks)})" if marks else ""), part


def overview(tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Primary metric of every row on every task and dataset."""
    return pd.concat(
        {
            f"{name}/{label}": part.set_index(["kind", "name", "probe"])[TASKS.get(name).primary]
            for name, table in tables.items()
            for label, part in by_dataset(table)
        },
        axis=1,
    ).sort_index()


def draw(table: pd.DataFrame, task: type[Task], path: Path) -> None:
    """Draw the primary metric with its intervals, one panel a dataset."""
    from matplotlib.figure import Figure

    datasets = list(by_dataset(table))
    names = list(table.sort_values(task.primary).drop_duplicates("name", keep="last")["name"])
    figure = Figure(
        figsize=(1.5 + 3.4 * len(datasets), 1.2 + 0.36 * len(names)), layout="constrained"
    )
    panels = figure.subplots(1, len(datasets), sharey=True, squeeze=False)[0]
    probes = [probe for probe in _STYLES if (table["probe"] == probe).any()]
    probes += sorted(set(table["probe"]) - set(probes))
    for panel, (label, here) in zip(panels, datasets, strict=True):
        for shift, probe in zip(np.linspace(0.2, -0.2, len(probes)), probes, strict=True):
            marker, colour = _STYLES.get(probe, ("v", "tab:red"))
            part = here[here["probe"] == probe]
            value = part[task.primary]
            heights = [names.index(name) + shift for name in part["name"]]
            panel.errorbar(
                value,
                heights,
                xerr=(
                    (value - part[f"{task.primary}_low"]).clip(lower=0),
                    (part[f"{task.primary}_high"] - value).clip(lower=0),
                ),
                fmt=marker,
                color=colour,
                label=probe,
                capsize=2,
                markersize=5,
            )
            for place, height, marked in zip(value, heights, part["contaminated"], strict=True):
                if marked:
                    panel.plot(place, height, marker, color=colour, mfc="white", ms=5, zorder=3)
        panel.set_title(f"{label}, {here['tracks'].iloc[0]} tracks", fontsize=10)
        panel.set_yticks(range(len(names)), names)
        low, high = panel.get_xlim()
        small = high < _SMALL  # differences, which an axis up to 1 would hide
        panel.set_xlim(np.clip(low, -1, -0.02), high if small else 1.02)
        panel.grid(axis="x", alpha=0.3)
        panel.set_xlabel(task.primary.replace("_", " "))
    panels[0].legend(fontsize=8, loc="lower right")
    if table["contaminated"].any():
        figure.supxlabel(f"hollow: {MEANING.removeprefix(MARK).strip()}", fontsize=8)
    figure.savefig(path, dpi=130, metadata={"Software": None})


def draw_confusions(
    datasets: Sequence[Sequence[RunRecord]], task: type[SingleLabelTask], path: Path
) -> None:
    """Draw what the best encoder's linear probe takes for what, one panel a dataset."""
    from matplotlib.figure import Figure

    best = [
        max(encoders, key=lambda record: record.results["linear"].scores[task.primary].mean)
        for members in datasets
        if (
            encoders := [
                one for one in members if one.kind == "encoder" and "linear" in one.results
            ]
        )
    ]
    if not best:
        return
    sizes = [3.0 + 0.16 * min(len(record.vocabulary), _NAMED_CLASSES) for record in best]
    figure = Figure(figsize=(sum(sizes), max(sizes)), layout="constrained")
    panels = figure.subplots(1, len(best), squeeze=False, width_ratios=sizes)[0]
    for panel, record in zip(panels, best, strict=True):
        classes = len(record.vocabulary)
        evidence = record.results["linear"].arrays()
        panel.imshow(task.confusion(evidence, classes), cmap="Blues", vmin=0, vmax=1)
        panel.set_title(f"{record.dataset}: {record.name}", fontsize=9)
        panel.set_xlabel("taken for", fontsize=8)
        panel.set_ylabel("is", fontsize=8)
        named = range(classes if classes <= _NAMED_CLASSES else 0)
        names = [record.vocabulary[index] for index in named]
        panel.set_xticks(named, names, rotation=90, fontsize=6)
        panel.set_yticks(named, names, fontsize=6)
    figure.savefig(path, dpi=130, metadata={"Software": None})


def print_table(table: pd.DataFrame, task: type[Task], console: Console | None = None) -> None:
    """Print the rows of a task, one table a dataset."""
    console = wide(console or Console())
    for label, part in by_dataset(table):
        first = part.iloc[0]
        trained = f", trained on {first['trained_on']}" * (first["trained_on"] != first["dataset"])
        grid = Table(
            title=f"{task.name} · {label}: {first['tracks']} test tracks{trained}",
            caption="mean ±std over seeds [95 % bootstrap interval over tracks]; "
            "p (best other): paired bootstrap against the best other encoder"
            + "".join(
                f"; {name.replace('_', ' ')}: {value:g}" for name, value in task.conditions.items()
            )
            + f"\n{MEANING}" * bool(part["contaminated"].any()),
        )
        grid.add_column("row")
        for title in ("probe", *task.headline.values(), "p (best other)"):
            grid.add_column(title, justify="right")
        for _, line in part.iterrows():
            mark = line.get("mode") if line["kind"] == "encoder" else line["kind"]
            name = f"{line['name']} ({mark})" if mark else line["name"]
            grid.add_row(
                name + f" {MARK}" * bool(line["contaminated"]),
                line["probe"],
                *(cell(line, metric, metric == task.primary) for metric in task.headline),
                "" if pd.isna(line["p_value"]) else f"{line['p_value']:.3f}",
            )
        console.print(grid)


def cell(line: "pd.Series[Any]", metric: str, full: bool) -> str:
    """One number as people read it; a dash where it is undefined."""
    if math.isnan(line[metric]):
        return "-"
    text = f"{line[metric]:.3f}"
    if full:
        text += f" ±{line[f'{metric}_std']:.3f}" if line["seeds"] > 1 else " " * 7
        text += f" [{line[f'{metric}_low']:.3f}, {line[f'{metric}_high']:.3f}]"
    return text
