"""Numbers for an encoder: a task on a dataset, doing only what was not done before."""

import inspect
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from joblib import Parallel, delayed, parallel_config

from motionbeat.benchmarks.embedded import LENGTH_SLACK, embed
from motionbeat.benchmarks.keys import task_key, tracks_key
from motionbeat.benchmarks.protocol import Probed, Probing
from motionbeat.benchmarks.records import (
    NO_HEAD,
    HeadResult,
    Model,
    Protocol,
    RecordError,
    RunRecord,
    provenance,
    read_model,
    write_model,
)
from motionbeat.benchmarks.registry import DATASETS, TASKS, make
from motionbeat.benchmarks.significance import scores
from motionbeat.benchmarks.store import EmbeddingStore
from motionbeat.cache import default_cache, digest
from motionbeat.console import say
from motionbeat.data_modules.base import (
    SPLITS,
    DataModule,
    DatasetError,
    MotionFile,
    Split,
    Track,
    check_splits,
)
from motionbeat.encoder import Encoder, EncoderCard
from motionbeat.encoding import find_encoder
from motionbeat.errors import MotionBeatError
from motionbeat.tasks.adapters import EncoderMode, FineTuningError
from motionbeat.tasks.contract import Baseline
from motionbeat.tasks.metrics.per_track import FOLD, PerTrackScores, arrays
from motionbeat.tasks.task import Task
from motionbeat.threads import one_thread


class ProtocolError(MotionBeatError):
    """Settings that do not go together."""


@dataclass(frozen=True)
class Folders:
    """Where things lie.

    Attributes:
        cache: generated data, embeddings, probes and finished runs of this machine.
        results: records and leaderboards to be shown, None to write none.
        data: datasets the user has put in place, None when there are none.
    """

    cache: Path
    results: Path | None = None
    data: Path | None = None

    def datamodule(self, name: str, options: Mapping[str, Any] | None = None) -> DataModule:
        """A dataset by name, with options of its constructor.

        Raises:
            ProtocolError: the dataset has no such option.
        """
        kind = DATASETS.get(name)
        known = own_options(kind)
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

    def folds(self, name: str, options: Mapping[str, Any]) -> list[DataModule]:
        """A dataset in each of its folds, or in the one that the options name."""
        kind = DATASETS.get(name)
        if kind.folds == 1 or "fold" in options:
            return [self.datamodule(name, options)]
        return [self.datamodule(name, {**options, "fold": fold}) for fold in range(kind.folds)]


def own_options(kind: type[DataModule]) -> list[str]:
    """Names of the options that a dataset has beside those of every data module."""
    return [
        option.name
        for one in kind.__mro__
        if one is not DataModule and issubclass(one, DataModule) and "__init__" in vars(one)
        for option in inspect.signature(one).parameters.values()
        if option.kind is option.KEYWORD_ONLY
    ]


@dataclass(frozen=True, eq=False)
class Fold:
    """Train, validation and test splits that belong together.

    Attributes:
        task: the task.
        train_data: the dataset whose train and validation splits the probes learn from.
        test_data: the dataset whose test split is scored.
    """

    task: type[Task]
    train_data: DataModule
    test_data: DataModule

    @cached_property
    def tracks(self) -> dict[Split, list[Track]]:
        """The tracks of the three splits, checked.

        Raises:
            DatasetError: a split is empty, splits share a group or an annotation is missing.
            MotionBeatError: the task cannot use a track.
        """
        for data in {id(one): one for one in (self.train_data, self.test_data)}.values():
            data.prepare_data()
            check_splits([data.tracks(split) for split in SPLITS])
        tracks: dict[Split, list[Track]] = {
            "train": self.train_data.tracks("train"),
            "validation": self.train_data.tracks("validation"),
            "test": self.test_data.tracks("test"),
        }
        for split, members in tracks.items():
            if not members:
                raise DatasetError(
                    f"{self.test_data.card.name}: the {split} split is empty; get the whole dataset"
                )
            for track in members:
                for needed in self.task.needs:
                    track.get(needed)
                check_annotations(track)
                self.task.check(track)
        return tracks


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


@dataclass(frozen=True, eq=False)
class Evaluation:
    """One task on one dataset: all entries of its table share what is loaded and computed here.

    Attributes:
        task: the task.
        modules: the dataset whose test split is scored, once for each of its folds.
        protocol: learning rates and seeds.
        folders: where things lie.
        heads: which of the task's heads are trained.
        mode: what of an encoder is trained beside the head.
    """

    task: type[Task]
    modules: Sequence[DataModule]
    protocol: Protocol
    folders: Folders
    heads: tuple[str, ...]
    mode: EncoderMode = "frozen"

    @property
    def dataset(self) -> DataModule:
        """The dataset, in the first of its folds."""
        return self.modules[0]

    @cached_property
    def folds(self) -> list[Fold]:
        """The folds, one where the dataset has but one partition."""
        name = self.dataset.card.trained_on
        if name is None:
            return [Fold(self.task, module, module) for module in self.modules]
        train_data = self.folders.datamodule(name)
        return [Fold(self.task, train_data, module) for module in self.modules]

    @cached_property
    def test_tracks(self) -> list[Track]:
        """The test tracks, fold after fold.

        Raises:
            DatasetError: a track is tested on twice.
        """
        tracks = [track for fold in self.folds for track in fold.tracks["test"]]
        if len({track.id for track in tracks}) < len(tracks):
            raise DatasetError(f"{self.dataset.card.name}: a track is in two test splits")
        return tracks

    @cached_property
    def tracks_key(self) -> str:
        """Key of the tracks of all folds, their annotations and audio."""
        return digest(
            folds=[
                [tracks_key(fold.tracks[split]) for split in ("train", "validation", "test")]
                for fold in self.folds
            ]
        )

    @property
    def revision(self) -> str:
        """The dataset's revision and the number of its folds where there are several."""
        folds = f"-{len(self.modules)}folds" if len(self.modules) > 1 else ""
        return self.dataset.revision + folds

    def key(self, name: str, revision: str, **settings: object) -> str:
        """Key of an entry: all that decides its scores."""
        return digest(
            task=task_key(self.task),
            dataset=self.dataset.card.name,
            revision=self.revision,
            tracks=self.tracks_key,
            entry=name,
            entry_revision=revision,
            **settings,
        )

    def encoder_key(self, card: EncoderCard) -> str:
        """Key of an encoder's entry."""
        protocol = self.protocol.model_dump()
        return self.key(card.name, card.revision, protocol=protocol, mode=self.mode)

    def baseline_key(self, baseline: Baseline) -> str:
        """Key of a baseline's entry; only chance has anything to do with seeds."""
        return self.key(baseline.name, baseline.revision, seeds=self.seeds(baseline))

    def seeds(self, baseline: Baseline) -> tuple[int, ...]:
        """Seeds a baseline is run with."""
        return self.protocol.seeds if baseline.kind == "baseline" else self.protocol.seeds[:1]

    @cached_property
    def vocabulary(self) -> tuple[str, ...]:
        """Names of what is predicted, as the training splits of all folds have them."""
        names = [self.task.vocabulary(fold.tracks["train"]) for fold in self.folds]
        return tuple(dict.fromkeys(chain.from_iterable(names)))

    def record(self, results: Mapping[str, HeadResult], **facts: Any) -> RunRecord:
        """An entry, finished: it is remembered and shown."""
        card = self.dataset.card
        some = next(iter(results.values())).per_track
        found = RunRecord(
            task=self.task.name,
            task_version=self.task.version,
            dataset=card.name,
            dataset_revision=self.revision,
            trained_on=card.trained_on,
            data=card.data,
            partial=self.dataset.partial,
            folds=len(self.modules),
            conditions=dict(self.task.conditions),
            warnings=tuple(self.task.warnings(self.scored(some), self.vocabulary)),
            protocol=self.protocol,
            tracks=tuple(track.id for track in self.test_tracks),
            groups=tuple(track.group for track in self.test_tracks),
            results=dict(results),
            **facts,
            **provenance(),
        )
        for warning in found.warnings:
            say(f"{self.task.name} · {card.name}: {warning}")
        write_model(self.finished(found.key), found)
        self.show(found)
        return found

    def show(self, record: RunRecord) -> None:
        """Write a record to the results."""
        if self.folders.results is not None:
            dataset = f"{record.dataset}-{record.dataset_revision}"
            folder = self.folders.results / "runs" / record.task / dataset
            write_model(folder / f"{record.label}.json", record)

    def finished(self, key: str, part: str = "") -> Path:
        """Where a finished entry, or a part of one, is remembered."""
        return self.folders.cache / "runs" / f"{key}{part}.json"

    def recall(self, key: str) -> RunRecord | None:
        """An entry finished on this machine before, shown again; None when there is none."""
        record = recollect(self.finished(key), RunRecord)
        if record is None or (record.kind == "encoder" and {*self.heads} - {*record.results}):
            return None
        self.show(record)
        say(
            f"reused: {record.task} · {record.dataset} · {record.label}, "
            f"finished {record.finished:%Y-%m-%d %H:%M} UTC"
        )
        return record

    def known(self, encoder: str | Encoder) -> dict[str, HeadResult]:
        """What an encoder came to before, by head."""
        key = self.encoder_key(find_encoder(encoder).card)
        record = recollect(self.finished(key), RunRecord)
        return {} if record is None else dict(record.results)

    def embed(self, encoders: Sequence[str | Encoder]) -> None:
        """Encode what the store lacks of all tracks.

        Where the dataset serves a task on frames too, frames are kept, and segments are made of
        them: one extraction is enough for all tasks.
        """
        tracks = {t.audio_path: t for fold in self.folds for ts in fold.tracks.values() for t in ts}
        frames = any(
            task.segment_seconds is None and serves(self.dataset, task)
            for task in TASKS.classes.values()
        )
        store = EmbeddingStore(self.folders.cache / "embeddings")
        embed(encoders, list(tracks.values()), store, self.task.segment_seconds, frames)

    def encoder_entry(self, encoder: str | Encoder) -> RunRecord:
        """Probe an encoder; a head finished before the run was cut short is not trained again."""
        card = find_encoder(encoder).card
        key = self.encoder_key(card)
        if (known := self.recall(key)) is not None:
            return known
        started = time.perf_counter()
        if self.mode == "frozen":
            self.embed([encoder])
        seconds = time.perf_counter() - started
        results = self.known(encoder)
        for head in self.heads:
            if head in results:
                continue
            part = self.finished(key, f".{head}")
            label = f"{self.task.name} · {self.dataset.card.name} · {card.name} · {head}"
            label += "" if self.mode == "frozen" else f" · {self.mode}"
            if (result := recollect(part, HeadResult)) is None:
                with one_thread() if self.mode == "frozen" else nullcontext():
                    result = self.probe(encoder, head, label)
                write_model(part, result)
                score = result.scores[self.task.primary]
                say(
                    f"{label}: {self.task.primary} {score.mean:.3f} ±{score.std:.3f}, "
                    f"{result.seconds:.0f} s"
                )
            results[head] = result
        return self.record(
            results,
            key=key,
            kind="encoder",
            name=card.name,
            revision=card.revision,
            mode=self.mode,
            licence=card.licence,
            parameters=card.parameters,
            training_data=card.training_data,
            seconds=seconds,
        )

    def probe(self, encoder: str | Encoder, head: str, label: str) -> HeadResult:
        """Predict the test split of every fold with probes trained in that fold, and score them."""
        started = time.perf_counter()
        probed: list[Probed] = []
        predictions: list[list[list[Any]]] = []
        for number, fold in enumerate(self.folds):
            probing = Probing(
                self.task,
                encoder,
                "linear" if head == "knn" else head,
                self.mode,
                fold.train_data,
                fold.test_data,
                self.folders.cache,
                label + f" {number}" * (len(self.folds) > 1),
            )
            if head == "knn":
                predictions.append([probing.neighbours()])
                continue
            found = probing.run(self.protocol.learning_rates, self.protocol.seeds)
            probed.append(found)
            predictions.append(found.predictions)
        if not probed:
            return self.result(predictions, started)
        rates = [fold.learning_rate for fold in probed]
        return self.result(
            predictions,
            started,
            learning_rate=float(np.median(rates)),
            sweep={
                f"{rate:g}": float(np.mean([fold.sweep[rate] for fold in probed]))
                for rate in self.protocol.learning_rates
            },
            monitor=tuple(np.mean([fold.monitors for fold in probed], axis=0).tolist()),
            layer_weights=tuple(
                map(tuple, np.mean([fold.layer_weights for fold in probed], axis=0).tolist())
            ),
        )

    def baseline_entry(self, baseline: Baseline) -> RunRecord:
        """Score chance, an upper bound or a dedicated system on the test split."""
        key = self.baseline_key(baseline)
        if (known := self.recall(key)) is not None:
            return known
        started = time.perf_counter()
        predictions = []
        for fold in self.folds:
            baseline.fit(fold.tracks["train"])
            predictions.append(
                [
                    [
                        baseline.predict(self.seen_by(baseline, track), seed)
                        for track in fold.tracks["test"]
                    ]
                    for seed in self.seeds(baseline)
                ]
            )
        return self.record(
            {NO_HEAD: self.result(predictions, started)},
            key=key,
            kind=baseline.kind,
            name=baseline.name,
            revision=baseline.revision,
            licence=baseline.licence,
            parameters=None,
            training_data=baseline.training_data,
            seconds=0.0,
        )

    def seen_by(self, baseline: Baseline, track: Track) -> Track:
        """What a baseline may see of a test track: an upper bound all of it."""
        if baseline.kind == "upper bound":
            return track
        return track.without_annotations(self.task.visible)

    def result(
        self, predictions: Sequence[Sequence[Sequence[Any]]], started: float, **chosen: Any
    ) -> HeadResult:
        """Score predictions [fold][seed][track] of the test tracks and summarise the scores."""
        rows = [
            [self.task.score_all(one, fold.tracks["test"]) for one in seeds]
            for fold, seeds in zip(self.folds, predictions, strict=True)
        ]
        seeds = [list(chain.from_iterable(folds)) for folds in zip(*rows, strict=True)]
        names = list(dict.fromkeys(name for row in seeds[0] for name in row))
        filled = [[{name: row.get(name, np.nan) for name in names} for row in one] for one in seeds]
        per_track = dict(arrays(filled))
        if len(self.folds) > 1:
            sizes = [len(fold.tracks["test"]) for fold in self.folds]
            number = np.repeat(np.arange(len(sizes), dtype=np.float64), sizes)
            per_track[FOLD] = np.tile(number, (len(seeds), 1))
        groups = [track.group for track in self.test_tracks]
        return HeadResult(
            **({"learning_rate": None, "sweep": {}, "monitor": (), "layer_weights": ()} | chosen),
            per_track={
                name: tuple(map(tuple, values.tolist())) for name, values in per_track.items()
            },
            scores=scores(self.scored(per_track), self.scored_groups(groups), self.task.summarise),
            seconds=time.perf_counter() - started,
        )

    def scored(self, per_track: PerTrackScores) -> PerTrackScores:
        """The per-track scores that an entry's scores are made of: all of them."""
        return per_track

    def scored_groups(self, groups: Sequence[str]) -> Sequence[str]:
        """The groups of the tracks of :meth:`scored`."""
        return groups

    def check(self, encoder: str | Encoder) -> None:
        """Check that an encoder can be evaluated here.

        Raises:
            UnavailableError: it cannot be made here.
        """
        if isinstance(encoder, str):
            kind = find_encoder(encoder)
            make([kind] if isinstance(kind, type) else [])

    def entries(
        self, encoders: Sequence[str | Encoder], baselines: Sequence[Baseline]
    ) -> list[RunRecord]:
        """One record for each encoder and baseline; what was finished before is not run again."""
        pending = [one for one in encoders if {*self.heads} - {*self.known(one)}]
        for encoder in pending:
            self.check(encoder)
        if pending and self.mode == "frozen":
            self.embed(pending)
        if len(pending) > 1 and self.mode == "frozen":  # side by side, and recalled below
            with parallel_config("loky", n_jobs=-1, inner_max_num_threads=1):
                Parallel()(delayed(self.encoder_entry)(encoder) for encoder in pending)
        found = [self.encoder_entry(encoder) for encoder in encoders]
        return found + [self.baseline_entry(baseline) for baseline in baselines]


def serves(dataset: DataModule | type[DataModule], task: type[Task]) -> bool:
    """Whether a dataset has what a task needs, and what it is learned from has what that takes."""
    card = dataset.card
    train = DATASETS.get(card.trained_on).card if card.trained_on else card
    return set(task.needs) <= set(card.annotations) and set(task.learned_from) <= set(
        train.annotations
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


def plan(
    task: str,
    dataset: str,
    folders: Folders,
    *,
    dataset_options: Mapping[str, Any] | None = None,
    heads: Sequence[str] | None = None,
    learning_rates: Sequence[float] | None = None,
    seeds: int = 3,
    mode: EncoderMode = "frozen",
) -> Evaluation:
    """A task on a dataset, ready to run.

    Raises:
        MotionBeatError: a name is unknown, or things do not go together.
    """
    kind = TASKS.get(task)
    rates = tuple(kind.recipe.learning_rates if learning_rates is None else learning_rates)
    if seeds < 1 or not rates:
        raise ProtocolError("no seed or no learning rate given; give at least one of each")
    if mode != "frozen" and MotionFile in kind.needs:
        raise FineTuningError(
            f"task '{kind.name}' is about dances, and fine-tuning is for tasks on music alone; "
            "leave --mode out"
        )
    known = [name for name in kind.heads if name != "knn" or mode == "frozen"]
    for head in heads or ():
        if head not in known:
            raise ProtocolError(
                f"task '{task}' has no head '{head}'; choose from {', '.join(known)}"
            )
    found = Evaluation(
        kind,
        folders.folds(dataset, dataset_options or {}),
        Protocol(learning_rates=rates, seeds=tuple(range(seeds))),
        folders,
        tuple(heads or known),
        mode,
    )
    if not serves(found.dataset, kind):
        able = [name for name, other in DATASETS.classes.items() if serves(other, kind)]
        its = [name for name, other in TASKS.classes.items() if serves(found.dataset, other)]
        raise ProtocolError(
            f"dataset '{dataset}' has nothing for {kind.name} (its tasks: "
            f"{', '.join(sorted(its)) or 'none'}); "
            f"try {' or '.join(sorted(able)) or 'one whose card names it'}"
        )
    return found


@dataclass(frozen=True, eq=False)
class Result:
    """What an encoder came to.

    Printed, it is the table of the encoder and the baselines beside it.

    Attributes:
        record: of the encoder.
        baselines: records of chance, upper bounds and dedicated systems.
    """

    record: RunRecord
    baselines: list[RunRecord]

    @property
    def scores(self) -> dict[str, dict[str, float]]:
        """Mean of each metric over the seeds, by head."""
        return {
            head: {metric: score.mean for metric, score in one.scores.items()}
            for head, one in self.record.results.items()
        }

    @cached_property
    def tracks(self) -> pd.DataFrame:
        """Per-track scores, one row a head, track and seed."""
        frames = []
        for head, one in self.record.results.items():
            columns = one.per_track
            for seed in range(len(next(iter(columns.values())))):
                frame = pd.DataFrame({name: values[seed] for name, values in columns.items()})
                frame.insert(0, "track", self.record.tracks)
                frame.insert(1, "group", self.record.groups)
                frame.insert(2, "head", head)
                frame.insert(3, "seed", self.record.protocol.seeds[seed])
                frames.append(frame)
        return pd.concat(frames, ignore_index=True)

    def __str__(self) -> str:
        from rich.console import Console

        from motionbeat.benchmarks.leaderboards import collect, print_table

        console = Console()
        with console.capture() as text:
            for table in collect([self.record, *self.baselines]).tables.values():
                print_table(table, console)
        return text.get()


def evaluate(
    encoder: str | Encoder,
    task: str = "beat",
    dataset: str = "groovebox",
    *,
    dataset_options: Mapping[str, Any] | None = None,
    heads: Sequence[str] | None = None,
    learning_rates: Sequence[float] | None = None,
    seeds: int = 3,
    mode: EncoderMode = "frozen",
    cache: Path | None = None,
    data: Path | None = None,
    results: Path | None = None,
) -> Result:
    """Probe an encoder on a task, and score it beside the baselines.

    What was finished on this machine before is not run again.

    Args:
        encoder: a name that ``motionbeat list encoders`` shows, ``file.py:Class``, an encoder, or
            what :func:`motionbeat.encoder.wrap` makes of any ``nn.Module``.
        task: name.
        dataset: name.
        dataset_options: arguments of the dataset's constructor, such as sizes.
        heads: which of the task's heads, all by default.
        learning_rates: tried on the validation split; the task's own by default.
        seeds: how many, counted from 0.
        mode: what of the encoder is trained beside the head.
        cache: folder for generated data, embeddings, probes and finished runs; by default
            ``MOTIONBEAT_CACHE`` or ``.cache/motionbeat``.
        data: folder with datasets put in place by hand; by default ``MOTIONBEAT_DATA``.
        results: folder to write the run records to; none are written by default.

    Raises:
        MotionBeatError: a name is unknown, the encoder cannot be made here, the dataset is missing,
            a track is broken, the disk is full; all that was finished stays finished.
    """
    evaluation = plan(
        task,
        dataset,
        Folders(cache or default_cache(), results, data),
        dataset_options=dataset_options,
        heads=heads,
        learning_rates=learning_rates,
        seeds=seeds,
        mode=mode,
    )
    baselines = evaluation.task.baselines() if mode == "frozen" else ()
    record, *others = evaluation.entries([encoder], baselines)
    return Result(record, others)
