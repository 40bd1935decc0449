"""Datasets of mirdata with annotated beats: their beats and tempi, or what is wrong with them."""

import csv
from pathlib import Path
from typing import Any

import numpy as np

from motionbeat.data_modules.base import Beats, DatasetError, Tempo
from motionbeat.data_modules.mirdata import MirData


class RhythmData(MirData):
    """A dataset whose beats mirdata reads."""

    def beats(self, id: str) -> Beats:
        """The beats of a track; bars are unknown where its file does not tell them.

        Raises:
            DatasetError: its file is missing or unreadable, or the beats are out of order.
        """
        found = self.known(id, "beats")
        positions = found.positions
        try:
            return Beats(found.times, None if positions is None else positions.astype(np.int64))
        except DatasetError as error:
            raise self.error(f"track {id}: {error}") from error

    def tempo(self, id: str) -> Tempo:
        """The tempo of a track, the first number of its file.

        mirdata's own reader of GTZAN fails with numpy 2.4.

        Raises:
            DatasetError: its file is missing or unreadable, or holds no tempo.
        """
        path = self.loaded[id].tempo_path
        try:
            bpm = float(Path(path).read_text().split()[0])
        except FileNotFoundError as error:
            raise self.error(f"{path} is missing") from error
        except (OSError, ValueError, IndexError) as error:
            raise self.error(f"the tempo of track {id} cannot be read ({error})") from error
        if not bpm > 0:
            raise self.error(f"track {id} has the tempo {bpm}")
        return Tempo(bpm)

    def known(self, id: str, what: str) -> Any:
        """What mirdata knows of a track, by the name of its attribute.

        Raises:
            DatasetError: it knows nothing, or its file is missing or unreadable.
        """
        try:
            found = getattr(self.loaded[id], what)
        except FileNotFoundError as error:
            raise self.error(f"{error.filename or error} is missing") from error
        except (OSError, ValueError, LookupError, TypeError, StopIteration, csv.Error) as error:
            reason = str(error).partition("\n")[0]
            raise self.error(f"the {what} of track {id} cannot be read ({reason})") from error
        if found is None:
            raise self.error(f"track {id} has no {what}")
        return found
