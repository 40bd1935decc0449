"""Checks that an encoder keeps the contract: each returns what it measured, or raises.

Everything is tried on the CPU in float32, where right and wrong are the same on every machine. A
GPU, where there is one, is used for the cost and for what lies on the wrong device.
"""

import copy
import ctypes
import math
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from inspect import getsourcefile
from pathlib import Path
from traceback import extract_tb
from typing import Any, Literal, NamedTuple

import torch
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from torch import Tensor
from torch.overrides import TorchFunctionMode

from motionbeat.benchmarks.registry import ENCODERS
from motionbeat.console import wide
from motionbeat.encoder import Encoder
from motionbeat.encoding import CHUNK_SECONDS, encode
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
    """A breach of the contract: what was measured; what to change."""


class ContractWarning(ContractError):  # noqa: N818
    """Something an encoder may have its reasons for."""


class Finding(NamedTuple):
    """What a check found: the verdict, what was measured, and what to change."""

    verdict: Literal["ok", "warning", "failed"]
    measured: str
    remedy: str = ""


def require(
    right: bool, measured: str, remedy: str, error: type[ContractError] = ContractError
) -> str:
    """What was measured, when it is right.

    Raises:
        ContractError: it is not.
    """
    if not right:
        raise error(f"{measured}; {remedy}")
    return measured


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
    shape = f"forward gave the shape {tuple(found.shape)}"
    require(found.ndim == 4, shape, "give (B, layers, frames, width)")
    return found


def difference(one: Tensor, other: Tensor) -> float:
    """Largest difference relative to the largest feature; infinite between different shapes."""
    if one.shape != other.shape:
        return math.inf
    return float((one - other).abs().amax() / other.abs().amax().clamp_min(1e-12))


def check_card(kind: type[Encoder]) -> str:
    """The card says what tables need, in values that can be true."""

    def text(value: object) -> bool:
        return isinstance(value, str) and bool(value.strip())

    def count(value: object, least: int = 1) -> bool:
        return type(value) is int and value >= least

    def number(value: object) -> bool:
        return isinstance(value, int | float) and not isinstance(value, bool) and value >= 0

    card, names = kind.card, kind.card.training_data
    valid = {
        "name": text(card.name) and not set(card.name) & set('/\\:," '),
        "revision": text(card.revision),
        "sample_rate": count(card.sample_rate, 1000),
        "frame_rate": number(card.frame_rate) and 0 < card.frame_rate <= card.sample_rate,
        "layers": count(card.layers),
        "width": count(card.width),
        "parameters": count(card.parameters, 0),
        "licence": text(card.licence),
        "training_data": isinstance(names, tuple) and all(map(text, names)),
        "source": text(card.source),
    }
    faults = [f"{name} is {getattr(card, name)!r}" for name, right in valid.items() if not right]
    if not number(kind.context):
        faults.append(f"context is {kind.context!r}")
    facts = f"{card.layers} x {card.width} at {card.frame_rate} Hz from {card.sample_rate} Hz"
    return require(not faults, ", ".join(faults) or facts, "correct the card")


def check_frozen(encoder: Encoder) -> str:
    """The card counts the weights, none can be trained, dropout and batch norm are at rest."""
    count, stated = sum(one.numel() for one in encoder.parameters()), encoder.card.parameters
    measured = f"{count:,} weights, the card says {stated:,}"
    require(count == stated, measured, f"set parameters={count} on the card")
    loose = sum(parameter.requires_grad for parameter in encoder.parameters())
    training = sum(module.training for module in encoder.modules())
    state = f"{loose} tensors with gradients, {training} modules in training mode"
    remedy = "end __init__ with self.eval().requires_grad_(False)"
    return f"{measured}, {require(not loose and not training, state, remedy)}"


def check_output(encoder: Encoder) -> str:
    """Features have the card's shape, are float32 and finite, and the waveform stays as it is."""
    card, waveform = encoder.card, noise(encoder, 2.0, batch=2)
    found = states(encoder, waveform)
    fits = (*found.shape[:2], found.shape[3]) == (2, card.layers, card.width)
    right = fits and found.dtype == torch.float32 and bool(found.isfinite().all())
    measured = f"{tuple(found.shape)} {found.dtype}{', not finite' * (not found.isfinite().all())}"
    require(right, measured, f"give finite float32 (2, {card.layers}, frames, {card.width})")
    changed = not torch.equal(waveform, noise(encoder, 2.0, batch=2))
    require(not changed, "forward changes its input in place", "work on a copy of the waveform")
    return measured


def check_frame_rate(encoder: Encoder) -> str:
    """The number of frames is that of the card's rate, and grows by it."""
    rate, (short, long) = encoder.card.frame_rate, (5.0, 15.0)
    counts = [states(encoder, noise(encoder, seconds)).shape[2] for seconds in (short, long)]
    wanted = [math.floor(seconds * rate) + 1 for seconds in (short, long)]
    grown = (counts[1] - counts[0]) / (long - short)
    said = f"{grown:g} frames a second, the card says {rate:g}, {counts[1]} frames in {long:g} s"
    off = max(abs(one - other) for one, other in zip(counts, wanted, strict=True))
    remedy = f"set frame_rate to what is true, or pad: {wanted[1]} frames are expected"
    require(off <= 1, said, remedy)
    return require(off == 0, said, f"pad by half a window to give {wanted[1]}", ContractWarning)


def check_alignment(encoder: Encoder) -> str:
    """Frame i answers a click at i / frame rate, from the start to the end.

    The answer of a layer is where it is at least half as strong as at its strongest. Its middle
    shall be the click's frame, within one frame and a quarter of its own extent, as no more can be
    told of a blurred one. Near either end of the audio, where half of an answer may be cut off, it
    need only reach to within a frame of the click. One layer must answer so. Layers that answer
    later, as layers with a memory do, are warned of.
    """
    card, seconds = encoder.card, 20.0
    clicks = (0.0, 4.5, 10.013, 15.3, 19.985)
    silence = torch.zeros(1, round(seconds * card.sample_rate))
    clicking = silence.clone()
    clicking[0, [round(click * card.sample_rate) for click in clicks]] = 1.0
    answers = (states(encoder, clicking) - states(encoder, silence))[0].norm(dim=-1)
    around, last = math.ceil(2 * card.frame_rate), answers.shape[1] - 1
    offs, excess = [0.0] * card.layers, [-math.inf] * card.layers
    blurs, unheard = [math.inf], list[float]()
    for click in clicks:
        frame = round(click * card.frame_rate)
        start = max(0, frame - around)
        for layer, answer in enumerate(answers[:, start : frame + around]):
            if not answer.any():
                unheard.append(click)
                continue
            lit = start + torch.nonzero(answer >= answer.amax() / 2)[:, 0] - frame
            first, final = int(lit[0]), int(lit[-1])
            extent = final - first
            if frame < extent or frame + extent > last:
                off, tolerance = float(max(first, 0) + min(final, 0)), 1.0
            else:
                off, tolerance = (first + final) / 2, 1 + extent / 4
                blurs.append(extent / card.frame_rate)
            excess[layer] = max(excess[layer], abs(off) - tolerance)
            offs[layer] = max(offs[layer], off, key=abs)
    best = excess.index(min(excess))
    said = (
        f"answers off by {offs[best]:+.1f} frames at most "
        f"({1000 * offs[best] / card.frame_rate:+.0f} ms), "
        f"the sharpest is {1000 * min(blurs):.0f} ms wide"
    )
    require(excess[best] <= 0, said, "pad so that frame i is centred at i / frame_rate seconds")
    silent = f"no frame within 2 s of {unheard[:1]} s answers a click there"
    require(not unheard, silent, "give a frame for every instant, in order")
    late = [layer for layer, beyond in enumerate(excess) if beyond > 0]
    if late:
        raise ContractWarning(
            f"layer {late[0]} answers {offs[late[0]]:+.1f} frames off, layer {best} does not; "
            "layers with a memory do, and if this one has none, pad it"
        )
    remedy = "a narrower answer would tell more of the alignment"
    return require(min(blurs) <= BLUR_SECONDS, said, remedy, ContractWarning)


def check_agreement(encoder: Encoder) -> str:
    """Runs, instances and rows of a batch agree."""
    rows = noise(encoder, 3.0, batch=2) * torch.tensor([[0.1], [1.0]])
    alone = states(encoder, rows[:1])
    again, other = states(encoder, rows[:1]), states(type(encoder)(), rows[:1])
    together = states(encoder, rows)[:1]
    measured = []
    for what, found, tolerance, remedy in (
        ("runs", again, SAME, "no dropout or random numbers in forward"),
        ("instances", other, SAME, "load all weights, or seed random ones in __init__"),
        ("rows of a batch", together, ALIKE, "normalise row by row, not over the batch"),
    ):
        off = difference(found, alone)
        measured.append(require(off <= tolerance, f"{what} differ by {off:.1e}", remedy))
    return ", ".join(measured)


def check_short(encoder: Encoder) -> str:
    """A sample, 10 ms, 100 ms and 2 s, of noise and of silence, give finite frames."""
    rate, said = encoder.card.sample_rate, []
    for samples in (1, rate // 100, rate // 10, 2 * rate):
        for level in (1.0, 0.0):
            found = states(encoder, level * noise(encoder, samples / rate))
            finite = ", not finite" * (not found.isfinite().all())
            measured = f"{samples} samples{' of silence' * (not level)}: {found.shape[2]} frames"
            remedy = "pad short audio to one window, and add a small number before log or division"
            require(found.shape[2] > 0 and not finite, measured + finite, remedy)
        said.append(measured.replace(" of silence", ""))
    return ", ".join(said)


def check_pieces(encoder: Encoder) -> str:
    """Long audio encoded in pieces, as the suite does, is what it is as a whole.

    Differences near the seam alone mean that frames depend on more than ``context``. Differences
    everywhere mean that they depend on all of the audio, which ``context = math.inf`` would say.
    """
    waveform = noise(encoder, LONG_SECONDS)
    whole = states(encoder, waveform)[0].movedim(1, 0)
    pieces = torch.from_numpy(encode(encoder, waveform[0].numpy()))
    require(
        abs(len(whole) - len(pieces)) <= 1,
        f"{len(pieces)} frames in pieces, {len(whole)} as a whole",
        "give floor(seconds * frame_rate) + 1 frames of audio of any length",
    )
    shared = min(len(whole), len(pieces))
    whole, pieces = whole[:shared].flatten(1), pieces[:shared].flatten(1)
    apart = (pieces - whole).norm(dim=1) / whole.norm(dim=1).mean().clamp_min(1e-12)
    away = (torch.arange(shared) / encoder.card.frame_rate - CHUNK_SECONDS).abs()
    said = f"{LONG_SECONDS:g} s: pieces differ by {float(apart.amax()):.1e}"
    differing = away[apart > ALIKE]
    if not len(differing):
        return said
    reach = float(differing.amax())
    if encoder.context == math.inf:
        raise ContractError(f"{said}; let stream give the same states as forward")
    said = f"{said}, up to {reach:.2f} s from the seam"
    if reach > encoder.context + FAR_SECONDS:
        raise ContractWarning(f"{said}; set context to math.inf, or normalise by fixed numbers")
    enough = math.ceil(10 * (encoder.context + reach)) / 10
    raise ContractError(f"{said}; set context to {enough:g} or more")


_FREE = (Tensor.__getitem__, Tensor.__setitem__, Tensor.to, Tensor.type_as, Tensor.copy_)
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


def check_device(encoder: Encoder) -> str:
    """All tensors move with the module: to a GPU, or to a device that holds no data."""
    plain = [
        f"{path}.{name}".lstrip(".")
        for path, module in encoder.named_modules()
        for name, value in vars(module).items()
        if isinstance(value, Tensor)
    ]
    measured = f"{', '.join(plain)} would stay behind on the CPU"
    require(not plain, measured, "keep tensors by self.register_buffer(name, tensor)")
    waveform, remedy = noise(encoder, 1.0), "make tensors in forward with device=waveform.device"
    if torch.cuda.is_available():
        found = states(copy.deepcopy(encoder).to("cuda"), waveform.to("cuda"))
        off = difference(found.cpu(), states(encoder, waveform))
        right = found.device.type == "cuda" and off <= ACROSS_DEVICES
        return require(
            right, f"output on {found.device}, differs by {off:.1e} from the CPU", remedy
        )
    moved, nowhere = copy.deepcopy(encoder).to("meta"), waveform.to("meta")
    try:
        with _Watching():
            found = states(moved, nowhere)
    except (RuntimeError, TypeError) as error:
        said = one_line(error, type(encoder))
        if isinstance(error, NotImplementedError) or "meta tensors" in said:
            reason = "forward looks at values, which a GPU alone has"
            raise ContractWarning(f"{reason}: {said}; try it on one") from error
        raise ContractError(f"{said}; {remedy}") from error
    right = found.device.type == "meta"
    return require(right, f"output on {found.device}, moved to meta", remedy)


def check_cost(encoder: Encoder) -> str:
    """Memory and time for a second of audio, of a piece as the suite encodes it.

    Memory is that by which the peak rises from a short piece to a long one, so what the encoder
    itself takes is not in it.
    """
    device, short = "cuda" if torch.cuda.is_available() else "cpu", 5.0
    moved = copy.deepcopy(encoder).to(device)
    peaks = []
    for seconds in (short, CHUNK_SECONDS):
        waveform = noise(encoder, seconds).to(device)
        forget_peak()
        started = time.perf_counter()
        states(moved, waveform).cpu()
        spent = (time.perf_counter() - started) / seconds
        peaks.append(peak_memory())
    memory = max(0.0, peaks[1] - peaks[0]) / (CHUNK_SECONDS - short)
    return judge_cost(memory, spent, device)


def judge_cost(memory: float, seconds: float, device: str) -> str:
    """The bytes and seconds that a second of audio costs; a large or slow encoder is warned of."""
    said = f"{memory / 2**20:.1f} MiB and {seconds:.3f} s for a second of audio on {device}"
    remedy = f"{CHUNK_SECONDS:g} s are encoded at once: work in shorter blocks inside forward"
    require(memory <= HUNGRY, said, remedy, ContractWarning)
    return require(seconds <= SLOW, said, "a benchmark takes long, so use a GPU", ContractWarning)


def forget_peak() -> None:
    """Let the peak of memory begin anew at what is held now, where the system can."""
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)  # what was freed goes back to the system first
        Path("/proc/self/clear_refs").write_text("5")


def peak_memory() -> float:
    """Most bytes that this process has held; of the GPU where there is one."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    status = Path("/proc/self/status")
    if not status.is_file():
        return 0.0
    [line] = [one for one in status.read_text().splitlines() if one.startswith("VmHWM")]
    return 1024.0 * int(line.split()[1])


CHECKS: dict[str, Callable[[Encoder], str]] = {
    "frozen": check_frozen,
    "output": check_output,
    "frame rate": check_frame_rate,
    "alignment": check_alignment,
    "agreement": check_agreement,
    "short audio, silence": check_short,
    "long audio": check_pieces,
    "device": check_device,
    "memory, speed": check_cost,
}
"""What is tried of an encoder, by name and in order."""


def one_line(error: Exception, kind: type[Encoder]) -> str:
    """An exception in one line: type, message, and the last line of the encoder's file."""
    steps = extract_tb(error.__traceback__)
    step = ([one for one in steps if one.filename == getsourcefile(kind)] or steps)[-1]
    said = " ".join(str(error).split())[:300]
    return f"{type(error).__name__}: {said} ({Path(step.filename).name}:{step.lineno})"


def try_out(check: Callable[[], str], kind: type[Encoder], remedy: str) -> Finding:
    """What a check finds; any exception is a finding too."""
    try:
        return Finding("ok", check())
    except MotionBeatError as error:  # brings its own remedy
        measured, _, own = str(error).partition("; ")
        warned = isinstance(error, ContractWarning)
        return Finding("warning" if warned else "failed", measured, own or remedy)
    except Exception as error:
        return Finding("failed", one_line(error, kind), remedy)


def findings(name: str) -> Iterator[tuple[str, Finding]]:
    """Check an encoder by name, ``package.module:Class`` or ``file.py:Class``.

    Yields:
        Name and finding of each check. What cannot be tried after a failure is left out.

    Raises:
        UnknownNameError: there is no such encoder, or its file cannot be loaded.
    """
    kind = ENCODERS.get(name)
    made: list[Encoder] = []

    def make() -> str:
        if why := kind.unavailable():
            raise ContractError(f"not made: {why}")
        made.append(kind())
        return f"a {kind.__name__}, made without arguments"

    card = try_out(partial(check_card, kind), kind, "correct the card")
    yield "card", card
    here = try_out(make, kind, "make __init__ work without arguments")
    yield "made here", here
    if "failed" in (card.verdict, here.verdict):
        return
    for check, function in CHECKS.items():
        finding = try_out(partial(function, *made), kind, "correct the code at that line")
        yield check, finding
        if check == "output" and finding.verdict == "failed":
            return


def check_encoder(name: str) -> bool:
    """Print what the checks of an encoder find; False when one fails."""
    grid = Table(title=f"encoder {escape(name)}")
    for column in ("check", "verdict", "measured", "what to change"):
        grid.add_column(column, overflow="fold")
    found = list(findings(name))
    for check, one in found:
        grid.add_row(check, one.verdict, escape(one.measured), escape(one.remedy))
    failed, warned = (sum(one.verdict == it for _, one in found) for it in ("failed", "warning"))
    left = len(CHECKS) + 2 - len(found)
    grid.caption = f"{failed} failed, {warned} warned of, {len(found) - failed - warned} ok"
    if failed and left:
        grid.caption += f"; {left} not tried before these are corrected"
    wide(Console()).print(grid)
    return failed == 0
