"""Pictures of dances to one test piece, as several encoders hear it.

    python -m motionbeat.benchmarks.dance_pictures

draws ``dances_groovebox.png``, a row of poses for the real dance and for each encoder, and
``dance.gif``, a few seconds of the first encoder's. Dancers that were trained before are not
trained again.
"""

from pathlib import Path

from jsonargparse import auto_cli

from motionbeat.benchmarks.choreographer import choreographer, excerpt
from motionbeat.benchmarks.cli import CACHE, DATA, split
from motionbeat.benchmarks.runner import Folders
from motionbeat.benchmarks.stick_figure import poses_strip, write_gif
from motionbeat.console import say
from motionbeat.data_modules.base import Beats, MotionFile
from motionbeat.motion import Motion
from motionbeat.tasks.dance_generation import RealDance

ENCODERS = "motionbeat-small,musicnn,mfcc_chroma,no-music"


def dance_pictures(
    encoder: str = ENCODERS,
    dataset: str = "groovebox",
    dataset_options: dict[str, bool | int | float | str | list[str]] | None = None,
    start: float = 4.0,
    seconds: float = 4.0,
    seed: int = 0,
    results: Path = Path("results"),
    cache: Path = CACHE,
    data: Path | None = DATA,
) -> None:
    """Draw dances to the first test piece of a dataset.

    Args:
        encoder: one or several names or package.module:Class, separated by commas.
        dataset: whose dances are learned from, and whose first test piece is danced to.
        dataset_options: arguments of the dataset, for example {train: 8} for a larger groovebox.
        start: second of the piece at which the pictures begin.
        seconds: that they show.
        seed: another one is another dance.
        results: folder for the pictures.
        cache: folder for generated data, features and trained dancers (MOTIONBEAT_CACHE).
        data: folder with datasets put in place by hand (MOTIONBEAT_DATA).
    """
    folders = Folders(cache, results, data)
    module = folders.datamodule(dataset, dataset_options)
    module.prepare_data()
    track = module.tracks("test")[0]
    beats = track.get(Beats)
    dances = {
        name: choreographer(name, dataset, dataset_options, folders).dance(track, seed, cache)
        for name in split(encoder)
    }
    strip, moving = results / f"dances_{module.card.name}.png", results / "dance.gif"
    real = {RealDance.name: Motion.load(track.get(MotionFile).path)}
    poses_strip(real | dances, beats, strip, start, seconds)
    first = excerpt(next(iter(dances.values())), start, seconds)
    write_gif(first, between(beats, start, seconds), moving)
    say(f"{strip} and {moving}: {track.id}, {start:g} to {start + seconds:g} s")


def between(beats: Beats, start: float, seconds: float) -> Beats:
    """The beats in some seconds of music, counted from the first of them."""
    inside = (beats.times >= start) & (beats.times < start + seconds)
    positions = None if beats.positions is None else beats.positions[inside]
    return Beats(beats.times[inside] - start, positions)


if __name__ == "__main__":
    auto_cli(dance_pictures, as_positional=False)
