"""The interface of music encoders, and a wrapper that gives it to any module."""

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
    """Facts about an encoder that a reader of a results table needs.

    Attributes:
        name: name on the command line and in every table.
        revision: version of the features; must change whenever the output for the same audio does.
        sample_rate: sample rate of the input waveform in Hz.
        frame_rate: frame rate of the output in Hz; frame ``i`` is centred at ``i / frame_rate`` s.
        layers: number of layers in the output.
        width: number of features per frame and layer.
        parameters: number of weights, trained or not.
        licence: licence of the weights, or of the code if there are none.
        training_data: names of the datasets that the weights were trained on; empty if untrained.
        source: paper, package or repository.
        channels: number of channels of the input waveform: 1, or 2 for stereo.
        experimental: whether the network has never been run with the published weights.
        unequal_lengths: whether ``forward(waveform, lengths)`` accepts recordings of unequal length
            in one batch. Otherwise only recordings of equal length are encoded together.
        eight_bits: whether frames are stored with 8 bits per value instead of half precision.
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
    """A frozen music encoder, which maps a waveform to the hidden states of all its layers.

    A subclass defines ``card`` and ``forward``, and a constructor without required arguments.

    Attributes:
        card: facts about the encoder.
        context: seconds of audio on either side that a frame depends on, 5 by default. Long
            recordings are encoded in chunks that overlap by it. With ``math.inf`` a frame depends
            on the whole recording: the encoder receives all samples at once, and should override
            :meth:`stream` if that needs much memory.
        causal: whether a frame depends only on audio up to its time. The response to a click may
            then come late.
        precision: half precision in which the encoder computes on a GPU; None for float32.
        packages: packages that the encoder needs in addition to the project's dependencies: the
            name to import, and the arguments of ``pip install``, quoted for a shell. Import them
            inside functions, so that the encoder can be listed where they are missing.
    """

    card: ClassVar[EncoderCard]
    context: ClassVar[float] = 5.0
    causal: ClassVar[bool] = False
    precision: ClassVar[Precision | None] = None
    packages: ClassVar[Mapping[str, str]] = {}

    @classmethod
    def unavailable(cls) -> str | None:
        """The reason why the encoder cannot be used here, with the remedy; None if it can."""
        missing = [install for name, install in cls.packages.items() if find_spec(name) is None]
        return f"not installed; run: pip install {' '.join(missing)}" if missing else None

    @classmethod
    def here(cls) -> str:
        """``yes`` if the encoder can be used here, otherwise what is missing; shown in lists."""
        return cls.unavailable() or "yes"

    @abstractmethod
    def forward(self, waveform: Tensor) -> Tensor:
        """Encode a batch of waveforms.

        Args:
            waveform: (B, T), or (B, 2, T) if ``card.channels`` is 2, float32 in [-1, 1] at
                ``card.sample_rate``; must not be modified in place.

        Returns:
            (B, layers, frames, width) float32, with frame ``i`` centred at
            ``i / card.frame_rate`` s.

        If ``card.unequal_lengths`` is set, there is a second argument ``lengths`` (B,), or None:
        the number of samples of each row, which zeros follow. The first ``lengths *
        card.frame_rate // card.sample_rate + 1`` frames of a row are as if the recording were
        encoded alone.
        """

    def stream(self, waveform: Tensor) -> Iterator[Tensor]:
        """Encode one recording (1, [2,] T) as consecutive parts (layers, frames, width)."""
        yield self(waveform)[0]


class WrapError(MotionBeatError):
    """A module that cannot be wrapped as an encoder."""


class WrappedModule(Encoder):
    """An encoder made from any module by :func:`wrap`, which sets its card."""

    def __init__(self, module: nn.Module, context: float, clip: int | None) -> None:
        super().__init__()
        self.module = module
        self.clip = clip
        vars(self)["context"] = context  # set on this instance, not on the class
        self.eval().requires_grad_(False)

    def forward(self, waveform: Tensor) -> Tensor:
        """Encode (B, [2,] T) samples as (B, layers, frames, width) in single precision.

        Raises:
            WrapError: the output of the module has the wrong shape.
        """
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

    The module is run on one second of noise to find the number of layers and the width.

    Args:
        module: maps (B, T) samples to (B, frames, width) or (B, layers, frames, width); with
            ``clip_seconds``, to one vector per clip, (B, width) or (B, layers, width).
        sample_rate: sample rate of the module's input in Hz.
        frame_rate: frame rate of the module's output in Hz; frame ``i`` must be centred at
            ``i / frame_rate`` s.
        clip_seconds: length in seconds of the clips of a module that returns one vector per clip;
            replaces ``frame_rate``. The vectors of successive clips become the frames.
        channels: number of channels of the waveform; 2 for a module that takes (B, 2, T).
        name: name in tables; by default the name of the module's class.
        context: seconds of audio on either side that a frame depends on; by default one clip with
            ``clip_seconds``, else 5 s; ``math.inf`` if the module needs the whole recording.
        revision: must change whenever the output does; by default a digest of the module's
            weights, plain attributes and source code.
        licence: licence of the weights.
        training_data: names of the datasets that the weights were trained on.
        source: paper or repository; by default the module's class.

    Returns:
        The encoder, in evaluation mode, without gradients.

    Raises:
        WrapError: neither or both of ``frame_rate`` and ``clip_seconds`` are given; the module's
            output has the wrong shape or frame rate, or is not finite; or its source code cannot
            be read and no revision is given.
    """
    kind = type(module)
    if (frame_rate is None) == (clip_seconds is None):
        raise WrapError("give wrap() either frame_rate or clip_seconds")
    rate = float(frame_rate or 1 / (clip_seconds or 1))
    encoder = WrappedModule(
        copy.deepcopy(module),
        (clip_seconds or Encoder.context) if context is None else context,
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
