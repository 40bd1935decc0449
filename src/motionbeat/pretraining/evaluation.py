"""How well two towers tell which motion belongs to which music, on clips never trained on.

Clips are cut before their beats are tracked: the beats of each come from its own few seconds,
those of the motion from the motion alone.
"""

from collections.abc import Sequence
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from motionbeat.console import bar
from motionbeat.discrimination import Floats, rhythm_discrimination
from motionbeat.model import EMBEDDING_FRAME_RATE, MotionBeat, Tower
from motionbeat.pretraining.batches import Batch
from motionbeat.pretraining.pairs import (
    AudioInputs,
    Features,
    MotionInputs,
    Pair,
    PairError,
    audio_inputs,
    beat_period,
    excerpt,
    load_pair,
)
from motionbeat.spectrum import SAMPLE_RATE
from motionbeat.tokens import Clock

CLIP_SECONDS = 5.0
"""Length of the clips that are compared."""

_AT_ONCE = 64  # clips that are embedded together, which bounds the memory


def clips(
    pairs: Sequence[Pair],
    cache: Path,
    each: int | None = None,
    seconds: float = CLIP_SECONDS,
    captured: bool = False,
    live: bool = False,
) -> Batch:
    """Cut pairs into consecutive clips; what remains at the end is dropped.

    At most ``each`` clips are cut from the middle of a pair. ``captured`` adds the augmentation by
    captured motion; ``live`` asks for beats of the live clock.

    Raises:
        PairError, AudioError, MotionError: a pair cannot be used, or none is as long as a clip.
    """
    found: list[list[Features]] = [[], [], []]
    piece = []
    with bar("pairs") as progress:
        for number, pair in enumerate(progress.track(pairs, description="clips")):
            waveform, motion = load_pair(pair)
            count = int(min(len(waveform) / SAMPLE_RATE, motion.duration) / seconds)
            spare = 0 if each is None else max(count - each, 0)
            known = pair.beats is not None and len(pair.beats) > 1
            beats = np.array(pair.beats if known else audio_inputs(waveform)[2].times)
            for start in [index * seconds for index in range(count)][spare // 2 :][:each]:
                period = beat_period(beats, start + seconds / 2)
                for some, shift in zip(found, (0.0, -period, period), strict=True):
                    some.append(excerpt(pair, start, seconds, shift, cache, captured, live))
                piece.append(number)
    if not piece:
        raise PairError(f"no pair to validate on has {seconds:g} s; choose longer ones")
    return Batch.of([*chain(*found)], [0.0] * (3 * len(piece)), seconds, piece)


def embedding_times(seconds: float) -> Tensor:
    """(F,) seconds of the frames of the time embedding of a clip."""
    return torch.arange(int(seconds * EMBEDDING_FRAME_RATE + 1e-6)) / EMBEDDING_FRAME_RATE


def embed(
    model: MotionBeat, audio: AudioInputs, motion: MotionInputs, seconds: float
) -> tuple[Tensor, Tensor]:
    """Embeddings (N, d) of clips of music and (M, d) of clips of motion, all of one length."""
    times = embedding_times(seconds).to(audio.log_mel.device)

    def rows(tower: Tower, inputs: Sequence[Tensor], clock: Clock) -> Tensor:
        parts = []
        for first in range(0, len(clock.mask), _AT_ONCE):
            some = slice(first, first + _AT_ONCE)
            part = Clock(*(x[some] for x in clock))
            states = tower(*(x[some] for x in inputs), part)
            parts.append(tower.embed(states, part, times.expand(len(states), -1)))
        return torch.cat(parts)

    return (
        rows(model.audio, [audio.log_mel, audio.lengths], audio.clock),
        rows(model.motion, [motion.features], motion.clock),
    )


def compare(audio: Tensor, motion: Tensor, batch: Batch) -> dict[str, float]:
    """What :func:`clip_scores` gives, averaged over clips; NaN is a mean over no clip."""
    found = clip_scores(audio, motion, batch)
    defined = {name: values[np.isfinite(values)] for name, values in found.items()}
    return {name: float(v.mean()) if len(v) else float("nan") for name, v in defined.items()}


def clip_scores(audio: Tensor, motion: Tensor, batch: Batch) -> dict[str, Floats]:
    """Retrieval and rhythm discrimination of embeddings (N, d) and (3 N, d), clip by clip.

    Returns:
        (N,) each. ``music_to_motion_r1``, ``_r10`` and the way back: whether a clip's own partner,
        the same part of the same piece, is among the nearest 1 and 10 of all N, where ties count
        against; ``r10``, the mean of both ways; and what
        :func:`motionbeat.discrimination.rhythm_discrimination` gives.
    """
    music, motions = (x.double().cpu().numpy() for x in (audio, motion))
    true, earlier, later = np.split(motions, 3)
    similarity = music @ true.T
    shifted = (music * earlier).sum(axis=1), (music * later).sum(axis=1)
    piece, tempo = batch.piece.cpu().numpy(), batch.tempo.cpu().numpy()
    found = rhythm_discrimination(similarity, *shifted, piece, tempo)
    for name, table in (("music_to_motion", similarity), ("motion_to_music", similarity.T)):
        rank = (~(table < table.diagonal()[:, None])).sum(axis=1)  # NaN counts against, too
        found |= {f"{name}_r{depth}": (rank <= depth).astype(np.float64) for depth in (1, 10)}
    found["r10"] = (found["music_to_motion_r10"] + found["motion_to_music_r10"]) / 2
    return found
