"""How well two towers know which dance belongs to which music, on clips never trained on.

Clips are cut before anything is heard or seen in them: the beats of each come from its own few
seconds, those of the motion from the motion alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from motionbeat.console import bar
from motionbeat.model import SAMPLE_RATE, WHEN_RATE, MotionBeat
from motionbeat.pretraining.batches import SAME_TEMPO, Batch
from motionbeat.pretraining.pairs import (
    Pair,
    PairError,
    beat_period,
    cut_motion,
    cut_music,
    excerpt,
    listen,
    load_pair,
)

CLIP_SECONDS = 5.0
"""Length of the clips that are compared."""

Numbers = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Clips:
    """Clips to compare, and what is known of them.

    Attributes:
        batch: N clips.
        piece: (N,) number of the pair each one is cut from.
        tempo: (N,) beats a minute.
    """

    batch: Batch
    piece: NDArray[np.int64]
    tempo: Numbers


def clips(
    pairs: Sequence[Pair],
    cache: Path,
    each: int | None = None,
    seconds: float = CLIP_SECONDS,
    captured: bool = False,
) -> Clips:
    """Cut pairs into clips that follow each other, what is left at the end aside.

    Args:
        pairs: the pairs.
        cache: folder of the features.
        each: clips of a pair at most, from its middle; None for all.
        seconds: length of a clip.
        captured: whether the dances turn, swing out and are seen as captured ones are.

    Raises:
        PairError: no pair is as long as a clip.
        AudioError, MotionError: a pair cannot be used.
    """
    found, piece = [], []
    with bar("pairs") as progress:
        for number, pair in enumerate(progress.track(pairs, description="clips")):
            waveform, motion = load_pair(pair)
            count = int(min(len(waveform) / SAMPLE_RATE, motion.duration) / seconds)
            spare = 0 if each is None else max(count - each, 0)
            taken = range(count)[spare // 2 :][:each]
            known = pair.beats is not None and len(pair.beats) > 1
            beats = np.array(pair.beats if known else listen(waveform)[2].times)
            for start in (float(index * seconds) for index in taken):
                period = beat_period(beats, start + seconds / 2)
                shifts = (0.0, -period, period)
                found.append(
                    [excerpt(pair, start, seconds, shift, cache, captured) for shift in shifts]
                )
                piece.append(number)
    if not found:
        raise PairError(f"no pair to validate on has {seconds:g} s; choose longer ones")
    nothing = [0.0] * len(found)
    columns = list(zip(*found, strict=True))
    batch = Batch(
        cut_music(columns[0], nothing, seconds),
        cut_motion([one for column in columns for one in column], nothing * 3, seconds),
        seconds,
    )
    return Clips(batch, np.array(piece), np.array([one.tempo for one in columns[0]]))


def moments(seconds: float) -> Tensor:
    """(F,) moments of a clip at which embeddings are compared."""
    return torch.arange(int(seconds * WHEN_RATE + 1e-6)) / WHEN_RATE


def embed(model: MotionBeat, batch: Batch) -> tuple[Tensor, Tensor]:
    """Embeddings (N, d) of the music and (3 N, d) of the motions of a batch."""
    heard, seen = batch.heard, batch.seen
    when = moments(batch.seconds).to(heard.log_mel.device)
    audio = model.audio(heard.log_mel, heard.lengths, heard.clock)[-1]
    motion = model.motion(seen.features, seen.clock)[-1]
    return (
        model.audio.embed(audio, heard.clock, when.expand(len(audio), -1)),
        model.motion.embed(motion, seen.clock, when.expand(len(motion), -1)),
    )


def compare(audio: Tensor, motion: Tensor, known: Clips) -> dict[str, float]:
    """Means of :func:`judge` over the clips, and ``discrimination``, the mean of its two kinds."""
    found = {name: float(values.nanmean()) for name, values in judge(audio, motion, known).items()}
    return found | {"discrimination": (found["shift"] + found["impostor"]) / 2}


def judge(audio: Tensor, motion: Tensor, known: Clips) -> dict[str, Tensor]:
    """Retrieval and rhythm discrimination, clip by clip.

    Args:
        audio: (N, d) embeddings of the music.
        motion: (3 N, d) embeddings of the true motions, the earlier ones, the later ones.
        known: the clips.

    Returns:
        (N,) float64 each. ``music_to_motion_r1``, ``_r10`` and the way back: whether a clip's own
        partner, the same moment of the same piece, is among the nearest 1 and 10 of all N;
        ``shift``: share of comparisons in which the true motion is nearer than itself a beat
        earlier and later; ``impostor``: whether it is nearer than the motion to another piece of
        the same tempo, NaN where there is none. Chance is 1 / N, 10 / N and 1/2.
    """
    true, earlier, later = motion.chunk(3)
    with torch.autocast(audio.device.type, enabled=False):  # half precision would tie
        nearness = audio @ true.T
    own = nearness.diagonal()
    found = {}
    for name, table in (("music_to_motion", nearness), ("motion_to_music", nearness.T)):
        nearer = ~(table < table.diagonal()[:, None])  # ties count against, and so does NaN
        rank = nearer.sum(dim=1) - 1
        for depth in (1, 10):
            found[f"{name}_r{depth}"] = (rank < depth).double()
    shifted = torch.stack([(audio * other).sum(dim=1) for other in (earlier, later)])
    found["shift"] = (own > shifted).double().mean(dim=0)
    rows, others = impostors(known)
    found["impostor"] = torch.full_like(own, torch.nan, dtype=torch.float64)
    found["impostor"][rows] = (own[rows] > nearness[rows, others]).double()
    return found


def impostors(known: Clips) -> tuple[Tensor, Tensor]:
    """Clips that have one, and their impostors: of another piece, nearest in tempo, within 4 %."""
    apart = np.abs(np.log(known.tempo[:, None] / known.tempo))
    apart[known.piece[:, None] == known.piece] = np.inf
    nearest = apart.argmin(axis=1)
    rows = np.flatnonzero(apart.min(axis=1) <= np.log1p(SAME_TEMPO))
    return torch.from_numpy(rows), torch.from_numpy(nearest[rows])
