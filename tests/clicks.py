"""A dataset of click tracks, small enough to be made anew by every test."""

from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import soundfile

from motionbeat.data_modules.base import Beats, DataModule, DatasetCard, Tempo, Track

RATE = 16000
SECONDS = 12.0


def dataset_card(name, *annotations, **more):
    facts = {"revision": "1", "licence": "Apache-2.0", "citation": "none", "size": "a few tracks"}
    return DatasetCard(
        name=name, annotations=annotations, how_to_get="made by the tests", **facts, **more
    )


def click_track(times, accented, seconds=SECONDS, rate=RATE, seed=0):
    """Noise bursts at the given times, louder and brighter where accented, over faint noise."""
    rng = np.random.default_rng(seed)
    waveform = 0.003 * rng.standard_normal(int(seconds * rate))
    burst = rng.standard_normal(rate // 50) * np.exp(-np.arange(rate // 50) / (rate / 300))
    tone = np.sin(2 * np.pi * 3000 * np.arange(rate // 50) / rate)
    for time, accent in zip(times, accented, strict=True):
        start = round(time * rate)
        piece = (0.5 * tone if accent else 0.2 * burst)[: len(waveform) - start]
        waveform[start : start + len(piece)] += piece
    return np.clip(waveform, -1, 1).astype(np.float32)


class Clicks(DataModule):
    """Click tracks in bars of four at several tempi, some clicks missing."""

    card = dataset_card("clicks", Beats, Tempo, data="synthetic")
    sizes: ClassVar = {"train": 4, "validation": 2, "test": 3}

    @property
    def folder(self) -> Path:
        return self.cache / "clicks"

    def prepare_data(self):
        self.folder.mkdir(parents=True, exist_ok=True)
        for track in (track for split in self.sizes for track in self.tracks(split)):
            if not track.audio_path.exists():
                beats = track.get(Beats)
                heard = np.arange(len(beats.times)) % 7 != 5
                accented = (beats.positions == 1)[heard]
                audio = click_track(beats.times[heard], accented, seed=int(track.audio_path.stem))
                soundfile.write(track.audio_path, audio, RATE)

    def tracks(self, split):
        first = {"train": 0, "validation": 10, "test": 20}[split]
        return [self._track(index) for index in range(first, first + self.sizes[split])]

    def _track(self, index):
        bpm = 95.0 + 7 * (index % 9)
        times = np.arange(0.3, SECONDS - 0.1, 60 / bpm)
        annotations = (Beats(times, np.arange(len(times)) % 4 + 1), Tempo(bpm))
        path = self.folder / f"{index:02d}.wav"
        return Track(f"clicks{index:02d}", path, SECONDS, f"group{index}", annotations)


class ShortTest(Clicks):
    """Beats in the first seconds alone in one split; what follows is not annotated."""

    card = dataset_card("short_test", Beats, Tempo, data="synthetic")
    short = "test"

    def tracks(self, split):
        tracks = super().tracks(split)
        if split != self.short:
            return tracks
        beats = [track.get(Beats) for track in tracks]
        cut = [Beats(one.times[:6], one.positions[:6]) for one in beats[:2]]
        return [replace(t, annotations=(b,)) for t, b in zip(tracks, cut, strict=False)] + tracks[
            2:
        ]


class ShortValidation(ShortTest):
    """The same of the validation split, which then can choose nothing."""

    card = dataset_card("short_validation", Beats, Tempo, data="synthetic")
    short = "validation"
