"""One convolutional trunk below the audio tower and the sound stream, or nothing in common.

The trunk is the first four of the sound stream's nine layers. Its third layer halves the frame rate
alone, but not in a trunk, as the positions of beat tokens are 42 ms apart at 120 BPM: the trunk has
25 Hz, and the later layers take every second of its frames. Both trainings go on side by side, with
the batches, the first weights and as many steps of each as they have alone.

The trunk is given the spectrum less the mean of the clip, as the separate tower is. Otherwise the
tower would no longer be blind to loudness and equalisation, and the comparison would be about that.
The sound stream needs the mean, so a map of it is added to what comes out of the trunk. The second
group leaves the sharing alone to compare: each has such a trunk of its own, or both have one.

The comparison decides what is built, so all scores are those of validation splits. Clips to compare
are of the validation pieces of groovebox, and begin on each beat of the bar as the test clips of
the other towers do.
"""

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from lightning import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from scripts.ablation import sound_streams, towers
from scripts.ablation.runs import Group, Scores, kept, place
from scripts.ablation.sound_streams import SoundRun, judged, sound_bench
from scripts.ablation.towers import Bench, Pool, TowerRun, measured, pool
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader

from motionbeat.benchmarks.pretrain_cli import pairs
from motionbeat.benchmarks.protocol import trainer_of
from motionbeat.console import bar
from motionbeat.model import AudioTower, Size
from motionbeat.pretraining.batches import Batch
from motionbeat.pretraining.distillation import Distillation, Segments, augmented
from motionbeat.pretraining.module import Pretraining, adamw
from motionbeat.progress import StepBar, quiet
from motionbeat.sound import Separable, SoundStream
from motionbeat.tokens import Clock
from motionbeat.weights import load_model

FRAMES = 4
"""Of the spectrum, from one frame of the trunk to the next: two are averaged, and the first
convolution takes every second one."""

_LAYERS = 6  # of the sound stream: convolution, norm, ReLU, and three separable convolutions
_BANDS = 4  # of the spectrum, to a band of the trunk
_MIDDLE = 0.5  # of the first frame of the trunk, in frames of the spectrum


class TrunkTower(AudioTower):
    """The audio tower, whose tokens are cut from a trunk.

    A map of the trunk's channels gives as many columns as the spectrum has bands. Clips are of one
    length.

    Args:
        tower: whose weights it begins with.
        size: of that tower.
        trunk: maps (B, 1, BANDS, frames) to (B, channels, BANDS / 4, frames / 2).
    """

    def __init__(self, tower: AudioTower, size: Size, trunk: nn.Sequential) -> None:
        super().__init__(size)
        self.load_state_dict(tower.state_dict())
        self.trunk = trunk
        self.columns = nn.Conv2d(_channels(trunk), _BANDS, 1)

    def encode(
        self, frames: Tensor, frame_rate: float, clock: Clock, *,
        context: Tensor | None = None, contact: Tensor | None = None,
    ) -> Tensor:  # fmt: skip
        """States of the beats, of frames (B, T, BANDS) less their mean."""
        pooled = functional.avg_pool1d(frames.mT, 2, ceil_mode=True)
        columns = self.columns(self.trunk(pooled.unsqueeze(1))).flatten(1, 2).mT
        late = clock._replace(times=clock.times - _MIDDLE / frame_rate)
        return super().encode(columns, frame_rate / FRAMES, late, context=context, contact=contact)


class WithMean(nn.Module):
    """Every second frame of a trunk on the spectrum less its mean, and a map of the mean added."""

    def __init__(self, trunk: nn.Sequential) -> None:
        super().__init__()
        self.trunk = trunk
        self.mean = nn.Conv2d(1, _channels(trunk), (_BANDS, 1), (_BANDS, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, 1, BANDS, frames) to (B, channels, BANDS / 4, frames / 4)."""
        mean = x.mean(dim=-1, keepdim=True)
        out: Tensor = self.trunk(x - mean)[..., ::2] + self.mean(mean)
        return out


def trunk_of(stream: SoundStream) -> nn.Sequential:
    """The first layers of a sound stream, which stay at 25 Hz."""
    trunk = stream.layers[:_LAYERS]
    trunk[4].depthwise.stride = (2, 1)
    return trunk


def _channels(trunk: nn.Sequential) -> int:
    last = trunk[-1]
    assert isinstance(last, Separable)
    return last.pointwise.out_channels


class Joint(LightningModule):
    """Both trainings side by side, step by step on what the batch is for.

    A parameter that a loss does not reach has no gradient in its step, and the optimizer leaves it
    as it is.

    Args:
        rhythm: the training of the towers, and the settings of the optimizer.
        sound: the training of the sound stream.
        shared: whether audio tower and sound stream have one trunk, or a trunk each.
    """

    def __init__(self, rhythm: Pretraining, sound: Distillation, shared: bool) -> None:
        super().__init__()
        self.save_hyperparameters(dict(rhythm.hparams))
        self.rhythm, self.sound = rhythm, sound
        stream, model = sound.model.sound, rhythm.model
        trunk = trunk_of(stream)
        own = trunk if shared else deepcopy(trunk)
        stream.layers = nn.Sequential(WithMean(trunk), *stream.layers[_LAYERS:])
        model.audio = TrunkTower(model.audio, model.size, own)

    def on_train_epoch_start(self) -> None:
        """Seed dropout and gains."""
        self.rhythm.on_train_epoch_start()

    def training_step(self, batch: Batch | Segments, _: int) -> Tensor:
        """The loss of a batch of pairs or of segments."""
        if isinstance(batch, Batch):
            return self.rhythm.losses(batch)["loss"]
        return self.sound.losses(augmented(batch, self.sound.hparams["gain"]))["loss"]

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """AdamW over what both train; only matrices decay."""
        return adamw(self)


class Interleaved:
    """The batches of several loaders, those of each spread evenly over all steps."""

    def __init__(self, *loaders: DataLoader[Any]) -> None:
        self.loaders = loaders

    def __len__(self) -> int:
        return sum(map(len, self.loaders))

    def __iter__(self) -> Iterator[Any]:
        """All of them in turn."""
        batches = [iter(one) for one in self.loaders]
        places = [
            ((index + 0.5) / len(one), which)
            for which, one in enumerate(self.loaders)
            for index in range(len(one))
        ]
        for _, which in sorted(places):
            yield next(batches[which])


@dataclass(frozen=True, eq=False)
class TrunkBench:
    """What all runs share: the trainings of towers and sound stream that have nothing in common."""

    rhythm: TowerRun
    sound: SoundRun

    @cached_property
    def pools(self) -> list[Pool]:
        """Validation clips by the beat of the bar on which they begin."""
        bench = self.rhythm.bench
        name = sound_streams.RENDERED
        dataset = bench.folders.datamodule(name, towers.DATASETS[name])
        dataset.prepare_data()
        found = pairs(dataset, "validation")
        return [pool(found, phase, bench.cache) for phase in range(towers.PHASES)]

    def batches(self, seed: int) -> Interleaved:
        """Those of both trainings, as each has them alone."""
        music = self.sound.music(seed)
        music.setup("fit")
        segments = music.train_dataloader()
        draws: list[list[int]] = []
        for epoch in range(sound_streams.BUDGET["epochs"]):
            segments.sampler.set_epoch(epoch)
            draws += segments.sampler
        loader = DataLoader(
            segments.dataset, batch_size=None, sampler=draws, generator=torch.Generator()
        )
        return Interleaved(self.rhythm.batches(seed), loader)


@dataclass(frozen=True)
class TrunkRun:
    """Towers and sound stream with so many trunks: none, one for both, or one each.

    Attributes:
        bench: what all runs share.
        trunks: how many.
    """

    bench: TrunkBench = field(repr=False)
    trunks: int

    @property
    def name(self) -> str:
        """How many trunks."""
        return f"trunks {self.trunks}"

    @property
    def settings(self) -> dict[str, object]:
        """All that decides the scores."""
        rhythm, sound = self.bench.rhythm.settings, self.bench.sound.settings
        return {
            "rhythm": rhythm, "sound": sound, "trunks": self.trunks, "version": towers.VERSION,
        }  # fmt: skip

    def __call__(self, seed: int) -> Scores:
        """Train and measure; what the other groups have trained alone is not trained again."""
        path = place(self.bench.rhythm.bench.output, self, seed, "json")
        return kept(path, lambda: self.scores(seed))

    def scores(self, seed: int) -> Scores:
        """Scores on validation splits."""
        if self.trunks:
            joint = self.train(seed)
            model = joint.rhythm.model
            sound = judged(joint.sound.model.sound, self.bench.sound.bench)
        else:
            model = load_model(self.bench.rhythm.weights(seed))
            sound = self.bench.sound(seed)
        rhythm = measured(model, self.bench.pools)["all phases"]
        return {"validation": rhythm | sound["validation"]}

    def train(self, seed: int) -> Joint:
        """Train for all steps."""
        joint, batches = self.joint(seed), self.bench.batches(seed)
        with quiet(), bar("steps") as progress:
            steps = StepBar(progress, f"{self.name}, seed {seed}")
            trainer_of(max_epochs=1, gradient_clip_val=1.0, callbacks=[steps]).fit(joint, batches)
        return joint.eval()

    def joint(self, seed: int) -> Joint:
        """What is trained, with the first weights of both trainings alone."""
        bench = self.bench
        return Joint(bench.rhythm.module(seed), bench.sound.module(seed), self.trunks == 1)


def groups(bench: Bench) -> list[Group]:
    """What a shared trunk does, and what its sharing alone does."""
    shared = TrunkBench(TowerRun(bench), SoundRun(sound_bench(bench), sound_streams.TEACHERS))
    separate, one, two = (TrunkRun(shared, trunks) for trunks in range(3))
    metrics = (*towers.RETRIEVAL, "beat_phase", "bar_phase", *sound_streams.METRICS)
    compared = {
        "trunk": {"separate": separate, "shared trunk": one},
        "trunk, shared or not": {"a trunk each": two, "shared trunk": one},
    }
    return [Group(name, own, ("validation",), metrics) for name, own in compared.items()]
