"""Motorica Dance Dataset: street and jazz dances captured optically at 120 frames a second."""

import re
from collections.abc import Iterable
from pathlib import Path

from motionbeat.data_modules.base import DatasetCard, Genre, MotionFile, Split
from motionbeat.data_modules.motion_formats import CENTIMETRE, read_bvh
from motionbeat.data_modules.published.collection import Row, hashed_split
from motionbeat.data_modules.published.danced import Danced
from motionbeat.motion import Motion

GENRES = {
    "LH": "hip_hop",
    "KR": "krump",
    "PO": "pop",
    "LO": "lock",
    "JZ": "jazz",
    "CH": "charleston",
    "TP": "tap",
}
"""Dance styles by the code in a name. Casual dances, CA, are published without their music."""

_NAME = re.compile(
    r"kth[a-z]+_g([A-Z]{2})_sFM_(?:sngl|cAll)_d\d+(?:_m[A-Z]{2}(\d*)_ch\d+)?"
    r"(?:_(\d*[a-z][a-z\d]*))?(?:_\d+)?"
)


class Motorica(Danced):
    """99 dances of seven styles with their music, used in place; no song is in two splits.

    A song is known by its title or number in the name. The 17 takes of vintage jazz, whose names
    say no song, are one group.
    """

    card = DatasetCard(
        name="motorica",
        annotations=(Genre, MotionFile),
        licence="research only, no commercial use, no redistribution; music: its owners' rights",
        citation=(
            "Alexanderson et al. Listen, Denoise, Action! Audio-Driven Motion Synthesis with "
            "Diffusion Models. 2023. https://doi.org/10.1145/3592458"
        ),
        size="99 dances with music of 121, about 4.6 h",
        how_to_get=(
            "put the folders bvh and wav of the source into MOTIONBEAT_DATA/motorica/, and the "
            "music that its script pytube_dl.py names into wav; a dance and its music have one name"
        ),
        source="https://github.com/simonalexanderson/MotoricaDanceDataset",
        splits=(
            "ours, as the paper's test clips share songs with its training clips: by song, hashed; "
            "takes whose song is not said are trained on"
        ),
        when_gone="ask the authors at simonal@kth.se",
    )
    count = 99

    def rows(self) -> Iterable[Row]:
        """The dances by their names, without the casual ones."""
        for path in sorted((self.folder / "bvh").glob("*.bvh")):
            if (parts := _NAME.fullmatch(path.stem)) is None:
                raise self.error(f"{path} is named as no dance is")
            if parts[1] == "CA":
                continue
            genre = self.lookup(path.stem, "style", parts[1], GENRES)
            style, number, title = parts.groups()
            numbered = f"{style}{number}" if number else None
            split: Split = "train"
            song = "vintage jazz"
            if known := title or numbered:
                song = f"song {known}"
                split = hashed_split(song)
            audio, motion = f"wav/{path.stem}.wav", f"bvh/{path.name}"
            yield Row(split, path.stem, audio, song, (Genre(genre),), motion=motion)

    @staticmethod
    def read(path: Path, id: str) -> Motion:
        """Centimetres, y up, 120 frames a second."""
        return read_bvh(path, CENTIMETRE)
