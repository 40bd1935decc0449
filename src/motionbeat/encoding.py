"""Encoding recordings of any length, and finding encoders by their names."""

import copy
import math
from collections.abc import Iterable, Iterator
from importlib import import_module

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from motionbeat.audio import Waveform
from motionbeat.encoder import Encoder, EncoderCard
from motionbeat.errors import MotionBeatError

CHUNK_SECONDS = 60.0
_SLACK = 0.5  # s of frames that may lack or be too many, at the ends of a recording

_LARGEST = float(np.finfo(np.float16).max)
_AT_ONCE = 1 << 15  # numbers: within the cache, and too few for torch to wake its threads

Features = NDArray[np.floating]


class EncodingError(MotionBeatError):
    """An encoder that breaks its contract."""


class TrackError(EncodingError):
    """A fault of one recording, which leaves the others as they are."""


def find_encoder(encoder: str | Encoder) -> type[Encoder] | Encoder:
    """The class of an encoder by its name; an encoder is taken as it is.

    Raises:
        UnknownNameError: no encoder has the name.
    """
    if isinstance(encoder, Encoder):
        return encoder
    # The encoder zoo stands on a floor above this one, so it is looked up when it is asked for.
    found: type[Encoder] = import_module("motionbeat.benchmarks.registry").ENCODERS.get(encoder)
    return found


def make_encoder(encoder: str | Encoder) -> Encoder:
    """An encoder by its name, frozen and in evaluation mode; a copy of one that is given.

    Raises:
        UnknownNameError: no encoder has the name.
        UnavailableError: a package or the weights are missing.
    """
    if isinstance(encoder, Encoder):
        made = copy.deepcopy(encoder)
    else:
        registry = import_module("motionbeat.benchmarks.registry")
        [made] = registry.make([registry.ENCODERS.get(encoder)])
    return made.eval().requires_grad_(False)


def halved(features: Features) -> Features:
    """Features in half precision where they fit; what is pooled is rounded like what is stored.

    Some thousand numbers at a time are checked and rounded while they are in the processor's cache.
    """
    if features.dtype == np.float16:
        return features
    numbers = torch.from_numpy(np.ascontiguousarray(features)).view(-1)
    rounded = torch.empty(len(numbers), dtype=torch.float16)
    for some, place in zip(
        *(torch.split(one, _AT_ONCE) for one in (numbers, rounded)), strict=True
    ):
        low, high = torch.aminmax(some) if len(some) else (0, 0)
        if not (low >= -_LARGEST and high <= _LARGEST):
            return features
        place.copy_(some)  # numpy rounds the same way, but is ten times as slow on tiny numbers
    return rounded.numpy().reshape(features.shape)


def encode(encoder: Encoder, waveform: Waveform, device: torch.device | str = "cpu") -> Features:
    """Encode ([2,] samples) of a recording of any length as (frames, layers, width) float32.

    Raises:
        EncodingError: the output has another shape than the card says.
        TrackError: the output is not finite.
    """
    features: Features = np.concatenate(list(encode_pieces(encoder, waveform, device)))
    return features


@torch.no_grad()  # and no inference mode: what an encoder keeps from it shall serve fine-tuning too
def encode_pieces(
    encoder: Encoder, waveform: Waveform, device: torch.device | str = "cpu"
) -> Iterator[Features]:
    """Consecutive pieces of what :func:`encode` returns, for bounded memory.

    Frames near a seam see the encoder's context on both sides. An encoder that needs the whole
    recording is given the array itself, which it may overwrite.
    """
    card = encoder.card
    parts: Iterable[tuple[Tensor, slice, int]]
    if math.isinf(encoder.context):
        whole = encoder.stream(torch.from_numpy(waveform)[None].to(device))
        parts = ((states, slice(None), 0) for states in whole)
    else:
        parts = _chunks(encoder, waveform, device)
    frames = 0
    for states, inside, samples in parts:
        if states.ndim != 3 or (states.shape[0], states.shape[2]) != (card.layers, card.width):
            raise EncodingError(
                f"encoder {card.name}: gave {tuple(states.shape)}, its card says "
                f"({card.layers}, frames, {card.width}); correct the card or the encoder"
            )
        frames += states.shape[1]
        if samples:
            _check_length(card, states.shape[1], samples)
        # A copy, as a view would keep the margins in memory.
        piece = states[:, inside].movedim(1, 0).float().cpu().numpy().copy()
        if not np.isfinite(piece).all():
            raise TrackError(
                f"encoder {card.name}: gave NaN or infinite features; mend the encoder"
            )
        yield piece
    if math.isinf(encoder.context):
        _check_length(card, frames, waveform.shape[-1])


def _check_length(card: EncoderCard, frames: int, samples: int) -> None:
    """Refuse frames that come at another rate than the card says."""
    seconds = samples / card.sample_rate
    if abs(frames - seconds * card.frame_rate) > 2 + _SLACK * card.frame_rate:
        one = " or wrap() it with clip_seconds, where it gives one vector a clip" * (frames == 1)
        raise EncodingError(
            f"encoder {card.name}: gave {frames} frames for {seconds:.2f} s of audio, where its "
            f"card says {card.frame_rate:g} a second; correct frame_rate{one}"
        )


def _chunks(
    encoder: Encoder, waveform: Waveform, device: torch.device | str
) -> Iterator[tuple[Tensor, slice, int]]:
    """States (layers, frames, width) of chunks with their context; frames without it; samples."""
    rate = encoder.card.frame_rate
    core, margin = math.ceil(CHUNK_SECONDS * rate), math.ceil(encoder.context * rate)
    total = math.ceil(waveform.shape[-1] / encoder.card.sample_rate * rate)

    def sample(frame: int) -> int:
        return round(frame / rate * encoder.card.sample_rate)

    for first in range(0, max(total, 1), core):
        start, last = max(0, first - margin), first + core >= total
        stop = None if last else sample(first + core + margin)
        # A copy, as an encoder may overwrite its input.
        chunk = torch.tensor(waveform[..., sample(start) : stop], device=device)
        inside = slice(first - start, None if last else first - start + core)
        yield encoder(chunk[None])[0], inside, chunk.shape[-1]
