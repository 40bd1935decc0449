"""How long the tables of many records take, and how much memory.

    python scripts/speed/tables.py --counts 1000 5000

makes records of beat tracking on one dataset (60 tracks in 30 groups, 2 heads, 3 seeds) in a
temporary folder, writes their tables in a process of its own and prints seconds and peak memory.
"""

import multiprocessing
import resource
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from jsonargparse import auto_cli

from motionbeat.benchmarks.leaderboards import write_tables
from motionbeat.benchmarks.records import HeadResult, Protocol, RunRecord, provenance, write_model
from motionbeat.benchmarks.registry import TASKS
from motionbeat.benchmarks.significance import scores

HEADS, SEEDS, TRACKS, GROUPS = ("linear", "mlp"), 3, 60, 30
PLACE = Path("runs/beat/made")


def make(results: Path, number: int, base: RunRecord) -> None:
    """Write a record with a name and scores of its own."""
    rng = np.random.default_rng(number)
    found = {}
    for head, result in base.results.items():
        moved = {name: rng.permuted(one, axis=1) for name, one in result.per_track.items()}
        found[head] = result.model_copy(update={"per_track": moved})
    name = f"encoder{number}"
    record = base.model_copy(update={"key": name, "name": name, "results": found})
    write_model(results / PLACE / f"{name}.json", record)


def first() -> RunRecord:
    """A record with as many scores as those of beat tracking have."""
    task = TASKS.get("beat")
    rng = np.random.default_rng(0)
    groups = tuple(str(track % GROUPS) for track in range(TRACKS))
    names = [*task.headline, *(f"other{number}" for number in range(30))]
    per_track = {name: rng.uniform(size=(SEEDS, TRACKS)) for name in names}
    result = HeadResult(
        learning_rate=0.01,
        sweep={"0.01": 0.5},
        monitor=(0.5,) * SEEDS,
        layer_weights=((0.5, 0.5),) * SEEDS,
        per_track=per_track,
        scores=scores(per_track, groups, task.summarise),
        seconds=1.0,
    )
    return RunRecord(
        key="",
        task="beat",
        task_version=task.version,
        dataset="groovebox",
        dataset_revision="1",
        trained_on=None,
        data="synthetic",
        kind="encoder",
        name="",
        revision="1",
        licence="Apache-2.0",
        parameters=1,
        training_data=(),
        protocol=Protocol(learning_rates=(0.01,), seeds=tuple(range(SEEDS))),
        tracks=tuple(str(track) for track in range(TRACKS)),
        groups=groups,
        results=dict.fromkeys(HEADS, result),
        package_version="0",
        git_commit="",
        hardware=provenance()["hardware"],
        finished=datetime.now(UTC),
        seconds=1.0,
    )


def measure(results: Path, sent: "multiprocessing.SimpleQueue[tuple[float, float]]") -> None:
    """Write the tables; send seconds and peak MB beyond what was there before."""
    started, before = time.perf_counter(), _peak()
    write_tables(results)
    sent.put((time.perf_counter() - started, _peak() - before))


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main(counts: list[int] = [1000, 5000]) -> None:  # noqa: B006
    """Print seconds and memory for each number of records.

    Args:
        counts: numbers of records.
    """
    context = multiprocessing.get_context("fork")  # imports are not what is measured
    base, made = first(), 0
    with tempfile.TemporaryDirectory() as folder:
        for count in sorted(counts):
            for number in range(made, count):
                make(Path(folder), number, base)
            made = count
            sent = context.SimpleQueue()
            process = context.Process(target=measure, args=(Path(folder), sent))
            process.start()
            seconds, memory = sent.get()
            process.join()
            print(f"{count} records: {seconds:.1f} s, {memory:.0f} MB")


if __name__ == "__main__":
    auto_cli(main)
