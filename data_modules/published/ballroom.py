"""Ballroom: clips of dance music in eight styles, with beats, bars and tempo."""

from collections.abc import Iterable

from motionbeat.data_modules.base import Beats, DatasetCard, Genre, Tempo
from motionbeat.data_modules.published.collection import Row, hashed_split, names
from motionbeat.data_modules.published.mirdata import MirData

REPLICAS = names(
    "Albums-AnaBelen_Veneo-15, Albums-Ballroom_Magic-18, Albums-Chrisanne2-12, Albums-Fire-09, "
    "Albums-Latin_Jam-13, Albums-Latin_Jam-14, Albums-Latin_Jam-15, Albums-Latin_Jam2-13, "
    "Albums-Latin_Jam2-14, Albums-Latin_Jam2-15, Media-103414, Media-103415, Media-104705"
)
"""Second copies of recordings that stand twice, as the annotators list them after B. Sturm; one of
them, Albums-Fire-09, has another style than the first."""


class Ballroom(MirData):
    """Dance style, beats and tempo; the group is the album that the file's name tells."""

    card = DatasetCard(
        name="ballroom",
        annotations=(Genre, Beats, Tempo),
        licence="CC BY-NC-SA 4.0 as mirdata states it; the music belongs to its owners",
        citation=(
            "Gouyon et al. An experimental comparison of audio tempo induction algorithms. 2006. "
            "https://doi.org/10.1109/TSA.2005.858509; beats: Krebs, Böck, Widmer. Rhythmic pattern "
            "modeling for beat and downbeat tracking in musical audio. ISMIR 2013"
        ),
        size="685 of 698 clips of about 30 s, 5.7 h, 1.5 GB; 13 replicas are left out",
        how_to_get="run: motionbeat data get ballroom",
        source="https://mtg.upf.edu/ismir2004/contest/tempoContest/node5.html",
        splits="ours: by album, hashed; 525, 83 and 77 clips, with every style in each",
        when_gone="look for data1.tar.gz with md5 2872a3e52070bc342a4510a95e2fa0b8",
    )
    count = 685
    classes = names("chachacha, jive, quickstep, rumba, samba, tango, viennesewaltz, waltz")

    def rows(self) -> Iterable[Row]:
        """Every clip but the replicas, in the order of mirdata's index."""
        for id, track in self.loaded.items():
            if id in REPLICAS:
                continue
            style = track.genre.partition("-")[0]  # the three folders of rumbas are one class
            album = id[:-2].rstrip("-")  # Albums-Fire-08 is track 8 of Fire, Media-103402 of 1034
            split = hashed_split(f"album {album}")  # spelled so, every style comes to every split
            yield self.row(split, id, album, Genre(style), self.beats(id), self.tempo(id))
