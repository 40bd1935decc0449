"""Pretraining of MotionBeat as a LightningModule: losses, optimiser, validation."""

import math
from typing import Any, Literal

import torch
from lightning import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.nn import functional

from motionbeat.errors import MotionBeatError
from motionbeat.kinematics import PULSES
from motionbeat.live import LiveMotionBeat
from motionbeat.losses import embodied_contrastive_loss, structural_rhythm_alignment_loss
from motionbeat.model import MOTION_FRAME_RATE, Contacts, MotionBeat, Phase
from motionbeat.pretraining.batches import Batch, cluster_mates
from motionbeat.pretraining.evaluation import compare, embed, embedding_times
from motionbeat.spectrum import AUDIO_FRAME_RATE
from motionbeat.tokens import Clock
from motionbeat.weights import load_model


class PretrainingError(MotionBeatError):
    """Invalid settings, or a checkpoint with other settings."""


class Pretraining(LightningModule):
    """MotionBeat with its losses, optimiser and validation.

    Each tower has two rhythm heads, for onsets and for contact pulses. The onsets of the audio
    tower and the contacts of the motion tower are supervised by measured ones. The other two curves
    are learned from the other tower through the Structural Rhythm Alignment Loss.

    Args:
        size: size of the towers, a name in ``motionbeat.model.SIZES``.
        phase: use of the bar phase, see ``MotionBeat``.
        contacts: use of foot contacts, see ``MotionBeat``.
        live: make the audio tower causal.
        start: initial weights, a shipped name or a file; None for random weights.
        lock_audio: freeze the audio tower.
        lock_motion: freeze the motion tower.
        tempo_negatives: use motions of similar tempo and other bar phase as negatives.
        jitter_negatives: use the clip's own motion, shifted by a beat, as negatives.
        beat_weight: weight of soft-DTW over beats.
        bar_weight: weight of the earth mover's distance in the bar.
        anchor_weight: weight of the loss on measured onsets and contacts.
        phase_weight: weight of the loss on annotated phases of beat and bar.
        gamma: smoothing of soft-DTW, in squared pulses.
        learning_rate: maximum learning rate.
        weight_decay: weight decay of AdamW, for matrices.
        warm_up: share of the steps in which the learning rate increases; it then decays with a
            cosine.
        seed: seed of dropout.

    Raises:
        PretrainingError: a tower is locked at random weights, or ``start`` is of another size.
    """

    monitor = "val/r10"
    mode = "max"

    def __init__(
        self,
        size: Literal["tiny", "small", "base"] = "small",
        phase: Phase = "rotated",
        contacts: Contacts = "both",
        live: bool = False,
        start: str | None = None,
        lock_audio: bool = False,
        lock_motion: bool = False,
        tempo_negatives: bool = True,
        jitter_negatives: bool = True,
        beat_weight: float = 10.0,
        bar_weight: float = 5.0,
        anchor_weight: float = 1.0,
        phase_weight: float = 1.0,
        gamma: float = 0.01,
        learning_rate: float = 1e-3,
        weight_decay: float = 0.05,
        warm_up: float = 0.05,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.model = (LiveMotionBeat if live else MotionBeat)(size, phase, contacts)
        self.temperature = nn.Parameter(torch.tensor(math.log(0.07)))
        for locked, name in ((lock_audio, "lock_audio"), (lock_motion, "lock_motion")):
            if locked and start is None:
                raise PretrainingError(f"{name} would keep random weights; give start as well")
        if start is not None:
            begin_with(self.model, start)
        self.model.audio.requires_grad_(not lock_audio)
        self.model.motion.requires_grad_(not lock_motion)
        self.model.sound.requires_grad_(False)  # which distillation trains

    @property
    def architecture(self) -> dict[str, Any]:
        """What :class:`MotionBeat` is made with, and whether it is live."""
        live = {"live": True} if self.hparams["live"] else {}
        return {name: self.hparams[name] for name in ("size", "phase", "contacts")} | live

    def on_train_epoch_start(self) -> None:
        """Seed dropout by the seed and the epoch alone, so that it is the same after a restart."""
        torch.manual_seed(self.hparams["seed"] * 1_000_003 + self.current_epoch)
        self.model.audio.train(not self.hparams["lock_audio"])
        self.model.motion.train(not self.hparams["lock_motion"])

    def training_step(self, batch: Batch, _: int) -> Tensor:
        """The loss of a batch, with its parts logged."""
        parts = self.losses(batch)
        logged = {f"train/{name}": value.detach() for name, value in parts.items()}
        self.log_dict(logged, batch_size=batch.size)
        return parts["loss"]

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Loss and its parts, scalars."""
        goal, size = self.hparams, batch.size
        audio = self.model.audio(batch.audio.log_mel, batch.audio.lengths, batch.audio.clock)
        motion = self.model.motion(batch.motion.features, batch.motion.clock)

        times = embedding_times(batch.seconds).to(audio.device)
        music = self.model.audio.embed(audio, batch.audio.clock, times.expand(size, -1))
        true, *shifted = self.model.motion.embed(
            motion, batch.motion.clock, times.expand(3 * size, -1)
        ).chunk(3)
        jitter = torch.stack(shifted, dim=1)
        tempo = jitter[cluster_mates(size).to(jitter.device)].flatten(1, 2)
        contrast = embodied_contrastive_loss(
            music,
            true,
            tempo if goal["tempo_negatives"] else None,
            jitter if goal["jitter_negatives"] else None,
            self.temperature.exp().clamp(0.01, 1.0),
            symmetric=True,
        )
        rhythm = self._rhythm(batch, audio, motion[:size]) | {"phase": self._phase(batch, audio)}
        loss = contrast + sum(goal[f"{name}_weight"] * part for name, part in rhythm.items())
        return {"loss": loss, "contrast": contrast, **rhythm}

    def _rhythm(self, batch: Batch, audio: Tensor, motion: Tensor) -> dict[str, Tensor]:
        """Alignment of the towers' rhythm curves on the beats of the music, and their anchors."""
        clock, size = batch.audio.clock, batch.size
        moving = Clock(*(x[:size] for x in batch.motion.clock))
        grid = clock.position_times()
        times = grid.flatten(1)
        curves = [
            self.model.audio.rhythms(audio, clock, times).float(),
            self.model.motion.rhythms(motion, moving, times).float(),
        ]
        onsets = functional.max_pool1d(batch.audio.onsets, 5, stride=1, padding=2)
        measured = [
            _sampled(onsets, AUDIO_FRAME_RATE, times),
            _sampled(batch.motion.features[:size, :, PULSES], MOTION_FRAME_RATE, times),
        ]
        real = clock.mask.repeat_interleave(grid.shape[2], dim=1)
        inside = real & (times >= 0) & (times < batch.seconds)
        stepping = batch.motion.features[:size, :, PULSES].amax(dim=1) > 0  # else contacts are lost
        anchor = torch.zeros((), device=audio.device)
        for head, known in enumerate([inside, inside & stepping[:, None]]):
            wrong = functional.binary_cross_entropy_with_logits(
                curves[head][..., head], measured[head], reduction="none"
            )
            anchor = anchor + (wrong * known).sum() / known.sum().clamp_min(1)
        pulses = [logits.sigmoid().movedim(-1, 0).reshape(-1, *grid.shape[1:]) for logits in curves]
        structure = structural_rhythm_alignment_loss(
            pulses[0],
            pulses[1],
            clock.mask.repeat(2, 1),
            clock.positions.repeat(2, 1),
            clock.beats_per_bar.repeat(2),
            self.hparams["gamma"],
            float(self.hparams["beat_weight"] > 0),
            float(self.hparams["bar_weight"] > 0),
        )
        return {"beat": structure.beat, "bar": structure.bar, "anchor": anchor}

    def _phase(self, batch: Batch, audio: Tensor) -> Tensor:
        """Mean squared distance of the pulse layer's phases from the true ones on the unit circle.

        The best guess under doubt is the mean of what is possible, which is short.
        """
        shares = batch.phases[:, ::2]
        seconds = torch.arange(shares.shape[1], device=shares.device) * (2 / AUDIO_FRAME_RATE)
        beat, bar = (2 * math.pi * shares).unbind(dim=-1)
        angles = torch.stack([beat, 2 * bar, bar], dim=-1)
        true = torch.cat([angles.cos(), angles.sin()], dim=-1)
        clock = batch.audio.clock
        said = self.model.audio.phases(audio, clock, seconds.expand(len(shares), -1)).float()
        known = true.isfinite()
        return functional.mse_loss(said[known], true[known]) if known.any() else said.sum() * 0

    def validation_step(self, batch: Batch, _: int) -> None:
        """Retrieval and discrimination among all clips of the validation batch."""
        scores = compare(*embed(self.model, batch.audio, batch.motion, batch.seconds), batch)
        logged = {f"val/{name}": value for name, value in scores.items() if value == value}
        self.log_dict(logged, batch_size=batch.size, sync_dist=True)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """AdamW; only matrices decay."""
        return adamw(self)


def adamw(module: LightningModule) -> OptimizerLRScheduler:
    """AdamW with the settings of a module, of which only matrices decay.

    The learning rate rises over a share of the steps and falls by a cosine.
    """
    goal: Any = module.hparams
    trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
    groups: list[dict[str, Any]] = [
        {"params": [p for p in trained if p.ndim > 1]},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(
        groups, lr=goal["learning_rate"], weight_decay=goal["weight_decay"]
    )
    steps = int(module.trainer.estimated_stepping_batches)
    rising: int = max(1, round(goal["warm_up"] * steps))

    def factor(step: int) -> float:
        if step < rising:
            return (step + 1) / rising
        done = (step - rising) / max(1, steps - rising)
        return 0.5 * (1 + math.cos(math.pi * done))

    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def begin_with(model: MotionBeat, start: str) -> None:
    """Give a model the weights of a shipped name or a file.

    Raises:
        PretrainingError: they are of another size.
    """
    try:
        model.load_state_dict(load_model(start).state_dict())
    except RuntimeError as error:
        raise PretrainingError(
            f"{start} holds no model of its size; choose the size of {start}"
        ) from error


def _sampled(curve: Tensor, frame_rate: float, times: Tensor) -> Tensor:
    """A curve (B, T) at (B, F) seconds, interpolated."""
    place = (times * frame_rate).clamp(0, curve.shape[1] - 1)
    low = place.floor().long()
    high = (low + 1).clamp_max(curve.shape[1] - 1)
    before, after = curve.gather(1, low), curve.gather(1, high)
    return before + (place - low) * (after - before)
