"""What storing features in eight bits changes in the scores of beat probes.

    python -m scripts.eight_bits --encoders musicnn,logmel

trains linear beat probes on the frames of each encoder in half precision, and others with the same
seeds on those in eight bits. It prints the mean F-measure on the test split of groovebox, or of
another --dataset, and the differences from half precision with 95 % intervals over seeds: of the
same probes tested on eight bits, and of those trained and tested on eight bits.
"""

from pathlib import Path

import numpy as np
from jsonargparse import auto_cli
from numpy.typing import NDArray
from scripts.ablation.runs import interval

from motionbeat.benchmarks.cli import CACHE
from motionbeat.benchmarks.evaluator import Folders, plan
from motionbeat.benchmarks.protocol import Probing
from motionbeat.benchmarks.variants import named
from motionbeat.tasks import BeatTracking
from motionbeat.tasks.task import Task
from motionbeat.threads import one_thread


def main(
    encoders: str = "musicnn,motionbeat-small,logmel",
    dataset: str = "groovebox",
    rate: float = 0.01,
    seeds: int = 24,
    cache: Path = CACHE,
) -> None:
    """Compare both kinds of storage.

    Args:
        encoders: names, separated by commas.
        dataset: a dataset with beats.
        rate: learning rate of all probes.
        seeds: number of probes of each kind.
        cache: folder for generated data and embeddings.
    """
    evaluation = plan("beat", dataset, Folders(cache))
    [fold] = evaluation.folds
    tracks = fold.tracks["test"]

    def f_measures(probing: Probing, probes: list[Task]) -> NDArray[np.float64]:
        scored = [BeatTracking.score_all(one, tracks) for one in probing.predict(probes)]
        return np.array([BeatTracking.metrics_of(one)["beat_f_measure"] for one in scored])

    for encoder in encoders.split(","):
        both = [encoder, named(encoder, eight_bits=True)]
        evaluation.embed(both)
        half, eight = (
            Probing(
                BeatTracking, name, "linear", "frozen", fold.train_data, fold.test_data, cache, name
            )
            for name in both
        )
        with one_thread():
            members = [(seed, rate) for seed in range(seeds)]
            probes, others = (one.train(members, "seeds").tasks for one in (half, eight))
            before = f_measures(half, probes)
            print(
                f"{encoder}: {before.mean():.4f} in half precision; the same probes on eight bits "
                f"{text(f_measures(eight, probes) - before)}; trained on eight bits "
                f"{text(f_measures(eight, others) - before)}"
            )


def text(differences: NDArray[np.float64]) -> str:
    """The mean of paired differences, with its interval."""
    mean, low, high = interval(differences)
    return f"{mean:+.4f} [{low:+.4f}, {high:+.4f}]"


if __name__ == "__main__":
    auto_cli(main, as_positional=False)
