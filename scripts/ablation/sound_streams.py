"""Sound streams that learn from one teacher, from less, from real or from rendered music.

They are judged by linear probes on their mean features, which no test split enters: genre and tags
of pieces of groovebox, and the features of each teacher on segments of ``game_music``. Probes are
ridge regressions whose strength is chosen by leave-one-out on train splits; scores are those of
validation splits. A teacher that was not learned from is thereby a held-out one.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from typing import Any, NamedTuple

import numpy as np
import torch
from lightning import seed_everything
from numpy.typing import NDArray
from scripts.ablation.runs import Group, Run, Scores, kept, place
from scripts.ablation.towers import DATASETS, Bench
from sklearn.linear_model import RidgeCV
from sklearn.metrics import r2_score, roc_auc_score
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from motionbeat.benchmarks.pretrain_cli import pairs
from motionbeat.benchmarks.protocol import trainer_of
from motionbeat.benchmarks.taught_music import TaughtMusic
from motionbeat.console import bar
from motionbeat.data_modules.base import MotionFile, Split, Track
from motionbeat.model import SIZES
from motionbeat.pretraining.distillation import Distillation
from motionbeat.pretraining.pairs import features
from motionbeat.progress import StepBar, quiet
from motionbeat.sound import SoundStream
from motionbeat.tasks.genre import GenreClassification
from motionbeat.tasks.tagging import Tagging

TEACHERS = ("musicnn-msd", "fcn-jamendo", "fcn-msd")
REAL = ("game_music", "free_music")
RENDERED = "groovebox"
BUDGET = {"width": 96, "epochs": 3, "steps_per_epoch": 80, "batch_size": 32}
"""The same for all runs. Three teachers are too much for the 24 features of size ``tiny``."""

METRICS = ("genre_accuracy", "tags_roc_auc", *(f"r2_{name}" for name in TEACHERS))
"""Of each run."""

SIZES["narrow"] = replace(SIZES["tiny"], sound=BUDGET["width"])

PIECE_SECONDS = 20.0
"""Of each piece, where as much is learned of real and of rendered music: those of groovebox hold
two segments."""

_STRENGTHS = np.logspace(-1, 5, 7)
_STRIDE = 8  # segments, from one that probes learn from to the next

Floats = NDArray[np.floating[Any]]


def everything(tracks: Sequence[Track], rng: np.random.Generator) -> list[Track]:
    """All tracks."""
    return list(tracks)


def a_quarter(tracks: Sequence[Track], rng: np.random.Generator) -> list[Track]:
    """A quarter of the tracks."""
    return [tracks[index] for index in rng.permutation(len(tracks))[: len(tracks) // 4]]


def rendered(tracks: Sequence[Track], rng: np.random.Generator) -> list[Track]:
    """The tracks of groovebox, the first seconds of each."""
    return [replace(one, duration=PIECE_SECONDS) for one in tracks if one.has(MotionFile)]


def real(tracks: Sequence[Track], rng: np.random.Generator) -> list[Track]:
    """As many real tracks as there are rendered ones, as much of each."""
    count = len(rendered(tracks, rng))
    long = [one for one in tracks if not one.has(MotionFile) and one.duration >= PIECE_SECONDS]
    chosen = [long[index] for index in rng.permutation(len(long))[:count]]
    return [replace(one, duration=PIECE_SECONDS) for one in chosen]


Part = Callable[[Sequence[Track], np.random.Generator], list[Track]]


class SomeMusic(TaughtMusic):
    """Music of which a part is learned from, by whatever teachers."""

    part: Part = staticmethod(everything)

    def tracks(self, split: Split) -> list[Track]:
        """The tracks of a split; of the train split those of the part."""
        found = super().tracks(split)
        return self.part(found, np.random.default_rng(self.seed)) if split == "train" else found


class Probe(NamedTuple):
    """What is predicted of spectra (T, BANDS): targets (n, d) of both splits, named by column."""

    known: Sequence[Floats]
    targets: Floats
    asked: Sequence[Floats]
    truth: Floats
    columns: dict[str, slice]


@dataclass(frozen=True, eq=False)
class SoundBench:
    """What all runs share."""

    bench: Bench

    @cached_property
    def music(self) -> SomeMusic:
        """All music, ready to be learned from."""
        found = self._music(*REAL, RENDERED)
        found.prepare_data()
        return found

    def _music(self, *names: str) -> SomeMusic:
        folders = self.bench.folders
        return SomeMusic(
            {name: {} for name in names}, list(TEACHERS), BUDGET["batch_size"],
            BUDGET["steps_per_epoch"], cache=folders.cache, data=folders.data,
        )  # fmt: skip

    @cached_property
    def teachers(self) -> Probe:
        """What each teacher says of real music, learned from some of the segments."""
        music = self._music(*REAL)
        music.prepare_data()
        music.setup("fit")
        train, validation = (music.split[split] for split in ("train", "validation"))
        targets, truth = (
            np.concatenate([one.targets[name] for name in TEACHERS], axis=1)
            for one in (train, validation)
        )
        columns = beside([train.targets[name].shape[1] for name in TEACHERS], TEACHERS)
        some = slice(None, None, _STRIDE)
        return Probe(train.spectra[some], targets[some], validation.spectra, truth, columns)

    @cached_property
    def labels(self) -> Probe:
        """Genre and tags of groovebox."""
        dataset = self.bench.folders.datamodule(RENDERED, DATASETS[RENDERED])
        dataset.prepare_data()
        tasks = (GenreClassification, Tagging)
        names = [task.vocabulary(dataset.tracks("train")) for task in tasks]

        def spectra(split: Split) -> list[Floats]:
            return [features(one, 0, self.bench.cache).log_mel for one in pairs(dataset, split)]

        def targets(split: Split) -> Floats:
            parts = [
                [task.target(track, own) for track in dataset.tracks(split)]
                for task, own in zip(tasks, names, strict=True)
            ]
            return np.concatenate(parts, axis=1)

        splits: tuple[Split, Split] = ("train", "validation")
        train, validation = ((spectra(split), targets(split)) for split in splits)
        columns = beside([len(own) for own in names], [task.name for task in tasks])
        return Probe(*train, *validation, columns)


def beside(widths: Sequence[int], names: Sequence[str]) -> dict[str, slice]:
    """Columns of parts that stand beside each other."""
    ends = np.cumsum(widths).tolist()
    return {
        name: slice(end - width, end) for name, width, end in zip(names, widths, ends, strict=True)
    }


@dataclass(frozen=True)
class SoundRun:
    """A sound stream that has learned from teachers, or from none.

    Attributes:
        bench: what all runs share.
        teachers: names.
        part: of the music.
    """

    bench: SoundBench = field(repr=False)
    teachers: tuple[str, ...] = TEACHERS
    part: Part = everything

    @property
    def name(self) -> str:
        """The part and the teachers."""
        return " ".join(["sound", self.part.__name__, *self.teachers])

    @property
    def settings(self) -> dict[str, object]:
        """All that decides the scores."""
        return {**BUDGET, "teachers": self.teachers, "part": self.part.__name__}

    def __call__(self, seed: int) -> Scores:
        """Train and judge."""
        path = place(self.bench.bench.output, self, seed, "json")
        return kept(path, lambda: judged(self.train(seed), self.bench))

    def train(self, seed: int) -> SoundStream:
        """A sound stream after all steps."""
        module = self.module(seed)
        if self.teachers:
            music = self.music(seed)
            music.setup("fit")
            with quiet(), bar("steps") as progress:
                steps = StepBar(progress, f"{self.name}, seed {seed}")
                trainer_of(
                    max_epochs=BUDGET["epochs"], gradient_clip_val=1.0, limit_val_batches=0,
                    reload_dataloaders_every_n_epochs=1, callbacks=[steps],
                ).fit(module, music)  # fmt: skip
        stream: SoundStream = module.model.sound.eval()
        return stream

    def module(self, seed: int) -> Distillation:
        """What is trained, with its first weights."""
        widths = self.music(seed).widths
        seed_everything(seed, verbose=False)
        return Distillation(widths, "narrow", seed=seed)

    def music(self, seed: int) -> SomeMusic:
        """What is learned from; the runs take turns."""
        music = self.bench.music
        music.teachers, music.part, music.seed = list(self.teachers), self.part, seed
        return music


def judged(stream: SoundStream, bench: SoundBench) -> Scores:
    """Scores of a sound stream on validation splits, and of no test split."""
    said, truth = predicted(stream, bench.teachers), bench.teachers.truth
    scores = {
        f"r2_{name}": r2_score(truth[:, own], said[:, own], multioutput="variance_weighted")
        for name, own in bench.teachers.columns.items()
    }
    said, truth = predicted(stream, bench.labels), bench.labels.truth
    genre, tags = bench.labels.columns.values()
    right = said[:, genre].argmax(axis=1) == truth[:, genre].argmax(axis=1)
    known = (truth[:, tags].mean(axis=0) > 0) & (truth[:, tags].mean(axis=0) < 1)
    scores |= {
        "genre_accuracy": right.mean(),
        "tags_roc_auc": roc_auc_score(truth[:, tags][:, known], said[:, tags][:, known]),
    }
    return {"validation": {name: float(value) for name, value in scores.items()}}


def predicted(stream: SoundStream, probe: Probe) -> Floats:
    """What a ridge regression on the mean features says of the validation split."""
    known, asked = means(stream, probe.known), means(stream, probe.asked)
    scale = StandardScaler().fit(known)
    model = RidgeCV(_STRENGTHS).fit(scale.transform(known), probe.targets)
    return np.asarray(model.predict(scale.transform(asked)))


@torch.inference_mode()
def means(stream: SoundStream, spectra: Sequence[Floats]) -> Floats:
    """Mean features (n, width) of spectra (T, BANDS) of any lengths."""

    def mean(one: Floats) -> Tensor:
        log_mel = torch.from_numpy(one.astype(np.float32))
        return stream(log_mel[None])[0].mean(dim=0)

    return torch.stack([mean(one) for one in spectra]).double().numpy()


@cache
def sound_bench(bench: Bench) -> SoundBench:
    """What all runs on sound streams share, read once."""
    return SoundBench(bench)


def groups(bench: Bench) -> list[Group]:
    """All groups of sound streams."""
    shared = sound_bench(bench)

    def run(teachers: Sequence[str] = TEACHERS, part: Part = everything) -> Run:
        return SoundRun(shared, tuple(teachers), part)

    one_by_one = {f"{name} alone": run([name]) for name in TEACHERS}
    variants = {
        "three teachers": run(),
        **one_by_one,
        "a quarter of the pieces": run(part=a_quarter),
    }
    return [
        Group("sound stream", variants | {"untrained": run([])}, ("validation",), METRICS),
        Group(
            "sound stream, 35 minutes of music",
            {"real": run(part=real), "rendered": run(part=rendered)},
            ("validation",),
            METRICS,
        ),
    ]
