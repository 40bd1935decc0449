"""Fine-tuning: a probe trained as ever, with the encoder inside, whose weights move along.

``full`` moves all weights of the encoder. ``lora`` leaves them and adds to each matrix a product of
two thin ones (Hu et al., "LoRA: low-rank adaptation of large language models", 2021), which is 0 at
first. Probe, loss, standardisation, validation and learning rates are those of frozen features; the
encoder's rate is a fixed share of the probe's. Batch normalisation and dropout of the encoder stay
as they are at test time. Windows go through it one by one, so memory does not grow with the batch.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, Literal, cast

import numpy as np
import torch
from lightning import seed_everything
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.utils.data import Dataset

from motionbeat.audio import Waveform, load_audio, resample
from motionbeat.benchmarks.store import IN_MEMORY, StoredFeatures, encode, halved, pool
from motionbeat.benchmarks.training import Precision, Trained, examine, learn
from motionbeat.data_modules.base import DataModule, MotionFile, Split, Track
from motionbeat.encoder import Encoder
from motionbeat.errors import MotionBeatError
from motionbeat.tasks.base import Task
from motionbeat.tasks.features import Batch, Windows, collate
from motionbeat.tasks.probe import Member

Mode = Literal["frozen", "lora", "full"]

RANK = 8
ENCODER_RATE = 0.03
"""Learning rate of the encoder's weights, as a share of the probe's."""

SECONDS = 10.0
"""An encoder hears so much at once in training, at least."""

WINDOWS = 8
"""Windows a training step."""


class TuningError(MotionBeatError):
    """An encoder or a task that cannot be fine-tuned."""


class LowRank(nn.Module):
    """Adds a matrix of low rank to a weight; nothing at first.

    Args:
        weight: (rows, columns, ...) the weight it is for.
    """

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        rows, columns = weight.flatten(1).shape
        self.down = nn.Parameter(weight.new_empty(RANK, columns))
        self.up = nn.Parameter(weight.new_zeros(rows, RANK))
        nn.init.kaiming_uniform_(self.down, a=math.sqrt(5))

    def forward(self, weight: Tensor) -> Tensor:
        """The weight with what was learned."""
        return weight + (self.up @ self.down).view_as(weight)


def adaptable(encoder: nn.Module) -> list[tuple[nn.Module, str]]:
    """Layers with a matrix that an adapter fits, and its name: attention, linear, pointwise."""
    names = [
        (module, "in_proj_weight" if isinstance(module, nn.MultiheadAttention) else "weight")
        for module in encoder.modules()
        if isinstance(module, nn.Linear | nn.MultiheadAttention)
        or (isinstance(module, nn.Conv1d) and module.kernel_size == (1,))
    ]
    return [
        (module, name)
        for module, name in names
        if name in dict(module.named_parameters(recurse=False))
    ]


def check(encoder: Encoder, task: type[Task], mode: Mode) -> None:
    """Check that an encoder can be fine-tuned for a task.

    Raises:
        TuningError: it cannot.
    """
    name = encoder.card.name
    if MotionFile in task.needs:
        raise TuningError(
            f"task '{task.name}' is about dances, and fine-tuning is for tasks on music alone; "
            "leave --mode out"
        )
    if not any(True for _ in encoder.parameters()):
        raise TuningError(f"encoder '{name}' has no weights to fine-tune; leave --mode out")
    if mode == "lora" and not adaptable(encoder):
        raise TuningError(f"encoder '{name}' has no layer that LoRA fits; use --mode full")


def loosen(encoder: Encoder, mode: Mode) -> Encoder:
    """Let an encoder learn: all of its weights, or adapters alone."""
    encoder.float().eval().requires_grad_(mode == "full")
    if mode == "lora":
        for module, name in adaptable(encoder):
            adapter = LowRank(getattr(module, name))
            parametrize.register_parametrization(module, name, adapter)
    for module in encoder.modules():
        if isinstance(module, nn.RNNBase):
            module.train()  # cuDNN computes no gradients otherwise
    return encoder


class Audio:
    """The audio of tracks, beside the steps that the frozen encoder made of it.

    Args:
        features: of the frozen encoder; they say how many steps a track has.
        pooling: seconds averaged into a step, None for frames.
    """

    def __init__(self, features: StoredFeatures, pooling: float | None) -> None:
        self.card = features.card
        self.rate, self.layers, self.width = features.rate, features.layers, features.width
        self.length = features.length
        self.pooling = pooling
        self._kept: dict[Track, Waveform] = {}
        self._room = IN_MEMORY

    def read(self, track: Track, start: int, stop: int) -> NDArray[np.floating]:
        """Steps without features, which are yet to be computed."""
        return np.empty((stop - start, 0), np.float32)

    def waveform(self, track: Track) -> Waveform:
        """All of a track, kept in memory as far as that fits into ``IN_MEMORY`` bytes."""
        if (kept := self._kept.get(track)) is not None:
            return kept
        waveform = resample(*load_audio(track.audio_path), self.card.sample_rate)
        if self._room > waveform.nbytes:
            self._kept[track] = waveform
            self._room -= waveform.nbytes
        return waveform

    def hear(self, track: Track, start: int, stop: int) -> Waveform:
        """What sounds during some steps of a track."""
        waveform, steps = self.waveform(track), self.length(track)
        span = self.card.sample_rate / self.rate if self.pooling is None else len(waveform) / steps
        return waveform[round(start * span) : None if stop == steps else round(stop * span)]

    def steps(self, encoder: Encoder, waveform: Waveform, device: torch.device) -> Tensor:
        """Features (steps, layers, width) of a whole track, made like those of the store."""
        found = halved(encode(encoder, waveform, device))
        if self.pooling is not None:
            found = halved(pool(found, self.card.frame_rate, self.pooling))
        return torch.from_numpy(found).float()


class Clips(Dataset[Batch]):
    """Windows of tracks as batches of one, with the waveform (1, samples) for features."""

    def __init__(self, windows: Windows, audio: Audio) -> None:
        self.windows = windows
        self.audio = audio

    def __len__(self) -> int:
        return len(self.windows)

    def __getitem__(self, index: int) -> Batch:
        """One window."""
        track, start, stop = self.windows.windows[index]
        waveform = self.audio.hear(self.windows.tracks[track], start, stop)
        return collate([self.windows[index]])._replace(features=torch.from_numpy(waveform)[None])


@dataclass(frozen=True, eq=False)
class Examples:
    """Windows to learn from, and whole tracks to be examined, without targets."""

    task: Task
    audio: Audio

    def __call__(self, tracks: Sequence[Track], split: Split) -> Dataset[Any]:
        """Cut the tracks of a split up."""
        learned = split == "train"
        window = max(1, round(max(self.task.window, SECONDS) * self.audio.rate))
        if not learned:
            window = max(self.audio.length(track) for track in tracks)
        targets = self.task.targets if learned else None
        windows = Windows(self.audio, tracks, window, window, self.task.inputs, targets)
        return Clips(windows, self.audio)


class Tuned(Task):
    """What a task becomes with an encoder inside; the class is mixed into the task's own."""

    audio: Audio

    def hold(self, encoder: Encoder, audio: Audio) -> None:
        """Take an encoder in, as a part of the one probe, so that both are kept at their best."""
        [probe] = self.trained
        probe.encoder = encoder
        self.audio = audio

    @property
    def encoder(self) -> Encoder:
        """The encoder inside."""
        return cast("Encoder", self.trained[0].encoder)

    def forward(self, batch: Batch) -> list[Tensor]:
        """Outputs of the probe for a window of audio."""
        steps = batch.mask.shape[1]
        if not self.training:
            waveform = batch.features[0].cpu().numpy()
            features = self.audio.steps(self.encoder, waveform, self.device).to(self.device)
        else:
            frames = self.encoder(batch.features)[0].movedim(1, 0)
            if self.audio.pooling is None:
                there = torch.arange(steps, device=self.device).clamp(max=len(frames) - 1)
                features = frames[there]
            else:
                features = torch.stack([one.mean(dim=0) for one in frames.tensor_split(steps)])
        return super().forward(batch._replace(features=features[None]))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Adam, slower for the encoder."""
        [member] = self.members
        weights = dict(self.trained[0].named_parameters())
        head = [weight for name, weight in weights.items() if not name.startswith("encoder.")]
        moving = [weight for weight in self.encoder.parameters() if weight.requires_grad]
        rate = member.learning_rate
        return torch.optim.Adam(
            [{"params": head, "lr": rate}, {"params": moving, "lr": rate * ENCODER_RATE}],
            fused=True,
        )


def tuned(kind: type[Task]) -> type[Tuned]:
    """A task's class with an encoder inside."""
    return type(f"Tuned{kind.__name__}", (Tuned, kind), {})


def finetune(
    mode: Mode,
    encoder: type[Encoder],
    kind: type[Task],
    source: StoredFeatures,
    teacher: DataModule,
    examined: DataModule,
    *,
    probe: str,
    members: Sequence[Member],
    statistics: tuple[NDArray[np.float64], NDArray[np.float64]],
    label: str,
) -> list[Trained]:
    """Train an encoder with a probe for each member, one after another.

    The other arguments and the result are those of :func:`motionbeat.benchmarks.training.train`.

    Args:
        mode: ``lora`` or ``full``.
        encoder: made anew for each member.
        kind: the task.
        source: features of the frozen encoder.
        teacher: as there.
        examined: as there.
        probe: as there.
        members: as there.
        statistics: of the frozen features.
        label: as there.
    """
    audio = Audio(source, kind.pooling)
    precision: Precision = "bf16-mixed" if torch.cuda.is_available() else "32-true"
    found = []
    for number, member in enumerate(members, start=1):
        seed_everything(member.seed, verbose=False)
        task = tuned(kind)(audio, teacher.tracks("train"), probe=probe, members=[member])
        task.standardise(*statistics)
        task.hold(loosen(encoder(), mode), audio)
        for datamodule in {id(teacher): teacher, id(examined): examined}.values():
            datamodule.serve(Examples(task, audio), itemgetter(0), batch_size=1, seed=member.seed)
        name = f"{label} {number}/{len(members)}"
        learn(task, teacher, label=name, accumulated=WINDOWS, precision=precision)
        [trained] = examine(task, examined, precision)
        del trained.probe.encoder  # what it says of the test split is known, and memory is short
        found.append(trained)
    return found
