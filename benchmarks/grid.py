"""The grid of a benchmark: tasks × datasets × entries, run here or on a cluster."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

from motionbeat.benchmarks.cluster import Piece, joined, shared_folders
from motionbeat.benchmarks.evaluator import Evaluation, Folders, plan, serves
from motionbeat.benchmarks.registry import DATASETS, TASKS
from motionbeat.benchmarks.sharding import Part
from motionbeat.benchmarks.store import store_of
from motionbeat.console import bar
from motionbeat.files import check_writable
from motionbeat.tasks.contract import Baseline


class Row(NamedTuple):
    """A task on a dataset, and its entries."""

    evaluation: Evaluation
    encoders: Sequence[str]
    baselines: Sequence[Baseline]


@dataclass(frozen=True)
class Grid:
    """The rows of a grid."""

    rows: Sequence[Row]

    @classmethod
    def plan(
        cls,
        tasks: Sequence[str],
        datasets: Sequence[str],
        encoders: Sequence[str],
        folders: Folders,
        **options: Any,
    ) -> "Grid":
        """Set up a grid; each of several tasks is run on the datasets that it can use.

        Args:
            tasks: names of tasks.
            datasets: names of datasets.
            encoders: names of encoders.
            folders: folders of the run.
            options: arguments of :func:`motionbeat.benchmarks.evaluator.plan`.

        Raises:
            MotionBeatError: a name is unknown, or settings cannot be combined.
        """
        rows = []
        for task in tasks:
            served = [name for name in datasets if serves(DATASETS.get(name), TASKS.get(task))]
            for name in served if len(tasks) > 1 and served else datasets:
                evaluation = plan(task, name, folders, **options)
                alone = evaluation.deform or evaluation.mode != "frozen"
                baselines = () if alone else evaluation.task.baselines()
                rows.append(Row(evaluation, encoders, baselines))
        return cls(rows)

    def part(self, part: Part) -> "Grid":
        """A part of the entries; baselines count as entries."""
        rows, before = [], 0
        count = sum(len(row.encoders) + len(row.baselines) for row in self.rows)
        own = set(part.of(range(count)))
        for evaluation, encoders, baselines in self.rows:
            numbered = list(enumerate(encoders, before))
            others = list(enumerate(baselines, before + len(encoders)))
            before += len(encoders) + len(baselines)
            row = Row(
                evaluation,
                [one for number, one in numbered if number in own],
                [one for number, one in others if number in own],
            )
            rows += [row] if row.encoders or row.baselines else []
        return Grid(rows)

    def run(self, ray: str | None = None) -> None:
        """Run all entries that are not finished, and write all records.

        Args:
            ray: address of a cluster to run them on.

        Raises:
            MotionBeatError: an entry failed, or the folder of the results is not writable.
        """
        results = self.rows[0].evaluation.folders.results
        if results is not None:
            check_writable(results)
        if ray is not None:
            self._spread(ray)
        for row in self.rows:
            row.evaluation.entries(row.encoders, row.baselines)

    def _spread(self, address: str) -> None:
        pieces = [
            Piece(name, partial(_finished, call))
            for row in self.rows
            for name, call in row.evaluation.unfinished(row.encoders, row.baselines).items()
        ]
        if not pieces:
            return
        folders = self.rows[0].evaluation.folders
        given = [place for place in (folders.cache, folders.results) if place is not None]
        places = given + shared_folders(store_of(folders.cache))
        names = list(dict.fromkeys(name for row in self.rows for name in row.encoders))
        audio = [row.evaluation.test_tracks[0].audio_path for row in self.rows]
        with joined(address, names, places, audio) as cluster:
            for evaluation, encoders, _ in self.rows:
                evaluation.embed_pending(encoders, cluster.extract)
            with bar("entries") as progress:
                shown = progress.add_task("probing", total=len(pieces))
                cluster.run(pieces, partial(progress.advance, shown))

    @property
    def datasets(self) -> dict[str, set[tuple[str, str]]]:
        """Names and revisions of the datasets of each task."""
        found: dict[str, set[tuple[str, str]]] = {}
        for evaluation, _, _ in self.rows:
            datasets = found.setdefault(evaluation.task.name, set())
            datasets.add((evaluation.dataset.card.name, evaluation.revision))
        return found


def _finished(call: Callable[[], object]) -> list[str]:
    """Run an entry, which stores its record in the cache."""
    call()
    return []
