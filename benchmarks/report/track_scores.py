"""What the pages show of each track: how well it is predicted, what is true and what is said."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from motionbeat.tasks.metrics.per_track import Floats, PerTrackScores, mean_defined

if TYPE_CHECKING:
    from motionbeat.tasks.task import Task

_NO_QUESTION = "undefined on every track"


class TrackScores(NamedTuple):
    """A score of every track, mean over the seeds.

    Attributes:
        title: what it is.
        better: whether larger (1) or smaller (-1) is better.
        values: (tracks,), NaN where undefined.
        kind: ``class``, ``tags`` or ``numbers`` where such are predicted for each track.
        predicted: these for each track: the class by each seed, tags with their mean probabilities,
            or numbers by name.
    """

    title: str
    better: int
    values: Floats
    kind: Literal["", "class", "tags", "numbers"] = ""
    predicted: Sequence[Any] = ()


def true_of_tracks(per_track: PerTrackScores) -> Sequence[Any]:
    """The class or the tags of each track in a list, or its numbers by name."""
    if "true" in per_track:
        return [[str(name)] for name in per_track["true"][0]]
    if tags := _named(per_track, "true/"):
        return [
            [name for name, values in tags.items() if values[0, track] == 1]
            for track in range(next(iter(tags.values())).shape[1])
        ]
    if numbers := _named(per_track, "true_"):
        return _rows(numbers)
    return ()


def _rows(numbers: dict[str, Floats]) -> list[dict[str, float | None]]:
    """Numbers of each track by name, mean over seeds."""
    rows = np.stack([values.mean(axis=0) for values in numbers.values()], axis=1)
    return [dict(zip(numbers, map(_short, row), strict=True)) for row in rows]


def _named(per_track: PerTrackScores, prefix: str) -> dict[str, Floats]:
    return {
        name.removeprefix(prefix): values
        for name, values in per_track.items()
        if name.startswith(prefix)
    }


def track_scores(task: "type[Task]", per_track: PerTrackScores) -> TrackScores:
    """How well each track is predicted, by the primary metric or what it is made of.

    Metrics of a whole split stand on one value a track: whether its class is right, how well its
    tags are ranked (ROC-AUC over the tags of the track), or the mean absolute error of its numbers.
    """
    if task.primary in per_track:
        values = _over_seeds(per_track[task.primary])
        return TrackScores(task.headline[task.primary].strip(), 1, values)
    if "true" in per_track:
        said = per_track["predicted"]
        right = (per_track["true"] == said).astype(np.float64)
        return TrackScores("class is right", 1, right.mean(axis=0), "class", said.T.tolist())
    if tags := _named(per_track, "true/"):
        areas, top = _ranked_tags(tags, _named(per_track, "score/"))
        return TrackScores("ROC-AUC over its tags", 1, areas, "tags", top)
    if numbers := _named(per_track, "true_"):
        predicted = _named(per_track, "predicted_")
        errors = np.mean([np.abs(numbers[name] - predicted[name]) for name in numbers], axis=0)
        error = errors.mean(axis=0)
        return TrackScores("absolute error", -1, error, "numbers", _rows(predicted))
    tracks = next(iter(per_track.values())).shape[1]
    return TrackScores(_NO_QUESTION, 1, np.full(tracks, np.nan))


def _over_seeds(values: Floats) -> Floats:
    return np.array([mean_defined(track) for track in values.T])


def _ranked_tags(
    true: dict[str, Floats], score: dict[str, Floats]
) -> tuple[Floats, list[list[list[Any]]]]:
    """ROC-AUC over the tags of each track, mean over seeds, and its most probable tags."""
    names = list(true)
    truths, values = (np.stack([part[name] for name in names]) for part in (true, score))
    areas = np.full(truths.shape[2], np.nan)
    top = []
    for track in range(truths.shape[2]):
        holds, says = truths[:, 0, track], values[:, :, track]
        mean = says.mean(axis=1)
        best = np.argsort(-mean, kind="stable")[: max(3, int((holds == 1).sum()))]
        top.append([[names[tag], _short(mean[tag])] for tag in best])
        apart = says[holds == 1][:, None] - says[holds == 0][None]
        if apart.size:
            areas[track] = float(np.mean((apart > 0) + (apart == 0) / 2))
    return areas, top


def _short(value: float) -> float | None:
    return float(f"{value:.4g}") if np.isfinite(value) else None
