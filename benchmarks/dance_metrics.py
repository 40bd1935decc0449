"""Scores of generated dances, beside chance and beside real dances.

Motions are read by :func:`motionbeat.data_modules.motion_formats.read_raw_motion`. A motion belongs
to the piece of music whose file name (without suffix) equals its own or a part of it, as in AIST++:
``gBR_sBM_cAll_d04_mBR0_ch01`` belongs to ``mBR0``. Music and motion start at the same time. Beats
are estimated by :func:`motionbeat.rhythm.beat_grid`; published code uses librosa's beats or its
own. Motions are scored whole and not cut into clips. A dance and a piece of music are compared from
0 s to the end of the shorter of the two.

Every metric is computed at the frame rate of its published numbers; motions at other frame rates
are resampled with splines.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table

from motionbeat.benchmarks.report.dance_viewer import (
    Shown,
    own_scores,
    sound,
    viewer_data,
    write_dance_page,
)
from motionbeat.console import bar, say, wide
from motionbeat.data_modules.base import Beats
from motionbeat.data_modules.body_frame import BodyFrame, Up, find_body_frame
from motionbeat.data_modules.motion_formats import MOTIONS, read_raw_motion
from motionbeat.errors import MotionBeatError
from motionbeat.files import write_atomically
from motionbeat.motion import FASTEST, SLOWEST, Motion, MotionError
from motionbeat.tasks.metrics.dance_alignment import Music, chance_floor, sensitivity
from motionbeat.tasks.metrics.dance_distances import (
    distance_between_halves,
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
    check_length,
    estimate_beats,
)

AUDIO = (".wav", ".flac", ".ogg", ".opus", ".mp3", ".m4a")
FEW = 200
"""Below this number of clips a Fréchet distance is mostly bias: about 9 for 72 features."""

WILD = 1e6
"""Fréchet distances above this come from features that do not vary among the real dances."""

_SONGS, _DANCES = 12, 4  # on a page: songs, and dances of either kind to each

NAN = float("nan")
Row = dict[str, Any]
"""A row of the table: a metric of the generated dances, and the values to compare it with."""

HEADINGS = {"chance": "chance [95 %]", "real_n": "real n", "sigma": "sigma s", "clip": "length s"}
CAPTION = (
    "Dances are scored whole, not cut into clips; length is their median. Beats of the music are "
    "estimated by madmom; published code uses librosa's or its own. chance: the same dances to "
    "other songs, each pair from 0 s to the end of the shortest of the dance and both songs, with "
    "a 95 % interval over permutations; for FID, the distance that as many dances of one "
    "distribution have. real: the reference scored in the same way; for FID, random halves of it "
    "against each other, so real n is half of the reference."
)


class DanceMetricsError(MotionBeatError):
    """Motions and music that cannot be compared; the message says why."""


@dataclass(frozen=True, eq=False)
class Dance:
    """A motion, the name of its file, and the name of its music; None without music."""

    name: str
    motion: Motion
    song: str | None


def dance_metrics(
    generated: Path = Path("generated"),
    reference: Path = Path("reference"),
    music: Path = Path("music"),
    fps: float | None = None,
    up: Up | None = None,
    unit: float | None = None,
    reference_fps: float | None = None,
    reference_up: Up | None = None,
    reference_unit: float | None = None,
    permutations: int = 1000,
    output: Path | None = None,
    html: Path | None = None,
) -> None:
    """Score generated dances beside chance and beside real dances.

    The up axis and the unit of length are inferred from the body, and every motion is converted to
    metres, y up. A motion is rejected if they cannot be determined. Music without a beat, silent
    music, music shorter than 2 s, and dances without music have no beat score, so n is smaller.

    Args:
        generated: folder with generated motions (.npz, .npy, .pkl, .bvh) named after their music.
        reference: folder with real motions.
        music: folder with the music of both (.wav, .flac, .ogg, .opus, .mp3, .m4a).
        fps: frames per second of the generated motions; overrides their files, and is needed if
            the files have no frame rate.
        up: up axis of the generated motions (x, y, z, -x, -y, -z).
        unit: length of their unit in metres, for example 0.01 for centimetres.
        reference_fps: frames per second of the real motions.
        reference_up: up axis of the real motions.
        reference_unit: length of their unit in metres.
        permutations: number of permutations of the music, for chance.
        output: CSV file to write the table to.
        html: HTML file to write, which shows the dances beside real ones, with their music.

    Raises:
        DanceMetricsError: an option is out of its range, or a folder is missing or empty.
        MotionError: a motion is unreadable, too short or without frame rate, has NaN, or is not
            that of an upright person.
        AudioError: a piece of music is unreadable.
    """
    for name, rate, metres in (("", fps, unit), ("reference_", reference_fps, reference_unit)):
        if rate is not None and not SLOWEST <= rate <= FASTEST:
            raise DanceMetricsError(
                f"--{name}fps is {rate:g}; give {SLOWEST:g} to {FASTEST:g}, or leave it out"
            )
        if metres is not None and not 0 < metres < np.inf:
            raise DanceMetricsError(
                f"--{name}unit is {metres:g}; give the metres of a unit, such as 0.01 or 1"
            )
    if permutations < 1:
        raise DanceMetricsError(f"--permutations is {permutations}; give 1 or more")
    songs = {path.stem: path for path in _files(music, AUDIO, "music")}
    made = read_dances(generated, songs, fps, up, unit)
    real = read_dances(reference, songs, reference_fps, reference_up, reference_unit)
    if alone := [one.name for one in made if one.song is None]:
        say(
            f"{len(alone)} of {len(made)} motions, such as {alone[0]}, are named after no music in "
            f"{music} and have no beat scores; name them as in mBR0 or gBR_sBM_cAll_d04_mBR0_ch01"
        )
    if not {one.song for one in made} & {one.song for one in real} - {None}:
        say(f"{generated} and {reference} share no song; distances compare dances to other music")
    table = score(made, real, songs, permutations)
    _print(table, made, real)
    if output:
        write_atomically(output, table.to_csv(index=False, float_format="%.6g").encode())
    if html:
        show(table, made, real, songs, html)


def read_dances(
    folder: Path,
    songs: Mapping[str, Path],
    fps: float | None = None,
    up: Up | None = None,
    unit: float | None = None,
) -> list[Dance]:
    """The motions of a folder in the order of their names, each with its song, y up in metres.

    Raises:
        DanceMetricsError: the folder is missing or holds no motion.
        MotionError: a motion is unreadable, too short or without frame rate, has NaN, or is no
            upright person's.
    """
    raw = {path: read_raw_motion(path, fps) for path in _files(folder, MOTIONS, "motion")}
    frames = _frames(raw, up, unit)
    for said in sorted({str(frame) for frame in frames.values() if frame != BodyFrame()}):
        say(f"{folder}: {said}; turned to y up, in metres")
    dances = []
    for path, motion in raw.items():
        upright = replace(motion, positions=frames[path].to_metres(motion.positions))
        try:
            check_length(upright)
        except MotionError as error:
            raise MotionError(f"{path}: {error}") from error
        dances.append(Dance(path.stem, upright, _song(path.stem, songs)))
    return dances


def _frames(
    motions: Mapping[Path, Motion], up: Up | None, unit: float | None
) -> dict[Path, BodyFrame]:
    """The frame of each motion; where a dancer lies on the floor, up is that of all the others."""
    found: dict[Path, BodyFrame] = {}
    faults: dict[Path, MotionError] = {}
    for path, motion in motions.items():
        try:
            found[path] = find_body_frame(motion.positions, up, unit)
        except MotionError as error:
            faults[path] = error
    ups = {frame.up for frame in found.values()}
    for path, fault in faults.items():
        try:
            if len(ups) != 1:
                raise fault
            found[path] = find_body_frame(motions[path].positions, ups.copy().pop(), unit)
        except MotionError as error:
            raise MotionError(f"{path}: {error}") from error
    return found


def _song(name: str, songs: Mapping[str, Path]) -> str | None:
    """The longest name of a song among the parts of a motion's name."""
    found = [song for song in songs if f"_{song}_" in f"_{name}_"]
    return max(found, key=len, default=None)


def _files(folder: Path, endings: Sequence[str], what: str) -> list[Path]:
    if not folder.is_dir():
        raise DanceMetricsError(f"{folder}: no such folder; give the folder with the {what}")
    found = sorted(path for path in folder.iterdir() if path.suffix.lower() in endings)
    if not found:
        raise DanceMetricsError(f"{folder} holds no {what}; put {', '.join(endings)} files there")
    return found


def score(
    made: Sequence[Dance], real: Sequence[Dance], songs: Mapping[str, Path], permutations: int
) -> pd.DataFrame:
    """A row for each metric.

    ``n`` and ``real_n`` count the dances it is defined for, ``chance`` stands with its interval
    (of a Fréchet distance: the mean of so many dances of one distribution), ``fps`` is the frame
    rate at which it is worked out, ``sigma`` the width of its tolerance in seconds, and ``clip``
    the median length of the generated dances in seconds.
    """
    danced = sorted({one.song for one in [*made, *real] if one.song})
    with bar("songs") as progress:
        known = {
            song: estimate_beats(songs[song])
            for song in progress.track(danced, description="estimating beats")
        }
    rows = [*_beat_rows(made, real, known, permutations), *_feature_rows(made, real)]
    for name, (better, of) in PHYSICAL_SCORES.items():
        ours, theirs = ([of(one.motion.at(PFC_FPS)) for one in each] for each in (made, real))
        rows.append({"metric": name, "better": better, "fps": PFC_FPS} | _means(ours, theirs))
    columns = "metric better generated n real real_n fps clip chance chance_low chance_high sigma"
    table = pd.DataFrame(rows, columns=columns.split())
    return table.assign(clip=float(np.median([one.motion.duration for one in made])))


def _means(ours: Sequence[float], theirs: Sequence[float]) -> Row:
    """Means over the dances a metric is defined for, and their number."""
    row: Row = {}
    for name, n, values in (("generated", "n", ours), ("real", "real_n", theirs)):
        found = [value for value in values if np.isfinite(value)]
        row |= {name: float(np.mean(found)) if found else NAN, n: len(found)}
    return row


def _beat_rows(
    made: Sequence[Dance], real: Sequence[Dance], known: Mapping[str, Music], permutations: int
) -> list[Row]:
    songs = sorted({one.song for one in made if one.song})
    if not songs:
        return []
    own = [songs.index(one.song) for one in made if one.song]
    dances = [one.motion for one in made if one.song]
    theirs = [(one.motion, known[one.song]) for one in real if one.song]
    rows = []
    for name, of in BEAT_SCORES.items():
        pairs = of.pairs(dances, [known[song] for song in songs], own)
        of_real = [of.pairs([motion], [music], [0]).whole.item() for motion, music in theirs]
        floor = chance_floor(pairs.other, own, permutations)
        row = {"metric": name, "better": of.better, "fps": of.fps, "sigma": of.sigma}
        row |= {"chance": floor.mean, "chance_low": floor.low, "chance_high": floor.high}
        rows.append(row | _means(pairs.whole.tolist(), of_real))
    return rows


def _feature_rows(made: Sequence[Dance], real: Sequence[Dance]) -> list[Row]:
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
        distance: Row = {
            "generated": frechet_distance(ours, theirs) if enough else NAN,
            "real": distance_between_halves(theirs, np.arange(m)),
            "real_n": m // 2,
            "chance": frechet_floor(n, m, width) if enough else NAN,
        }
        spread: Row = {"generated": diversity(ours), "real": diversity(theirs), "real_n": m}
        both: Row = {"n": n, "fps": FEATURES_FPS}
        rows += [
            {"metric": f"FID_{name}", "better": "lower"} | both | distance,
            {"metric": f"Div_{name}", "better": "as real"} | both | spread,
        ]
    return rows


def _print(table: pd.DataFrame, made: Sequence[Dance], real: Sequence[Dance]) -> None:
    songs, few = len({one.song for one in made if one.song}), min(len(made), len(real))
    caption = CAPTION
    if few < FEW:
        caption += (
            f" With {few} dances a FID is mostly its bias by the small number: compare it with its "
            "chance and with sets of the same size only."
        )
    if (table["generated"][table["metric"] == "FID_g"] > WILD).any():
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
    names = ["metric", "better", "generated", "n", "chance", "real", "real_n", "fps", "sigma"]
    shown = table[[*names, "clip"]].map(lambda one: one if isinstance(one, str) else _number(one))
    intervals = [
        "" if np.isnan(low) else f" [{low:.3f}, {high:.3f}]"
        for low, high in zip(table["chance_low"], table["chance_high"], strict=True)
    ]
    shown["chance"] += intervals
    for name in map(str, shown):
        text = name in ("metric", "better")
        heading = HEADINGS.get(name, name)
        grid.add_column(heading, justify="left" if text else "right", overflow="fold")
    for row in shown.itertuples(index=False):
        grid.add_row(*row)
    wide(Console()).print(grid)


def show(
    table: pd.DataFrame,
    made: Sequence[Dance],
    real: Sequence[Dance],
    songs: Mapping[str, Path],
    path: Path,
) -> None:
    """Write a page with the generated dances to each song beside real ones, and the table.

    Raises:
        AudioError: a piece of music is unreadable.
        WriteError: the page cannot be written.
    """
    danced = sorted({one.song for one in made if one.song})
    if not danced:
        raise DanceMetricsError(
            f"{path}: no dance has music to be shown with; name motions after their music"
        )
    if len(danced) > _SONGS:
        say(f"{path}: shows the first {_SONGS} of {len(danced)} songs")
    by_song = {
        song: [[one for one in each if one.song == song][:_DANCES] for each in (made, real)]
        for song in danced[:_SONGS]
    }
    with bar("songs") as progress:
        known = {
            song: estimate_beats(songs[song])
            for song in progress.track(by_song, description="estimating beats")
        }
    own = _sensitivities([one for ours, _ in by_song.values() for one in ours], known)
    pages = []
    for song, music in known.items():
        ours, theirs = by_song[song]
        shown = [
            Shown(one.name, one.motion, own_scores(one.motion, music) | own.get(one, {}))
            for one in ours
        ]
        shown += [
            Shown(one.name, one.motion, own_scores(one.motion, music), "(reference)")
            for one in theirs
        ]
        data = viewer_data(shown, Beats(music.beats), music.duration)
        pages.append(data | sound(songs[song]) | {"title": song})
    facts = table[["metric", "better", "generated", "n", "chance", "real", "real_n"]]
    write_dance_page(path, "Generated dances", pages, [list(facts), *facts.to_numpy().tolist()])
    say(f"{path}: {len(pages)} songs, opens in any browser")


def _sensitivities(
    dances: Sequence[Dance], known: Mapping[str, Music]
) -> dict[Dance, dict[str, float]]:
    """BAS of each dance with its own music less that with the music of the others."""
    songs = [str(one.song) for one in dances]
    if len(set(songs)) < 2:
        return {}
    pairs = BEAT_SCORES["BAS fact"].pairs(
        [one.motion for one in dances], [known[song] for song in songs], range(len(dances))
    )
    values, _ = sensitivity(pairs, songs)
    return {one: {"own - others": value} for one, value in zip(dances, values, strict=True)}


def _number(value: float) -> str:
    return "-" if np.isnan(value) else f"{value:.4g}"
