"""ASAP: recordings of classical piano music with beats and bars taken from the score."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from motionbeat.data_modules.base import Beats, DatasetCard
from motionbeat.data_modules.published.collection import Published, Row, hashed_split

KINDS = {"db": True, "b": False, "bR": False}
"""Whether a bar starts: at downbeats, at other beats, at beats in free time (a guess)."""

MISPLACED = (
    "Bach/Fugue/bwv_874/BianF01",
    "Bach/Fugue/bwv_883/Herbert02",
    "Bach/Fugue/bwv_883/Khmara04",
    "Bach/Fugue/bwv_885/SINKEV06",
    "Bach/Prelude/bwv_885/SINKEV06",
)
"""Performances whose audio is cut at a wrong place, so that their beats are not where they sound
(https://github.com/CPJKU/asap-dataset/issues/13)."""

_COLUMNS = ["composer", "title", "performance_annotations", "audio_performance"]


class ASAP(Published):
    """Beats and downbeats of the performances that MAESTRO has audio of.

    The group is the composition, a movement or a piece of a cycle, whoever plays it. The audio is
    that of MAESTRO cut by the dataset's own script, which puts half a second of silence before what
    it cuts; the annotations count from there.
    """

    card = DatasetCard(
        name="asap",
        annotations=(Beats,),
        licence="CC BY-NC-SA 4.0, annotations and the audio of MAESTRO",
        citation=(
            "Foscarin et al. ASAP: a dataset of aligned scores and performances for piano "
            "transcription. ISMIR 2020; audio: Hawthorne et al., the MAESTRO dataset. ICLR 2019"
        ),
        size="514 of 519 recorded performances of 170 compositions, 44 h; 100 GB to fetch",
        how_to_get=(
            "clone the source at afc815c75c42e83a79c03feb6da8a35e77d4c6b8 into "
            "MOTIONBEAT_DATA/asap/, unpack MAESTRO v2.0.0 of "
            "https://magenta.tensorflow.org/datasets/maestro, and in the folder run python "
            "initialize_dataset.py -m MAESTRO with the packages of its environment.yml"
        ),
        source="https://github.com/fosfrancesco/asap-dataset",
        splits="ours: by composition, hashed; a pianist and a piano may be heard in two splits",
        when_gone="the annotations are also at https://github.com/CPJKU/asap-dataset",
        relatives=("MAESTRO",),
    )
    count = 514

    def rows(self) -> Iterable[Row]:
        """Every performance that is recorded and well cut, in the order of the table."""
        table = self.table("metadata.csv", _COLUMNS, dtype=str, keep_default_na=False)
        for composer, title, beats, audio in table[_COLUMNS].itertuples(index=False):
            id = audio.removesuffix(".wav")
            if audio and id not in MISPLACED:
                group = f"{composer} {title}"
                yield Row(hashed_split(group), id, audio, group, (self._beats(id, beats),))

    def _beats(self, id: str, path: str) -> Beats:
        """The beats of a performance, from its own file."""
        options = {"sep": "\t", "header": None, "names": ["time", "again", "label"]}
        table = self.table(path, [], index_col=False, **options)
        kinds = table["label"].astype(str).str.split(",").str[0]  # metre and key may follow
        starts = np.array([self.lookup(id, "kind of beat", kind, KINDS) for kind in kinds], bool)
        if not starts.any():
            raise self.error(f"track {id} has no downbeat")
        with self.reading(self.folder / path):
            return Beats(table["time"].to_numpy(dtype=np.float64), positions(starts))


def positions(starts: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Positions of beats in their bars, from where bars start.

    An upbeat ends a bar as long as the first whole one.

    Args:
        starts: whether a beat is the first of a bar; some beat is.
    """
    begins = np.flatnonzero(starts)
    beats = np.arange(len(starts))
    bar = np.searchsorted(begins, beats, side="right")
    since = beats - begins[np.maximum(bar - 1, 0)] + 1
    length = int(np.append(begins, len(starts))[1] - begins[0])
    return np.where(bar > 0, since, np.maximum(since + length, 2)).astype(np.int64)
