"""Pairs of music and motion: from files to features, from features to clips.

A pair becomes features once for each of its variants (the first is the pair itself, the others are
augmented), which are kept on disk; clips are cut from features. The beats of the audio inputs come
from the music alone, those of the motion inputs from the motion alone.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from functools import cache as cached
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save
from torch import Tensor

from motionbeat.audio import load_audio, resample
from motionbeat.cache import digest
from motionbeat.errors import MotionBeatError
from motionbeat.files import write_atomically
from motionbeat.kinematics import CONTACTS, motion_features, movement_envelope
from motionbeat.live_rhythm import LiveGrid, live_grid
from motionbeat.model import MOTION_FRAME_RATE
from motionbeat.motion import Motion
from motionbeat.pretraining import augmentation
from motionbeat.rhythm import BeatGrid, beat_grid, mistaken_grid, music_grid, sharpened
from motionbeat.spectrum import AUDIO_FRAME_RATE, BANDS, HOP, SAMPLE_RATE, LogMelSpectrum
from motionbeat.tokens import Clock

FORMAT = 3
"""Changes whenever the features of the same pair change."""

_LENGTH_TOLERANCE = 0.25  # s by which music and motion may differ in length
_CONTACTS_LOST, _BEATS_MISTAKEN = 0.5, 0.4  # share of captured motions
_FULL_ONSET = 4.0  # deviations of the envelope that count as a full onset
_GRIDS = "audio_grid", "motion_grid"  # of the features
_LIVE = 1  # changes whenever the live clock does

Floats = NDArray[np.float32]
Seconds = NDArray[np.float64]
T = TypeVar("T")


class PairError(MotionBeatError):
    """Music and motion that cannot be a pair, with the reason."""


@dataclass(frozen=True)
class Pair:
    """Files of music and of a motion to it, both from 0 s on, under a unique id.

    Beats are annotated ones in seconds; None where the tracked beats of the music are to be used.
    Downbeats are None where they are not known.
    """

    id: str
    audio: Path
    motion: Path
    beats: tuple[float, ...] | None = None
    downbeats: tuple[float, ...] | None = None


@dataclass(frozen=True, eq=False, repr=False)
class Features:
    """Stored features of a variant of a pair; times in seconds.

    Attributes:
        log_mel: (T, BANDS) float16 at ``AUDIO_FRAME_RATE``.
        onsets: (T,) float16 onset envelope in [0, 1].
        motion: (M, FEATURES) float16 at ``MOTION_FRAME_RATE``.
        audio_grid: beats of the music, or those of a clock that hears the past alone.
        motion_grid: beats of the motion.
        beats: (n,) the beats that define the shifts by a beat.
        phases: (T, 2) float16 shares of the beat and of the bar that are over, by the annotations;
            NaN where these say nothing.
    """

    log_mel: NDArray[np.float16]
    onsets: NDArray[np.float16]
    motion: NDArray[np.float16]
    audio_grid: BeatGrid | LiveGrid
    motion_grid: BeatGrid
    beats: Seconds
    phases: NDArray[np.float16]

    @property
    def duration(self) -> float:
        """Seconds of both."""
        return min(len(self.log_mel) / AUDIO_FRAME_RATE, len(self.motion) / MOTION_FRAME_RATE)

    @property
    def tempo(self) -> float:
        """Beats a minute."""
        return 60 / self.period(self.duration / 2)

    def period(self, time: float) -> float:
        """Length of a beat near a time, in seconds."""
        return beat_period(self.beats, time) if len(self.beats) > 1 else 0.5


class AudioInputs(NamedTuple):
    """Inputs of the audio tower: (B, T, BANDS), (B, T), (B,) valid frames, beats of the music."""

    log_mel: Tensor
    onsets: Tensor
    lengths: Tensor
    clock: Clock


class MotionInputs(NamedTuple):
    """Inputs of the motion tower: (B, M, FEATURES), 0 beyond the end, and beats of the motion."""

    features: Tensor
    clock: Clock


def beat_period(beats: Seconds, time: float) -> float:
    """Median length in seconds of the four beats nearest to a time, of two beats or more."""
    near = np.abs(beats[:-1] - time).argsort()[:4]
    return float(np.median(np.diff(beats)[near]))


def audio_inputs(waveform: Floats) -> tuple[Floats, Floats, BeatGrid]:
    """Mel spectrum, onset envelope and beat grid of (samples,) at ``SAMPLE_RATE``."""
    with torch.inference_mode():
        log_mel = _spectrum()(torch.from_numpy(waveform)[None])[0].numpy()
    return log_mel, *music_grid(log_mel, AUDIO_FRAME_RATE)


def motion_inputs(motion: Motion) -> tuple[Floats, BeatGrid]:
    """Features and beat grid of a motion."""
    envelope = sharpened(movement_envelope(motion), motion.fps)
    grid = beat_grid(envelope, envelope, motion.fps)
    return motion_features(motion, MOTION_FRAME_RATE), grid


def load_pair(pair: Pair) -> tuple[Floats, Motion]:
    """Waveform at ``SAMPLE_RATE`` and motion of a pair.

    Raises:
        PairError, AudioError, MotionError: music and motion differ in length, or are unreadable.
    """
    waveform = resample(*load_audio(pair.audio), SAMPLE_RATE)
    motion = Motion.load(pair.motion)
    seconds = len(waveform) / SAMPLE_RATE
    if abs(seconds - motion.duration) > _LENGTH_TOLERANCE:
        raise PairError(
            f"pair {pair.id}: {seconds:.2f} s of music and {motion.duration:.2f} s of motion; "
            "cut both to the same part"
        )
    return waveform, motion


def features(
    pair: Pair, variant: int, cache: Path, captured: bool = False, live: bool = False
) -> Features:
    """Features of a variant of a pair, from the cache or computed and stored there.

    Variant 0 is the pair itself; the others are augmented, each always in the same way, and by
    captured motion as well if asked to. ``live`` asks for beats of the live clock.

    Raises:
        PairError, AudioError, MotionError: the pair cannot be used.
    """

    def compute() -> Features:
        waveform, motion = load_pair(pair)
        beats, downbeats = _annotated(pair)
        if not variant:
            return _features(waveform, motion, beats, downbeats)
        rng = _rng(pair, variant)
        factor = augmentation.speed(rng)
        waveform = augmentation.change_sound(waveform, factor, rng)
        motion = augmentation.change_body(motion, factor, rng)
        beats, downbeats = beats / factor, downbeats / factor
        if not captured:
            return _features(waveform, motion, beats, downbeats)
        motion = augmentation.as_captured(motion, rng)
        return lose_contacts_and_beats(_features(waveform, motion, beats, downbeats), rng)

    part: list[float | str] = [variant]
    if variant:
        part += [f"augmentation {augmentation.REVISION}", captured]
    found = _stored(cache, pair, part, compute, _to_arrays, _from_arrays)
    if not live:
        return found
    grid = _stored(
        cache,
        pair,
        [*part, f"live {_LIVE}"],
        lambda: live_grid(found.log_mel.astype(np.float32), AUDIO_FRAME_RATE),
        vars,
        lambda arrays: LiveGrid(**arrays),
    )
    return replace(found, audio_grid=grid)


def variant_tempi(pair: Pair, variants: int) -> list[float]:
    """Beats a minute of each variant of a pair; NaN where unknown."""
    beats = pair.beats or ()
    tempo = float(60 / np.median(np.diff(beats))) if len(beats) > 1 else float("nan")
    speeds = [augmentation.speed(_rng(pair, variant)) for variant in range(1, variants)]
    return [tempo, *(tempo * speed for speed in speeds)][:variants]


def lose_contacts_and_beats(found: Features, rng: np.random.Generator) -> Features:
    """Drop the contacts of some features, and put errors of a beat tracker into the motion's."""
    motion = found.motion.copy()
    if rng.random() < _CONTACTS_LOST:
        motion[:, CONTACTS] = 0
    grid = found.motion_grid
    if rng.random() < _BEATS_MISTAKEN:
        grid = mistaken_grid(grid, rng)
    return replace(found, motion=motion, motion_grid=grid)


def excerpt(
    pair: Pair,
    start: float,
    seconds: float,
    shift: float,
    cache: Path,
    captured: bool = False,
    live: bool = False,
) -> Features:
    """Stored features of a clip that nothing outside it influences, but a live clock.

    The motion begins ``shift`` seconds later than the music; beyond its ends the nearest frame is
    used. A live clock has heard what was before the clip.
    """

    def compute() -> Features:
        waveform, motion = load_pair(pair)
        if captured:
            motion = augmentation.as_captured(motion, _rng(pair))
        first, count = round(start * SAMPLE_RATE), round(seconds * SAMPLE_RATE)
        frames = round((start + shift) * motion.fps) + np.arange(round(seconds * motion.fps))
        positions = motion.positions[frames.clip(0, len(motion.positions) - 1)]
        beats, downbeats = (times - start for times in _annotated(pair))
        part = Motion(positions, motion.fps)
        return _features(waveform[first : first + count], part, beats, downbeats)

    part = [start, seconds, shift]
    if captured:
        part.append(captured)
    found = _stored(cache, pair, part, compute, _to_arrays, _from_arrays)
    if not live:
        return found
    grid = features(pair, 0, cache, live=True).audio_grid
    return replace(found, audio_grid=cut_grid(grid, start, seconds))


def _annotated(pair: Pair) -> tuple[Seconds, Seconds]:
    """Beats and downbeats of a pair, empty where unknown."""
    beats, downbeats = (np.array(one or (), np.float64) for one in (pair.beats, pair.downbeats))
    return beats, downbeats


def _rng(pair: Pair, *seed: int) -> np.random.Generator:
    return np.random.default_rng([*seed, *hashlib.sha256(pair.id.encode()).digest()])


def _stored(
    cache: Path,
    pair: Pair,
    part: Sequence[float | str],
    compute: Callable[[], T],
    to_arrays: Callable[[T], dict[str, NDArray[Any]]],
    from_arrays: Callable[[dict[str, NDArray[Any]]], T],
) -> T:
    files = [file.stat() for file in (pair.audio, pair.motion) if file.is_file()]
    stamps = [[file.st_size, file.st_mtime_ns] for file in files]
    beats = [pair.beats, pair.downbeats]
    key = digest(format=FORMAT, pair=pair.id, beats=beats, files=stamps, part=part)
    path = cache / f"{key}.safetensors"
    try:
        return from_arrays(load_file(path))
    except (SafetensorError, OSError, TypeError, KeyError):  # missing or damaged: computed again
        found = compute()
        write_atomically(path, save(to_arrays(found)))
        return found


def _to_arrays(found: Features) -> dict[str, NDArray[Any]]:
    """Arrays of one level; those of the grids are ``audio_grid.times`` and so on."""
    values = vars(found).copy()
    for name in _GRIDS:
        values |= {f"{name}.{part}": value for part, value in vars(values.pop(name)).items()}
    return {name: np.ascontiguousarray(value) for name, value in values.items()}


def _from_arrays(arrays: dict[str, NDArray[Any]]) -> Features:
    values: dict[str, Any] = dict(arrays)
    for name in _GRIDS:
        times, positions, beats_per_bar, has_beat = (
            values.pop(f"{name}.{part.name}") for part in fields(BeatGrid)
        )
        values[name] = BeatGrid(times, positions, int(beats_per_bar[0]), bool(has_beat[0]))
    return Features(**values)


def _features(waveform: Floats, motion: Motion, beats: Seconds, downbeats: Seconds) -> Features:
    log_mel, envelope, audio_grid = audio_inputs(waveform)
    rows, motion_grid = motion_inputs(motion)
    return Features(
        log_mel.astype(np.float16),
        np.clip(envelope / _FULL_ONSET, 0, 1).astype(np.float16),
        rows.astype(np.float16),
        audio_grid,
        motion_grid,
        beats if len(beats) > 1 else audio_grid.times,
        np.stack([_shares(times, len(log_mel)) for times in (beats, downbeats)], axis=1),
    )


def _shares(events: Seconds, frames: int) -> NDArray[np.float16]:
    """How much of the way from one event to the next is over at each frame; NaN beyond them."""
    if len(events) < 2:
        return np.full(frames, np.nan, np.float16)
    seconds = np.arange(frames) / AUDIO_FRAME_RATE
    count = np.interp(seconds, events, np.arange(len(events)), np.nan, np.nan)
    return (count % 1).astype(np.float16)


@cached
def _spectrum() -> LogMelSpectrum:
    return LogMelSpectrum(SAMPLE_RATE, HOP, BANDS)


def cut_grid(grid: BeatGrid | LiveGrid, start: float, seconds: float) -> BeatGrid:
    """The beats of a grid that overlap a clip, counted from its start."""
    if isinstance(grid, LiveGrid):
        return grid.cut(start, seconds)
    times, positions = grid.times, grid.positions
    first = int(np.searchsorted(times[1:-1], start, side="right"))
    stop = int(np.searchsorted(times[first + 1 : -1], start + seconds, side="left")) + first + 1
    return replace(grid, times=times[first : stop + 1] - start, positions=positions[first:stop])


def cut_audio(found: Sequence[Features], starts: Sequence[float], seconds: float) -> AudioInputs:
    """Audio inputs of a clip from each of several features."""
    frames = round(seconds * AUDIO_FRAME_RATE)
    log_mel = _rows([one.log_mel for one in found], starts, frames, AUDIO_FRAME_RATE)
    onsets = _rows([one.onsets for one in found], starts, frames, AUDIO_FRAME_RATE)
    clock = _clock([one.audio_grid for one in found], starts, seconds)
    return AudioInputs(log_mel, onsets, torch.full((len(found),), frames), clock)


def cut_phases(found: Sequence[Features], starts: Sequence[float], seconds: float) -> Tensor:
    """True phases of a clip from each of several features."""
    frames = round(seconds * AUDIO_FRAME_RATE)
    return _rows([one.phases for one in found], starts, frames, AUDIO_FRAME_RATE)


def cut_motion(found: Sequence[Features], starts: Sequence[float], seconds: float) -> MotionInputs:
    """Motion inputs of a clip from each of several features."""
    frames = round(seconds * MOTION_FRAME_RATE)
    rows = _rows([one.motion for one in found], starts, frames, MOTION_FRAME_RATE)
    return MotionInputs(rows, _clock([one.motion_grid for one in found], starts, seconds))


def _clock(grids: Sequence[BeatGrid | LiveGrid], starts: Sequence[float], seconds: float) -> Clock:
    return Clock.of([cut_grid(*one, seconds) for one in zip(grids, starts, strict=True)])


def _rows(
    arrays: Sequence[NDArray[np.float16]], starts: Sequence[float], count: int, frame_rate: float
) -> Tensor:
    """``count`` rows of each array from its start on; beyond the ends the nearest is repeated."""
    rows = [
        array[(round(start * frame_rate) + np.arange(count)).clip(0, len(array) - 1)]
        for array, start in zip(arrays, starts, strict=True)
    ]
    return torch.from_numpy(np.stack(rows).astype(np.float32))
