"""Does an encoder keep the contract? Each promise is tried, measured and judged.

Everything is tried on the CPU in float32, where right and wrong are the same on every machine; a
GPU, where there is one, is asked for the cost and for what lies on the wrong device.
"""

import copy
import math
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from traceback import extract_tb
from typing import Any, Literal

import numpy as np
import torch
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from torch import Tensor
from torch.overrides import TorchFunctionMode

from motionbeat.benchmarks.registry import ENCODERS, UnknownNameError
from motionbeat.benchmarks.store import CHUNK_SECONDS, encode
from motionbeat.console import wide
from motionbeat.encoder import Encoder
from motionbeat.errors import MotionBeatError

SAME = 1e-6  # largest difference, relative to the largest feature, of what must repeat
ALIKE = 1e-3  # of what is computed in another order
ACROSS_DEVICES = 1e-2  # GPUs round convolutions to ten bits
LONG_SECONDS = 1.5 * CHUNK_SECONDS
BLUR_SECONDS = 0.25  # a wider answer to a click tells little of where its frame is
FAR_SECONDS = 10.0  # from a seam, beyond the declared context
SLOW = 1.0  # seconds of computing a second of audio
HUNGRY = 100 << 20  # bytes a second of audio


class ContractError(MotionBeatError):
    """An output that is no (B, layers, frames, width)."""


@dataclass(frozen=True)
class Finding:
    """What a check found.

    Attributes:
        verdict: ``warning`` where an encoder may have its reasons; it does not fail.
        measured: what was found, in numbers where there are any.
        remedy: what to change; empty when nothing is to be changed.
    """

    verdict: Literal["ok", "warning", "failed"]
    measured: str
    remedy: str = ""


def judged(right: bool, measured: str, remedy: str) -> Finding:
    """A finding that is right, or failed with a remedy."""
    return Finding("ok", measured) if right else Finding("failed", measured, remedy)


def noise(encoder: Encoder, seconds: float, batch: int = 1) -> Tensor:
    """The same noise on every call, (batch, samples), its level rising from a whisper."""
    samples = round(seconds * encoder.card.sample_rate)
    white = torch.rand(batch, samples, generator=torch.Generator().manual_seed(3)) - 0.5
    return white * torch.linspace(0.01, 1.0, samples)


@torch.inference_mode()
def states(encoder: Encoder, waveform: Tensor) -> Tensor:
    """The encoder's output.

    Raises:
        ContractError: it is no tensor of four axes.
    """
    found: Any = encoder(waveform)
    if not isinstance(found, Tensor):
        raise ContractError(f"forward gave a {type(found).__name__}; give one tensor")
    if found.ndim != 4:
        raise ContractError(
            f"forward gave the shape {tuple(found.shape)}; give (B, layers, frames, width)"
        )
    return found


def difference(one: Tensor, other: Tensor) -> float:
    """Largest difference relative to the largest feature; infinite between different shapes."""
    if one.shape != other.shape:
        return math.inf
    scale = float(other.abs().amax().clamp_min(1e-12))
    return float((one - other).abs().amax()) / scale


def check_card(kind: type[Encoder]) -> Finding:
    """Whether the card says what tables need, in values that can be true."""
    card = kind.card
    faults = [
        f"{name} is {getattr(card, name)!r}, no {wanted}"
        for name, wanted, right in (
            ("name", "name of a file", lambda it: _text(it) and not set(it) & set('/\\:," ')),
            ("revision", "text", _text),
            ("sample_rate", "whole number of Hz", lambda it: type(it) is int and it >= 1000),
            ("frame_rate", "rate in Hz", lambda it: _number(it) and 0 < it <= card.sample_rate),
            ("layers", "count", lambda it: type(it) is int and it > 0),
            ("width", "count", lambda it: type(it) is int and it > 0),
            ("parameters", "count", lambda it: type(it) is int and it >= 0),
            ("licence", "text", _text),
            (
                "training_data",
                "tuple of names",
                lambda it: type(it) is tuple and all(map(_text, it)),
            ),
            ("source", "text", _text),
        )
        if not right(getattr(card, name))
    ]
    if not _number(kind.context) or not kind.context >= 0:
        faults.append(f"context is {kind.context!r}, no number of seconds")
    facts = f"{card.layers} x {card.width} at {card.frame_rate} Hz from {card.sample_rate} Hz"
    return judged(not faults, "; ".join(faults) or facts, "correct the card")


def _text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def check_frozen(encoder: Encoder) -> Finding:
    """Whether nothing can be trained, and dropout and batch norm are at rest."""
    loose = sum(parameter.requires_grad for parameter in encoder.parameters())
    training = sum(module.training for module in encoder.modules())
    return judged(
        not loose and not training,
        f"{loose} weights with gradients, {training} modules in training mode",
        "end __init__ with self.eval().requires_grad_(False)",
    )


def check_parameters(encoder: Encoder) -> Finding:
    """Whether the card counts the weights."""
    count = sum(weight.numel() for weight in encoder.parameters())
    return judged(
        count == encoder.card.parameters,
        f"{count:,} weights, the card says {encoder.card.parameters:,}",
        f"set parameters={count} on the card",
    )


def check_output(encoder: Encoder) -> Finding:
    """Shape and type of the features of two seconds."""
    card, found = encoder.card, states(encoder, noise(encoder, 2.0, batch=2))
    fits = (found.shape[0], found.shape[1], found.shape[3]) == (2, card.layers, card.width)
    return judged(
        fits and found.dtype == torch.float32 and bool(found.isfinite().all()),
        f"{tuple(found.shape)} {str(found.dtype).removeprefix('torch.')}"
        + ", not finite" * (not found.isfinite().all()),
        f"give finite float32 of the shape (2, {card.layers}, frames, {card.width})",
    )


def check_frame_rate(encoder: Encoder) -> Finding:
    """The rate by which the number of frames grows, and the number itself."""
    rate, (short, long) = encoder.card.frame_rate, (5.0, 15.0)
    counts = [states(encoder, noise(encoder, seconds)).shape[2] for seconds in (short, long)]
    measured = (counts[1] - counts[0]) / (long - short)
    wanted = [math.floor(seconds * rate) + 1 for seconds in (short, long)]
    said = f"{measured:g} frames a second, the card says {rate:g}; {counts[1]} frames in {long:g} s"
    if counts == wanted:
        return Finding("ok", said)
    if max(abs(one - other) for one, other in zip(counts, wanted, strict=True)) <= 1:
        return Finding("warning", said, f"pad by half a window to give {wanted[1]}")
    return Finding(
        "failed",
        said,
        f"set frame_rate to what is true, or pad: {wanted[1]} frames are expected",
    )


def check_alignment(encoder: Encoder) -> Finding:
    """Whether frame i answers a click at i / frame rate, from the start to the end.

    The answer of a layer is where it is at least half as strong as at its strongest. Its middle
    shall be the click's frame, within one frame and a quarter of its own extent, as no more can be
    told of a blurred one. Near either end of the audio, where half of an answer may be cut off, it
    need only reach to within a frame of the click. One layer must answer so; those that answer
    later, as layers with a memory do, are warned of.
    """
    card, seconds = encoder.card, 20.0
    clicks = (0.0, 4.5, 10.013, 15.3, 19.985)
    silence = torch.zeros(1, round(seconds * card.sample_rate))
    clicking = silence.clone()
    for click in clicks:
        clicking[0, round(click * card.sample_rate)] = 1.0
    answers = (states(encoder, clicking) - states(encoder, silence))[0].norm(dim=-1)
    around, last = math.ceil(2 * card.frame_rate), answers.shape[1] - 1
    offs, excess = [0.0] * card.layers, [-math.inf] * card.layers
    blurs, unheard = [math.inf], []
    for click in clicks:
        frame = round(click * card.frame_rate)
        start = max(0, frame - around)
        for layer, answer in enumerate(answers[:, start : frame + around]):
            lit = start + torch.nonzero(answer >= answer.amax() / 2)[:, 0] - frame
            if answer.amax() == 0:
                unheard.append(click)
                continue
            first, final = int(lit.min()), int(lit.max())
            extent = final - first
            if frame < extent or frame + extent > last:
                off, tolerance = float(max(first, 0) + min(final, 0)), 1.0
            else:
                off, tolerance = (first + final) / 2, 1 + extent / 4
                blurs.append(extent / card.frame_rate)
            excess[layer] = max(excess[layer], abs(off) - tolerance)
            offs[layer] = max(offs[layer], off, key=abs)
    best = int(np.argmin(excess))
    late = [layer for layer in range(card.layers) if excess[layer] > 0]
    blur = min(blurs)
    off = offs[best]
    said = (
        f"answers off by {off:+.1f} frames at most ({1000 * off / card.frame_rate:+.0f} ms); "
        f"the sharpest is {1000 * blur:.0f} ms wide"
    )
    if excess[best] > 0:
        return Finding("failed", said, "pad so that frame i is centred at i / frame_rate seconds")
    if unheard:
        return Finding(
            "failed",
            f"no frame within 2 s of {unheard[0]:g} s answers a click there",
            "give a frame for every instant, in order",
        )
    if late:
        return Finding(
            "warning",
            f"layer {late[0]} answers {offs[late[0]]:+.1f} frames off, layer {best} does not",
            "layers with a memory do; if this one has none, pad it",
        )
    if blur > BLUR_SECONDS:
        return Finding("warning", said, "a narrower answer would tell more of the alignment")
    return Finding("ok", said)


def check_determinism(encoder: Encoder) -> Finding:
    """Whether the same audio gives the same features again."""
    waveform = noise(encoder, 2.0)
    off = difference(states(encoder, waveform), states(encoder, waveform))
    return judged(off <= SAME, f"differs by {off:.1e}", "no dropout, no random numbers in forward")


def check_instances(encoder: Encoder) -> Finding:
    """Whether another instance gives the same features."""
    waveform = noise(encoder, 2.0)
    off = difference(states(encoder, waveform), states(type(encoder)(), waveform))
    return judged(
        off <= SAME, f"differs by {off:.1e}", "load all weights, or seed random ones in __init__"
    )


def check_batch(encoder: Encoder) -> Finding:
    """Whether a row of a batch is what it is alone."""
    waveform = noise(encoder, 3.0, batch=3) * torch.tensor([[1.0], [0.1], [0.5]])
    together = states(encoder, waveform)
    apart = [states(encoder, row[None])[0] for row in waveform]
    off = max(difference(one, other) for one, other in zip(together, apart, strict=True))
    return judged(
        off <= ALIKE,
        f"rows differ by {off:.1e} from themselves alone",
        "normalise row by row, not over the batch",
    )


def check_short(encoder: Encoder) -> Finding:
    """Whether a sample, 10 ms and 100 ms, of noise and of silence, give frames too."""
    rate = encoder.card.sample_rate
    counts = {}
    for samples in (1, rate // 100, rate // 10):
        loud = noise(encoder, samples / rate)
        for waveform in (loud, torch.zeros_like(loud)):
            found = states(encoder, waveform)
            if found.shape[2] == 0 or not found.isfinite().all():
                return Finding(
                    "failed",
                    f"{samples} samples give {found.shape[2]} frames"
                    + ", not finite" * (not found.isfinite().all()),
                    "pad short audio to one window; give one frame at least",
                )
            counts[samples] = found.shape[2]
    return Finding("ok", ", ".join(f"{n} samples: {count} frames" for n, count in counts.items()))


def check_silence(encoder: Encoder) -> Finding:
    """Whether features of silence are finite."""
    found = states(encoder, torch.zeros(1, 2 * encoder.card.sample_rate))
    bad = int((~found.isfinite()).sum())
    return judged(
        bad == 0,
        f"{bad} of {found.numel():,} features not finite",
        "add a small number before log or division",
    )


def check_pieces(encoder: Encoder) -> Finding:
    """Whether long audio encoded in pieces, as the suite does, is what it is as a whole.

    Differences near the seam alone mean that frames hear farther than ``context``. Differences
    everywhere mean that they hear all of the audio, which an encoder may well do.
    """
    waveform = noise(encoder, LONG_SECONDS)
    whole = states(encoder, waveform)[0].movedim(1, 0)
    pieces = torch.from_numpy(encode(encoder, waveform[0].numpy()))
    if abs(len(whole) - len(pieces)) > 1:
        return Finding(
            "failed",
            f"{len(pieces)} frames in pieces, {len(whole)} as a whole",
            "give floor(seconds * frame_rate) + 1 frames of audio of any length",
        )
    shared = min(len(whole), len(pieces))
    whole, pieces = whole[:shared].flatten(1), pieces[:shared].flatten(1)
    apart = (pieces - whole).norm(dim=1) / whole.norm(dim=1).mean().clamp_min(1e-12)
    away = (torch.arange(shared) / encoder.card.frame_rate - CHUNK_SECONDS).abs()
    differing = away[apart > ALIKE]
    said = f"{LONG_SECONDS:g} s: pieces differ by {float(apart.amax()):.1e}"
    if len(differing) == 0:
        return Finding("ok", said)
    reach = float(differing.amax())
    if reach > encoder.context + FAR_SECONDS:
        return Finding(
            "warning",
            f"{said}, up to {reach:.0f} s from the seam",
            "frames hear the whole audio; if that is not meant, normalise by fixed numbers",
        )
    return Finding(
        "failed",
        f"{said}, up to {reach:.2f} s from the seam",
        f"set context to {math.ceil(10 * (encoder.context + reach)) / 10:g} or more",
    )


_FREE = (Tensor.__getitem__, Tensor.__setitem__, Tensor.to, Tensor.copy_)
"""What may be given tensors of two devices."""


class _Watching(TorchFunctionMode):
    """Notices tensors of two devices in one call, which not every call does without data itself.

    What is fetched to the CPU is silence, as there is no data to fetch.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = [*args, *(kwargs or {}).values()]
        given += [one for several in given if isinstance(several, list | tuple) for one in several]
        devices = {one.device.type for one in given if isinstance(one, Tensor) and one.ndim}
        if len(devices) > 1 and func not in _FREE:
            raise RuntimeError(f"{func.__name__} is given tensors on cpu and on the moved device")
        if func is Tensor.cpu:
            return torch.zeros(args[0].shape, dtype=args[0].dtype)
        return func(*args, **(kwargs or {}))


def check_device(encoder: Encoder) -> Finding:
    """Whether all tensors move with the module: to a GPU, or to a device that holds no data."""
    plain = [
        f"{path}.{name}".lstrip(".")
        for path, module in encoder.named_modules()
        for name, value in vars(module).items()
        if isinstance(value, Tensor)
    ]
    if plain:
        return Finding(
            "failed",
            f"{', '.join(plain)} would stay behind on the CPU",
            "keep tensors by self.register_buffer(name, tensor)",
        )
    waveform = noise(encoder, 1.0)
    remedy = "make tensors in forward with device=waveform.device"
    if torch.cuda.is_available():
        found = states(copy.deepcopy(encoder).to("cuda"), waveform.to("cuda"))
        off = difference(found.cpu(), states(encoder, waveform))
        right = found.device.type == "cuda" and off <= ACROSS_DEVICES
        return judged(right, f"output on {found.device}, differs by {off:.1e} from the CPU", remedy)
    moved, nowhere = copy.deepcopy(encoder).to("meta"), waveform.to("meta")
    try:
        with _Watching():
            found = states(moved, nowhere)
    except (RuntimeError, TypeError) as error:
        said = _line(error, _file(type(encoder)))
        if isinstance(error, NotImplementedError) or "meta tensors" in said:
            return Finding(
                "warning", f"forward looks at values, which a GPU alone has: {said}", "try on one"
            )
        return Finding("failed", said, remedy)
    return judged(found.device.type == "meta", f"output on {found.device}, moved to meta", remedy)


CHECKS: dict[str, Callable[[Encoder], Finding]] = {
    "frozen": check_frozen,
    "parameters": check_parameters,
    "output": check_output,
    "frame rate": check_frame_rate,
    "alignment": check_alignment,
    "determinism": check_determinism,
    "two instances": check_instances,
    "batch": check_batch,
    "short audio": check_short,
    "silence": check_silence,
    "long audio": check_pieces,
    "device": check_device,
}
"""What is tried of an encoder, by name and in order."""


def cost(name: str) -> tuple[float, float, str]:
    """Bytes and seconds for a second of audio, of a piece as the suite encodes it, and where.

    Memory is that by which the peak rises from a short piece to a long one, so what the encoder
    weighs itself is not in it. To be called in a process of its own, which has no older peak.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    encoder = ENCODERS.get(name)().to(device)
    short = 5.0
    states(encoder, noise(encoder, short).to(device))
    before = _peak()
    started = time.perf_counter()
    states(encoder, noise(encoder, CHUNK_SECONDS).to(device)).cpu()
    seconds = time.perf_counter() - started
    return max(0.0, _peak() - before) / (CHUNK_SECONDS - short), seconds / CHUNK_SECONDS, device


def _peak() -> float:
    """Most bytes that this process has held; of the GPU where there is one."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    status = Path("/proc/self/status")
    if status.is_file():  # where the other count would go on from the parent's
        [line] = [one for one in status.read_text().splitlines() if one.startswith("VmHWM")]
        return 1024.0 * int(line.split()[1])
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def check_cost(name: str) -> Iterator[tuple[str, Finding]]:
    """Memory and time for a second of audio; a large or slow encoder is only warned of."""
    try:
        with ProcessPoolExecutor(1, get_context("spawn")) as process:
            memory, seconds, device = process.submit(cost, name).result()
    except BrokenProcessPool:
        yield (
            "memory",
            Finding(
                "failed",
                f"the process was killed while it encoded {CHUNK_SECONDS:g} s",
                "work through the audio in shorter blocks inside forward",
            ),
        )
        return
    except Exception as error:
        yield "memory", _failure(error, "", "make it run in a process of its own")
        return
    yield from judge_cost(memory, seconds, device)


def judge_cost(memory: float, seconds: float, device: str) -> Iterator[tuple[str, Finding]]:
    """Findings of the bytes and seconds that a second of audio costs."""
    said = f"{memory / 2**20:.1f} MiB a second of audio on {device}"
    remedy = f"{CHUNK_SECONDS:g} s are encoded at once: work in shorter blocks inside forward"
    yield "memory", Finding("warning", said, remedy) if memory > HUNGRY else Finding("ok", said)
    said = f"{seconds:.3f} s a second of audio on {device}, {1 / seconds:.1f} times real time"
    remedy = "a benchmark will take long; use a GPU"
    yield "speed", Finding("warning", said, remedy) if seconds > SLOW else Finding("ok", said)


def _file(kind: type[Encoder]) -> str:
    return getattr(sys.modules.get(kind.__module__), "__file__", None) or ""


def _line(error: BaseException, file: str = "") -> str:
    """An exception in one line: type, message, and the last line of a file that it went through."""
    message = " ".join(str(error).split())
    places: list[tuple[str | None, int | None]]
    if isinstance(error, SyntaxError):
        places = [(error.filename, error.lineno)]
    else:
        places = [(step.filename, step.lineno) for step in extract_tb(error.__traceback__)]
        places = [place for place in places if place[0] == file] or places
    place = f" ({Path(str(places[-1][0])).name}:{places[-1][1]})" if places else ""
    return f"{type(error).__name__}: {message[:300]}{place}"


def _failure(error: Exception, file: str, remedy: str) -> Finding:
    """An exception as a finding; one that the user is meant to read brings its own remedy."""
    if isinstance(error, MotionBeatError):
        measured, _, own = str(error).partition("; ")
        return Finding("failed", measured, own or remedy)
    return Finding("failed", _line(error, file), remedy)


def examine(check: Callable[[Encoder], Finding], encoder: Encoder) -> Finding:
    """What a check finds; an exception of the encoder's is a finding too."""
    try:
        return check(encoder)
    except Exception as error:
        return _failure(error, _file(type(encoder)), "mend the code at that line")


def findings(name: str) -> Iterator[tuple[str, Finding]]:
    """Check an encoder by name, ``package.module:Class`` or ``file.py:Class``.

    Yields:
        Name and finding of each check. What cannot be tried after a failure is left out.

    Raises:
        UnknownNameError: there is no such encoder.
    """
    try:
        kind = ENCODERS.get(name)
    except UnknownNameError as error:
        if (cause := error.__cause__) is None or isinstance(cause, FileNotFoundError):
            raise
        file = str(Path(name.rpartition(":")[0]))
        yield "loading", Finding("failed", _line(cause, file), "mend the code at that line")
        return
    card = check_card(kind)
    yield "card", card
    if why := kind.unavailable():
        measured, _, remedy = why.partition("; ")
        yield "made here", Finding("failed", f"not made: {measured}", remedy)
        return
    try:
        encoder = kind()
    except Exception as error:
        yield "made here", _failure(error, _file(kind), "make __init__ work without arguments")
        return
    yield "made here", Finding("ok", f"a {kind.__name__}, made without arguments")
    if card.verdict == "failed":
        return
    for check, function in CHECKS.items():
        found = examine(function, encoder)
        yield check, found
        if check == "output" and found.verdict == "failed":
            return
    yield from check_cost(name)


def check_encoder(name: str) -> bool:
    """Print what the checks of an encoder find; False when one fails."""
    grid = Table(title=f"encoder {escape(name)}")
    for column in ("check", "verdict", "measured", "what to change"):
        grid.add_column(column, overflow="fold")
    found = list(findings(name))
    for check, one in found:
        grid.add_row(check, one.verdict, escape(one.measured), escape(one.remedy))
    failed = sum(one.verdict == "failed" for _, one in found)
    warned = sum(one.verdict == "warning" for _, one in found)
    left = len(CHECKS) + 4 - len(found)
    grid.caption = (
        f"{failed} failed, {warned} warned of, {len(found) - failed - warned} ok"
        + f"; {left} not tried before these are mended" * (failed > 0 and left > 0)
    )
    wide(Console()).print(grid)
    return failed == 0
