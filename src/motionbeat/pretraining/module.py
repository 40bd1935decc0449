"""The training step: two losses between music and motion, and the anchors of the rhythm heads."""

import math
from typing import Any

import torch
from lightning import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.nn import functional

from motionbeat.kinematics import PULSES
from motionbeat.losses import embodied_contrastive_loss, structural_rhythm_alignment_loss
from motionbeat.model import AUDIO_RATE, MOTION_RATE, MotionBeat
from motionbeat.pretraining.batches import Batch, mates
from motionbeat.pretraining.evaluation import Clips, compare, embed, moments
from motionbeat.pretraining.settings import Objective


class Pretraining(LightningModule):
    """MotionBeat with its losses, optimiser and validation.

    Each tower has two rhythm curves, onsets and contact pulses. The audio tower's onsets are
    anchored to the measured ones and the motion tower's contacts to theirs; what a tower cannot
    measure, it learns from the other one through the Structural Rhythm Alignment Loss.

    Args:
        model: the towers.
        objective: the losses.
        learning_rate: the highest.
        weight_decay: of AdamW.
        warm_up: share of the steps over which the learning rate rises; it falls by a cosine after.
        seed: of what is random in a step.
        validation: clips to choose the checkpoint by; they are compared all with all.
        locked: the audio tower keeps its weights, and so what it says of music.
    """

    def __init__(
        self,
        model: MotionBeat,
        objective: Objective,
        learning_rate: float,
        weight_decay: float,
        warm_up: float,
        seed: int,
        validation: Clips,
        locked: bool = False,
    ) -> None:
        super().__init__()
        self.model = model
        self.temperature = nn.Parameter(torch.tensor(math.log(0.07)))
        self.objective = objective
        self.learning_rate, self.weight_decay = learning_rate, weight_decay
        self.warm_up, self.seed = warm_up, seed
        self.validation = validation
        self.locked = locked
        model.audio.requires_grad_(not locked)

    def on_train_epoch_start(self) -> None:
        """Make what is random depend on the seed and the epoch alone, also after a restart."""
        torch.manual_seed(self.seed * 1_000_003 + self.current_epoch)
        self.model.audio.train(not self.locked)

    def training_step(self, batch: Batch, _: int) -> Tensor:
        """The loss of a batch, with its parts logged."""
        parts = self.losses(batch)
        self.log_dict(
            {f"train/{name}": value.detach() for name, value in parts.items()},
            batch_size=len(batch),
        )
        return parts["loss"]

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Loss and its parts, scalars."""
        model, goal, size = self.model, self.objective, len(batch)
        heard, seen = batch.heard, batch.seen
        audio = model.audio(heard.log_mel, heard.lengths, heard.clock)[-1]
        motion = model.motion(seen.features, seen.clock)[-1]

        when = moments(batch.seconds).to(audio.device)
        music = model.audio.embed(audio, heard.clock, when.expand(size, -1))
        true, *shifted = model.motion.embed(motion, seen.clock, when.expand(3 * size, -1)).chunk(3)
        jitter = torch.stack(shifted, dim=1)
        tempo = jitter[mates(size).to(jitter.device)].flatten(1, 2)
        contrast = embodied_contrastive_loss(
            music,
            true,
            tempo if goal.tempo_negatives else None,
            jitter if goal.jitter_negatives else None,
            self.temperature.exp().clamp(0.01, 1.0),
            symmetric=True,
        )
        parts = {"contrast": contrast, **self._rhythm(batch, audio, motion[:size])}
        total = contrast + goal.beat * parts["beat"] + goal.bar * parts["bar"]
        return {"loss": total + goal.anchor * parts["anchor"], **parts}

    def _rhythm(self, batch: Batch, audio: Tensor, motion: Tensor) -> dict[str, Tensor]:
        """Alignment of the towers' rhythm curves on the beats of the music, and their anchors."""
        heard, size = batch.heard, len(batch)
        clock, watched = heard.clock, batch.seen.clock.first(size)
        grid = clock.moments()
        when = grid.flatten(1)
        curves = [
            self.model.audio.rhythms(audio, clock, when).float(),
            self.model.motion.rhythms(motion, watched, when).float(),
        ]
        onsets = functional.max_pool1d(heard.onsets, 5, stride=1, padding=2)
        contacts = batch.seen.features[:size, :, PULSES]
        real = clock.mask.repeat_interleave(grid.shape[2], dim=1)
        inside = real & (when >= 0) & (when < batch.seconds)
        anchors = [
            functional.binary_cross_entropy_with_logits(
                logits[..., kind][inside], _sampled(curve, rate, when)[inside]
            )
            for kind, (logits, curve, rate) in enumerate(
                zip(curves, (onsets, contacts), (AUDIO_RATE, MOTION_RATE), strict=True)
            )
        ]
        pulses = [logits.sigmoid().movedim(-1, 0).reshape(-1, *grid.shape[1:]) for logits in curves]
        structure = structural_rhythm_alignment_loss(
            pulses[0],
            pulses[1],
            clock.mask.repeat(2, 1),
            clock.positions.repeat(2, 1),
            clock.beats_per_bar.repeat(2),
            self.objective.gamma,
            float(self.objective.beat > 0),
            float(self.objective.bar > 0),
        )
        return {"beat": structure.beat, "bar": structure.bar, "anchor": anchors[0] + anchors[1]}

    def validation_step(self, batch: Batch, _: int) -> None:
        """Retrieval and discrimination among all clips of the validation batch."""
        scores = compare(*embed(self.model, batch), self.validation)
        self.log_dict(
            {f"validation/{name}": value for name, value in scores.items() if value == value},
            batch_size=len(batch),
            sync_dist=True,
        )
        both = scores["music_to_motion_r10"] + scores["motion_to_music_r10"]
        self.log("retrieval", both / 2, batch_size=len(batch), prog_bar=True, sync_dist=True)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """AdamW; only matrices decay."""
        trained = [parameter for parameter in self.parameters() if parameter.requires_grad]
        groups: list[dict[str, Any]] = [
            {"params": [p for p in trained if p.ndim > 1]},
            {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
        ]
        optimizer = torch.optim.AdamW(
            groups,
            lr=self.learning_rate,
            weight_decay=self.weight_decay,
        )
        steps = int(self.trainer.estimated_stepping_batches)
        rising = max(1, round(self.warm_up * steps))

        def factor(step: int) -> float:
            if step < rising:
                return (step + 1) / rising
            return 0.5 * (1 + math.cos(math.pi * (step - rising) / max(1, steps - rising)))

        schedule: Any = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def _sampled(curve: Tensor, rate: float, when: Tensor) -> Tensor:
    """A curve (B, T) at (B, F) seconds, interpolated."""
    place = (when * rate).clamp(0, curve.shape[1] - 1)
    low = place.floor().long()
    high = (low + 1).clamp_max(curve.shape[1] - 1)
    before, after = curve.gather(1, low), curve.gather(1, high)
    return before + (place - low) * (after - before)
