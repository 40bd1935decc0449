"""The regression gate: the shipped encoders on a small fixed set, against committed numbers.

Two things are held: a fingerprint of the frozen features, exact up to rounding, because a spoiled
encoder may score as well as before (a random network with other weights does); and the scores of
linear probes, as exact as seeds let them be.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, BeforeValidator, PlainSerializer, ValidationError
from scipy.stats import t as student

from motionbeat.benchmarks.cli import CACHE, ENCODERS, split
from motionbeat.benchmarks.embedded import Embedded
from motionbeat.benchmarks.evaluator import Folders, plan
from motionbeat.benchmarks.significance import once
from motionbeat.encoder import Encoder
from motionbeat.errors import MotionBeatError
from motionbeat.files import write_atomically
from motionbeat.tasks.beat_tracking import BeatTracking

NUMBERS = Path(__file__).with_name("regression.json")
FIXED_SET = "groovebox"
FIXED_OPTIONS: dict[str, Any] = {"train": 2, "validation": 1, "test": 2, "seconds": 12}
LEARNING_RATE = 0.003
UPDATE_SEEDS = 12
GATE_SEEDS = 3
CONFIDENCE = 0.999  # of each score: some 40 are compared, so chance fails one gate in 25 at most
STD_FLOOR = 0.002  # other processors round differently, which moves single decisions of a decoder
FEATURE_TOLERANCE = 1e-3  # of the spread or the mean: one step of half precision
SCALE_FLOOR = 0.01  # of a layer's standard deviation: nearly constant features are all rounding
TIMING_TOLERANCE = 0.02  # a shift by one frame changes it by about the features' spread, 1
UPDATE = "run: motionbeat regression --update"
REMEDY = (
    "correct the encoder or the probe; or, where the change is meant, change the revision on the "
    f"card of an encoder whose features changed and {UPDATE}"
)

Floats = NDArray[np.float64]


class RegressionError(MotionBeatError):
    """Numbers that got worse, or committed ones that nothing can be compared with."""


Row = Annotated[
    tuple[float, ...],
    BeforeValidator(lambda row: row.split() if isinstance(row, str) else row),
    PlainSerializer(lambda row: " ".join(f"{value:.6g}" for value in row), when_used="json"),
]
"""Numbers that JSON holds in one string, so that a file of many rows can still be read."""


class Fingerprint(BaseModel, extra="forbid", frozen=True):
    """What the frozen features of some tracks are like.

    Attributes:
        mean: of each feature, layer by layer.
        std: of each feature, layer by layer.
        timing: of each layer, how its standardised features go along with a fixed pseudo-random
            course over time; of the size of their spread, which is 1.
    """

    mean: tuple[Row, ...]
    std: tuple[Row, ...]
    timing: Row


class Measurement(BaseModel, extra="forbid", frozen=True):
    """What an encoder came to on the fixed set; of each score one value a seed."""

    revision: str
    fingerprint: Fingerprint
    scores: dict[str, Row]


class Numbers(BaseModel, extra="forbid", frozen=True):
    """The committed numbers, and what they depend on beside the encoders."""

    dataset_revision: str
    task_version: int
    learning_rate: float
    encoders: dict[str, Measurement]


class Check(NamedTuple):
    """One number against the committed one."""

    encoder: str
    metric: str
    expected: float
    tolerance: float
    got: float
    one_sided: bool = False

    @property
    def passed(self) -> bool:
        """Whether it held; more than expected is fine where more is better."""
        change = self.got - self.expected
        return change >= -self.tolerance and (self.one_sided or change <= self.tolerance)

    def __str__(self) -> str:
        return (
            f"{self.encoder}: {self.metric} expected {self.expected:.5g} within "
            f"{self.tolerance:.2g}, got {self.got:.5g}"
        )


def regression(update: bool = False, cache: Path = CACHE) -> None:
    """Probe the shipped encoders on a small fixed set and compare with the committed numbers.

    Args:
        update: write the numbers to be committed instead.
        cache: folder where the fixed set is made and kept (MOTIONBEAT_CACHE).

    Raises:
        RegressionError: a number regressed, or cannot be compared.
    """
    if update:
        write_numbers(split(ENCODERS), cache)
        print(f"written: {NUMBERS}")
    else:
        print("\n".join(map(str, gate(split(ENCODERS), cache))))


def gate(encoders: Sequence[str | Encoder], cache: Path, numbers: Path = NUMBERS) -> list[Check]:
    """Measure encoders anew; the comparison with the committed numbers, where all held.

    Raises:
        RegressionError: a number regressed, or cannot be compared; one line for each.
    """
    checks = compare(read(numbers), measure(encoders, cache, GATE_SEEDS))
    if failed := [str(check) for check in checks if not check.passed]:
        raise RegressionError(
            "\n  ".join([f"{len(failed)} of {len(checks)} numbers regressed", *failed, REMEDY])
        )
    return checks


def write_numbers(encoders: Sequence[str | Encoder], cache: Path, numbers: Path = NUMBERS) -> None:
    """Measure encoders and write the numbers to be committed.

    Raises:
        RegressionError: features changed under an unchanged revision; users' stored embeddings of
            that revision would be taken for the new ones.
    """
    measured = measure(encoders, cache, UPDATE_SEEDS)
    committed = read(numbers) if numbers.exists() else measured
    for name, now in measured.encoders.items():
        before = committed.encoders.get(name, now)
        if (before.revision, committed.dataset_revision) == (
            now.revision,
            measured.dataset_revision,
        ):
            for check in compare_features(name, before.fingerprint, now.fingerprint):
                if not check.passed:
                    raise RegressionError(
                        f"{check}: its features changed, so change the revision on its card "
                        f"(now {now.revision}) and update again"
                    )
    write_atomically(numbers, (measured.model_dump_json(indent=1) + "\n").encode())


def read(path: Path) -> Numbers:
    """Read the committed numbers.

    Raises:
        RegressionError: the file is missing or damaged.
    """
    try:
        return Numbers.model_validate_json(path.read_text())
    except (OSError, UnicodeDecodeError, ValidationError) as error:
        reason = str(error).splitlines()[0]
        raise RegressionError(
            f"{path}: no valid numbers ({reason}); restore it with git, or delete it and {UPDATE}"
        ) from error


def measure(encoders: Sequence[str | Encoder], cache: Path, seeds: int) -> Numbers:
    """Take fingerprints and train linear probes on beat tracking on the fixed set.

    Embeddings and probes go to a new folder: kept ones would be those of an earlier state.
    """
    measured = {}
    with TemporaryDirectory() as scratch:
        planned = plan(
            BeatTracking.name,
            FIXED_SET,
            Folders(cache),
            dataset_options=FIXED_OPTIONS,
            heads=("linear",),
            learning_rates=(LEARNING_RATE,),
            seeds=seeds,
        )
        evaluation = replace(planned, folders=Folders(Path(scratch)))
        for encoder in encoders:
            record = evaluation.encoder_entry(encoder)
            result = record.results["linear"]
            metrics = once(result.per_track, evaluation.task.summarise)
            data = Embedded(evaluation.dataset, encoder, cache=Path(scratch) / "embeddings")
            frames = torch.cat([data.reader(track) for track in data.tracks("train")])
            measured[record.name] = Measurement(
                revision=record.revision,
                fingerprint=fingerprint(frames.double().numpy()),
                scores={name: tuple(metrics[name].tolist()) for name in evaluation.task.headline},
            )
    return Numbers(
        dataset_revision=evaluation.revision,
        task_version=evaluation.task.version,
        learning_rate=LEARNING_RATE,
        encoders=measured,
    )


def fingerprint(frames: Floats) -> Fingerprint:
    """Mean, spread and timing of features (frames, layers, width)."""
    mean, std = frames.mean(axis=0), frames.std(axis=0)
    standardised = (frames - mean) / _scale(std)
    timing = _course(len(frames)) @ (standardised @ _course(frames.shape[2]))
    return Fingerprint(mean=mean.tolist(), std=std.tolist(), timing=timing.tolist())


def _scale(std: Floats) -> Floats:
    """Standard deviations (layers, width) with a floor in each layer."""
    whole = np.sqrt(np.mean(std**2, axis=1, keepdims=True))
    return np.asarray(np.maximum(std, SCALE_FLOOR * whole + 1e-12))


def _course(length: int) -> Floats:
    """Pseudo-random numbers of norm 1 that no release of a library can change."""
    course: Floats = np.cos(np.arange(length, dtype=np.float64) ** 2)
    return course / np.linalg.norm(course)


def compare(committed: Numbers, measured: Numbers) -> list[Check]:
    """Compare all that was measured with the committed numbers.

    Raises:
        RegressionError: those are of another fixed set, task or revision of an encoder.
    """
    if committed.model_dump(exclude={"encoders"}) != measured.model_dump(exclude={"encoders"}):
        raise RegressionError(
            "the committed numbers are of another dataset revision, task version or learning rate; "
            + UPDATE
        )
    checks = []
    for name, now in measured.encoders.items():
        before = committed.encoders.get(name)
        if before is None or before.revision != now.revision:
            raise RegressionError(
                f"encoder {name}: no committed numbers of revision {now.revision}; {UPDATE}"
            )
        checks += compare_features(name, before.fingerprint, now.fingerprint)
        for metric, old in before.scores.items():
            expected, got = np.mean(old), np.mean(now.scores[metric])
            allowed = tolerance(old, len(now.scores[metric]))
            checks.append(Check(name, metric, float(expected), allowed, float(got), True))
    return checks


def compare_features(name: str, before: Fingerprint, now: Fingerprint) -> list[Check]:
    """The feature whose mean, or spread, is furthest off, and the layer whose timing is.

    Raises:
        RegressionError: there are more or fewer layers or features than before.
    """
    old, new = ({what: np.array(row) for what, row in one} for one in (before, now))
    if old["mean"].shape != new["mean"].shape:
        raise RegressionError(
            f"encoder {name}: (layers, width) changed from {old['mean'].shape} to "
            f"{new['mean'].shape}; change the revision on its card, then {UPDATE}"
        )
    allowed = FEATURE_TOLERANCE * np.maximum(np.abs(old["mean"]), _scale(old["std"]))
    checks = []
    for what, one in old.items():
        most = allowed if what != "timing" else np.full_like(one, TIMING_TOLERANCE)
        at = np.unravel_index(np.argmax(np.abs(new[what] - one) / most), one.shape)
        numbers = (float(one[at]), float(most[at]), float(new[what][at]))
        checks.append(Check(name, f"layer {' feature '.join(map(str, at))} {what}", *numbers))
    return checks


def tolerance(committed: Sequence[float] | Floats, seeds: int) -> float:
    """How far the mean of new seeds may lie from the mean of the committed ones.

    Half the width of Student's prediction interval for the mean of further draws.
    """
    number = len(committed)
    std = max(float(np.std(committed, ddof=1)), STD_FLOOR)
    return float(student.ppf(CONFIDENCE, number - 1) * std * np.sqrt(1 / number + 1 / seeds))
