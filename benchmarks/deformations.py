"""Deformed copies of test audio: what happens to recordings on their way to a listener.

Every deformation keeps the length and the moment of each sound, but for a change of tempo, which
moves annotations along. Random parts follow from the recording, so a copy is the same whoever makes
it. Copies are scaled down where they would clip.
"""

import io
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import librosa
import numpy as np
import soundfile
from scipy.signal import butter, fftconvolve, sosfiltfilt

from motionbeat.audio import Waveform, load_audio, resample
from motionbeat.benchmarks.digests import file_digest
from motionbeat.benchmarks.records import CLEAN
from motionbeat.console import bar
from motionbeat.data_modules.base import (
    Annotation,
    Beats,
    DataModule,
    MotionFile,
    Pitch,
    Split,
    Tempo,
    Track,
)
from motionbeat.files import write_atomically
from motionbeat.processes import side_by_side

VERSION = 1
"""Changes whenever a deformation does."""

_MP3_RATE = 44_100
_MP3_DELAY = 576 + 529  # samples of LAME's and the decoder's filter banks
_MP3_LOWEST, _MP3_HIGHEST = 32, 320  # kbit/s between which libsndfile spans its compression level

Change = Callable[[Waveform, int, float, np.random.Generator], Waveform]
"""Deforms a waveform (samples,) at a rate in Hz by a strength."""


def add_noise(waveform: Waveform, rate: int, snr: float, rng: np.random.Generator) -> Waveform:
    """Add white noise at a ratio of signal to noise in dB."""
    noise = rng.standard_normal(len(waveform), np.float32)
    loudness = np.sqrt(np.mean(np.square(waveform)))
    return waveform + noise * np.float32(loudness * 10 ** (-snr / 20))


def reverberate(waveform: Waveform, rate: int, rt60: float, rng: np.random.Generator) -> Waveform:
    """Add a tail of decaying noise as strong as the direct sound; it falls by 60 dB in RT60 s."""
    seconds = np.arange(1, max(2, round(rt60 * rate))) / rate
    tail = rng.standard_normal(len(seconds)) * 10 ** (-3 * seconds / rt60)
    room = np.concatenate([[1.0], tail / np.linalg.norm(tail)])
    wet = fftconvolve(waveform, room.astype(np.float32))[: len(waveform)]
    return np.asarray(wet / np.sqrt(2), np.float32)


def compress(waveform: Waveform, rate: int, kbps: float, rng: np.random.Generator) -> Waveform:
    """Send it through an MP3 file of constant bit rate.

    The decoder takes off the delay of encoder and decoder where the encoder left its tag, which at
    low bit rates it does not: the file is then longer than what was written, and starts late.
    """
    sent = resample(waveform, rate, _MP3_RATE)
    level = (_MP3_HIGHEST - kbps) / (_MP3_HIGHEST - _MP3_LOWEST)
    kind = {"format": "MP3", "subtype": "MPEG_LAYER_III", "bitrate_mode": "CONSTANT"}
    file = io.BytesIO()
    soundfile.write(file, sent, _MP3_RATE, compression_level=level, **kind)
    file.seek(0)
    received, _ = soundfile.read(file, dtype="float32")
    start = _MP3_DELAY if len(received) > len(sent) else 0
    returned = resample(received[start : start + len(sent)], _MP3_RATE, rate)
    return librosa.util.fix_length(returned, size=len(waveform))


def shift_pitch(
    waveform: Waveform, rate: int, semitones: float, rng: np.random.Generator
) -> Waveform:
    """Shift the pitch, leaving the tempo (phase vocoder)."""
    found = librosa.effects.pitch_shift(waveform, sr=rate, n_steps=semitones, n_fft=_window(rate))
    return np.asarray(found, np.float32)


def change_tempo(
    waveform: Waveform, rate: int, factor: float, rng: np.random.Generator
) -> Waveform:
    """Play it so many times as fast, leaving the pitch (phase vocoder)."""
    found = librosa.effects.time_stretch(waveform, rate=factor, n_fft=_window(rate))
    return np.asarray(found, np.float32)


def _window(rate: int) -> int:
    """Samples in the phase vocoder's window: a power of two near 46 ms, which smears an onset."""
    return int(2 ** round(np.log2(0.046 * rate)))


def amplify(waveform: Waveform, rate: int, gain: float, rng: np.random.Generator) -> Waveform:
    """Change the level by a gain in dB."""
    return waveform * np.float32(10 ** (gain / 20))


def muffle(waveform: Waveform, rate: int, cutoff: float, rng: np.random.Generator) -> Waveform:
    """Take off what is above a frequency in Hz (Butterworth there and back, without delay)."""
    if cutoff >= rate / 2:
        return waveform
    filters = butter(4, cutoff, fs=rate, output="sos")
    padding = min(rate // 10, len(waveform) - 1)
    return np.asarray(sosfiltfilt(filters, waveform, padlen=padding), np.float32)


class Deformation(NamedTuple):
    """One deformation at one strength."""

    kind: str
    strength: float
    unit: str
    change: Change

    @property
    def name(self) -> str:
        """How tables, track ids and folders call it."""
        return f"{self.kind} {self.strength:g} {self.unit}"

    @property
    def slowing(self) -> float:
        """How many times as long everything takes."""
        return 1 / self.strength if self.change is change_tempo else 1.0

    def annotate(self, annotation: Annotation) -> Annotation:
        """What an annotation says of the deformed audio."""
        if isinstance(annotation, Beats):
            return Beats(annotation.times * self.slowing, annotation.positions)
        if isinstance(annotation, Tempo):
            return Tempo(annotation.bpm / self.slowing)
        if isinstance(annotation, Pitch) and self.change is shift_pitch:
            return Pitch(f"{int(annotation.name) + round(self.strength)}")
        return annotation

    def copy(self, track: Track, audio: Path) -> Track:
        """A track whose audio was deformed; a dance to it is left behind."""
        kept = [one for one in track.annotations if not isinstance(one, MotionFile)]
        return replace(
            track,
            id=f"{self.name}/{track.id}",
            audio_path=audio,
            duration=track.duration * self.slowing,
            annotations=tuple(map(self.annotate, kept)),
        )

    def write(self, waveform: Waveform, rate: int, seed: int, path: Path) -> None:
        """Write deformed audio as FLAC."""
        deformed = self.change(waveform, rate, self.strength, np.random.default_rng(seed))
        deformed = deformed / max(1.0, float(np.abs(deformed).max()))
        file = io.BytesIO()
        soundfile.write(file, deformed, rate, format="FLAC", subtype="PCM_24")
        write_atomically(path, file.getvalue())


DEFORMATIONS = tuple(
    Deformation(kind, strength, unit, change)
    for kind, unit, change, strengths in (
        ("noise", "dB SNR", add_noise, (20, 10, 0)),
        ("reverb", "s", reverberate, (0.5, 1.5)),
        ("mp3", "kbps", compress, (128, 64, 40)),
        ("pitch", "semitones", shift_pitch, (1, 3)),
        ("tempo", "x", change_tempo, (0.8, 1.25)),
        ("gain", "dB", amplify, (-12, -24)),
        ("low-pass", "Hz", muffle, (4000, 1000)),
    )
    for strength in strengths
)


class Deformed(DataModule):
    """A dataset whose test split holds each track as it is and in every deformation.

    A copy lies in the cache at a place that follows from the recording and the deformation.

    Args:
        original: the dataset.
        folder: where copies are kept.
    """

    def __init__(self, original: DataModule, folder: Path) -> None:
        super().__init__(cache=original.cache, data=original.data)
        self.original = original
        self.folder = folder
        self.card = original.card  # type: ignore[misc]  # a class of its own for each is too much
        self.partial = original.partial

    @property
    def revision(self) -> str:
        """The dataset's, and that of the deformations."""
        return f"{self.original.revision}-deformed{VERSION}"

    def place(self, track: Track, deformation: Deformation) -> Path:
        """Where a copy lies."""
        kind = self.folder / str(VERSION) / deformation.name.replace(" ", "_")
        return kind / f"{file_digest(track.audio_path)}.flac"

    def prepare_data(self) -> None:
        """Make the copies that are not there, tracks in parallel."""
        self.original.prepare_data()
        jobs = []
        for track in self.original.tracks("test"):
            places = [(one, self.place(track, one)) for one in DEFORMATIONS]
            if missing := [(one, path) for one, path in places if not path.is_file()]:
                jobs.append(partial(_write_copies, track.audio_path, missing))
        if not jobs:
            return
        with bar("tracks") as progress:
            label = f"deforming · {self.card.name}"
            for _ in progress.track(side_by_side(jobs), total=len(jobs), description=label):
                pass

    def tracks(self, split: Split) -> list[Track]:
        """The tracks of a split; those of the test split as they are, then in each deformation."""
        tracks = self.original.tracks(split)
        if split != "test":
            return tracks
        clean = [replace(track, id=f"{CLEAN}/{track.id}") for track in tracks]
        return clean + [one.copy(t, self.place(t, one)) for one in DEFORMATIONS for t in tracks]


def _write_copies(audio: Path, missing: list[tuple[Deformation, Path]]) -> None:
    """Deform one recording, one copy in memory at a time."""
    waveform, rate = load_audio(audio)
    seed = int(file_digest(audio), 16)
    for deformation, path in missing:
        deformation.write(waveform, rate, seed, path)
