"""Pictures of dances to one test piece, as generated from several encoders.

    python scripts/dance_pictures.py

draws ``dances_groovebox.png``, a row of poses for the real dance and for each encoder, and
``dance.gif``, a few seconds of the first encoder's. Dancers that were trained before are not
trained again.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from jsonargparse import auto_cli
from PIL import Image, ImageDraw, ImageFont

from motionbeat.benchmarks.choreographer import choreographer
from motionbeat.benchmarks.cli import CACHE, DATA, Options, split
from motionbeat.benchmarks.evaluator import Folders
from motionbeat.benchmarks.stick_figure import (
    BACKGROUND,
    INK,
    PULSE,
    SUPERSAMPLING,
    Canvas,
    grounded,
    is_downbeat,
    write_gif,
)
from motionbeat.console import say
from motionbeat.data_modules.base import Beats
from motionbeat.files import replacing
from motionbeat.motion import Motion
from motionbeat.tasks.dance_generation import RealDance, real_dance

ENCODERS = "motionbeat-small,musicnn,mfcc_chroma,no-music"

_POSES = 10
_COLUMN, _ROW, _LABEL, _EDGE = (SUPERSAMPLING * pixels for pixels in (124, 180, 150, 40))


def dance_pictures(
    encoder: str = ENCODERS,
    dataset: str = "groovebox",
    dataset_options: Options | None = None,
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
    dances: dict[str, Motion] = {}
    for name in split(encoder):
        task = choreographer(name, dataset, dataset_options, folders)
        task.seed = seed
        dances[name] = task.predict(track.audio_path)
    strip, moving = results / f"dances_{module.card.name}.png", results / "dance.gif"
    poses_strip({RealDance.name: real_dance(track)} | dances, beats, strip, start, seconds)
    inside = (beats.times >= start) & (beats.times < start + seconds)
    positions = None if beats.positions is None else beats.positions[inside]
    first = next(iter(dances.values()))
    frames = slice(round(start * first.fps), round((start + seconds) * first.fps))
    contacts = None if first.contacts is None else first.contacts[frames]
    excerpt = Motion(first.positions[frames], first.fps, contacts)
    write_gif(excerpt, Beats(beats.times[inside] - start, positions), moving)
    say(f"{strip} and {moving}: {track.id}, {start:g} to {start + seconds:g} s")


def poses_strip(
    motions: Mapping[str, Motion], beats: Beats, path: Path, start: float, seconds: float
) -> None:
    """Draw dances to the same music below each other, a row a name, beats as vertical lines."""
    width, height = _LABEL + _POSES * _COLUMN, _ROW * len(motions) + _EDGE
    picture = Image.new("RGB", (width, height), BACKGROUND)
    draw = ImageDraw.Draw(picture)
    text = ImageFont.load_default(14 * SUPERSAMPLING)
    moments = np.linspace(start, start + seconds, _POSES)

    def across(moment: float) -> float:
        return _LABEL + _COLUMN / 2 + (moment - start) / seconds * (_POSES - 1) * _COLUMN

    for number, beat in enumerate(beats.times):
        if start <= beat <= start + seconds:
            line = (across(beat), 0, across(beat), height - _EDGE)
            draw.line(line, PULSE, (3 if is_downbeat(beats, number) else 1) * SUPERSAMPLING)
    for moment in moments:
        draw.text((across(moment), height - _EDGE / 2), f"{moment:.1f} s", INK, text, anchor="mm")
    for number, (name, motion) in enumerate(motions.items()):
        draw.text((10 * SUPERSAMPLING, (number + 0.5) * _ROW), name, INK, text, anchor="lm")
        joints = grounded(motion)
        for moment in moments:
            frame = min(round(moment * motion.fps), len(joints) - 1)
            origin = across(moment), (number + 0.86) * _ROW
            canvas = Canvas(draw, 0.43 * _ROW, origin, joints[frame, 0] * [1, 0, 1])
            canvas.figure(
                joints[frame], None if motion.contacts is None else motion.contacts[frame]
            )
    with replacing(path) as unfinished:
        picture.reduce(SUPERSAMPLING).save(unfinished, format="PNG", optimize=True)


if __name__ == "__main__":
    auto_cli(dance_pictures, as_positional=False)
