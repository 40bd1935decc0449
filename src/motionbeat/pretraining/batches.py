"""Batches of clips: which ones stand together, and what is compared with what."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from motionbeat.pretraining.pairs import (
    Features,
    Heard,
    Pair,
    Seen,
    cut_motion,
    cut_music,
    features,
)

CLUSTER = 4
"""Clips of similar tempo that stand together in a batch."""

SAME_TEMPO = 0.04
"""Tempi that differ by so small a share are similar."""


class Draw(NamedTuple):
    """A clip to be cut.

    Attributes:
        pair: index of the pair.
        variant: of its features.
        place: in [0, 1), where in the pair it begins.
        seconds: its length.
    """

    pair: int
    variant: int
    place: float
    seconds: float


@dataclass(eq=False, repr=False)
class Batch:
    """Clips of music, each with its motion, and with that motion shifted by a beat.

    Attributes:
        heard: N clips of music.
        seen: 3 N clips of motion: the true ones, then those one beat earlier, then one beat later.
        seconds: length of all clips.
    """

    heard: Heard
    seen: Seen
    seconds: float

    def __len__(self) -> int:
        return len(self.heard.lengths)

    def to(self, device: torch.device | str, **_: Any) -> "Batch":
        """The same batch on a device."""
        return self._each(lambda x: x.to(device, non_blocking=True))

    def pin_memory(self) -> "Batch":
        """The same batch in memory from which a GPU copies without waiting."""
        return self._each(Tensor.pin_memory)

    def _each(self, change: Any) -> "Batch":
        def changed(part: Any) -> Any:
            if isinstance(part, Tensor):
                return change(part)
            return type(part)(**{name: changed(value) for name, value in vars(part).items()})

        return Batch(changed(self.heard), changed(self.seen), self.seconds)


def cut(found: Sequence[Features], starts: Sequence[float], seconds: float) -> Batch:
    """Cut clips out of features, each with its motion at three moments."""
    shifts = [one.period(start + seconds / 2) for one, start in zip(found, starts, strict=True)]
    earlier = [start - shift for start, shift in zip(starts, shifts, strict=True)]
    later = [start + shift for start, shift in zip(starts, shifts, strict=True)]
    return Batch(
        cut_music(found, starts, seconds),
        cut_motion([*found] * 3, [*starts, *earlier, *later], seconds),
        seconds,
    )


class PairDataset(Dataset[tuple[Features, Draw]]):
    """Features of the drawn pairs; what is not in the cache is worked out where it is asked for.

    Args:
        pairs: the pairs.
        cache: folder of the features.
        captured: whether augmented dances turn, swing out and are seen as captured ones are.
    """

    def __init__(self, pairs: Sequence[Pair], cache: Path, captured: bool = False) -> None:
        self.pairs = pairs
        self.cache = cache
        self.captured = captured

    def __getitem__(self, draw: Draw) -> tuple[Features, Draw]:
        """Features of the pair and variant of a draw."""
        return features(self.pairs[draw.pair], draw.variant, self.cache, self.captured), draw


def collate(items: Sequence[tuple[Features, Draw]]) -> Batch:
    """Cut the clips of a batch, so that a shift by a beat stays inside each pair if it can."""
    starts = []
    for found, draw in items:
        margin = found.period(found.duration / 2)
        free = found.duration - draw.seconds - 2 * margin
        starts.append(max(margin + draw.place * free, 0.0) if free > 0 else 0.0)
    return cut([found for found, _ in items], starts, items[0][1].seconds)


class TempoSampler(Sampler[list[Draw]]):
    """Batches made of clusters of clips that share a tempo and differ in bar phase and accents.

    The draws follow from the seed alone; with the epoch as a part of it, training goes on after an
    interruption with the very batches it would have had.

    Args:
        tempi: beats a minute of each pair; NaN where unknown.
        batch_size: clips a batch, a multiple of ``CLUSTER``.
        steps: batches an epoch.
        seconds: shortest and longest clip; clips of one batch have the same length.
        variants: features each pair has.
        seed: of the draws, one or more numbers.
        similar: False draws pairs regardless of their tempo, for comparison.

    Raises:
        ValueError: fewer pairs than a batch, or a batch that is no multiple of ``CLUSTER``.
    """

    def __init__(
        self,
        tempi: Sequence[float],
        batch_size: int,
        steps: int,
        seconds: tuple[float, float],
        variants: int,
        seed: tuple[int, ...],
        similar: bool = True,
    ) -> None:
        if batch_size % CLUSTER or not 0 < batch_size <= len(tempi):
            raise ValueError(
                f"a batch of {batch_size} clips out of {len(tempi)} pairs; give a multiple of "
                f"{CLUSTER} that is no more than there are pairs"
            )
        order = np.argsort(tempi, kind="stable")  # NaN comes last, beside each other
        self.order, self.tempi = order, np.asarray(tempi)[order]
        self.batch_size, self.steps = batch_size, steps
        self.seconds, self.variants, self.seed, self.similar = seconds, variants, seed, similar

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[list[Draw]]:
        rng = np.random.default_rng(self.seed)
        for _ in range(self.steps):
            seconds = float(rng.uniform(*self.seconds))
            yield [
                Draw(int(pair), int(rng.integers(self.variants)), float(rng.random()), seconds)
                for pair in self._pairs(rng)
            ]

    def _pairs(self, rng: np.random.Generator) -> list[int]:
        """Different pairs, cluster by cluster."""
        if not self.similar:
            return [int(i) for i in rng.permutation(len(self.order))[: self.batch_size]]
        free = np.ones(len(self.order), bool)
        chosen: list[int] = []
        while len(chosen) < self.batch_size:
            first = rng.choice(np.flatnonzero(free))
            apart = np.abs(np.log(self.tempi / self.tempi[first]))
            apart = np.where(np.isnan(apart), np.inf, apart)
            close = np.flatnonzero(free & (apart <= np.log1p(SAME_TEMPO)))
            if len(close) < CLUSTER:  # a rare tempo: its neighbours stand in
                near = np.argsort(np.abs(np.arange(len(free)) - first), kind="stable")
                close = near[free[near]][:CLUSTER]
            members = rng.permutation(close)[:CLUSTER]
            free[members] = False
            chosen += [int(self.order[member]) for member in members]
        return chosen


def mates(rows: int) -> Tensor:
    """(rows, CLUSTER - 1) the other members of each row's cluster."""
    row = torch.arange(rows)
    inside = torch.arange(CLUSTER - 1)
    others = inside + (inside >= (row % CLUSTER)[:, None])
    return (row // CLUSTER * CLUSTER)[:, None] + others
