"""Dance with Melody: real ballroom music with the motion capture of the dancers (Tang et al. 2018).

``motion.npz`` holds, for each id, 23 points relative to the body's centre, (T, 23, 3) float16, and
the path of the centre, ``<id>_center``, (T, 3), both in centimetres, y up, 25 frames a second.

The release names no points; what they are follows from their nearly constant distances and from
the way bodies bend. Every SMPL joint is a mix of points, listed in ``JOINT_MIX``, approximately:
points lie on the body and not inside its joints, the spine has the proportions of this project's
skeleton, and a hand continues its forearm.

The height of the centre drifts by decimetres within a minute, so heights are measured from the
lowest point of the feet within about a second. Drift along the floor cannot be told from dancing
and stays, and so do single frames in which a limb jumps (most of them in DANCE_T_5).
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d, percentile_filter

from motionbeat.data_modules.base import DatasetCard, DatasetError, Genre, MotionFile, Split
from motionbeat.data_modules.published.collection import Row
from motionbeat.data_modules.published.danced import Danced
from motionbeat.motion import JOINTS, Motion, MotionError

FPS = 25.0
"""Frames a second of the motion."""

POINTS = 23
"""Number of points on the body."""

JOINT_MIX: dict[str, dict[int, float]] = {
    "pelvis": {7: 0.5, 16: 0.5},
    "l_hip": {16: 1},
    "r_hip": {7: 1},
    "spine1": {7: 0.15, 16: 0.15, 2: 0.7},
    "spine2": {2: 0.75, 3: 0.125, 12: 0.125},
    "spine3": {2: 0.55, 3: 0.225, 12: 0.225},
    "neck": {3: 0.4, 12: 0.4, 0: 0.1, 1: 0.1},
    "head": {0: 0.5, 1: 0.5},
    "l_collar": {12: 0.655, 3: 0.345},
    "r_collar": {3: 0.655, 12: 0.345},
    "l_shoulder": {12: 1},
    "r_shoulder": {3: 1},
    "l_elbow": {13: 1},
    "r_elbow": {4: 1},
    "l_wrist": {15: 1},
    "r_wrist": {6: 1},
    "l_hand": {15: 1.3, 13: -0.3},
    "r_hand": {6: 1.3, 4: -0.3},
    "l_knee": {17: 1},
    "r_knee": {8: 1},
    "l_ankle": {18: 1},
    "r_ankle": {9: 1},
    "l_foot": {20: 1},
    "r_foot": {11: 1},
}
"""Each SMPL joint as a weighted sum of points; the weights of a joint add up to 1."""

_SOLES = [10, 11, 19, 20]  # right heel and toes, left heel and toes
_FLOOR_WINDOW, _FLOOR_SMOOTH = 2.0, 0.5  # s
_DURATION_TOLERANCE = 0.2  # seconds
_STYLES = {"chacha": "cha_cha"}  # to the names that other datasets use


class DanceWithMelody(Danced):
    """30 dances, 33 minutes: waltz, rumba, cha-cha and tango; no two to the same recording.

    Args:
        fold: which fifth of the dances, each style dealt out evenly, is the test split; the next
            one is for validation. None puts all dances into the test split.
        options: of every published dataset.
    """

    card = DatasetCard(
        name="dance_with_melody",
        annotations=(Genre, MotionFile),
        licence="none stated: evaluate only",
        citation=(
            "Tang, Jia, Mao. Dance with Melody: An LSTM-autoencoder Approach to Music-oriented "
            "Dance Synthesis. ACM Multimedia 2018. https://doi.org/10.1145/3240508.3240526"
        ),
        size="30 dances, 33 min, 14 MB",
        how_to_get=(
            "put meta.csv, motion.npz and audio/*.ogg, made from the source, into "
            "MOTIONBEAT_DATA/dance_with_melody/"
        ),
        source="https://github.com/Music-to-dance-motion-synthesis/dataset",
        splits="ours: all dances are tested on; or five folds, each style dealt out evenly",
        when_gone="the DOI of the paper leads to the authors",
    )
    count = 30
    folds = 5

    def __init__(self, *, fold: int | None = None, **options: Any) -> None:
        super().__init__(**options)
        self.fold = fold
        if fold is not None and fold not in range(self.folds):
            raise DatasetError(f"{self.card.name} has no fold {fold}; choose 0 to {self.folds - 1}")

    @property
    def revision(self) -> str:
        """The card's revision, and the fold where there is one."""
        return super().revision + ("" if self.fold is None else f"-fold{self.fold}")

    def prepare_data(self) -> None:
        """Check the dataset, convert what is not yet, and compare lengths of audio and motion."""
        super().prepare_data()
        for row, seconds in zip(self._there, self._durations, strict=True):
            danced = Motion.load(self._conversions / f"{row.id}.npz").duration
            if abs(seconds - danced) > _DURATION_TOLERANCE:
                raise self.error(
                    f"{row.id} has {seconds:.2f} s of audio and {danced:.2f} of motion"
                )

    def rows(self) -> Iterable[Row]:
        """The dances, in the order of the table; the folds deal out each style evenly."""
        table = self.table("meta.csv", ["id", "dance"], dtype=str)
        dances: dict[str, str] = dict(zip(table["id"], table["dance"], strict=True))
        styles = sorted(set(dances.values()))
        for id, style in dances.items():
            split: Split = "test"
            if self.fold is not None:
                alike = sorted(other for other in dances if dances[other] == style)
                place = (alike.index(id) + styles.index(style) - self.fold) % self.folds
                split = "test" if place == 0 else "validation" if place == 1 else "train"
            genre = Genre(_STYLES.get(style, style))
            yield Row(split, id, f"audio/{id}.ogg", id, (genre,), motion="motion.npz")

    @staticmethod
    def read(path: Path, id: str) -> Motion:
        """Points in centimetres, y up, 25 frames a second, as joints above a level floor."""
        points = _points(path, id) / 100
        lowest = points[:, _SOLES, 1].min(axis=1)
        floor = percentile_filter(lowest, 10, size=round(_FLOOR_WINDOW * FPS), mode="nearest")
        points[..., 1] -= gaussian_filter1d(floor, _FLOOR_SMOOTH * FPS, mode="nearest")[:, None]
        return Motion(smpl_joints(points).astype(np.float32), FPS)


def smpl_joints(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """The joints (T, 24, 3) of a body from its points (T, 23, 3)."""
    mix = np.zeros((len(JOINTS), POINTS))
    for joint, name in enumerate(JOINTS):
        for point, weight in JOINT_MIX[name].items():
            mix[joint, point] = weight
    joints: NDArray[np.float64] = mix @ points
    return joints


def _points(source: Path, id: str) -> NDArray[np.float64]:
    """(T, 23, 3) centimetres in the room."""
    try:
        with np.load(source, allow_pickle=False) as arrays:
            body, centre = (arrays[name].astype(np.float64) for name in (id, f"{id}_center"))
        if not (len(body) and np.isfinite(body).all() and np.isfinite(centre).all()):
            raise ValueError
    except Exception as error:  # NumPy's own words advise to unpickle it
        raise MotionError(
            f"{source}: the motion of {id} is unreadable, empty or NaN; restore the file"
        ) from error
    if body.shape[1:] != (POINTS, 3) or centre.shape != (len(body), 3):
        raise MotionError(
            f"{source}: {id} has motion of shape {body.shape} about a centre of {centre.shape}; "
            f"expected (frames, {POINTS}, 3) and (frames, 3)"
        )
    points: NDArray[np.float64] = body + centre[:, None]
    return points
