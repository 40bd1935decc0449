"""What stands before a head: an encoder, brought to the steps of a task and standardised."""

import math
from collections.abc import Iterable
from functools import cached_property

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader

from motionbeat.data_modules.base import Batch, Clips
from motionbeat.encoder import Encoder
from motionbeat.encoding import encode, find_encoder, make_encoder
from motionbeat.features import frames_in_segment, resample_frames, segment_means
from motionbeat.tasks.adapters import EncoderMode, unfreeze


class FrontEnd(nn.Module):
    """Standardised features of batches of audio, or of batches of features encoded before.

    They have ``step_rate`` steps a second. A frozen encoder is made when it is first needed, and
    its weights are in no state.

    Args:
        encoder: a name that ``motionbeat list encoders`` shows, or an encoder.
        mode: what of it is trained.
        seed: of the adapters' initialisation.
        segment_seconds: seconds of frames averaged into one step, None for frames.
        target_rate: Hz that frames are brought to, None for the encoder's own.
    """

    feature_mean: Tensor
    feature_std: Tensor

    def __init__(
        self,
        encoder: str | Encoder,
        mode: EncoderMode = "frozen",
        seed: int = 0,
        segment_seconds: float | None = None,
        target_rate: float | None = None,
    ) -> None:
        super().__init__()
        self.card = find_encoder(encoder).card
        self.mode = mode
        self.segment_seconds = segment_seconds
        self.step_rate = target_rate or self.card.frame_rate
        if segment_seconds is not None:
            self.step_rate = self.card.frame_rate / frames_in_segment(
                self.card.frame_rate, segment_seconds
            )
        self._named = encoder
        self.encoder_module: Encoder | None = None
        if mode != "frozen":
            self.encoder_module = unfreeze(make_encoder(encoder), mode, seed)
        shape = self.card.layers, self.card.width
        self.register_buffer("feature_mean", torch.zeros(shape))
        self.register_buffer("feature_std", torch.ones(shape))

    @cached_property
    def _frozen(self) -> Encoder:
        return make_encoder(self._named)

    @property
    def encoder(self) -> Encoder:
        """The encoder, on the device of the statistics."""
        return self.encoder_module or self._frozen.to(self.feature_mean.device)

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Standardised features (B, T, layers, width) at ``step_rate``, and where they are real."""
        features, mask = self.features(batch)
        return self.standardise(features), mask

    def standardise(self, features: Tensor) -> Tensor:
        """Features with mean 0 and deviation 1 on the training split."""
        return (features - self.feature_mean) / self.feature_std

    def features(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Features (B, T, layers, width), float32, at ``step_rate``, and where they are real."""
        rate, lengths = batch.frame_rate, batch.mask.sum(dim=1).tolist()
        if batch.features is None:
            assert batch.waveform is not None
            audio = zip(batch.waveform, lengths, strict=True)
            rows = [
                self._at_step_rate(self._encoded(one[..., :length], rate), self.card.frame_rate)
                for one, length in audio
            ]
        elif math.isclose(rate, self.step_rate):
            return batch.features.float(), batch.mask
        else:
            frames = zip(batch.features, lengths, strict=True)
            rows = [self._at_step_rate(one[:length].float(), rate) for one, length in frames]
        padded = pad_sequence(rows, batch_first=True)
        sizes = torch.tensor([len(row) for row in rows], device=padded.device)
        return padded, torch.arange(padded.shape[1], device=padded.device) < sizes[:, None]

    def _encoded(self, waveform: Tensor, sample_rate: float) -> Tensor:
        """Frames (frames, layers, width) of one recording, so that memory stays bounded."""
        audio = resample_audio(waveform, sample_rate, self.card.sample_rate)
        if self.mode != "frozen" and self.training and torch.is_grad_enabled():
            states: Tensor = self.encoder(audio[None])
            return states[0].movedim(0, 1)
        features = encode(self.encoder, audio.cpu().numpy(), waveform.device)
        return torch.from_numpy(features).to(waveform.device).float()

    def _at_step_rate(self, frames: Tensor, frame_rate: float) -> Tensor:
        needed = min(self.step_rate, self.card.frame_rate)
        if frame_rate < needed:
            raise ValueError(
                f"features at {frame_rate:g} Hz, where {needed:g} Hz are needed; "
                "give the encoder's own frames"
            )
        if self.segment_seconds is not None:
            return segment_means(frames, frame_rate, self.segment_seconds)
        return resample_frames(frames, frame_rate, self.step_rate)

    @torch.no_grad()
    def gather_statistics(self, loader: Iterable[Batch]) -> None:
        """Set the mean and deviation of the training features, whole track by whole track.

        Chan, Golub and LeVeque, "Algorithms for computing the sample variance", 1983, eq. 2.1.

        Args:
            loader: of training clips; its order does not matter.
        """
        if isinstance(loader, DataLoader) and isinstance(loader.dataset, Clips):
            loader = DataLoader(
                loader.dataset.whole(),
                collate_fn=loader.collate_fn,
                num_workers=loader.num_workers,
            )
        count = 0
        mean = np.zeros(self.feature_mean.shape)
        squares = np.zeros_like(mean)
        for batch in loader:
            features, mask = self.features(batch.to(self.feature_mean.device))
            steps = features[mask].cpu().numpy()
            delta = steps.mean(axis=0, dtype=np.float64) - mean
            total = count + len(steps)
            squares += steps.var(axis=0, dtype=np.float64) * len(steps)
            squares += delta**2 * count * len(steps) / total
            mean += delta * len(steps) / total
            count = total
        std = np.sqrt(squares / max(count, 1))
        self.feature_mean.copy_(torch.from_numpy(mean))
        self.feature_std.copy_(torch.from_numpy(np.where(std > 1e-6, std, 1.0)))


def resample_audio(waveform: Tensor, source_rate: float, target_rate: int) -> Tensor:
    """Audio ([2,] samples) at another sample rate in Hz, on its own device."""
    if source_rate == target_rate:
        return waveform
    from motionbeat._torchaudio import functional

    resampled: Tensor = functional.resample(waveform, round(source_rate), target_rate)
    return resampled
