"""From notes to sound: a General MIDI soundfont played with sample-accurate onsets."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import distribution
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import soundfile
from numpy.typing import NDArray

from motionbeat.data_modules.base import DatasetError
from motionbeat.files import write_atomically

if TYPE_CHECKING:
    from tinysoundfont import Synth

SAMPLE_RATE = 44_100
"""Sample rate of rendered audio in Hz."""

SOUNDFONT = "TimGM6mb.sf2"
"""General MIDI soundfont by Tim Brechbill (GPL-2.0), which the pretty_midi package carries."""


_RESET = SAMPLE_RATE // 10
"""Samples in which notes that a reset ends fade out; the synthesiser takes a tenth of them."""


@dataclass(frozen=True)
class Note:
    """A sounding note."""

    start: float  # onset in seconds
    end: float  # release in seconds; what rings on after it is up to the soundfont
    pitch: int  # MIDI key number; in a drum part the drum
    velocity: int  # 1 to 127


@dataclass(frozen=True)
class Part:
    """The notes of one player."""

    role: str  # drums, bass, chords, lead or pad
    family: str  # instrument family, the label; ``drums`` for drums
    program: int  # General MIDI program, 0 to 127; of drums the kit
    notes: tuple[Note, ...]  # in any order
    gain_db: float = 0.0  # level relative to the soundfont's own

    @property
    def drums(self) -> bool:
        """Whether program and pitches mean a drum kit and its drums."""
        return self.role == "drums"


def render(
    parts: Sequence[Part], duration: float, soundfont: Path | None = None
) -> NDArray[np.float32]:
    """Play parts together, by a General MIDI soundfont or the usual one.

    Parts are played one after the other by a synthesiser that is reset, so the sound of one never
    depends on the others. It is advanced from event to event, so every onset falls on its nearest
    sample.

    Returns:
        Waveform of shape (samples,) at ``SAMPLE_RATE``, not normalised: loud parts may exceed 1.

    Raises:
        DatasetError: the soundfont is none.
    """
    mix = np.zeros(round(duration * SAMPLE_RATE))
    for part in parts:
        mix += 10 ** (part.gain_db / 20) * _play(part, len(mix), soundfont)
    return mix.astype(np.float32)


def normalise(waveform: NDArray[np.float32], peak: float = 0.9) -> NDArray[np.float32]:
    """Scale a waveform to a peak; silence stays silence."""
    loudest = float(np.abs(waveform).max(initial=0.0))
    return waveform * np.float32(peak / loudest) if loudest else waveform


def write_audio(path: Path, waveform: NDArray[np.float32], sample_rate: int = SAMPLE_RATE) -> None:
    """Write a mono waveform of shape (samples,) as a 16-bit FLAC file, whole or not at all.

    Samples beyond [-1, 1] are clipped.

    Raises:
        WriteError: the folder cannot be written or its disk is full.
    """
    samples = np.clip(np.rint(waveform.astype(np.float64) * 32767), -32768, 32767)
    buffer = io.BytesIO()
    soundfile.write(buffer, samples.astype(np.int16), sample_rate, format="FLAC")
    write_atomically(path, buffer.getvalue())


def _play(part: Part, samples: int, soundfont: Path | None) -> NDArray[np.float32]:
    """One part alone at the soundfont's own level, (samples,)."""
    from tinysoundfont import SoundFontException

    try:
        synth = _synth(soundfont)
        for loaded in synth.soundfonts.values():
            loaded.reset()
        synth.generate(_RESET)
        synth.program_change(0, part.program, part.drums)
    except (SoundFontException, RuntimeError, OSError) as error:
        raise DatasetError(
            f"{soundfont or SOUNDFONT}: no General MIDI soundfont ({error}); give an .sf2 or .sf3 "
            "file"
        ) from error
    # Releases come before onsets of the same sample, or a repeated note would end its successor.
    events = sorted(
        event
        for note in part.notes
        for event in (
            (round(note.start * SAMPLE_RATE), 1, note.pitch, note.velocity),
            (max(round(note.end * SAMPLE_RATE), round(note.start * SAMPLE_RATE) + 1),
             0, note.pitch, 0),
        )
    )  # fmt: skip
    waveform = np.zeros(samples, np.float32)
    now = 0
    for moment, onset, pitch, velocity in [*events, (samples, 0, 0, 0)]:
        if (until := min(moment, samples)) > now:
            stereo = np.frombuffer(synth.generate(until - now), np.float32)
            waveform[now:until] = (stereo[0::2] + stereo[1::2]) / 2
            now = until
        if moment >= samples:
            break
        if onset:
            synth.noteon(0, pitch, velocity)
        else:
            synth.noteoff(0, pitch)
    return waveform


@lru_cache(maxsize=1)  # a large one takes a second to load, and hundreds of megabytes
def _synth(soundfont: Path | None) -> "Synth":
    """A synthesiser with a soundfont."""
    from tinysoundfont import Synth

    synth = Synth(samplerate=SAMPLE_RATE)
    synth.sfload((soundfont or usual_soundfont()).read_bytes())
    return synth


def usual_soundfont() -> Path:
    """The usual soundfont, found without importing the package that carries it."""
    return Path(str(distribution("pretty_midi").locate_file(f"pretty_midi/{SOUNDFONT}")))
