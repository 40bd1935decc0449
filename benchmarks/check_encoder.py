"""Checks that an encoder meets the contract; each returns what it measured, or raises.

All checks run on the CPU, so that the outcome is the same on every machine.
"""

import math
from collections.abc import Callable
from functools import partial
from inspect import getsourcefile
from pathlib import Path
from traceback import extract_tb

import torch
from torch import Tensor

from motionbeat.benchmarks.registry import ENCODERS
from motionbeat.encoder import Encoder
from motionbeat.encoding import CHUNK_SECONDS, encode, frames_of
from motionbeat.errors import MotionBeatError

SAME = 1e-6  # largest difference, relative to the largest feature, of what must repeat
ALIKE = 1e-3  # of what is computed in another order
LONG_SECONDS = 1.5 * CHUNK_SECONDS
BLUR_SECONDS = 0.25  # a wider answer to a click tells little of where its frame is
FAR_SECONDS = 10.0  # from a seam, beyond the declared context


class ContractError(MotionBeatError):
    """A violation of the contract: what was measured, and what to change."""


class ContractWarning(ContractError):  # noqa: N818
    """Something unusual for which an encoder may have a reason."""


def require(
    right: bool, measured: str, remedy: str, error: type[ContractError] = ContractError
) -> str:
    """Return ``measured`` if the check passed; otherwise raise it with the remedy."""
    if not right:
        raise error(f"{measured}; {remedy}")
    return measured


def noise(encoder: Encoder, seconds: float, batch: int = 1) -> Tensor:
    """The same noise on every call, (batch, [2,] samples), with an increasing level."""
    samples = round(seconds * encoder.card.sample_rate)
    shape = (batch, samples) if encoder.card.channels == 1 else (batch, 2, samples)
    white = torch.rand(shape, generator=torch.Generator().manual_seed(3)) - 0.5
    return white * torch.linspace(0.01, 1.0, samples)


@torch.inference_mode()
def states(encoder: Encoder, *waveform_and_lengths: Tensor) -> Tensor:
    """The encoder's output, without gradients."""
    found: Tensor = encoder(*waveform_and_lengths)
    return found


def check_card(kind: type[Encoder]) -> str:
    """The fields of the card have valid values."""
    card, context = kind.card, kind.context
    counts = (card.sample_rate, card.layers, card.width, card.parameters)
    texts = (card.name, card.revision, card.licence, card.source, *card.training_data)
    valid = {
        "name": not set(card.name) & set('/\\:," '),
        "training_data": isinstance(card.training_data, tuple),
        "texts": all(isinstance(text, str) and text.strip() for text in texts),
        "counts": all(type(count) is int for count in counts) and min(counts[:3]) > 0,
        "frame_rate": 0 < card.frame_rate <= card.sample_rate,
        "context": isinstance(context, int | float) and context >= 0,
    }
    faults = ", ".join(fact for fact, right in valid.items() if not right)
    facts = f"{card.layers} x {card.width} at {card.frame_rate} Hz from {card.sample_rate} Hz"
    return require(
        not faults, f"{faults} cannot be true: {card}" if faults else facts, "correct it"
    )


def check_frozen(encoder: Encoder) -> str:
    """Weights are frozen and their number is on the card; tensors move with the module.

    Dropout and batch norm are in evaluation mode.
    """
    count, stated = sum(one.numel() for one in encoder.parameters()), encoder.card.parameters
    measured = f"{count:,} weights, the card says {stated:,}"
    require(count == stated, measured, f"set parameters={count} on the card")
    loose = sum(parameter.requires_grad for parameter in encoder.parameters())
    training = sum(module.training for module in encoder.modules())
    state = f"{loose} tensors with gradients, {training} modules in training mode"
    remedy = "end __init__ with self.eval().requires_grad_(False)"
    require(not loose and not training, state, remedy)
    members = [item for module in encoder.modules() for item in vars(module).items()]
    plain = ", ".join(name for name, value in members if isinstance(value, Tensor))
    remedy = "keep tensors by self.register_buffer(name, tensor)"
    require(not plain, f"{plain} would stay behind on the CPU", remedy)
    return f"{measured}, {state}"


def check_output(encoder: Encoder) -> str:
    """Features are finite float32 with the shape on the card; the waveform is not modified."""
    card, waveform = encoder.card, noise(encoder, 2.0, batch=2)
    found = states(encoder, waveform)
    remedy = f"give one finite float32 tensor (2, {card.layers}, frames, {card.width})"
    require(isinstance(found, Tensor), f"forward gave a {type(found).__name__}", remedy)
    fits = found.ndim == 4 and (*found.shape[:2], found.shape[3]) == (2, card.layers, card.width)
    finite = bool(found.isfinite().all())
    measured = f"{tuple(found.shape)} {found.dtype}{', not finite' * (not finite)}"
    require(fits and finite and found.dtype == torch.float32, measured, remedy)
    changed = not torch.equal(waveform, noise(encoder, 2.0, batch=2))
    require(not changed, "forward changes its input in place", "work on a copy of the waveform")
    return measured


def check_frame_rate(encoder: Encoder) -> str:
    """The number of frames agrees with the frame rate on the card."""
    rate = encoder.card.frame_rate
    short, long = (states(encoder, noise(encoder, seconds)).shape[2] for seconds in (5.0, 15.0))
    off = max(abs(short - math.floor(5 * rate) - 1), abs(long - math.floor(15 * rate) - 1))
    said = f"{(long - short) / 10:g} frames a second, the card says {rate:g}, {long} in 15 s"
    remedy = f"pad by half a window to give {math.floor(15 * rate) + 1}, or correct frame_rate"
    return require(off == 0, said, remedy, ContractError if off > 1 else ContractWarning)


def check_alignment(encoder: Encoder) -> str:
    """Frame i answers a click at i / frame rate, from the start to the end.

    The answer of a layer is where it is at least half as strong as at its strongest. Its middle
    shall be the click's frame, within one frame and a quarter of its own extent, as no more can be
    told of a blurred one. Near either end of the audio, where half of an answer may be cut off, it
    need only reach to within a frame of the click. One layer must answer so. Layers that answer
    later, as layers with a memory do, are warned of.
    """
    card, blur = encoder.card, math.inf
    silence = torch.zeros(1, 20 * card.sample_rate)
    clicks, clicking = (0.0, 4.5, 10.013, 15.3, 19.985), silence.clone()
    clicking[0, [round(click * card.sample_rate) for click in clicks]] = 1.0
    answers = (states(encoder, clicking) - states(encoder, silence))[0].norm(dim=-1)
    around, last = math.ceil(2 * card.frame_rate), answers.shape[1] - 1
    offs, excess, unanswered = [0.0] * card.layers, [-math.inf] * card.layers, list[float]()
    for click in clicks:
        frame = round(click * card.frame_rate)
        start = max(0, frame - around)
        for layer, answer in enumerate(answers[:, start : frame + around]):
            if not answer.any():
                unanswered.append(click)
                continue
            lit = start + torch.nonzero(answer >= answer.amax() / 2)[:, 0] - frame
            first, final = int(lit[0]), int(lit[-1])
            extent = final - first
            if frame < extent or frame + extent > last:
                off, tolerance = float(max(first, 0) + min(final, 0)), 1.0
            else:
                off, tolerance = (first + final) / 2, 1 + extent / 4
                blur = min(blur, extent / card.frame_rate)
            excess[layer] = max(excess[layer], abs(off) - tolerance)
            offs[layer] = max(offs[layer], off, key=abs)
    best, worst = excess.index(min(excess)), excess.index(max(excess))
    milliseconds = 1000 * offs[best] / card.frame_rate
    said = f"answers off by {offs[best]:+.1f} frames at most ({milliseconds:+.0f} ms)"
    if encoder.causal and offs[best] > 0:
        require(excess[best] <= 0, said, "what hears the past alone answers late", ContractWarning)
    require(excess[best] <= 0, said, "pad so that frame i is centred at i / frame_rate seconds")
    silent = f"no frame within 2 s of {unanswered[:1]} s answers a click there"
    require(not unanswered, silent, "give a frame for every instant, in order")
    late = f"layer {worst} answers {offs[worst]:+.1f} frames off, layer {best} does not"
    remedy = "layers with a memory do, and if this one has none, pad it"
    require(excess[worst] <= 0, late, remedy, ContractWarning)
    said += f", the sharpest is {1000 * blur:.0f} ms wide"
    remedy = "a narrower answer would tell more of the alignment"
    return require(blur <= BLUR_SECONDS, said, remedy, ContractWarning)


def check_agreement(encoder: Encoder) -> str:
    """Runs, instances and rows of a batch agree, of unequal lengths too where the card says so."""
    rows = noise(encoder, 3.0, batch=2)
    rows[0] *= 0.1
    alone = states(encoder, rows[:1])
    again, other = states(encoder, rows[:1]), states(type(encoder)(), rows[:1])
    together = states(encoder, rows)[:1]
    cases = [
        ("runs", alone, again, SAME, "no dropout or random numbers in forward"),
        ("instances", alone, other, SAME, "load all weights, or seed random ones in __init__"),
        ("rows of a batch", alone, together, ALIKE, "normalise row by row, not over the batch"),
    ]
    if encoder.card.unequal_lengths:
        lengths = torch.tensor([round(2.23 * encoder.card.sample_rate), rows.shape[-1]])
        short = rows[:1, ..., : lengths[0]].clone()
        rows[0, ..., lengths[0] :] = 0
        padded = states(encoder, rows, lengths)[:1, :, : frames_of(encoder.card, short.shape[-1])]
        remedy = "leave out what lies beyond lengths, or unequal_lengths on the card"
        cases.append(("rows of other lengths", states(encoder, short), padded, ALIKE, remedy))
    measured = []
    for what, alone, found, tolerance, remedy in cases:
        alike = found.shape == alone.shape
        off = float((found - alone).abs().amax() / alone.abs().amax()) if alike else math.inf
        measured.append(require(not off > tolerance, f"{what} differ by {off:.1e}", remedy))
    return ", ".join(measured)


def check_short(encoder: Encoder) -> str:
    """A sample, 100 ms and 2 s, of noise and of silence, give finite frames."""
    rate, said = encoder.card.sample_rate, []
    remedy = "pad short audio to one window, and add a small number before log or division"
    for samples in (1, rate // 10, 2 * rate):
        waveform = noise(encoder, samples / rate)
        for found in (states(encoder, 0 * waveform), states(encoder, waveform)):
            measured = f"{samples} samples: {found.shape[2]} frames"
            finite = bool(found.isfinite().all())
            require(found.shape[2] > 0, measured, remedy)
            require(finite, f"{measured}, not finite", remedy)
        said.append(measured)
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


CHECKS: dict[str, Callable[[Encoder], str]] = {
    "frozen": check_frozen,
    "output": check_output,
    "frame rate": check_frame_rate,
    "alignment": check_alignment,
    "agreement": check_agreement,
    "short audio, silence": check_short,
    "long audio": check_pieces,
}
"""What is tried of an encoder, by name and in order."""


def try_out(check: Callable[[], str], kind: type[Encoder]) -> tuple[str, str]:
    """Verdict and findings of a check in one line; any exception is a finding too."""
    try:
        return "ok", check()
    except MotionBeatError as error:  # brings its own remedy
        return "warning" if isinstance(error, ContractWarning) else "failed", str(error)
    except Exception as error:
        steps = extract_tb(error.__traceback__)
        step = ([one for one in steps if one.filename == getsourcefile(kind)] or steps)[-1]
        said = " ".join(str(error).split())[:300]
        place = f"{Path(step.filename).name}:{step.lineno}"
        return "failed", f"{type(error).__name__}: {said} ({place}); correct the code there"


def check_encoder(name: str) -> bool:
    """Print a line a check of an encoder; False when one fails.

    Args:
        name: of the encoder, ``package.module:Class`` or ``file.py:Class``.

    Raises:
        UnknownNameError: there is no such encoder, or its file cannot be loaded.
    """
    kind = ENCODERS.get(name)
    made: list[Encoder] = []
    verdicts = []

    def make() -> str:
        if why := kind.unavailable():
            raise ContractError(f"not made: {why}")
        made.append(kind())
        return f"a {kind.__name__}, made without arguments"

    checks: dict[str, Callable[[], str]] = {"card": partial(check_card, kind), "made here": make}
    checks |= {name: partial(lambda check: check(*made), check) for name, check in CHECKS.items()}
    for check, function in checks.items():
        verdict, found = try_out(function, kind)
        verdicts.append(verdict)
        print(f"{verdict:8}{check}: {found}")
        if verdict == "failed" and check in ("card", "made here", "output"):
            break
    failed, warned = verdicts.count("failed"), verdicts.count("warning")
    print(
        f"{failed} failed, {warned} warned of, {verdicts.count('ok')} ok, "
        f"{len(checks) - len(verdicts)} not tried"
    )
    return not failed
