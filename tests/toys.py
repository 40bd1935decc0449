"""Toys that meet the contracts: encoders, datasets of tones, and a task."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import soundfile
import torch
from tests.clicks import dataset_card
from torch.nn import functional

from motionbeat.data_modules.base import SPLITS, Beats, DataModule, Emotion, Genre, Track
from motionbeat.encoder import Encoder, EncoderCard
from motionbeat.tasks.emotion import EmotionRegression

RATE = 8000
HOP = 800


def card(name="tiny", **changes):
    facts = {
        "revision": "1", "sample_rate": RATE, "frame_rate": RATE / HOP, "layers": 2, "width": 6,
        "parameters": 0, "licence": "none", "training_data": (), "source": "tests",
    }  # fmt: skip
    return EncoderCard(name=name, **(facts | changes))


class Tiny(Encoder):
    """Six bands of the spectrum around each frame, as logarithms and as they are."""

    card = card()
    context = 0.1

    def forward(self, waveform):
        padded = functional.pad(waveform, (HOP // 2, HOP // 2))
        padded = functional.pad(padded, (0, max(0, HOP - padded.shape[1])))
        frames = torch.fft.rfft(padded.unfold(1, HOP, HOP)).abs()[..., 1:25]
        bands = frames.unflatten(-1, (6, 4)).mean(dim=-1)
        return torch.stack([torch.log1p(bands), bands / HOP], dim=1)


def shaped(frame_rate, layers=1, width=3):
    """An encoder of another shape, for tests that give a task its features."""

    class Shaped(Tiny):
        card = card("shaped", frame_rate=frame_rate, layers=layers, width=width)

    return Shaped()


class Noise(Tiny):
    """Noise that follows from the length of the recording alone."""

    card = card("noise")

    def forward(self, waveform):
        frames = waveform.shape[1] // HOP + 1
        generator = torch.Generator().manual_seed(waveform.shape[1])
        noise = torch.randn(2, frames, 6, generator=generator)
        return noise.expand(len(waveform), -1, -1, -1)


class Listening(Tiny):
    """Counts how often it is asked."""

    def __init__(self):
        super().__init__()
        self.asked = 0

    def __deepcopy__(self, _):
        return self

    def forward(self, waveform):
        self.asked += 1
        return super().forward(waveform)


class Learner(Tiny):
    """The bands sent through one layer of each kind that can be adapted, and one that cannot."""

    card = card("learner", width=8, layers=1, parameters=600)

    def __init__(self):
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.linear = torch.nn.Linear(12, 8)
            self.attention = torch.nn.MultiheadAttention(8, 2, dropout=0.5, batch_first=True)
            self.pointwise = torch.nn.Conv1d(8, 8, 1)
            self.wide = torch.nn.Conv1d(8, 8, 3, padding=1)
        self.eval().requires_grad_(False)

    def forward(self, waveform):
        bands = super().forward(waveform).movedim(1, 2).flatten(2)
        states = self.linear(bands)
        states = states + self.attention(states, states, states, need_weights=False)[0]
        return self.wide(self.pointwise(states.mT).relu()).mT[:, None]


class Stiff(Tiny):
    """One weight, in no layer."""

    card = card("stiff", parameters=1)

    def __init__(self):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(1))


def write_noise(path: Path, seconds: float, rate: int = RATE, seed: int = 0) -> Track:
    """A track of noise that says nothing of its content."""
    samples = np.random.default_rng(seed).uniform(-0.5, 0.5, round(seconds * rate))
    soundfile.write(path, samples, rate)
    return Track(path.stem, path, seconds, path.stem)


class Tones(DataModule):
    """Tones whose pitch is their genre and arousal and whose loudness is their valence."""

    card = dataset_card("tones", Genre, Emotion)
    genres = ("low", "middle", "high")

    def prepare_data(self):
        (self.cache / "tones").mkdir(parents=True, exist_ok=True)
        for track in (track for split in SPLITS for track in Tones.tracks(self, split)):
            if not track.audio_path.exists():
                emotion = track.get(Emotion)
                frequency, height = 100 + 100 * emotion.arousal, 0.1 + 0.8 * emotion.valence
                times = np.arange(round(track.duration * RATE)) / RATE
                tone = height * np.sin(2 * np.pi * frequency * times)
                soundfile.write(track.audio_path, tone, RATE)

    def tracks(self, split):
        rng = np.random.default_rng(SPLITS.index(split))
        tracks = []
        for index in range({"train": 18, "validation": 6, "test": 12}[split]):
            name = f"{split}{index:02d}"
            kind = index % 3
            emotion = Emotion(rng.uniform(0, 1), (kind + rng.uniform(0.2, 0.8)) / 3)
            path = self.cache / "tones" / f"{name}.wav"
            annotations = (Genre(self.genres[kind]), emotion)
            tracks.append(Track(name, path, 1.0 + 0.25 * (index % 4), name, annotations))
        return tracks


class FoldedTones(Tones):
    """The tones of all splits gone through in three folds."""

    card = replace(Tones.card, name="folded_tones")
    folds = 3

    def __init__(self, *, fold: int = 0, **options) -> None:
        super().__init__(**options)
        self.fold = fold

    def tracks(self, split):
        every = [track for part in SPLITS for track in Tones.tracks(self, part)]
        place = {"test": 0, "validation": 1, "train": 2}[split]
        return [t for i, t in enumerate(every) if (i // 3 - self.fold) % self.folds == place]


class Both(Tones):
    """Tones with beats, so that a task on frames can be asked of them too."""

    card = replace(Tones.card, name="both", annotations=(*Tones.card.annotations, Beats))

    def tracks(self, split):
        beats = Beats(np.arange(0.1, 0.9, 0.2))
        return [replace(t, annotations=(*t.annotations, beats)) for t in super().tracks(split)]


class ToyEmotion(EmotionRegression):
    """The monitor is an error, so it shall be small."""

    name = "toy_emotion"
    monitor = "val/error"
    mode = "min"

    def validation_result(self, values, tracks):
        pairs = zip(values, tracks, strict=True)
        return float(np.mean([(one.values - self.target(t, one.names)) ** 2 for one, t in pairs]))
