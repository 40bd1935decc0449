"""How long the tables of many records take, and how much memory.

    python scripts/speed/tables.py --counts 1000 5000 --revisions 1

writes records like the committed one of logmel on beat tracking, with its scores dealt anew to the
tracks, makes their tables in a process of its own and prints seconds and peak memory.
"""

import multiprocessing
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
from jsonargparse import auto_cli

from motionbeat.benchmarks.leaderboards import write_tables
from motionbeat.benchmarks.records import RunRecord, read_record, write_record

RUNS = Path(__file__).resolve().parents[2] / "results" / "runs" / "beat"


def make(results: Path, number: int, base: RunRecord, revisions: int) -> None:
    """Write a record with a name and scores of its own."""
    rng = np.random.default_rng(number)
    found = {}
    for head, result in base.results.items():
        dealt = {name: rng.permuted(one, axis=1) for name, one in result.per_track.items()}
        found[head] = result.model_copy(update={"per_track": dealt})
    name, revision = f"encoder{number}", str(number % revisions)
    changes = {"key": name, "name": name, "results": found, "dataset_revision": revision}
    path = results / "runs" / "beat" / f"{base.dataset}-{revision}" / f"{name}.json"
    write_record(path, base.model_copy(update=changes))


def measure(results: Path, sent: "multiprocessing.SimpleQueue[tuple[float, float]]") -> None:
    """Write the tables; send seconds and peak MB beyond what was there before."""
    started, before = time.perf_counter(), _peak()
    write_tables(results)
    sent.put((time.perf_counter() - started, _peak() - before))


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main(counts: list[int] = [1000, 5000], revisions: int = 1) -> None:  # noqa: B006
    """Print seconds and memory for each number of records.

    Args:
        counts: numbers of records.
        revisions: of the dataset, over which they are spread.
    """
    context = multiprocessing.get_context("fork")  # imports are not what is measured
    base, made = read_record(next(RUNS.rglob("logmel.json"))), 0
    with tempfile.TemporaryDirectory() as folder:
        for count in sorted(counts):
            for number in range(made, count):
                make(Path(folder), number, base, revisions)
            made = count
            sent = context.SimpleQueue()
            process = context.Process(target=measure, args=(Path(folder), sent))
            process.start()
            seconds, memory = sent.get()
            process.join()
            print(f"{count} records, {revisions} revisions: {seconds:.1f} s, {memory:.0f} MB")


if __name__ == "__main__":
    auto_cli(main)
