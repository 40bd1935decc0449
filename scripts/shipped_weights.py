"""What is shipped of trained weights: one file a model, with its digest.

``python scripts/shipped_weights.py small TOWERS SOUND`` and ``... live TRAINED``.
"""

import json
from pathlib import Path

from jsonargparse import auto_cli
from safetensors import safe_open

from motionbeat.model import MotionBeat
from motionbeat.weights import CONFIGURATION, FOLDER, load_model, save_weights


def small(towers: Path, sound: Path, output: Path = FOLDER) -> None:
    """Write motionbeat-small: the towers of one file, the sound stream of another.

    Args:
        towers: weights that ``motionbeat pretrain`` wrote.
        sound: weights that ``motionbeat distill`` wrote.
        output: folder of the shipped weights.
    """
    model = load_model(towers)
    model.sound.load_state_dict(load_model(sound).sound.state_dict())
    _ship("motionbeat-small", model, towers, output)


def live(trained: Path, output: Path = FOLDER) -> None:
    """Write motionbeat-live: what the encoder needs, in half precision.

    Args:
        trained: weights that ``motionbeat pretrain`` wrote with ``live.yaml``.
        output: folder of the shipped weights.
    """
    model = load_model(trained)
    del model.motion
    _ship("motionbeat-live", model.half(), trained, output)


def _ship(name: str, model: MotionBeat, trained: Path, output: Path) -> None:
    """Write a model of the architecture of trained weights, and its digest."""
    with safe_open(trained, framework="pt") as file:
        architecture = json.loads(file.metadata()[CONFIGURATION])
    digests = output / "sha256.json"
    known = json.loads(digests.read_text())
    known[name] = save_weights(model, architecture, output / f"{name}.safetensors")
    digests.write_text(json.dumps(known, indent=2) + "\n")


if __name__ == "__main__":
    auto_cli([small, live], as_positional=True)
