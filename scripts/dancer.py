"""The dancer that is shipped with motionbeat-small.

    python scripts/dancer.py

trains it on groovebox, as the entry of the table is trained, unless that was run before, and writes
it beside the weights.
"""

from pathlib import Path

from jsonargparse import auto_cli

from motionbeat.benchmarks.choreographer import choreographer, save_dancer
from motionbeat.benchmarks.cli import CACHE
from motionbeat.benchmarks.evaluator import Folders
from motionbeat.weights import FOLDER


def main(encoder: str = "motionbeat-small", output: Path = FOLDER, cache: Path = CACHE) -> None:
    """Write the dancer of an encoder.

    Args:
        encoder: its name.
        output: folder for the file.
        cache: folder for generated data, features and trained dancers.
    """
    task = choreographer(encoder, "groovebox", None, Folders(cache))
    save_dancer(task, output / f"{encoder}-dancer.safetensors")


if __name__ == "__main__":
    auto_cli(main, as_positional=False)
