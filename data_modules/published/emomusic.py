"""EmoMusic, also 1000 Songs: clips of the Free Music Archive with mean arousal and valence."""

import hashlib
from collections.abc import Iterable

from motionbeat.data_modules.base import DatasetCard, Emotion, Split
from motionbeat.data_modules.published.collection import Published, Row
from motionbeat.data_modules.published.download import listed
from motionbeat.data_modules.published.fma_small import ARCHIVE

_SITE = "http://cvml.unige.ch/databases/emoMusic/"
_SET = "Mediaeval 2013 set"


class EmoMusic(Published):
    """The 744 clips that are left of 1000 after those heard twice were taken out."""

    card = DatasetCard(
        name="emomusic",
        annotations=(Emotion,),
        licence="Creative Commons by song (audio); none found stated for the annotations",
        citation=(
            "Soleymani, Caro, Schmidt, Sha, Yang. 1000 songs for emotional analysis of music. "
            "CrowdMM 2013. https://doi.org/10.1145/2506364.2506365"
        ),
        size="744 clips of 45 s, 9.3 h; two archives of unstated size to fetch",
        how_to_get="run: motionbeat data get emomusic",
        source="https://cvml.unige.ch/databases/emoMusic/",
        splits=(
            "the 125 clips of the MediaEval 2013 evaluation set are tested on; the development set "
            "is parted into 504 and 115 by the hash of the artist, as by the probes of Jukebox "
            "(Castellon et al. 2021) and MARBLE; 52 of 411 artists are in both sets"
        ),
        when_gone="DEAM holds the same clips with annotations of its own",
        relatives=("DEAM", *ARCHIVE),
    )
    count = 744
    links = (
        *listed(
            _SITE,
            "e0cb0b06e1b0ce7f04b1572fc410937699b7fad9dae67ddaa745f06cda4b0b33 annotations.tar.gz",
            folder="annotations",
        ),
        *listed(
            _SITE,
            "3994a5d5fefc27f9540d1a69cd7f1294c68e6cb311ce49765021e2e9c7a1057b clips_45sec.tar.gz",
        ),
    )

    def rows(self) -> Iterable[Row]:
        """Every clip of ``songs_info.csv``, in its order."""
        columns = ["song_id", "Artist", _SET]
        songs = self.table("annotations/songs_info.csv", columns, dtype=str, keep_default_na=False)
        rated = ["song_id", "mean_valence", "mean_arousal"]
        types = {"song_id": str, "mean_arousal": float, "mean_valence": float}
        table = self.table("annotations/static_annotations.csv", rated, dtype=types)
        means = {id: ratings for id, *ratings in table[rated].itertuples(index=False)}
        for cells in songs[columns].itertuples(index=False):
            id, artist, part = (cell.strip() for cell in cells)  # many cells are padded with tabs
            parts: dict[str, Split] = {"evaluation": "test", "development": development(artist)}
            if id not in means:
                raise self.error(f"track {id} has no rating in static_annotations.csv")
            yield Row(
                self.lookup(id, "set", part, parts),
                id,
                f"clips_45seconds/{id}.mp3",
                # The development set is parted by artist, but the official evaluation set is not.
                id,
                (emotion(self, id, *means[id]),),
            )


def emotion(dataset: Published, id: str, valence: float, arousal: float) -> Emotion:
    """The point on the plane of two mean ratings of a track on a scale from 1 to 9.

    Raises:
        DatasetError: a rating is missing or off the scale.
    """
    for rating in (valence, arousal):
        if not 1 <= rating <= 9:
            raise dataset.error(f"track {id} has the rating {rating}, which is not from 1 to 9")
    return Emotion(valence=(float(valence) - 5) / 4, arousal=(float(arousal) - 5) / 4)


def development(artist: str) -> Split:
    """Where an artist of the development set belongs: eight of ten places are for training.

    The place is the last decimal digit of the SHA-1 of the name, of which only the plain letters
    count, in lower case, and single spaces between words.
    """
    letters = "".join(c for c in artist.lower() if c.isascii() and (c.isalpha() or c.isspace()))
    name = " ".join(letters.split())
    place = int(hashlib.sha1(name.encode(), usedforsecurity=False).hexdigest(), 16) % 10
    return "train" if place < 8 else "validation"
