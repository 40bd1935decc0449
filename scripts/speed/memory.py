"""Peak memory of encoding one long recording, by encoder.

    python scripts/speed/memory.py --hours [3] --encoders motionbeat-small,beatgrid

Each encoder fills a store in a process of its own with a synthetic recording, decoded beside it by
the processes that ``motionbeat embed`` starts. What is counted is the proportional set size of all
of them without pages of files: a page that several processes share counts once. Slow encoders may
be given less audio by ``--hours``, twice, for a slope.
"""

import multiprocessing
import os
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile
from jsonargparse import auto_cli

from motionbeat._torchmetrics import import_torchmetrics

RATE = 44_100
POLL = 0.05  # s
MB = 1 << 20


def write_song(path: Path, seconds: float) -> None:
    """Write clicks over a chord that changes, block by block."""
    rng = np.random.default_rng(0)
    with soundfile.SoundFile(path, "w", RATE, 1, "PCM_16") as file:
        for start in range(0, round(seconds), 10):
            times = np.arange(min(10, seconds - start) * RATE) / RATE
            tones = 0.1 * sum(np.sin(2 * np.pi * f * times) for f in rng.uniform(80, 800, 3))
            beat = np.exp(-40 * (times % 0.5)) * rng.uniform(-0.5, 0.5, len(times))
            file.write((tones + beat).astype(np.float32))


def proportional(process: int) -> tuple[int, int]:
    """Bytes of a process: anonymous, and in shared memory, both divided by those who share a page.

    0 for a process that has ended.
    """
    try:
        with open(f"/proc/{process}/smaps_rollup") as file:
            sizes = {line.split(":")[0]: line.split()[1] for line in file if ":" in line}
    except OSError:
        return 0, 0
    return 1024 * int(sizes.get("Pss_Anon", 0)), 1024 * int(sizes.get("Pss_Shmem", 0))


def on_their_way(processes: list[int]) -> int:
    """Bytes of shared memory that processes hold open, as they do while none has it mapped."""
    found = {}
    for process in processes:
        folder = Path(f"/proc/{process}/fd")
        try:
            for link in folder.iterdir():
                if os.readlink(link).startswith("/dev/shm/"):
                    status = link.stat()
                    found[status.st_ino] = 512 * status.st_blocks
        except OSError:  # it has ended, or closed the file
            continue
    return sum(found.values())


def descendants(process: int) -> list[int]:
    """A process and all that it started."""
    found = [process]
    try:
        threads = os.listdir(f"/proc/{process}/task")
        for thread in threads:
            with open(f"/proc/{process}/task/{thread}/children") as file:
                for child in file.read().split():
                    found += descendants(int(child))
    except OSError:
        pass
    return found


def embed_one(encoder: str, audio: Path, seconds: float, folder: Path, threads: int) -> None:
    """Fill a store with one recording."""
    import torch

    from motionbeat.benchmarks.extraction import embed
    from motionbeat.benchmarks.store import EmbeddingStore
    from motionbeat.data_modules.base import Track

    torch.set_num_threads(threads)
    embed([encoder], [Track("song", audio, seconds, "song")], EmbeddingStore(folder))


def peak(encoder: str, audio: Path, seconds: float, threads: int) -> tuple[int, float, int | None]:
    """Bytes at the highest, wall seconds and how the process ended."""
    import_torchmetrics()
    context = multiprocessing.get_context("spawn")  # nothing of this process is in it
    with tempfile.TemporaryDirectory() as folder:
        process = context.Process(
            target=embed_one, args=(encoder, audio, seconds, Path(folder), threads)
        )
        started = time.perf_counter()
        process.start()
        assert process.pid is not None
        highest = 0
        while process.exitcode is None:
            processes = descendants(process.pid)
            sizes = [proportional(one) for one in processes]
            anonymous, shared = (sum(column) for column in zip(*sizes, strict=True))
            highest = max(highest, anonymous + max(shared, on_their_way(processes)))
            process.join(POLL)
        return highest, time.perf_counter() - started, process.exitcode


def main(
    encoders: str | None = None,
    hours: tuple[float, ...] = (3.0,),
    threads: int = 1,
) -> None:
    """Print a table.

    Args:
        encoders: names separated by commas; all that can be made here when left out.
        hours: length of the recordings.
        threads: of the encoder.
    """
    from motionbeat.benchmarks.registry import ENCODERS

    names = encoders.split(",") if encoders else sorted(ENCODERS.classes)
    names = [name for name in names if not ENCODERS.get(name).unavailable()]
    print("encoder | hours | peak MB | s\n--- | --- | --- | ---")
    with tempfile.TemporaryDirectory() as folder:
        for length in hours:
            audio = Path(folder) / f"{length:g}.wav"
            write_song(audio, 3600 * length)
            for name in names:
                size, seconds, code = peak(name, audio, 3600 * length, threads)
                failed = f" (ended with {code})" if code else ""
                print(f"{name} | {length:g} | {size / MB:.0f} | {seconds:.0f}{failed}", flush=True)


if __name__ == "__main__":
    auto_cli(main, as_positional=False)
