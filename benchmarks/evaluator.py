"""Evaluation of encoders on a task and a dataset; finished results are reused."""

import inspect
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import cached_property, partial
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from motionbeat._torchmetrics import import_torchmetrics
from motionbeat.benchmarks.digests import file_digests
from motionbeat.benchmarks.extraction import DEFAULT, Extract, Extraction, embed
from motionbeat.benchmarks.keys import task_key, tracks_key
from motionbeat.benchmarks.protocol import Probing
from motionbeat.benchmarks.records import (
    CLEAN,
    NO_HEAD,
    HeadResult,
    Protocol,
    RecordError,
    RunRecord,
    provenance,
    read_record,
    write_record,
)
from motionbeat.benchmarks.registry import DATASETS, TASKS, check_available
from motionbeat.benchmarks.significance import scores
from motionbeat.benchmarks.store import LENGTH_SLACK, store_of
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
from motionbeat.encoder import Encoder
from motionbeat.encoding import find_encoder
from motionbeat.errors import MotionBeatError
from motionbeat.processes import side_by_side
from motionbeat.tasks.adapters import EncoderMode, FineTuningError
from motionbeat.tasks.contract import Baseline
from motionbeat.tasks.metrics.per_track import FOLD, arrays
from motionbeat.tasks.task import Task
from motionbeat.threads import one_thread


class ProtocolError(MotionBeatError):
    """Settings that are invalid or cannot be combined."""


@dataclass(frozen=True)
class Folders:
    """Folders of a run.

    Attributes:
        cache: generated data, embeddings, probes and finished runs.
        results: records and leaderboards; None to write none.
        data: datasets that the user provides; None for ``MOTIONBEAT_DATA``.
    """

    cache: Path
    results: Path | None = None
    data: Path | None = None

    def datamodule(self, name: str, options: Mapping[str, Any] | None = None) -> DataModule:
        """A dataset by name, with options of its constructor.

        Raises:
            UnknownNameError: no dataset has the name.
            ProtocolError: the dataset has no such option, or rejects its value.
        """
        kind = DATASETS.get(name)
        known = [
            option.name
            for one in kind.__mro__
            if issubclass(one, DataModule) and one is not DataModule and "__init__" in vars(one)
            for option in inspect.signature(one).parameters.values()
            if option.kind is option.KEYWORD_ONLY
        ]
        try:
            if unknown := set(options or {}).difference(known):
                raise ValueError(f"it has no option '{min(unknown)}'")
            return kind(cache=self.cache / "data", data=self.data, **options or {})
        except (TypeError, ValueError) as error:
            raise ProtocolError(
                f"dataset '{name}' cannot be made with {dict(options or {})} ({error}); "
                f"its options: {', '.join(known) or 'none'}"
            ) from error

    def folds(self, name: str, options: Mapping[str, Any]) -> list[DataModule]:
        """A dataset in each of its folds, or in the fold that the options select."""
        folds = DATASETS.get(name).folds
        if folds == 1 or "fold" in options:
            return [self.datamodule(name, options)]
        return [self.datamodule(name, {**options, "fold": fold}) for fold in range(folds)]


@dataclass(frozen=True, eq=False)
class Fold:
    """The train and validation splits of one dataset, and the test split of the same or another."""

    task: type[Task]
    train_data: DataModule
    test_data: DataModule

    @cached_property
    def tracks(self) -> dict[Split, list[Track]]:
        """The tracks of the three splits, after checks.

        Raises:
            DatasetError: a split is empty, splits share a group, or an annotation is missing.
            MotionBeatError: the task cannot use a track.
        """
        for data in dict.fromkeys((self.train_data, self.test_data)):
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
    """Check that no annotation lies after the end of its track.

    Raises:
        DatasetError: an annotation ends more than half a second after the audio; less is
            considered rounding.
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
    """One task on one dataset, with everything that the entries of its table share.

    Attributes:
        task: the task.
        modules: the dataset, once for each of its folds.
        protocol: learning rates and seeds.
        folders: folders of the run.
        heads: names of the heads.
        mode: part of the encoder that is trained together with the head.
        how: settings of the extraction.
        deform: whether the test splits also hold every track in every deformation. Metrics are
            computed on the clean tracks; per-track scores include all tracks.
    """

    task: type[Task]
    modules: Sequence[DataModule]
    protocol: Protocol
    folders: Folders
    heads: tuple[str, ...]
    mode: EncoderMode = "frozen"
    deform: bool = False
    how: Extraction = DEFAULT
    due: set[str] = field(default_factory=set, init=False)
    """Keys of the entries that this run has to compute."""

    @cached_property
    def folds(self) -> list[Fold]:
        """The folds; one if the dataset has fixed splits."""
        name = self.modules[0].card.trained_on
        elsewhere = None if name is None else self.folders.datamodule(name)
        tests = self.modules
        if self.deform:
            from motionbeat.benchmarks.deformations import Deformed

            tests = [Deformed(one, self.folders.cache / "deformed") for one in self.modules]
        pairs = zip(self.modules, tests, strict=True)
        return [Fold(self.task, elsewhere or train, test) for train, test in pairs]

    @property
    def dataset(self) -> DataModule:
        """The dataset whose test split is scored, in its first fold."""
        return self.folds[0].test_data

    @property
    def revision(self) -> str:
        """The revision of the dataset, and the number of folds if there are several."""
        folds = f"-{len(self.folds)}folds" if len(self.folds) > 1 else ""
        return self.dataset.revision + folds

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
    def scored(self) -> list[bool]:
        """For each test track, whether metrics are computed from it: all tracks, or clean ones."""
        return [not self.deform or track.id.startswith(f"{CLEAN}/") for track in self.test_tracks]

    @cached_property
    def tracks_key(self) -> str:
        """Key of the tracks of all folds, with their annotations and audio."""
        tracks = [track for fold in self.folds for split in SPLITS for track in fold.tracks[split]]
        file_digests((track.audio_path for track in tracks), self.folders.cache / "digests")
        return digest(
            folds=[
                [tracks_key(fold.tracks[split]) for split in ("train", "validation", "test")]
                for fold in self.folds
            ]
        )

    def key(self, name: str, revision: str, **settings: object) -> str:
        """Key of an entry: a digest of everything that determines its scores."""
        return digest(
            task=task_key(self.task, self.task.version),
            dataset=self.dataset.card.name,
            revision=self.revision,
            tracks=self.tracks_key,
            entry=name,
            entry_revision=revision,
            **settings,
        )

    def encoder_key(self, encoder: str | Encoder) -> str:
        """Key of an encoder's entry."""
        card = find_encoder(encoder).card
        protocol = self.protocol.model_dump()
        return self.key(card.name, card.revision, protocol=protocol, mode=self.mode)

    def baseline_key(self, baseline: Baseline) -> str:
        """Key of a baseline's entry."""
        return self.key(baseline.name, baseline.revision, seeds=self.seeds(baseline))

    def seeds(self, baseline: Baseline) -> tuple[int, ...]:
        """Seeds of a baseline; only chance is run with all of them."""
        return self.protocol.seeds if baseline.kind == "baseline" else self.protocol.seeds[:1]

    def recall(self, key: str, path: Path | None = None) -> RunRecord | None:
        """The record of an entry, cached or at a path; None if there is none, or it is damaged."""
        path = path or self.folders.cache / "runs" / f"{key}.json"
        try:
            record = read_record(path) if path.is_file() else None
        except RecordError as error:
            say(f"ignored: {error}")
            return None
        return record if record is not None and record.key == key else None

    def lacks(self, encoder: str | Encoder) -> bool:
        """Whether the cached record of an encoder lacks some of the heads."""
        record = self.recall(self.encoder_key(encoder))
        return record is None or not {*self.heads} <= {*record.results}

    def entry(
        self, key: str, heads: Sequence[str], run: Callable[[str], HeadResult], **facts: Any
    ) -> RunRecord:
        """The record of an entry; heads that are in the cached record are not run again."""
        record = self.recall(key)
        results = {} if record is None else dict(record.results)
        place = f"{self.task.name} · {self.dataset.card.name}"
        missing = [head for head in heads if head not in results]
        for head in missing:
            results[head] = run(head)
            record = self.record(results, key=key, **facts)
            write_record(self.folders.cache / "runs" / f"{key}.json", record)
        assert record is not None
        if not missing and key not in self.due:
            finished = f"{record.finished:%Y-%m-%d %H:%M} UTC"
            say(f"reused: {place} · {record.label}, finished {finished}")
        for warning in record.warnings if missing else ():
            say(f"{place}: {warning}")
        if self.folders.results is not None:
            dataset = f"{record.dataset}-{record.dataset_revision}"
            path = self.folders.results / "runs" / record.task / dataset / f"{record.label}.json"
            if (filed := self.recall(key, path)) is not None:  # its other heads stay
                heads_of_both = {**filed.results, **record.results}
                record = record.model_copy(update={"results": heads_of_both})
            write_record(path, record)
        return record

    def record(self, results: Mapping[str, HeadResult], **facts: Any) -> RunRecord:
        """Make the record of an entry from its results."""
        card = self.dataset.card
        per_track = next(iter(results.values())).per_track
        scored = {name: values[:, self.scored] for name, values in per_track.items()}
        names = {name for fold in self.folds for name in self.task.vocabulary(fold.tracks["train"])}
        return RunRecord(
            task=self.task.name,
            task_version=self.task.version,
            dataset=card.name,
            dataset_revision=self.revision,
            trained_on=card.trained_on,
            data=card.data,
            partial=self.dataset.partial,
            folds=len(self.folds),
            conditions=dict(self.task.conditions),
            warnings=tuple(self.task.warnings(scored, sorted(names))),
            protocol=self.protocol,
            tracks=tuple(track.id for track in self.test_tracks),
            groups=tuple(track.group for track in self.test_tracks),
            results=dict(results),
            **facts,
            **provenance(),
        )

    def embed(self, encoders: Sequence[str | Encoder], spread: Extract | None = None) -> None:
        """Encode all tracks that are not in the store.

        If the dataset can also be used by a task on frames, frames are stored, so that every track
        is encoded only once.

        Args:
            encoders: names, or encoders.
            spread: encodes on a cluster.
        """
        tracks = {t.audio_path: t for fold in self.folds for ts in fold.tracks.values() for t in ts}
        frames = any(
            task.segment_seconds is None and serves(self.dataset, task)
            for task in TASKS.classes.values()
        )
        store, seconds = store_of(self.folders.cache), self.task.segment_seconds
        embed(encoders, list(tracks.values()), store, seconds, frames, self.how, spread)

    def encoder_entry(self, encoder: str | Encoder) -> RunRecord:
        """Evaluate an encoder; heads that an interrupted run has finished are not trained again."""
        card = find_encoder(encoder).card
        started = time.perf_counter()
        if self.mode == "frozen" and self.lacks(encoder):
            self.embed([encoder])
        return self.entry(
            self.encoder_key(encoder),
            self.heads,
            lambda head: self.probe(encoder, head),
            kind="encoder",
            name=card.name,
            revision=card.revision,
            mode=self.mode,
            licence=card.licence,
            parameters=card.parameters,
            training_data=card.training_data,
            seconds=time.perf_counter() - started,
            seconds_per_hour=store_of(self.folders.cache).speed(card),
        )

    def probe(self, encoder: str | Encoder, head: str) -> HeadResult:
        """Train probes in every fold, predict its test split and score the predictions."""
        started = time.perf_counter()
        label = " · ".join(
            [self.task.name, self.dataset.card.name, find_encoder(encoder).card.name, head]
            + [self.mode] * (self.mode != "frozen")
        )
        probings = (  # one after another, as each keeps features in memory
            Probing(
                self.task,
                encoder,
                "linear" if head == "knn" else head,
                self.mode,
                fold.train_data,
                fold.test_data,
                self.folders.cache,
                label + f" {number}" * (len(self.folds) > 1),
            )
            for number, fold in enumerate(self.folds)
        )
        rates, seeds = self.protocol.learning_rates, self.protocol.seeds
        with one_thread() if self.mode == "frozen" else nullcontext():
            if head == "knn":
                result = self.result([[one.neighbours()] for one in probings], started)
            else:
                probed = [probing.run(rates, seeds) for probing in probings]
                weights = np.mean([fold.layer_weights for fold in probed], axis=0)
                result = self.result(
                    [fold.predictions for fold in probed],
                    started,
                    learning_rate=float(np.median([fold.learning_rate for fold in probed])),
                    sweep={
                        f"{r:g}": float(np.mean([one.sweep[r] for one in probed])) for r in rates
                    },
                    monitor=np.mean([fold.monitors for fold in probed], axis=0).tolist(),
                    layer_weights=weights.tolist(),
                )
        score = result.scores[self.task.primary]
        say(
            f"{label}: {self.task.primary} {score.mean:.3f} ±{score.std:.3f}, "
            f"{result.seconds:.0f} s"
        )
        return result

    def baseline_entry(self, baseline: Baseline) -> RunRecord:
        """Score a baseline, an upper bound or a dedicated system on the test split."""

        def run(_: str) -> HeadResult:
            started = time.perf_counter()
            predictions = []
            for fold in self.folds:
                baseline.fit(fold.tracks["train"])
                tracks = fold.tracks["test"]
                if baseline.kind != "upper bound":  # which alone may see the answers
                    tracks = [track.without_annotations(self.task.visible) for track in tracks]
                seeds = self.seeds(baseline)
                predictions.append([[baseline.predict(t, seed) for t in tracks] for seed in seeds])
            return self.result(predictions, started)

        return self.entry(
            self.baseline_key(baseline),
            (NO_HEAD,),
            run,
            kind=baseline.kind,
            name=baseline.name,
            revision=baseline.revision,
            licence=baseline.licence,
            parameters=None,
            training_data=baseline.training_data,
            seconds=0.0,
        )

    def result(
        self, predictions: Sequence[Sequence[Sequence[Any]]], started: float, **chosen: Any
    ) -> HeadResult:
        """Score predictions ``[fold][seed][track]`` and compute metrics with intervals."""
        rows = [
            [self.task.score_all(one, fold.tracks["test"]) for one in seeds]
            for fold, seeds in zip(self.folds, predictions, strict=True)
        ]
        seeds = [list(chain.from_iterable(folds)) for folds in zip(*rows, strict=True)]
        blank = {name: np.nan for row in seeds[0] for name in row}  # folds may lack classes
        per_track = dict(arrays([[blank | row for row in one] for one in seeds]))
        if len(self.folds) > 1:
            sizes = [len(fold.tracks["test"]) for fold in self.folds]
            number = np.repeat(np.arange(len(sizes), dtype=np.float64), sizes)
            per_track[FOLD] = np.tile(number, (len(seeds), 1))
        scored = {name: values[:, self.scored] for name, values in per_track.items()}
        pairs = zip(self.test_tracks, self.scored, strict=True)
        groups = [track.group for track, counts in pairs if counts]
        return HeadResult(
            **chosen,
            per_track=per_track,
            scores=scores(scored, groups, self.task.summarise),
            seconds=time.perf_counter() - started,
        )

    def embed_pending(
        self, encoders: Sequence[str | Encoder], spread: Extract | None = None
    ) -> list[str | Encoder]:
        """The encoders with unfinished heads, after their features have been stored.

        Args:
            encoders: names, or encoders.
            spread: encodes on a cluster.

        Raises:
            UnavailableError: a package or the weights of an encoder are missing.
        """
        pending = [one for one in encoders if self.lacks(one)]
        check_available(map(find_encoder, pending))
        if pending and self.mode == "frozen":
            self.embed(pending, spread)
        return pending

    def unfinished(
        self, encoders: Sequence[str | Encoder], baselines: Sequence[Baseline]
    ) -> dict[str, Callable[[], RunRecord]]:
        """A call for each entry that is not finished, by name."""
        place = f"{self.task.name} · {self.dataset.card.name}"
        others = [one for one in encoders if self.lacks(one)]
        bases = [one for one in baselines if self.recall(self.baseline_key(one)) is None]
        self.due.update(map(self.encoder_key, others), map(self.baseline_key, bases))
        calls: dict[str, Callable[[], RunRecord]] = {
            f"{place} · {find_encoder(one).card.name}": partial(self.encoder_entry, one)
            for one in others
        }
        return calls | {f"{place} · {one.name}": partial(self.baseline_entry, one) for one in bases}

    def entries(
        self, encoders: Sequence[str | Encoder], baselines: Sequence[Baseline]
    ) -> list[RunRecord]:
        """One record for each encoder and baseline; finished entries are not run again.

        Raises:
            UnavailableError: a package or the weights of an encoder are missing.
            ProcessError: a worker process was killed.
        """
        pending = self.embed_pending(encoders)
        if len(pending) > 1 and self.mode == "frozen":  # side by side, and recalled below
            calls = self.unfinished(pending, baselines)
            list(side_by_side(list(calls.values()), initializer=import_torchmetrics))
        found = [self.encoder_entry(encoder) for encoder in encoders]
        return found + [self.baseline_entry(baseline) for baseline in baselines]


def serves(dataset: DataModule | type[DataModule], task: type[Task]) -> bool:
    """Whether a dataset, and the dataset it is trained on, have the annotations a task needs."""
    card = dataset.card
    train = DATASETS.get(card.trained_on).card if card.trained_on else card
    return set(task.needs) <= set(card.annotations) and set(task.learned_from) <= set(
        train.annotations
    )


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
    deform: bool = False,
    how: Extraction = DEFAULT,
) -> Evaluation:
    """Set up the evaluation of a task on a dataset; the arguments are those of :func:`evaluate`.

    Raises:
        MotionBeatError: a name is unknown, or settings cannot be combined.
    """
    kind = TASKS.get(task)
    rates = tuple(kind.recipe.learning_rates if learning_rates is None else learning_rates)
    if seeds < 1 or not rates:
        raise ProtocolError("no seed or no learning rate given; give at least one of each")
    if deform and mode != "frozen":
        raise ProtocolError("--deform is for frozen encoders; leave --mode out")
    if mode != "frozen" and MotionFile in kind.needs:
        raise FineTuningError(
            f"task '{kind.name}' is about dances, and fine-tuning is for tasks on music alone; "
            "leave --mode out"
        )
    if deform and MotionFile in kind.needs:
        raise ProtocolError(
            f"task '{kind.name}' matches music with dances, which do not follow "
            "deformed audio; choose another task or leave --deform out"
        )
    known = [name for name in kind.heads if name != "knn" or mode == "frozen"]
    if unknown := [head for head in heads or () if head not in known]:
        raise ProtocolError(
            f"task '{task}' has no head '{unknown[0]}'; choose from {', '.join(known)}"
        )
    if not serves(DATASETS.get(dataset), kind):
        able = [name for name, other in DATASETS.classes.items() if serves(other, kind)]
        its = [n for n, other in TASKS.classes.items() if serves(DATASETS.get(dataset), other)]
        raise ProtocolError(
            f"dataset '{dataset}' has nothing for {kind.name} (its tasks: "
            f"{', '.join(sorted(its)) or 'none'}); "
            f"try {' or '.join(sorted(able)) or 'one whose card names it'}"
        )
    return Evaluation(
        kind,
        folders.folds(dataset, dataset_options or {}),
        Protocol(learning_rates=rates, seeds=tuple(range(seeds))),
        folders,
        tuple(heads or known),
        mode,
        deform,
        how,
    )


@dataclass(frozen=True, eq=False)
class Result:
    """The result of an encoder, and the records of the baselines; prints as a table.

    Attributes:
        record: run record of the encoder.
        baselines: run records of chance, upper bounds and dedicated systems.
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
        """Per-track scores, one row per head, track and seed."""
        frames = [
            pd.DataFrame(
                {"track": self.record.tracks, "group": self.record.groups}
                | {"head": head, "seed": seed}
                | {name: values[number] for name, values in one.per_track.items()}
            )
            for head, one in self.record.results.items()
            for number, seed in enumerate(self.record.protocol.seeds)
            if number < len(next(iter(one.per_track.values())))
        ]
        return pd.concat(frames, ignore_index=True)

    def __str__(self) -> str:
        from rich.console import Console

        from motionbeat.benchmarks.leaderboards import collect, print_table

        console = Console()
        with console.capture() as text:
            for table in collect([self.record, *self.baselines]).values():
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
    """Evaluate an encoder on a task and a dataset, beside the baselines.

    Heads are trained on the frozen features of the encoder and scored on the test split. Finished
    results in the cache are reused.

    Args:
        encoder: a name that ``motionbeat list encoders`` shows, ``file.py:Class``, an encoder, or
            any ``nn.Module`` in :func:`motionbeat.encoder.wrap`.
        task: a name that ``motionbeat list tasks`` shows, or ``file.py:Class``.
        dataset: a name that ``motionbeat list datasets`` shows, ``file.py:Class`` or a CSV file.
        dataset_options: arguments of the dataset's constructor, such as sizes.
        heads: heads of the task; all by default.
        learning_rates: learning rates swept on the validation split; by default those of the task.
        seeds: number of seeds, counted from 0.
        mode: part of the encoder that is trained together with the head: nothing (``frozen``),
            low-rank adapters (``lora``) or all weights (``full``). Baselines are scored only with
            ``frozen``.
        cache: folder for generated data, embeddings, probes and finished runs; by default
            ``MOTIONBEAT_CACHE`` or ``.cache/motionbeat``. ``MOTIONBEAT_EMBEDDINGS`` sets another
            place for the embeddings.
        data: folder with datasets that you provide; by default ``MOTIONBEAT_DATA``.
        results: folder to write the run records to; by default none are written.

    Returns:
        Scores with intervals by head, per-track scores, and the records of the baselines.

    Raises:
        MotionBeatError: a name is unknown, the encoder cannot be used here, the dataset is missing,
            a track is invalid, or the disk is full. Finished parts are kept.
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
