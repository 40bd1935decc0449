"""Encoding recordings of any length, and finding encoders by their names."""

import math
from importlib import import_module

import numpy as np
import torch
from numpy.typing import NDArray

from motionbeat.audio import Waveform
from motionbeat.encoder import Encoder
from motionbeat.errors import MotionBeatError

CHUNK_SECONDS = 60.0

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
    """An encoder by its name, frozen and in evaluation mode.

    Raises:
        UnknownNameError: no encoder has the name.
        UnavailableError: a package or the weights are missing.
    """
    if isinstance(encoder, Encoder):
        return encoder.eval().requires_grad_(False)
    registry = import_module("motionbeat.benchmarks.registry")
    [made] = registry.make([registry.ENCODERS.get(encoder)])
    found: Encoder = made.eval().requires_grad_(False)
    return found


def halved(features: Features) -> Features:
    """Features in half precision where they fit; what is pooled is rounded like what is stored."""
    if np.abs(features).max(initial=0) > np.finfo(np.float16).max:
        return features
    # numpy rounds the same way, but is ten times as slow on tiny numbers
    return torch.from_numpy(features).half().numpy()


@torch.no_grad()  # and no inference mode: what an encoder keeps from it shall serve fine-tuning too
def encode(encoder: Encoder, waveform: Waveform, device: torch.device | str = "cpu") -> Features:
    """Encode a recording of any length piece by piece.

    Args:
        encoder: in evaluation mode.
        waveform: (samples,) at the encoder's sample rate.
        device: where the encoder is.

    Returns:
        (frames, layers, width) float32. Frames near a seam see the encoder's context on both sides.

    Raises:
        EncodingError: the output has another shape than the card says.
        TrackError: the output is not finite.
    """
    card = encoder.card
    core = math.ceil(CHUNK_SECONDS * card.frame_rate)
    margin = math.ceil(encoder.context * card.frame_rate)
    total = math.ceil(len(waveform) / card.sample_rate * card.frame_rate)

    def sample(frame: int) -> int:
        return round(frame / card.frame_rate * card.sample_rate)

    pieces = []
    for first in range(0, max(total, 1), core):
        start, last = max(0, first - margin), first + core >= total
        stop = None if last else sample(first + core + margin)
        piece = torch.from_numpy(waveform[sample(start) : stop]).to(device, non_blocking=True)
        states = encoder(piece[None])[0]
        if states.ndim != 3 or (states.shape[0], states.shape[2]) != (card.layers, card.width):
            raise EncodingError(
                f"encoder {card.name}: gave {tuple(states.shape)}, its card says "
                f"({card.layers}, frames, {card.width}); correct the card or the encoder"
            )
        piece = states[:, first - start : None if last else first - start + core]
        # A copy, as a view would keep the margins in memory.
        pieces.append(piece.movedim(1, 0).float().cpu().numpy().copy())
    features: Features = np.concatenate(pieces)
    if not np.isfinite(features).all():
        raise TrackError(f"encoder {card.name}: gave NaN or infinite features; mend the encoder")
    return features
