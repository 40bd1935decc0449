"""FineDance: long dances of many genres with the motion of hands, captured optically."""

import json
from collections.abc import Iterable
from pathlib import Path

from motionbeat.data_modules.base import DatasetCard, Genre, MotionFile, Split
from motionbeat.data_modules.motion_formats import read_npy
from motionbeat.data_modules.published.collection import Row, hashed_split
from motionbeat.data_modules.published.danced import Danced
from motionbeat.motion import Motion

IGNORED = frozenset(f"{number:03d}" for number in (*range(116, 124), 130, 202))
"""Dances that the authors' code neither trains on nor tests on."""

TEST = frozenset(
    "012 036 037 063 065 092 098 109 120 130 132 137 143 144 161 179 193 198 204 211".split()  # noqa: SIM905
)
"""The test list of FineDance@Genre, as the authors' code has it; two of it are ignored there."""

_SAME = {"dai": "tai", "wei": "uighur", "miao": "hmong"}  # labels write them either way


class FineDance(Danced):
    """201 dances with their music, used in place; a dance and its song are in one split only."""

    card = DatasetCard(
        name="finedance",
        annotations=(Genre, MotionFile),
        licence="non-commercial research only, no redistribution (the authors' own licence)",
        citation=(
            "Li et al. FineDance: A Fine-grained Choreography Dataset for 3D Full Body Dance "
            "Generation. ICCV 2023. https://arxiv.org/abs/2212.03741"
        ),
        size="201 dances of the 211 published, 7.7 h",
        how_to_get=(
            "put the folders motion, music_wav and label_json of the source into "
            "MOTIONBEAT_DATA/finedance/"
        ),
        source="https://github.com/li-ronghui/FineDance",
        splits=(
            "FineDance@Genre as the authors' code has it, 18 dances to test on; 15 % of the "
            "others, by a hash of the id, are validated on"
        ),
        when_gone="the paper, arXiv 2212.03741, leads to the authors",
    )
    count = 201

    def rows(self) -> Iterable[Row]:
        """The dances by their numbers."""
        for path in sorted((self.folder / "label_json").glob("*.json")):
            if (id := path.stem) in IGNORED:
                continue
            with self.reading(path):
                style = json.loads(path.read_text(encoding="utf-8"))["style2"].strip().lower()
            split: Split = "test" if id in TEST else hashed_split(id, test=0)
            genre, motion = Genre(_SAME.get(style, style)), f"motion/{id}.npy"
            yield Row(split, id, f"music_wav/{id}.wav", id, (genre,), motion=motion)

    @staticmethod
    def read(path: Path, id: str) -> Motion:
        """An array of translations and rotations of 52 joints."""
        return read_npy(path)
