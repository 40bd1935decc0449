"""Dances to look at: a stick figure on a floor, as a video with its music or as a GIF."""

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter1d

from motionbeat.console import bar
from motionbeat.data_modules.base import Beats
from motionbeat.errors import MotionBeatError
from motionbeat.files import replacing
from motionbeat.motion import FEET, JOINTS, PARENTS, Motion

Floats = NDArray[np.float64]

SUPERSAMPLING = 2
"""Times the pixels drawn in each direction, for smooth lines."""

BACKGROUND, INK, GRID = "#faf9f6", "#343a46", "#dedcd6"
LEFT, RIGHT, PULSE = "#d64e3a", "#1e70b0", "#f0aa1e"

_VIDEO, _GIF = (640, 30.0), (240, 12.5)  # pixels of a side, frames a second; a GIF counts in 10 ms
_YAW, _PITCH = np.radians(25), np.radians(12)  # the camera stands to the dancer's left, above
_FOLLOW = 1.0  # s; the camera follows the dancer this smoothly
_LINES = np.arange(-2.5, 2.5, 0.5)  # m, of the floor about the dancer
_LIMB, _HEAD, _DISC, _RING = 0.045, 0.11, 0.085, 0.4  # m; a width, and radii
_FADE = 0.15  # s in which the ring of a beat shrinks to 37 %


class PictureError(MotionBeatError):
    """A video that cannot be made, with the remedy."""


class Canvas(NamedTuple):
    """A picture that is drawn on in metres, seen from slightly above and beside the front.

    Attributes:
        draw: of the picture.
        scale: pixels a metre.
        origin: pixel of the target.
        target: (3,) point on the floor, below the dancer.
    """

    draw: ImageDraw.ImageDraw
    scale: float
    origin: tuple[float, float]
    target: Floats

    def pixels(self, points: Floats) -> Floats:
        """(..., 2) pixels of points (..., 3)."""
        x, y, z = np.moveaxis(points - self.target, -1, 0)
        right, near = x * np.cos(_YAW) - z * np.sin(_YAW), x * np.sin(_YAW) + z * np.cos(_YAW)
        up = y * np.cos(_PITCH) - near * np.sin(_PITCH)
        return np.asarray(np.stack([right, -up], axis=-1) * self.scale + np.array(self.origin))

    def line(self, points: Floats, colour: str, width: float) -> None:
        """A line with round ends through points (n, 3), so many metres wide."""
        places, pixels = self.pixels(points), max(1, round(width * self.scale))
        self.draw.line([tuple(place) for place in places], colour, pixels, joint="curve")
        for place in (places[0], places[-1]):
            self.draw.circle(tuple(place), pixels / 2, colour)

    def floor(self) -> None:
        """The lines of the floor, which stay where they are when the camera moves."""
        for axis in (0, 2):
            for place in _LINES - self.target[axis] % 0.5 + 0.5:
                ends = self.target + np.zeros((2, 3))
                ends[:, axis] += place
                ends[:, 2 - axis] += _LINES[[0, -1]]
                self.line(ends, GRID, 0.01)

    def figure(self, joints: Floats, contacts: NDArray[np.bool_] | None) -> None:
        """A body (24, 3), far limbs first, on discs where its feet touch the floor."""
        for foot, down in zip(FEET, () if contacts is None else contacts, strict=False):
            if down:
                disc = self.pixels(_circle(joints[foot], _DISC))
                self.draw.polygon([tuple(place) for place in disc], _colour(foot))
        near = joints @ [np.sin(_YAW), 0, np.cos(_YAW)]
        for joint in sorted(range(1, len(JOINTS)), key=lambda j: near[j] + near[PARENTS[j]]):
            self.line(joints[[PARENTS[joint], joint]], _colour(joint), _LIMB)
        head = self.pixels(joints[JOINTS.index("head")] + [0, _HEAD / 2, 0])
        self.draw.circle(tuple(head), _HEAD * self.scale, INK)


def _circle(centre: Floats, radius: float) -> Floats:
    """(n, 3) points of a circle on the floor."""
    turn = np.exp(2j * np.pi * np.arange(37) / 36)
    flat = np.stack([turn.real, 0 * turn.real, turn.imag], axis=-1)
    return np.asarray(centre * [1, 0, 1] + radius * flat)


def _colour(joint: int) -> str:
    return {"l_": LEFT, "r_": RIGHT}.get(JOINTS[joint][:2], INK)


def frames(motion: Motion, beats: Beats, size: int, fps: float) -> Iterator[Image.Image]:
    """Pictures of a dance, each at the moment its frame begins; a ring pulses with the beats.

    Args:
        motion: the dance.
        beats: of its music; rings of downbeats are larger.
        size: pixels of a side.
        fps: pictures a second.
    """
    moments = np.arange(max(1, round(motion.duration * fps))) / fps
    index = np.minimum(np.round(moments * motion.fps).astype(int), len(motion.positions) - 1)
    joints = grounded(motion)[index]
    targets = gaussian_filter1d(joints[:, 0] * [1, 0, 1], _FOLLOW * fps, axis=0, mode="nearest")
    side = size * SUPERSAMPLING
    with bar("frames") as progress:
        steps = list(zip(moments, joints, targets, index, strict=True))
        for moment, pose, target, frame in progress.track(steps, description="drawing"):
            picture = Image.new("RGB", (side, side), BACKGROUND)
            canvas = Canvas(ImageDraw.Draw(picture), 0.4 * side, (side / 2, 0.82 * side), target)
            canvas.floor()
            last = int(np.searchsorted(beats.times, moment + 1e-6)) - 1
            strength = np.exp((beats.times[last] - moment) / _FADE) if last >= 0 else 0
            if strength > 0.05:
                radius = _RING * (1.4 if is_downbeat(beats, last) else 1)
                canvas.line(_circle(target, radius), PULSE, 0.06 * strength)
            canvas.figure(pose, None if motion.contacts is None else motion.contacts[frame])
            yield picture.reduce(SUPERSAMPLING)


def is_downbeat(beats: Beats, number: int) -> bool:
    """Whether a beat is known to be a downbeat."""
    return beats.positions is not None and bool(beats.positions[number] == 1)


def grounded(motion: Motion) -> Floats:
    """Joints with the floor at height 0: that of the lowest feet but for strays."""
    joints = motion.positions.astype(np.float64)
    joints[..., 1] -= np.percentile(joints[:, FEET, 1], 5)
    return joints


def write_mp4(motion: Motion, beats: Beats, song: Path, path: Path) -> None:
    """Write a dance as a video in H.264 with its music in AAC.

    Raises:
        PictureError: there is no ffmpeg, or it fails.
        WriteError: the file cannot be written.
    """
    size, fps = _VIDEO
    raw = f"-v error -y -f rawvideo -pix_fmt rgb24 -s {size}x{size} -r {fps:g} -i pipe:"
    coded = (
        "-map 0:v -map 1:a:0 -c:v libx264 -preset veryfast -crf 20 -pix_fmt yuv420p "
        "-c:a aac -b:a 160k -movflags +faststart -f mp4"
    )
    with replacing(path) as unfinished, tempfile.TemporaryFile() as log:
        command = [ffmpeg(), *raw.split(), "-i", f"file:{song}"]
        command += [*coded.split(), f"file:{unfinished}"]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=log)
        # A broken pipe says that ffmpeg gave up; its log says why.
        with process, suppress(BrokenPipeError), process.stdin as pipe:  # type: ignore[union-attr]
            for picture in frames(motion, beats, size, fps):
                pipe.write(picture.tobytes())
        if process.returncode:
            log.seek(0)
            reason = log.read().decode(errors="replace").strip().splitlines() or ["no reason"]
            raise PictureError(
                f"{path}: ffmpeg failed ({reason[-1]}); free some space, or choose .gif"
            )


def write_gif(motion: Motion, beats: Beats, path: Path) -> None:
    """Write a dance as a GIF that goes round and round.

    Raises:
        WriteError: the file cannot be written.
    """
    pictures = (one.quantize(64, dither=Image.Dither.NONE) for one in frames(motion, beats, *_GIF))
    with replacing(path) as unfinished:
        next(pictures).save(
            unfinished,
            "GIF",
            save_all=True,
            append_images=pictures,
            duration=1000 / _GIF[1],
            loop=0,
        )


def ffmpeg() -> str:
    """The program that makes videos.

    Raises:
        PictureError: there is none.
    """
    try:
        from imageio_ffmpeg import get_ffmpeg_exe

        return str(get_ffmpeg_exe())
    except (ImportError, RuntimeError) as error:
        raise PictureError(
            "no ffmpeg to make .mp4 with; run: pip install --force-reinstall imageio-ffmpeg, or "
            "choose .gif"
        ) from error
