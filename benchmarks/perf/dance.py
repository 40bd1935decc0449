"""How long a dance takes to be made, beside how long it lasts.

    python benchmarks/perf/dance.py

The decoder is that of the task ``dance`` before training, which takes as long as a trained one.
"""

import time

import numpy as np
import torch
from jsonargparse import auto_cli

from motionbeat.motion import JOINTS
from motionbeat.tasks.dance_generation import DanceHead, Dancer
from motionbeat.tasks.poses import FPS, WIDTH, Body


def main(seconds: float = 20.0, repeats: int = 3) -> None:
    """Measure and print.

    Args:
        seconds: length of the dance.
        repeats: the median counts.
    """
    probe = DanceHead(1, 1, 0, torch.zeros(WIDTH), torch.ones(WIDTH))
    dancer = Dancer(probe, Body(np.full(len(JOINTS), 0.2)))
    condition = torch.zeros(round(seconds * FPS), probe.denoiser.null_condition.shape[0])
    took = []
    for repeat in range(repeats + 1):
        started = time.perf_counter()
        dancer(condition, repeat)
        took.append(time.perf_counter() - started)
    median = float(np.median(took[1:]))  # the first one warms up
    print(
        f"{seconds:g} s of dance in {median:.2f} s: {seconds / median:.1f} times as fast as it is "
        f"danced ({torch.get_num_threads()} threads)"
    )


if __name__ == "__main__":
    auto_cli(main, as_positional=False)
