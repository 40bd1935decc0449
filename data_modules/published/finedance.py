"""FineDance: long dances of many genres with the motion of hands, captured optically."""

import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from motionbeat.data_modules.base import DatasetCard, Genre, MotionFile, Split
from motionbeat.data_modules.motion_formats import rotations_of_6d, smpl_joints
from motionbeat.data_modules.published.collection import Row, hashed_split
from motionbeat.data_modules.published.danced import Danced
from motionbeat.motion import Motion, MotionError

FPS = 30.0
"""Frames a second of the motion."""

IGNORED = frozenset(f"{number:03d}" for number in (*range(116, 124), 130, 202))
"""Dances that the authors' code neither trains on nor tests on."""

TEST = frozenset(
    "012 036 037 063 065 092 098 109 120 130 132 137 143 144 161 179 193 198 204 211".split()  # noqa: SIM905
)
"""The test list of FineDance@Genre, as the authors' code has it; two of it are ignored there."""

_SAME = {"dai": "tai", "wei": "uighur", "miao": "hmong"}  # labels write them either way
_JOINTS = 52  # of SMPL-H: the first 22 are SMPL's, then 15 for each hand
_NUMBERS = 3 + 6 * _JOINTS
_CONTACTS = 4


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
        """An array (T, 315): translation in metres, y up, and 52 rotations of 6 numbers each.

        A rotation is the first two rows of its matrix. The authors' preprocessed arrays,
        (T, 319), have four contacts in front, which are passed over. 30 frames a second.
        """
        try:
            numbers = np.load(path, allow_pickle=False).astype(np.float64)
            if not (numbers.size and np.isfinite(numbers).all()):
                raise ValueError
        except Exception as error:  # a damaged file may fail in any way
            # NumPy's own words advise to unpickle it.
            raise MotionError(f"{path}: unreadable, empty or NaN; restore the file") from error
        if numbers.ndim != 2 or numbers.shape[1] not in (_NUMBERS, _NUMBERS + _CONTACTS):
            raise MotionError(f"{path}: motion has shape {numbers.shape}; restore the file")
        numbers = numbers[:, -_NUMBERS:]
        rotations = rotations_of_6d(numbers[:, 3:].reshape(-1, _JOINTS, 6))
        return Motion(smpl_joints(numbers[:, :3], rotations).astype(np.float32), FPS)
