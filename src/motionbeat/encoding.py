"""Encoding of recordings of any length, and encoders by name."""

import copy
import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib import import_module
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from motionbeat.audio import Waveform
from motionbeat.devices import CPU, BatchBudget, Device
from motionbeat.encoder import Encoder, EncoderCard
from motionbeat.errors import MotionBeatError

CHUNK_SECONDS = 60.0
_SLACK = 0.5  # s of frames that may be missing or surplus at the end of a recording
_LOOK_AHEAD = 4  # number of budgets that are searched for chunks of like length
_SHORTEST = 0.75  # of the longest chunk in a batch, if lengths may differ
_PIECE_BYTES = 8 << 20  # small enough that the allocator reuses the memory
_LARGEST = float(np.finfo(np.float16).max)
_AT_ONCE = 1 << 15  # numbers that fit into the cache and do not wake torch's threads

Features = NDArray[np.floating]


class EncodingError(MotionBeatError):
    """An encoder whose output does not match its card."""


class TrackError(EncodingError):
    """An error on one recording, after which the others can still be encoded."""


class HalfPrecisionError(EncodingError):
    """Features that are too large for half precision."""


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
    if features.dtype == np.float16:
        return features
    numbers = torch.from_numpy(np.ascontiguousarray(features)).view(-1)
    rounded = torch.empty(len(numbers), dtype=torch.float16)
    # In parts, which are checked and rounded while they are in the processor's cache.
    parts = (torch.split(one, _AT_ONCE) for one in (numbers, rounded))
    for some, place in zip(*parts, strict=True):
        low, high = torch.aminmax(some) if len(some) else (0, 0)
        if not (low >= -_LARGEST and high <= _LARGEST):
            return features
        place.copy_(some)  # numpy rounds the same way, but is ten times as slow on tiny numbers
    return rounded.numpy().reshape(features.shape)


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
    pieces = encode_pieces(encoder, waveform, Device(torch.device(device).type))
    features: Features = np.concatenate(list(pieces))
    return features


def encode_pieces(encoder: Encoder, waveform: Waveform, device: Device = CPU) -> Iterator[Features]:
    """Yield consecutive pieces of the result of :func:`encode`, for bounded memory.

    Frames near the edge of a piece see the encoder's context on both sides. An encoder that needs
    the whole recording receives the array itself and may overwrite it.
    """
    pieces = (piece for _, piece in encode_batches(encoder, [waveform], BatchBudget(device, 0)))
    return raising(pieces)


def raising(pieces: Iterable[Features | Exception]) -> Iterator[Features]:
    """Yield pieces; raise the first exception among them."""
    for piece in pieces:
        if isinstance(piece, Exception):
            raise piece
        yield piece


class _Chunk(NamedTuple):
    """A part of a recording that is encoded at once.

    Attributes:
        recording: number of the recording.
        samples: samples of the part, with the context on either side.
        inside: frames of the part without the context.
        length: number of samples.
    """

    recording: int
    samples: slice
    inside: slice
    length: int


@torch.no_grad()  # not inference mode: tensors that an encoder caches must allow fine-tuning later
def encode_batches(
    encoder: Encoder, waveforms: list[Waveform], budget: BatchBudget, half: bool = False
) -> Iterator[tuple[int, Features | TrackError | HalfPrecisionError]]:
    """Encode recordings in batches, in order.

    Chunks of like length are encoded together, within the budget. On a GPU the output of a batch is
    copied to the host while the next batch is encoded.

    Args:
        encoder: the encoder, on the budget's device.
        waveforms: (samples,) or (2, samples) float32 each. An encoder that needs the whole
            recording receives the arrays themselves and may overwrite them; they are removed from
            the list.
        budget: seconds of audio per batch.
        half: yield float16 instead of float32.

    Yields:
        The number of a recording and a piece (frames, layers, width) of at most some megabytes. A
        last piece may be a ``TrackError`` if the output is not finite, or a ``HalfPrecisionError``
        if it is too large for half precision.

    Raises:
        EncodingError: the shape or frame rate of the output differs from the card.
        DeviceError: a single chunk does not fit into the memory of the device.
    """
    device = budget.device
    chunks = [
        chunk
        for number, waveform in enumerate(waveforms)
        for chunk in _chunks(encoder, number, waveform.shape[-1])
    ]
    ready: dict[int, Iterator[Callable[[], Tensor]]] = {}
    copied: dict[int, Iterator[Callable[[], Tensor]]] = {}
    given, failed = 0, -1  # number of chunks; the last recording with an error

    def run(batch: Sequence[int]) -> list[Iterator[Callable[[], Tensor]]]:
        members = [chunks[number] for number in batch]
        rows = _rows(encoder, members, waveforms, device)
        copies = [
            _copies(encoder, chunk, states, device, half)
            for chunk, states in zip(members, rows, strict=True)
        ]
        if device.is_gpu:  # start now; on a CPU, copies would only take memory
            return [iter(list(one)) for one in copies]
        return copies

    def drain() -> Iterator[tuple[int, Features | TrackError | HalfPrecisionError]]:
        nonlocal given, failed
        while given in ready:
            number, copies = chunks[given].recording, ready.pop(given)
            given += 1
            for wait in copies if number != failed else ():
                piece = _checked(encoder.card, wait(), half)
                yield number, piece
                if isinstance(piece, Exception):
                    failed = number
                    break

    for batch, seconds in _batches(encoder.card, chunks, budget):
        started = dict(zip(batch, budget.run(run, batch, seconds), strict=True))
        if device.is_gpu:
            started, copied = copied, started
        ready |= started
        yield from drain()
    ready |= copied
    yield from drain()


def _chunks(encoder: Encoder, number: int, samples: int) -> Iterator[_Chunk]:
    """The chunks of a recording; a single one if the encoder needs the whole recording."""
    if math.isinf(encoder.context):
        yield _Chunk(number, slice(None), slice(None), samples)
        return
    rate = encoder.card.frame_rate
    core, margin = math.ceil(CHUNK_SECONDS * rate), math.ceil(encoder.context * rate)
    total = math.ceil(samples / encoder.card.sample_rate * rate)

    def sample(frame: int) -> int:
        return round(frame / rate * encoder.card.sample_rate)

    for first in range(0, max(total, 1), core):
        start, last = max(0, first - margin), first + core >= total
        stop = samples if last else min(sample(first + core + margin), samples)
        inside = slice(first - start, None if last else first - start + core)
        yield _Chunk(number, slice(sample(start), stop), inside, stop - sample(start))


def _batches(
    card: EncoderCard, chunks: Sequence[_Chunk], budget: BatchBudget
) -> Iterator[tuple[list[int], float]]:
    """Yield numbers of chunks to encode together, and their seconds with padding.

    The first remaining chunk is always among them, so that few outputs wait for their turn.
    """
    left = deque(range(len(chunks)))
    while left:
        batch, later, passed = [left.popleft()], list[int](), 0
        longest = chunks[batch[0]].length
        shortest = longest * _SHORTEST if card.unequal_lengths else longest
        room = budget.seconds * card.sample_rate
        while left and (len(batch) + 1) * longest <= room and passed < _LOOK_AHEAD * room:
            number = left.popleft()
            passed += chunks[number].length
            fits = shortest <= chunks[number].length <= longest
            (batch if fits else later).append(number)
        left.extendleft(reversed(later))
        yield batch, len(batch) * longest / card.sample_rate


def _rows(
    encoder: Encoder, batch: Sequence[_Chunk], waveforms: list[Waveform], device: Device
) -> list[Iterator[Tensor]]:
    """States (layers, frames, width) of each chunk of a batch."""
    card = encoder.card
    if len(batch) == 1 and math.isinf(encoder.context):
        number = batch[0].recording
        whole = torch.from_numpy(waveforms[number])[None].to(device.kind)
        waveforms[number] = waveforms[number][..., :0].copy()
        return [_cast(encoder.stream(whole), encoder, device)]
    rows = [device.upload(waveforms[chunk.recording][..., chunk.samples]) for chunk in batch]
    lengths = [chunk.length for chunk in batch]
    longest = max(lengths)
    with device.autocast(encoder.precision):
        if min(lengths) == longest:
            states = encoder(rows[0][None] if len(rows) == 1 else torch.stack(rows))
            return [iter([one]) for one in states]
        rows = [functional.pad(row, (0, longest - row.shape[-1])) for row in rows]
        states = encoder(torch.stack(rows), torch.tensor(lengths, device=device.kind))
    frames = [frames_of(card, length) for length in lengths]
    return [iter([one[:, :count]]) for one, count in zip(states, frames, strict=True)]


def frames_of(card: EncoderCard, samples: int) -> int:
    """Number of frames that an encoder returns for a number of samples."""
    return math.floor(samples * card.frame_rate / card.sample_rate + 1e-6) + 1


def _cast(parts: Iterator[Tensor], encoder: Encoder, device: Device) -> Iterator[Tensor]:
    """Yield parts of a stream, computed in the encoder's precision."""
    while True:
        with device.autocast(encoder.precision):
            states = next(parts, None)
        if states is None:
            return
        yield states


def _copies(
    encoder: Encoder, chunk: _Chunk, parts: Iterator[Tensor], device: Device, half: bool
) -> Iterator[Callable[[], Tensor]]:
    """Start copying pieces (frames, layers, width) of a chunk to the host, one after the other."""
    card, frames = encoder.card, 0
    for states in parts:
        if states.ndim != 3 or (states.shape[0], states.shape[2]) != (card.layers, card.width):
            raise EncodingError(
                f"encoder {card.name}: gave {tuple(states.shape)}, its card says "
                f"({card.layers}, frames, {card.width}); correct the card or the encoder"
            )
        frames += states.shape[1]
        kept = states[:, chunk.inside].movedim(1, 0)
        for part in torch.split(kept, max(1, _PIECE_BYTES // (2 * card.layers * card.width))):
            if len(part):
                # Layout and precision change in one pass; a view would keep the margins in memory.
                kind = torch.float16 if half else torch.float32
                piece = torch.empty(part.shape, dtype=kind, device=part.device)
                yield device.download(piece.copy_(part))
    _check_length(card, frames, chunk.length)


def _checked(
    card: EncoderCard, piece: Tensor, half: bool
) -> Features | TrackError | HalfPrecisionError:
    """A piece as an array, or what is wrong with it."""
    lowest, highest = torch.aminmax(piece)
    if half and lowest.isinf() | highest.isinf():
        return HalfPrecisionError(f"encoder {card.name}: gave features beyond half precision")
    if not (lowest.isfinite() and highest.isfinite()):
        return TrackError(f"encoder {card.name}: gave NaN or infinite features; mend the encoder")
    return piece.numpy()


def _check_length(card: EncoderCard, frames: int, samples: int) -> None:
    """Check that the number of frames agrees with the frame rate on the card."""
    seconds = samples / card.sample_rate
    if abs(frames - seconds * card.frame_rate) > 2 + _SLACK * card.frame_rate:
        one = " or wrap() it with clip_seconds, where it gives one vector a clip" * (frames == 1)
        raise EncodingError(
            f"encoder {card.name}: gave {frames} frames for {seconds:.2f} s of audio, where its "
            f"card says {card.frame_rate:g} a second; correct frame_rate{one}"
        )
