"""Encoding of recordings of any length, and encoders by name."""

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
_SLACK = 0.5  # s of frames that may be missing or surplus at the end of a recording

Features = NDArray[np.floating]


class EncodingError(MotionBeatError):
    """An encoder whose output does not match its card."""


class TrackError(EncodingError):
    """An error on one recording, after which the others can still be encoded."""


def find_encoder(encoder: str | Encoder) -> type[Encoder] | Encoder:
    """The class of an encoder by name; an encoder is returned unchanged.

    Raises:
        UnknownNameError: no encoder has the name.
    """
    if isinstance(encoder, Encoder):
        return encoder
    # The registry belongs to a higher package, so it is imported on use.
    found: type[Encoder] = import_module("motionbeat.benchmarks.registry").ENCODERS.get(encoder)
    return found


def make_encoder(encoder: str | Encoder) -> Encoder:
    """Make an encoder by name, or copy a given one; it is frozen and in evaluation mode.

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
    """Features in half precision, as they are stored; unchanged if their range is too large."""
    if np.abs(features).max(initial=0) > np.finfo(np.float16).max:
        return features
    # numpy rounds the same way, but is ten times as slow on tiny numbers
    return torch.from_numpy(features).half().numpy()


def encode(encoder: Encoder, waveform: Waveform, device: torch.device | str = "cpu") -> Features:
    """Encode a recording of any length.

    Args:
        encoder: the encoder.
        waveform: (samples,) or (2, samples) float32 at the sample rate of the encoder's card.
        device: where the encoder is.

    Returns:
        (frames, layers, width) float32.

    Raises:
        EncodingError: the shape or frame rate of the output differs from the card.
        TrackError: the output is not finite.
    """
    features: Features = np.concatenate(list(encode_pieces(encoder, waveform, device)))
    return features


@torch.no_grad()  # not inference mode: tensors that an encoder caches must allow fine-tuning later
def encode_pieces(
    encoder: Encoder, waveform: Waveform, device: torch.device | str = "cpu"
) -> Iterator[Features]:
    """Yield consecutive pieces of the result of :func:`encode`, for bounded memory.

    Frames near the edge of a piece see the encoder's context on both sides. An encoder that needs
    the whole recording receives the array itself and may overwrite it.
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
    """Check that the number of frames agrees with the frame rate on the card."""
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
    """Yield states (layers, frames, width) of chunks, the frames without context, and samples."""
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
