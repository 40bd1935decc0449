"""Does MotionBeat know which moment of which dance belongs to a moment of real music?

    python -m motionbeat.benchmarks.matching

compares clips of music from ``dance_with_melody``, never trained on, with the dance to them, with
the same dance shifted in time, and with dances to other songs, and writes ``matching.csv``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from jsonargparse import auto_cli
from motionbeat.benchmarks.pretraining import pairs
from numpy.typing import NDArray
from torch import Tensor

from motionbeat.benchmarks.cli import CACHE, DATA
from motionbeat.benchmarks.runner import Folders
from motionbeat.console import bar, say
from motionbeat.files import write_atomically
from motionbeat.model import AUDIO_FRAME_RATE, MOTION_FRAME_RATE, SAMPLE_RATE, MotionBeat
from motionbeat.motion import Motion
from motionbeat.pretraining.evaluation import CLIP_SECONDS, moments
from motionbeat.pretraining.pairs import Pair, listen, load_pair, watch
from motionbeat.tokens import Clock
from motionbeat.weights import load_model, untrained

STEP = 0.5
"""Seconds between the shifts that are tried; music is cut every ``CLIP_SECONDS``."""

PERMUTATIONS = 10_000
_STRIDE = round(CLIP_SECONDS / STEP)

Table = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Song:
    """What is compared of one dance.

    Attributes:
        music: (C, ...) what the audio tower takes, clip after clip.
        motion: (S, ...) what the motion tower takes, from every ``STEP`` seconds on.
    """

    music: tuple[Tensor, Tensor, Clock]
    motion: tuple[Tensor, Clock]


def matching(
    weights: tuple[str, ...] = ("motionbeat-small",),
    dataset: str = "dance_with_melody",
    results: Path = Path("results"),
    cache: Path = CACHE,
    data: Path | None = DATA,
) -> None:
    """Compare true pairs with shifted ones and with other songs, and write the table.

    Args:
        weights: names or files of weights; the untrained model always comes along.
        dataset: with dances, its test split is used.
        results: folder for ``matching.csv``.
        cache: folder for generated data (MOTIONBEAT_CACHE).
        data: folder with datasets put in place by hand (MOTIONBEAT_DATA).
    """
    datamodule = Folders(cache, results, data).datamodule(dataset)
    datamodule.prepare_data()
    with bar("dances") as progress:
        dances = pairs(datamodule, "test")
        songs = [song(pair) for pair in progress.track(dances, description="clips")]
    models = {Path(name).stem: load_model(name) for name in weights}
    rows = {
        name: scores(embeddings(model, songs))
        for name, model in (models | {"motionbeat-random": untrained()}).items()
    }
    table = pd.DataFrame.from_dict(rows, orient="index").rename_axis("model")
    say(table.to_string())
    write_atomically(results / "matching.csv", table.round(4).to_csv().encode())


def song(pair: Pair) -> Song:
    """Cut a pair; every clip is heard and seen by itself."""
    waveform, motion = load_pair(pair)
    seconds = min(len(waveform) / SAMPLE_RATE, motion.duration)
    starts = np.arange(0, seconds - CLIP_SECONDS + 1e-6, STEP)
    samples = np.arange(round(CLIP_SECONDS * SAMPLE_RATE))
    frames = np.arange(round(CLIP_SECONDS * motion.fps))
    heard = [listen(waveform[round(start * SAMPLE_RATE) + samples]) for start in starts[::_STRIDE]]
    seen = [
        watch(Motion(motion.positions[round(start * motion.fps) + frames], motion.fps))
        for start in starts
    ]
    rows, moves = int(CLIP_SECONDS * AUDIO_FRAME_RATE), int(CLIP_SECONDS * MOTION_FRAME_RATE)
    log_mel = torch.stack([torch.from_numpy(one[0][:rows]) for one in heard])
    features = torch.stack([torch.from_numpy(one[0][:moves]) for one in seen])
    return Song(
        (log_mel, torch.full((len(heard),), rows), Clock.of([one[2] for one in heard])),
        (features, Clock.of([one[1] for one in seen])),
    )


@torch.inference_mode()
def embeddings(model: MotionBeat, songs: Sequence[Song]) -> list[tuple[Table, Table]]:
    """Embeddings (C, d) of the music and (S, d) of the motion of each song."""
    when = moments(CLIP_SECONDS)
    found = []
    for one in songs:
        music, motion = model.audio(*one.music)[-1], model.motion(*one.motion)[-1]
        pair = (
            model.audio.embed(music, one.music[-1], when.expand(len(music), -1)),
            model.motion.embed(motion, one.motion[-1], when.expand(len(motion), -1)),
        )
        found.append((pair[0].double().numpy(), pair[1].double().numpy()))
    return found


def scores(found: Sequence[tuple[Table, Table]]) -> dict[str, float]:
    """Accuracies of true pairs against impostors, and how likely chance does as well.

    Returns:
        ``shifted``: share of comparisons in which a clip of music is nearer to its own motion than
        to the motion of the same dance at another time; ``other_song``: than to the motion of
        another dance at the same time. Chance is 1/2. The p-values are one-sided permutation tests
        of the mean cosine: each dance is shifted as a whole, round its end, by a random time; or
        the dances are dealt out to the songs at random.
    """
    rng = np.random.default_rng(0)
    own, other = shifted_cosines(found), cross_cosines(found)
    wins = [(row[:, :1] > row[:, 1:]).mean() for row in own]
    true = np.array([row[:, 0].mean() for row in own])
    courses = [row.mean(axis=0) for row in own]
    draws = np.stack([rng.choice(course[1:], PERMUTATIONS) for course in courses])
    dealt = np.arange(len(found))
    others = ~np.eye(len(found), dtype=bool)
    deals = [other[dealt, rng.permutation(dealt)].mean() for _ in range(PERMUTATIONS)]
    return {
        "dances": len(found),
        "clips": sum(len(row) for row in own),
        "shifted": float(np.mean(wins)),
        "shifted_p": _p(float(true.mean()), draws.mean(axis=0)),
        "other_song": float((np.diag(other)[:, None] > other)[others].mean()),
        "other_song_p": _p(float(np.diag(other).mean()), np.array(deals)),
    }


def shifted_cosines(found: Sequence[tuple[Table, Table]]) -> list[Table]:
    """(C, S) cosines of each clip with the motion from 0, 1, ... steps later on, round the end."""
    tables = []
    for music, motion in found:
        steps = np.arange(len(motion))
        starts = np.arange(len(music)) * _STRIDE
        cosines = music @ motion.T
        tables.append(np.take_along_axis(cosines, (starts[:, None] + steps) % len(motion), axis=1))
    return tables


def cross_cosines(found: Sequence[tuple[Table, Table]]) -> Table:
    """(songs, dances) mean cosine of the clips of a song with a dance at the same times."""
    return np.array(
        [
            [
                (music * motion[(np.arange(len(music)) * _STRIDE) % len(motion)]).sum(axis=1).mean()
                for _, motion in found
            ]
            for music, _ in found
        ]
    )


def _p(true: float, chance: Table) -> float:
    return float((1 + (chance >= true).sum()) / (1 + len(chance)))


if __name__ == "__main__":
    auto_cli(matching, as_positional=False)
