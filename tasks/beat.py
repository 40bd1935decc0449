"""Beat tracking: beats, downbeats and tempo from frame activations."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from scipy.special import expit
from torch import Tensor
from torch.nn import functional

from motionbeat.data_modules.base import Annotation, Beats, Tempo, Track
from motionbeat.tasks.base import Outputs, Reference, Scores, Task
from motionbeat.tasks.beat_references import Chance, Madmom, Oracle
from motionbeat.tasks.decoders import Activations, BeatPrediction, decode, interval_tempo, peaks
from motionbeat.tasks.features import Batch, Targets
from motionbeat.tasks.metrics.beat import Times, beat_scores, f_measure, tempo_scores
from motionbeat.tasks.probe import Probe

TOLERANCE = 0.06
THRESHOLDS = tuple(round(0.05 * step, 2) for step in range(2, 20))
PADDED_LOGIT = -100.0


class BeatProbe(Probe):
    """A probe with the thresholds of its peak picker, found on the validation split."""

    thresholds: Tensor

    def __init__(self, layers: int, width: int, hidden: bool, seed: int) -> None:
        super().__init__(layers, width, 2, hidden, seed)
        self.register_buffer("thresholds", torch.full((2,), 0.5))


@dataclass(frozen=True)
class BeatDecoder:
    """Decodes logits (frames, 2) by peaks and by the dynamic Bayesian network."""

    rate: float
    thresholds: tuple[float, float]

    def __call__(self, outputs: Outputs, track: Track) -> BeatPrediction:
        """Beats, downbeats and tempo of one track."""
        return decode(probabilities(outputs), self.rate, self.thresholds)


def widened(values: Tensor, reach: int) -> Tensor:
    """The largest value within ``reach`` frames on either side, (..., T, C)."""
    return functional.max_pool1d(values.mT, 2 * reach + 1, stride=1, padding=reach).mT


def counted(targets: Tensor, reach: int) -> Tensor:
    """0 within twice the reach of a beat, but for the beat itself, and 1 elsewhere, (..., T, C)."""
    return targets + 1 - widened(targets, 2 * reach)


def shift_tolerant_loss(
    logits: Tensor, targets: Tensor, weight: Tensor, positive_weight: Tensor, reach: int
) -> Tensor:
    """Binary cross-entropy that forgives small shifts.

    At a beat the largest logit within ``reach`` frames counts; frames within twice the reach of a
    beat, the beat itself excepted, do not count. Source: Foscarin, Schlüter and Widmer, "Beat this!
    Accurate beat tracking without DBN postprocessing", 2024, section 3.3.

    Args:
        logits: (B, T, C).
        targets: (B, T, C), 1 at beats and 0 elsewhere.
        weight: (B, T, C), 0 where a target is unknown and 1 elsewhere.
        positive_weight: (C,) weight of the beats.
        reach: frames of tolerance on either side.

    Returns:
        The mean over the frames that count, a scalar; 0 when none does.
    """
    weight = weight * counted(targets, reach)
    losses = functional.binary_cross_entropy_with_logits(
        widened(logits, reach), targets, weight, pos_weight=positive_weight, reduction="none"
    )
    return losses.sum() / weight.sum().clamp(min=1)


class BeatTask(Task):
    """Beats, downbeats and tempo of whole tracks.

    The evidence of a track holds, for the peak picker and (prefix ``dbn_``) for the dynamic
    Bayesian network, the scores of :func:`metrics.beat.beat_scores` of the beats (``beat_``)
    and downbeats (``downbeat_``) and those of :func:`metrics.beat.tempo_scores`
    (``tempo_``). Downbeat scores are undefined where the bars are unknown.
    """

    name = "beat"
    version = 1
    needs: ClassVar[tuple[type[Annotation], ...]] = (Beats,)
    primary = "beat_f_measure"
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
    window = 2.0

    positive_weight: Tensor

    def prepare(self, tracks: Sequence[Track]) -> None:
        """Weigh beats and downbeats by how rare they are among the frames."""
        frames, counts = np.zeros(2), np.zeros(2)
        for track in tracks:
            beats = track.get(Beats)
            for column, times in enumerate((beats.times, beats.downbeats)):
                if times is not None:
                    frames[column] += track.duration * self.rate
                    counts[column] += len(times)
        weights = np.maximum(frames - counts, 1) / np.maximum(counts, 1)
        self.register_buffer("positive_weight", torch.tensor(weights, dtype=torch.float32))

    def configure_probe(self, layers: int, width: int, kind: str, seed: int) -> BeatProbe:
        """A probe with a beat and a downbeat logit."""
        return BeatProbe(layers, width, kind == "mlp", seed)

    def targets(self, track: Track, steps: int) -> Targets:
        """Beat and downbeat frames (steps, 2), and the weight of each frame in the loss."""
        beats = track.get(Beats)
        frames = torch.zeros(steps, 2)
        weight = torch.ones(steps, 2)
        for column, times in enumerate((beats.times, beats.downbeats)):
            if times is None:
                weight[:, column] = 0
            else:
                inside = np.round(times * self.rate).astype(int)
                frames[inside[inside < steps], column] = 1
        # Here the whole track is at hand: a window does not see the beat just behind its edge.
        return {"beats": frames, "weight": weight * counted(frames, self.reach)}

    @property
    def reach(self) -> int:
        """Frames of tolerance on either side of a beat."""
        return round(TOLERANCE * self.rate)

    def loss(self, probe: Probe, outputs: Tensor, batch: Batch) -> Tensor:
        """Shift-tolerant loss of beats and downbeats."""
        real = batch.mask[..., None]
        return shift_tolerant_loss(
            outputs.masked_fill(~real, PADDED_LOGIT),
            batch.targets["beats"],
            batch.targets["weight"] * real,
            self.positive_weight,
            self.reach,
        )

    def validate(self, probe: Probe, outputs: Sequence[Outputs], tracks: Sequence[Track]) -> float:
        """Mean F-measure of the beats at the best threshold, which the probe keeps."""
        assert isinstance(probe, BeatProbe)
        best = []
        for column in range(2):
            references = [
                (beats.times, beats.downbeats)[column]
                for beats in (track.get(Beats) for track in tracks)
            ]
            candidates = [peaks(probabilities(one[:, column]), self.rate) for one in outputs]
            scores = [
                mean_f_measure(references, [times[values > t] for times, values in candidates])
                for t in THRESHOLDS
            ]
            best.append(max(zip(scores, THRESHOLDS, strict=True)))
        probe.thresholds.copy_(torch.tensor([threshold for _, threshold in best]))
        return best[0][0]

    def decoder(self, probe: Probe) -> BeatDecoder:
        """Both decoders, with the thresholds of the probe."""
        assert isinstance(probe, BeatProbe)
        beat, downbeat = probe.thresholds.tolist()
        return BeatDecoder(self.rate, (beat, downbeat))

    @classmethod
    def score(cls, prediction: BeatPrediction, track: Track) -> Scores:
        """All metrics of both decoders on one track."""
        beats = track.get(Beats)
        tempo = track.get(Tempo).bpm if track.has(Tempo) else interval_tempo(beats.times)
        scores: Scores = {}
        for prefix, estimate in zip(("", "dbn_"), prediction, strict=True):
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
    def references(cls) -> Sequence[Reference]:
        """Chance, the decoders fed with the reference, and madmom's tracker."""
        return (Chance(), Oracle(), Madmom())


def probabilities(logits: Outputs) -> Activations:
    """Logistic function of logits of any shape."""
    return np.asarray(expit(logits.astype(np.float64)))


def mean_f_measure(references: Sequence[Times | None], estimates: Sequence[Times]) -> float:
    """Mean F-measure over the tracks on which it is defined; 0 when there is none."""
    scores = [
        f_measure(reference, estimate)
        for reference, estimate in zip(references, estimates, strict=True)
        if reference is not None
    ]
    defined = [score for score in scores if not np.isnan(score)]
    return float(np.mean(defined)) if defined else 0.0
