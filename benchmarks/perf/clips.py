"""How long a whole leaderboard of a clip task takes once the features are there.

    python benchmarks/perf/clips.py --dataset emotify

Eight encoders, three probes each, the sweep of learning rates and three seeds, in every fold of the
dataset; the target is three minutes on two cores.
"""

import time
from pathlib import Path
from tempfile import TemporaryDirectory

from jsonargparse import auto_cli

from motionbeat.benchmarks.cli import CACHE, DATA, ENCODERS, split
from motionbeat.benchmarks.registry import ENCODERS as KNOWN
from motionbeat.benchmarks.registry import TASKS
from motionbeat.benchmarks.runner import Folders, Run, bench, folds, protocol_of

TARGET = 180.0


def clips(
    dataset: str = "groovebox",
    task: str = "genre",
    encoder: str = f"{ENCODERS},musicnn-msd",
    cache: Path = CACHE,
    data: Path | None = DATA,
) -> None:
    """Fill the store, then time the leaderboard.

    Args:
        dataset: that serves the task.
        task: on clips.
        encoder: names, separated by commas.
        cache: folder for generated data and embeddings (MOTIONBEAT_CACHE).
        data: folder with datasets put in place by hand (MOTIONBEAT_DATA).
    """
    protocol = protocol_of(TASKS.get(task))
    names = split(encoder)
    with TemporaryDirectory() as scratch:
        results = Path(scratch) / "results"
        folders = Folders(cache, results, data)
        run = Run(TASKS.get(task), folds(dataset, {}, folders), protocol, folders)
        run.embed([KNOWN.get(name)() for name in names])
        for part in ("data", "embeddings"):
            (Path(scratch) / part).symlink_to((cache / part).resolve())
        started = time.perf_counter()
        records = bench(task, dataset, names, protocol, Folders(Path(scratch), results, data))
        seconds = time.perf_counter() - started
    tracks = len(records[0].tracks)
    print(
        f"{len(names)} encoders, {tracks} test tracks, {records[0].folds} folds: {seconds:.0f} s, "
        f"{seconds / TARGET:.2f} of the target"
    )


if __name__ == "__main__":
    auto_cli(clips, as_positional=False)
