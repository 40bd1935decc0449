"""Does the motion tower know which moment of a dance a partner's moves belong to?

    python -m scripts.partners

A positive control for ``matching.py``: couples of ``cmu_salsa`` are seen by the motion tower alone,
the leader in place of the music. It writes ``partners.csv``, with rows of all takes and rows of
those that nothing is trained on (``HELD_OUT``): weights that have seen ``warped_salsa`` have seen
the others.
"""

from collections.abc import Sequence
from itertools import product
from pathlib import Path

import pandas as pd
import torch
from jsonargparse import auto_cli
from scripts.matching import SECONDS, STEP, Table, moves, scores

from motionbeat.benchmarks.cli import DATA
from motionbeat.console import say
from motionbeat.data_modules.base import DatasetError
from motionbeat.data_modules.published.cmu_salsa import FPS, HELD_OUT, Take, takes
from motionbeat.files import write_atomically
from motionbeat.model import MotionBeat
from motionbeat.motion import Motion
from motionbeat.pretraining.evaluation import embedding_times
from motionbeat.weights import load_model, untrained


@torch.inference_mode()
def embeddings(model: MotionBeat, motion: Motion, clip: float) -> Table:
    """Embeddings (S, d) of the clips of a motion from every ``STEP`` seconds on."""
    inputs = moves(motion, motion.duration, clip)
    states = model.motion(inputs.features, inputs.clock)
    times = embedding_times(clip).expand(len(states), -1)
    return model.motion.embed(states, inputs.clock, times).double().numpy()


def couples_in(data: Path | None) -> list[Take]:
    """The couples of ``cmu_salsa.zip`` in a folder.

    Raises:
        DatasetError: there is no such file.
    """
    if data is None:
        raise DatasetError("no folder with cmu_salsa.zip; give it by --data or MOTIONBEAT_DATA")
    return takes(data)


def partner_scores(model: MotionBeat, couples: Sequence[Take], seconds: float) -> dict[str, float]:
    """Scores of leaders against their partners, in clips of some seconds."""
    stride = round(seconds / STEP)
    found = [
        (embeddings(model, one.leader, seconds)[::stride], embeddings(model, one.follower, seconds))
        for one in couples
    ]
    return scores(found, stride)


def partners(
    weights: tuple[str, ...] = ("motionbeat-small",),
    results: Path = Path("results"),
    data: Path | None = DATA,
) -> None:
    """Compare leaders with their partners, at the same and at other times, and with others'.

    Args:
        weights: names or files of weights; the untrained model always comes along.
        results: folder for ``partners.csv``.
        data: folder with ``cmu_salsa.zip`` (MOTIONBEAT_DATA).
    """
    couples = couples_in(data)
    models = {Path(name).stem: load_model(name) for name in weights}
    models["motionbeat-random"] = untrained()
    held_out = [one for one in couples if one.id in HELD_OUT]
    rows = []
    for seconds, (which, some) in product(SECONDS, (("all", couples), ("held out", held_out))):
        chosen: list[Take] = [one for one in some if len(one.leader.positions) >= 2 * seconds * FPS]
        if len(chosen) < 2:
            say(f"too few couples ({which}) dance for {2 * seconds:g} s, two clips")
            continue
        for name, model in models.items():
            row = {"model": name, "takes": which, "seconds": seconds}
            rows.append(row | partner_scores(model, chosen, seconds))
    table = pd.DataFrame(rows).set_index("model").round(4)
    say(table.to_string())
    write_atomically(results / "partners.csv", table.to_csv().encode())


if __name__ == "__main__":
    auto_cli(partners, as_positional=False)
