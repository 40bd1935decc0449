"""MTG-Jamendo: whole songs under free licences, tagged by those who uploaded them."""

from collections.abc import Iterable
from dataclasses import replace
from functools import cached_property

from motionbeat.data_modules.base import SPLITS, DatasetCard, Instruments, Moods, Tags
from motionbeat.data_modules.published.collection import Published, Row
from motionbeat.data_modules.published.download import Remote, listed

_RAW = (
    "https://raw.githubusercontent.com/MTG/mtg-jamendo-dataset/"
    "1b4fa8c32e076c73b5175c1703ae805b4109309d"
)
_LISTS = "data/splits/split-0"
_SIZE = "508 GB, of low quality 156 GB, with the songs of the other sets"
_SUBSETS = ("top50", "genre", "instrument", "moodtheme")
_HEADER = ["TRACK_ID", "ARTIST_ID", "ALBUM_ID", "PATH", "DURATION", "TAGS"]


def _lists(subset: str, *checksums: str) -> tuple[Remote, ...]:
    """The lists of the three splits; the audio is fetched by the official script."""
    names = [f"autotagging_{subset}-{split}.tsv" for split in SPLITS]
    lines = [f"{digest} {name}" for digest, name in zip(checksums, names, strict=True)]
    return listed(f"{_RAW}/{_LISTS}/", *lines, folder=_LISTS)


class JamendoTop50(Published):
    """The tags of all categories that most songs have; the group is the artist.

    A folder with ``*.low.mp3`` files is read as one of the low quality, and the revision tells. The
    four datasets share the folder, so songs are fetched once.
    """

    card = DatasetCard(
        name="mtg_jamendo_top50",
        annotations=(Tags,),
        licence=(
            "audio: Creative Commons, song by song in the repository's audio_licenses.txt; "
            "metadata: CC BY-NC-SA 4.0"
        ),
        citation=(
            "Bogdanov, Won, Tovstogan, Porter, Serra. The MTG-Jamendo dataset for automatic music "
            "tagging. Machine Learning for Music Discovery Workshop, ICML 2019. "
            "https://doi.org/10.5281/zenodo.3826813"
        ),
        size=f"54 380 whole songs with 50 tags, 3 688 h; audio {_SIZE}",
        how_to_get=(
            "motionbeat data get fetches the lists; the audio is not fetched: run the repository's "
            "scripts/download/download.py --type audio (or audio-low) --unpack with "
            "MOTIONBEAT_DATA/mtg_jamendo/audio as the output folder, so that there are "
            "audio/48/948.mp3 (or 948.low.mp3) and so on, and put the fetched lists beside audio/"
        ),
        source="https://github.com/MTG/mtg-jamendo-dataset",
        splits="official split 0, which no two parts of share an artist",
        when_gone="the repository's script knows two servers, --from mtg and --from mtg-fast",
        relatives=("MTG-Jamendo", *(f"mtg_jamendo_{subset}" for subset in _SUBSETS)),
    )
    count = 54_380
    home = "mtg_jamendo"
    links = _lists(
        "top50tags",
        "6dee445ddd1901286184c2059d3d5eef7486f083ae80de9011705f852a850dde",
        "4f5f0f0a7662f523b45727476f67d799d6e98151b2c585a8e94e19d980ad93c1",
        "3ede06a35e6cb27e1dbe8cfc84708a607622e30e5cd0a7199fce6c081124bc35",
    )

    @property
    def revision(self) -> str:
        """The card's revision, which part is there, and whether the audio is of low quality."""
        return super().revision + ("-low" if self._suffix == ".low.mp3" else "")

    def rows(self) -> Iterable[Row]:
        """Every song of the three lists, in their order.

        A row has a cell for each tag, behind its category, so rows differ in length.
        """
        [kind] = self.card.annotations
        for split, remote in zip(SPLITS, self.links, strict=True):
            file = f"{_LISTS}/{remote.name}"
            header, *lines = (line.split("\t") for line in self.text(file).splitlines() or [""])
            if header != _HEADER or any(len(cells) < len(_HEADER) for cells in lines):
                raise self.error(f"{file} is not the published one")
            for id, artist, _, path, _, *tags in lines:
                held = frozenset(tag.partition("---")[2] for tag in tags)
                audio = f"audio/{path.removesuffix('.mp3')}{self._suffix}"
                yield Row(split, id, audio, artist, (kind(held),))  # type: ignore[call-arg]

    @cached_property
    def _suffix(self) -> str:
        low = next(self.folder.glob("audio/*/*.low.mp3"), None)
        return ".low.mp3" if low else ".mp3"


class JamendoGenre(JamendoTop50):
    """The genres of a song, of which it may have several."""

    card = replace(
        JamendoTop50.card,
        name="mtg_jamendo_genre",
        annotations=(Tags,),
        size=f"55 094 whole songs with 87 genres, 3 735 h; audio {_SIZE}",
    )
    count = 55_094
    links = _lists(
        "genre",
        "c1cddb195ef94a07e67e227bf38e2a79389c1820950702b8c8894a2096f21e54",
        "3e203b4c573db6ec63a06c7066cf678dcf673a68ad5694c8fed22637c270dbcf",
        "cf917388eebfa7d17d363c2fca037e2379ac027e31aa6dbe92e8dbf409ac5098",
    )


class JamendoInstrument(JamendoTop50):
    """The instruments of a song."""

    card = replace(
        JamendoTop50.card,
        name="mtg_jamendo_instrument",
        annotations=(Instruments,),
        size=f"24 976 whole songs with 40 instruments, 1 628 h; audio {_SIZE}",
    )
    count = 24_976
    links = _lists(
        "instrument",
        "f844a85f0b40bb31a5d5b448ddfc10a68d7b38ecc760673d23df2bd6e7ca0f4c",
        "a5060020013ac5ba65c6470ee83fc2a9785db1fe554b55065de08aa9b0cca70d",
        "8c1ab86f3212b6484106baf2e78f70dd5520b917607487ac98999adbd5d7ab1a",
    )


class JamendoMoodTheme(JamendoTop50):
    """The moods and themes of a song."""

    card = replace(
        JamendoTop50.card,
        name="mtg_jamendo_moodtheme",
        annotations=(Moods,),
        size=(
            "17 982 whole songs with 56 moods and themes, 1 095 h; audio 152 GB, of low quality "
            "46 GB, as --dataset autotagging_moodtheme of the script"
        ),
    )
    count = 17_982
    links = _lists(
        "moodtheme",
        "e5e9e798364b34bd241b773e5011809b24429edf471f27cf21dd8181077ba2d4",
        "ecaa279367153476884d84d686479e566234cef1814bd6892a8755ba0a550dbf",
        "4341b5586bb3e5a80a882ce9ef33cb8b1bdaa7df856246ecc5de188dfe1cf394",
    )
