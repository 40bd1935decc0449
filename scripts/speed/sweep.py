"""What it costs to drop the worse half of the learning rates at each validation, and what it saves.

    python scripts/speed/sweep.py --encoders logmel,musicnn

trains the beat probes of each encoder at all rates to their end, then with halving, then the other
seeds at the best rate. It prints the chosen rates, by how much the monitor of the rate that halving
chose is below the best one, the deviation of the monitor over the seeds, and seconds of CPU.
"""

import time
from pathlib import Path

import numpy as np
from jsonargparse import auto_cli

from motionbeat.benchmarks.cli import CACHE, ENCODERS
from motionbeat.benchmarks.evaluator import Folders, plan
from motionbeat.benchmarks.protocol import Probing, best_of
from motionbeat.tasks import BeatTracking
from motionbeat.threads import one_thread


def main(encoders: str = ENCODERS, cache: Path = CACHE) -> None:
    """Compare both sweeps.

    Args:
        encoders: names, separated by commas; their embeddings of groovebox are made where missing.
        cache: folder for generated data and embeddings.
    """
    rates, seeds = BeatTracking.recipe.learning_rates, (1, 2)
    [fold] = plan("beat", "groovebox", Folders(cache)).folds
    lost, spent = [], np.zeros(2)
    for encoder in encoders.split(","):
        for head in BeatTracking.heads:
            probing = Probing(
                BeatTracking,
                encoder,
                head,
                "frozen",
                fold.train_data,
                fold.test_data,
                cache,
                "sweep",
            )
            monitors, seconds = [], []
            with one_thread():
                for halving in (False, True):
                    started = time.process_time()
                    members = [(0, rate) for rate in rates]
                    monitors.append(
                        probing._fit(members, "rates", halving=halving).monitors.numpy()
                    )
                    seconds.append(time.process_time() - started)
                best, chosen = (best_of(one.tolist(), "max") for one in monitors)
                others = probing._fit([(seed, rates[best]) for seed in seeds], "seeds").monitors
            lost.append(monitors[0][best] - monitors[0][chosen])
            noise = np.std([monitors[0][best], *others.tolist()], ddof=1)
            spent += seconds
            print(
                f"{encoder} {head}: {rates[best]:g} and {rates[chosen]:g}, {lost[-1]:.4f} below, "
                f"seeds ±{noise:.4f}, {seconds[0]:.1f} and {seconds[1]:.1f} s"
            )
    print(
        f"{sum(one == 0 for one in lost)} of {len(lost)} alike, mean {np.mean(lost):.4f} and at "
        f"most {max(lost):.4f} below, {spent[1] / spent[0]:.2f} of the seconds"
    )


if __name__ == "__main__":
    auto_cli(main, as_positional=False)
