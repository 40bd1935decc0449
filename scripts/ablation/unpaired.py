"""Towers trained on more pairs: rule-based dances to real music, or captured salsa warped to it.

Nobody danced to what is heard with a warped dance (``warped_salsa``). Besides the clips of
groovebox, the salsa itself is tested: the motion tower shall tell the moves of a partner from moves
at another time and from those in other takes, among the takes that are not trained on.
"""

from functools import cache
from pathlib import Path

from scripts.ablation.runs import Group, Scores, kept
from scripts.ablation.towers import RETRIEVAL, VERSION, Bench, TowerRun
from scripts.partners import couples_in, partner_scores

from motionbeat.data_modules.published.cmu_salsa import HELD_OUT, Take
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
        couples = _held_out(self.bench.folders.data)

        def salsa() -> Scores:
            found = partner_scores(load_model(weights), couples, SECONDS)
            return {PARTNERS: {metric: found[metric] for metric in METRICS}}

        return super().__call__(seed) | kept(weights.with_suffix(f".salsa.{VERSION}.json"), salsa)


@cache
def _held_out(data: Path | None) -> list[Take]:
    return [one for one in couples_in(data) if one.id in HELD_OUT]


def groups(bench: Bench) -> list[Group]:
    """The group of trainings on more pairs."""
    variants = {
        "rendered pairs": UnpairedRun(bench),
        "and rule-based dances to real music": UnpairedRun(bench, "and danced_music"),
        "and salsa warped to real music": UnpairedRun(bench, "and warped_salsa"),
    }
    return [Group("more pairs", variants, ("all phases", PARTNERS), (*RETRIEVAL, *METRICS))]
