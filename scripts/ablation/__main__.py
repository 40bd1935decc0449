"""What each part of MotionBeat brings: variants against each other, with intervals over seeds.

    python -m scripts.ablation

trains and measures every variant with seed 0, then with seed 1, and so on, and writes
``ablation.csv`` after each seed. Finished runs are kept below the output folder and not run again.
"""

from pathlib import Path

from jsonargparse import auto_cli
from scripts.ablation import pulse_layers, sound_streams, towers, trunks, unpaired
from scripts.ablation.runs import summary, values

from motionbeat.benchmarks.evaluator import Folders
from motionbeat.cache import default_cache
from motionbeat.console import say
from motionbeat.files import write_atomically


def ablation(
    seeds: int = 5,
    output: Path = Path("pretrained/ablation"),
    results: Path = Path("results"),
    cache: Path | None = None,
    data: Path | None = None,
) -> None:
    """Train and measure all variants.

    Args:
        seeds: how many, counted from 0.
        output: folder for what is trained and measured.
        results: folder for ``ablation.csv``.
        cache: folder for generated data and features (MOTIONBEAT_CACHE).
        data: folder with datasets put in place by hand (MOTIONBEAT_DATA).
    """
    bench = towers.Bench(Folders(cache or default_cache(), data=data), output)
    groups = [
        group
        for part in (towers, unpaired, sound_streams, pulse_layers, trunks)
        for group in part.groups(bench)
    ]
    rows = []
    for seed in range(seeds):
        for group in groups:
            for variant, run in group.variants.items():
                found = values(group, variant, seed, run(seed))
                shown = found[: len(group.metrics)]
                scores = ", ".join(f"{one.metric} {one.value:.3f}" for one in shown)
                say(f"{group.name}: {variant}, seed {seed}: {scores}")
                rows += found
        table = summary(rows)
        write_atomically(results / "ablation.csv", table.to_csv(index=False).encode())


if __name__ == "__main__":
    auto_cli(ablation, as_positional=False)
