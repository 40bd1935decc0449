"""Run records: one JSON for each task, dataset and row, checked when written and when read."""

import hashlib
import json
import math
import os
import platform
import subprocess
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Annotated, Literal, TypeVar

import numpy as np
import torch
from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainSerializer, ValidationError

import motionbeat
from motionbeat.errors import MotionBeatError
from motionbeat.files import write_atomically
from motionbeat.tasks.base import Evidence

Model = TypeVar("Model", bound=BaseModel)

DIGITS = 6
SOURCES = (".", "../tasks", "../data_modules", "../src")


class RecordError(MotionBeatError):
    """A run record that cannot be read or trusted."""


def _number(value: float) -> float | None:
    return round(value, DIGITS) if math.isfinite(value) else None


Number = Annotated[
    float,
    BeforeValidator(lambda value: math.nan if value is None else value),
    PlainSerializer(_number, when_used="json"),
]
"""A float that JSON holds in six digits; null is NaN, the undefined."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Summary(_Strict):
    """One metric: mean and standard deviation over seeds, bootstrap interval over test tracks."""

    mean: Number
    std: Number
    low: Number
    high: Number


class Protocol(_Strict):
    """What was tried for every encoder alike.

    Attributes:
        version: changes whenever training, standardising or resampling do.
        learning_rates: tried on the validation split.
        seeds: of initialisation and dropout.
    """

    version: int = 1
    learning_rates: tuple[float, ...]
    seeds: tuple[int, ...]


class Result(_Strict):
    """What one probe, or one reference row, came to.

    Attributes:
        learning_rate: chosen on the validation split, the median of the choices where there are
            folds; None where nothing is trained.
        sweep: monitor of the first seed by learning rate, mean over the folds.
        monitor: monitor of each seed at its best epoch, mean over the folds.
        layer_weights: softmax weights of the encoder's layers for each seed, mean over the folds.
        evidence: by metric, for each seed, one value a test track.
        scores: summaries of the evidence.
        seconds: wall time of training, decoding and scoring.
    """

    learning_rate: float | None
    sweep: dict[str, Number]
    monitor: tuple[Number, ...]
    layer_weights: tuple[tuple[Number, ...], ...]
    evidence: dict[str, tuple[tuple[Number, ...], ...]]
    scores: dict[str, Summary]
    seconds: Number

    def arrays(self) -> Evidence:
        """The evidence as arrays (seeds, tracks) by name."""
        return {name: np.array(values, np.float64) for name, values in self.evidence.items()}


class Hardware(_Strict):
    """Where a run took place."""

    processor: str
    cores: int
    accelerator: str | None
    python: str
    torch: str

    @classmethod
    def here(cls) -> "Hardware":
        """This machine."""
        return cls(
            processor=platform.machine(),
            cores=os.cpu_count() or 1,
            accelerator=torch.cuda.get_device_name() if torch.cuda.is_available() else None,
            python=platform.python_version(),
            torch=torch.__version__,
        )


class RunRecord(_Strict):
    """Everything known about one row of one table.

    Attributes:
        schema_version: of this format.
        key: digest of all that decides the scores; a finished key is never run again.
        kind: ``encoder``, or a reference row: ``floor``, ``ceiling`` or ``specialist``.
        name: of the encoder or reference.
        revision: of the encoder.
        mode: what was trained beside the probe: nothing, adapters, or all of the encoder.
        partial: whether the dataset's copy was incomplete.
        folds: over which the test tracks were gone through, each in the test split once.
        vocabulary: names of what is predicted, where the evidence counts them by number.
        conditions: numbers that scores depend on, by name with the unit.
        tracks: ids of the test tracks, in the order of the evidence.
        results: by probe (``linear``, ``mlp``), or ``reference``.
        seconds: wall time of the embedding, as far as it was not in the store already.
    """

    schema_version: Literal[1] = 1
    key: str
    task: str
    task_version: int
    dataset: str
    dataset_revision: str
    trained_on: str | None
    synthetic: bool
    partial: bool = False
    folds: int = 1
    vocabulary: tuple[str, ...] = ()
    conditions: dict[str, Number] = {}
    kind: Literal["encoder", "floor", "ceiling", "specialist"]
    name: str
    revision: str
    mode: Literal["frozen", "lora", "full"] = "frozen"
    licence: str
    parameters: int | None
    training_data: tuple[str, ...]
    protocol: Protocol
    tracks: tuple[str, ...]
    results: dict[str, Result]
    package_version: str
    git_commit: str
    hardware: Hardware
    finished: datetime
    seconds: Number

    @property
    def label(self) -> str:
        """The name, and the mode where it is not the usual one."""
        return self.name if self.mode == "frozen" else f"{self.name}.{self.mode}"


def read_model(path: Path, kind: type[Model]) -> Model:
    """Read and check a record, or a part of one.

    Raises:
        RecordError: the file is unreadable or breaks the schema.
    """
    try:
        return kind.model_validate_json(path.read_text())
    except (OSError, UnicodeDecodeError, ValidationError) as error:
        reason = str(error).splitlines()[0]
        raise RecordError(
            f"{path}: no valid run record ({reason}); delete it and run the benchmark again"
        ) from error


def write_model(path: Path, model: BaseModel) -> None:
    """Check a record, or a part of one, and write it atomically as JSON.

    Raises:
        WriteError: the folder cannot be written.
    """
    content = type(model).model_validate(model.model_dump()).model_dump_json()
    write_atomically(path, f"{content}\n".encode())


def digest(**parts: object) -> str:
    """A short digest of named parts that JSON can hold."""
    content = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(content.encode()).hexdigest()[:16]


@cache
def git_commit() -> str:
    """Commit of the project's checkout, marked when files differ from it; empty outside one."""
    folder = Path(__file__).resolve().parent

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", *arguments], cwd=folder, capture_output=True, text=True, check=True
        ).stdout.strip()

    try:
        changed = git("status", "--porcelain", "--untracked-files=no", "--", *SOURCES)
        return git("rev-parse", "HEAD") + ("-modified" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return ""


def provenance() -> dict[str, object]:
    """The fields of a record that say where and when it was made."""
    return {
        "package_version": motionbeat.__version__,
        "git_commit": git_commit(),
        "hardware": Hardware.here(),
        "finished": datetime.now(UTC).replace(microsecond=0),
    }
