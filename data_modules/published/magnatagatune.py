"""MagnaTagATune: clips of half a minute with the tags that players of a game agreed on."""

from collections.abc import Iterable
from pathlib import PurePosixPath

from motionbeat.data_modules.base import DatasetCard, Split, Tags
from motionbeat.data_modules.published.collection import Published, Row, names
from motionbeat.data_modules.published.download import Remote, listed

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

_FOLDERS: dict[str, Split] = {
    **dict.fromkeys("0123456789ab", "train"),
    "c": "validation",
    **dict.fromkeys("def", "test"),
}
_TABLE = "annotations_final.csv"
_HOST = "https://mirg.city.ac.uk/datasets/magnatagatune/"


class MagnaTagATune(Published):
    """Tags of real recordings; the group is the song that the name of the clip's file tells.

    Clips without any of the fifty tags stay: nobody heard one of them there.
    """

    card = DatasetCard(
        name="magnatagatune",
        annotations=(Tags,),
        licence="music of the label Magnatune, CC BY-NC-SA; the tags state none",
        citation=(
            "Law, West, Mandel, Bay, Downie. Evaluation of algorithms using games: the case of "
            "music tagging. ISMIR 2009"
        ),
        size="25 860 of 25 863 clips of 29 s from 5 405 songs by 230 artists, 209 h, 3 GB",
        how_to_get="run: motionbeat data get magnatagatune",
        source="https://mirg.city.ac.uk/codeapps/the-magnatagatune-dataset",
        splits=(
            "as usual by folder: 0 to b (18 706 clips), c (1 825) and d to f (5 329) for testing; "
            "no song is in two of them, but 56 artists are"
        ),
        when_gone="the same files were at http://mi.soi.city.ac.uk/datasets/magnatagatune/",
        relatives=("MTT", "MTAT", "Magnatune"),
    )
    count = 25_860
    links = (
        *listed(
            _HOST, f"99b94e95825d4fa576386a5367b9c96e0ec636e9f9c240aceb492f4728f68c3c {_TABLE}"
        ),
        Remote(
            (f"{_HOST}mp3.zip.001", f"{_HOST}mp3.zip.002", f"{_HOST}mp3.zip.003"),
            (  # as JukeMIR knows them; nobody publishes one of the whole
                "sha256:f857fe185968773058cc71662c2ef5d8f2d4b7338e3c122cfd52f82dcb9760b9",
                "sha256:fc2e1ec441755556ed1398b1808f1b08b6034372f8bc27394510c0c58cdb52ce",
                "sha256:83a689824c17e82f6eb81cdbc4e4ca239a4cfc1fb41f1a5c80b861caec90450f",
            ),
            "mp3.zip",
        ),
    )

    def rows(self) -> Iterable[Row]:
        """Every clip that can be heard, in the order of the table."""
        columns = ["clip_id", "mp3_path", *TAGS]
        table = self.table(_TABLE, columns, sep="\t", dtype=str)[columns].fillna("")
        for id, path, *cells in table.itertuples(index=False, name=None):
            if id in UNREADABLE:
                continue
            if not {"0", "1"}.issuperset(cells):
                raise self.error(f"track {id} has a tag neither with 0 nor with 1")
            held = frozenset(tag for tag, cell in zip(TAGS, cells, strict=True) if cell == "1")
            split = self.lookup(id, "folder", path.partition("/")[0], _FOLDERS)
            # Artist, album, number and title of the song, without the seconds it is cut at.
            song = PurePosixPath(path).stem.rsplit("-", 2)[0]
            yield Row(split, id, path, song, (Tags(held),))
