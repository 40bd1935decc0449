"""The regression gate: the shipped encoders on a small fixed dataset, against committed numbers.

Two things are compared: a fingerprint of the frozen features, up to rounding, because a broken
encoder may score as well as before (a random network with other weights does); and the scores of
linear probes, within their variation over seeds.
"""

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import t as student

from motionbeat.benchmarks.cli import CACHE, ENCODERS, split
from motionbeat.benchmarks.embedded import Embedded
from motionbeat.benchmarks.evaluator import Folders, plan
from motionbeat.benchmarks.significance import once
from motionbeat.benchmarks.store import ELSEWHERE
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
    "correct the encoder or the probe; or, if the change is intended, change the revision on the "
    f"card of an encoder whose features changed and {UPDATE}"
)

Floats = NDArray[np.float64]


class RegressionError(MotionBeatError):
    """Numbers that regressed, or committed numbers that cannot be compared."""

    def __str__(self) -> str:
        return Exception.__str__(self)  # of many lines, one a number


Numbers = dict[str, Any]
"""What JSON holds: revision of the dataset, version of the task, learning rate, and of each encoder
by name its revision, its fingerprint, and of each score one value a seed; rows are strings."""


class Check(NamedTuple):
    """A measured number and the committed one it is compared with."""

    encoder: str
    metric: str
    expected: float
    tolerance: float
    got: float
    one_sided: bool = False

    @property
    def passed(self) -> bool:
        """Whether the number is within its tolerance; a one-sided check allows any increase."""
        change = self.got - self.expected
        return change >= -self.tolerance and (self.one_sided or change <= self.tolerance)

    def __str__(self) -> str:
        return (
            f"{self.encoder}: {self.metric} expected {self.expected:.5g} within "
            f"{self.tolerance:.2g}, got {self.got:.5g}"
        )


def regression(update: bool = False, cache: Path = CACHE) -> None:
    """Probe the shipped encoders on a small fixed dataset and compare with the committed numbers.

    Args:
        update: write new numbers to commit, instead of comparing.
        cache: folder for the fixed dataset (MOTIONBEAT_CACHE).

    Raises:
        RegressionError: a number regressed, or cannot be compared.
    """
    if update:
        write_numbers(split(ENCODERS), cache)
        print(f"written: {NUMBERS}")
    else:
        print("\n".join(map(str, gate(split(ENCODERS), cache))))


def gate(encoders: Sequence[str | Encoder], cache: Path, numbers: Path = NUMBERS) -> list[Check]:
    """Measure encoders and compare them with the committed numbers; return all comparisons.

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
        RegressionError: features changed under an unchanged revision, so that embeddings that
            users have stored under it would be reused.
    """
    measured = measure(encoders, cache, UPDATE_SEEDS)
    committed = read(numbers) if numbers.exists() else measured
    same_set = committed["dataset_revision"] == measured["dataset_revision"]
    for name, now in measured["encoders"].items():
        before = committed["encoders"].get(name, now)
        if same_set and before["revision"] == now["revision"]:
            checks = compare_features(name, before["fingerprint"], now["fingerprint"])
            if changed := [check for check in checks if not check.passed]:
                raise RegressionError(
                    f"{changed[0]}: its features changed, so change the revision on its card "
                    f"(now {now['revision']}) and update again"
                )
    content = json.dumps(measured, indent=1, ensure_ascii=False)
    write_atomically(numbers, f"{content}\n".encode())


def read(path: Path) -> Numbers:
    """Read the committed numbers.

    Raises:
        RegressionError: the file is missing or damaged.
    """
    try:
        numbers: Numbers = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise RegressionError(
            f"{path}: no valid numbers ({error}); restore it with git, or delete it and {UPDATE}"
        ) from error
    return numbers


def _row(values: Iterable[float]) -> str:
    return " ".join(f"{value:.6g}" for value in values)


def measure(encoders: Sequence[str | Encoder], cache: Path, seeds: int) -> Numbers:
    """Take fingerprints and train linear probes on beat tracking on the fixed set.

    Embeddings and probes go to a new folder: kept ones would be those of an earlier state.
    """
    os.environ.pop(ELSEWHERE, None)
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
            measured[record.name] = {
                "revision": record.revision,
                "fingerprint": fingerprint(frames.double().numpy()),
                "scores": {name: _row(metrics[name]) for name in evaluation.task.headline},
            }
    return {
        "dataset_revision": evaluation.revision,
        "task_version": evaluation.task.version,
        "learning_rate": LEARNING_RATE,
        "encoders": measured,
    }


def fingerprint(frames: Floats) -> dict[str, Any]:
    """What features (frames, layers, width) are like.

    Returns:
        ``mean`` and ``std`` of each feature, layer by layer, and ``timing`` of each layer: how its
        standardised features go along with a fixed pseudo-random course over time; of the size of
        their spread, which is 1.
    """
    mean, std = frames.mean(axis=0), frames.std(axis=0)
    standardised = (frames - mean) / _scale(std)
    timing = _course(len(frames)) @ (standardised @ _course(frames.shape[2]))
    return {"mean": [*map(_row, mean)], "std": [*map(_row, std)], "timing": _row(timing)}


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
    settings, others = ({**one, "encoders": None} for one in (committed, measured))
    if settings != others:
        raise RegressionError(
            "the committed numbers are of another dataset revision, task version or learning rate; "
            + UPDATE
        )
    checks = []
    for name, now in measured["encoders"].items():
        before = committed["encoders"].get(name, {})
        if before.get("revision") != now["revision"]:
            raise RegressionError(
                f"encoder {name}: no committed numbers of revision {now['revision']}; {UPDATE}"
            )
        checks += compare_features(name, before["fingerprint"], now["fingerprint"])
        for metric, row in before["scores"].items():
            old, new = (np.array(one.split(), float) for one in (row, now["scores"][metric]))
            expected, got = float(old.mean()), float(new.mean())
            checks.append(Check(name, metric, expected, tolerance(old, len(new)), got, True))
    return checks


def compare_features(name: str, before: dict[str, Any], now: dict[str, Any]) -> list[Check]:
    """The feature whose mean, or spread, is furthest off, and the layer whose timing is.

    Raises:
        RegressionError: there are more or fewer layers or features than before.
    """
    old, new = ({what: _values(rows) for what, rows in one.items()} for one in (before, now))
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


def _values(rows: str | list[str]) -> Floats:
    return np.array(rows.split() if isinstance(rows, str) else [row.split() for row in rows], float)


def tolerance(committed: Floats, seeds: int) -> float:
    """How far the mean of new seeds may lie from the mean of the committed ones.

    Half the width of Student's prediction interval for the mean of further draws.
    """
    number = len(committed)
    std = max(float(np.std(committed, ddof=1)), STD_FLOOR)
    return float(student.ppf(CONFIDENCE, number - 1) * std * np.sqrt(1 / number + 1 / seeds))
