"""RWC Popular: a hundred songs made for research, with beats and bars; the audio is ordered."""

from collections.abc import Iterable

from motionbeat.data_modules.base import Beats, DatasetCard
from motionbeat.data_modules.published.collection import Row, hashed_split
from motionbeat.data_modules.published.mirdata import MirData


class RwcPopular(MirData):
    """Beats of whole songs; the group is the singer."""

    card = DatasetCard(
        name="rwc_popular",
        annotations=(Beats,),
        licence="research use by those who have submitted the pledge; all rights belong to AIST",
        citation=(
            "Goto et al. RWC Music Database: popular, classical, and jazz music databases. ISMIR "
            "2002"
        ),
        size="100 songs on seven CDs",
        how_to_get=(
            "run: motionbeat data get rwc_popular, which fetches the annotations; order the audio "
            "at the source and put all of it into MOTIONBEAT_DATA/rwc_popular/, the CDs as "
            "audio/rwc-p-m01/1.wav to audio/rwc-p-m07/10.wav"
        ),
        source="https://staff.aist.go.jp/m.goto/RWC-MDB/rwc-mdb-p.html",
        splits="ours: by singer, hashed; 75, 8 and 17 songs",
        when_gone="ask the RWC Music Database at AIST",
        relatives=("RWC Music Database",),
    )
    count = 100
    any_copy = True
    parts = ("metadata", "annotations_beat")

    def rows(self) -> Iterable[Row]:
        """Every song, in the order of mirdata's index."""
        for id in self.loaded:
            singer = self.known(id, "artist")
            split = hashed_split(f"singer {singer}")  # spelled so, the splits are of useful sizes
            yield self.row(split, id, singer, self.beats(id))
