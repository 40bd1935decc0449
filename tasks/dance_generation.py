"""Dance generation from frozen features of the music, by a diffusion decoder."""

import zlib
from collections.abc import Callable, Mapping, Sequence
from functools import cache, cached_property
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d
from scipy.stats import ttest_1samp
from torch import Tensor
from torch.nn import functional

from motionbeat.data_modules.base import Beats, DatasetError, MotionFile, Track
from motionbeat.data_modules.body_frame import check_upright
from motionbeat.data_modules.motion_formats import read_motion
from motionbeat.encoder import Encoder
from motionbeat.motion import FEET, Motion, MotionError
from motionbeat.tasks.adapters import EncoderMode
from motionbeat.tasks.contract import Baseline, Recipe
from motionbeat.tasks.cutting import Outputs, Tensors
from motionbeat.tasks.diffusion import PATCH, TIMESTEPS, Denoiser, add_noise, sample
from motionbeat.tasks.footlock import plant_feet
from motionbeat.tasks.heads import Head
from motionbeat.tasks.metrics.dance_alignment import Music, sensitivity
from motionbeat.tasks.metrics.dance_distances import (
    distance_between_halves,
    diversity,
    frechet_distance,
    normalise,
)
from motionbeat.tasks.metrics.dance_physics import PFC_FPS
from motionbeat.tasks.metrics.dance_scores import (
    BEAT_SCORES,
    FEATURES,
    FEATURES_FPS,
    PHYSICAL_SCORES,
    SHORTEST,
    check_length,
    estimate_beats,
)
from motionbeat.tasks.metrics.per_track import (
    Floats,
    Metrics,
    PerTrackScores,
    Scores,
    mean_defined,
    summarise_means,
)
from motionbeat.tasks.poses import CONTACT, FPS, GROUND, HEIGHT, JOINT, WIDTH, Body, Rows
from motionbeat.tasks.task import Task

CLIP = 5.0
"""Length in seconds of the training clips, and of the clips whose features are compared."""

_CONDITION = 64  # numbers a frame that condition the decoder
_DROPPED = 0.25  # share of the clips that are trained on without music, for guidance
_VELOCITY, _FOOT = 1.0, 0.1  # weights of the losses beside that of the rows
_FEET = [JOINT.start + 3 * (joint - 1) for joint in FEET]
_LEAST = 0.1  # of the deviation of a group of columns: what hardly moves is not blown up
SMOOTH = 0.05  # s; guidance makes single frames tremble
_CHECKED = 4  # timesteps at which the validation split is denoised
_SLACK = 1.0  # s that music may go on after its dance; the last pose is held

T = TypeVar("T")


class DanceHead(Head):
    """A linear projection of the features, and a diffusion decoder conditioned on it.

    Poses are rows of ``WIDTH`` numbers, standardised by the mean and standard deviation of the
    training dances.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, layers: int, width: int, seed: int, mean: Tensor, std: Tensor) -> None:
        super().__init__(layers, width, _CONDITION, False, seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.denoiser = Denoiser(WIDTH, _CONDITION)
        self.seed = seed
        self.register_buffer("mean", mean)
        self.register_buffer("std", std)

    @cached_property
    def generator(self) -> torch.Generator:
        """Its own random generator, so that training with other heads gives the same result."""
        return torch.Generator(self.mean.device).manual_seed(self.seed)

    def standardise(self, rows: Tensor) -> Tensor:
        """Rows with mean 0 and a standard deviation of about 1."""
        return (rows - self.mean) / self.std

    def denoise(self, rows: Tensor, condition: Tensor, timesteps: Tensor, noise: Tensor) -> Tensor:
        """Add noise of diffusion steps (B,) to standardised rows (B, T, ``WIDTH``), and denoise."""
        clean: Tensor = self.denoiser(add_noise(rows, timesteps, noise), timesteps, condition)
        return clean

    def sample(self, condition: Tensor, seed: int) -> Rows:
        """Sample the rows (T, ``WIDTH``) of a dance for a condition (T, 64) and a seed."""
        noise = torch.randn(
            len(condition), WIDTH, generator=torch.Generator().manual_seed(seed)
        ).to(condition.device)
        window = round(CLIP * FPS) // (2 * PATCH) * 2 * PATCH
        sampled = sample(self.denoiser, condition, window, noise) * self.std + self.mean
        smooth = gaussian_filter1d(sampled.cpu().numpy(), SMOOTH * FPS, axis=0, mode="nearest")
        return np.asarray(smooth, np.float32)


class DanceGeneration(Task):
    """Generation of dances to the test pieces, scored beside chance and real dances.

    A dance is scored with the beats of its own music (annotated, else estimated) and, as chance,
    with those of every other piece of the split, each pair on a common span from 0 s. Music without
    a beat has no beat scores and is not used as chance. Whether a dance follows its music is
    measured by its :func:`~motionbeat.tasks.metrics.dance_alignment.sensitivity`. Features of clips
    of 5 s are compared with those of the real dances to the test pieces; features that do not vary
    among the real clips are left out. Distance and diversity are corpus-level metrics without an
    interval.
    """

    name = "dance"
    version = 3
    probe_version = 2
    needs = (MotionFile,)
    heads = ("decoder",)
    primary = "bas_fact_sensitivity"
    headline: ClassVar = {
        "bas_fact_sensitivity": "BAS own - others",
        "p": "p (chance, one-sided)",
        "bas_fact": "BAS (FACT)",
        "bas_fact_chance": "chance",
        "hit_rate_sensitivity": "hit rate own - others",
        "coverage": "coverage",
        "fid_k": "FID_k",
        "fid_g": "FID_g",
        "div_k": "Div_k",
        "div_g": "Div_g",
        "pfc": "PFC",
        "foot_sliding": "sliding",
        "clips": "clips",
    }
    corpus_level = frozenset({"p", "fid_k", "fid_g", "div_k", "div_g", "clips"})
    conditions: ClassVar = {
        "fps": FEATURES_FPS,
        "sigma_seconds": BEAT_SCORES["BAS fact"].sigma,
        "physical_fps": PFC_FPS,
        "clip_seconds": CLIP,
        "stride_seconds": CLIP,
    }
    monitor = "val/denoising"
    mode = "min"
    one_cycle = True
    target_rate = FPS
    recipe = Recipe(
        clip_seconds=CLIP,
        stride_seconds=0.5,
        batch_size=16,
        max_steps=2000,
        check_every=500,
        patience=4,
        learning_rates=(0.005, 0.01),
    )

    def __init__(
        self,
        encoder: str | Encoder = "motionbeat-small",
        head: str = "decoder",
        learning_rate: float = 5e-3,
        seed: int = 0,
        encoder_mode: EncoderMode = "frozen",
    ) -> None:
        super().__init__(encoder, head, learning_rate, seed, encoder_mode)

    @classmethod
    def check(cls, track: Track) -> None:
        """Check that the dance of a track can be read and scored, and the length of its music.

        Raises:
            MotionError: the file holds no motion, or the motion is too short for the scores, or not
                in metres with y up.
            DatasetError: the music is too short, or goes on after the dance.
        """
        path = track.get(MotionFile).path
        _named(path, check_length)
        motion = read_motion(path)
        check_upright(path, motion)
        if (longer := track.duration - motion.duration) > _SLACK:
            raise DatasetError(
                f"{track.audio_path}: goes on for {longer:.1f} s after its dance, cut the music"
            )
        if track.duration < SHORTEST + 1 / FPS:
            raise DatasetError(
                f"{track.audio_path}: {track.duration:.2f} s of music; the scores of a dance need "
                f"{SHORTEST + 1 / FPS:.1f} s, drop the track"
            )

    def learn(self, tracks: Sequence[Track]) -> dict[str, Any]:
        """Measure average bone lengths, and the mean and standard deviation of the poses."""
        paths = tuple(track.get(MotionFile).path for track in tracks)
        bones = average_bones(paths)
        rows = np.concatenate([dance_rows(path, bones) for path in paths])
        mean, std = rows.mean(axis=0), rows.std(axis=0)
        for group in (GROUND, slice(HEIGHT, HEIGHT + 1), JOINT, CONTACT):
            least = max(_LEAST * float(np.sqrt(np.mean(std[group] ** 2))), 1e-4)
            std[group] = np.maximum(std[group], least)
        return {"bones": bones, "mean": torch.from_numpy(mean), "std": torch.from_numpy(std)}

    def configure_head(self, layers: int, width: int) -> DanceHead:
        """A projection and a diffusion decoder."""
        return DanceHead(layers, width, self.seed, self.learned["mean"], self.learned["std"])

    def rows(self, track: Track) -> Rows:
        """The dance to a track, as the average body dances it."""
        return dance_rows(track.get(MotionFile).path, self.learned["bones"])

    def track_targets(self, track: Track, steps: int) -> Tensors:
        """The dance to a track, a row a step; its last row goes on where it ends."""
        rows = self.rows(track)
        return {"rows": torch.from_numpy(rows[np.minimum(np.arange(steps), len(rows) - 1)])}

    def loss(self, outputs: Tensor, targets: Mapping[str, Tensor], mask: Tensor) -> Tensor:
        """Error of denoised rows, of their velocities, and of feet that slide in contact.

        Tseng, Castellon and Liu, "EDGE", 2023, eqs. 2 to 6, on joints in place of rotations.
        """
        head = self.trained_head
        whole = mask.all(dim=1)
        length = mask.shape[1] // PATCH * PATCH
        rows = head.standardise(targets["rows"][whole, :length])
        if not rows.numel():
            return outputs.sum() * 0
        stream: Any = {"generator": head.generator, "device": rows.device}
        timesteps = torch.randint(TIMESTEPS, (len(rows),), **stream)
        noise = torch.randn(rows.shape, **stream)
        dropped = torch.rand(len(rows), 1, 1, **stream) < _DROPPED
        condition = torch.where(dropped, head.denoiser.null_condition, outputs[whole, :length])
        clean = head.denoise(rows, condition, timesteps, noise)
        error = functional.mse_loss(clean, rows)
        velocity = functional.mse_loss(clean.diff(dim=1), rows.diff(dim=1))
        return error + _VELOCITY * velocity + _FOOT * sliding(clean * head.std + head.mean)

    def validation_value(self, outputs: Outputs, track: Track) -> tuple[Rows, NDArray[np.float32]]:
        """Rows and conditions of the whole clips of a track, (clips, T, ...) each."""
        length = round(CLIP * FPS) // PATCH * PATCH
        rows = self.rows(track)
        clips = min(len(rows), len(outputs)) // length
        cut_rows, condition = (
            values[: clips * length].reshape(clips, length, values.shape[1])
            for values in (rows, outputs)
        )
        return cut_rows, condition

    def validation_result(self, values: Sequence[Any], tracks: Sequence[Track]) -> float:
        """Mean error of the denoised rows of the validation split, always of the same noise.

        Raises:
            DatasetError: no track is as long as a clip.
        """
        rows, condition = (
            torch.from_numpy(np.concatenate(part)).to(self.device)
            for part in zip(*values, strict=True)
        )
        if not len(rows):
            raise DatasetError(
                f"no validation track is as long as a clip of {CLIP:g} s; get longer ones"
            )
        head = self.trained_head
        rows = head.standardise(rows)
        generator = torch.Generator().manual_seed(0)
        errors = []
        with torch.inference_mode():
            for part in range(_CHECKED):
                noise = torch.randn(rows.shape, generator=generator).to(self.device)
                timestep = round((part + 0.5) / _CHECKED * TIMESTEPS)
                timesteps = torch.full((len(rows),), timestep, device=self.device)
                clean = head.denoise(rows, condition, timesteps, noise)
                errors.append(functional.mse_loss(clean, rows))
        return float(torch.stack(errors).mean())

    def decode(self, outputs: Outputs, track: Track) -> Motion:
        """A dance as long as the track; its noise follows from the track and the seed."""
        condition = torch.from_numpy(outputs).to(self.device)
        seed = zlib.crc32(f"{track.id} {self.seed}".encode())
        rows = self.trained_head.sample(condition, seed)[: max(1, round(track.duration * FPS))]
        sampled = Body(np.array(self.learned["bones"])).motion(rows)
        return plant_feet(sampled, rows[:, CONTACT])

    @classmethod
    def score_all(cls, predictions: Sequence[Motion], tracks: Sequence[Track]) -> list[Scores]:
        """Score dances one by one, beside all the music of the split, and as a set."""
        songs = [music_of(track) for track in tracks]
        groups = [track.group for track in tracks]
        found: dict[str, Floats] = {}
        for label, score in BEAT_SCORES.items():
            name = _NAMES[label]
            pairs = score.pairs(predictions, songs, range(len(songs)))
            found[name] = pairs.whole
            if name != "coverage":
                found[f"{name}_sensitivity"], found[f"{name}_chance"] = sensitivity(pairs, groups)
        for label, (_, measure) in PHYSICAL_SCORES.items():
            found[_NAMES[label]] = np.array([measure(one.at(PFC_FPS)) for one in predictions])
        whole = _set_scores(predictions, [real_dance(track) for track in tracks])
        return [
            {name: float(values[index]) for name, values in found.items()} | whole | {"song": group}
            for index, group in enumerate(groups)
        ]

    @staticmethod
    def summarise(per_track: PerTrackScores, weights: Floats) -> Metrics:
        """Means over dances, and ``p``: how likely chance is as near to its own music.

        A one-sided t test of the sensitivities, averaged over seeds and within groups, as dances to
        the same music are no independent draws. It is of the whole split, whatever the weights.
        """
        values = {name: one for name, one in per_track.items() if name != "song"}
        means = summarise_means(values, weights)
        primary, groups = DanceGeneration.primary, per_track["song"][0]
        by_track = np.array([mean_defined(seeds) for seeds in per_track[primary].T])
        by_group = np.array([mean_defined(by_track[groups == g]) for g in np.unique(groups)])
        defined = by_group[np.isfinite(by_group)]
        test = ttest_1samp(defined, 0, alternative="greater") if len(defined) > 1 else None
        p = np.nan if test is None else float(test.pvalue)
        return means | {"p": np.full(means[primary].shape, p)}

    @classmethod
    def baselines(cls) -> Sequence[Baseline]:
        """The real dances."""
        return (RealDance(),)


class RealMotion(Motion):
    """The real dance to a piece of music: a set of them is compared with itself by halves."""


class RealDance(Baseline):
    """The dance that belongs to the music."""

    name = "ground-truth"
    kind = "upper bound"

    def predict(self, track: Track, seed: int) -> RealMotion:
        """The dance in the file."""
        return real_dance(track)


def real_dance(track: Track) -> RealMotion:
    """The dance in the file of a track."""
    motion = read_motion(track.get(MotionFile).path)
    return RealMotion(motion.positions, motion.fps, motion.contacts)


def sliding(rows: Tensor) -> Tensor:
    """Mean squared speed in m/s along the floor of feet by their contact, of rows (B, T, WIDTH)."""
    turn = rows[:, 1:, GROUND.stop - 1]
    total = rows.new_zeros(())
    for foot, column in enumerate(_FEET):
        x, z = rows[..., column], rows[..., column + 2]
        across = x.diff(dim=1) + rows[:, 1:, 0] + turn * z[:, 1:]
        along = z.diff(dim=1) + rows[:, 1:, 1] - turn * x[:, 1:]
        down = rows[:, 1:, CONTACT.start + foot].clamp(0, 1)
        total = total + (down * (across**2 + along**2)).mean() * FPS**2
    return total / len(_FEET)


@cache
def average_bones(paths: tuple[Path, ...]) -> tuple[float, ...]:
    """Lengths of the bones of the average dancer of some motion files."""
    bodies = [_named(path, Body.of) for path in paths]
    return tuple(Body.average(bodies).bones.tolist())


@cache
def dance_rows(path: Path, bones: tuple[float, ...]) -> Rows:
    """The rows of a dance, as a body with these bones dances it; read once for all heads."""
    return _named(path, Body(np.array(bones)).rows)


def _named(path: Path, use: Callable[[Motion], T]) -> T:
    """What is made of the dance in a file, which an error names."""
    motion = read_motion(path)
    try:
        return use(motion)
    except MotionError as error:
        raise MotionError(f"{path}: {error}") from error


def music_of(track: Track) -> Music:
    """The beats of a track, annotated or else estimated, and how long it lasts."""
    beats = track.get(Beats).times if track.has(Beats) else _estimated(track.audio_path).beats
    return Music(beats, track.duration)


_estimated = cache(estimate_beats)


def _set_scores(made: Sequence[Motion], real: Sequence[Motion]) -> dict[str, float]:
    """Distance of the clips to those of real dances, and their diversity.

    Real dances are not compared with themselves, but one half of them with the other.
    """
    counts = [len(_clips(motion)) for motion in made]
    scores: dict[str, float] = {"clips": float(sum(counts))}
    for label, name in {"k fixed": "k", "k legacy": "k_legacy", "g": "g"}.items():
        ours, theirs = (
            np.array([FEATURES[label](clip) for motion in motions for clip in _clips(motion)])
            for motions in (made, real)
        )
        if min(len(ours), len(theirs)) < 2:
            scores |= {f"fid_{name}": np.nan, f"div_{name}": np.nan}
            continue
        varied = np.ptp(theirs, axis=0) > 0
        ours = normalise(ours[:, varied], theirs[:, varied])
        theirs = normalise(theirs[:, varied], theirs[:, varied])
        scores[f"div_{name}"] = diversity(ours)
        if all(isinstance(motion, RealMotion) for motion in made):
            dances = np.repeat(np.arange(len(counts)), counts)
            scores[f"fid_{name}"] = distance_between_halves(ours, dances)
        else:
            scores[f"fid_{name}"] = frechet_distance(ours, theirs)
    return scores


def _clips(motion: Motion) -> list[Any]:
    """The whole clips of 5 s of a dance."""
    positions, size = motion.at(FEATURES_FPS), round(CLIP * FEATURES_FPS)
    return [positions[start : start + size] for start in range(0, len(positions) - size + 1, size)]


_NAMES = {
    "BAS fact": "bas_fact",
    "BAS bailando": "bas_bailando",
    "BAS edge30": "bas_edge30",
    "beat coverage": "coverage",
    "beat hit rate": "hit_rate",
    "PFC": "pfc",
    "foot sliding": "foot_sliding",
    "penetration mm": "penetration",
    "float mm": "float",
    "jerk m/s³": "jerk",
    "bone drift %": "bone_drift",
}
