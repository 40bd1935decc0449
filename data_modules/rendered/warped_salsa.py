"""warped_salsa: captured salsa, warped in time to the beats of other music, as an ablation.

The pairs are made of unpaired data: music of :class:`DancedMusic`, and dances of ``cmu_salsa``,
which came without music. Nobody has danced to what is heard.
"""

import io
import zlib
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import make_interp_spline
from scipy.ndimage import gaussian_filter1d

from motionbeat.audio import load_audio
from motionbeat.data_modules import generated
from motionbeat.data_modules.base import (
    Beats,
    DatasetCard,
    DatasetError,
    Licence,
    MotionFile,
    Split,
    Track,
)
from motionbeat.data_modules.generated import Generated, Piece, Recipe
from motionbeat.data_modules.published.cmu_salsa import HELD_OUT, Take, takes
from motionbeat.data_modules.rendered.danced_music import DancedMusic
from motionbeat.data_modules.rendered.rendering import SHORTEST
from motionbeat.data_modules.rendered.synthesis.render import write_audio
from motionbeat.files import write_atomically
from motionbeat.motion import FEET, Motion, MotionError
from motionbeat.rhythm import beat_grid, sharpened

FACTORS = 0.75, 1.33
"""How much longer a beat of a motion may become."""

_SMOOTH = 0.033  # s

Floats = NDArray[np.float64]


class WarpedSalsa(Generated):
    """Excerpts of the train split of ``danced_music``, cut to the length of a salsa warped to them.

    The beats of a motion fall on all beats of the music or on every second one. Takes in
    ``HELD_OUT`` are not used. There is a train split alone.

    Args:
        music: options of :class:`DancedMusic`.
        seed: another seed draws other dances.
        options: of every dataset.

    Raises:
        DatasetError: a negative seed.
    """

    card = DatasetCard(
        name="warped_salsa",
        annotations=(Licence,),
        licence="of the music by file, as in danced_music; motions of mocap.cs.cmu.edu, free for "
        "research and commercial projects",
        citation="as danced_music; mocap.cs.cmu.edu, created with funding from NSF EIA-0196217",
        size="284 pairs of 8 to 22 s, 1.1 h",
        how_to_get="made on this machine on first use from danced_music and cmu_salsa.zip in "
        "MOTIONBEAT_DATA (subjects 60 and 61 of mocap.cs.cmu.edu as BVH)",
        splits="ours: all of it is to train on",
        relatives=("cmu_salsa", "danced_music", "game_music", "free_music"),
    )

    def __init__(
        self, *, music: dict[str, Any] | None = None, seed: int = 0, **options: Any
    ) -> None:
        super().__init__(**options)
        if seed < 0:
            raise DatasetError("warped_salsa needs a seed from 0")
        self.music = DancedMusic(cache=self.cache, data=self.data, **(music or {}))
        self.seed = seed

    @property
    def revision(self) -> str:
        """The card's revision, the seed, and the revision of the music."""
        return f"{self.card.revision}-seed{self.seed}-{self.music.revision}"

    def prepare_data(self) -> None:
        """Make the music that is missing, and the pairs that are missing or damaged.

        Raises:
            DatasetError: the music or the salsa cannot be had, or the folder cannot be written.
            MotionError: a take is unreadable.
        """
        self.music.prepare_data()
        dances = list(_dances(takes(self.given)))
        recipes: dict[str, Recipe] = {
            track.id: partial(
                _make, track.id, track.audio_path, track.get(Beats), dances, self.seed
            )
            for track in self.music.tracks("train")
        }
        generated.build(self.folder, recipes, self.card.name)

    def tracks(self, split: Split) -> list[Track]:
        """The pairs, of the train split alone.

        Raises:
            DatasetError: the music is missing, or not all pairs are made yet.
        """
        music = self.music.tracks("train")
        made = self.pieces(track.id for track in music)
        found = [self._track(made[one.id].labels, one) for one in music if made[one.id].files]
        return found if split == "train" else []

    def _track(self, labels: dict[str, Any], music: Track) -> Track:
        path, positions = self.folder / music.id, labels["positions"]
        beats = Beats(np.array(labels["beats"]), positions and np.array(positions))
        annotations = (music.get(Licence), beats, MotionFile(path.with_suffix(".npz")))
        audio = path.with_suffix(".flac")
        return Track(music.id, audio, labels["duration"], music.group, annotations)


class Dance(NamedTuple):
    """A motion and its beats in seconds, (n,)."""

    name: str
    motion: Motion
    beats: Floats


def warp(motion: Motion, beats: Floats, onto: Floats) -> Motion:
    """Change the speed of a motion from beat to beat, so that its beats fall on other times.

    Args:
        motion: at least from the first to the last beat.
        beats: (n,) increasing times in the motion in seconds.
        onto: (n,) increasing times in seconds, of which the first is 0.

    Returns:
        The motion between its first and its last beat, without contacts.

    Raises:
        MotionError: a beat would change its length by a factor outside ``FACTORS``.
    """
    if not fits(beats, onto):
        raise MotionError(
            f"a beat changes its length by a factor outside {FACTORS[0]:g} to {FACTORS[1]:g}; "
            "choose music of another tempo"
        )
    frames = np.arange(len(motion.positions)) / motion.fps
    wanted = np.arange(round(onto[-1] * motion.fps)) / motion.fps
    spline = make_interp_spline(frames, motion.positions, k=3)
    return Motion(spline(np.interp(wanted, onto, beats)).astype(np.float32), motion.fps)


def fits(beats: Floats, onto: Floats) -> bool:
    """Whether no beat changes its length by a factor outside ``FACTORS``."""
    factors = np.diff(onto) / np.diff(beats)
    return bool((factors >= FACTORS[0]).all() and (factors <= FACTORS[1]).all())


def choose_beats(own: Floats, music: Floats, rng: np.random.Generator) -> Floats | None:
    """Beats of the music, all or every second one, for the first beats of a motion to fall on.

    Of the longest choices that :func:`fits` one is drawn; None where all are shorter than
    ``SHORTEST`` seconds.
    """
    choices = []
    for step in (1, 2):
        for start in range(len(music)):
            onto = music[start::step][: len(own)]
            if onto[-1] - onto[0] >= SHORTEST and fits(own[: len(onto)], onto):
                choices.append(onto)
    longest = max((one[-1] - one[0] for one in choices), default=0.0)
    choices = [one for one in choices if one[-1] - one[0] > longest - 1.0]
    return choices[int(rng.integers(len(choices)))] if choices else None


def couple_beats(take: Take) -> Floats:
    """(n,) beats in seconds of a couple: both partners' feet come to rest on them; maybe none.

    One partner alone is less clear. Salsa has eight counts in two bars, of which every second is
    found here.
    """
    fps = take.leader.fps
    total = np.zeros(len(take.leader.positions))
    for motion in (take.leader, take.follower):
        feet = gaussian_filter1d(
            motion.positions[:, FEET].astype(np.float64), _SMOOTH * fps, axis=0
        )
        speed = np.linalg.norm(np.gradient(feet, axis=0), axis=-1)
        braking = np.maximum(-np.gradient(speed, axis=0), 0).sum(axis=1)
        total += braking / max(float(braking.std()), 1e-9)
    envelope = sharpened(total, fps)
    grid = beat_grid(envelope, envelope, fps)
    if not grid.has_beat:
        return np.zeros(0)
    return grid.times[(grid.times >= 0) & (grid.times <= (len(total) - 1) / fps)]


def _dances(couples: Iterable[Take]) -> Iterator[Dance]:
    """Both partners of the takes that are trained on, where they have beats."""
    for take in couples:
        if take.id not in HELD_OUT and len(beats := couple_beats(take)):
            yield Dance(f"60_{take.id}", take.leader, beats)
            yield Dance(f"61_{take.id}", take.follower, beats)


def _make(
    id: str, audio: Path, beats: Beats, dances: Sequence[Dance], seed: int, folder: Path
) -> Piece:
    """Warp the first dance that fits, of all in the order drawn, and cut the music to it."""
    rng = np.random.default_rng([seed, zlib.crc32(id.encode())])
    for index in rng.permutation(len(dances)):
        dance = dances[index]
        onto = choose_beats(dance.beats, beats.times, rng)
        if onto is None:
            continue
        start, duration = onto[0], float(onto[-1] - onto[0])
        danced = warp(dance.motion, dance.beats[: len(onto)], onto - start)
        buffer = io.BytesIO()
        np.savez(buffer, **danced.arrays())  # type: ignore[arg-type]
        write_atomically(folder / f"{id}.npz", buffer.getvalue())
        waveform, rate = load_audio(audio)
        part = waveform[round(start * rate) :][: round(duration * rate)]
        write_audio(folder / f"{id}.flac", part, rate)
        inside = (beats.times >= start) & (beats.times < start + duration)
        labels = {
            "dance": dance.name,
            "duration": len(part) / rate,
            "beats": (beats.times[inside] - start).tolist(),
            "positions": None if beats.positions is None else beats.positions[inside].tolist(),
        }
        return Piece((f"{id}.flac", f"{id}.npz"), labels)
    return Piece((), {})
