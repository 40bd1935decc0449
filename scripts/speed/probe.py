"""CPU time of probing stored features, beside the arithmetic it takes.

    python scripts/speed/probe.py

Each entry is probed twice on one thread with the embeddings at hand: once to count the floating-
point operations of all matrix products, forward and backward, once to take the time. The limit is
that count at the speed of one large product on this machine.
"""

import tempfile
import time
from pathlib import Path

import torch
from jsonargparse import auto_cli
from torch.utils.flop_counter import FlopCounterMode

from motionbeat.benchmarks.evaluator import Evaluation, Folders, plan
from motionbeat.cache import default_cache
from motionbeat.threads import one_thread

ENTRIES = (("logmel", "linear"), ("logmel", "mlp"), ("musicnn", "mlp"))


def product_speed(size: int = 1024, repeats: int = 20) -> float:
    """Floating-point operations a second of CPU time in products of square matrices."""
    one, other = torch.rand(2, size, size)
    _ = one @ other  # loads code
    started = time.process_time()
    for _ in range(repeats):
        _ = one @ other
    return 2 * size**3 * repeats / (time.process_time() - started)


def afresh(
    dataset: str, options: dict[str, int], head: str, cache: Path, scratch: Path
) -> Evaluation:
    """Beat tracking with the data and embeddings of a cache, but nothing trained yet."""
    scratch.mkdir()
    for kept in ("data", "embeddings"):
        (cache / kept).mkdir(parents=True, exist_ok=True)
        (scratch / kept).symlink_to((cache / kept).resolve())
    return plan("beat", dataset, Folders(scratch), dataset_options=options, heads=(head,))


def main(
    dataset: str = "groovebox",
    dataset_options: dict[str, int] | None = None,
    entries: tuple[tuple[str, str], ...] = ENTRIES,
    cache: Path | None = None,
) -> None:
    """Measure and print.

    Args:
        dataset: that serves beat tracking.
        dataset_options: arguments of the dataset's constructor, such as sizes.
        entries: encoders and heads.
        cache: folder with data and embeddings; by default ``MOTIONBEAT_CACHE``.
    """
    with one_thread():
        measure(dataset, dataset_options or {}, entries, cache or default_cache())


def measure(
    dataset: str, options: dict[str, int], entries: tuple[tuple[str, str], ...], cache: Path
) -> None:
    """Measure and print, with the threads of the caller."""
    speed = product_speed()
    print(f"one thread: {speed / 1e9:.0f} GFLOP/s in matrix products")
    for encoder, head in entries:
        with tempfile.TemporaryDirectory() as folder:
            first, second = (
                afresh(dataset, options, head, cache, place)
                for place in (Path(folder) / "counted", Path(folder) / "timed")
            )
            first.embed([encoder])
            with FlopCounterMode(display=False) as counter:
                first.encoder_entry(encoder)
            started = time.process_time()
            second.encoder_entry(encoder)
            spent = time.process_time() - started
        limit = counter.get_total_flops() / speed
        ratio = spent / limit
        print(f"{encoder} {head}: {spent:.1f} s of CPU, limit {limit:.2f} s, ratio {ratio:.1f}")


if __name__ == "__main__":
    auto_cli(main, as_positional=False)
