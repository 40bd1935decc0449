"""danced_music: excerpts of real music, each with a rule-made dance, to pretrain on.

The music is that of :class:`GameMusic` and :class:`FreeMusic`. Excerpts are used only if two
trackers agree on the beats: the front end of MotionBeat, and BeatNet (Heydari, Cwitkowitz and Duan,
2021, weights CC BY 4.0), whose activation is decoded by the same dynamic programming. The dancers
step on beats or on onsets, as often and as hard as is drawn for each excerpt.
"""

import io
import zlib
from collections.abc import Sequence
from functools import cache, partial
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import mir_eval
import numpy as np
import torch
from numpy.typing import NDArray
from scipy.signal import find_peaks

from motionbeat.audio import load_audio, resample
from motionbeat.data_modules import generated
from motionbeat.data_modules.base import (
    SPLITS,
    Beats,
    DatasetCard,
    DatasetError,
    Licence,
    MotionFile,
    Split,
    Tempo,
    Track,
)
from motionbeat.data_modules.generated import Generated, Piece, Recipe
from motionbeat.data_modules.published.collection import Published
from motionbeat.data_modules.published.free_music import FreeMusic
from motionbeat.data_modules.published.game_music import GameMusic
from motionbeat.data_modules.rendered.rendering import SHORTEST
from motionbeat.data_modules.rendered.synthesis.choreography import NEAR
from motionbeat.data_modules.rendered.synthesis.dancer import DANCERS, dance
from motionbeat.data_modules.rendered.synthesis.render import write_audio
from motionbeat.data_modules.rendered.synthesis.steps import STYLES
from motionbeat.files import write_atomically
from motionbeat.rhythm import BeatGrid, beat_grid, music_grid
from motionbeat.spectrum import AUDIO_FRAME_RATE, BANDS, HOP, SAMPLE_RATE, LogMelSpectrum

SOURCES: dict[str, type[Published]] = {"game_music": GameMusic, "free_music": FreeMusic}
"""Datasets of music that there may be dances to."""

AGREEMENT = 0.9
"""F-measure at 70 ms from which two trackers agree; of the beats, and again of the downbeats."""

DIFFICULTIES = ("half", "beat", "onset")
"""Where a dancer may step: on strong beats, on all beats, on all onsets."""

DENSITIES = 0.8, 2.5
"""Steps a second that are asked for."""

GAP = 0.25
"""Seconds between two steps at least."""

_FULL_ONSET = 4.0  # deviations of the envelope that count as a full onset
_FAINTEST = 0.25  # strength of an onset at least
_BETWEEN_ONSETS = 0.08  # s
_BOUNCY = 0.03  # m
_IN_FOUR = [name for name, one in STYLES.items() if one.bounce >= _BOUNCY and one.period == 1]

Floats = NDArray[np.float64]


class Rhythm(NamedTuple):
    """What is heard in an excerpt.

    Attributes:
        grid: its beats and bars.
        onsets: (m, 2) times in seconds and strengths in [0, 1].
        agreement: F-measure of the beats of both trackers.
        bars_agreed: whether they agree on the downbeats too.
    """

    grid: BeatGrid
    onsets: Floats
    agreement: float
    bars_agreed: bool


class DancedMusic(Generated):
    """Excerpts with a dance, made on the first :meth:`prepare_data` and kept in the cache.

    Beats are annotated; their places in the bar only where the trackers agree on the downbeats.
    Both are heard by machines, so the dataset is there to pretrain on and serves no task. An
    excerpt is the same however many are made.

    Args:
        sources: names in ``SOURCES``.
        excerpts: how many of one piece at most; they do not overlap.
        seconds: length of an excerpt; shorter pieces are used as a whole.
        seed: another seed draws other excerpts, dancers and steps.
        partial: accept incomplete copies of the sources.
        options: of every dataset.

    Raises:
        DatasetError: no or an unknown source, less than 8 seconds, no excerpt, a negative seed.
    """

    card = DatasetCard(
        name="danced_music",
        annotations=(Licence,),
        licence="of the music by file, as in game_music and free_music (each track's Licence); "
        "dances CC0-1.0; the beats follow BeatNet's weights, CC BY 4.0",
        citation="MotionBeat Bench; the composers named in game_music.csv; Tanner Helland; "
        "Boomboxhead; Heydari, Cwitkowitz & Duan (2021), https://arxiv.org/abs/2108.03576",
        size="469 excerpts of 28 s, 3.6 h, of 205 pieces; 0.9 GB",
        how_to_get="made on this machine on first use from game_music and free_music; see there",
        splits="those of game_music and free_music; none to test on",
        relatives=(*SOURCES, "warped_salsa"),
    )

    def __init__(
        self,
        *,
        sources: Sequence[str] = tuple(SOURCES),
        excerpts: int = 3,
        seconds: float = 28.0,
        seed: int = 0,
        partial: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.excerpts, self.seconds, self.seed = excerpts, float(seconds), seed
        self.partial = partial
        if not sources or (unknown := set(sources).difference(SOURCES)):
            raise DatasetError(
                f"danced_music has no source {sorted(unknown) if sources else ''}; "
                f"choose from {', '.join(SOURCES)}"
            )
        if not (SHORTEST <= seconds < np.inf) or excerpts < 1 or seed < 0:
            raise DatasetError(
                f"danced_music needs {SHORTEST:g} seconds or more, 1 excerpt and a seed from 0"
            )
        self.sources = [
            SOURCES[name](cache=self.cache, data=self.data, partial=partial)
            for name in dict.fromkeys(sources)
        ]

    @property
    def revision(self) -> str:
        """The card's revision, seed, excerpts, their length, and the revisions of the sources."""
        sources = "-".join(f"{one.card.name}{one.revision}" for one in self.sources)
        size = f"seed{self.seed}-{self.excerpts}x-{self.seconds}s"
        return f"{self.card.revision}-{size}-{sources}"

    def prepare_data(self) -> None:
        """Get the sources; make the excerpts that are missing or damaged.

        Raises:
            DatasetError: a source cannot be had, or the folder cannot be written.
            AudioError: a piece is unreadable.
            MotionBeatError: BeatNet's package is not installed.
        """
        for source in self.sources:
            source.prepare_data()
        recipes: dict[str, Recipe] = {
            id: partial(_make, id, track.audio_path, self.seed, self.seconds, self.excerpts)
            for id, _, track in self._pieces()
        }
        generated.build(self.folder, recipes, self.card.name)

    def tracks(self, split: Split) -> list[Track]:
        """The excerpts of a split, piece by piece.

        Raises:
            DatasetError: a source is missing, or not all pieces were listened to yet.
        """
        pieces = self._pieces()
        made = self.pieces(id for id, *_ in pieces)
        return [
            self._track(labels, track)
            for id, own, track in pieces
            if own == split
            for labels in made[id].labels["excerpts"]
        ]

    def _pieces(self) -> list[tuple[str, Split, Track]]:
        """The pieces of the sources with their ids and splits."""
        return [
            (f"{source.card.name}/{track.id}", split, track)
            for source in self.sources
            for split in SPLITS
            for track in source.tracks(split)
        ]

    def _track(self, labels: dict[str, Any], piece: Track) -> Track:
        id, positions = labels["id"], labels["positions"]
        annotations = (
            piece.get(Licence),
            Beats(np.array(labels["beats"]), None if positions is None else np.array(positions)),
            Tempo(labels["bpm"]),
            MotionFile(self.folder / f"{id}.npz"),
        )
        audio = self.folder / f"{id}.flac"
        return Track(id, audio, labels["duration"], piece.group, annotations)


def _make(id: str, audio: Path, seed: int, seconds: float, excerpts: int, folder: Path) -> Piece:
    """Cut excerpts out of a piece, in the order drawn, until there are enough with agreed beats."""
    waveform, rate = load_audio(audio)
    size = min(round(seconds * rate), len(waveform))
    rng = np.random.default_rng([seed, zlib.crc32(id.encode())])
    files: list[str] = []
    made: list[dict[str, Any]] = []
    tried = 0
    if size >= SHORTEST * rate:
        places = len(waveform) // size
        offset = int(rng.integers(len(waveform) - places * size + 1))
        for place in map(int, rng.permutation(places)):
            if len(made) == excerpts:
                break
            tried += 1
            part = waveform[offset + place * size :][:size]
            heard = listen(resample(part, rate, SAMPLE_RATE))
            if heard is None:
                continue
            name = f"{id}/{place}"
            write_audio(folder / f"{name}.flac", part, rate)
            own = np.random.default_rng([seed, zlib.crc32(name.encode())])
            labels = _danced(folder / f"{name}.npz", heard, size / rate, own)
            made.append({"id": name, "duration": size / rate} | labels)
            files += [f"{name}.flac", f"{name}.npz"]
    return Piece(tuple(files), {"excerpts": made, "tried": tried})


def _danced(path: Path, heard: Rhythm, duration: float, rng: np.random.Generator) -> dict[str, Any]:
    """Draw a dancer and steps, write the dance, and return what is known of it and the beats."""
    times, metre = heard.grid.times, heard.grid.beats_per_bar
    positions = (heard.grid.positions[0] + np.arange(len(times))) % metre + 1
    inside = (times >= 0) & (times < duration)
    times, positions = times[inside], positions[inside]
    dancer = int(rng.integers(len(DANCERS)))
    style = str(rng.choice(["waltz"] if metre == 3 else _IN_FOUR))
    difficulty = str(rng.choice(DIFFICULTIES))
    density = float(np.exp(rng.uniform(*np.log(DENSITIES))))
    danced = dance(
        beats=times,
        positions=positions,
        accents=heard.onsets,
        style=style,
        metre=f"{metre}/4",
        duration=duration,
        dancer=dancer,
        seed=int(rng.integers(2**31)),
        steps=choose_steps(times, positions, heard.onsets, difficulty, density),
    )
    buffer = io.BytesIO()
    np.savez(buffer, **danced.arrays())  # type: ignore[arg-type]
    write_atomically(path, buffer.getvalue())
    return {
        "dancer": dancer,
        "style": style,
        "difficulty": difficulty,
        "density": density,
        "agreement": heard.agreement,
        "beats": times.tolist(),
        "positions": positions.tolist() if heard.bars_agreed else None,
        "bpm": float(60 / np.median(np.diff(times))),
    }


def choose_steps(
    beats: Floats, positions: NDArray[np.int64], onsets: Floats, difficulty: str, density: float
) -> Floats:
    """Times to step at: of the moments that a difficulty allows, those with the strongest onsets.

    Args:
        beats: (n,) seconds.
        positions: (n,) places of the beats in their bars, 1 on the downbeat.
        onsets: (m, 2) times in seconds and strengths.
        difficulty: one of ``DIFFICULTIES``.
        density: steps a second at most.

    Returns:
        Increasing times, ``GAP`` seconds apart or more.
    """
    if difficulty == "onset":
        moments, strengths = onsets.T
    else:
        metre = positions.max(initial=1)
        strong = (positions == 1) | ((positions == 3) & (metre == 4))
        moments = beats[strong] if difficulty == "half" else beats
        strengths = _strengths(moments, onsets)
    wanted = round(density * (beats[-1] - beats[0]))
    chosen: list[float] = []
    for index in np.argsort(-strengths, kind="stable"):
        if len(chosen) < wanted and all(abs(moments[index] - one) >= GAP for one in chosen):
            chosen.append(float(moments[index]))
    return np.sort(chosen)


def _strengths(moments: Floats, onsets: Floats) -> Floats:
    """(k,) strength of the strongest onset near each moment, 0 where there is none."""
    near = np.abs(moments[:, None] - onsets[:, 0]) <= NEAR
    strengths: Floats = np.where(near, onsets[:, 1], 0.0).max(axis=1, initial=0.0)
    return strengths


def listen(waveform: NDArray[np.float32]) -> Rhythm | None:
    """Beats and onsets of (samples,) at ``SAMPLE_RATE``; None where two trackers disagree.

    Neither an octave nor half a beat between them is forgiven.
    """
    with torch.inference_mode():
        log_mel = _spectrum()(torch.from_numpy(waveform)[None])[0].numpy()
        network = _network()
        sound = torch.from_numpy(resample(waveform, SAMPLE_RATE, network.sample_rate))
        beat, downbeat = network(sound[None])[0].numpy().T
    envelope, grid = music_grid(log_mel, AUDIO_FRAME_RATE)
    other = beat_grid(beat, downbeat, network.frame_rate)
    seconds = len(waveform) / SAMPLE_RATE
    if not (grid.has_beat and other.has_beat):
        return None
    agreement = _f_measure(grid.times, other.times, seconds)
    if agreement < AGREEMENT:
        return None
    own, others = (one.times[:-1][one.positions == 0] for one in (grid, other))
    bars = _f_measure(own, others, seconds)
    return Rhythm(grid, _onsets(envelope), agreement, bars >= AGREEMENT)


def _f_measure(reference: Floats, estimated: Floats, seconds: float) -> float:
    """F-measure at 70 ms of two rows of beats within an excerpt."""
    inside = [times[(times >= 0) & (times < seconds)] for times in (reference, estimated)]
    return float(mir_eval.beat.f_measure(*inside)) if min(map(len, inside)) else 0.0


def _onsets(envelope: NDArray[np.float32]) -> Floats:
    """(m, 2) times in seconds and strengths in [0, 1] of the peaks of an onset envelope."""
    strength = np.clip(envelope / _FULL_ONSET, 0, 1).astype(np.float64)
    apart = max(round(_BETWEEN_ONSETS * AUDIO_FRAME_RATE), 1)
    peaks, _ = find_peaks(envelope, height=_FAINTEST * _FULL_ONSET, distance=apart)
    return np.stack([peaks / AUDIO_FRAME_RATE, strength[peaks]], axis=1)


@cache
def _spectrum() -> LogMelSpectrum:
    return LogMelSpectrum(SAMPLE_RATE, HOP, BANDS)


@cache
def _network() -> Any:
    """BeatNet's activation, (B, frames, 2) of a beat and a downbeat."""
    # The encoders stand on a floor above this one, so it is looked up when it is asked for.
    return import_module("motionbeat.benchmarks.encoders.pretrained.beatnet").BeatActivation()
