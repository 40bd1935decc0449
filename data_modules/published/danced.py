"""Published datasets with a dance to every track, converted once and kept in the cache."""

import io
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path

import numpy as np
import soundfile

from motionbeat.audio import load_audio
from motionbeat.data_modules import generated
from motionbeat.data_modules.base import MotionFile, Split, Track
from motionbeat.data_modules.published.collection import Published
from motionbeat.files import write_atomically
from motionbeat.motion import Motion


class Danced(Published):
    """A published dataset in which a track is one dance, to music of its own or shared with others.

    Motions are converted to :class:`Motion` once. Music that bears another name than the dance is
    shared; it is cut from its start to the length of the dance, once for each dance, as FLAC
    with 16 bits, so that every track has audio of its own.
    """

    @staticmethod
    @abstractmethod
    def read(path: Path, id: str) -> Motion:
        """The motion of a dance in its file, or a MotionError."""

    def prepare_data(self) -> None:
        """Check that the dataset is complete and its audio readable; convert what is not yet."""
        super().prepare_data()
        _ = self._converted

    def tracks(self, split: Split) -> list[Track]:
        """The dances of a split, in the order of the dataset's tables.

        Raises:
            DatasetError: the dataset is missing or incomplete, and no partial copy was asked for.
            MotionError: a motion is unreadable.
        """
        return [self._danced(track) for track in super().tracks(split)]

    @property
    def _conversions(self) -> Path:
        return self.cache / self.card.name / f"motion-{self.card.revision}"

    @cached_property
    def _converted(self) -> dict[str, generated.Piece]:
        recipes = {}
        for row in self._there:
            audio, source = self.folder / row.audio, self.folder / str(row.motion)
            music = audio if audio.stem != row.id else None
            recipes[_piece(row.id, audio)] = partial(_convert, row.id, self.read, source, music)
        return generated.build(self._conversions, recipes, self.card.name)

    def _danced(self, track: Track) -> Track:
        labels = self._converted[_piece(track.id, track.audio_path)].labels
        motion = MotionFile(self._conversions / f"{track.id}.npz")
        danced = replace(track, annotations=(*track.annotations, motion))
        if "seconds" not in labels:
            return danced
        cut = self._conversions / f"{track.id}.flac"
        return replace(danced, audio_path=cut, duration=labels["seconds"])


def _piece(id: str, audio: Path) -> str:
    """A dance's name in the library: another one with shared music, which may come later."""
    return id if audio.stem == id else f"{id} to {audio.stem}"


def _convert(
    id: str, read: Callable[[Path, str], Motion], source: Path, music: Path | None, folder: Path
) -> generated.Piece:
    """Write one dance as a :class:`Motion`, and its part of shared music."""
    motion = read(source, id)
    buffer = io.BytesIO()
    np.savez(buffer, **motion.arrays())  # type: ignore[arg-type]
    write_atomically(folder / f"{id}.npz", buffer.getvalue())
    if music is None:
        return generated.Piece((f"{id}.npz",), {})
    waveform, rate = load_audio(music, channels=2)
    samples = np.clip(np.rint(waveform[: round(motion.duration * rate)] * 32768), -32768, 32767)
    buffer = io.BytesIO()
    soundfile.write(buffer, samples.astype(np.int16), rate, format="FLAC")
    write_atomically(folder / f"{id}.flac", buffer.getvalue())
    return generated.Piece((f"{id}.npz", f"{id}.flac"), {"seconds": len(samples) / rate})
