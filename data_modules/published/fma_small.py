"""FMA small: clips of half a minute in eight genres, from the Free Music Archive."""

from collections.abc import Iterable

from motionbeat.data_modules.base import DatasetCard, Genre, Split
from motionbeat.data_modules.published.collection import Published, Row, names
from motionbeat.data_modules.published.download import listed

SHORT = (98565, 98567, 98569, 99134, 108925, 133297)
"""Clips that were cut beyond the end of their songs: three last a moment, three hold no audio
(https://github.com/mdeff/fma/issues/8)."""

ARCHIVE = ("FMA", "fma_full", "fma_large", "fma_medium", "fma_small", "Free Music Archive")
"""Names under which its recordings, and those of other datasets drawn from it, are trained on."""

_TABLE = "fma_metadata/tracks.csv"
_SPLITS: dict[str, Split] = {"training": "train", "validation": "validation", "test": "test"}


class FmaSmall(Published):
    """Genre of real recordings; the group is the artist."""

    card = DatasetCard(
        name="fma_small",
        annotations=(Genre,),
        licence="audio: Creative Commons as each artist chose; metadata: CC BY 4.0",
        citation=(
            "Defferrard et al. FMA: a dataset for music analysis. ISMIR 2017. arXiv 1612.01840"
        ),
        size="7 994 of 8 000 clips of 30 s, 67 h; 8.1 GB to fetch; six empty clips are left out",
        how_to_get="run: motionbeat data get fma_small",
        source="https://github.com/mdeff/fma",
        splits="official (80, 10 and 10 % of each genre); an artist is in one of them only",
        when_gone="look for the links in the README of https://github.com/mdeff/fma",
        relatives=ARCHIVE,
    )
    count = 7_994
    home = "fma"
    links = listed(
        "https://os.unil.cloud.switch.ch/fma/",
        "f0df49ffe5f2a6008d7dc83c6915b31835dfe733 fma_metadata.zip",
        "ade154f733639d52e35e32f5593efe5be76c6d70 fma_small.zip",
    )
    classes = names(
        "Electronic, Experimental, Folk, Hip-Hop, Instrumental, International, Pop, Rock"
    )

    def rows(self) -> Iterable[Row]:
        """Every clip of the subset that can be heard, in the order of the table."""
        wanted = [("artist", "id"), ("set", "split"), ("set", "subset"), ("track", "genre_top")]
        # Two rows name the 52 columns, and a third one the first column.
        with self.reading(self.folder / _TABLE):
            table = self.table(_TABLE, [], header=[0, 1], index_col=0, dtype=str)[wanted]
        for id, artist, split, subset, genre in table.fillna("").itertuples(name=None):
            if not str(id).isdecimal():
                raise self.error(f"{self.folder / _TABLE} has a track with the id '{id}'")
            if subset == "small" and int(id) not in SHORT:
                name = f"{int(id):06d}"
                audio = f"fma_small/{name[:3]}/{name}.mp3"
                part = self.lookup(id, "split", split, _SPLITS)
                yield Row(part, id, audio, f"artist {artist}", (Genre(genre),))
