"""Music to dance: what a dancer who hears nothing but frozen features does to the music."""

import zlib
from collections.abc import Callable, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import numpy as np
import torch
from motionbeat.tasks.base import (
    FOLD,
    Decoder,
    Evidence,
    Outputs,
    Reference,
    Scores,
    Task,
    weighted_mean,
)
from motionbeat.tasks.features import Batch, Targets
from motionbeat.tasks.probe import Probe
from scipy.ndimage import gaussian_filter1d
from scipy.stats import ttest_1samp
from torch import Tensor, nn
from torch.nn import functional

from motionbeat.data_modules.base import Beats, DatasetError, MotionFile, Track
from motionbeat.data_modules.motion_formats import read_motion
from motionbeat.motion import FEET, Motion, MotionError
from motionbeat.tasks.diffusion import PATCH, TIMESTEPS, Denoiser, add_noise, sample
from motionbeat.tasks.metrics.dance_alignment import (
    ALIGNMENTS,
    Music,
    mean_defined,
    sensitivity,
)
from motionbeat.tasks.metrics.dance_distances import diversity, frechet_distance, normalise
from motionbeat.tasks.metrics.dance_features import Floats
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
from motionbeat.tasks.poses import CONTACT, FPS, GROUND, HEIGHT, JOINT, WIDTH, Body, Rows

CLIP = 5.0
"""Seconds of the windows a dancer learns from, and of the clips whose features are compared."""

_CONDITION = 64  # numbers a frame that a dancer hears
_DROPPED = 0.25  # share of the windows without music, from which guidance is learned
_VELOCITY, _FOOT = 1.0, 0.1  # weights of the losses beside that of the rows
_FEET = [JOINT.start + 3 * (joint - 1) for joint in FEET]
_LEAST = 0.1  # of the deviation of a group of columns: what hardly moves is not blown up
_SMOOTH = 0.05  # s; guidance makes single frames tremble
_CHECKED = 4  # times of the diffusion at which the validation split is denoised

T = TypeVar("T")


class DanceHead(Probe):
    """A projection of the features, and a diffusion decoder that dances under it.

    Args:
        layers: hidden layers of the encoder.
        width: features a layer.
        seed: of initialisation, noise and what is left out.
        mean: (``WIDTH``,) of the rows danced in training.
        std: (``WIDTH``,) of them.
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
        self._generators: dict[torch.device, torch.Generator] = {}

    def generator(self, device: torch.device) -> torch.Generator:
        """A random stream of its own, so that members are trained as if alone."""
        if device not in self._generators:
            self._generators[device] = torch.Generator(device).manual_seed(self.seed)
        return self._generators[device]

    def standardise(self, rows: Tensor) -> Tensor:
        """Rows about 0 with a deviation of about 1."""
        return (rows - self.mean) / self.std

    def denoise(self, rows: Tensor, condition: Tensor, times: Tensor, noise: Tensor) -> Tensor:
        """Guesses of standardised rows (B, T, ``WIDTH``) after so many steps (B,) of noise."""
        guess: Tensor = self.denoiser(add_noise(rows, times, noise), times, condition)
        return guess


class DanceGeneration(Task):
    """Dances to the test pieces, generated from frozen features, as honest numbers.

    For every encoder the same is trained: a projection of its features to 64 numbers a frame and a
    diffusion decoder under it. A dance is scored beside the beats of its own music, those annotated
    or else those heard, and beside those of every other piece of the split, which is chance; the
    difference says whether the dance listens at all (``*_sensitivity``). Features are compared in
    clips of 5 s with those of the real dances to the test pieces; distance and diversity belong to
    the whole split and have no interval. Of geometric features only those that vary among the real
    clips are compared.
    """

    name = "dance"
    version = 1
    needs = (MotionFile,)
    probes = ("decoder",)
    primary = "bas_fact_sensitivity"
    headline: ClassVar = {
        "bas_fact_sensitivity": "BAS own - others",
        "p": "p (chance)",
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
    of_split = frozenset({"p", "fid_k", "fid_g", "div_k", "div_g", "clips"})
    conditions: ClassVar = {
        "fps": FEATURES_FPS,
        "sigma_seconds": ALIGNMENTS["fact"].sigma,
        "physical_fps": PFC_FPS,
        "clip_seconds": CLIP,
        "stride_seconds": CLIP,
    }
    monitor = "val/denoising"
    mode = "min"
    steps_a_second = FPS
    window = CLIP
    stride = 0.5
    batch_size = 16
    max_steps = 2000
    check_every = 500
    patience = 4
    learning_rates = (0.005, 0.01)

    @classmethod
    def check(cls, track: Track) -> None:
        """Check that a dance can be read and scored, and so can one to its music.

        Raises:
            MotionError: the file holds no motion, or one that is too short for the scores.
            DatasetError: the music is too short.
        """
        _named(track.get(MotionFile).path, check_length)
        if track.duration < SHORTEST + 1 / FPS:
            raise DatasetError(
                f"{track.audio_path}: {track.duration:.2f} s of music; the scores of a dance need "
                f"{SHORTEST + 1 / FPS:.1f} s, drop the track"
            )

    def prepare(self, tracks: Sequence[Track]) -> None:
        """Learn the average body and what its rows of numbers are like."""
        paths = tuple(track.get(MotionFile).path for track in tracks)
        self.body = average_body(paths)
        rows = np.concatenate([danced(path, self.body) for path in paths])
        mean, std = rows.mean(axis=0), rows.std(axis=0)
        for group in (GROUND, slice(HEIGHT, HEIGHT + 1), JOINT, CONTACT):
            least = max(_LEAST * float(np.sqrt(np.mean(std[group] ** 2))), 1e-4)
            std[group] = np.maximum(std[group], least)
        self.rows_mean, self.rows_std = torch.from_numpy(mean), torch.from_numpy(std)

    def configure_probe(self, layers: int, width: int, kind: str, seed: int) -> DanceHead:
        """A dancer."""
        return DanceHead(layers, width, seed, self.rows_mean, self.rows_std)

    def configure_optimizers(self) -> Any:
        """Each member's learning rate rises for a while and falls to nothing.

        Smith and Topin, "Super-convergence", 2019: a decoder then needs few steps.
        """
        optimizer = super().configure_optimizers()
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, [member.learning_rate for member in self.members], self.max_steps
        )
        return [optimizer], [{"scheduler": schedule, "interval": "step"}]

    def targets(self, track: Track, steps: int) -> Targets:
        """The dance to a track, a row a step."""
        rows = danced(track.get(MotionFile).path, self.body)
        return {"rows": torch.from_numpy(rows[np.minimum(np.arange(steps), len(rows) - 1)])}

    def loss(self, probe: Probe, outputs: Tensor, batch: Batch) -> Tensor:
        """Error of denoised rows, of their velocities, and of feet that slide in contact.

        Tseng, Castellon and Liu, "EDGE", 2023, eqs. 2 to 6, on joints in place of rotations.
        """
        assert isinstance(probe, DanceHead)
        whole = batch.mask.all(dim=1)
        length = batch.mask.shape[1] // PATCH * PATCH
        rows = probe.standardise(batch.targets["rows"][whole, :length])
        condition = outputs[whole, :length]
        if not rows.numel():
            return outputs.sum() * 0
        generator, device = probe.generator(rows.device), rows.device
        times = torch.randint(TIMESTEPS, (len(rows),), generator=generator, device=device)
        noise = torch.randn(rows.shape, generator=generator, device=device)
        dropped = torch.rand(len(rows), 1, 1, generator=generator, device=device) < _DROPPED
        condition = torch.where(dropped, probe.denoiser.null_condition, condition)
        guess = probe.denoise(rows, condition, times, noise)
        error = functional.mse_loss(guess, rows)
        velocity = functional.mse_loss(guess.diff(dim=1), rows.diff(dim=1))
        return error + _VELOCITY * velocity + _FOOT * sliding(guess * probe.std + probe.mean)

    def validate(self, probe: Probe, outputs: Sequence[Outputs], tracks: Sequence[Track]) -> float:
        """Mean error of the denoised rows of the validation split, always of the same noise.

        Raises:
            DatasetError: no track is as long as a window.
        """
        assert isinstance(probe, DanceHead)
        length = round(self.window * FPS) // PATCH * PATCH
        windows = [
            (
                torch.from_numpy(rows[start : start + length]),
                torch.from_numpy(heard[start : start + length]),
            )
            for rows, heard in (
                (danced(track.get(MotionFile).path, self.body), one)
                for track, one in zip(tracks, outputs, strict=True)
            )
            for start in range(0, min(len(rows), len(heard)) - length + 1, length)
        ]
        if not windows:
            raise DatasetError(
                f"no validation track is as long as a window of {self.window:g} s; get longer ones"
            )
        rows, condition = (torch.stack(part).to(self.device) for part in zip(*windows, strict=True))
        rows = probe.standardise(rows)
        generator = torch.Generator().manual_seed(0)
        errors = []
        with torch.inference_mode():
            for part in range(_CHECKED):
                noise = torch.randn(rows.shape, generator=generator).to(self.device)
                time = round((part + 0.5) / _CHECKED * TIMESTEPS)
                times = torch.full((len(rows),), time, device=self.device)
                guess = probe.denoise(rows, condition, times, noise)
                errors.append(functional.mse_loss(guess, rows))
        return float(torch.stack(errors).mean())

    def decoder(self, probe: Probe) -> Decoder:
        """What dances to the outputs on a track."""
        assert isinstance(probe, DanceHead)
        return partial(perform, Dancer(probe, self.body), probe.seed)

    @classmethod
    def score_split(cls, predictions: Sequence[Motion], tracks: Sequence[Track]) -> list[Scores]:
        """Score dances one by one, beside all the music of the split, and as a set."""
        songs = [music_of(track) for track in tracks]
        groups = [track.group for track in tracks]
        found: dict[str, Floats] = {
            "group": np.array([zlib.crc32(group.encode()) for group in groups], np.float64)
        }
        for label, score in BEAT_SCORES.items():
            name = _NAMES[label]
            pairs = score.pairs(predictions, songs, range(len(songs)))
            found[name] = pairs.whole
            if name != "coverage":
                found[f"{name}_sensitivity"], found[f"{name}_chance"] = sensitivity(pairs, groups)
        for label, (_, measure) in PHYSICAL_SCORES.items():
            values = [measure(motion.at(PFC_FPS)) for motion in predictions]
            found[_NAMES[label]] = np.array(values)
        whole = _set_scores(predictions, [real_dance(track) for track in tracks])
        return [
            {name: float(values[index]) for name, values in found.items()} | whole
            for index in range(len(tracks))
        ]

    @classmethod
    def summarise(cls, evidence: Evidence, weights: Floats) -> Evidence:
        """Means over dances, and ``p``: how likely chance is as near to its own music.

        A one-sided t test of the sensitivities, averaged over seeds and within groups, as dances to
        the same music are no independent draws. It is of the whole split, whatever the weights.
        """
        means = {
            name: weighted_mean(values, weights)
            for name, values in evidence.items()
            if name not in (FOLD, "group")
        }
        by_track = np.array([mean_defined(seeds) for seeds in evidence[cls.primary].T])
        groups = evidence["group"][0]
        p = p_above_zero(np.array([mean_defined(by_track[groups == g]) for g in np.unique(groups)]))
        return means | {"p": np.full(means[cls.primary].shape, p)}

    @classmethod
    def references(cls) -> Sequence[Reference]:
        """The real dances."""
        return (RealDance(),)


class RealMotion(Motion):
    """The real dance to a piece of music: a set of them is compared with itself by halves."""


class RealDance(Reference):
    """The dance that belongs to the music."""

    name = "ground-truth"
    kind = "ceiling"

    def predict(self, track: Track, seed: int) -> RealMotion:
        """The dance in the file."""
        return real_dance(track)


def real_dance(track: Track) -> RealMotion:
    """The dance in the file of a track."""
    motion = read_motion(track.get(MotionFile).path)
    return RealMotion(motion.positions, motion.fps, motion.contacts)


def p_above_zero(values: Floats) -> float:
    """P-value of a one-sided t test that the mean of what is defined is above 0."""
    defined = values[np.isfinite(values)]
    if len(defined) < 2:
        return float("nan")
    return float(ttest_1samp(defined, 0, alternative="greater").pvalue)


class Dancer(nn.Module):
    """What is left of a dancer when it has learned: it turns what it hears into a dance.

    Args:
        probe: whose decoder it is.
        body: its bones.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, probe: DanceHead, body: Body) -> None:
        super().__init__()
        self.denoiser = probe.denoiser
        self.register_buffer("mean", probe.mean)
        self.register_buffer("std", probe.std)
        self.body = body
        self.eval()

    def forward(self, condition: Tensor, seed: int) -> Motion:
        """Dance to what is heard, (T, 64) at ``FPS``; the same seed gives the same dance."""
        generator = torch.Generator().manual_seed(seed)
        noise = torch.randn(len(condition), WIDTH, generator=generator)
        window = round(CLIP * FPS) // (2 * PATCH) * 2 * PATCH
        sampled = sample(self.denoiser, condition, window, noise.to(condition.device))
        rows = (sampled * self.std + self.mean).cpu().numpy()
        return self.body.motion(gaussian_filter1d(rows, _SMOOTH * FPS, axis=0, mode="nearest"))


def perform(dancer: Dancer, seed: int, outputs: Outputs, track: Track) -> Motion:
    """Dance to the outputs on a track, with noise that belongs to the track and the seed."""
    danced_to: Motion = dancer(torch.from_numpy(outputs), zlib.crc32(f"{track.id} {seed}".encode()))
    return danced_to


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
def average_body(paths: tuple[Path, ...]) -> Body:
    """The average body of the dancers of some motion files."""
    return Body.average([_named(path, Body.of) for path in paths])


@cache
def danced(path: Path, body: Body) -> Rows:
    """The rows of a dance; every probe asks for them again."""
    return _named(path, body.rows)


def _named(path: Path, use: Callable[[Motion], T]) -> T:
    """What is made of the dance in a file, which an error names."""
    motion = read_motion(path)
    try:
        return use(motion)
    except MotionError as error:
        raise MotionError(f"{path}: {error}") from error


def music_of(track: Track) -> Music:
    """The beats of a track, annotated or else estimated, and how long it lasts."""
    if track.has(Beats):
        return Music(track.get(Beats).times, track.duration)
    return _estimated(track.audio_path)._replace(duration=track.duration)


_estimated = cache(estimate_beats)


def _set_scores(made: Sequence[Motion], real: Sequence[Motion]) -> dict[str, float]:
    """Distance of the clips to those of real dances, and their diversity.

    Real dances are not compared with themselves: every other clip of them with the rest.
    """
    scores: dict[str, float] = {"clips": float(sum(len(_clips(motion)) for motion in made))}
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
            ours, theirs = theirs[::2], theirs[1::2]
        enough = min(len(ours), len(theirs)) > 1
        scores[f"fid_{name}"] = frechet_distance(ours, theirs) if enough else np.nan
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
