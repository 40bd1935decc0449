"""Weights: shipped safetensors files, found by name and verified by their SHA-256."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from motionbeat.encoder import EncoderCard
from motionbeat.errors import MotionBeatError
from motionbeat.files import replacing
from motionbeat.live import LiveEncoder, LiveMotionBeat
from motionbeat.model import FRAME_RATE, SIZES, MotionBeat, MotionBeatEncoder
from motionbeat.spectrum import SAMPLE_RATE

FOLDER = Path(__file__).parent / "pretrained"
"""The shipped weights, each with a model card beside it."""

CARDS = {
    "motionbeat-small": EncoderCard(
        name="motionbeat-small",
        revision="4",
        sample_rate=SAMPLE_RATE,
        frame_rate=FRAME_RATE,
        layers=1,
        width=MotionBeatEncoder.width(SIZES["small"]),
        parameters=4_064_996,
        licence="Apache-2.0",
        training_data=(
            "groovebox",
            "groove_midi",
            "game_music",
            "free_music",
            "Million Song Dataset",  # by the teachers of the sound stream
            "MTG-Jamendo",
            "Ballroom",  # by BeatNet, which chose beats of danced_music
            "Beatles",
            "Carnatic Music Rhythm",
            "Rock Corpus",
        ),
        source="MotionBeat Bench, src/motionbeat/pretrained/motionbeat-small.md",
    )
}
"""Cards of the shipped weights."""

CARDS["motionbeat-live"] = replace(
    CARDS["motionbeat-small"],
    name="motionbeat-live",
    revision="1",
    source="MotionBeat Bench, src/motionbeat/pretrained/motionbeat-live.md",
)

TOWERS_REVISION = "5"
"""Revision of both towers of motionbeat-small together; it changes with either of them.

The motion tower was trained further beside the encoder, whose revision is on its card.
"""

CONFIGURATION = "motionbeat"
"""Metadata key of a weights file; its value is the arguments of the model, as JSON."""


class WeightsError(MotionBeatError):
    """Weights that cannot be used; the message has the reason and the remedy."""


def save_weights(model: MotionBeat, architecture: dict[str, Any], path: Path) -> str:
    """Write a model's weights with the arguments of :class:`MotionBeat`; return their SHA-256."""
    state = {name: value.detach().contiguous() for name, value in model.state_dict().items()}
    with replacing(path) as unfinished:
        save_file(state, unfinished, {CONFIGURATION: json.dumps(architecture, sort_keys=True)})
    return _digest(path)


def from_pretrained(name: str | Path = "motionbeat-small") -> MotionBeatEncoder:
    """Load a frozen music encoder from shipped weights or from a file.

    Args:
        name: ``motionbeat-small``, ``motionbeat-live``, or a ``.safetensors`` file that
            ``motionbeat pretrain`` wrote.

    Returns:
        The encoder; it maps (B, samples) at 22.05 kHz to (B, 1, frames, width) at 50 Hz.

    Raises:
        WeightsError: as in :func:`load_model`.
    """
    model = load_model(name)
    encoder = (LiveEncoder if isinstance(model, LiveMotionBeat) else MotionBeatEncoder)(model)
    vars(encoder)["card"] = CARDS.get(str(name)) or EncoderCard(
        name=Path(name).stem,
        revision=_digest(Path(name))[:12],
        sample_rate=SAMPLE_RATE,
        frame_rate=FRAME_RATE,
        layers=1,
        width=encoder.width(model.size),
        parameters=sum(weight.numel() for weight in encoder.parameters()),
        licence="unknown",
        training_data=(),
        source=str(name),
    )
    return encoder


def load_model(name: str | Path) -> MotionBeat:
    """Load towers and sound stream from shipped weights or a file, frozen and in evaluation mode.

    The weights of motionbeat-live have no motion tower, so their model has none.

    Args:
        name: ``motionbeat-small``, ``motionbeat-live``, or a ``.safetensors`` file that
            ``motionbeat pretrain`` wrote.

    Raises:
        WeightsError: there are no such weights; the file is not a safetensors file (it is never
            unpickled), is damaged or holds another model; or the SHA-256 of shipped weights is
            wrong.
    """
    known = json.loads((FOLDER / "sha256.json").read_text())
    published = known.get(str(name))
    path = FOLDER / f"{name}.safetensors" if published else Path(name)
    if path.suffix != ".safetensors":
        raise WeightsError(
            f"no weights '{name}'; give {' or '.join(known)}, or a .safetensors file written by "
            "motionbeat pretrain (other kinds of checkpoints may run code and are not read)"
        )
    if not path.is_file():
        raise WeightsError(f"{path}: no such file; check the path or install motionbeat again")
    if published and (digest := _digest(path)) != published:
        raise WeightsError(
            f"{path}: its SHA-256 is {digest[:12]}..., not the published {published[:12]}...; "
            "install motionbeat again"
        )
    try:
        with safe_open(path, framework="pt") as file:
            architecture = json.loads((file.metadata() or {})[CONFIGURATION])
            state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        live = architecture.pop("live", False)
        model = (LiveMotionBeat if live else MotionBeat)(**architecture)
        if live and not any(key.startswith("motion.") for key in state):
            del model.motion
        model.load_state_dict(state)
    except (SafetensorError, OSError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise WeightsError(
            f"{path}: holds no MotionBeat weights ({' '.join(str(error).split())[:200]}); "
            "write it with motionbeat pretrain"
        ) from error
    return model.eval().requires_grad_(False)


def untrained() -> MotionBeat:
    """The small model with the same random weights on every call."""
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        return MotionBeat("small").eval().requires_grad_(False)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
