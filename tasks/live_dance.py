"""Dancing as music plays: pieces of a dance, each continued from the last.

Of the features of the past a piece of ``HOP`` rows is sampled, in a window whose other rows are
those already danced (:func:`~motionbeat.tasks.diffusion.continue_rows`). It is smoothed and its
feet are planted by what is known so far; nothing that was given out is changed.
"""

import numpy as np
import torch
from torch import Tensor

from motionbeat.errors import MotionBeatError
from motionbeat.features import resample_frames
from motionbeat.live import Listener, LiveEncoder
from motionbeat.live_rhythm import LiveTracker
from motionbeat.motion import FEET, JOINTS, Motion
from motionbeat.tasks.dance_generation import CLIP, SMOOTH, DanceGeneration
from motionbeat.tasks.diffusion import PATCH, continue_rows
from motionbeat.tasks.live_feet import LiveFeet
from motionbeat.tasks.poses import CONTACT, FPS, GROUND, WIDTH, Body, Rows

HOP = 3 * PATCH
"""Rows that are sampled at once: .3 seconds."""

STEPS = 10
"""Steps of the sampling."""

_WINDOW = round(CLIP / 2 * FPS)  # rows: the past in half of what the decoder was trained on
_AFTER = 3  # rows after one that smooth it
_KERNEL = np.exp(-0.5 * (np.arange(-_AFTER, _AFTER + 1) / (SMOOTH * FPS)) ** 2)
_KERNEL /= _KERNEL.sum()


class LiveDanceError(MotionBeatError):
    """An encoder that cannot be danced to as music plays."""


class LiveDancer:
    """Dances to a stream of samples.

    Args:
        task: a trained decoder on the features of a :class:`LiveEncoder`.
        seed: another one is another dance.

    Attributes:
        tracker: the clock of the music.

    Raises:
        LiveDanceError: the encoder needs the music that is still to come.
    """

    def __init__(self, task: DanceGeneration, seed: int = 0) -> None:
        encoder = task.front_end.encoder
        if not isinstance(encoder, LiveEncoder):
            raise LiveDanceError(
                f"encoder {task.card.name} needs the whole of the music; take motionbeat-live"
            )
        self._task, self._head = task, task.trained_head.eval()
        self._listener = Listener(encoder)
        self.tracker: LiveTracker = self._listener.tracker
        self._generator = torch.Generator().manual_seed(seed)
        self._frames = torch.zeros(0, task.card.width)  # features that are still needed
        self._first = 0  # number of the first of them
        self._sampled = 0  # rows
        self._condition, self._window = torch.zeros(0, 0), torch.zeros(0, WIDTH)
        self._waiting = np.zeros((0, WIDTH), np.float32)  # rows, with those that smooth them
        self._danced = np.zeros((0, WIDTH), np.float32)  # the last row
        self._body, self._feet = Body(np.array(task.learned["bones"])), LiveFeet(FPS)
        self._yaw, self._place = 0.0, (0.0, 0.0)

    @torch.inference_mode()
    def hear(self, samples: Tensor) -> Motion:
        """The poses that the next samples (n,) make possible, often none."""
        self._frames = torch.cat([self._frames, self._listener.hear(samples)])
        rate = self._task.card.frame_rate / FPS  # frames a row
        nothing = np.zeros((0, len(JOINTS), 3), np.float32)
        pieces = [Motion(nothing, FPS, np.zeros((0, len(FEET)), bool))]
        known = int((self._first + len(self._frames) - 0.5 - rate / 2) / rate) + 1
        while self._sampled + HOP <= known:
            first = max(0, round((self._sampled - HOP) * rate))
            self._frames = self._frames[first - self._first :]
            self._first = first
            rows = resample_frames(
                self._frames[: round(3 * HOP * rate)], self._task.card.frame_rate, FPS
            )
            start = self._sampled - round(first / rate)
            self._sample(rows[start : start + HOP])
            pieces.append(self._dance())
        positions, contacts = (
            np.concatenate([getattr(piece, part) for piece in pieces])
            for part in ("positions", "contacts")
        )
        return Motion(positions, FPS, contacts)

    def _sample(self, features: Tensor) -> None:
        """Sample the next ``HOP`` rows under features (HOP, width) of their times."""
        standard = self._task.front_end.standardise(features[:, None])[:, 0]
        condition = self._head(standard)
        if not self._sampled:  # what was before the music is danced to its first moment
            self._condition = condition[:1].expand(_WINDOW, -1)
        self._condition = torch.cat([self._condition[HOP:], condition])
        noise = torch.randn(_WINDOW, WIDTH, generator=self._generator)
        known = self._window[HOP:]
        rows = continue_rows(self._head.denoiser, known, self._condition, noise, STEPS)
        self._window = torch.cat([known, rows])
        new = (self._window * self._head.std + self._head.mean).numpy()
        kept = HOP if self._sampled else HOP + _AFTER
        self._waiting = np.concatenate([self._waiting, new[-kept:]])
        self._sampled += HOP

    def _dance(self) -> Motion:
        """The poses of the rows that were sampled, as far as enough is known after them."""
        count = len(self._waiting) - 2 * _AFTER
        around = np.lib.stride_tricks.sliding_window_view(self._waiting, 2 * _AFTER + 1, axis=0)
        rows: Rows = np.concatenate([self._danced, (around @ _KERNEL).astype(np.float32)])
        self._waiting, self._danced = self._waiting[count:], rows[-1:]
        motion = self._body.motion(rows, self._yaw, self._place)
        self._yaw += float(rows[1:, GROUND.stop - 1].sum())
        x, _, z = motion.positions[-1, 0]
        self._place = float(x), float(z)
        new = Motion(motion.positions[-count:], FPS)
        return self._feet.plant(new, rows[-count:, CONTACT])
