"""MagnaTagATune: clips of half a minute with the tags that players of a game agreed on."""

from collections.abc import Iterable
from pathlib import PurePosixPath

from motionbeat.data_modules.base import DatasetCard, Split, Tags
from motionbeat.data_modules.published.collection import Published, Row, names
from motionbeat.data_modules.published.download import Remote

TAGS = names(
    "ambient, beat, beats, cello, choir, choral, classic, classical, country, dance, drums, "
    "electronic, fast, female, female vocal, female voice, flute, guitar, harp, harpsichord, "
    "indian, loud, male, male vocal, male voice, man, metal, new age, no vocal, no vocals, "
    "no voice, opera, piano, pop, quiet, rock, singing, sitar, slow, soft, solo, strings, synth, "
    "techno, violin, vocal, vocals, voice, weird, woman"
)
"""The fifty tags that most clips have, which everybody scores; no two are merged."""

UNREADABLE = ("35644", "55753", "57881")
"""Clips whose files cannot be read in the official archive."""

_TABLE = "annotations_final.csv"
_HOST = "https://mirg.city.ac.uk/datasets/magnatagatune/"
_TABLE_CHECKSUM = "sha256:99b94e95825d4fa576386a5367b9c96e0ec636e9f9c240aceb492f4728f68c3c"
_PARTS = {
    "mp3.zip.001": "sha256:f857fe185968773058cc71662c2ef5d8f2d4b7338e3c122cfd52f82dcb9760b9",
    "mp3.zip.002": "sha256:fc2e1ec441755556ed1398b1808f1b08b6034372f8bc27394510c0c58cdb52ce",
    "mp3.zip.003": "sha256:83a689824c17e82f6eb81cdbc4e4ca239a4cfc1fb41f1a5c80b861caec90450f",
}
"""Of each part of the archive, as JukeMIR knows them; nobody publishes one of the whole."""

_ADDRESSES = tuple(_HOST + part for part in _PARTS)


class MagnaTagATune(Published):
    """Tags of real recordings; the group is the song that the name of the clip's file tells.

    Clips without any of the fifty tags stay: nobody heard one of them there.
    """

    card = DatasetCard(
        name="magnatagatune",
        revision="1",
        annotations=(Tags,),
        licence="music of the label Magnatune, CC BY-NC-SA; the tags state none",
        citation=(
            "Law, West, Mandel, Bay, Downie. Evaluation of algorithms using games: the case of "
            "music tagging. ISMIR 2009. "
            "https://mirg.city.ac.uk/codeapps/the-magnatagatune-dataset"
        ),
        size=(
            "25 860 of 25 863 clips of 29 s from 5 405 songs by 230 artists, 209 h, 3 GB; three "
            "unreadable files are left out"
        ),
        how_to_get=(
            "run: motionbeat data get magnatagatune; or put annotations_final.csv and "
            f"mp3.zip.001 to 003 of {_HOST} into MOTIONBEAT_DATA/magnatagatune/ and, in that "
            "folder, run: cat mp3.zip.00? > mp3.zip && unzip mp3.zip, so that there are 0/*.mp3 "
            "to f/*.mp3"
        ),
        source="https://mirg.city.ac.uk/codeapps/the-magnatagatune-dataset",
        splits=(
            "as usual by folder: 0 to b for training (18 706 clips), c for validation (1 825) and "
            "d to f for testing (5 329); no song is in two of them, but 56 artists are"
        ),
        when_gone=(
            "the same files were at http://mi.soi.city.ac.uk/datasets/magnatagatune/; their "
            "checksums are in the list of assets of https://github.com/p-lambda/jukemir"
        ),
        relatives=("MTT", "MTAT", "Magnatune"),
    )
    count = 25_860
    links = (
        Remote((_HOST + _TABLE,), _TABLE_CHECKSUM, _TABLE),
        Remote(_ADDRESSES, tuple(_PARTS.values()), "mp3.zip"),
    )

    def rows(self) -> Iterable[Row]:
        """Every clip that can be heard, in the order of the table."""
        table = self.table(_TABLE, ["clip_id", "mp3_path"], sep="\t", dtype=str)
        ids, paths = table.pop("clip_id"), table.pop("mp3_path").fillna("")
        wrong = ~table.isin(["0", "1"])
        for tag in wrong.columns[wrong.any()]:
            id = ids[wrong[tag]].iloc[0]
            raise self.error(f"track {id} has the tag '{tag}' neither with 0 nor with 1")
        held = table == "1"
        most = held.sum().nlargest(len(TAGS)).index
        if others := sorted(set(most) ^ set(TAGS)):
            raise self.error(
                f"the {len(TAGS)} tags of most clips are not those published, such as '{others[0]}'"
            )
        for id, path, holds in zip(ids, paths, held[list(TAGS)].to_numpy(), strict=True):
            if id not in UNREADABLE:
                held_tags = frozenset(tag for tag, true in zip(TAGS, holds, strict=True) if true)
                yield Row(self._split(id, path), id, path, _song(path), (Tags(held_tags),))

    def _split(self, id: str, path: str) -> Split:
        """The split of a clip, by its folder."""
        folder = path.partition("/")[0]
        self.check(id, "folder", folder, set("0123456789abcdef"))
        if folder < "c":
            return "train"
        return "validation" if folder == "c" else "test"


def _song(path: str) -> str:
    """Artist, album, number and title of a clip's song, without the seconds it is cut at."""
    return PurePosixPath(path).stem.rsplit("-", 2)[0]
