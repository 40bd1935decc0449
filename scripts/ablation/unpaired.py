"""Towers trained on more pairs: rule-based dances to real music, or captured salsa warped to it.

Nobody danced to what is heard with a warped dance (``warped_salsa``). Besides the clips of
groovebox, the salsa itself is tested: the motion tower shall tell the moves of a partner from moves
at another time and from those in other takes, among the takes that are not trained on.
"""

from functools import cache
from pathlib import Path

from scripts.ablation.runs import Group, Scores, kept
from scripts.ablation.towers import RETRIEVAL, Bench, TowerRun
from scripts.matching import STEP, scores
from scripts.partners import embeddings

from motionbeat.data_modules.base import DatasetError
from motionbeat.data_modules.published.cmu_salsa import HELD_OUT, Take, takes
from motionbeat.model import MotionBeat
from motionbeat.weights import load_model

SECONDS = 5.0
"""Length of the clips of salsa."""

PARTNERS = "salsa partners"
METRICS = ("shifted", "other_song")
"""Shares of comparisons in which the partner is nearer; chance is 1/2."""


class UnpairedRun(TowerRun):
    """Towers that are also tested on salsa."""

    def __call__(self, seed: int) -> Scores:
        """Scores by condition."""
        weights = self.weights(seed)
        data = self.bench.folders.data
        if data is None:
            raise DatasetError("no folder with cmu_salsa.zip; give it by --data or MOTIONBEAT_DATA")
        salsa = kept(
            weights.with_suffix(".salsa.json"),
            lambda: {PARTNERS: partner_scores(load_model(weights), data)},
        )
        return super().__call__(seed) | salsa


def partner_scores(model: MotionBeat, data: Path) -> dict[str, float]:
    """How often a partner's moves are nearer than others', in takes that are held out."""
    stride = round(SECONDS / STEP)
    found = [
        (embeddings(model, one.leader, SECONDS)[::stride], embeddings(model, one.follower, SECONDS))
        for one in _held_out(data)
    ]
    table = scores(found, stride)
    return {metric: table[metric] for metric in METRICS}


@cache
def _held_out(data: Path) -> list[Take]:
    return [one for one in takes(data) if one.id in HELD_OUT]


def groups(bench: Bench) -> list[Group]:
    """The group of trainings on more pairs."""
    variants = {
        "rendered pairs": UnpairedRun(bench),
        "and rule-based dances to real music": UnpairedRun(bench, "and danced_music"),
        "and salsa warped to real music": UnpairedRun(bench, "and warped_salsa"),
    }
    return [Group("more pairs", variants, ("all phases", PARTNERS), (*RETRIEVAL, *METRICS))]
