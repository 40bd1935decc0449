"""Music-motion retrieval: find the dance to a clip of music, and the music to a dance."""

import zlib
from collections.abc import Mapping, Sequence
from functools import cache, cached_property
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d
from torch import Tensor, nn
from torch.nn import functional

from motionbeat.audio import load_audio, resample
from motionbeat.data_modules.base import DatasetError, MotionFile, Track
from motionbeat.data_modules.body_frame import check_upright
from motionbeat.data_modules.motion_formats import read_motion
from motionbeat.discrimination import rhythm_discrimination
from motionbeat.kinematics import FEATURES, motion_features
from motionbeat.losses import embodied_contrastive_loss
from motionbeat.model import CLIP_WIDTH, TIME_WIDTH, MotionBeat
from motionbeat.motion import JOINTS, Motion
from motionbeat.pretraining.evaluation import embed
from motionbeat.pretraining.pairs import (
    AudioInputs,
    MotionInputs,
    audio_inputs,
    beat_period,
    motion_inputs,
)
from motionbeat.spectrum import AUDIO_FRAME_RATE, SAMPLE_RATE
from motionbeat.tasks.contract import Baseline, Recipe
from motionbeat.tasks.cutting import Outputs, Tensors
from motionbeat.tasks.heads import Head
from motionbeat.tasks.metrics.per_track import Floats, Scores, mean_defined
from motionbeat.tasks.metrics.retrieval import ranks
from motionbeat.tasks.task import Task
from motionbeat.tokens import Clock
from motionbeat.weights import CARDS, TOWERS_REVISION, load_model, untrained

CLIP = 5.0
"""Length of the compared clips in seconds."""

RATE = 10.0
"""Rate in Hz at which music and motion are compared."""

_CHANNELS, _KERNEL = 64, 5  # of the motion tower
_TEMPERATURE = 0.07
_SMOOTH = 0.05  # s; against the jitter of poses seen in a picture
_NECK = JOINTS.index("neck")

Rows = NDArray[np.float32]


class ClipEmbeddings(NamedTuple):
    """Embeddings (clips, d) of the clips of a track, of unit norm.

    Attributes:
        music: embeddings of the music.
        motion: embeddings of the dance to it.
        earlier: embeddings of the dance started one beat earlier.
        later: embeddings of the dance started one beat later.
        period: duration of a beat in seconds, estimated from the music.
    """

    music: Floats
    motion: Floats
    earlier: Floats
    later: Floats
    period: float


class MusicMotionRetrieval(Task):
    """Music-to-dance and dance-to-music retrieval among all full clips of 5 s of the test split.

    A projection of the frozen features and a motion tower are trained with a contrastive loss. An
    embedding has two parts of equal weight: the clip embedding (mean over the clip) and the time
    embedding (each step, minus the mean). The cosine of two embeddings is therefore the mean of the
    cosines of both parts. Additional negatives are the dance itself, started one beat earlier and
    one beat later.

    The per-track scores are means over the clips of a track: recall at 1, 5 and 10, rank and
    reciprocal rank of the matching clip (``m2d`` from music to dance, ``d2m`` from dance to music)
    and of any clip of its group (``_song``, because several dancers may dance to one song), and the
    :func:`~motionbeat.discrimination.rhythm_discrimination`. With one relevant clip per query, the
    reciprocal rank is the average precision, and its mean the mAP. ``median_rank`` is the median
    over all clips of the split, and ``pool`` the number of candidates. Chance is K / pool for
    recall at K, and 1/2 for discrimination.
    """

    name = "retrieval"
    version = 3
    needs = (MotionFile,)
    visible = (MotionFile,)
    heads = ("linear",)
    primary = "r10"
    headline: ClassVar = {
        "r10": "R@10, both ways",
        "m2d_r1": "music→dance R@1",
        "m2d_r5": "R@5",
        "m2d_r10": "R@10",
        "m2d_median_rank": "median rank",
        "m2d_map": "mAP",
        "d2m_r1": "dance→music R@1",
        "d2m_r10": "R@10 ",
        "m2d_song_r10": "R@10, same song",
        "discrimination": "discrimination",
        "pool": "pool",
    }
    corpus_level = frozenset({"m2d_median_rank", "d2m_median_rank", "pool"})
    conditions: ClassVar = {"clip_seconds": CLIP, "stride_seconds": CLIP, "frame_rate": RATE}
    monitor = "val/r10"
    target_rate = RATE
    recipe = Recipe(
        clip_seconds=CLIP,
        batch_size=32,
        max_steps=300,
        check_every=50,
        patience=3,
        learning_rates=(0.003, 0.01, 0.03),
    )
    motion_width: ClassVar[int] = FEATURES

    def configure_head(self, layers: int, width: int) -> Head:
        """A linear projection of the features, and a small motion tower."""
        states = CLIP_WIDTH + TIME_WIDTH
        head = Head(layers, width, states, False, self.seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            head.tower = nn.Sequential(
                nn.Conv1d(self.motion_width, _CHANNELS, _KERNEL, padding="same"),
                nn.GELU(),
                nn.Conv1d(_CHANNELS, _CHANNELS, _KERNEL, padding="same"),
                nn.GELU(),
                nn.Conv1d(_CHANNELS, states, 1),
            )
        return head

    def track_targets(self, track: Track, steps: int) -> Tensors:
        """No targets: the loss uses the pairs of the batch."""
        return {}

    def track_inputs(self, track: Track, steps: int) -> Tensors:
        """The dance, and the dance started a beat earlier and later, (steps, features) each."""
        path, period = track.get(MotionFile).path, estimated_period(track.audio_path)
        return {
            name: torch.from_numpy(_fitted(self._motion_features(track.id, path, shift), steps))
            for name, shift in (("motion", 0.0), ("earlier", -period), ("later", period))
        }

    @classmethod
    @cache
    def _motion_features(cls, id: str, path: Path, shift: float) -> Rows:
        """Features of a dance begun so many seconds later; every probe asks for them again."""
        return cls.motion_features(_begun(read_motion(path), shift), id, RATE)

    @classmethod
    def check(cls, track: Track) -> None:
        """Check that the dance of a track can be read, and that the body is upright.

        Raises:
            MotionError: the file holds no motion, or the motion is not in metres with y up.
        """
        path = track.get(MotionFile).path
        check_upright(path, read_motion(path))

    @classmethod
    def motion_features(cls, motion: Motion, id: str, frame_rate: float) -> Rows:
        """Features (steps, ``motion_width``) of a dance at a frame rate in Hz."""
        return motion_features(motion, frame_rate)

    def respond(self, mixed: Tensor, inputs: Mapping[str, Tensor]) -> Tensor:
        """States of music and of the three dances beside each other, (B, T, channels)."""
        head = self.trained_head
        motions = [head.tower(inputs[name].mT).mT for name in ("motion", "earlier", "later")]
        return torch.cat([head(mixed), *motions], dim=-1)

    def loss(self, outputs: Tensor, targets: Mapping[str, Tensor], mask: Tensor) -> Tensor:
        """Contrast of the whole clips of a batch, with those a beat off."""
        whole = mask.all(dim=1) & (mask.shape[1] == _clip_steps())
        parts = outputs[whole].chunk(4, dim=-1)
        music, motion, earlier, later = (_embedding(part) for part in parts)
        if not len(music):
            return outputs.sum() * 0
        off = torch.stack([earlier, later], dim=1)
        return embodied_contrastive_loss(music, motion, None, off, _TEMPERATURE, symmetric=True)

    def validation_result(self, values: Sequence[Any], tracks: Sequence[Track]) -> float:
        """Hits among the nearest 10, both ways.

        Raises:
            DatasetError: no track is as long as a clip.
        """
        if not any(len(one.music) for one in values):
            raise DatasetError(
                f"no validation track is as long as a clip of {CLIP:g} s; get longer ones"
            )
        return float(np.nanmean([scores["r10"] for scores in self.score_all(values, tracks)]))

    def decode(self, outputs: Outputs, track: Track) -> ClipEmbeddings:
        """Embeddings of the whole clips."""
        clips, steps = len(_starts(track)), _clip_steps()
        whole = torch.from_numpy(_fitted(outputs, clips * steps))
        cut = whole.reshape(clips, steps, whole.shape[1])
        parts = [_embedding(part).double().numpy() for part in cut.chunk(4, dim=-1)]
        return _of_track(track, parts)

    @classmethod
    def score_all(
        cls, predictions: Sequence[ClipEmbeddings], tracks: Sequence[Track]
    ) -> list[Scores]:
        """Rank all clips of the split against each other."""
        owner = np.repeat(np.arange(len(tracks)), [len(one.music) for one in predictions])
        if not len(owner):  # the scores of some clip say what is undefined
            clip = np.ones((1, 1))
            [names] = cls.score_all([ClipEmbeddings(clip, clip, clip, clip, 1.0)], tracks[:1])
            return [dict.fromkeys(names, np.nan) for _ in tracks]
        music, motion, earlier, later = (
            np.concatenate(parts)
            for parts in zip(*(one[:4] for one in predictions if len(one.music)), strict=True)
        )
        nearness = music @ motion.T
        groups = np.array([track.group for track in tracks])[owner]
        same_song = groups[:, None] == groups
        found: dict[str, Floats] = {}
        whole = {"pool": float(len(owner))}
        for way, table in (("m2d", nearness), ("d2m", nearness.T)):
            rank = ranks(table, np.eye(len(table), dtype=bool))
            song = ranks(table, same_song)
            for depth in (1, 5, 10):
                found[f"{way}_r{depth}"] = (rank <= depth).astype(np.float64)
                found[f"{way}_song_r{depth}"] = (song <= depth).astype(np.float64)
            found[f"{way}_map"], found[f"{way}_rank"] = 1 / rank, rank.astype(np.float64)
            whole[f"{way}_median_rank"] = float(np.median(rank))
        found["r10"] = (found["m2d_r10"] + found["d2m_r10"]) / 2
        tempo = np.array([60 / one.period for one in predictions])[owner]
        off = [(music * other).sum(axis=1) for other in (earlier, later)]
        found |= rhythm_discrimination(nearness, off[0], off[1], groups, tempo)
        return [
            {name: mean_defined(values[owner == index]) for name, values in found.items()} | whole
            for index in range(len(tracks))
        ]

    @classmethod
    def baselines(cls) -> Sequence[Baseline]:
        """Chance, and MotionBeat's own towers as they are."""
        return (RandomEmbeddings(), Towers(), UntrainedTowers())


class MusicMotionRetrieval2D(MusicMotionRetrieval):
    """The same with poses as a video shows them: joints in the picture of one camera, no depth.

    The camera stands still at the height of the pelvis, somewhere around the dancer, another place
    for each track. A step of motion is 24 joints relative to the pelvis and their velocities.
    """

    name = "retrieval_2d"
    version = 3
    motion_width = 4 * len(JOINTS)

    @classmethod
    def baselines(cls) -> Sequence[Baseline]:
        """Chance; MotionBeat's own towers know bodies in space only."""
        return (RandomEmbeddings(),)

    @classmethod
    def motion_features(cls, motion: Motion, id: str, frame_rate: float) -> Rows:
        """Places and velocities of the joints in the picture, in units of the torso."""
        yaw = 2 * np.pi * zlib.crc32(id.encode()) / 2**32
        across = motion.positions @ np.array([np.cos(yaw), 0, np.sin(yaw)])
        picture = np.stack([across, motion.positions[..., 1]], axis=-1)
        width = _SMOOTH * motion.fps
        smooth, speeds = (
            gaussian_filter1d(picture, width, axis=0, order=order, mode="nearest")
            for order in (0, 1)
        )
        torso = np.median(np.linalg.norm(smooth[:, _NECK] - smooth[:, 0], axis=1))
        places = smooth - smooth[:, :1]
        columns = np.concatenate([places, speeds * motion.fps / 3], axis=1)
        columns = columns.reshape(len(picture), -1) / max(float(torso), 1e-3)
        moments = (
            np.arange(int(np.ceil(motion.duration * frame_rate - 1e-6))) / frame_rate * motion.fps
        )
        frames = np.arange(len(picture))
        return np.stack([np.interp(moments, frames, c) for c in columns.T], axis=1).astype(
            np.float32
        )


class RandomEmbeddings(Baseline):
    """Embeddings that know nothing: random directions."""

    name = "chance"
    kind = "baseline"

    def predict(self, track: Track, seed: int) -> ClipEmbeddings:
        """As many random embeddings as the track has whole clips."""
        rng = np.random.default_rng([seed, *track.id.encode()])
        parts = [rng.standard_normal((len(_starts(track)), CLIP_WIDTH)) for _ in range(4)]
        unit = [part / np.linalg.norm(part, axis=1, keepdims=True) for part in parts]
        return _of_track(track, unit)


class Towers(Baseline):
    """MotionBeat's audio and motion towers, with nothing trained beside them.

    Each clip is embedded by itself: its beats come from its own five seconds.
    """

    name = "motionbeat-towers"
    kind = "dedicated"
    revision = TOWERS_REVISION
    training_data = (*CARDS["motionbeat-small"].training_data, "cmu_salsa")

    @cached_property
    def model(self) -> MotionBeat:
        """The shipped model."""
        return load_model("motionbeat-small")

    @torch.inference_mode()
    def predict(self, track: Track, seed: int) -> ClipEmbeddings:
        """Embeddings of the whole clips of a track; of no clip where it has none."""
        period, starts = estimated_period(track.audio_path), _starts(track)
        if not len(starts):
            return _of_track(track, [np.zeros((0, 1))] * 4)
        waveform = resample(*load_audio(track.audio_path), SAMPLE_RATE)
        motion = read_motion(track.get(MotionFile).path)
        inputs = [
            audio_inputs(waveform[round(start * SAMPLE_RATE) :][: round(CLIP * SAMPLE_RATE)])
            for start in starts
        ]
        rows = round(CLIP * AUDIO_FRAME_RATE)
        moves = [
            motion_inputs(_frames(_begun(motion, shift), start, round(CLIP * motion.fps)))
            for shift in (0.0, -period, period)
            for start in starts
        ]
        music, danced = embed(
            self.model,
            AudioInputs(
                torch.from_numpy(np.stack([_fitted(mel, rows) for mel, _, _ in inputs])),
                torch.from_numpy(np.stack([_fitted(onsets, rows) for _, onsets, _ in inputs])),
                torch.full((len(inputs),), rows),
                Clock.of([grid for _, _, grid in inputs]),
            ),
            MotionInputs(
                torch.from_numpy(np.stack([one for one, _ in moves])),
                Clock.of([grid for _, grid in moves]),
            ),
            CLIP,
        )
        return _of_track(track, [part.double().numpy() for part in (music, *danced.chunk(3))])


class UntrainedTowers(Towers):
    """The same with random weights."""

    name = "motionbeat-towers-random"
    revision = "1"
    training_data = ()

    @cached_property
    def model(self) -> MotionBeat:
        """The model that training begins with."""
        return untrained()


def _of_track(track: Track, parts: Sequence[Floats]) -> ClipEmbeddings:
    music, motion, earlier, later = parts
    return ClipEmbeddings(music, motion, earlier, later, estimated_period(track.audio_path))


@cache
def estimated_period(path: Path) -> float:
    """Seconds of a beat in the middle of a recording, as estimated from it."""
    grid = audio_inputs(resample(*load_audio(path), SAMPLE_RATE))[2]
    return beat_period(grid.times, float(grid.times[-1]) / 2) if len(grid) > 1 else 0.5


def _frames(motion: Motion, start: float, count: int) -> Motion:
    """So many frames of a dance from a second on; the nearest stands in beyond its ends."""
    frames = round(start * motion.fps) + np.arange(count)
    return Motion(motion.positions[frames.clip(0, len(motion.positions) - 1)], motion.fps)


def _begun(motion: Motion, shift: float) -> Motion:
    """The same dance begun so many seconds later."""
    return _frames(motion, shift, len(motion.positions))


def _clip_steps() -> int:
    return round(CLIP * RATE)


def _starts(track: Track) -> Floats:
    """Seconds at which the whole clips of a track begin."""
    # By its duration, whatever an encoder makes of the last moment.
    return np.arange(round(track.duration * RATE) // _clip_steps(), dtype=np.float64) * CLIP


def _fitted(rows: Rows, steps: int) -> Rows:
    """Exactly so many rows; the last one stands in for those that lack."""
    return rows[np.minimum(np.arange(steps), len(rows) - 1)]


def _embedding(states: Tensor) -> Tensor:
    """Embeddings (B, d) of unit length of the states (B, T, channels) of whole clips."""
    clip, time = states[..., :CLIP_WIDTH].float(), states[..., CLIP_WIDTH:].float()
    time = (time - time.mean(dim=1, keepdim=True)).flatten(1)
    parts = [functional.normalize(part, dim=-1) for part in (clip.mean(dim=1), time)]
    return torch.cat(parts, dim=-1) / 2**0.5
