"""Speed of extraction, probes, pretraining and dance sampling, on a GPU where there is one.

    python scripts/speed/gpu.py --out results/speed/gpu.json

Needs no data: music and motion are synthetic, and probes are those of a generated dataset. Without
a GPU the same is measured on the processor, which takes long; ``--scale 0.01`` shows that it works.
What it ran on stands in the file.
"""

import json
import platform
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from jsonargparse import auto_cli
from lightning.fabric.utilities import move_data_to_device

from motionbeat._torchmetrics import import_torchmetrics
from motionbeat.audio import Waveform
from motionbeat.benchmarks.evaluator import Folders, plan
from motionbeat.console import say
from motionbeat.devices import BatchBudget, Device, Precision, accelerator_name
from motionbeat.encoding import encode_batches, make_encoder
from motionbeat.errors import MotionBeatError
from motionbeat.kinematics import FEATURES
from motionbeat.pretraining.batches import Batch, cut
from motionbeat.pretraining.module import Pretraining
from motionbeat.pretraining.pairs import MOTION_FRAME_RATE, Features
from motionbeat.rhythm import uniform_grid
from motionbeat.spectrum import AUDIO_FRAME_RATE, BANDS
from motionbeat.tasks.dance_generation import _CONDITION, FPS, WIDTH, DanceHead

SONG = 240.0  # s
CLIP = 8.0


def wait(device: Device) -> None:
    """Wait until a GPU has done what it was told."""
    if device.is_gpu:
        torch.cuda.synchronize()


def timed(call: Callable[[], object], device: Device) -> float:
    """Seconds of a call, after one that loads code."""
    for _ in range(2):
        wait(device)
        started = time.perf_counter()
        call()
        wait(device)
    return time.perf_counter() - started


def songs(rate: int, channels: int, count: int, seconds: float) -> list[Waveform]:
    """Noise with a beat, ([2,] samples) each."""
    rng = np.random.default_rng(0)
    times = np.arange(round(seconds * rate)) / rate
    beat = np.exp(-40 * (times % 0.5)).astype(np.float32)
    shape = (len(times),) if channels == 1 else (channels, len(times))
    return [beat * rng.uniform(-0.5, 0.5, shape).astype(np.float32) for _ in range(count)]


def can_be_made(name: str) -> bool:
    """Whether an encoder and its weights can be had here; if not, it is said why."""
    try:
        make_encoder(name)
    except MotionBeatError as error:
        say(f"left out: {error}")
        return False
    return True


def extraction(
    name: str, precision: Precision | None, device: Device, scale: float
) -> dict[str, float]:
    """Times real time of an encoder alone, features on the host, and seconds in a batch."""
    encoder = make_encoder(f"{name}[{precision}]" if precision else name).to(device.kind)
    card = encoder.card
    seconds = max(5.0, SONG * min(1.0, 10 * scale))
    count = max(2, round(64 * scale))
    waveforms = songs(card.sample_rate, card.channels, count, seconds)
    budget = BatchBudget(
        device, most=(512 << 20) / (2 * card.layers * card.width * card.frame_rate)
    )

    def encode() -> None:
        for _ in encode_batches(encoder, waveforms, budget, half=True):
            pass

    spent = timed(encode, device)
    return {"times_real_time": count * seconds / spent, "batch_seconds": budget.seconds}


def probes(dataset: str, options: dict[str, int]) -> dict[str, float]:
    """Seconds of a whole entry of logmel, features stored, both heads."""
    import_torchmetrics()
    with tempfile.TemporaryDirectory() as folder:
        evaluation = plan("beat", dataset, Folders(Path(folder)), dataset_options=options)
        evaluation.embed(["logmel"])
        started = time.perf_counter()
        evaluation.encoder_entry("logmel")
        return {"seconds": time.perf_counter() - started}


def clips(count: int, seconds: float) -> Batch:
    """Clips of music and motion that are noise."""
    rng = np.random.default_rng(0)
    whole = seconds + 4
    music, motion = int(whole * AUDIO_FRAME_RATE), int(whole * MOTION_FRAME_RATE)

    def noise(*shape: int) -> np.ndarray:
        return rng.uniform(0, 1, shape).astype(np.float16)

    grid = uniform_grid(whole)
    found = [
        Features(
            noise(music, BANDS), noise(music), noise(motion, FEATURES), grid, grid, grid.times,
            noise(music, 2),
        )
        for _ in range(count)
    ]  # fmt: skip
    return cut(found, [1.5] * count, seconds, list(range(count)))


def pretraining(size: str, device: Device, scale: float) -> dict[str, float]:
    """Seconds of a step."""
    count = max(4, round(64 * scale))
    model = Pretraining(size).train().to(device.kind)
    batch = move_data_to_device(clips(count, CLIP), torch.device(device.kind))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)

    def step() -> None:
        with device.autocast("bf16" if device.is_gpu else None):
            loss = model.losses(batch)["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return {"seconds": timed(step, device), "clips": count}


def sampling(device: Device, scale: float) -> dict[str, float]:
    """Seconds of dance a second."""
    head = DanceHead(1, 8, 0, torch.zeros(WIDTH), torch.ones(WIDTH)).eval().to(device.kind)
    seconds = max(6.0, 60 * min(1.0, 10 * scale))
    condition = torch.randn(round(seconds * FPS), _CONDITION, device=device.kind)
    with torch.inference_mode():
        spent = timed(lambda: head.sample(condition, 0), device)
    return {"times_real_time": seconds / spent}


def main(
    out: Path | None = None,
    encoders: str = "logmel,musicnn,motionbeat-small,mert-v1-95m",
    dataset: str = "groovebox",
    dataset_options: dict[str, int] | None = None,
    size: str = "small",
    scale: float = 1.0,
) -> None:
    """Measure, and print or write JSON.

    Args:
        out: the file; printed when left out.
        encoders: names separated by commas; what cannot be made here is left out, and said.
        dataset: that probes learn from.
        dataset_options: arguments of its constructor.
        size: of the model in pretraining.
        scale: of the amount of work, below 1 for a look at whether it works.
    """
    device = Device()
    precisions: tuple[Precision | None, ...] = (None, "bf16", "fp16") if device.is_gpu else (None,)
    names = [name for name in encoders.split(",") if can_be_made(name)]
    found = {
        "device": accelerator_name() or f"CPU ({platform.machine()}, {torch.get_num_threads()})",
        "torch": torch.__version__,
        "scale": scale,
        "extraction": {
            f"{name} {precision or 'float32'}": extraction(name, precision, device, scale)
            for name in names
            for precision in precisions
        },
        "probes": probes(dataset, dataset_options or {}),
        "pretraining_step": pretraining(size, device, scale),
        "dance_sampling": sampling(device, scale),
    }
    text = json.dumps(found, indent=2) + "\n"
    if out is None:
        print(text, end="")
    else:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(text)


if __name__ == "__main__":
    auto_cli(main, as_positional=False)
