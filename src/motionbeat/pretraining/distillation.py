"""Distillation of the sound stream: it predicts features of taggers over ten seconds of music."""

from collections.abc import Iterator, Mapping
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from lightning import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import Sampler

from motionbeat.model import MotionBeat
from motionbeat.pretraining.module import adamw, begin_with
from motionbeat.spectrum import BANDS, regain

_EQUALISER = 5  # points of a curve of gains over the bands
_SHORTEST = 0.4  # of a segment that is heard
_MIXED = 0.5  # share of segments that another one is added to
_MASKED = 12  # bands at most that are not heard


class Segments(NamedTuple):
    """A batch of segments of music, with the features of the teachers.

    Attributes:
        log_mel: (B, T, BANDS) at ``AUDIO_FRAME_RATE``.
        targets: standardised features (B, width) by teacher.
    """

    log_mel: Tensor
    targets: dict[str, Tensor]


def augmented(batch: Segments, gain: float) -> Segments:
    """Augment a batch for the student; the teachers received whole, clean segments.

    Each segment gets random gains with a standard deviation of ``gain`` dB, overall and along the
    bands. Some segments are mixed with another one, and their targets are averaged with the same
    weights (Zhang et al., "mixup", 2018). One window is cut from all segments, and a range of bands
    is silenced in each (Park et al., "SpecAugment", 2019).
    """
    log_mel, device = batch.log_mel, batch.log_mel.device
    count, frames = log_mel.shape[:2]
    points = torch.randn(count, 1, _EQUALISER + 1, device=device) * gain
    curve = functional.interpolate(points[..., 1:], BANDS, mode="linear", align_corners=True)
    length = max(1, round(frames * float(torch.empty(()).uniform_(_SHORTEST, 1))))
    start = int(torch.randint(frames - length + 1, ()))
    log_mel = regain(log_mel[:, start : start + length], points[..., :1] + curve)

    share = torch.rand(count, device=device) / 2 * (torch.rand(count, device=device) < _MIXED)
    amplitude = torch.expm1(log_mel)
    amplitude = amplitude.lerp(amplitude.roll(1, 0), share[:, None, None])
    targets = {name: y.lerp(y.roll(1, 0), share[:, None]) for name, y in batch.targets.items()}

    band = torch.arange(BANDS, device=device)
    first = torch.randint(BANDS, (count, 1), device=device)
    size = torch.randint(_MASKED + 1, (count, 1), device=device)
    kept = (band < first) | (band >= first + size)
    return Segments(torch.log1p(amplitude * kept[:, None]), targets)


class BalancedSampler(Sampler[list[int]]):
    """Random batches in which all clusters are equally frequent.

    The draws depend only on the seed and the epoch.

    Args:
        cluster: (segments,) index of the cluster of each segment.
        batch_size: segments per batch.
        steps: batches per epoch.
        seed: seed of the draws.
    """

    def __init__(
        self, cluster: NDArray[np.integer[Any]], batch_size: int, steps: int, seed: int
    ) -> None:
        counts = np.bincount(cluster)
        self.shares = 1 / counts[cluster] / (counts > 0).sum()
        self.batch_size, self.steps, self.seed, self.epoch = batch_size, steps, seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Set the number of the epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[list[int]]:
        rng = np.random.default_rng((self.seed, self.epoch))
        for _ in range(self.steps):
            yield rng.choice(len(self.shares), self.batch_size, p=self.shares).tolist()


class Distillation(LightningModule):
    """The sound stream of a model, with a linear map to each teacher's features.

    The loss of a teacher is one minus the cosine of the two vectors, and half their smooth L1
    distance; teachers count alike. Segments are drawn from all clusters of the teachers' features
    alike. Both follow S-SONDO (ICASSP 2026), which distils audio models from embeddings alone.

    Args:
        widths: features of each teacher by its name; the command line takes them from the data.
        size: of the model.
        start: weights to begin with, a shipped name or a file; None for random ones.
        gain: deviation of the random gains of each segment, overall and along the bands, in dB.
        learning_rate: the highest.
        weight_decay: of AdamW, for matrices.
        warm_up: share of the steps over which the learning rate rises; it then falls by a cosine.
        seed: of the gains.

    Raises:
        PretrainingError: ``start`` is of another size.
    """

    monitor = "val/loss"
    mode = "min"

    def __init__(
        self,
        widths: Mapping[str, int],
        size: Literal["tiny", "small", "base"] = "small",
        start: str | None = None,
        gain: float = 3.0,
        learning_rate: float = 3e-3,
        weight_decay: float = 0.05,
        warm_up: float = 0.05,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.architecture = {"size": size}
        self.model = MotionBeat(size)
        if start is not None:
            begin_with(self.model, start)
        self.model.requires_grad_(False)
        # In this layout convolutions of many channels take a third less time.
        self.model.sound.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.model.sound.requires_grad_(True)
        width = self.model.sound.mix.out_channels
        self.heads = nn.ModuleDict({name: nn.Linear(width, n) for name, n in widths.items()})

    def on_train_epoch_start(self) -> None:
        """Seed the gains by the seed and the epoch alone, so that they are the same again."""
        torch.manual_seed(self.hparams["seed"] * 1_000_003 + self.current_epoch)

    def training_step(self, batch: Segments, _: int) -> Tensor:
        """The loss of a batch, augmented."""
        parts = self.losses(augmented(batch, self.hparams["gain"]))
        self._log(parts, batch, "train")
        return parts["loss"]

    def validation_step(self, batch: Segments, _: int) -> None:
        """The loss of a batch."""
        self._log(self.losses(batch), batch, "val")

    def losses(self, batch: Segments) -> dict[str, Tensor]:
        """Loss of each teacher and their mean, scalars, of a batch as it is."""
        heard = self.model.sound(batch.log_mel).mean(dim=1)
        parts = {}
        for name, target in batch.targets.items():
            said = self.heads[name](heard).float()
            cosine = functional.cosine_similarity(said, target, dim=-1).mean()
            parts[name] = 1 - cosine + 0.5 * functional.smooth_l1_loss(said, target)
        return parts | {"loss": torch.stack(list(parts.values())).mean()}

    def _log(self, parts: dict[str, Tensor], batch: Segments, stage: str) -> None:
        logged = {f"{stage}/{name}": value.detach() for name, value in parts.items()}
        self.log_dict(logged, batch_size=len(batch.log_mel), sync_dist=stage == "val")

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """AdamW; only matrices decay."""
        return adamw(self)
