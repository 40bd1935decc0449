"""Run records: one JSON file per task, dataset and entry, validated on writing and reading."""

import hashlib
import math
import os
import platform
import re
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    PlainSerializer,
    ValidationError,
    model_validator,
)

import motionbeat
from motionbeat.benchmarks.registry import TASKS
from motionbeat.console import say
from motionbeat.devices import accelerator_name
from motionbeat.errors import MotionBeatError
from motionbeat.files import write_atomically

PROTOCOL = 2
"""Version of the protocol; must change whenever the same probes would be trained differently."""

NO_HEAD = "none"
"""Key of the result of an entry that is not an encoder and therefore has no head."""

_FILE = re.compile(rb'\{"sha256":"([0-9a-f]{64})","record":(.*)\}\n', re.DOTALL)
_OLDER = re.compile(rb'\s*\{\s*"schema_version":\s*[12],')
CLEAN = "clean"
"""Prefix of the ids of undeformed tracks, in test splits that also hold deformed ones."""

REMEDY = "delete it and run the benchmark again"
SOURCES = (".", "../tasks", "../data_modules", "../src")


class RecordError(MotionBeatError):
    """A run record that cannot be read or trusted."""


def _number(value: float) -> float | None:
    return float(f"{value:.9g}") if math.isfinite(value) else None


def _array(values: Any) -> NDArray[Any]:
    """Per-track scores of nested sequences: strings, or numbers in which None is NaN."""
    try:
        named = isinstance(values[0][0], str)
        if any(isinstance(one, str) != named for seed in values for one in seed):
            raise TypeError
        array = np.array(values, str if named else np.float64)
    except (TypeError, ValueError, LookupError) as error:
        raise ValueError("per-track scores must be lists of numbers or of names") from error
    if array.ndim != 2 or (not named and np.isinf(array).any()):
        raise ValueError("per-track scores must be finite numbers or names, (seeds, tracks)")
    return array


def _lists(values: NDArray[Any]) -> list[list[Any]]:
    lists: list[list[Any]] = values.tolist()
    if values.dtype.kind == "U":
        return lists
    short = [[_number(one) for one in row] for row in lists]
    if len({one for row in short for one in row}) == len(np.unique(values)):
        return short
    # some scores depend on ranks, so different values must not be rounded to the same one
    return [[one if math.isfinite(one) else None for one in row] for row in lists]


def _finite(value: float) -> float:
    if math.isinf(value):
        raise ValueError("a score is infinite")
    return value


Number = Annotated[
    float,
    BeforeValidator(lambda value: math.nan if value is None else value),
    AfterValidator(_finite),
    PlainSerializer(_number, when_used="json"),
]
"""A float, with nine significant digits in JSON; null is NaN, an undefined value."""

PerTrack = Annotated[Any, BeforeValidator(_array), PlainSerializer(_lists, when_used="json")]
"""An array (seeds, tracks) of numbers, or of names; in JSON a list of lists.

Numbers have nine significant digits if that keeps different values apart, and otherwise all digits.
"""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Summary(_Strict):
    """One metric: mean and standard deviation over seeds, bootstrap interval over groups."""

    mean: Number
    std: Number
    low: Number
    high: Number


class Protocol(_Strict):
    """Settings that all encoders share: seeds, and learning rates swept on the validation split."""

    version: int = PROTOCOL
    learning_rates: tuple[float, ...]
    seeds: tuple[int, ...]


class HeadResult(_Strict):
    """The result of one head, or of one entry without a head.

    Attributes:
        learning_rate: chosen on the validation split; with folds, the median of the choices; None
            if nothing is trained.
        sweep: monitor of the first seed by learning rate, mean over the folds.
        monitor: monitor of each seed at its best epoch, mean over the folds.
        layer_weights: softmax weights of the encoder's layers for each seed, mean over the folds.
        per_track: scores by name, (seeds, tracks): float64, or names of classes.
        scores: summaries of the per-track scores.
        seconds: wall time of training, decoding and scoring.
    """

    learning_rate: float | None = None
    sweep: dict[str, Number] = {}
    monitor: tuple[Number, ...] = ()
    layer_weights: tuple[tuple[Number, ...], ...] = ()
    per_track: dict[str, PerTrack]
    scores: dict[str, Summary]
    seconds: Number


class Hardware(_Strict):
    """The machine of a run."""

    processor: str
    cores: int
    accelerator: str | None
    python: str
    torch: str


class RunRecord(_Strict):
    """Everything known about one entry of one table.

    Attributes:
        key: digest of everything that determines the scores; a finished key is never run again.
        trained_on: the dataset whose training split the heads learn from, if it is another one.
        partial: whether the dataset's copy was incomplete.
        conditions: settings that scores depend on, by name with the unit.
        kind: ``encoder``; or a ``baseline`` that does not use the test audio, an ``upper bound``
            that uses the test annotations, or a ``dedicated`` system for the task.
        mode: what was trained besides the head: nothing (``frozen``), adapters (``lora``) or all
            weights of the encoder (``full``).
        tracks: ids of the test tracks, in the order of the per-track scores.
        groups: the group (artist, song, groove) of each test track.
        results: by head (``linear``, ``mlp``, ``knn``), or ``NO_HEAD``.
        seconds: wall time of computing the embeddings that were not yet in the store.
        seconds_per_hour: seconds to encode one hour of audio, when the encoder last filled the
            store; NaN if unknown.
    """

    schema_version: Literal[3] = 3
    key: str
    task: str
    task_version: int
    dataset: str
    dataset_revision: str
    trained_on: str | None
    data: Literal["real", "rendered", "synthetic"]
    partial: bool = False
    folds: int = 1
    conditions: dict[str, Number] = {}
    kind: Literal["encoder", "baseline", "upper bound", "dedicated"]
    name: str
    revision: str
    mode: Literal["frozen", "lora", "full"] = "frozen"
    licence: str
    parameters: int | None
    training_data: tuple[str, ...]
    protocol: Protocol
    tracks: tuple[str, ...]
    groups: tuple[str, ...]
    results: dict[str, HeadResult]
    warnings: tuple[str, ...] = ()
    package_version: str
    git_commit: str
    hardware: Hardware
    finished: datetime
    seconds: Number
    seconds_per_hour: Number = math.nan

    @model_validator(mode="after")
    def _lengths(self) -> Self:
        """Check that every list over the test tracks has one value per track."""
        if len(self.groups) != len(self.tracks):
            raise ValueError("every test track needs one group")
        if not self.results:
            raise ValueError("the record has no results")
        for head, result in self.results.items():
            shapes = {values.shape for values in result.per_track.values()}
            if len(shapes) != 1 or {tracks for _, tracks in shapes} != {len(self.tracks)}:
                raise ValueError(f"{head}: every per-track score needs a value per seed and track")
        return self

    @property
    def label(self) -> str:
        """The name, and the mode if it is not ``frozen``."""
        return self.name if self.mode == "frozen" else f"{self.name}.{self.mode}"

    def check_scores(self) -> None:
        """Check that the scores belong to the task and follow from the per-track scores.

        Raises:
            UnknownNameError: the task is unknown.
            RecordError: the scores fail the check.
        """
        task = TASKS.get(self.task)
        clean = [track.startswith(f"{CLEAN}/") for track in self.tracks]
        counted = np.array(clean if any(clean) else [True] * len(clean))
        for head, result in self.results.items():
            if head not in (*task.heads, NO_HEAD):
                raise RecordError(f"{task.name} has no head {head}")
            try:
                counts = {name: values[:, counted] for name, values in result.per_track.items()}
                metrics = task.summarise(counts, np.ones((1, counted.sum())))
                means = {metric: float(seeds[:, 0].mean()) for metric, seeds in metrics.items()}
            except Exception as error:  # scores of another task may fail in any way
                raise RecordError(f"{head}: not the per-track scores of {task.name}") from error
            stored = {metric: summary.mean for metric, summary in result.scores.items()}
            wrong = [
                metric
                for metric in means.keys() | stored.keys()
                if not np.isclose(
                    means.get(metric, np.inf), stored.get(metric, np.inf), 1e-4, 1e-6, True
                )
            ]
            if wrong:
                raise RecordError(f"{head}: {min(wrong)} does not follow from per-track scores")


def read_record(path: Path) -> RunRecord:
    """Read and check a record.

    Raises:
        RecordError: the file is unreadable, its checksum is wrong, or it breaks the schema.
    """
    try:
        whole = _FILE.fullmatch(path.read_bytes())
        if whole is None or _sha256(whole[2]) != whole[1]:
            raise RecordError(f"{path}: no whole run record (its checksum is wrong); {REMEDY}")
        return RunRecord.model_validate_json(whole[2])
    except ValidationError as error:
        first = error.errors()[0]
        reason = ": ".join([".".join(map(str, first["loc"])), first["msg"]]).strip(": ")
    except OSError as error:
        reason = str(error.strerror)
    raise RecordError(f"{path}: no valid run record ({reason}); {REMEDY}")


def read_records(folder: Path) -> Iterator[RunRecord]:
    """Yield the current records below a folder in the order of their paths.

    A record that is damaged or inconsistent, has an unknown task or has the file name of another
    entry is skipped with a message. Records of older versions are skipped with one message for all.
    """
    older = 0
    for path in sorted(folder.rglob("*.json")):
        try:
            record = read_record(path)
            if TASKS.get(record.task).version != record.task_version:
                older += 1
                continue
            record.check_scores()
            if record.label != path.stem:
                raise RecordError(f"the file holds the record of {record.label}")
            yield record
        except MotionBeatError as error:
            if path.is_file() and _OLDER.match(path.read_bytes()):
                older += 1
            else:
                where = "" if str(error).startswith(str(path)) else f"{path}: "
                say(f"left out: {where}{error}")
    if older:
        say(f"records of an older version, left out: {older}; run bench again")


def write_record(path: Path, record: RunRecord) -> None:
    """Check a record and write it atomically as JSON, with its checksum.

    Raises:
        WriteError: the folder cannot be written.
    """
    content = RunRecord.model_validate(record.model_dump()).model_dump_json().encode()
    write_atomically(path, b'{"sha256":"%b","record":%b}\n' % (_sha256(content), content))


def _sha256(content: bytes) -> bytes:
    return hashlib.sha256(content).hexdigest().encode()


@cache
def git_commit() -> str:
    """Commit of the project's checkout, marked if files are modified; empty outside a checkout."""

    def git(*arguments: str) -> str:
        folder = Path(__file__).resolve().parent
        command = ["git", *arguments]
        return subprocess.check_output(command, cwd=folder, stderr=subprocess.DEVNULL, text=True)

    try:
        changed = git("status", "--porcelain", "--untracked-files=no", "--", *SOURCES)
        return git("rev-parse", "HEAD").strip() + "-modified" * bool(changed)
    except (OSError, subprocess.CalledProcessError):
        return ""


def provenance() -> dict[str, Any]:
    """The fields of a record that state where and when it was made."""
    return {
        "package_version": motionbeat.__version__,
        "git_commit": git_commit(),
        "hardware": Hardware(
            processor=platform.machine(),
            cores=os.cpu_count() or 1,
            accelerator=accelerator_name(),
            python=platform.python_version(),
            torch=torch.__version__,
        ),
        "finished": datetime.now(UTC).replace(microsecond=0),
    }
