"""What is left of a frozen probe's score when the test audio is deformed.

The run is the ordinary one on a dataset whose test split holds every track in every deformation
too, so records, resuming and the embedding store are the ordinary ones; a record's scores are those
of the clean tracks, and its evidence speaks of all.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table

from motionbeat.benchmarks.deformations import CLEAN, DEFORMATIONS, Deformed
from motionbeat.benchmarks.leaderboard import by_dataset, read_records, write_csv
from motionbeat.benchmarks.record import Protocol, RunRecord
from motionbeat.benchmarks.registry import ENCODERS, TASKS
from motionbeat.benchmarks.runner import Fold, Folders, ProtocolError, Run, plan
from motionbeat.benchmarks.statistics import interval, once, resample
from motionbeat.console import wide
from motionbeat.data_modules.base import MotionFile
from motionbeat.tasks.base import Evidence, Task


def deformation_of(track: str) -> str:
    """Name of the deformation that a track id of :class:`Deformed` begins with."""
    return track.partition("/")[0]


class DeformedRun(Run):
    """A run on deformed datasets, whose scores are those of the clean tracks."""

    @cached_property
    def folds(self) -> list[Fold]:
        """The folds, whose probes learn from the dataset as it is."""
        return [
            replace(fold, teacher=fold.teacher.original)
            if isinstance(fold.teacher, Deformed)
            else fold
            for fold in super().folds
        ]

    def counted(self, evidence: Evidence) -> Evidence:
        """The evidence of the clean tracks."""
        return part(evidence, [track.id for track in self.test_tracks], CLEAN)


def part(evidence: Evidence, tracks: Sequence[str], deformation: str) -> Evidence:
    """The evidence of the tracks in one deformation."""
    chosen = [deformation_of(track) == deformation for track in tracks]
    return {name: values[:, chosen] for name, values in evidence.items()}


def bench(
    task: str,
    dataset: str,
    encoders: Sequence[str],
    protocol: Protocol,
    folders: Folders,
    dataset_options: Mapping[str, Any] | None = None,
) -> list[RunRecord]:
    """Score frozen probes on clean and deformed test audio, as :func:`runner.bench`.

    Raises:
        MotionBeatError: as there; or the task matches dances, which a deformation would leave
            behind.
    """
    classes = [ENCODERS.get(name) for name in encoders]
    run = plan(task, dataset, protocol, folders, dataset_options)
    if MotionFile in run.task.needs:
        raise ProtocolError(
            f"task '{run.task.name}' matches music with dances, which do not follow deformed "
            "audio; choose another task or leave --deform out"
        )
    modules = [Deformed(module, folders.cache / "deformed") for module in run.modules]
    shown = replace(folders, results=folders.results / "robustness")
    return DeformedRun(run.task, modules, protocol, shown).rows(classes, ())


def rows(record: RunRecord) -> list[dict[str, Any]]:
    """One row for each probe and deformation of a record.

    The interval is that of the drop on resampled tracks, each counted as often in both versions.
    """
    task = TASKS.get(record.task)
    present = {deformation_of(track) for track in record.tracks}
    found = []
    for probe, one in record.results.items():
        clean = part(one.arrays(), record.tracks, CLEAN)
        score = primary(clean, task)
        samples = resample(clean, task.summarise)[task.primary]
        for deformation in DEFORMATIONS:
            if deformation.name not in present:
                continue
            evidence = part(one.arrays(), record.tracks, deformation.name)
            deformed = primary(evidence, task)
            left = resample(evidence, task.summarise)[task.primary]
            low, high = interval(samples - left)
            found.append(
                {
                    "dataset": record.dataset,
                    "dataset_revision": record.dataset_revision,
                    "synthetic": record.synthetic,
                    "partial": record.partial,
                    "trained_on": record.trained_on or record.dataset,
                    "name": record.name,
                    "probe": probe,
                    "deformation": deformation.kind,
                    "strength": deformation.strength,
                    "unit": deformation.unit,
                    "tracks": next(iter(clean.values())).shape[1],
                    "seeds": next(iter(clean.values())).shape[0],
                    "metric": task.primary,
                    "clean": score,
                    "deformed": deformed,
                    "drop": score - deformed,
                    "drop_low": low,
                    "drop_high": high,
                    "revision": record.revision,
                    "task_version": record.task_version,
                    "package_version": record.package_version,
                    "git_commit": record.git_commit,
                    "finished": record.finished.date().isoformat(),
                }
            )
    return found


def primary(evidence: Evidence, task: type[Task]) -> float:
    """The primary metric, mean over the seeds."""
    return float(once(evidence, task.summarise)[task.primary].mean())


def write_robustness(results: Path, only: str | None = None) -> dict[str, pd.DataFrame]:
    """Write ``robustness_TASK.csv`` and its picture for each task, from the records alone.

    Args:
        results: folder of the leaderboards; the records are in its ``robustness``.
        only: name of the one task to do.

    Returns:
        The table of each task.
    """
    tables = {}
    for name, group in groupby(
        read_records(results / "robustness"), key=lambda record: record.task
    ):
        if only in (None, name):
            tables[name] = pd.DataFrame([line for record in group for line in rows(record)])
            write_csv(results / f"robustness_{name}.csv", tables[name], index=False)
            draw(tables[name], TASKS.get(name), results / f"robustness_{name}.png")
    return tables


def label(table: pd.DataFrame) -> "pd.Series[str]":
    """Deformation with its strength, as people read it."""
    strength = table["strength"].map("{:g}".format)
    return table["deformation"] + " " + strength + " " + table["unit"]


def pivoted(table: pd.DataFrame, probe: str, value: str) -> pd.DataFrame:
    """A value by encoder and deformation, most robust encoder first."""
    here = table[table["probe"] == probe]
    wide_table = here.assign(label=label(here)).pivot(index="name", columns="label", values=value)
    order = here.groupby("name")["drop"].mean().sort_values().index
    return wide_table.loc[order, label(here).unique()]


def draw(table: pd.DataFrame, task: type[Task], path: Path) -> None:
    """Draw the drops of the first probe, one panel a dataset."""
    from matplotlib.figure import Figure

    panels = [(title, pivoted(here, task.probes[0], "drop")) for title, here in by_dataset(table)]
    lines = sum(len(drops) + 2 for _, drops in panels)
    figure = Figure(figsize=(10, 1.6 + 0.3 * lines), layout="constrained")
    axes = figure.subplots(len(panels), 1, squeeze=False, sharex=True)[:, 0]
    reach = max(float(np.nanmax(np.abs(drops.to_numpy()))) for _, drops in panels) or 1.0
    for axis, (title, drops) in zip(axes, panels, strict=True):
        image = axis.imshow(drops, cmap="RdBu_r", vmin=-reach, vmax=reach, aspect="auto")
        axis.set_title(f"{title}, {task.probes[0]} probe", fontsize=9)
        axis.set_yticks(range(len(drops)), list(drops.index), fontsize=8)
        axis.set_xticks(
            range(drops.shape[1]), list(drops.columns), rotation=60, ha="right", fontsize=8
        )
        for (line, column), drop in np.ndenumerate(drops.to_numpy()):
            colour = "white" if abs(drop) > 0.6 * reach else "black"
            place = {"ha": "center", "va": "center", "fontsize": 6, "color": colour}
            axis.text(column, line, f"{drop:.2f}", **place)
    figure.colorbar(image, ax=axes, label=f"drop of {task.primary.replace('_', ' ')}")
    figure.savefig(path, dpi=130, metadata={"Software": None})


def print_robustness(table: pd.DataFrame, task: type[Task], console: Console | None = None) -> None:
    """Print clean scores and drops, one table a dataset and probe, one column an encoder."""
    console = wide(console or Console())
    for title, here in by_dataset(table):
        for probe in here["probe"].unique():
            drops, low, high, clean = (
                pivoted(here, probe, value) for value in ("drop", "drop_low", "drop_high", "clean")
            )
            grid = Table(
                title=f"{task.name} · {title}: {here['tracks'].iloc[0]} test tracks, {probe} probe",
                caption=f"drop of {task.primary.replace('_', ' ')} on deformed test audio "
                "[95 % bootstrap interval over tracks]",
            )
            grid.add_column("deformation")
            for name in drops.index:
                grid.add_column(name, justify="right")
            grid.add_row(CLEAN, *(f"{score:.3f}" for score in clean.iloc[:, 0]), end_section=True)
            for column in drops:
                cells = zip(drops[column], low[column], high[column], strict=True)
                grid.add_row(
                    str(column), *("{:+.3f} [{:+.3f}, {:+.3f}]".format(*one) for one in cells)
                )
            console.print(grid)
