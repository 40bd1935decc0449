"""The run: from names to records, doing only what was not done before."""

import inspect
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import chain, islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from joblib import Parallel, delayed
from numpy.typing import NDArray

from motionbeat.benchmarks.finetuning import Mode, check, finetune
from motionbeat.benchmarks.record import (
    Model,
    Protocol,
    RecordError,
    Result,
    RunRecord,
    Summary,
    digest,
    provenance,
    read_model,
    write_model,
)
from motionbeat.benchmarks.registry import DATASETS, ENCODERS, TASKS, make
from motionbeat.benchmarks.statistics import scores
from motionbeat.benchmarks.store import EmbeddingStore, StoredFeatures, extract
from motionbeat.benchmarks.training import Trained, feature_statistics, train
from motionbeat.console import bar, say
from motionbeat.data_modules.base import (
    SPLITS,
    DataModule,
    DatasetError,
    Split,
    Track,
    check_splits,
)
from motionbeat.encoder import Encoder, EncoderCard
from motionbeat.errors import MotionBeatError
from motionbeat.tasks.base import FOLD, Evidence, Reference, Task
from motionbeat.tasks.features import FeatureSource
from motionbeat.tasks.probe import Member

LENGTH_SLACK = 0.5

Statistics = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Mean and deviation (layers, width) of the features of a training split."""


class ProtocolError(MotionBeatError):
    """Settings that do not go together."""


@dataclass(frozen=True)
class Folders:
    """Where things lie.

    Attributes:
        cache: generated data, embeddings and finished runs of this machine.
        results: records and leaderboards to be shown.
        data: datasets the user has put in place, None when there are none.
    """

    cache: Path
    results: Path
    data: Path | None

    def record(self, record: RunRecord) -> Path:
        """Where a record is shown."""
        dataset = f"{record.dataset}-{record.dataset_revision}"
        return self.results / "runs" / record.task / dataset / f"{record.label}.json"

    def finished(self, key: str, part: str = "") -> Path:
        """Where a finished run, or a part of one, is remembered."""
        return self.cache / "runs" / f"{key}{part}.json"

    def datamodule(self, name: str, options: Mapping[str, Any] | None = None) -> DataModule:
        """A dataset by name, with options of its constructor.

        Raises:
            ProtocolError: the dataset has no such option.
        """
        kind = DATASETS.get(name)
        known = [
            option.name
            for one in kind.__mro__
            if issubclass(one, DataModule) and "__init__" in vars(one)
            for option in inspect.signature(one).parameters.values()
            if option.kind is option.KEYWORD_ONLY
        ]
        for option in options or {}:
            if option not in known:
                raise ProtocolError(
                    f"dataset '{name}' has no option '{option}'; "
                    f"it has {', '.join(known) or 'none'}"
                )
        try:
            return kind(cache=self.cache / "data", data=self.data, **options or {})
        except (TypeError, ValueError) as error:
            raise ProtocolError(
                f"dataset '{name}' cannot be made with {dict(options or {})} ({error}); "
                "correct the options"
            ) from error


@dataclass(frozen=True, eq=False)
class Fold:
    """Train, validation and test splits that belong together.

    Attributes:
        task: the task.
        teacher: the dataset whose train and validation splits the probes learn from.
        examined: the dataset whose test split is scored.
    """

    task: type[Task]
    teacher: DataModule
    examined: DataModule

    @cached_property
    def tracks(self) -> dict[Split, list[Track]]:
        """The tracks of the three splits, checked.

        Raises:
            DatasetError: a split is empty, splits share a group or an annotation is missing.
            MotionBeatError: the task cannot use a track.
        """
        for datamodule in {
            id(self.teacher): self.teacher,
            id(self.examined): self.examined,
        }.values():
            datamodule.prepare_data()
            check_splits([datamodule.tracks(split) for split in SPLITS])
        tracks: dict[Split, list[Track]] = {
            "train": self.teacher.tracks("train"),
            "validation": self.teacher.tracks("validation"),
            "test": self.examined.tracks("test"),
        }
        for split, members in tracks.items():
            if not members:
                raise DatasetError(
                    f"{self.examined.card.name}: the {split} split is empty; get the whole dataset"
                )
            for track in members:
                for needed in self.task.needs:
                    track.get(needed)
                check_annotations(track)
                self.task.check(track)
        return tracks


@dataclass(frozen=True, eq=False)
class Run:
    """One task on one dataset: all its rows share what is loaded and computed here.

    Attributes:
        task: the task.
        modules: the dataset whose test split is scored, once for each of its folds.
        protocol: learning rates and seeds.
        folders: where things lie.
        mode: what of an encoder is trained beside the probe.
    """

    task: type[Task]
    modules: Sequence[DataModule]
    protocol: Protocol
    folders: Folders
    mode: Mode = "frozen"

    @property
    def examined(self) -> DataModule:
        """The dataset, in the first of its folds."""
        return self.modules[0]

    @cached_property
    def folds(self) -> list[Fold]:
        """The folds, one where the dataset has but one partition."""
        name = self.examined.card.trained_on
        if name is None:
            return [Fold(self.task, module, module) for module in self.modules]
        teacher = self.folders.datamodule(name)
        return [Fold(self.task, teacher, module) for module in self.modules]

    @cached_property
    def test_tracks(self) -> list[Track]:
        """The test tracks, fold after fold.

        Raises:
            DatasetError: a track is tested on twice.
        """
        tracks = [track for fold in self.folds for track in fold.tracks["test"]]
        if len({track.id for track in tracks}) < len(tracks):
            raise DatasetError(f"{self.examined.card.name}: a track is in two test splits")
        return tracks

    @property
    def revision(self) -> str:
        """The dataset's revision and the number of its folds where there are several."""
        folds = f"-{len(self.modules)}folds" if len(self.modules) > 1 else ""
        return self.examined.revision + folds

    def key(self, name: str, revision: str, protocol: object) -> str:
        """Digest of all that decides the scores of a row."""
        trained_on = self.examined.card.trained_on
        return digest(
            task=self.task.name,
            version=self.task.version,
            dataset=self.examined.card.name,
            dataset_revision=self.revision,
            teacher_revision=self.folds[0].teacher.revision if trained_on else self.revision,
            row=name,
            revision=revision,
            protocol=protocol,
        )

    def encoder_key(self, encoder: type[Encoder]) -> str:
        """Key of an encoder's row."""
        protocol = self.protocol.model_dump()
        if self.mode != "frozen":
            protocol["mode"] = self.mode
        return self.key(encoder.card.name, encoder.card.revision, protocol)

    def reference_key(self, reference: Reference) -> str:
        """Key of a reference row; only a floor has anything to do with seeds."""
        revision = reference.revision or reference.kind
        return self.key(reference.name, revision, list(self.seeds(reference)))

    def seeds(self, reference: Reference) -> tuple[int, ...]:
        """Seeds a reference is run with."""
        return self.protocol.seeds if reference.kind == "floor" else self.protocol.seeds[:1]

    def base_record(self) -> dict[str, Any]:
        """The fields that all rows share."""
        return {
            "task": self.task.name,
            "task_version": self.task.version,
            "dataset": self.examined.card.name,
            "dataset_revision": self.revision,
            "trained_on": self.examined.card.trained_on,
            "synthetic": self.examined.card.data != "real",
            "partial": self.examined.partial,
            "folds": len(self.modules),
            "vocabulary": tuple(self.task.vocabulary(self.folds[0].tracks["train"])),
            "conditions": dict(self.task.conditions),
            "protocol": self.protocol,
            "tracks": tuple(track.id for track in self.test_tracks),
            **provenance(),
        }

    def finish(self, record: RunRecord) -> RunRecord:
        """Remember a record and show it."""
        write_model(self.folders.finished(record.key), record)
        write_model(self.folders.record(record), record)
        return record

    def recall(self, key: str) -> RunRecord | None:
        """A record finished on this machine before, shown again; None when there is none."""
        record = recollect(self.folders.finished(key), RunRecord)
        if record is None:
            return None
        write_model(self.folders.record(record), record)
        say(
            f"reused: {record.task} · {record.dataset} · {record.label}, "
            f"finished {record.finished:%Y-%m-%d %H:%M} UTC"
        )
        return record

    @property
    def probes(self) -> list[str]:
        """The probes; one that is not trained has nothing to teach an encoder."""
        return [name for name in self.task.probes if name != "knn" or self.mode == "frozen"]

    @property
    def mark(self) -> str:
        """What messages add to a row's name where the encoder is trained too."""
        return "" if self.mode == "frozen" else f" · {self.mode}"

    def embed(self, encoders: Sequence[Encoder]) -> dict[str, StoredFeatures]:
        """Features of all tracks by encoder name, extracted where the store lacks them.

        Where the dataset serves a task on frames too, frames are kept, and what is pooled is made
        of them: one extraction is enough for all tasks.
        """
        every = {
            track.audio_path: track
            for fold in self.folds
            for track in chain.from_iterable(fold.tracks.values())
        }
        tracks = list(every.values())
        frames = any(
            task.pooling is None and serves(self.examined, task) for task in TASKS.classes.values()
        )
        features = embed(encoders, tracks, self.folders.cache, self.task.pooling, frames)
        for source in features.values():
            for track in tracks:
                check_length(track, source)
        return features

    def run_encoder(self, encoder: Encoder, source: StoredFeatures, seconds: float) -> RunRecord:
        """Probe an encoder; a probe finished before the run was cut short is not trained again."""
        key = self.encoder_key(type(encoder))
        results = {}
        statistics: list[Statistics] = []
        for name in self.probes:
            part = self.folders.finished(key, f".{name}")
            if (known := recollect(part, Result)) is not None:
                results[name] = known
                say(f"reused: {encoder.card.name} · {name} probe")
                continue
            statistics = statistics or [
                feature_statistics(source, fold.tracks["train"]) for fold in self.folds
            ]
            label = f"{self.task.name} · {encoder.card.name} · {name}{self.mark}"
            results[name] = self.probe(source, name, statistics, label)
            write_model(part, results[name])
            score = results[name].scores[self.task.primary]
            say(
                f"{self.task.name} · {self.examined.card.name} · {encoder.card.name} · "
                f"{name}{self.mark}: {self.task.primary} {score.mean:.3f} ±{score.std:.3f}, "
                f"{results[name].seconds:.0f} s"
            )
        for remark in self.task.remarks(self.counted(next(iter(results.values())).arrays())):
            say(f"{self.task.name} · {self.examined.card.name}: {remark}")
        record = RunRecord(
            key=key,
            kind="encoder",
            name=encoder.card.name,
            revision=encoder.card.revision,
            mode=self.mode,
            licence=encoder.card.licence,
            parameters=encoder.card.parameters,
            training_data=encoder.card.training_data,
            results=results,
            seconds=seconds,
            **self.base_record(),
        )
        return self.finish(record)

    def probe(
        self, source: StoredFeatures, probe: str, statistics: Sequence[Statistics], label: str
    ) -> Result:
        """Predict the test split of every fold with probes trained in that fold, and score them."""
        started = time.perf_counter()
        if probe == "knn":
            return self.result(
                [
                    [self.neighbours(source, *pair)]
                    for pair in zip(self.folds, statistics, strict=True)
                ],
                started,
            )
        parts = [
            self.probe_fold(source, probe, *pair, label + f" {number}" * (len(self.folds) > 1))
            for number, pair in enumerate(zip(self.folds, statistics, strict=True))
        ]
        chosen = [part.chosen for part in parts]
        rates = [part.learning_rate for part in parts]
        return self.result(
            [part.predictions for part in parts],
            started,
            learning_rate=float(np.median(rates)),
            sweep={
                f"{rate:g}": float(np.mean([part.sweep[rate] for part in parts]))
                for rate in self.protocol.learning_rates
            },
            monitor=tuple(np.mean([[one.monitor for one in seeds] for seeds in chosen], axis=0)),
            layer_weights=tuple(
                map(tuple, np.mean([[weights(one) for one in seeds] for seeds in chosen], axis=0))
            ),
        )

    def probe_fold(
        self,
        source: StoredFeatures,
        probe: str,
        fold: Fold,
        statistics: Statistics,
        label: str,
    ) -> "Probed":
        """Sweep learning rates with the first seed, then train the other seeds at the best one."""
        first, *others = self.protocol.seeds
        rates = self.protocol.learning_rates

        def fit(members: list[Member], stage: str) -> list[Trained]:
            way: Callable[..., list[Trained]]
            if self.mode == "frozen":
                way = partial(train, kept=self.kept(fold, source.card, probe, members))
            else:
                way = partial(finetune, self.mode, ENCODERS.get(source.card.name))
            return way(
                self.task,
                source,
                fold.teacher,
                fold.examined,
                probe=probe,
                members=members,
                statistics=statistics,
                label=f"{label} · {stage}",
            )

        sweep = fit([Member(first, rate) for rate in rates], "learning rates")
        monitors = [trained.monitor for trained in sweep]
        best = int(np.argmax(monitors) if self.task.mode == "max" else np.argmin(monitors))
        chosen = [sweep[best]]
        if others:
            chosen += fit([Member(seed, rates[best]) for seed in others], "seeds")
        predictions = in_parallel(
            f"{label} · decoding",
            [
                [
                    delayed(trained.decoder)(outputs, visible(self.task, track))
                    for outputs, track in zip(trained.outputs, fold.tracks["test"], strict=True)
                ]
                for trained in chosen
            ],
            self.task.heavy_decoding,
        )
        return Probed(predictions, chosen, rates[best], dict(zip(rates, monitors, strict=True)))

    def kept(self, fold: Fold, card: EncoderCard, probe: str, members: Sequence[Member]) -> Path:
        """Where probes that learned in a fold are kept; what they are tested on has no say."""
        learned = [track.id for split in ("train", "validation") for track in fold.tracks[split]]
        key = digest(
            task=self.task.name,
            version=self.task.version,
            protocol=self.protocol.version,
            dataset=fold.teacher.card.name,
            dataset_revision=fold.teacher.revision,
            tracks=learned,
            revision=card.revision,
            members=members,
        )
        name = f"{self.task.name}-{card.name}-{probe}-{key}.safetensors"
        return self.folders.cache / "probes" / name

    def neighbours(self, source: StoredFeatures, fold: Fold, statistics: Statistics) -> list[Any]:
        """Predict the test split of a fold by its nearest neighbours in the training split.

        A track is the mean over its steps and layers of the standardised features.
        """
        mean, std = statistics

        def whole(track: Track) -> NDArray[np.floating]:
            steps = source.read(track, 0, source.length(track)).astype(np.float32)
            scaled = (steps.mean(axis=0) - mean) / np.where(std > 1e-6, std, 1)
            standardised: NDArray[np.floating] = scaled.mean(axis=0)
            return standardised

        known, asked = (
            np.stack([whole(track) for track in fold.tracks[split]]) for split in ("train", "test")
        )
        return self.task.neighbours(known, fold.tracks["train"], asked)

    def result(
        self, predictions: Sequence[Sequence[Sequence[Any]]], started: float, **chosen: Any
    ) -> Result:
        """Score predictions [fold][seed][track] of the test tracks and summarise the scores."""
        rows = [
            [self.task.score_split(one, fold.tracks["test"]) for one in seeds]
            for fold, seeds in zip(self.folds, predictions, strict=True)
        ]
        seeds = [list(chain.from_iterable(folds)) for folds in zip(*rows, strict=True)]
        evidence: Evidence = {
            name: np.array([[row[name] for row in seed] for seed in seeds]) for name in seeds[0][0]
        }
        if len(self.folds) > 1:
            sizes = [len(fold.tracks["test"]) for fold in self.folds]
            number = np.repeat(np.arange(len(sizes), dtype=np.float64), sizes)
            evidence[FOLD] = np.tile(number, (len(seeds), 1))
        return Result(
            **({"learning_rate": None, "sweep": {}, "monitor": (), "layer_weights": ()} | chosen),
            evidence={
                name: tuple(map(tuple, values.tolist())) for name, values in evidence.items()
            },
            scores={
                metric: Summary(**score._asdict())
                for metric, score in scores(self.counted(evidence), self.task.summarise).items()
            },
            seconds=time.perf_counter() - started,
        )

    def counted(self, evidence: Evidence) -> Evidence:
        """The evidence that a row's scores are made of: all of it."""
        return evidence

    def rows(
        self, classes: Sequence[type[Encoder]], references: Sequence[Reference]
    ) -> list[RunRecord]:
        """One record for each encoder and reference; what was finished before is not run again."""
        records: dict[str, RunRecord] = {}
        for name, key in chain(
            ((encoder.card.name, self.encoder_key(encoder)) for encoder in classes),
            ((reference.name, self.reference_key(reference)) for reference in references),
        ):
            if (record := self.recall(key)) is not None:
                records[name] = record
        pending = make(encoder for encoder in classes if encoder.card.name not in records)
        if self.mode != "frozen":
            for encoder in pending:
                check(encoder, self.task, self.mode)
        if pending:
            started = time.perf_counter()
            features = self.embed(pending)
            seconds = (time.perf_counter() - started) / len(pending)
            for encoder in pending:
                name = encoder.card.name
                records[name] = self.run_encoder(encoder, features[name], seconds)
        for reference in references:
            if reference.name not in records:
                records[reference.name] = self.run_reference(reference)
        return list(records.values())

    def run_reference(self, reference: Reference) -> RunRecord:
        """Score a floor, ceiling or specialist on the test split."""
        started = time.perf_counter()
        seeds = self.seeds(reference)
        predictions = []
        for fold in self.folds:
            reference.fit(fold.tracks["train"])
            predictions.append(
                in_parallel(
                    f"{self.task.name} · {reference.name}",
                    [
                        [
                            delayed(reference.predict)(
                                visible(self.task, track, reference.kind), seed
                            )
                            for track in fold.tracks["test"]
                        ]
                        for seed in seeds
                    ],
                    self.task.heavy_decoding,
                )
            )
        record = RunRecord(
            key=self.reference_key(reference),
            kind=reference.kind,
            name=reference.name,
            revision=reference.revision or reference.kind,
            licence=reference.licence,
            parameters=None,
            training_data=reference.training_data,
            results={"reference": self.result(predictions, started)},
            seconds=0.0,
            **self.base_record(),
        )
        return self.finish(record)


class Probed(NamedTuple):
    """What probes came to in one fold.

    Attributes:
        predictions: [seed][test track].
        chosen: the probe of each seed.
        learning_rate: of all of them.
        sweep: monitor of the first seed by learning rate.
    """

    predictions: list[list[Any]]
    chosen: list[Trained]
    learning_rate: float
    sweep: dict[float, float]


def weights(trained: Trained) -> list[float]:
    """Layer weights of a probe."""
    found: list[float] = trained.probe.layer_weights.tolist()
    return found


def serves(dataset: DataModule | type[DataModule], task: type[Task]) -> bool:
    """Whether a dataset has what a task needs, and what it is learned from has what that takes."""
    card = dataset.card
    teacher = DATASETS.get(card.trained_on).card if card.trained_on else card
    return set(task.needs) <= set(card.annotations) and set(task.learned_from) <= set(
        teacher.annotations
    )


def recollect(path: Path, kind: type[Model]) -> Model | None:
    """What was finished before; None when it was not, or when its file is damaged."""
    if not path.is_file():
        return None
    try:
        return read_model(path, kind)
    except RecordError as error:
        say(f"ignored: {error}")
        return None


def visible(task: type[Task], track: Track, kind: str = "encoder") -> Track:
    """What a row of a kind may see of a test track: a ceiling all of it, others what is shown."""
    return track if kind == "ceiling" else track.blind(task.shown)


def in_parallel(label: str, rows: Sequence[Sequence[Any]], heavy: bool) -> list[list[Any]]:
    """Results of rows of delayed calls, from one process a core if heavy, with a progress bar."""
    jobs = list(chain.from_iterable(rows))
    with bar("tracks") as progress:
        done = Parallel(n_jobs=-1 if heavy else 1, return_as="generator")(jobs)
        found = iter(progress.track(done, total=len(jobs), description=label))
        return [list(islice(found, len(row))) for row in rows]


def check_annotations(track: Track) -> None:
    """Check that no annotation speaks of time after the track's end.

    Raises:
        DatasetError: one does, by more than half a second; less is rounding and is let through.
    """
    for annotation in track.annotations:
        if annotation.end > track.duration + LENGTH_SLACK:
            raise DatasetError(
                f"{track.audio_path}: {type(annotation).__name__} annotation reaches "
                f"{annotation.end:.2f} s but the audio ends at {track.duration:.2f} s; "
                "restore the audio or the annotation"
            )


def check_length(track: Track, source: FeatureSource) -> None:
    """Check that a track's audio was as long as its dataset says.

    Raises:
        DatasetError: its features are shorter by more than half a second and a step.
    """
    seconds = source.length(track) / source.rate
    if track.duration > seconds + LENGTH_SLACK + 1 / source.rate:
        raise DatasetError(
            f"{track.audio_path}: cut off after {seconds:.2f} s of {track.duration:.2f} s; "
            "restore the audio"
        )


def embed(
    encoders: Sequence[Encoder],
    tracks: Sequence[Track],
    cache: Path,
    pooling: float | None,
    keep_frames: bool = False,
) -> dict[str, StoredFeatures]:
    """Fill the store with what encoders say of tracks, with a progress bar."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    names = ", ".join(encoder.card.name for encoder in encoders)
    with bar("tracks") as progress:
        bar_id = progress.add_task(f"embedding · {names}", total=len(tracks))
        return extract(
            encoders,
            tracks,
            EmbeddingStore(cache / "embeddings"),
            pooling,
            lambda _: progress.advance(bar_id),
            device,
            keep_frames,
        )


def folds(name: str, options: Mapping[str, Any], folders: Folders) -> list[DataModule]:
    """A dataset in each of its folds, or in the one that the options name."""
    kind = DATASETS.get(name)
    if kind.folds == 1 or "fold" in options:
        return [folders.datamodule(name, options)]
    return [folders.datamodule(name, {**options, "fold": fold}) for fold in range(kind.folds)]


def protocol_of(
    task: type[Task], learning_rates: Sequence[float] | None = None, seeds: int | None = None
) -> Protocol:
    """The protocol of a task, with other learning rates or another number of seeds if given."""
    return Protocol(
        learning_rates=tuple(task.learning_rates if learning_rates is None else learning_rates),
        seeds=tuple(range(task.seeds if seeds is None else seeds)),
    )


def plan(
    task: str,
    dataset: str,
    protocol: Protocol,
    folders: Folders,
    dataset_options: Mapping[str, Any] | None = None,
    mode: Mode = "frozen",
) -> Run:
    """A task on a dataset, ready to run.

    Raises:
        MotionBeatError: a name is unknown, or things do not go together.
    """
    kind = TASKS.get(task)
    if not protocol.seeds or not protocol.learning_rates:
        raise ProtocolError("no seed or no learning rate given; give at least one of each")
    run = Run(kind, folds(dataset, dataset_options or {}, folders), protocol, folders, mode)
    if not serves(run.examined, kind):
        able = [name for name, other in DATASETS.classes.items() if serves(other, kind)]
        its = [name for name, other in TASKS.classes.items() if serves(run.examined, other)]
        raise ProtocolError(
            f"dataset '{dataset}' has nothing for {kind.name} (its tasks: "
            f"{', '.join(sorted(its)) or 'none'}); "
            f"try {' or '.join(sorted(able)) or 'one whose card names it'}"
        )
    return run


def bench(
    task: str,
    dataset: str,
    encoders: Sequence[str],
    protocol: Protocol,
    folders: Folders,
    dataset_options: Mapping[str, Any] | None = None,
    mode: Mode = "frozen",
) -> list[RunRecord]:
    """Run a task on a dataset for some encoders and all the task's references.

    Rows finished on this machine before are not run again.

    Args:
        task: name.
        dataset: name.
        encoders: names, or ``package.module:Class``.
        protocol: learning rates and seeds.
        folders: where things lie.
        dataset_options: arguments of the dataset's constructor, such as sizes.
        mode: what of an encoder is trained beside the probe; references have no part in that.

    Returns:
        One record a row.

    Raises:
        MotionBeatError: a name is unknown, an encoder cannot be made here, the dataset is missing,
            a track is broken, the disk is full; all that was finished stays finished.
    """
    classes = [ENCODERS.get(name) for name in encoders]
    run = plan(task, dataset, protocol, folders, dataset_options, mode)
    return run.rows(classes, run.task.references() if mode == "frozen" else ())
