"""Beatles: beats and bars of the studio albums; the audio is the user's own."""

from collections.abc import Iterable
from pathlib import PurePosixPath

from motionbeat.data_modules.base import Beats, DatasetCard
from motionbeat.data_modules.published.collection import Row, hashed_split
from motionbeat.data_modules.published.mirdata import MirData


class Beatles(MirData):
    """Beats of whole songs; the group is the album."""

    card = DatasetCard(
        name="beatles",
        annotations=(Beats,),
        licence="annotations: none stated, for research; audio: commercial, not distributed",
        citation=(
            "Mauch et al. OMRAS2 metadata project 2009. ISMIR 2009; beats: Davies, Degara, "
            "Plumbley. Evaluation methods for musical audio beat tracking algorithms. 2009"
        ),
        size="179 songs of twelve albums; Revolution 9 has no beats",
        how_to_get=(
            "run: motionbeat data get beatles, which fetches annotations and mirdata's index; put "
            "both into MOTIONBEAT_DATA/beatles/ with the songs of your CDs as audio/01_-_Please_"
            "Please_Me/01_-_I_Saw_Her_Standing_There.wav and so on, as the index names them"
        ),
        source="http://isophonics.net/content/reference-annotations-beatles",
        splits="ours: by album, hashed; 109, 42 and 28 songs, all by one band",
        when_gone="look for 'The Beatles Annotations.tar.gz', md5 62425c552d37c6bb655a78e4603828cc",
        relatives=("Isophonics",),
    )
    count = 179
    any_copy = True

    def rows(self) -> Iterable[Row]:
        """Every song with beats, in the order of mirdata's index."""
        for id, track in self.loaded.items():
            if track.beats_path is None:  # Revolution 9
                continue
            # The two discs of the white album, 10CD1 and 10CD2, are one album.
            album = PurePosixPath(track.audio_path).parent.name.partition("_-_")[2]
            yield self.row(hashed_split(album), id, album, self.beats(id))
