"""Beat tracking: beats, downbeats and tempo from frame activations."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from scipy.special import expit
from torch import Tensor
from torch.nn import functional

from motionbeat.data_modules.base import Annotation, Beats, Tempo, Track
from motionbeat.tasks.beat_baselines import Chance, Madmom, Oracle
from motionbeat.tasks.contract import Baseline, Recipe
from motionbeat.tasks.cutting import Outputs, Tensors
from motionbeat.tasks.decoders import BeatPrediction, decode, interval_tempo, peaks
from motionbeat.tasks.heads import Head
from motionbeat.tasks.metrics.beat import FIRST_SECOND, beat_scores, f_measures, tempo_scores
from motionbeat.tasks.metrics.per_track import Floats, Scores
from motionbeat.tasks.task import Task

TOLERANCE = 0.06
THRESHOLDS = tuple(round(0.05 * step, 2) for step in range(2, 20))
PADDED_LOGIT = -100.0


def _widened(values: Tensor, reach: int) -> Tensor:
    """The largest value within ``reach`` frames on either side, (..., T, C)."""
    return functional.max_pool1d(values.mT, 2 * reach + 1, stride=1, padding=reach).mT


def _counted(targets: Tensor, reach: int) -> Tensor:
    """0 within twice the reach of a beat, but for the beat itself, and 1 elsewhere, (..., T, C)."""
    return targets + 1 - _widened(targets, 2 * reach)


def shift_tolerant_loss(
    logits: Tensor, targets: Tensor, weight: Tensor, positive_weight: Tensor, reach: int
) -> Tensor:
    """Binary cross-entropy that tolerates small shifts of the beats.

    At a beat, the largest logit within ``reach`` frames is used. Frames within twice the reach of a
    beat, except the beat itself, are ignored. Source: Foscarin, Schlüter and Widmer, "Beat this!
    Accurate beat tracking without DBN postprocessing", 2024, section 3.3.

    Args:
        logits: (B, T, C).
        targets: (B, T, C), 1 at beats and 0 elsewhere.
        weight: (B, T, C), 0 where a target is unknown and 1 elsewhere.
        positive_weight: (C,) weight of the beats.
        reach: tolerance in frames on either side.

    Returns:
        The weighted mean over all frames that are not ignored, a scalar; 0 if there are none.
    """
    weight = weight * _counted(targets, reach)
    losses = functional.binary_cross_entropy_with_logits(
        _widened(logits, reach), targets, weight, pos_weight=positive_weight, reduction="none"
    )
    return losses.sum() / weight.sum().clamp(min=1)


class BeatTracking(Task):
    """Beats, downbeats and tempo of whole tracks.

    The per-track scores are those of :func:`metrics.beat.beat_scores` of the beats (``beat_``) and
    downbeats (``downbeat_``; undefined where the bars are unknown) and of
    :func:`metrics.beat.tempo_scores` (``tempo_``), for the peak picker and (prefix ``dbn_``) for
    the dynamic Bayesian network.
    """

    name = "beat"
    version = 3
    needs: ClassVar[tuple[type[Annotation], ...]] = (Beats,)
    primary = "beat_f_measure"
    undefined = f"fewer than two beats after the first {FIRST_SECOND:g} s"
    headline: ClassVar = {
        "beat_f_measure": "beat F",
        "beat_cmlt": "CMLt",
        "beat_amlt": "AMLt",
        "downbeat_f_measure": "downbeat F",
        "tempo_acc1": "Acc1",
        "tempo_acc2": "Acc2",
        "dbn_beat_f_measure": "DBN beat F",
        "dbn_downbeat_f_measure": "DBN downbeat F",
    }
    monitor = "val/beat_f_measure"
    halving = True
    recipe = Recipe(clip_seconds=2.0)

    def learn(self, tracks: Sequence[Track]) -> dict[str, Any]:
        """Weight beats and downbeats by the ratio of frames without and with one."""
        frames, counts = np.zeros(2), np.zeros(2)
        for track in tracks:
            beats = track.get(Beats)
            for column, times in enumerate((beats.times, beats.downbeats)):
                if times is not None:
                    frames[column] += track.duration * self.step_rate
                    counts[column] += len(times)
        weights = np.maximum(frames - counts, 1) / np.maximum(counts, 1)
        return {"positive_weight": torch.tensor(weights, dtype=torch.float32)}

    def configure_head(self, layers: int, width: int) -> Head:
        """A head with a beat and a downbeat logit, and the thresholds of the peak picker."""
        head = Head(layers, width, 2, self.kind == "mlp", self.seed)
        head.register_buffer("thresholds", torch.full((2,), 0.5))
        return head

    @property
    def reach(self) -> int:
        """Tolerance of the loss in frames, on either side of a beat."""
        return round(TOLERANCE * self.step_rate)

    def track_targets(self, track: Track, steps: int) -> Tensors:
        """Beat and downbeat frames (steps, 2), and the weight of each frame in the loss."""
        beats = track.get(Beats)
        frames = torch.zeros(steps, 2)
        weight = torch.ones(steps, 2)
        for column, times in enumerate((beats.times, beats.downbeats)):
            if times is None:
                weight[:, column] = 0
            else:
                inside = np.round(times * self.step_rate).astype(int)
                frames[inside[inside < steps], column] = 1
        # Done on the whole track, because a clip lacks the beat just outside its edge.
        return {"beats": frames, "weight": weight * _counted(frames, self.reach)}

    def loss(self, outputs: Tensor, targets: Mapping[str, Tensor], mask: Tensor) -> Tensor:
        """Shift-tolerant loss of beats and downbeats."""
        real = mask[..., None]
        return shift_tolerant_loss(
            outputs.masked_fill(~real, PADDED_LOGIT),
            targets["beats"],
            targets["weight"] * real,
            self.learned["positive_weight"].to(outputs.device),
            self.reach,
        )

    def validation_value(self, outputs: Outputs, track: Track) -> Floats:
        """F-measures (2, thresholds) of beats and downbeats; NaN without a reference."""
        beats = track.get(Beats)
        scores = np.full((2, len(THRESHOLDS)), np.nan)
        for column, reference in enumerate((beats.times, beats.downbeats)):
            if reference is not None:
                times, values = peaks(expit(outputs[:, column].astype(np.float64)), self.step_rate)
                scores[column] = f_measures(reference, times, values, np.array(THRESHOLDS))
        return scores

    def validation_result(self, values: Sequence[Any], tracks: Sequence[Track]) -> float:
        """Mean F-measure of the beats at the best threshold; sets the thresholds of the head.

        NaN if no track has two beats after the first 5 s; the threshold is then left unchanged.
        """
        scores = np.stack(values)  # (tracks, 2, thresholds), NaN where a track has no reference
        thresholds = self.trained_head.thresholds
        monitor = float("nan")
        for column in range(2):
            defined = scores[np.isfinite(scores[:, column, 0]), column]
            if len(defined):
                means = defined.mean(axis=0)
                best = np.flatnonzero(means == means.max())
                thresholds[column] = THRESHOLDS[best[len(best) // 2]]
                monitor = float(means.max()) if column == 0 else monitor
        return monitor

    def decode(self, outputs: Outputs, track: Track) -> BeatPrediction:
        """Beats, downbeats and tempo of one track by both decoders."""
        beat, downbeat = self.trained_head.thresholds.tolist()
        return decode(expit(outputs.astype(np.float64)), self.step_rate, (beat, downbeat))

    @classmethod
    def score(cls, prediction: BeatPrediction, track: Track) -> Scores:
        """All metrics of both decoders on one track."""
        beats = track.get(Beats)
        tempo = track.get(Tempo).bpm if track.has(Tempo) else interval_tempo(beats.times)
        scores: Scores = {}
        for prefix, estimate in (("", prediction), ("dbn_", prediction.dbn)):
            parts = {
                "beat": beat_scores(beats.times, estimate.beats),
                "downbeat": beat_scores(
                    np.zeros(0) if beats.downbeats is None else beats.downbeats, estimate.downbeats
                ),
                "tempo": tempo_scores(tempo, estimate.tempo),
            }
            for part, values in parts.items():
                scores |= {f"{prefix}{part}_{name}": value for name, value in values.items()}
        return scores

    @classmethod
    def baselines(cls) -> Sequence[Baseline]:
        """Chance, the decoders applied to the annotations, and madmom."""
        return (Chance(), Oracle(), Madmom())
