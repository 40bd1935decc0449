"""Audio in: any file libsndfile reads becomes mono float32 at the rate asked for."""

from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from motionbeat.errors import MotionBeatError

Waveform = NDArray[np.float32]

_BLOCK_FRAMES = 1 << 20


class AudioError(MotionBeatError):
    """A file that cannot be used as audio, with its name and the remedy."""


def load_audio(path: str | Path) -> tuple[Waveform, int]:
    """Decode a WAV, FLAC, OGG or MP3 file to (samples,) in [-1, 1] and its sample rate in Hz.

    Channels are averaged block by block, so the peak memory is that of the mono result. A truncated
    FLAC or MP3 file is found out; libsndfile takes a truncated WAV or OGG file for a shorter one.

    Raises:
        AudioError: the file is missing, unreadable, truncated or empty, or holds NaN or infinity.
    """
    path = Path(path)
    if not path.is_file():
        raise AudioError(f"{path}: no such audio file; check the dataset's folder")
    blocks: list[Waveform] = []
    try:
        with soundfile.SoundFile(path) as file:
            promised, sample_rate = file.frames, file.samplerate
            while len(block := file.read(_BLOCK_FRAMES, dtype="float32", always_2d=True)):
                blocks.append(block.mean(axis=1, dtype=np.float32))
    except soundfile.LibsndfileError as error:
        raise AudioError(
            f"{path}: unreadable audio ({error.error_string.strip(' .')}); "
            "restore the file or convert it to WAV, FLAC, OGG or MP3"
        ) from error
    waveform = np.concatenate(blocks) if blocks else np.zeros(0, np.float32)
    if not len(waveform):
        raise AudioError(f"{path}: holds no audio samples; restore the file")
    if len(waveform) < promised:
        raise AudioError(
            f"{path}: truncated, {len(waveform)} of {promised} samples could be read; "
            "restore the file"
        )
    if not np.isfinite(waveform).all():
        raise AudioError(f"{path}: holds NaN or infinite samples; export the file again")
    return waveform, sample_rate


def resample(waveform: Waveform, source_rate: int, target_rate: int) -> Waveform:
    """Resample a mono waveform of shape (samples,) between two rates in Hz (soxr, high quality)."""
    if source_rate == target_rate:
        return waveform
    return np.asarray(soxr.resample(waveform, source_rate, target_rate, quality="HQ"), np.float32)
