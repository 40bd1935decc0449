"""Click tracks with dances to them, small enough to be made anew by every test."""

from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import soundfile
from tests.clicks import click_track, dataset_card

from motionbeat.data_modules.base import Beats, DataModule, MotionFile, Track
from motionbeat.data_modules.rendered.synthesis.dancer import DANCERS, dance
from motionbeat.model import SAMPLE_RATE
from motionbeat.motion import JOINTS
from motionbeat.pretraining.pairs import Pair
from motionbeat.tasks import diffusion
from motionbeat.tasks.dance_generation import DanceGeneration

SECONDS = 8.0


STANDING = {
    "pelvis": (0, 1, 0), "l_hip": (0.1, 0.9, 0), "r_hip": (-0.1, 0.9, 0), "spine1": (0, 1.1, 0),
    "l_knee": (0.1, 0.5, 0), "r_knee": (-0.1, 0.5, 0), "spine2": (0, 1.2, 0),
    "l_ankle": (0.1, 0.1, 0), "r_ankle": (-0.1, 0.1, 0), "spine3": (0, 1.3, 0),
    "l_foot": (0.1, 0.02, 0.15), "r_foot": (-0.1, 0.02, 0.15), "neck": (0, 1.5, 0),
    "l_collar": (0.1, 1.45, 0), "r_collar": (-0.1, 1.45, 0), "head": (0, 1.6, 0),
    "l_shoulder": (0.2, 1.45, 0), "r_shoulder": (-0.2, 1.45, 0), "l_elbow": (0.22, 1.2, 0),
    "r_elbow": (-0.22, 1.2, 0), "l_wrist": (0.22, 0.95, 0.05), "r_wrist": (-0.22, 0.95, 0.05),
    "l_hand": (0.22, 0.87, 0.06), "r_hand": (-0.22, 0.87, 0.06),
}  # fmt: skip
"""Somebody who looks to +z."""


def posed(*frames):
    """Frames in which some joints are elsewhere."""
    return np.array([[(STANDING | frame)[name] for name in JOINTS] for frame in frames], np.float64)


def train_shortly(patch):
    """A dance decoder with few channels that is trained for a moment and samples in few steps."""
    recipe = replace(DanceGeneration.recipe, max_steps=6, check_every=2, batch_size=8)
    patch.setattr(DanceGeneration, "recipe", recipe)
    for name, value in (("CHANNELS", 32), ("LAYERS", 1), ("HEADS", 2), ("SAMPLING_STEPS", 4)):
        patch.setattr(diffusion, name, value)


def beats_at(bpm, seconds=SECONDS, first=0.3):
    """Times of the beats, and their positions in bars of four."""
    times = np.arange(first, seconds - 0.1, 60 / bpm)
    return times, np.arange(len(times)) % 4 + 1


def write_dance(path, motion):
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **motion.arrays())


def danced(bpm, seconds=SECONDS, dancer=0, seed=0, fps=60.0):
    times, positions = beats_at(bpm, seconds)
    return dance(
        beats=times,
        positions=positions,
        accents=np.stack([times, np.where(positions == 1, 1.0, 0.6)], axis=1),
        style="rock",
        metre="4/4",
        duration=seconds,
        dancer=dancer,
        seed=seed,
        fps=fps,
    )


def write_pair(folder, name="pair", bpm=110.0, seconds=SECONDS, seed=0, beats=True):
    """A click track and a dance to it, in two files."""
    times, positions = beats_at(bpm, seconds)
    audio, motion = Path(folder) / f"{name}.wav", Path(folder) / f"{name}.npz"
    clicks = click_track(times, positions == 1, seconds, SAMPLE_RATE, seed)
    soundfile.write(audio, clicks, SAMPLE_RATE)
    write_dance(motion, danced(bpm, seconds, seed % len(DANCERS), seed))
    return Pair(name, audio, motion, tuple(times.tolist()) if beats else None)


class Dancing(DataModule):
    """Click tracks in bars of four at several tempi, danced to unless that is left out."""

    card = dataset_card("dancing", Beats, MotionFile, data="synthetic")
    sizes: ClassVar = {"train": 8, "validation": 4, "test": 2}

    def __init__(
        self, cache=None, data=None, *, dances: int = 1, seconds: float = SECONDS, **loading
    ):
        super().__init__(cache, data, **loading)
        self.dances, self.seconds = dances, seconds

    @property
    def folder(self) -> Path:
        return self.cache / f"dancing-{self.seconds}"

    def prepare_data(self):
        self.folder.mkdir(parents=True, exist_ok=True)
        for split in self.sizes:
            for index, track in enumerate(self.tracks(split)):
                if not track.audio_path.exists():
                    write_pair(self.folder, track.id, self._bpm(index), self.seconds, index)

    def tracks(self, split):
        return [self._track(f"{split}{index}", index) for index in range(self.sizes[split])]

    def _track(self, name, index):
        path = self.folder / f"{name}.wav"
        beats = Beats(*beats_at(self._bpm(index), self.seconds))
        dances = (MotionFile(path.with_suffix(".npz")),) if self.dances else ()
        return Track(name, path, self.seconds, name, (beats, *dances))

    @staticmethod
    def _bpm(index):
        return 96.0 + 14 * (index % 4)
