"""The run: from names to records, doing only what was not done before."""

import inspect
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch
from joblib import Parallel, delayed
from numpy.typing import NDArray

from benchmarks.record import (
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
from benchmarks.registry import DATASETS, ENCODERS, TASKS
from benchmarks.statistics import scores
from benchmarks.store import EmbeddingStore, StoredFeatures, extract
from benchmarks.training import Trained, feature_statistics, train
from data_modules.base import SPLITS, DataModule, DatasetError, Track, check_splits
from motionbeat.console import bar, say
from motionbeat.encoder import Encoder
from motionbeat.errors import MotionBeatError
from tasks.base import Evidence, Reference, Task
from tasks.features import FeatureSource
from tasks.probe import Member

LENGTH_SLACK = 0.5


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
        return self.results / "runs" / record.task / dataset / f"{record.name}.json"

    def finished(self, key: str, part: str = "") -> Path:
        """Where a finished run, or a part of one, is remembered."""
        return self.cache / "runs" / f"{key}{part}.json"

    def datamodule(self, name: str, options: Mapping[str, Any] | None = None) -> DataModule:
        """A dataset by name, with options of its constructor.

        Raises:
            ProtocolError: the dataset has no such option.
        """
        kind = DATASETS.get(name)
        known = list(inspect.signature(kind).parameters)[2:]
        for option in options or {}:
            if option not in known:
                raise ProtocolError(
                    f"dataset '{name}' has no option '{option}'; "
                    f"it has {', '.join(known) or 'none'}"
                )
        try:
            return kind(self.cache / "data", self.data, **options or {})
        except (TypeError, ValueError) as error:
            raise ProtocolError(
                f"dataset '{name}' cannot be made with {dict(options or {})} ({error}); "
                "correct the options"
            ) from error


@dataclass(frozen=True, eq=False)
class Run:
    """One task on one dataset: all its rows share what is loaded and computed here.

    Attributes:
        task: the task.
        examined: the dataset whose test split is scored.
        protocol: learning rates and seeds.
        folders: where things lie.
    """

    task: type[Task]
    examined: DataModule
    protocol: Protocol
    folders: Folders

    @cached_property
    def teacher(self) -> DataModule:
        """The dataset whose train and validation splits the probes learn from."""
        name = self.examined.card.trained_on
        return self.examined if name is None else self.folders.datamodule(name)

    @cached_property
    def split_tracks(self) -> dict[str, list[Track]]:
        """The tracks of the three splits, checked.

        Raises:
            DatasetError: a split is empty, splits share a group or an annotation is missing.
        """
        for datamodule in {
            id(self.teacher): self.teacher,
            id(self.examined): self.examined,
        }.values():
            datamodule.prepare_data()
            check_splits([datamodule.tracks(split) for split in SPLITS])
        tracks = {
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
        return tracks

    def key(self, name: str, revision: str, protocol: object) -> str:
        """Digest of all that decides the scores of a row."""
        return digest(
            task=self.task.name,
            version=self.task.version,
            dataset=self.examined.card.name,
            dataset_revision=self.examined.revision,
            teacher_revision=self.teacher.revision,
            row=name,
            revision=revision,
            protocol=protocol,
        )

    def encoder_key(self, encoder: type[Encoder]) -> str:
        """Key of an encoder's row."""
        protocol = self.protocol.model_dump()
        return self.key(encoder.card.name, encoder.card.revision, protocol)

    def reference_key(self, reference: Reference) -> str:
        """Key of a reference row; only a floor has anything to do with seeds."""
        return self.key(reference.name, reference.kind, list(self.seeds(reference)))

    def seeds(self, reference: Reference) -> tuple[int, ...]:
        """Seeds a reference is run with."""
        return self.protocol.seeds if reference.kind == "floor" else self.protocol.seeds[:1]

    def base_record(self) -> dict[str, Any]:
        """The fields that all rows share."""
        return {
            "task": self.task.name,
            "task_version": self.task.version,
            "dataset": self.examined.card.name,
            "dataset_revision": self.examined.revision,
            "trained_on": self.examined.card.trained_on,
            "synthetic": self.examined.card.synthetic,
            "protocol": self.protocol,
            "tracks": tuple(track.id for track in self.split_tracks["test"]),
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
            f"reused: {record.task} · {record.dataset} · {record.name}, "
            f"finished {record.finished:%Y-%m-%d %H:%M} UTC"
        )
        return record

    def embed(self, encoders: Sequence[Encoder]) -> dict[str, StoredFeatures]:
        """Features of all tracks by encoder name, extracted where the store lacks them."""
        tracks = list(chain.from_iterable(self.split_tracks.values()))
        features = embed(encoders, tracks, self.folders.cache, self.task.pooling)
        for source in features.values():
            for track in tracks:
                check_length(track, source)
        return features

    def run_encoder(self, encoder: Encoder, source: StoredFeatures, seconds: float) -> RunRecord:
        """Probe an encoder; a probe finished before the run was cut short is not trained again."""
        key = self.encoder_key(type(encoder))
        results = {}
        statistics: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None
        for name in self.task.probes:
            part = self.folders.finished(key, f".{name}")
            if (known := recollect(part, Result)) is not None:
                results[name] = known
                say(f"reused: {encoder.card.name} · {name} probe")
                continue
            statistics = statistics or feature_statistics(source, self.split_tracks["train"])
            results[name] = self.probe(
                source, name, statistics, f"{self.task.name} · {encoder.card.name} · {name}"
            )
            write_model(part, results[name])
            score = results[name].scores[self.task.primary]
            say(
                f"{self.task.name} · {self.examined.card.name} · {encoder.card.name} · {name}: "
                f"{self.task.primary} {score.mean:.3f} ±{score.std:.3f}, "
                f"learning rate {results[name].learning_rate:g}, {results[name].seconds:.0f} s"
            )
        record = RunRecord(
            key=key,
            kind="encoder",
            name=encoder.card.name,
            revision=encoder.card.revision,
            licence=encoder.card.licence,
            parameters=encoder.card.parameters,
            training_data=encoder.card.training_data,
            results=results,
            seconds=seconds,
            **self.base_record(),
        )
        return self.finish(record)

    def probe(
        self,
        source: StoredFeatures,
        probe: str,
        statistics: tuple[NDArray[np.float64], NDArray[np.float64]],
        label: str,
    ) -> Result:
        """Sweep learning rates with the first seed, then train the other seeds at the best one."""
        started = time.perf_counter()
        first, *others = self.protocol.seeds
        rates = self.protocol.learning_rates

        def fit(members: list[Member], stage: str) -> list[Trained]:
            return train(
                self.task,
                source,
                self.teacher,
                self.examined,
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
                delayed(trained.decoder)(outputs, visible(self.task, track))
                for trained in chosen
                for outputs, track in zip(trained.outputs, self.split_tracks["test"], strict=True)
            ],
        )
        return self.result(
            predictions,
            started,
            learning_rate=rates[best],
            sweep={f"{rate:g}": monitor for rate, monitor in zip(rates, monitors, strict=True)},
            monitor=tuple(trained.monitor for trained in chosen),
            layer_weights=tuple(tuple(trained.probe.layer_weights.tolist()) for trained in chosen),
        )

    def result(self, predictions: Sequence[Any], started: float, **chosen: Any) -> Result:
        """Score predictions of the test tracks, seed after seed, and summarise the scores."""
        tracks = self.split_tracks["test"]
        rows = [
            row
            for first in range(0, len(predictions), len(tracks))
            for row in self.task.score_split(predictions[first : first + len(tracks)], tracks)
        ]
        evidence: Evidence = {
            name: np.array([row[name] for row in rows]).reshape(-1, len(tracks)) for name in rows[0]
        }
        return Result(
            **({"learning_rate": None, "sweep": {}, "monitor": (), "layer_weights": ()} | chosen),
            evidence={
                name: tuple(map(tuple, values.tolist())) for name, values in evidence.items()
            },
            scores={
                metric: Summary(**score._asdict())
                for metric, score in scores(evidence, self.task.summarise).items()
            },
            seconds=time.perf_counter() - started,
        )

    def run_reference(self, reference: Reference) -> RunRecord:
        """Score a floor, ceiling or specialist on the test split."""
        started = time.perf_counter()
        reference.fit(self.split_tracks["train"])
        seeds = self.seeds(reference)
        predictions = in_parallel(
            f"{self.task.name} · {reference.name}",
            [
                delayed(reference.predict)(visible(self.task, track, reference.kind), seed)
                for seed in seeds
                for track in self.split_tracks["test"]
            ],
        )
        record = RunRecord(
            key=self.reference_key(reference),
            kind=reference.kind,
            name=reference.name,
            revision=reference.kind,
            licence=reference.licence,
            parameters=None,
            training_data=(),
            results={"reference": self.result(predictions, started)},
            seconds=0.0,
            **self.base_record(),
        )
        return self.finish(record)


def serves(dataset: DataModule | type[DataModule], task: type[Task]) -> bool:
    """Whether a dataset has the annotations that a task needs."""
    return set(task.needs) <= set(dataset.card.annotations)


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


def in_parallel(label: str, jobs: Sequence[Any]) -> list[Any]:
    """Results of delayed calls in order, from one process a core, with a progress bar."""
    with bar("tracks") as progress:
        done = Parallel(n_jobs=-1, return_as="generator")(jobs)
        return list(progress.track(done, total=len(jobs), description=label))


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
    encoders: Sequence[Encoder], tracks: Sequence[Track], cache: Path, pooling: float | None
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
        )


def bench(
    task: str,
    dataset: str,
    encoders: Sequence[str],
    protocol: Protocol,
    folders: Folders,
    dataset_options: Mapping[str, Any] | None = None,
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

    Returns:
        One record a row.

    Raises:
        MotionBeatError: a name is unknown, the dataset is missing, a track is broken, the disk is
            full; all that was finished stays finished.
    """
    kind = TASKS.get(task)
    if not protocol.seeds or not protocol.learning_rates:
        raise ProtocolError("no seed or no learning rate given; give at least one of each")
    classes = [ENCODERS.get(name) for name in encoders]
    run = Run(kind, folders.datamodule(dataset, dataset_options), protocol, folders)
    if not serves(run.examined, kind):
        able = [name for name, other in DATASETS.classes.items() if serves(other, kind)]
        raise ProtocolError(
            f"dataset '{dataset}' has nothing for {kind.name}; "
            f"try {' or '.join(sorted(able)) or 'one whose card names it'}"
        )
    records: dict[str, RunRecord] = {}
    references = list(kind.references())
    for name, key in chain(
        ((encoder.card.name, run.encoder_key(encoder)) for encoder in classes),
        ((reference.name, run.reference_key(reference)) for reference in references),
    ):
        if (record := run.recall(key)) is not None:
            records[name] = record
    pending = [encoder() for encoder in classes if encoder.card.name not in records]
    if pending:
        started = time.perf_counter()
        features = run.embed(pending)
        seconds = (time.perf_counter() - started) / len(pending)
        for encoder in pending:
            name = encoder.card.name
            records[name] = run.run_encoder(encoder, features[name], seconds)
    for reference in references:
        if reference.name not in records:
            records[reference.name] = run.run_reference(reference)
    return list(records.values())
