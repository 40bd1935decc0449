"""What is shipped of the weights of motionbeat-live.

    python scripts/live_weights.py trained/motionbeat.safetensors

writes what the encoder needs of weights that ``motionbeat pretrain`` made, in half precision,
beside the other shipped weights, with its digest.
"""

import json
from pathlib import Path

from jsonargparse import auto_cli
from safetensors import safe_open

from motionbeat.weights import CONFIGURATION, FOLDER, load_model, save_weights

NAME = "motionbeat-live"


def main(trained: Path, output: Path = FOLDER) -> None:
    """Write the weights of motionbeat-live.

    Args:
        trained: weights that ``motionbeat pretrain --config live.yaml`` wrote.
        output: folder of the shipped weights.
    """
    model = load_model(trained)
    with safe_open(trained, framework="pt") as file:
        architecture = json.loads(file.metadata()[CONFIGURATION])
    del model.motion
    digests = output / "sha256.json"
    known = json.loads(digests.read_text())
    known[NAME] = save_weights(model.half(), architecture, output / f"{NAME}.safetensors")
    digests.write_text(json.dumps(known, indent=2) + "\n")


if __name__ == "__main__":
    auto_cli(main, as_positional=True)
