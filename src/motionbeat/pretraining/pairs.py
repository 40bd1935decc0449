"""Music with a dance to it: from files to features, from features to clips.

A pair becomes features once for each of its variants (the first is the pair as it is, the others
are augmented) and is kept on disk; clips are cut from features. What a clip is compared by is
worked out from its music alone and from its motion alone.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save
from torch import Tensor

from motionbeat.audio import load_audio, resample
from motionbeat.errors import MotionBeatError
from motionbeat.files import write_atomically
from motionbeat.kinematics import CONTACTS, motion_features, movement_envelope
from motionbeat.model import AUDIO_RATE, BANDS, HOP, MOTION_RATE, SAMPLE_RATE
from motionbeat.motion import Motion
from motionbeat.pretraining.augmentation import (
    capture,
    change_body,
    change_sound,
    let_go,
    speed,
)
from motionbeat.rhythm import (
    BeatGrid,
    accent_curve,
    beat_grid,
    mistaken_grid,
    onset_envelope,
    sharpened,
)
from motionbeat.spectrum import LogMelSpectrum
from motionbeat.tokens import Clock

FORMAT = 1
"""Changes whenever the features of the same pair change."""

_APART = 0.25  # s; music and motion may differ by so much in length
_CONTACTS_LOST, _BEATS_MISTAKEN = 0.5, 0.4  # share of captured dances
_LOUDEST_ONSET = 4.0  # deviations of the envelope that count as a full onset


class PairError(MotionBeatError):
    """Music and motion that cannot be a pair, with the reason."""


@dataclass(frozen=True)
class Pair:
    """Music and a dance to it, both from 0 s on.

    Attributes:
        id: unique.
        audio: file that libsndfile reads.
        motion: file that :meth:`Motion.load` reads.
        beats: times of the beats in seconds where they are known; the beats found in the music
            stand in for them.
    """

    id: str
    audio: Path
    motion: Path
    beats: tuple[float, ...] | None = None


@dataclass(frozen=True, eq=False, repr=False)
class Features:
    """All that is kept of a variant of a pair; times in seconds.

    Attributes:
        log_mel: (T, BANDS) float16 at ``AUDIO_RATE``.
        onsets: (T,) float16 onset envelope in [0, 1].
        motion: (M, FEATURES) float16 at ``MOTION_RATE``.
        audio_times, audio_positions, audio_metre: the beat grid heard.
        motion_times, motion_positions, motion_metre: the beat grid seen.
        beats: (n,) the beats that shifts by a beat go by.
    """

    log_mel: NDArray[np.float16]
    onsets: NDArray[np.float16]
    motion: NDArray[np.float16]
    audio_times: NDArray[np.float64]
    audio_positions: NDArray[np.int64]
    audio_metre: NDArray[np.int64]
    motion_times: NDArray[np.float64]
    motion_positions: NDArray[np.int64]
    motion_metre: NDArray[np.int64]
    beats: NDArray[np.float64]

    @property
    def duration(self) -> float:
        """Seconds of both."""
        return min(len(self.log_mel) / AUDIO_RATE, len(self.motion) / MOTION_RATE)

    @property
    def tempo(self) -> float:
        """Beats a minute."""
        return 60 / self.period(self.duration / 2)

    def period(self, moment: float) -> float:
        """Length of a beat near a moment, in seconds."""
        return beat_period(self.beats, moment) if len(self.beats) > 1 else 0.5


def beat_period(beats: NDArray[np.float64], moment: float) -> float:
    """Median length in seconds of the four beats nearest to a moment, of two beats or more."""
    near = np.abs(beats[:-1] - moment).argsort()[:4]
    return float(np.median(np.diff(beats)[near]))


def listen(
    waveform: NDArray[np.float32],
) -> tuple[NDArray[np.float32], NDArray[np.float32], BeatGrid]:
    """Log-mel frames, onset envelope and beats of (samples,) at ``SAMPLE_RATE``."""
    with torch.inference_mode():
        log_mel = _spectrum()(torch.from_numpy(waveform)[None])[0].numpy()
    envelope = onset_envelope(log_mel, AUDIO_RATE)
    grid = beat_grid(envelope, accent_curve(log_mel, AUDIO_RATE), AUDIO_RATE)
    return log_mel, envelope, grid


def watch(motion: Motion) -> tuple[NDArray[np.float32], BeatGrid]:
    """Motion features and the beats seen in them."""
    envelope = sharpened(movement_envelope(motion), motion.fps)
    return motion_features(motion, MOTION_RATE), beat_grid(envelope, envelope, motion.fps)


def load_pair(pair: Pair) -> tuple[NDArray[np.float32], Motion]:
    """Waveform at ``SAMPLE_RATE`` and motion of a pair.

    Raises:
        PairError: music and motion differ in length.
        AudioError: the audio file is unreadable.
        MotionError: the motion file is unreadable, or has NaN or a wrong number of joints.
    """
    waveform = resample(*load_audio(pair.audio), SAMPLE_RATE)
    motion = Motion.load(pair.motion)
    seconds = len(waveform) / SAMPLE_RATE
    if abs(seconds - motion.duration) > _APART:
        raise PairError(
            f"pair {pair.id}: {seconds:.2f} s of music and {motion.duration:.2f} s of motion; "
            "cut both to the same part"
        )
    return waveform, motion


def features(pair: Pair, variant: int, cache: Path, captured: bool = False) -> Features:
    """Features of a variant of a pair, from the cache or worked out and put there.

    Args:
        pair: the pair.
        variant: 0 is the pair as it is; others are augmented, each always in the same way.
        cache: folder of the features.
        captured: whether augmented dances turn, swing out and are seen as captured ones are, too.

    Raises:
        PairError, AudioError, MotionError: the pair cannot be used.
    """

    def work_out() -> Features:
        waveform, motion = load_pair(pair)
        beats = np.array(pair.beats or (), np.float64)
        if variant:
            rng = np.random.default_rng([variant, *hashlib.sha256(pair.id.encode()).digest()])
            factor = speed(rng)
            waveform = change_sound(waveform, factor, rng)
            motion, beats = change_body(motion, factor, rng), beats / factor
            if captured:
                return doubted(_features(waveform, capture(let_go(motion, rng), rng), beats), rng)
        return _features(waveform, motion, beats)

    return _kept(cache, pair, [variant, captured] if variant and captured else [variant], work_out)


def doubted(found: Features, rng: np.random.Generator) -> Features:
    """Features in which, now and then, contacts are missing and the beats seen are mistaken."""
    motion = found.motion.copy()
    if rng.random() < _CONTACTS_LOST:
        motion[:, CONTACTS] = 0
    grid = BeatGrid(found.motion_times, found.motion_positions, int(found.motion_metre[0]))
    if rng.random() < _BEATS_MISTAKEN:
        grid = mistaken_grid(grid, rng)
    return replace(
        found,
        motion=motion,
        motion_times=grid.times,
        motion_positions=grid.positions,
        motion_metre=np.array([grid.beats_per_bar]),
    )


def excerpt(
    pair: Pair, start: float, seconds: float, shift: float, cache: Path, captured: bool = False
) -> Features:
    """Features of a clip that nothing outside it has touched, its motion shifted in time.

    Args:
        pair: the pair.
        start: of the music in seconds.
        seconds: length of the clip.
        shift: seconds by which the motion begins later than the music; the nearest frame stands in
            beyond the ends of the dance.
        cache: folder of the features.
        captured: whether the dance turns, swings out and is seen as captured ones are.
    """

    def work_out() -> Features:
        waveform, motion = load_pair(pair)
        if captured:
            digest = hashlib.sha256(pair.id.encode()).digest()
            rng = np.random.default_rng([*digest])
            motion = capture(let_go(motion, rng), rng)
        first, count = round(start * SAMPLE_RATE), round(seconds * SAMPLE_RATE)
        frames = round((start + shift) * motion.fps) + np.arange(round(seconds * motion.fps))
        seen = motion.positions[frames.clip(0, len(motion.positions) - 1)]
        beats = np.array(pair.beats or (), np.float64) - start
        return _features(waveform[first : first + count], Motion(seen, motion.fps), beats)

    part = [start, seconds, shift]
    return _kept(cache, pair, [*part, captured] if captured else part, work_out)


def _kept(cache: Path, pair: Pair, part: list[float], work_out: Callable[[], Features]) -> Features:
    files = [file.stat() for file in (pair.audio, pair.motion) if file.is_file()]
    stamps = [[file.st_size, file.st_mtime_ns] for file in files]
    made_of = json.dumps([FORMAT, pair.id, pair.beats, stamps, part])
    path = cache / f"{hashlib.sha256(made_of.encode()).hexdigest()[:32]}.safetensors"
    try:
        return Features(**load_file(path))
    except (SafetensorError, OSError, TypeError):  # missing or damaged: worked out again
        made = work_out()
        arrays = {name: np.ascontiguousarray(value) for name, value in vars(made).items()}
        write_atomically(path, save(arrays))
        return made


def _features(
    waveform: NDArray[np.float32], motion: Motion, beats: NDArray[np.float64]
) -> Features:
    log_mel, envelope, heard = listen(waveform)
    moves, seen = watch(motion)
    return Features(
        log_mel.astype(np.float16),
        np.clip(envelope / _LOUDEST_ONSET, 0, 1).astype(np.float16),
        moves.astype(np.float16),
        heard.times,
        heard.positions,
        np.array([heard.beats_per_bar]),
        seen.times,
        seen.positions,
        np.array([seen.beats_per_bar]),
        beats if len(beats) > 1 else heard.times,
    )


_SPECTRA: list[LogMelSpectrum] = []


def _spectrum() -> LogMelSpectrum:
    if not _SPECTRA:
        _SPECTRA.append(LogMelSpectrum(SAMPLE_RATE, HOP, BANDS))
    return _SPECTRA[0]


@dataclass(frozen=True, eq=False, repr=False)
class Heard:
    """A batch of pieces of music.

    Attributes:
        log_mel: (B, T, BANDS).
        onsets: (B, T).
        lengths: (B,) valid frames.
        clock: the beats heard.
    """

    log_mel: Tensor
    onsets: Tensor
    lengths: Tensor
    clock: Clock


@dataclass(frozen=True, eq=False, repr=False)
class Seen:
    """A batch of pieces of motion.

    Attributes:
        features: (B, M, FEATURES); 0 beyond the end.
        clock: the beats seen.
    """

    features: Tensor
    clock: Clock


def cut_grid(times: NDArray[np.float64], positions: NDArray[np.int64], metre: int,
             start: float, seconds: float) -> BeatGrid:  # fmt: skip
    """The beats of a grid that overlap a clip, counted from its start."""
    first = max(int(np.searchsorted(times, start, side="right")) - 1, 0)
    stop = max(int(np.searchsorted(times, start + seconds, side="left")), first + 1)
    stop = min(stop, len(positions))
    first = min(first, stop - 1)
    return BeatGrid(times[first : stop + 1] - start, positions[first:stop], metre)


def cut_music(found: Sequence[Features], starts: Sequence[float], seconds: float) -> Heard:
    """Music of so many seconds from each of several features."""
    frames = round(seconds * AUDIO_RATE)
    mels = [
        _rows(one.log_mel, start * AUDIO_RATE, frames)
        for one, start in zip(found, starts, strict=True)
    ]
    onsets = [
        _rows(one.onsets[:, None], start * AUDIO_RATE, frames)[:, 0]
        for one, start in zip(found, starts, strict=True)
    ]
    grids = [
        cut_grid(one.audio_times, one.audio_positions, int(one.audio_metre[0]), start, seconds)
        for one, start in zip(found, starts, strict=True)
    ]
    return Heard(
        torch.stack(mels), torch.stack(onsets), torch.full((len(mels),), frames), Clock.of(grids)
    )


def cut_motion(found: Sequence[Features], starts: Sequence[float], seconds: float) -> Seen:
    """Motion of so many seconds from each of several features."""
    frames = round(seconds * MOTION_RATE)
    moves = [
        _rows(one.motion, start * MOTION_RATE, frames)
        for one, start in zip(found, starts, strict=True)
    ]
    grids = [
        cut_grid(one.motion_times, one.motion_positions, int(one.motion_metre[0]), start, seconds)
        for one, start in zip(found, starts, strict=True)
    ]
    return Seen(torch.stack(moves), Clock.of(grids))


def _rows(values: NDArray[np.float16], start: float, count: int) -> Tensor:
    """Rows from the one nearest to ``start``; the first or last one stands in beyond the ends."""
    index = (round(start) + np.arange(count)).clip(0, len(values) - 1)
    return torch.from_numpy(values[index].astype(np.float32))
