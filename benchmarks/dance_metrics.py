"""How good generated dances are: every metric beside chance and beside real dances.

Motions are files of :func:`motionbeat.data_modules.motion_formats.read_motion`. A motion belongs to
the piece of music whose file name (without its ending) it has, or has among the parts of its name,
as AIST++ has it: ``gBR_sBM_cAll_d04_mBR0_ch01`` belongs to ``mBR0``. Music and motion begin at the
same moment. Beats are estimated by :func:`motionbeat.rhythm.beat_grid`, as for MotionBeat's own
input; published code takes librosa's or its own. Motions are scored whole, not cut into clips; a
dance and a piece of music are aligned from 0 to where the shorter of both ends.

Every metric is worked out at the frame rate its published numbers have; splines bring other motions
to it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table

from motionbeat.console import bar, wide
from motionbeat.data_modules.motion_formats import CENTIMETRE, read_motion
from motionbeat.errors import MotionBeatError
from motionbeat.files import write_atomically
from motionbeat.motion import FASTEST, SLOWEST, Motion, MotionError
from motionbeat.tasks.metrics.dance_alignment import Music, chance_floor
from motionbeat.tasks.metrics.dance_distances import (
    diversity,
    frechet_distance,
    frechet_floor,
    normalise,
)
from motionbeat.tasks.metrics.dance_physics import PFC_FPS
from motionbeat.tasks.metrics.dance_scores import (
    BEAT_SCORES,
    FEATURES,
    FEATURES_FPS,
    PHYSICAL_SCORES,
    Better,
    check_length,
    estimate_beats,
)

MOTIONS = (".npz", ".pkl", ".bvh")
AUDIO = (".wav", ".flac", ".ogg", ".mp3")
PERMUTATIONS = 1000
FEW = 200
"""Clips below which a Fréchet distance is mostly its bias; 72 features have a floor of 9 there."""

WILD = 1e6
"""Fréchet distances beyond this come of features that are the same in all real dances."""


class DanceMetricsError(MotionBeatError):
    """Motions and music that cannot be compared, with the reason."""


@dataclass(frozen=True, eq=False)
class Dance:
    """A motion and its music.

    Attributes:
        name: its file's, without the ending.
        motion: the motion.
        song: name of its music; None when there is no such file.
    """

    name: str
    motion: Motion
    song: str | None


@dataclass(frozen=True)
class Row:
    """A metric of the generated dances, and what to hold it against.

    Attributes:
        metric: its name.
        better: which way is better.
        generated: of the generated dances.
        n: generated dances it is defined for.
        chance: of the same dances with the music of others; for a Fréchet distance the mean of
            so many dances of one distribution.
        chance_low, chance_high: 95 % interval of ``chance``.
        real: of the reference; for a Fréchet distance every other dance of it against the rest.
        real_n: reference dances that is defined for; for a Fréchet distance half of them.
        fps: frames a second at which it is worked out.
        sigma: width of its tolerance in seconds.
        clip: median length of the generated dances in seconds.
    """

    metric: str
    better: Better
    generated: float
    n: int
    real: float
    real_n: int
    fps: float
    clip: float
    chance: float = float("nan")
    chance_low: float = float("nan")
    chance_high: float = float("nan")
    sigma: float = float("nan")


def dance_metrics(
    generated: Path,
    reference: Path,
    music: Path,
    fps: float | None = None,
    permutations: int = PERMUTATIONS,
    output: Path | None = None,
    unit: float = CENTIMETRE,
) -> pd.DataFrame:
    """Score generated dances, print the table, and write it where asked for.

    Music without a beat, silent or shorter than 2 s, gives no beat score: its dances are left out
    of those, and n is smaller.

    Args:
        generated: folder with generated motions.
        reference: folder with real ones.
        music: folder with the music of both.
        fps: frames a second of all motions, whatever their files say; needed where they do not.
        permutations: of the music, for the chance floor.
        output: CSV file.
        unit: metres of one unit of length of BVH files.

    Returns:
        The table, a row for each metric.

    Raises:
        DanceMetricsError: an option is out of its range, a folder is missing or empty, a generated
            motion has no music, or generated and reference motions share no song.
        MotionError: a motion is unreadable, too short or without frame rate, or has NaN.
        AudioError: a piece of music is unreadable.
    """
    if fps is not None and not SLOWEST <= fps <= FASTEST:
        raise DanceMetricsError(
            f"--fps is {fps:g}; give {SLOWEST:g} to {FASTEST:g}, or leave it out"
        )
    if permutations < 1:
        raise DanceMetricsError(f"--permutations is {permutations}; give 1 or more")
    if not 0 < unit < np.inf:
        raise DanceMetricsError(f"--unit is {unit:g}; give the metres of a unit, such as 0.01 or 1")
    songs = {path.stem: path for path in _files(music, AUDIO, "music")}
    made, real = (read_dances(folder, songs, fps, unit) for folder in (generated, reference))
    for one in made:
        if one.song is None:
            raise DanceMetricsError(
                f"{one.name}: {music} has no music of that name; name motions after their music, "
                "as in mBR0 or gBR_sBM_cAll_d04_mBR0_ch01"
            )
    if not {one.song for one in made} & {one.song for one in real}:
        raise DanceMetricsError(
            f"{generated} and {reference} share no song; compare dances to the same music"
        )
    danced = sorted({one.song for one in [*made, *real] if one.song})
    with bar("songs") as progress:
        known = {
            song: estimate_beats(songs[song])
            for song in progress.track(danced, description="estimating beats")
        }
    rows = [*_beat_rows(made, real, known, permutations), *_set_rows(made, real)]
    rows += _physical_rows(made, real)
    table = pd.DataFrame([asdict(row) for row in rows])
    _print(rows, made, real)
    if output:
        write_atomically(output, table.to_csv(index=False, float_format="%.6g").encode())
    return table


def read_dances(
    folder: Path, songs: Mapping[str, Path], fps: float | None, unit: float = CENTIMETRE
) -> list[Dance]:
    """The motions of a folder in the order of their names, each with its song.

    Raises:
        DanceMetricsError: the folder is missing or holds no motion.
        MotionError: a motion is unreadable, too short or without frame rate, or has NaN.
    """
    return [
        Dance(path.stem, _read(path, fps, unit), _song(path.stem, songs))
        for path in _files(folder, MOTIONS, "motion")
    ]


def _files(folder: Path, endings: Sequence[str], what: str) -> list[Path]:
    if not folder.is_dir():
        raise DanceMetricsError(f"{folder}: no such folder; give the folder with the {what}")
    found = sorted(path for path in folder.iterdir() if path.suffix.lower() in endings)
    if not found:
        raise DanceMetricsError(f"{folder} holds no {what}; put {', '.join(endings)} files there")
    return found


def _song(name: str, songs: Mapping[str, Path]) -> str | None:
    """The song a motion belongs to by its name."""
    return next((part for part in (name, *name.split("_")) if part in songs), None)


def _read(path: Path, fps: float | None, unit: float) -> Motion:
    """A motion that is long enough for every metric."""
    motion = read_motion(path, unit, fps)
    try:
        check_length(motion)
    except MotionError as error:
        raise MotionError(f"{path}: {error}") from error
    return motion


def _beat_rows(
    made: Sequence[Dance], real: Sequence[Dance], known: Mapping[str, Music], permutations: int
) -> list[Row]:
    songs = sorted({one.song for one in made if one.song})
    own = [songs.index(one.song) for one in made if one.song]
    theirs = [(one.motion, known[one.song]) for one in real if one.song]
    rows = []
    for name, score in BEAT_SCORES.items():
        pairs = score.pairs([one.motion for one in made], [known[song] for song in songs], own)
        of_real = [score.pairs([motion], [music], [0]).whole.item() for motion, music in theirs]
        floor = chance_floor(pairs.other, own, permutations)
        row = _row(name, score.better, pairs.whole.tolist(), of_real, score.fps, made)
        row = replace(row, chance=floor.mean, chance_low=floor.low, chance_high=floor.high)
        rows.append(replace(row, sigma=score.sigma))
    return rows


def _set_rows(made: Sequence[Dance], real: Sequence[Dance]) -> list[Row]:
    """Fréchet distances and diversities of the features."""
    rows = []
    for name, features in FEATURES.items():
        ours, theirs = (
            np.stack([features(one.motion.at(FEATURES_FPS)) for one in each])
            for each in (made, real)
        )
        ours, theirs = normalise(ours, theirs), normalise(theirs, theirs)
        n, m, width = len(ours), len(theirs), theirs.shape[1]
        enough = min(n, m) > 1
        distance = Row(
            f"FID_{name}",
            "lower",
            frechet_distance(ours, theirs) if enough else float("nan"),
            n,
            frechet_distance(theirs[::2], theirs[1::2]) if m > 3 else float("nan"),
            len(theirs[::2]),
            FEATURES_FPS,
            _length(made),
            chance=frechet_floor(n, m, width) if enough else float("nan"),
        )
        spread = Row(
            f"Div_{name}",
            "as real",
            diversity(ours),
            n,
            diversity(theirs),
            m,
            FEATURES_FPS,
            _length(made),
        )
        rows += [distance, spread]
    return rows


def _physical_rows(made: Sequence[Dance], real: Sequence[Dance]) -> list[Row]:
    fps = PFC_FPS
    return [
        _row(
            name,
            better,
            [score(one.motion.at(fps)) for one in made],
            [score(one.motion.at(fps)) for one in real],
            fps,
            made,
        )
        for name, (better, score) in PHYSICAL_SCORES.items()
    ]


def _row(
    metric: str,
    better: Better,
    ours: Sequence[float],
    theirs: Sequence[float],
    fps: float,
    made: Sequence[Dance],
) -> Row:
    """Means over the dances a metric is defined for."""
    (mean, n), (real, real_n) = _defined(ours), _defined(theirs)
    return Row(metric, better, mean, n, real, real_n, fps, _length(made))


def _defined(values: Sequence[float]) -> tuple[float, int]:
    found = [value for value in values if np.isfinite(value)]
    return (float(np.mean(found)) if found else float("nan")), len(found)


def _length(made: Sequence[Dance]) -> float:
    return float(np.median([one.motion.duration for one in made]))


def _print(rows: Sequence[Row], made: Sequence[Dance], real: Sequence[Dance]) -> None:
    songs, few = len({one.song for one in made}), min(len(made), len(real))
    caption = (
        "Dances are scored whole, not cut into clips; length: their median. Beats of the music are "
        "estimated by this project's beat_grid; published code takes librosa's or its own. "
        "chance: the same dances to other songs, each pair from 0 to where the shorter of both "
        "ends, 95 % interval over permutations; of FID: what so "
        "many dances of one distribution have. real: the reference scored the same way; of FID: "
        "every other dance of it against the rest, so that real n is half of the reference."
    )
    if few < FEW:
        caption += (
            f" With {few} dances a FID is mostly its bias by the small number: compare it with its "
            "chance and with sets of the same size only."
        )
    if any(row.metric == "FID_g" and row.generated > WILD for row in rows):
        caption += (
            " FID_g is so large because features do not vary among the real dances and published "
            "code divides by their deviation plus 1e-10: add real dances."
        )
    if songs < 2:
        caption += " One song alone: no chance floor."
    grid = Table(
        title=f"{len(made)} generated dances to {songs} songs, {len(real)} real ones",
        caption=caption,
        caption_justify="left",
    )
    heads = ("metric", "better", "generated", "n", "chance [95 %]", "real", "real n", "fps")
    for head in (*heads, "sigma s", "length s"):
        justify: Literal["left", "right"] = "left" if head in heads[:2] else "right"
        grid.add_column(head, justify=justify, overflow="fold")
    for row in rows:
        interval = f" [{row.chance_low:.3f}, {row.chance_high:.3f}]"
        grid.add_row(
            row.metric,
            row.better,
            _number(row.generated),
            str(row.n),
            _number(row.chance) + ("" if np.isnan(row.chance_low) else interval),
            _number(row.real),
            str(row.real_n),
            f"{row.fps:g}",
            _number(row.sigma),
            f"{row.clip:.1f}",
        )
    wide(Console()).print(grid)


def _number(value: float) -> str:
    return "-" if np.isnan(value) else f"{value:.4g}"
