"""Batches of clips: which pairs stand together, and where they are cut."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from motionbeat.discrimination import SAME_TEMPO
from motionbeat.pretraining.pairs import (
    AudioInputs,
    Features,
    MotionInputs,
    Pair,
    PairError,
    cut_audio,
    cut_motion,
    cut_phases,
    features,
)
from motionbeat.rhythm import BeatGrid, mistaken_grid

CLUSTER = 4
"""Clips of similar tempo that stand together in a batch."""


class Draw(NamedTuple):
    """A clip to be cut of a variant of a pair, at a place in [0, 1).

    The beats of its music are mistaken where there is a seed for the mistake.
    """

    pair: int
    variant: int
    place: float
    seconds: float
    mistake: int | None = None


class Batch(NamedTuple):
    """Clips of music, each with its motion, and with that motion shifted by a beat.

    Attributes:
        audio: N clips of music.
        motion: 3 N clips of motion: the true ones, then those one beat earlier, then one beat
            later.
        seconds: length of all clips.
        phases: (N, T, 2) shares of the true beat and bar that are over at the frames of the music,
            NaN where unknown.
        piece: (N,) index of the pair a clip is cut from.
        tempo: (N,) beats a minute.
    """

    audio: AudioInputs
    motion: MotionInputs
    seconds: float
    phases: Tensor
    piece: Tensor
    tempo: Tensor

    @classmethod
    def of(
        cls, found: Sequence[Features], starts: Sequence[float], seconds: float, piece: list[int]
    ) -> "Batch":
        """Cut 3 N clips out of features, in the order of ``motion``."""
        true, begins = found[: len(piece)], starts[: len(piece)]
        return cls(
            cut_audio(true, begins, seconds),
            cut_motion(found, starts, seconds),
            seconds,
            cut_phases(true, begins, seconds),
            torch.tensor(piece),
            torch.tensor([one.tempo for one in true]),
        )

    @property
    def size(self) -> int:
        """Number of clips of music."""
        return len(self.piece)


class PairDataset(Dataset[Batch]):
    """Whole batches of the drawn clips; features missing in the cache are computed."""

    def __init__(
        self, pairs: Sequence[Pair], cache: Path, captured: bool = False, live: bool = False
    ) -> None:
        self.pairs, self.cache, self.captured, self.live = pairs, cache, captured, live

    def __getitem__(self, draws: Sequence[Draw]) -> Batch:
        """Cut the drawn clips."""
        found = [self.features(draw) for draw in draws]
        starts = [self.start(one, draw) for one, draw in zip(found, draws, strict=True)]
        return cut(found, starts, draws[0].seconds, [draw.pair for draw in draws])

    def features(self, draw: Draw) -> Features:
        """What a clip is cut from."""
        found = features(self.pairs[draw.pair], draw.variant, self.cache, self.captured, self.live)
        if draw.mistake is None:
            return found
        assert isinstance(found.audio_grid, BeatGrid), "a live clock errs by itself"
        wrong = mistaken_grid(found.audio_grid, np.random.default_rng(draw.mistake))
        return replace(found, audio_grid=wrong)

    def start(self, found: Features, draw: Draw) -> float:
        """Second at which a clip begins, such that a shift by a beat stays inside if it can."""
        margin = found.period(found.duration / 2)
        free = found.duration - draw.seconds - 2 * margin
        return max(margin + draw.place * free, 0.0) if free > 0 else 0.0


def cut(
    found: Sequence[Features], starts: Sequence[float], seconds: float, piece: list[int]
) -> Batch:
    """Cut clips out of features, each with its motion and the two shifted ones."""
    true = np.array(starts)
    beat = [one.period(start + seconds / 2) for one, start in zip(found, starts, strict=True)]
    shifted = np.concatenate([true, true - beat, true + beat]).tolist()
    return Batch.of([*found] * 3, shifted, seconds, piece)


class TempoSampler(Sampler[list[Draw]]):
    """Batches of clusters of clips that share a tempo and differ in bar phase and accents.

    The draws follow from seed, rank and epoch alone, so an interrupted training continues with the
    batches it would have had. Lightning sets the epoch. Tempi are (pairs, variants) beats a minute,
    NaN where unknown; the other options are those of ``PairDataModule``.
    """

    def __init__(
        self,
        tempi: Sequence[Sequence[float]],
        batch_size: int,
        steps: int,
        seconds: tuple[float, float],
        seed: int = 0,
        rank: int = 0,
        similar_tempo: bool = True,
        mistaken: float = 0.0,
    ) -> None:
        if batch_size % CLUSTER or not 0 < batch_size <= len(tempi):
            raise PairError(
                f"a batch of {batch_size} clips out of {len(tempi)} pairs; choose a multiple of "
                f"{CLUSTER} that is no more than there are pairs"
            )
        if min(steps, *map(len, tempi)) < 1 or not 0 < seconds[0] <= seconds[1]:
            raise PairError(
                f"{steps} steps an epoch, {len(tempi[0])} variants, clips of {seconds[0]:g} to "
                f"{seconds[1]:g} s; choose 1 or more of each, and the shorter length first"
            )
        self.tempi = np.array(tempi, np.float64)
        self.order = np.argsort(self.tempi, axis=None, kind="stable")  # NaN come last
        self.batch_size, self.steps, self.seconds = batch_size, steps, seconds
        self.similar_tempo, self.mistaken = similar_tempo, mistaken
        self.seed, self.epoch, self.rank = seed, 0, rank

    def set_epoch(self, epoch: int) -> None:
        """Set the number of the epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[list[Draw]]:
        rng = np.random.default_rng((self.seed, self.epoch, self.rank))
        for _ in range(self.steps):
            seconds = float(rng.uniform(*self.seconds))
            yield [
                Draw(
                    pair, variant, float(rng.random()), seconds,
                    int(rng.integers(2**32)) if rng.random() < self.mistaken else None,
                )
                for pair, variant in self._variants(rng)
            ]  # fmt: skip

    def _variants(self, rng: np.random.Generator) -> list[tuple[int, int]]:
        """Variants of different pairs, cluster by cluster."""
        count, variants = self.tempi.shape
        if not self.similar_tempo:
            pairs = rng.permutation(count)[: self.batch_size]
            return [(int(pair), int(rng.integers(variants))) for pair in pairs]
        pair_of, variant_of = np.unravel_index(self.order, self.tempi.shape)
        tempi = self.tempi.ravel()[self.order]
        free = np.ones(len(tempi), bool)
        chosen: list[tuple[int, int]] = []
        while len(chosen) < self.batch_size:
            first = rng.choice(np.flatnonzero(free))
            apart = np.abs(np.log(tempi / tempi[first]))
            close = rng.permutation(np.flatnonzero(free & (apart <= np.log1p(SAME_TEMPO))))
            near = np.argsort(np.abs(np.arange(len(free)) - first), kind="stable")
            candidates = np.concatenate([close, near[free[near]]])  # neighbours of a rare tempo
            places = np.sort(np.unique(pair_of[candidates], return_index=True)[1])
            cluster = candidates[places[:CLUSTER]]
            free[np.isin(pair_of, pair_of[cluster])] = False
            chosen += [(int(pair_of[one]), int(variant_of[one])) for one in cluster]
        return chosen


def cluster_mates(rows: int) -> Tensor:
    """(rows, CLUSTER - 1) the other rows of each row's cluster."""
    row = torch.arange(rows)
    inside = torch.arange(CLUSTER - 1)
    others = inside + (inside >= (row % CLUSTER)[:, None])
    return (row // CLUSTER * CLUSTER)[:, None] + others
