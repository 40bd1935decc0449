"""A dance that is made while the music plays, from a file or from a stream of samples."""

import json
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from motionbeat.audio import AudioError, load_audio, resample
from motionbeat.motion import Motion
from motionbeat.spectrum import SAMPLE_RATE
from motionbeat.tasks.dance_generation import DanceGeneration
from motionbeat.tasks.live_dance import HOP, LiveDancer
from motionbeat.tasks.metrics.dance_alignment import Music
from motionbeat.tasks.poses import FPS
from motionbeat.threads import one_thread

STDIN = Path("-")
"""Stands for samples from stdin: 16 bits, little-endian, mono, 22.05 kHz."""

_SAMPLES = round(HOP / FPS * SAMPLE_RATE)  # heard at once
_BYTES = 2  # of a sample


def parts_of(song: Path) -> Iterator[Tensor]:
    """The samples of a song, or of stdin as they come, in parts of .3 seconds.

    Raises:
        AudioError: the song is unreadable, or stdin has no samples.
    """
    if song != STDIN:
        yield from torch.split(torch.from_numpy(resample(*load_audio(song), SAMPLE_RATE)), _SAMPLES)
        return
    heard = False
    while len(part := sys.stdin.buffer.read(_SAMPLES * _BYTES)) >= _BYTES:
        heard = True
        whole = part[: len(part) // _BYTES * _BYTES]
        yield torch.from_numpy(np.frombuffer(whole, "<i2") / np.float32(2**15))
    if not heard:
        raise AudioError("stdin: no samples; pipe 16-bit mono at 22.05 kHz to it, or name a file")


class Performance:
    """A dance to music as it plays, and how fast it is made.

    Args:
        task: a decoder on the features of a live encoder.

    Raises:
        LiveDanceError: the encoder needs the music that is still to come.
    """

    def __init__(self, task: DanceGeneration) -> None:
        with one_thread():
            LiveDancer(task).hear(torch.zeros(SAMPLE_RATE))  # compiles what is compiled
        self._dancer = LiveDancer(task, task.seed)
        self._heard = self._computing = 0.0  # s
        self._delays: list[float] = []

    def dance(self, parts: Iterable[Tensor]) -> Iterator[Motion]:
        """Poses to parts of the music (n,) as they come, each time those that are ready."""
        poses = 0
        for part in parts:
            start = time.perf_counter()
            with one_thread():
                motion = self._dancer.hear(part)
            computing = time.perf_counter() - start
            self._computing += computing
            self._heard += len(part) / SAMPLE_RATE
            times = (poses + np.arange(len(motion.positions))) / FPS
            self._delays += (self._heard + computing - times).tolist()
            poses += len(times)
            yield motion
        rest = max(1, round(self._heard * FPS)) - poses
        last = self._dancer.hear(torch.zeros(SAMPLE_RATE))
        assert last.contacts is not None
        yield Motion(last.positions[:rest], FPS, last.contacts[:rest])

    @property
    def music(self) -> Music:
        """The beats of the music, as they were believed in, and its length."""
        times = self._dancer.tracker.beats().times
        return Music(times[times < self._heard], self._heard)

    @property
    def pace(self) -> str:
        """The real-time factor, and the latency: from a sound to its pose, computing included."""
        speed = f"{self._heard / max(self._computing, 1e-9):.1f} x real time"
        if not self._delays:
            return speed
        return (
            f"{speed}, latency {np.mean(self._delays):.2f} s on average "
            f"and {max(self._delays):.2f} s at most"
        )


def json_lines(motion: Motion, first: int) -> Iterator[str]:
    """The poses of a motion as JSON, of which the first one has a number.

    ``time`` in seconds, ``positions`` of the joints as in :class:`Motion` to a tenth of a
    millimetre, and ``contacts`` of the feet.
    """
    assert motion.contacts is not None
    positions = np.round(motion.positions.astype(np.float64), 4).tolist()
    for number, (pose, feet) in enumerate(zip(positions, motion.contacts.tolist(), strict=True)):
        moment = round((first + number) / motion.fps, 4)
        yield json.dumps({"time": moment, "positions": pose, "contacts": feet})
