"""The contract every music encoder meets, and a wrapper that lets any module meet it."""

import copy
import hashlib
import inspect
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import ClassVar

import torch
from torch import Tensor, nn

from motionbeat.audio import Channels
from motionbeat.devices import Precision
from motionbeat.errors import MotionBeatError


@dataclass(frozen=True, kw_only=True)
class EncoderCard:
    """What a reader of a results table must know about an encoder.

    Attributes:
        name: name on the command line and in every table.
        revision: changes whenever the output for the same audio changes.
        sample_rate: of the waveform the encoder takes, in Hz.
        frame_rate: of the frames it gives, in Hz; frame ``i`` is centred at ``i / frame_rate`` s.
        layers: number of hidden layers given.
        width: features a frame and layer.
        parameters: number of weights, trained or not.
        licence: of the weights, or of the code where there are none.
        training_data: names of the datasets the weights have seen; empty when untrained.
        source: paper, package or repository.
        channels: of the waveform: 1, or 2 for stereo.
        experimental: reimplemented, and never compared with the published weights.
        unequal_lengths: ``forward(waveform, lengths)`` takes recordings of unequal lengths in one
            batch; otherwise those of one length alone are encoded together.
        eight_bits: whether its frames are kept in eight bits instead of half precision.
    """

    name: str
    revision: str
    sample_rate: int
    frame_rate: float
    layers: int
    width: int
    parameters: int
    licence: str
    training_data: tuple[str, ...]
    source: str
    channels: Channels = 1
    experimental: bool = False
    unequal_lengths: bool = False
    eight_bits: bool = False


class Encoder(nn.Module):
    """A frozen music encoder: waveform in, hidden states of all layers out.

    A subclass states its ``card`` and defines ``forward``; its constructor needs no arguments.

    Attributes:
        card: what a reader of a results table must know.
        context: seconds of audio on either side that a frame depends on. Long recordings are
            encoded in pieces that overlap by it. ``math.inf``: a frame depends on the whole
            recording; the encoder is given all samples at once, and overrides :meth:`stream` where
            that takes much memory.
        causal: whether a frame depends on nothing after its time, so that it may answer late.
        precision: half precision in which it computes on a GPU, which its name says; None for
            float32.
        packages: what it imports beyond the suite's own dependencies: the name to import, and the
            arguments of ``pip install``, quoted for a shell. The encoder's module imports them in
            functions alone, so that encoders can be listed where they are missing.
    """

    card: ClassVar[EncoderCard]
    context: ClassVar[float] = 5.0
    causal: ClassVar[bool] = False
    precision: ClassVar[Precision | None] = None
    packages: ClassVar[Mapping[str, str]] = {}

    @classmethod
    def unavailable(cls) -> str | None:
        """Why this encoder cannot be made here, with the remedy; None when it can."""
        missing = [install for name, install in cls.packages.items() if find_spec(name) is None]
        return f"not installed; run: pip install {' '.join(missing)}" if missing else None

    @classmethod
    def here(cls) -> str:
        """What a list of encoders says of it: ``yes``, or what must come first."""
        return cls.unavailable() or "yes"

    @abstractmethod
    def forward(self, waveform: Tensor) -> Tensor:
        """Encode a batch of waveforms.

        Args:
            waveform: (B, T), or (B, 2, T) for ``card.channels`` of 2, float32 in [-1, 1] at
                ``card.sample_rate``; it is not changed.

        Returns:
            (B, layers, frames, width) with frame ``i`` centred at ``i / card.frame_rate`` s.

        Where ``card.unequal_lengths`` is set, a second argument ``lengths`` (B,), or None, says how
        many samples of each row are its own; zeros follow them. The first ``lengths *
        card.frame_rate // card.sample_rate + 1`` frames of a row are as if it were alone.
        """

    def stream(self, waveform: Tensor) -> Iterator[Tensor]:
        """Encode one recording (1, [2,] T) in parts (layers, frames, width) that join."""
        yield self(waveform)[0]


class WrapError(MotionBeatError):
    """A module that cannot be wrapped as an encoder."""


class WrappedModule(Encoder):
    """An encoder around any module; made by :func:`wrap`, which sets its card."""

    def __init__(self, module: nn.Module, context: float, clip: int | None) -> None:
        super().__init__()
        self.module = module
        self.clip = clip
        vars(self)["context"] = context  # set on this instance, not on the class
        self.eval().requires_grad_(False)

    def forward(self, waveform: Tensor) -> Tensor:
        """Encode (B, [2,] T) samples as (B, layers, frames, width) in single precision."""
        if self.clip is None:
            states = self._states(waveform, "frames, width")
            return states if states.ndim == 4 else states[:, None]
        clips = self._clips(waveform, self.clip)
        flat = self._states(clips.flatten(0, 1), "width")
        states = flat.view(*clips.shape[:2], *flat.shape[1:])
        return states.movedim(1, 2) if states.ndim == 4 else states[:, None]

    def _states(self, waveform: Tensor, shape: str) -> Tensor:
        states = self.module(waveform)
        dimensions = 2 + shape.count(",")
        if not isinstance(states, Tensor) or states.ndim not in (dimensions, dimensions + 1):
            is_tensor = isinstance(states, Tensor)
            given = tuple(states.shape) if is_tensor else f"a {type(states).__name__}"
            vector = is_tensor and self.clip is None and states.ndim == 2
            raise WrapError(
                f"{type(self.module).__name__} gave {given}; give one tensor (B, {shape}) or "
                f"(B, layers, {shape})"
                + (", or set clip_seconds if it gives one vector per clip" if vector else "")
            )
        return states.float()

    @staticmethod
    def _clips(waveform: Tensor, clip: int) -> Tensor:
        """Cut clips (B, n, [2,] clip), each centred on its frame except at the ends."""
        missing = max(0, clip - waveform.shape[-1])
        padded = nn.functional.pad(waveform, (0, missing))
        length = padded.shape[-1]
        centres = range(0, waveform.shape[-1] // clip * clip + 1, clip)
        starts = [min(max(0, centre - clip // 2), length - clip) for centre in centres]
        return torch.stack([padded[..., start : start + clip] for start in starts], dim=1)


def wrap(
    module: nn.Module,
    *,
    sample_rate: int,
    frame_rate: float | None = None,
    clip_seconds: float | None = None,
    channels: Channels = 1,
    name: str | None = None,
    context: float | None = None,
    revision: str | None = None,
    licence: str = "unknown",
    training_data: tuple[str, ...] = (),
    source: str | None = None,
) -> Encoder:
    """Make an encoder from any module; the encoder holds a frozen copy of the module.

    Args:
        module: maps (B, T) samples to (B, frames, width) or (B, layers, frames, width); with
            ``clip_seconds``, to one vector per clip, (B, width) or (B, layers, width).
        sample_rate: sample rate of the waveform that the module takes, in Hz.
        frame_rate: rate of the frames that the module gives, in Hz; frame ``i`` must be centred at
            ``i / frame_rate`` s.
        clip_seconds: length of the clips of a module that gives one vector per clip; replaces
            ``frame_rate``. The vectors of successive clips become the frames.
        channels: number of channels of the waveform; 2 for a module that takes (B, 2, T).
        name: name in tables; by default the name of the module's class.
        context: as in :class:`Encoder`, by default 5 s or one clip; ``math.inf`` if the module
            needs the whole recording.
        revision: must change whenever the output does; by default a digest of the module's
            weights, plain attributes and source code.
        licence: licence of the weights.
        training_data: names of the datasets the weights have seen.
        source: paper or repository; the module's class by default.

    Raises:
        WrapError: the module's output has the wrong shape or frame rate, or is not finite; or its
            source code cannot be read and no revision is given.
    """
    kind = type(module)
    if (frame_rate is None) == (clip_seconds is None):
        raise WrapError("give wrap() either frame_rate or clip_seconds")
    rate = float(frame_rate or 1 / (clip_seconds or 1))
    encoder = WrappedModule(
        copy.deepcopy(module),
        context or clip_seconds or Encoder.context,
        None if clip_seconds is None else round(clip_seconds * sample_rate),
    )
    shape = (1, sample_rate) if channels == 1 else (1, channels, sample_rate)
    noise = torch.rand(shape, generator=torch.Generator().manual_seed(0)) - 0.5
    with torch.no_grad():
        states = encoder(noise.to(next(encoder.parameters(), noise).device))
    _, layers, frames, width = states.shape
    if abs(frames - rate) > max(2.0, 0.05 * rate):
        raise WrapError(
            f"{kind.__name__} gave {frames} frames for one second of audio, not {rate:g}; "
            "set frame_rate to the true rate"
        )
    if not states.isfinite().all():
        raise WrapError(f"{kind.__name__} gave NaN or infinite features; correct the module")
    vars(encoder)["card"] = EncoderCard(
        name=name or kind.__name__,
        revision=revision or _digest(encoder.module),
        sample_rate=sample_rate,
        frame_rate=rate,
        layers=layers,
        width=width,
        parameters=sum(weights.numel() for weights in module.parameters()),
        licence=licence,
        training_data=training_data,
        channels=channels,
        source=source or f"{kind.__module__}.{kind.__qualname__}",
    )
    return encoder


def _digest(module: nn.Module) -> str:
    """Digest of a module's weights, plain attributes and the source code of its classes."""
    digest = hashlib.sha256(repr(module).encode())  # the layers of torch with their options
    for name, tensor in module.state_dict().items():
        digest.update(f"{name} {tensor.dtype}".encode())
        digest.update(tensor.cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    plain = bool, int, float, str, tuple, list, dict
    for part in module.modules():
        own = {name: v for name, v in vars(part).items() if name[0] != "_" and isinstance(v, plain)}
        digest.update(repr(sorted(own.items())).encode())
    for kind in sorted({type(part) for part in module.modules()}, key=repr):
        if not kind.__module__.startswith("torch."):
            try:
                digest.update(inspect.getsource(kind).encode())
            except (OSError, TypeError) as error:
                raise WrapError(
                    f"the source code of {kind.__name__} cannot be read; give wrap() a revision"
                ) from error
    return digest.hexdigest()[:12]
