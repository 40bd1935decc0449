"""The regression gate: the shipped encoders on a small fixed set, against committed numbers.

Two things are held: a fingerprint of the frozen features, exact up to rounding, because a spoiled
encoder may score as well as before (a random network with other weights does); and the scores of
linear probes, as exact as seeds let them be.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, NamedTuple

import numpy as np
from motionbeat.benchmarks.record import Protocol
from motionbeat.benchmarks.runner import Folders, Run
from motionbeat.benchmarks.statistics import once
from motionbeat.benchmarks.training import feature_statistics
from motionbeat.tasks.beat import BeatTask
from numpy.typing import NDArray
from pydantic import BaseModel, BeforeValidator, PlainSerializer, ValidationError
from rich.table import Table
from scipy.stats import t as student

from motionbeat.benchmarks.store import StoredFeatures
from motionbeat.data_modules.base import Track
from motionbeat.data_modules.rendered.groovebox import GrooveBox
from motionbeat.encoder import Encoder
from motionbeat.errors import MotionBeatError
from motionbeat.files import write_atomically

NUMBERS = Path(__file__).with_name("regression.json")
LEARNING_RATE = 0.003
UPDATE_SEEDS = 12
GATE_SEEDS = 3
CONFIDENCE = 0.999  # of each score: some 40 are compared, so chance fails one gate in 25 at most
STD_FLOOR = 0.002  # other processors round differently, which moves single decisions of a decoder
FEATURE_TOLERANCE = 1e-3  # of the spread or the mean: one step of half precision
SCALE_FLOOR = 0.01  # of a layer's standard deviation: nearly constant features are all rounding
TIMING_TOLERANCE = 0.02  # a shift by one frame changes it by about the features' spread, 1


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


def fixed_run(cache: Path, scratch: Path, seeds: int) -> Run:
    """Beat tracking on the fixed set.

    Args:
        cache: folder where the fixed set is made and kept.
        scratch: folder for embeddings. It must be new: a kept store would give the features of
            the encoder as it was whenever its revision was forgotten.
        seeds: how many seeds, counted from 0.
    """
    dataset = GrooveBox(cache=cache / "data", train=2, validation=1, test=2, seconds=12)
    protocol = Protocol(learning_rates=(LEARNING_RATE,), seeds=tuple(range(seeds)))
    return Run(BeatTask, [dataset], protocol, Folders(scratch, scratch, None))


def measure(run: Run, encoders: Sequence[Encoder]) -> Numbers:
    """Take fingerprints and train linear probes.

    Args:
        run: with one learning rate.
        encoders: the encoders.
    """
    features = run.embed(encoders)
    return Numbers(
        dataset_revision=run.examined.revision,
        task_version=run.task.version,
        learning_rate=run.protocol.learning_rates[0],
        encoders={
            encoder.card.name: _measure_one(run, encoder, features[encoder.card.name])
            for encoder in encoders
        },
    )


def _measure_one(run: Run, encoder: Encoder, source: StoredFeatures) -> Measurement:
    mean, std = feature_statistics(source, run.folds[0].tracks["train"])
    result = run.probe(source, "linear", [(mean, std)], f"regression · {encoder.card.name}")
    metrics = once(result.arrays(), run.task.summarise)
    timing = _timing(source, run.folds[0].tracks["train"], mean, _scale(std))
    return Measurement(
        revision=encoder.card.revision,
        fingerprint=Fingerprint(
            mean=tuple(map(tuple, mean.tolist())),
            std=tuple(map(tuple, std.tolist())),
            timing=tuple(timing.tolist()),
        ),
        scores={name: tuple(metrics[name].tolist()) for name in run.task.headline},
        layer_weights=tuple(zip(*result.layer_weights, strict=True)),
    )


def _scale(std: NDArray[np.float64]) -> NDArray[np.float64]:
    """Standard deviations (layers, width) with a floor in each layer."""
    whole = np.sqrt(np.mean(std**2, axis=1, keepdims=True))
    return np.asarray(np.maximum(std, SCALE_FLOOR * whole + 1e-12))


def _timing(
    source: StoredFeatures,
    tracks: Sequence[Track],
    mean: NDArray[np.float64],
    scale: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Each layer's features projected on one course over the features and one over the frames."""
    weights = _course(source.width)
    frames = np.concatenate(
        [
            ((source.read(track, 0, source.length(track)) - mean) / scale) @ weights
            for track in tracks
        ]
    )
    return np.asarray(_course(len(frames)) @ frames)


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
    if _circumstances(committed) != _circumstances(measured):
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
        checks += compare_scores(name, before.scores, now.scores)
        checks += compare_layer_weights(name, before.layer_weights, now.layer_weights)
    return checks


def _circumstances(numbers: Numbers) -> dict[str, object]:
    return numbers.model_dump(exclude={"encoders"})


def compare_features(name: str, before: Fingerprint, now: Fingerprint) -> list[Check]:
    """The feature whose mean, or spread, is furthest off, and the layer whose timing is.

    Raises:
        RegressionError: there are more or fewer layers or features than before.
    """
    expected, got = ((np.array(one.mean), np.array(one.std)) for one in (before, now))
    if expected[0].shape != got[0].shape:
        raise RegressionError(
            f"encoder {name}: (layers, width) changed from {expected[0].shape} to {got[0].shape}; "
            "change the revision on its card, then run: motionbeat regression --update"
        )
    allowed = FEATURE_TOLERANCE * np.maximum(np.abs(expected[0]), _scale(expected[1]))
    checks = []
    for kind, old, new in zip(("mean", "std"), expected, got, strict=True):
        at = np.unravel_index(np.argmax(np.abs(new - old) / allowed), old.shape)
        metric = f"layer {at[0]} feature {at[1]} {kind}"
        checks.append(_two_sided(name, metric, old[at], allowed[at], new[at]))
    layer = int(np.argmax(np.abs(np.subtract(now.timing, before.timing))))
    at_layer = (before.timing[layer], TIMING_TOLERANCE, now.timing[layer])
    return [*checks, _two_sided(name, f"layer {layer} timing", *at_layer)]


def compare_scores(
    name: str, before: Mapping[str, Sequence[float]], now: Mapping[str, Sequence[float]]
) -> list[Check]:
    """Each score of an encoder; better is good."""
    checks = []
    for metric, committed in before.items():
        expected, got = float(np.mean(committed)), float(np.mean(now[metric]))
        allowed = tolerance(committed, len(now[metric]))
        checks.append(Check(name, metric, expected, allowed, got, got >= expected - allowed))
    return checks


def compare_layer_weights(
    name: str, before: Sequence[Sequence[float]], now: Sequence[Sequence[float]]
) -> list[Check]:
    """The weight of each layer in the probes; a single layer's is always 1."""
    if len(before) == 1:
        return []
    return [
        _two_sided(
            name,
            f"layer {layer} weight",
            float(np.mean(old)),
            tolerance(old, len(new)),
            float(np.mean(new)),
        )
        for layer, (old, new) in enumerate(zip(before, now, strict=True))
    ]


def _two_sided(encoder: str, metric: str, expected: float, allowed: float, got: float) -> Check:
    return Check(encoder, metric, expected, allowed, got, abs(got - expected) <= allowed)


def enforce(checks: Sequence[Check]) -> None:
    """Pass over numbers that held.

    Raises:
        RegressionError: some did not; one line for each, then the remedy.
    """
    failed = [check for check in checks if not check.passed]
    if failed:
        raise RegressionError(
            "\n  ".join(
                [
                    f"{len(failed)} of {len(checks)} numbers regressed",
                    *map(str, failed),
                    "mend the encoder or the probe; or, where the change is meant, change the "
                    "revision on the card of an encoder whose features changed and run: "
                    "motionbeat regression --update",
                ]
            )
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


def gate(encoders: Sequence[Encoder], cache: Path, numbers: Path = NUMBERS) -> Table:
    """Measure encoders anew and compare them with the committed numbers.

    Args:
        encoders: the encoders.
        cache: folder where the fixed set is made and kept.
        numbers: file with the committed numbers.

    Returns:
        The comparison.

    Raises:
        RegressionError: a number regressed, or cannot be compared.
    """
    committed = read(numbers)
    with TemporaryDirectory() as scratch:
        checks = compare(committed, measure(fixed_run(cache, Path(scratch), GATE_SEEDS), encoders))
    enforce(checks)
    return table(checks)


def update(encoders: Sequence[Encoder], cache: Path, numbers: Path = NUMBERS) -> None:
    """Measure encoders and write the numbers to be committed.

    Args:
        encoders: the encoders.
        cache: folder where the fixed set is made and kept.
        numbers: file to write.

    Raises:
        RegressionError: features changed under an unchanged revision; users' stored embeddings of
            that revision would be taken for the new ones.
    """
    with TemporaryDirectory() as scratch:
        measured = measure(fixed_run(cache, Path(scratch), UPDATE_SEEDS), encoders)
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
