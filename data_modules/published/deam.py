"""DEAM: clips and songs under free licences with mean arousal and valence."""

import csv
from collections.abc import Iterable

import pandas as pd

from motionbeat.data_modules.base import DatasetCard, Emotion
from motionbeat.data_modules.published.collection import Published, Row, hashed_split
from motionbeat.data_modules.published.download import listed
from motionbeat.data_modules.published.emomusic import emotion
from motionbeat.data_modules.published.fma_small import ARCHIVE

_SITE = "https://cvml.unige.ch/databases/DEAM/"
_MEANS = "annotations/annotations averaged per song/song_level/static_annotations_averaged_songs_"


class Deam(Published):
    """The MediaEval database of 2013 to 2015; its first 744 clips are those of EmoMusic."""

    card = DatasetCard(
        name="deam",
        annotations=(Emotion,),
        licence="Creative Commons by song (audio); CC BY-NC (annotations)",
        citation=(
            "Aljanaki, Yang, Soleymani. Developing a benchmark for emotional analysis of music. "
            "PLoS ONE 12(3), 2017. https://doi.org/10.1371/journal.pone.0173392"
        ),
        size="1 744 clips of 45 s and 58 songs, 25.6 h; 1.35 GB to fetch",
        how_to_get="run: motionbeat data get deam",
        source=_SITE,
        splits="ours, as the sets of MediaEval share artists: by artist, hashed",
        when_gone="ask the authors for the three archives; the DOI of the paper leads to them",
        relatives=("emomusic", *ARCHIVE),
    )
    count = 1_802
    links = listed(
        _SITE,
        "3d1d5ab42e852803a770f2cfbd685c6b464e1ebe76f26b0e10954597902b90f8 metadata.zip",
        "809b0feb4ba6196c1eda9b2b7b33b892b11fa71457cfceb0d47e832ed1a5f15f DEAM_Annotations.zip",
        "e2814325f573ade8caebc697f0efcfdf7207142b737d72558a416117ca591353 DEAM_audio.zip",
    )

    def rows(self) -> Iterable[Row]:
        """Every song that was rated as a whole, in the order of the two tables."""
        artists = {id: name for year in (2013, 2014, 2015) for id, name in self._artists(year)}
        types = {"song_id": str, "valence_mean": float, "arousal_mean": float}
        tables = [
            # The header has blanks behind its commas.
            self.table(f"{_MEANS}{songs}.csv", list(types), skipinitialspace=True, dtype=types)
            for songs in ("1_2000", "2000_2058")
        ]
        for id, valence, arousal in pd.concat(tables)[list(types)].itertuples(index=False):
            group = f"artist {artists[id]}" if id in artists else f"song {id}"
            felt = emotion(self, id, valence, arousal)
            yield Row(hashed_split(group), id, f"MEMD_audio/{id}.mp3", group, (felt,))

    def _artists(self, year: int) -> Iterable[tuple[str, str]]:
        """Songs and their artists, written alike, as far as a year's table names them.

        The table is read cell by cell: its rows have more cells the more tags a song has.
        """
        file = self.folder / f"metadata/metadata_{year}.csv"
        with self.reading(file), file.open(encoding="utf-8-sig", errors="replace", newline="") as f:
            header, *lines = csv.reader(f)
            column = [name.strip().lower() for name in header].index("artist")
        for cells in lines:
            if len(cells) > column and (name := " ".join(cells[column].casefold().split())):
                yield cells[0].strip(), name
