"""Towers without one part of the method at a time, trained shortly on groovebox and groove_midi.

Everything is measured on clips of groovebox's test split, which chooses nothing: weights are those
of the last step.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from lightning import seed_everything
from numpy.typing import NDArray
from scipy.signal import find_peaks
from scripts.ablation.runs import Group, Run, Scores, kept, place
from torch import Tensor
from torch.nn import functional
from torch.utils.data import DataLoader

from motionbeat.benchmarks.evaluator import Folders
from motionbeat.benchmarks.pretrain_cli import pairs
from motionbeat.benchmarks.protocol import trainer_of
from motionbeat.console import bar
from motionbeat.kinematics import PULSES
from motionbeat.model import MOTION_FRAME_RATE, MotionBeat
from motionbeat.model import PHASES as PHASES_SAID
from motionbeat.pretraining.batches import Batch, Draw, PairDataset, TempoSampler
from motionbeat.pretraining.evaluation import CLIP_SECONDS, clip_scores, embedding_times
from motionbeat.pretraining.module import Pretraining
from motionbeat.pretraining.pairs import (
    Features,
    Pair,
    beat_period,
    excerpt,
    features,
    variant_tempi,
)
from motionbeat.progress import StepBar, quiet
from motionbeat.spectrum import AUDIO_FRAME_RATE
from motionbeat.tokens import Clock
from motionbeat.weights import load_model, save_weights

DATASETS: dict[str, dict[str, Any]] = {
    "groovebox": {"train": 24, "validation": 6, "test": 1, "soundfonts": ["fluid_r3_mono"]},
    "groove_midi": {"excerpts": 2},
}
"""What is trained on."""

BUDGET: dict[str, Any] = {
    "size": "tiny", "learning_rate": 3e-3, "steps": 200, "batch_size": 24, "variants": 2,
    "seconds": CLIP_SECONDS,
}  # fmt: skip
"""The same for all runs; the learning rate is the better of 1e-3 and 3e-3 on validation clips."""

PARTS = (
    "all",
    "from downbeats",
    "a tenth",
    "sparse or syncopated",
    "and danced_music",
    "and warped_salsa",
)
"""What is trained on: all pairs, clips of them that begin on the downbeat, a tenth of the pairs,
drawn by the seed, those with sparse or syncopated steps, or all pairs and those of a dataset."""

TEST: tuple[str, dict[str, Any]] = ("groovebox", {})
"""What is tested on: the test split of a dataset with its options."""

PHASES = 4
"""Beats of the bar that clips begin on."""

SPARSE, SYNCOPATED = 0.5, 0.25
"""Steps a beat below which, and share of steps off the beat above which, steps are called so."""

RETRIEVAL = ("r1", "r10", "shift", "impostor")
"""Metrics of a clip and its partner."""

VERSION = 1
"""Changes whenever the scores of the same weights change."""

_LANDING = 0.5  # height of the contact pulse of a step
_OFF_BEAT = 0.2  # of a beat from the nearest one

Floats = NDArray[np.float64]
Clips = dict[str, Floats]
"""Scores of clips by metric."""


class RememberedPairs(PairDataset):
    """Clips of pairs whose features stay in memory."""

    def features(self, draw: Draw) -> Features:
        """What a clip is cut from."""
        return _remembered(self.pairs[draw.pair], draw.variant, self.cache)


class FromDownbeats(RememberedPairs):
    """Clips that begin on a downbeat, within 10 ms."""

    def start(self, found: Features, draw: Draw) -> float:
        """Second of one of the downbeats from which a clip and its shifts stay inside the pair."""
        downbeats = (np.flatnonzero(np.diff(found.phases[:, 1]) < -0.5) + 1) / AUDIO_FRAME_RATE
        margin = found.period(found.duration / 2)
        latest = found.duration - draw.seconds - margin
        inside = downbeats[(downbeats >= margin) & (downbeats <= latest)]
        if not len(inside):
            return super().start(found, draw)
        return float(inside[int(draw.place * len(inside))])


@cache
def _remembered(pair: Pair, variant: int, folder: Path) -> Features:
    return features(pair, variant, folder)


def steps(found: Features) -> tuple[float, float]:
    """Steps a beat, and the share of them off the beat, of the features of a pair or clip."""
    landings, _ = find_peaks(found.motion[:, PULSES].astype(np.float64), height=_LANDING)
    if not len(landings):
        return 0.0, 0.0
    place = np.interp(landings / MOTION_FRAME_RATE, found.beats, np.arange(len(found.beats)))
    beats = found.duration / found.period(found.duration / 2)
    return len(landings) / beats, float((np.abs(place - place.round()) > _OFF_BEAT).mean())


def starts(pair: Pair, phase: int) -> list[float]:
    """Seconds at which clips of a pair begin, all on one beat of the bar, counted from 0.

    Clips of one phase do not overlap, and those of all phases are as many and from the same bars.
    There are none where the bar has fewer beats.
    """
    beats, downbeats = np.array(pair.beats), np.array(pair.downbeats)
    numbers = np.searchsorted(beats, downbeats - 1e-6)
    metre = int(np.median(np.diff(numbers)))
    period = beat_period(beats, beats[-1] / 2)
    found: list[float] = []
    free = period
    for number in numbers if phase < metre else ():
        if beats[number] >= free and number + metre < len(beats):
            end = beats[number] + (metre + 1) * period + CLIP_SECONDS
            if end <= beats[-1] + period:
                found.append(float(beats[number + phase]))
                free = beats[number] + CLIP_SECONDS
    return found


class Pool(NamedTuple):
    """Clips that begin on one beat of the bar, and (N, 2) how their dancers step."""

    batch: Batch
    steps: Floats


def pool(found: Sequence[Pair], phase: int, folder: Path) -> Pool:
    """Clips of all pairs on one beat of the bar, each cut before its beats are tracked."""
    cut: list[list[Features]] = [[], [], []]
    piece = []
    with bar("pairs") as progress:
        for number, pair in enumerate(progress.track(found, description=f"clips of phase {phase}")):
            for start in starts(pair, phase):
                period = beat_period(np.array(pair.beats), start + CLIP_SECONDS / 2)
                for some, shift in zip(cut, (0.0, -period, period), strict=True):
                    some.append(excerpt(pair, start, CLIP_SECONDS, shift, folder))
                piece.append(number)
    clips = [one for some in cut for one in some]
    batch = Batch.of(clips, [0.0] * len(clips), CLIP_SECONDS, piece)
    return Pool(batch, np.array([steps(one) for one in cut[0]]))


@dataclass(frozen=True, eq=False)
class Bench:
    """What all runs share.

    Attributes:
        folders: where data lie.
        output: folder for weights and scores.
    """

    folders: Folders
    output: Path

    @property
    def cache(self) -> Path:
        """Folder of the features."""
        return self.folders.cache / "pretraining"

    @cached_property
    def training(self) -> list[Pair]:
        """All pairs to train on."""
        return [pair for name in DATASETS for pair in self.train_pairs(name)]

    def train_pairs(self, name: str) -> list[Pair]:
        """The pairs of a dataset's train split."""
        dataset = self.folders.datamodule(name, DATASETS.get(name))
        dataset.prepare_data()
        return pairs(dataset, "train")

    @cached_property
    def stepping(self) -> list[Pair]:
        """The pairs of them with sparse or syncopated steps."""
        found = [(pair, *steps(_remembered(pair, 0, self.cache))) for pair in self.training]
        return [pair for pair, often, off in found if often < SPARSE or off > SYNCOPATED]

    @cached_property
    def pools(self) -> list[Pool]:
        """Test clips by the beat of the bar on which they begin."""
        dataset = self.folders.datamodule(*TEST)
        dataset.prepare_data()
        found = pairs(dataset, "test")
        return [pool(found, phase, self.cache) for phase in range(PHASES)]

    def dataset(self, part: str, seed: int) -> PairDataset:
        """The pairs to train on of a name in ``PARTS``."""
        found = self.training
        if part == "a tenth":
            chosen = np.random.default_rng(seed).permutation(len(found))[: len(found) // 10]
            found = [found[index] for index in chosen]
        elif part == "sparse or syncopated":
            found = self.stepping
        elif part.startswith("and "):
            found = found + self.train_pairs(part.removeprefix("and "))
        kind = FromDownbeats if part == "from downbeats" else RememberedPairs
        return kind(found, self.cache)


@dataclass(frozen=True)
class TowerRun:
    """Both towers, trained with options of :class:`Pretraining`.

    Attributes:
        bench: what all runs share.
        part: of the pairs, a name in ``PARTS``.
        options: of the training.
    """

    bench: Bench = field(repr=False)
    part: str = "all"
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The part and the options."""
        return " ".join(["towers", self.part, *(f"{k} {v}" for k, v in self.options.items())])

    @property
    def settings(self) -> dict[str, object]:
        """All that decides the weights."""
        return {"datasets": DATASETS, **BUDGET, "part": self.part, **self.options}

    def __call__(self, seed: int) -> Scores:
        """Scores by condition."""
        weights = self.weights(seed)
        scores = weights.with_suffix(f".{VERSION}.json")
        return kept(scores, lambda: measured(load_model(weights), self.bench.pools))

    def weights(self, seed: int) -> Path:
        """A file of weights; those that were trained before are not trained again."""
        weights = place(self.bench.output, self, seed, "safetensors")
        if not weights.is_file():
            trained = self.train(seed)
            save_weights(trained.model, trained.architecture, weights)
        return weights

    def train(self, seed: int) -> Pretraining:
        """Train for all steps."""
        module, batches = self.module(seed), self.batches(seed)
        with quiet(), bar("steps") as progress:
            steps = StepBar(progress, f"{self.name}, seed {seed}")
            trainer_of(max_epochs=1, gradient_clip_val=1.0, callbacks=[steps]).fit(module, batches)
        return module.eval()

    def module(self, seed: int) -> Pretraining:
        """What is trained, with its first weights."""
        seed_everything(seed, verbose=False)
        rate = BUDGET["learning_rate"]
        return Pretraining(BUDGET["size"], learning_rate=rate, seed=seed, **self.options)

    def batches(self, seed: int) -> DataLoader[Batch]:
        """The batches of all steps."""
        dataset = self.bench.dataset(self.part, seed)
        tempi = [variant_tempi(pair, BUDGET["variants"]) for pair in dataset.pairs]
        sampler = TempoSampler(
            tempi, BUDGET["batch_size"], BUDGET["steps"], (BUDGET["seconds"],) * 2,
            seed, similar_tempo=self.options.get("tempo_negatives", True),
        )  # fmt: skip
        # Not the global generator, which dropout draws from.
        return DataLoader(dataset, batch_size=None, sampler=sampler, generator=torch.Generator())


@torch.inference_mode()
def measured(model: MotionBeat, pools: Sequence[Pool]) -> Scores:
    """Scores of weights under all conditions, averaged over clips."""
    whole = [scored(model, one.batch) for one in pools]
    every = {name: np.concatenate([one[name] for one in whole]) for name in whole[0]}
    often, off = np.concatenate([one.steps for one in pools]).T
    first, ours = pools[0].batch, whole[0]
    wrong = with_wrong_bars(first)
    return {
        "all phases": _means(every),
        "from downbeats": _means(ours),
        "from other beats": _means(
            {name: np.concatenate([one[name] for one in whole[1:]]) for name in ours}
        ),
        "wrong bars of the music": _means(scored(model, wrong._replace(motion=first.motion))),
        "wrong bars of both": _means(scored(model, wrong)),
        "sparse steps": _means({name: found[often < SPARSE] for name, found in every.items()}),
        "syncopated steps": _means(
            {name: found[off > SYNCOPATED] for name, found in every.items()}
        ),
    }


def with_wrong_bars(batch: Batch) -> Batch:
    """The same clips, whose bars are said to begin on another beat, the same in all motions."""
    rng = np.random.default_rng(0)
    drawn = torch.from_numpy(rng.integers(12, size=batch.size))

    def moved(clock: Clock, drawn: Tensor) -> Clock:
        metre = clock.beats_per_bar
        beats = 1 + drawn % (metre - 1)  # never a whole bar
        return clock._replace(positions=(clock.positions + beats[:, None]) % metre[:, None])

    audio = batch.audio._replace(clock=moved(batch.audio.clock, drawn))
    motion = batch.motion._replace(clock=moved(batch.motion.clock, drawn.repeat(3)))
    return batch._replace(audio=audio, motion=motion)


def scored(model: MotionBeat, batch: Batch) -> Clips:
    """Scores of each clip.

    ``r1`` and ``r10``, averaged over both ways, ``shift`` and ``impostor`` as in
    :func:`motionbeat.pretraining.evaluation.clip_scores`; ``beat_phase`` and ``bar_phase``, the
    mean cosine of the angle between the phase that the pulse layer gives and the true one;
    ``contacts`` and ``onsets``, the correlation over time of the contacts that are read from the
    music, and of the onsets that are read from the motion, with the measured ones.
    """
    audio, motion, size = batch.audio, batch.motion, batch.size
    states = model.audio(audio.log_mel, audio.lengths, audio.clock)
    moves = model.motion(motion.features, motion.clock)
    times = embedding_times(batch.seconds)
    found = clip_scores(
        model.audio.embed(states, audio.clock, times.expand(size, -1)),
        model.motion.embed(moves, motion.clock, times.expand(3 * size, -1)),
        batch,
    )
    scores = {name: found[name] for name in ("shift", "impostor")}
    for depth in (1, 10):
        ways = [found[f"{way}_r{depth}"] for way in ("music_to_motion", "motion_to_music")]
        scores[f"r{depth}"] = np.mean(ways, axis=0)

    seconds = torch.arange(batch.phases.shape[1]) / AUDIO_FRAME_RATE
    said = model.audio.phases(states, audio.clock, seconds.expand(size, -1))
    cos, sin = said.unflatten(-1, (2, len(PHASES_SAID))).unbind(-2)
    for name, share in (("beat", 0), ("bar", 1)):
        column = PHASES_SAID.index(name)
        true = 2 * torch.pi * batch.phases[..., share]
        along = cos[..., column] * true.cos() + sin[..., column] * true.sin()
        near = along / torch.hypot(cos[..., column], sin[..., column])
        scores[f"{name}_phase"] = near.nanmean(dim=1).double().numpy()

    seconds = torch.arange(motion.features.shape[1]) / MOTION_FRAME_RATE
    frames = seconds.expand(size, -1)
    onsets = functional.max_pool1d(audio.onsets, 5, stride=1, padding=2)
    near_frames = (seconds * AUDIO_FRAME_RATE).round().long().clamp_max(onsets.shape[1] - 1)
    clock = Clock(*(part[:size] for part in motion.clock))
    contacts = model.audio.rhythms(states, audio.clock, frames)[..., 1]
    scores["contacts"] = _correlation(contacts.sigmoid(), motion.features[:size, :, PULSES])
    heard = model.motion.rhythms(moves[:size], clock, frames)[..., 0]
    scores["onsets"] = _correlation(heard.sigmoid(), onsets[:, near_frames])
    return scores


def _correlation(one: Tensor, other: Tensor) -> Floats:
    """(N,) correlation over time of two curves (N, T); NaN where one is constant."""
    one, other = (x.double() - x.double().mean(dim=1, keepdim=True) for x in (one, other))
    found = (one * other).sum(dim=1) / (one.norm(dim=1) * other.norm(dim=1))
    return found.numpy()


def _means(clips: Clips) -> dict[str, float]:
    defined = {name: found[np.isfinite(found)] for name, found in clips.items()}
    return {name: float(x.mean()) if len(x) else float("nan") for name, x in defined.items()}


def groups(bench: Bench) -> list[Group]:
    """All groups of towers."""

    def run(part: str = "all", **options: Any) -> Run:
        return TowerRun(bench, part, options)

    def rotation(name: str, part: str, *conditions: str) -> Group:
        variants = {
            "rotation": run(part),
            "rotation where states are read": run(part, phase="read"),
            "absolute phase added": run(part, phase="added"),
            "no phase anywhere": run(part, phase="none"),
        }
        return Group(name, variants, conditions, (*RETRIEVAL, "beat_phase", "bar_phase"))

    def guidance(name: str, part: str) -> Group:
        variants = {
            "guidance and features": run(part),
            "guidance alone": run(part, contacts="guidance"),
            "features alone": run(part, contacts="features"),
            "no contacts": run(part, contacts="none"),
        }
        conditions = ("all phases", "sparse steps", "syncopated steps")
        return Group(name, variants, conditions, (*RETRIEVAL, "contacts"))

    begins = ("from downbeats", "from other beats")
    wrong = ("wrong bars of the music", "wrong bars of both")  # of clips from downbeats
    no_tempo, no_jitter = {"tempo_negatives": False}, {"jitter_negatives": False}
    no_beats, no_bars = {"beat_weight": 0.0}, {"bar_weight": 0.0}
    return [
        rotation("rotation", "all", "all phases", "from downbeats", *wrong),
        rotation("rotation, trained on clips from downbeats", "from downbeats", *begins),
        rotation("rotation, a tenth of the pairs", "a tenth", "all phases"),
        guidance("guidance", "all"),
        guidance("guidance, sparse or syncopated steps", "sparse or syncopated"),
        Group(
            "ECL",
            {
                "full": run(),
                "without tempo negatives": run(**no_tempo),
                "without jitter negatives": run(**no_jitter),
                "plain InfoNCE": run(**no_tempo, **no_jitter),
            },
            ("all phases",),
            RETRIEVAL,
        ),
        Group(
            "SRAL",
            {
                "full": run(),
                "without beats": run(**no_beats),
                "without bars": run(**no_bars),
                "without both": run(**no_beats, **no_bars),
            },
            ("all phases",),
            (*RETRIEVAL, "beat_phase", "bar_phase", "contacts", "onsets"),
        ),
    ]
