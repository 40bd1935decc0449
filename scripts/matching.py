"""Does MotionBeat know which part of which dance belongs to a part of real music?

    python scripts/matching.py

compares clips of music from ``dance_with_melody``, never trained on, with the dance to them, with
the same dance shifted in time, and with dances to other songs, and writes ``matching.csv``. The
motion augmentation of the weights was tuned on statistics of motions of this dataset, those of the
test split among them; the table says so.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from jsonargparse import auto_cli
from numpy.typing import NDArray

from motionbeat.benchmarks.evaluator import Folders
from motionbeat.benchmarks.pretrain_cli import pairs
from motionbeat.cache import default_cache
from motionbeat.console import bar, say
from motionbeat.files import write_atomically
from motionbeat.model import AUDIO_FRAME_RATE, MOTION_FRAME_RATE, SAMPLE_RATE, MotionBeat
from motionbeat.motion import Motion
from motionbeat.pretraining.evaluation import CLIP_SECONDS, embed
from motionbeat.pretraining.pairs import (
    AudioInputs,
    MotionInputs,
    Pair,
    audio_inputs,
    load_pair,
    motion_inputs,
)
from motionbeat.tokens import Clock
from motionbeat.weights import load_model, untrained

STEP = 0.5
"""Seconds between the shifts that are tried; music is cut every ``CLIP_SECONDS``."""

PERMUTATIONS = 10_000
TUNED = {"motionbeat-small": "augmentation ranges read from motions of this dataset, test included"}
"""What the table says of weights."""

_STRIDE = round(CLIP_SECONDS / STEP)

Table = NDArray[np.float64]


class Song(NamedTuple):
    """Clips of the music of a dance, and clips of its motion from every ``STEP`` seconds on."""

    audio: AudioInputs
    motion: MotionInputs


def matching(
    weights: tuple[str, ...] = ("motionbeat-small",),
    dataset: str = "dance_with_melody",
    results: Path = Path("results"),
    cache: Path | None = None,
    data: Path | None = None,
) -> None:
    """Compare true pairs with shifted ones and with other songs, and write the table.

    Args:
        weights: names or files of weights; the untrained model always comes along.
        dataset: with dances, its test split is used.
        results: folder for ``matching.csv``.
        cache: folder for generated data (MOTIONBEAT_CACHE).
        data: folder with datasets put in place by hand (MOTIONBEAT_DATA).
    """
    datamodule = Folders(cache or default_cache(), data=data).datamodule(dataset)
    datamodule.prepare_data()
    with bar("dances") as progress:
        dances = pairs(datamodule, "test")
        songs = [song(pair) for pair in progress.track(dances, description="clips")]
    models = {Path(name).stem: load_model(name) for name in weights}
    rows = {
        name: scores(embeddings(model, songs))
        for name, model in (models | {"motionbeat-random": untrained()}).items()
    }
    table = pd.DataFrame.from_dict(rows, orient="index").rename_axis("model").round(4)
    if dataset == "dance_with_melody":
        table["note"] = [TUNED.get(name, "") for name in table.index]
    say(table.to_string())
    write_atomically(results / "matching.csv", table.to_csv().encode())


def song(pair: Pair) -> Song:
    """Cut a pair; the beats of every clip come from that clip alone."""
    waveform, motion = load_pair(pair)
    seconds = min(len(waveform) / SAMPLE_RATE, motion.duration)
    starts = np.arange(0, seconds - CLIP_SECONDS + 1e-6, STEP)
    samples = np.arange(round(CLIP_SECONDS * SAMPLE_RATE))
    frames = np.arange(round(CLIP_SECONDS * motion.fps))
    audio = [audio_inputs(waveform[round(t * SAMPLE_RATE) + samples]) for t in starts[::_STRIDE]]
    moves = [
        motion_inputs(Motion(motion.positions[round(t * motion.fps) + frames], motion.fps))
        for t in starts
    ]
    rows, steps = int(CLIP_SECONDS * AUDIO_FRAME_RATE), int(CLIP_SECONDS * MOTION_FRAME_RATE)
    log_mel = torch.stack([torch.from_numpy(one[0][:rows]) for one in audio])
    onsets = torch.stack([torch.from_numpy(one[1][:rows]) for one in audio])
    features = torch.stack([torch.from_numpy(one[0][:steps]) for one in moves])
    clocks = Clock.of([one[2] for one in audio]), Clock.of([one[1] for one in moves])
    lengths = torch.full((len(audio),), rows)
    return Song(AudioInputs(log_mel, onsets, lengths, clocks[0]), MotionInputs(features, clocks[1]))


@torch.inference_mode()
def embeddings(model: MotionBeat, songs: Sequence[Song]) -> list[tuple[Table, Table]]:
    """Embeddings (C, d) of the music and (S, d) of the motion of each song."""
    found = []
    for one in songs:
        music, motion = embed(model, one.audio, one.motion, CLIP_SECONDS)
        found.append((music.double().numpy(), motion.double().numpy()))
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
