"""What extraction costs beside decoding, whether it keeps a device busy, and how it grows.

    python scripts/speed/extraction.py --parts overhead,device,size,growth --before HEAD~1

Each part runs in a process of its own, on synthetic audio, with the code of this checkout and with
that of an earlier commit, and the table has the ratios:

* overhead: an encoder that does nothing, on clips of 4 s and on songs of 4 min, beside as many
  processes that only decode and resample the same files, in wall time and in CPU time. Processors
  in use say whether decoding has all of them.
* device: a device that encodes at so many times real time, and sleeps meanwhile, with as many
  processes as that needs by the measured rate of one of them. If the machine has fewer processors,
  the device is as slow as they allow.
* size: an encoder that gives features as large as MERT's at once, times real time, frames. Audio
  is at its sample rate, and the store in memory where /dev/shm is, so that neither decoding nor a
  disk counts: an hour is 5.4 GB.
* growth: `motionbeat embed`, `bench` and `bench` again on many short clips, in seconds and MB by
  their number. Clips of .5 s, so that their number counts and not their length.
"""

import json
import math
import multiprocessing
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import soundfile
import torch
from jsonargparse import auto_cli
from torch import Tensor

from motionbeat.audio import load_audio, resample
from motionbeat.benchmarks import extraction
from motionbeat.benchmarks.store import EmbeddingStore
from motionbeat.data_modules.base import Track
from motionbeat.encoder import Encoder, EncoderCard

ROOT = Path(__file__).resolve().parents[2]
PARTS = ("overhead", "device", "size", "growth")
RATE = 44_100
SAMPLE_RATE = 24_000


def card(name: str, layers: int = 1, width: int = 1, frame_rate: float = 50.0) -> EncoderCard:
    """A card of an encoder that is not one."""
    return EncoderCard(
        name=name, revision="1", sample_rate=SAMPLE_RATE, frame_rate=frame_rate, layers=layers,
        width=width, parameters=0, licence="none", training_data=(), source="scripts/speed",
    )  # fmt: skip


class Nothing(Encoder):
    """One number a frame."""

    card: ClassVar[EncoderCard] = card("nothing")
    context: ClassVar[float] = 0.0

    def forward(self, waveform: Tensor) -> Tensor:
        """Encode (B, T) samples as zeros (B, 1, frames, 1)."""
        return torch.zeros(len(waveform), 1, waveform.shape[1] * 50 // SAMPLE_RATE + 1, 1)


class Sleeping(Nothing):
    """A device that takes its time, and this process none."""

    card: ClassVar[EncoderCard] = card("sleeping")
    speed = 2000.0  # times real time
    busy = 0.0  # s

    def __deepcopy__(self, _: object) -> "Sleeping":
        return self

    def forward(self, waveform: Tensor) -> Tensor:
        """Encode as :class:`Nothing`, later."""
        started = time.perf_counter()
        time.sleep(waveform.numel() / SAMPLE_RATE / self.speed)
        self.busy += time.perf_counter() - started
        return super().forward(waveform)


class Large(Encoder):
    """Features as large as MERT's, at once."""

    card: ClassVar[EncoderCard] = card("large", 13, 768, 75.0)
    context: ClassVar[float] = 5.0

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("states", torch.randn(1, 13, 75 * 71, 768))

    def forward(self, waveform: Tensor) -> Tensor:
        """Encode (1, T) samples as (1, 13, frames, 768)."""
        states: Tensor = self.states[:, :, : waveform.shape[1] * 75 // SAMPLE_RATE + 1]
        return states


def write(folder: Path, count: int, seconds: float, ready: bool = False) -> list[Track]:
    """Tracks, each different: tones and some noise, as stereo FLAC at 44.1 kHz.

    Or, ``ready`` for the encoders, as mono WAV at their sample rate.
    """
    folder.mkdir(exist_ok=True)
    rate, suffix = (SAMPLE_RATE, ".wav") if ready else (RATE, ".flac")
    rng = np.random.default_rng(0)
    length = round(seconds * rate)
    times = np.arange(length + count) / rate
    tones = [np.sin(2 * np.pi * f * times) for f in (110, 277.2, 440, 659.3)]
    sound = 0.2 * np.stack([tones[0] + tones[1], tones[2] + tones[3]], axis=1)
    sound += 0.01 * rng.standard_normal(sound.shape)
    tracks = []
    for number in range(count):
        path = (folder / str(number)).with_suffix(suffix)
        if not path.exists():
            part = sound[number : number + length]
            soundfile.write(path, part[:, 0] if ready else part, rate)
        tracks.append(Track(path.stem, path, seconds, path.stem))
    return tracks


def decode(track: Track) -> None:
    """Decode and resample, and do nothing with it."""
    resample(*load_audio(track.audio_path), SAMPLE_RATE)


def timed(call: Callable[[], object]) -> tuple[float, float]:
    """Wall time, and CPU time of this process and those it started, in seconds."""

    def spent() -> float:
        kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
        return sum(u.ru_utime + u.ru_stime for u in map(resource.getrusage, kinds))

    started, before = time.perf_counter(), spent()
    call()
    return time.perf_counter() - started, spent() - before


def embed(
    encoder: Encoder, tracks: Sequence[Track], place: Path | None = None, **how: Any
) -> tuple[float, float]:
    """Wall and CPU time, in seconds, to fill a store that is removed afterwards."""
    options = {"how": extraction.Extraction(**how)} if how else {}
    with tempfile.TemporaryDirectory(dir=place) as folder:
        store = EmbeddingStore(Path(folder))
        return timed(lambda: extraction.embed([encoder], tracks, store, **options))


def overhead(folder: Path, scale: float) -> dict[str, float]:
    """Costs of everything but decoding."""
    found = {}
    for name, count, seconds in (("clips of 4 s", 2000, 4.0), ("songs of 4 min", 40, 240.0)):
        tracks = write(folder / name, max(2, round(scale * count)), seconds)
        processors = len(os.sched_getaffinity(0))
        with multiprocessing.get_context("fork").Pool(processors) as pool:
            pool.map(abs, range(processors))

            def decode_all(pool: Any = pool, tracks: list[Track] = tracks) -> None:
                pool.map(decode, tracks, chunksize=max(1, len(tracks) // 16))
                pool.close()
                pool.join()  # or its time would not be counted

            wall, cpu = timed(decode_all)
        whole, all_cpu = embed(Nothing(), tracks)
        found |= {
            f"{name}: times real time": len(tracks) * seconds / whole,
            f"{name}: wall time / decoding": whole / wall,
            f"{name}: CPU time / decoding": all_cpu / cpu,
            f"{name}: processors in use": all_cpu / whole,
        }
    return found


def device(folder: Path, scale: float) -> dict[str, float]:
    """How long a device is busy that processes feed."""
    tracks = write(folder / "songs of 4 min", max(2, round(scale * 40)), 240.0)
    seconds = 240.0 * len(tracks)
    decoding, _ = timed(lambda: [decode(track) for track in tracks[: max(1, len(tracks) // 4)]])
    one = 240.0 * max(1, len(tracks) // 4) / decoding
    needed = math.ceil(Sleeping.speed / one)
    processors = len(os.sched_getaffinity(0))
    encoder = Sleeping()
    encoder.speed = min(Sleeping.speed, one * processors)
    workers = min(needed, processors)
    new = hasattr(extraction, "Extraction")
    how = {"workers": workers, "batch_seconds": 240.0} if new else {}
    whole, _ = embed(encoder, tracks, **how)
    return {
        "one process decodes at times real time": one,
        f"processes that feed a device at {Sleeping.speed:g} times real time": needed,
        "device: times real time": encoder.speed,
        "device: share of the time busy": encoder.busy / whole,
        "device: times real time reached": seconds / whole,
    }


def size(folder: Path, scale: float) -> dict[str, float]:
    """How fast features are stored that cost nothing."""
    tracks = write(folder / "decoded songs of 4 min", max(2, round(scale * 20)), 240.0, ready=True)
    encoder, memory = Large(), Path("/dev/shm")
    place = memory if memory.is_dir() else None
    whole, cpu = embed(encoder, tracks, place)
    seconds = 240.0 * len(tracks)
    return {
        "MERT's size: times real time": seconds / whole,
        "MERT's size: CPU ms a second of audio": 1000 * cpu / seconds,
    }


def growth(folder: Path, scale: float) -> dict[str, float]:
    """Seconds and memory of commands by the number of tracks."""
    found = {}
    for count in dict.fromkeys(max(8, round(scale * n)) for n in (5_000, 10_000, 20_000)):
        tracks = write(folder / "clips of .5 s", count, 0.5)
        labels = [("low", "high")[number % 2] for number in range(count)]
        paths = [track.audio_path for track in tracks]
        with tempfile.TemporaryDirectory() as scratch:
            dataset = Path(scratch) / "clips.csv"
            pd.DataFrame({"path": paths, "label": labels}).to_csv(dataset, index=False)
            common = ["--dataset", str(dataset), "--encoder", f"{__file__}:Nothing"]
            common += ["--cache", scratch]
            bench = ["bench", *common, "--task", "genre", "--results", scratch]
            commands = {"embed": ["embed", *common], "bench": bench, "bench again": bench}
            for name, command in commands.items():
                seconds, peak = ended([sys.executable, "-m", "motionbeat", *command])
                found[f"{count} tracks, {name}: s"] = seconds
                found[f"{count} tracks, {name}: MB"] = peak
    return found


def ended(command: Sequence[str]) -> tuple[float, float]:
    """Wall seconds of a command, and MB of its largest process."""
    started = time.perf_counter()
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            output.seek(0)
            raise RuntimeError(output.read().decode()[-2000:])
    return time.perf_counter() - started, usage.ru_maxrss / 1024


def run(part: str, folder: Path, scale: float, source: Path) -> dict[str, float]:
    """Measure a part in a process of its own, with the code of a checkout."""
    command = [sys.executable, __file__, "--measure", part, "--folder", str(folder)]
    printed = subprocess.run(
        [*command, "--scale", str(scale)],
        env=os.environ | {"PYTHONPATH": str(source / "src"), "OMP_WAIT_POLICY": "PASSIVE"},
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout
    found: dict[str, float] = json.loads(printed)
    return found


def main(
    parts: str = ",".join(PARTS),
    before: str | None = None,
    scale: float = 1.0,
    folder: Path | None = None,
    measure: str | None = None,
) -> None:
    """Measure and print a table.

    Args:
        parts: separated by commas.
        before: a commit to compare with.
        scale: of the numbers of files, below 1 for a look at whether it works.
        folder: for the audio, which is kept there; a temporary one when left out.
        measure: print one part's numbers as JSON; how the parts are called.
    """
    if measure:
        assert folder is not None
        print(json.dumps(globals()[measure](folder, scale)))
        return
    with tempfile.TemporaryDirectory() as scratch:
        folder = folder or Path(scratch) / "audio"
        folder.mkdir(parents=True, exist_ok=True)
        earlier = Path(scratch) / "before"
        if before:
            git = ["git", "-C", str(ROOT), "worktree"]
            subprocess.run([*git, "add", "-q", "--detach", str(earlier), before], check=True)
        try:
            print("| | here | before | ratio |\n| --- | --- | --- | --- |")
            for part in parts.split(","):
                run(part, folder, min(scale, 0.001), ROOT)  # loads code, and compiles some
                found = run(part, folder, scale, ROOT)
                other = run(part, folder, scale, earlier) if before else {}
                for name, value in found.items():
                    was = other.get(name, math.nan)
                    print(f"| {name} | {value:.3g} | {was:.3g} | {value / was:.3g} |", flush=True)
        finally:
            if before:
                subprocess.run([*git, "remove", "--force", str(earlier)], check=True)


if __name__ == "__main__":
    auto_cli(main, as_positional=False)
