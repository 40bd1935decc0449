"""Dance with Melody: real ballroom music with the motion capture of the dancers (Tang et al. 2018).

The folder holds ``audio/<id>.ogg``, cut to the motion; ``motion.npz`` with, for each id, 23 points
relative to the body's centre, (T, 23, 3) float16, and the path of the centre, ``<id>_center``,
(T, 3), both in centimetres, y up, 25 frames a second; and ``meta.csv``.

The release names no points. What they are follows from their distances, which hardly change, and
from the way bodies bend: knees and toes point to one side, the waltz has the left arm out and the
right hand in front, and the head turned to the left. Every SMPL joint is a mix of points, listed in
``JOINT_MIX``. These are approximations:

* the points lie on the body, not inside its joints: the hips above the hip joints, the ankles on
  the shank above the ankle joints;
* spine, neck and collars lie between the hips, the one point of the waist and the shoulders, in the
  proportions of this project's own skeleton;
* the pelvis is the middle of the hips, the head the middle of its two points;
* a hand continues its forearm, as if no wrist ever bent.

The height of the centre drifts by decimetres within a minute, as in capture by inertial sensors,
and so would the floor; heights are therefore measured from the lowest point of the feet within
about a second. Drift along the floor cannot be told from dancing and stays, and so do single
frames in which a limb jumps (most of them in DANCE_T_5).
"""

import csv
import io
import zipfile
from functools import partial
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d, percentile_filter

from motionbeat.data_modules.base import (
    SPLITS,
    DataModule,
    DatasetCard,
    DatasetError,
    Genre,
    MotionFile,
    Split,
    Track,
)
from motionbeat.data_modules.synthesis import library
from motionbeat.files import write_atomically
from motionbeat.motion import JOINTS, Motion

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


class DanceWithMelody(DataModule):
    """30 dances, 33 minutes: waltz, rumba, cha-cha and tango.

    The audio is used in place; the converted motion is written to the cache once. No two of the
    recordings are the same, so each is a group of its own.

    Args:
        cache: folder below which converted motions are kept.
        data: folder with the dataset.
        fold: which fifth of the dances, each style dealt out evenly, is the test split; the next
            one is for validation. None puts all dances into the test split.

    Raises:
        DatasetError: there is no such fold.
    """

    folds = 5

    card = DatasetCard(
        name="dance_with_melody",
        revision="1",
        annotations=(Genre, MotionFile),
        licence="none stated: evaluate only",
        citation="Tang, Jia & Mao (2018). Dance with Melody: An LSTM-autoencoder Approach to "
        "Music-oriented Dance Synthesis. ACM Multimedia. https://doi.org/10.1145/3240508.3240526",
        size="30 dances, 33 min, 14 MB",
        how_to_get=(
            "set MOTIONBEAT_DATA to a folder with dance_with_melody/ holding meta.csv, motion.npz "
            "and audio/*.ogg, made from https://github.com/Music-to-dance-motion-synthesis/dataset"
        ),
    )

    def __init__(self, cache: Path, data: Path | None = None, *, fold: int | None = None) -> None:
        super().__init__(cache, data)
        self.fold = fold
        if fold is not None and not 0 <= fold < self.folds:
            raise DatasetError(f"{self.card.name} has no fold {fold}; choose 0 to {self.folds - 1}")

    @property
    def revision(self) -> str:
        """The card's revision, and the fold where there is one."""
        return self.card.revision + ("" if self.fold is None else f"-fold{self.fold}")

    def prepare_data(self) -> None:
        """Convert the motions that are missing or damaged; verify the others by their checksums.

        Raises:
            DatasetError: files are missing or contradict each other, or the cache is not writable.
        """
        source = self._source / "motion.npz"
        recipes = {id: partial(_convert, id, source) for id in self._styles()}
        library.build(self._folder, recipes, self.card.name)
        for split in SPLITS:
            self.tracks(split)

    def tracks(self, split: Split) -> list[Track]:
        """The dances of a split; of the test split all, where no fold is named.

        Raises:
            DatasetError: files are missing or of different lengths, or nothing is converted yet.
        """
        styles = {id: style for id, style in self._styles().items() if self._split(id) == split}
        pieces = library.read(self._folder)
        if missing := [id for id in styles if id not in pieces]:
            raise DatasetError(
                f"{self._folder}: {len(missing)} motions are missing; call prepare_data again"
            )
        tracks = []
        for id, style in styles.items():
            audio = self._source / "audio" / f"{id}.ogg"
            seconds, danced = _seconds(id, audio), pieces[id].labels["seconds"]
            if abs(seconds - danced) > _DURATION_TOLERANCE:
                raise _error(f"{id} has {seconds:.2f} s of audio and {danced:.2f} s of motion")
            motion = MotionFile(self._folder / pieces[id].files[0])
            tracks.append(Track(id, audio, seconds, id, (Genre(style), motion)))
        return tracks

    def _split(self, id: str) -> Split:
        if self.fold is None:
            return "test"
        styles = self._styles()
        alike = sorted(other for other, style in styles.items() if style == styles[id])
        starts = {style: n for n, style in enumerate(sorted(set(styles.values())))}
        place = (alike.index(id) + starts[styles[id]] - self.fold) % self.folds
        return "test" if place == 0 else "validation" if place == 1 else "train"

    @property
    def _source(self) -> Path:
        if self.data is None or not (self.data / self.card.name).is_dir():
            raise _error("no such folder")
        return self.data / self.card.name

    @property
    def _folder(self) -> Path:
        return self.cache / self.card.name / self.card.revision

    def _styles(self) -> dict[str, str]:
        """Dance style of every track by its id."""
        path = self._source / "meta.csv"
        try:
            with path.open(newline="", encoding="utf-8") as file:
                rows = {row["id"]: row["dance"] for row in csv.DictReader(file)}
        except (OSError, KeyError, UnicodeDecodeError) as error:
            raise _error(f"{path} is missing or has no columns id and dance") from error
        if not rows:
            raise _error(f"{path} lists no dances")
        return {id: _STYLES.get(dance, dance) for id, dance in rows.items()}


def smpl_joints(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """The joints of a body from its points.

    Args:
        points: (T, 23, 3), any unit.

    Returns:
        (T, 24, 3) in the same unit and frame, in the order of ``JOINTS``.
    """
    mix = np.zeros((len(JOINTS), POINTS))
    for joint, name in enumerate(JOINTS):
        for point, weight in JOINT_MIX[name].items():
            mix[joint, point] = weight
    joints: NDArray[np.float64] = mix @ points
    return joints


def _seconds(id: str, audio: Path) -> float:
    try:
        info = soundfile.info(audio)
    except (OSError, soundfile.LibsndfileError) as error:
        raise _error(f"{id} has no readable audio at {audio}") from error
    return float(info.frames / info.samplerate)


def _error(reason: str) -> DatasetError:
    card = DanceWithMelody.card
    return DatasetError(f"{card.name}: {reason}; {card.how_to_get}")


def _convert(id: str, source: Path, folder: Path) -> library.Piece:
    """Write one dance as a :class:`Motion`."""
    points = _points(id, source) / 100
    lowest = points[:, _SOLES, 1].min(axis=1)
    floor = percentile_filter(lowest, 10, size=round(_FLOOR_WINDOW * FPS), mode="nearest")
    points[..., 1] -= gaussian_filter1d(floor, _FLOOR_SMOOTH * FPS, mode="nearest")[:, None]
    motion = Motion(smpl_joints(points).astype(np.float32), FPS)
    buffer = io.BytesIO()
    np.savez(buffer, **motion.arrays())  # type: ignore[arg-type]
    write_atomically(folder / f"{id}.npz", buffer.getvalue())
    return library.Piece((f"{id}.npz",), {"seconds": motion.duration})


def _points(id: str, source: Path) -> NDArray[np.float64]:
    """(T, 23, 3) centimetres in the room."""
    try:
        with np.load(source, allow_pickle=False) as arrays:
            body, centre = (arrays[name].astype(np.float64) for name in (id, f"{id}_center"))
    except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise _error(f"{id} has no readable motion in {source}") from error
    if body.ndim != 3 or body.shape[1:] != (POINTS, 3) or not len(body):
        raise _error(f"{id} has motion of shape {body.shape}, expected (frames, {POINTS}, 3)")
    if centre.shape != (len(body), 3):
        raise _error(f"{id} has a centre of shape {centre.shape}, expected {(len(body), 3)}")
    if not (np.isfinite(body).all() and np.isfinite(centre).all()):
        raise _error(f"{id} has NaN or infinite poses")
    points: NDArray[np.float64] = body + centre[:, None]
    return points
