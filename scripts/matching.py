"""Does MotionBeat know which part of which dance belongs to a part of real music?

    python scripts/matching.py

compares clips of music from ``dance_with_melody``, never trained on, with the dance to them, with
the same dance shifted in time, and with dances to other songs, and writes ``matching.csv``. Dancers
may keep a constant distance to the beat: the test with a lag chooses one for each dance on half of
its clips. The motion augmentation of the weights was tuned on statistics of motions of this
dataset, those of the test split among them; the table says so.
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
from motionbeat.pretraining.evaluation import embed
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
"""Seconds between the shifts that are tried."""

SECONDS = (5.0, 10.0, 20.0)
"""Lengths of clips, which follow each other without a gap."""

LAG = 2
"""The largest constant lag between music and dance, in steps."""

PERMUTATIONS = 10_000
TUNED = {"motionbeat-small": "augmentation ranges read from motions of this dataset, test included"}
"""What the table says of weights."""

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
    models = {Path(name).stem: load_model(name) for name in weights}
    models["motionbeat-random"] = untrained()
    rows = []
    for seconds in SECONDS:
        with bar("dances") as progress:
            dances = pairs(datamodule, "test")
            cut = (song(pair, seconds) for pair in progress.track(dances, description="clips"))
            songs = [one for one in cut if one is not None]
        rows += [
            {
                "model": name,
                "seconds": seconds,
                **scores(embeddings(model, songs, seconds), round(seconds / STEP)),
            }
            for name, model in models.items()
        ]
    table = pd.DataFrame(rows).set_index("model").round(4)
    if dataset == "dance_with_melody":
        table["note"] = [TUNED.get(name, "") for name in table.index]
    say(table.to_string())
    write_atomically(results / "matching.csv", table.to_csv().encode())


def song(pair: Pair, clip: float) -> Song | None:
    """Cut a pair into clips, whose beats come from themselves; None where there are not two."""
    waveform, motion = load_pair(pair)
    seconds = min(len(waveform) / SAMPLE_RATE, motion.duration)
    if seconds < 2 * clip:
        return None
    starts = np.arange(0, seconds - clip + 1e-6, STEP)
    samples = np.arange(round(clip * SAMPLE_RATE))
    stride = round(clip / STEP)
    audio = [audio_inputs(waveform[round(t * SAMPLE_RATE) + samples]) for t in starts[::stride]]
    rows = int(clip * AUDIO_FRAME_RATE)
    log_mel = torch.stack([torch.from_numpy(one[0][:rows]) for one in audio])
    onsets = torch.stack([torch.from_numpy(one[1][:rows]) for one in audio])
    clock = Clock.of([one[2] for one in audio])
    lengths = torch.full((len(audio),), rows)
    return Song(AudioInputs(log_mel, onsets, lengths, clock), moves(motion, seconds, clip))


def moves(motion: Motion, seconds: float, clip: float) -> MotionInputs:
    """Clips of a motion from every ``STEP`` seconds on."""
    frames = np.arange(round(clip * motion.fps))
    cut = [
        motion_inputs(Motion(motion.positions[round(t * motion.fps) + frames], motion.fps))
        for t in np.arange(0, seconds - clip + 1e-6, STEP)
    ]
    steps = int(clip * MOTION_FRAME_RATE)
    features = torch.stack([torch.from_numpy(one[0][:steps]) for one in cut])
    return MotionInputs(features, Clock.of([one[1] for one in cut]))


@torch.inference_mode()
def embeddings(
    model: MotionBeat, songs: Sequence[Song], seconds: float
) -> list[tuple[Table, Table]]:
    """Embeddings (C, d) of the music and (S, d) of the motion of each song."""
    found = []
    for one in songs:
        music, motion = embed(model, one.audio, one.motion, seconds)
        found.append((music.double().numpy(), motion.double().numpy()))
    return found


def scores(found: Sequence[tuple[Table, Table]], stride: int) -> dict[str, float]:
    """Accuracies of true pairs against impostors, and how likely chance does as well.

    Args:
        found: embeddings of music and motion.
        stride: steps from one clip of music to the next.

    Returns:
        ``shifted``: share of comparisons in which a clip of music is nearer to its own motion than
        to the motion of the same dance at another time; ``other_song``: than to the motion of
        another dance at the same time. Chance is 1/2. The p-values are one-sided permutation tests
        of the mean cosine: each dance is shifted as a whole, round its end, by a random time
        (``lagged_p``: with the lag chosen anew); or the dances are dealt out to the songs at
        random.
    """
    rng = np.random.default_rng(0)
    own, other = shifted_cosines(found, stride), cross_cosines(found, stride)
    wins = [(row[:, :1] > row[:, 1:]).mean() for row in own]
    true = np.array([row[:, 0].mean() for row in own])
    courses = [row.mean(axis=0) for row in own]
    draws = np.stack([rng.choice(course[1:], PERMUTATIONS) for course in courses])
    lags = [lagged(row) for row in own]
    lag_draws = np.stack([rng.choice(course[1:], PERMUTATIONS) for course in lags])
    dealt = np.arange(len(found))
    others = ~np.eye(len(found), dtype=bool)
    deals = [other[dealt, rng.permutation(dealt)].mean() for _ in range(PERMUTATIONS)]
    return {
        "dances": len(found),
        "clips": sum(len(row) for row in own),
        "shifted": float(np.mean(wins)),
        "shifted_p": _p(float(true.mean()), draws.mean(axis=0)),
        "lagged_p": _p(float(np.mean([one[0] for one in lags])), lag_draws.mean(axis=0)),
        "other_song": float((np.diag(other)[:, None] > other)[others].mean()),
        "other_song_p": _p(float(np.diag(other).mean()), np.array(deals)),
    }


def shifted_cosines(found: Sequence[tuple[Table, Table]], stride: int) -> list[Table]:
    """(C, S) cosines of each clip with the motion from 0, 1, ... steps later on, round the end."""
    tables = []
    for music, motion in found:
        steps = np.arange(len(motion))
        starts = np.arange(len(music)) * stride
        cosines = music @ motion.T
        tables.append(np.take_along_axis(cosines, (starts[:, None] + steps) % len(motion), axis=1))
    return tables


def lagged(cosines: Table) -> Table:
    """(S,) mean cosine with a constant lag, for a dance shifted by 0, 1, ... steps.

    One lag of at most ``LAG`` steps is chosen on every second clip and scored on the others, and
    the other way about.
    """
    lags = np.arange(-LAG, LAG + 1)
    steps = np.arange(cosines.shape[1])[:, None]
    halves = [
        half.mean(axis=0)[(steps + lags) % len(steps)] for half in (cosines[::2], cosines[1::2])
    ]
    found = [
        np.take_along_axis(scored, chosen.argmax(axis=1)[:, None], axis=1)[:, 0]
        for chosen, scored in (halves, halves[::-1])
    ]
    return np.mean(found, axis=0)


def cross_cosines(found: Sequence[tuple[Table, Table]], stride: int) -> Table:
    """(songs, dances) mean cosine of the clips of a song with a dance at the same times."""
    return np.array(
        [
            [
                (music * motion[np.arange(len(music)) * stride % len(motion)]).sum(axis=1).mean()
                for _, motion in found
            ]
            for music, _ in found
        ]
    )


def _p(true: float, chance: Table) -> float:
    return float((1 + (chance >= true).sum()) / (1 + len(chance)))


if __name__ == "__main__":
    auto_cli(matching, as_positional=False)
