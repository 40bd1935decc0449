"""What the suite costs beside the encoder: ``python benchmarks/perf/overhead.py [--tracks N]``.

Extraction is held against a bare loop over the same files, probing against encoding once more.
"""

import time
from collections.abc import Callable, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any
from unittest import mock

import soundfile
import soxr
import torch
from jsonargparse import auto_cli
from rich.console import Console
from rich.table import Table

from motionbeat.benchmarks import runner, store
from motionbeat.benchmarks.cli import CACHE
from motionbeat.benchmarks.encoders.pretrained.musicnn import Musicnn
from motionbeat.benchmarks.record import Hardware
from motionbeat.benchmarks.training import Trained, feature_statistics, train
from motionbeat.data_modules.base import Track
from motionbeat.data_modules.groovebox import GrooveBox
from motionbeat.encoder import Encoder
from motionbeat.tasks.beat import BeatTask


def seconds(work: Callable[[], object]) -> float:
    """Wall time of a call."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


@torch.no_grad()
def bare(encoder: Encoder, tracks: Sequence[Track]) -> None:
    """The least that must be done: decode, mix to mono, resample, encode."""
    for track in tracks:
        samples, rate = soundfile.read(track.audio_path, dtype="float32", always_2d=True)
        waveform = soxr.resample(samples.mean(axis=1), rate, encoder.card.sample_rate)
        encoder(torch.from_numpy(waveform)[None])


def suite(encoder: Encoder, tracks: Sequence[Track]) -> None:
    """The same by the suite, into an empty store."""
    store._digest.cache_clear()  # digests of files are remembered, which a first run cannot use
    with TemporaryDirectory() as folder:
        store.extract([encoder], tracks, store.EmbeddingStore(Path(folder)), None, lambda _: None)


def probing(run: runner.Run, source: store.StoredFeatures, probe: str) -> tuple[float, float]:
    """Seconds of a whole probe from stored features, and of that without decoding and scoring."""
    started = time.perf_counter()
    spent = 0.0

    def timed(*arguments: Any, **options: Any) -> list[Trained]:
        nonlocal spent
        begun = time.perf_counter()
        with TemporaryDirectory() as folder:  # probes kept before would not be trained
            trained = train(*arguments, **options | {"kept": Path(folder) / "probes"})
        spent += time.perf_counter() - begun
        return trained

    statistics = feature_statistics(source, run.folds[0].tracks["train"])
    spent += time.perf_counter() - started
    with mock.patch.object(runner, "train", timed):
        run.probe(source, probe, [statistics], "overhead")
    return time.perf_counter() - started, spent


def main(tracks: int = 40, repeats: int = 5, cache: Path = CACHE) -> None:
    """Measure and print both overheads.

    Args:
        tracks: files to extract from; all tracks are probed.
        repeats: passes of the bare loop and the suite, in turns; their medians are compared.
        cache: folder with groovebox and its embeddings (MOTIONBEAT_CACHE).
    """
    protocol = runner.protocol_of(BeatTask)
    dataset = GrooveBox(cache / "data")
    run = runner.Run(BeatTask, [dataset], protocol, runner.Folders(cache, cache, None))
    everything = list(chain.from_iterable(run.folds[0].tracks.values()))
    some = everything[:tracks]
    encoder = Musicnn()

    for work in (bare, suite):
        work(encoder, some[:2])  # a first pass also pays for loading code
    turns = [
        [seconds(partial(work, encoder, some)) for work in (bare, suite)] for _ in range(repeats)
    ]
    loop, extraction = map(median, zip(*turns, strict=True))

    grid = Table(
        caption=f"probe: {len(protocol.learning_rates)} learning rates, "
        f"{len(protocol.seeds)} seeds; seconds of single runs, of extraction medians of {repeats}"
    )
    for column in ("what", "tracks", "seconds", "against", "seconds", "ratio", "target"):
        grid.add_column(column, justify="left" if column in ("what", "against") else "right")

    def row(what: str, count: int, took: float, against: str, base: float, target: str) -> None:
        numbers = (f"{base:.2f}", f"{took / base:.2f}")
        grid.add_row(what, str(count), f"{took:.2f}", against, *numbers, target)

    row("extraction", len(some), extraction, "bare loop", loop, "<= 1.15")
    source = run.embed([encoder])[encoder.card.name]
    for name in run.task.probes:
        encoding = seconds(partial(bare, encoder, everything))
        whole, training = probing(run, source, name)
        target = "< 1" if name == "linear" else ""
        row(f"{name} probe", len(everything), whole, "encoding", encoding, target)
        row("without scoring", len(everything), training, "", encoding, "")
    hardware = Hardware.here()
    place = hardware.accelerator or f"{hardware.cores} cores of {hardware.processor}"
    grid.title = f"{encoder.card.name} on groovebox, {place}, torch {hardware.torch}"
    Console().print(grid)


if __name__ == "__main__":
    auto_cli(main, as_positional=False)
