"""The pulse layer of motionbeat-small left out, mixed with the states, or replaced.

Beat probes on the encoder's output without its sound stream. Mixed by a softmax, the states and the
pulse layer are two layers, the second filled up with zeros. The phase of the front end is the one
of its own clock, which nothing was trained for. Scores are those of the validation split of
groovebox, which ends the training of the probes and sets their thresholds as well.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import torch
from scripts.ablation.runs import Group, Scores, kept, place
from scripts.ablation.towers import TEST, Bench
from torch import Tensor
from torch.nn.functional import pad

from motionbeat.audio import load_audio, resample
from motionbeat.benchmarks.encoders.motionbeat import MotionBeatEmbodied
from motionbeat.benchmarks.ensemble import Ensemble
from motionbeat.benchmarks.extraction import embed
from motionbeat.benchmarks.protocol import fit, trainer_of
from motionbeat.benchmarks.store import store_of
from motionbeat.console import bar
from motionbeat.data_modules.base import Clips, Loaders, Split, Track
from motionbeat.encoder import Encoder
from motionbeat.model import FRAME_RATE, PULSE_WIDTH, AudioFrontend, frame_times
from motionbeat.progress import quiet
from motionbeat.spectrum import SAMPLE_RATE
from motionbeat.tasks import BeatTracking

LEARNING_RATE = 0.003
"""Of all probes."""

_STATES = MotionBeatEmbodied.card.width - PULSE_WIDTH
_PHASES = PULSE_WIDTH - 3  # columns of the pulse layer, which come first
_LAYERS = {
    "trained": [[*range(_STATES + PULSE_WIDTH)]],
    "left out": [[*range(_STATES)]],
    "mixed": [[*range(_STATES)], [*range(_STATES, _STATES + PULSE_WIDTH)]],
    "front end": [
        [
            *range(_STATES),
            _STATES + PULSE_WIDTH - 1,  # the length of the beat, which is the front end's
            *range(_STATES + PULSE_WIDTH, _STATES + PULSE_WIDTH + _PHASES),
        ]
    ],
}
"""Columns of the features of :class:`PulseBench` in each layer, by what is done with the pulses."""


class Chosen(Encoder):
    """Stands for layers of features that are at hand."""

    def __init__(self, layers: int, width: int) -> None:
        super().__init__()
        vars(self)["card"] = replace(MotionBeatEmbodied.card, layers=layers, width=width)

    def forward(self, waveform: Tensor) -> Tensor:
        """Never called."""
        raise NotImplementedError


class Columns(Loaders):
    """The train split, and the validation split in place of the test split too.

    Args:
        splits: tracks.
        frames: features (frames, layers, width) of each track by its audio file.
    """

    def __init__(self, splits: dict[str, list[Track]], frames: dict[Path, Tensor]) -> None:
        recipe = BeatTracking.recipe
        super().__init__(batch_size=recipe.batch_size, clip_seconds=recipe.clip_seconds)
        self.splits, self.frames = splits, frames

    def tracks(self, split: Split) -> list[Track]:
        """The tracks of a split."""
        return self.splits["train" if split == "train" else "validation"]

    def clips(self, tracks: Sequence[Track], whole: bool) -> Clips:
        """Clips of some tracks, or whole tracks."""

        def read(track: Track, start: int, stop: int) -> Tensor:
            return self.frames[track.audio_path][start:stop]

        lengths = [len(self.frames[track.audio_path]) for track in tracks]
        recipe = BeatTracking.recipe
        clip, stride = round(self.clip_seconds * FRAME_RATE), recipe.stride_seconds
        cut = (None, None) if whole else (clip, round(stride * FRAME_RATE) if stride else clip)
        return Clips(tracks, lengths, FRAME_RATE, read, *cut)


@dataclass(frozen=True, eq=False)
class PulseBench:
    """What all runs share."""

    bench: Bench

    @cached_property
    def splits(self) -> dict[str, list[Track]]:
        """Tracks of groovebox."""
        dataset = self.bench.folders.datamodule(*TEST)
        dataset.prepare_data()
        return {split: dataset.tracks(split) for split in ("train", "validation")}

    @cached_property
    def frames(self) -> dict[Path, Tensor]:
        """Features of each track, with the cosines and sines of the front end's phases behind."""
        tracks = [track for own in self.splits.values() for track in own]
        store = store_of(self.bench.folders.cache)
        [reader] = embed([MotionBeatEmbodied.card.name], tracks, store)
        frontend, found = AudioFrontend(), {}
        with bar("tracks") as progress:
            for track in progress.track(tracks, description="phases of the front end"):
                waveform = torch.from_numpy(resample(*load_audio(track.audio_path), SAMPLE_RATE))
                frames = reader(track).float()
                phases = front_end_phases(frontend, waveform)[: len(frames), None]
                found[track.audio_path] = torch.cat([frames, phases], dim=-1)
        return found


@torch.inference_mode()
def front_end_phases(frontend: AudioFrontend, waveform: Tensor) -> Tensor:
    """(F, 6) cosines, then sines, of the beat, half-bar and bar phase of the front end's clock."""
    clock = frontend(waveform[None])[1]
    bar_phase = clock.phase_at(frame_times(waveform[None]))
    beat_phase = bar_phase * clock.beats_per_bar[:, None]
    angles = torch.stack([beat_phase, 2 * bar_phase, bar_phase], dim=-1)[0] % (2 * math.pi)
    return torch.cat([angles.cos(), angles.sin()], dim=-1).float()


def stacked(frames: Tensor, layers: Sequence[Sequence[int]]) -> Tensor:
    """Columns of frames (F, columns) as layers (F, layers, width), filled up with zeros."""
    width = max(len(columns) for columns in layers)
    filled = [pad(frames[:, columns], (0, width - len(columns))) for columns in layers]
    return torch.stack(filled, dim=1)


@dataclass(frozen=True)
class PulseRun:
    """A beat probe on some of the columns.

    Attributes:
        bench: what all runs share.
        layer: what is done with the pulse layer.
    """

    bench: PulseBench = field(repr=False)
    layer: str = "trained"

    @property
    def name(self) -> str:
        """What is done with the pulse layer."""
        return f"pulses {self.layer}"

    @property
    def settings(self) -> dict[str, object]:
        """All that decides the scores."""
        card = MotionBeatEmbodied.card
        return {"layer": self.layer, "revision": card.revision, "learning_rate": LEARNING_RATE}

    def __call__(self, seed: int) -> Scores:
        """Train a probe and score it."""
        return kept(place(self.bench.bench.output, self, seed, "json"), lambda: self.probe(seed))

    def probe(self, seed: int) -> Scores:
        """Scores of a probe on the validation split."""
        layers = _LAYERS[self.layer]
        frames = {path: stacked(one[:, 0], layers) for path, one in self.bench.frames.items()}
        data = Columns(self.bench.splits, frames)
        data.shuffle_seed = seed
        encoder = Chosen(len(layers), len(layers[0]))
        task = BeatTracking(encoder, learning_rate=LEARNING_RATE, seed=seed)
        ensemble = Ensemble([task])
        fit(ensemble, data, f"{self.name}, seed {seed}")
        with quiet():
            batches = trainer_of().predict(ensemble, datamodule=data)
        assert batches is not None
        predictions = [one for batch in batches for one in batch[0]]
        rows = task.score_all(predictions, data.tracks("validation"))
        metrics = task.metrics_of(rows)
        names = ("beat_f_measure", "downbeat_f_measure")
        return {"validation": {name: float(metrics[name]) for name in names}}


def groups(bench: Bench) -> list[Group]:
    """The group of pulse layers."""
    shared = PulseBench(bench)
    variants = {
        "trained": PulseRun(shared),
        "left out": PulseRun(shared, "left out"),
        "mixed by a softmax": PulseRun(shared, "mixed"),
        "phase of the front end": PulseRun(shared, "front end"),
    }
    metrics = ("beat_f_measure", "downbeat_f_measure")
    return [Group("pulse layer", variants, ("validation",), metrics)]
