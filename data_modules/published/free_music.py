"""Free Music: orchestral and rock pieces of Tanner Helland, and hip-hop beats of Boomboxhead."""

from collections.abc import Iterable
from pathlib import Path

from motionbeat.data_modules.base import DatasetCard, Licence
from motionbeat.data_modules.published.collection import Published, Row

_LICENCES = {"CC BY 4.0": "CC-BY-4.0", "CC0-1.0": "CC0-1.0"}


class FreeMusic(Published):
    """35 unlabelled pieces of two artists to pretrain on; all are in the train split."""

    card = DatasetCard(
        name="free_music",
        annotations=(Licence,),
        licence="by file: CC BY 4.0 (Tanner Helland), CC0 1.0 (Boomboxhead)",
        citation="Tanner Helland, https://www.tannerhelland.com; Boomboxhead (GM3)",
        size="35 pieces, 0.9 h, 19 MB",
        how_to_get=(
            "put index.csv (file,licence,artist,title), and as audio/* the files of the GitHub "
            "repositories tannerhelland/free-music and gm3/cc0-beats, into "
            "MOTIONBEAT_DATA/free_music/"
        ),
        source="https://github.com/tannerhelland/free-music",
        relatives=("danced_music", "warped_salsa"),
        splits="ours: all of it is to train on",
        when_gone="https://www.tannerhelland.com/music has the pieces of Tanner Helland",
    )
    count = 35

    def rows(self) -> Iterable[Row]:
        """The pieces; a group is an artist."""
        table = self.table("index.csv", ["file", "licence", "artist"], dtype=str)
        for file, licence, artist in table[["file", "licence", "artist"]].itertuples(index=False):
            named = self.lookup(file, "licence", licence, _LICENCES)
            yield Row("train", Path(file).stem, f"audio/{file}", artist, (Licence(named),))
