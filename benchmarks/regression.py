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
from numpy.typing import NDArray
from pydantic import BaseModel, BeforeValidator, PlainSerializer, ValidationError
from rich.table import Table
from scipy.stats import t as student

from motionbeat.benchmarks.embedded import Embedded
from motionbeat.benchmarks.evaluator import Folders, plan
from motionbeat.benchmarks.significance import once
from motionbeat.benchmarks.store import StoredFeatures
from motionbeat.data_modules.base import Track
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
REMEDY = (
    "correct the encoder or the probe; or, where the change is meant, change the revision on the "
    "card of an encoder whose features changed and run: motionbeat regression --update"
)


class RegressionError(MotionBeatError):
    """Numbers that got worse, or committed ones that nothing can be compared with."""


def _digits(row: Sequence[float]) -> str:
    return " ".join(f"{value:.6g}" for value in row)


Row = Annotated[
    tuple[float, ...],
    BeforeValidator(lambda row: row.split() if isinstance(row, str) else row),
    PlainSerializer(_digits, when_used="json"),
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
    """What an encoder came to on the fixed set.

    Attributes:
        revision: of the encoder.
        fingerprint: of its features of the training tracks.
        scores: by metric, one value a seed; larger is better.
        layer_weights: by layer, one value a seed.
    """

    revision: str
    fingerprint: Fingerprint
    scores: dict[str, Row]
    layer_weights: tuple[Row, ...]


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
    passed: bool

    def __str__(self) -> str:
        return (
            f"{self.encoder}: {self.metric} expected {self.expected:.5g} within "
            f"{self.tolerance:.2g}, got {self.got:.5g}"
        )


def measure(encoders: Sequence[str | Encoder], cache: Path, seeds: int) -> Numbers:
    """Take fingerprints and train linear probes on beat tracking on the fixed set.

    Embeddings and probes go to a new folder: kept ones would give the features of an encoder as it
    was when somebody forgot to change its revision.

    Args:
        encoders: names or encoders.
        cache: folder where the fixed set is made and kept.
        seeds: how many seeds, counted from 0.
    """
    measured = {}
    with TemporaryDirectory() as scratch:
        evaluation = replace(
            plan(
                BeatTracking.name,
                FIXED_SET,
                Folders(cache),
                dataset_options=FIXED_OPTIONS,
                heads=("linear",),
                learning_rates=(LEARNING_RATE,),
                seeds=seeds,
            ),
            folders=Folders(Path(scratch)),
        )
        for encoder in encoders:
            record = evaluation.encoder_entry(encoder)
            result = record.results["linear"]
            metrics = once(result.per_track, evaluation.task.summarise)
            features = Embedded(
                evaluation.dataset, encoder, cache=Path(scratch) / "embeddings"
            ).features()
            measured[record.name] = Measurement(
                revision=record.revision,
                fingerprint=fingerprint(features, evaluation.folds[0].tracks["train"]),
                scores={name: tuple(metrics[name].tolist()) for name in evaluation.task.headline},
                layer_weights=tuple(zip(*result.layer_weights, strict=True)),
            )
    return Numbers(
        dataset_revision=evaluation.revision,
        task_version=evaluation.task.version,
        learning_rate=LEARNING_RATE,
        encoders=measured,
    )


def fingerprint(features: StoredFeatures, tracks: Sequence[Track]) -> Fingerprint:
    """Mean, spread and timing of the stored features of some tracks."""
    frames = np.concatenate([features.read(track) for track in tracks]).astype(np.float64)
    mean, std = frames.mean(axis=0), frames.std(axis=0)
    standardised = (frames - mean) / _scale(std)
    timing = _course(len(frames)) @ (standardised @ _course(frames.shape[2]))
    return Fingerprint(
        mean=tuple(map(tuple, mean.tolist())),
        std=tuple(map(tuple, std.tolist())),
        timing=tuple(timing.tolist()),
    )


def _scale(std: NDArray[np.float64]) -> NDArray[np.float64]:
    """Standard deviations (layers, width) with a floor in each layer."""
    whole = np.sqrt(np.mean(std**2, axis=1, keepdims=True))
    return np.asarray(np.maximum(std, SCALE_FLOOR * whole + 1e-12))


def _course(length: int) -> NDArray[np.float64]:
    """Pseudo-random numbers of norm 1 that no release of a library can change."""
    course: NDArray[np.float64] = np.cos(np.arange(length, dtype=np.float64) ** 2)
    return course / np.linalg.norm(course)


def tolerance(committed: Sequence[float], seeds: int) -> float:
    """How far the mean of new seeds may lie from the mean of the committed ones.

    Half the width of Student's prediction interval for the mean of further draws.

    Args:
        committed: value of each committed seed, at least two.
        seeds: how many new seeds are averaged.
    """
    number = len(committed)
    std = max(float(np.std(committed, ddof=1)), STD_FLOOR)
    return float(student.ppf(CONFIDENCE, number - 1) * std * np.sqrt(1 / number + 1 / seeds))


def compare(committed: Numbers, measured: Numbers) -> list[Check]:
    """Compare all that was measured with the committed numbers.

    Raises:
        RegressionError: the numbers cannot be compared: they are of another fixed set, task or
            revision of an encoder, or an encoder has none.
    """
    if committed.model_dump(exclude={"encoders"}) != measured.model_dump(exclude={"encoders"}):
        raise RegressionError(
            "the committed numbers are of another dataset revision, task version or learning rate; "
            "run: motionbeat regression --update"
        )
    checks = []
    for name, now in measured.encoders.items():
        before = committed.encoders.get(name)
        if before is None or before.revision != now.revision:
            raise RegressionError(
                f"encoder {name}: no committed numbers of revision {now.revision}; "
                "run: motionbeat regression --update"
            )
        checks += compare_features(name, before.fingerprint, now.fingerprint)
        checks += [
            compare_seeds(name, metric, old, now.scores[metric])
            for metric, old in before.scores.items()
        ]
        if len(before.layer_weights) > 1:  # a single layer's is always 1
            weights = zip(before.layer_weights, now.layer_weights, strict=True)
            checks += [
                compare_seeds(name, f"layer {layer} weight", *pair, more_is_better=False)
                for layer, pair in enumerate(weights)
            ]
    return checks


def compare_features(name: str, before: Fingerprint, now: Fingerprint) -> list[Check]:
    """The feature whose mean, or spread, is furthest off, and the layer whose timing is.

    Raises:
        RegressionError: there are more or fewer layers or features than before.
    """
    old = [np.array(one) for one in (before.mean, before.std, before.timing)]
    new = [np.array(one) for one in (now.mean, now.std, now.timing)]
    if old[0].shape != new[0].shape:
        raise RegressionError(
            f"encoder {name}: (layers, width) changed from {old[0].shape} to {new[0].shape}; "
            "change the revision on its card, then run: motionbeat regression --update"
        )
    allowed = FEATURE_TOLERANCE * np.maximum(np.abs(old[0]), _scale(old[1]))
    tolerances = (allowed, allowed, np.full_like(old[2], TIMING_TOLERANCE))
    checks = []
    for what, one, other, most in zip(("mean", "std", "timing"), old, new, tolerances, strict=True):
        at = np.unravel_index(np.argmax(np.abs(other - one) / most), one.shape)
        place = " feature ".join(map(str, at))
        numbers = (float(one[at]), float(most[at]), float(other[at]))
        passed = bool(abs(other[at] - one[at]) <= most[at])
        checks.append(Check(name, f"layer {place} {what}", *numbers, passed))
    return checks


def compare_seeds(
    name: str,
    metric: str,
    committed: Sequence[float],
    measured: Sequence[float],
    more_is_better: bool = True,
) -> Check:
    """The means over seeds of a score, where more is better, or of a layer's weight."""
    expected, got = float(np.mean(committed)), float(np.mean(measured))
    allowed = tolerance(committed, len(measured))
    passed = got >= expected - allowed and (more_is_better or got <= expected + allowed)
    return Check(name, metric, expected, allowed, got, passed)


def enforce(checks: Sequence[Check]) -> None:
    """Pass over numbers that held.

    Raises:
        RegressionError: some did not; one line for each, then the remedy.
    """
    failed = [str(check) for check in checks if not check.passed]
    if failed:
        raise RegressionError(
            "\n  ".join([f"{len(failed)} of {len(checks)} numbers regressed", *failed, REMEDY])
        )


def table(checks: Sequence[Check]) -> Table:
    """Expected and got, encoder by encoder; scores above their interval are marked as better."""
    grid = Table()
    for column in ("encoder", "number", "expected", "tolerance", "got"):
        grid.add_column(column, no_wrap=True)
    for check in checks:
        better = " better" if check.got > check.expected + check.tolerance else ""
        numbers = (f"{check.expected:.4f}", f"{check.tolerance:.2g}", f"{check.got:.4f}{better}")
        grid.add_row(check.encoder, check.metric, *numbers)
    return grid


def gate(encoders: Sequence[str | Encoder], cache: Path, numbers: Path = NUMBERS) -> Table:
    """Measure encoders anew and compare them with the committed numbers.

    Args:
        encoders: names or encoders.
        cache: folder where the fixed set is made and kept.
        numbers: file with the committed numbers.

    Returns:
        The comparison.

    Raises:
        RegressionError: a number regressed, or cannot be compared.
    """
    committed = read(numbers)
    checks = compare(committed, measure(encoders, cache, GATE_SEEDS))
    enforce(checks)
    return table(checks)


def update(encoders: Sequence[str | Encoder], cache: Path, numbers: Path = NUMBERS) -> None:
    """Measure encoders and write the numbers to be committed.

    Args:
        encoders: names or encoders.
        cache: folder where the fixed set is made and kept.
        numbers: file to write.

    Raises:
        RegressionError: features changed under an unchanged revision; users' stored embeddings of
            that revision would be taken for the new ones.
    """
    measured = measure(encoders, cache, UPDATE_SEEDS)
    if numbers.exists():
        check_revisions(read(numbers), measured)
    write_atomically(numbers, (measured.model_dump_json(indent=1) + "\n").encode())


def check_revisions(committed: Numbers, measured: Numbers) -> None:
    """Check that features of the same tracks are the same where the revision is.

    Raises:
        RegressionError: they are not.
    """
    if committed.dataset_revision != measured.dataset_revision:
        return
    for name, now in measured.encoders.items():
        before = committed.encoders.get(name)
        if before is None or before.revision != now.revision:
            continue
        checks = compare_features(name, before.fingerprint, now.fingerprint)
        if changed := [check for check in checks if not check.passed]:
            raise RegressionError(
                f"{changed[0]}: its features changed, so change the revision on its card "
                f"(now {now.revision}) and update again"
            )


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
            f"{path}: no valid numbers ({reason}); restore it with git, or delete it and run: "
            "motionbeat regression --update"
        ) from error
