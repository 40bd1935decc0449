"""Dances to look at: a stick figure on a floor, as a video with its music, a GIF or a picture."""

import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from scipy.ndimage import gaussian_filter1d

from motionbeat.console import bar
from motionbeat.data_modules.base import Beats
from motionbeat.errors import MotionBeatError
from motionbeat.files import replacing
from motionbeat.motion import FEET, JOINTS, PARENTS, Motion

VIDEO = 640, 30.0
"""Pixels of a side and frames a second of a video."""

GIF = 240, 12.5
"""The same of a GIF, whose frames last whole hundredths of a second."""

_FINER = 2  # times the pixels drawn in each direction, for smooth lines
_BACKGROUND, _INK, _PALE = (250, 249, 246), (52, 58, 70), (222, 220, 214)
_LEFT, _RIGHT, _PULSE = (214, 78, 58), (30, 112, 176), (240, 170, 30)
_FROM = np.radians(25), np.radians(12)  # the camera stands to the dancer's left of the front, above
_DISTANCE, _LOOK = 4.5, 0.85  # m to the dancer, m above the floor in the middle of the picture
_FOLLOW = 1.0  # s; the camera follows the dancer this smoothly
_GRID, _REACH = 0.5, 2.5  # m between the lines of the floor, and from the dancer to its edge
_LIMB, _HEAD, _DISC = 0.045, 0.11, 0.085  # m; width of a limb, radii of the head and of contacts
_FADE = 0.15  # s in which the pulse of a beat pales to 37 %
_RING = {False: (0.35, 0.03), True: (0.55, 0.06)}  # m; radius and width of a pulse, on downbeats
_CIRCLE = np.exp(2j * np.pi * np.arange(36) / 36)

Floats = NDArray[np.float64]
Colour = tuple[int, int, int]


class PictureError(MotionBeatError):
    """A video that cannot be made, with the remedy."""


@dataclass(frozen=True)
class Camera:
    """Where points in space are in a picture, seen from slightly above and beside the front.

    Attributes:
        scale: pixels of a metre at the dancer.
        centre: pixel of the point above the target that is looked at.
    """

    scale: float
    centre: tuple[float, float]

    def see(self, points: Floats, target: Floats) -> tuple[Floats, Floats]:
        """Pixels (..., 2) of points (..., 3), and their distance in metres along the view.

        Args:
            points: in metres.
            target: (..., 3) on the floor, where the dancer is taken to be.
        """
        (aside, above), (x, y, z) = _FROM, np.moveaxis(points - target, -1, 0)
        right = x * np.cos(aside) - z * np.sin(aside)
        near = x * np.sin(aside) + z * np.cos(aside)
        high = (y - _LOOK) * np.cos(above) - near * np.sin(above)
        depth = _DISTANCE - near * np.cos(above) - (y - _LOOK) * np.sin(above)
        size = self.scale * _DISTANCE / depth
        pixels = np.stack([self.centre[0] + size * right, self.centre[1] - size * high], axis=-1)
        return pixels, depth


@dataclass(frozen=True, eq=False)
class Pen:
    """Draws what lies in space.

    Attributes:
        draw: on what.
        camera: through which it is seen.
        target: (3,) where the dancer is taken to be.
    """

    draw: ImageDraw.ImageDraw
    camera: Camera
    target: Floats

    def floor(self) -> None:
        """The lines of the floor about the target."""
        for axis in (0, 2):
            first, last = self.target[axis] - _REACH, self.target[axis] + _REACH
            for place in np.arange(np.ceil(first / _GRID), last / _GRID) * _GRID:
                ends = np.stack([self.target, self.target])
                ends[:, axis] = place
                ends[:, 2 - axis] += (-_REACH, _REACH)
                self.draw.line(_flat(self.camera.see(ends, self.target)[0]), _PALE, _FINER)

    def round(self, place: Floats, radius: float) -> list[float]:
        """Outline of a circle on the floor."""
        circle = np.zeros((len(_CIRCLE), 3))
        circle[:, 0] = place[0] + radius * _CIRCLE.real
        circle[:, 2] = place[2] + radius * _CIRCLE.imag
        return _flat(self.camera.see(circle, self.target)[0])

    def pulse(self, strength: float, downbeat: bool) -> None:
        """A ring about the target that grows as it pales."""
        radius, width = _RING[downbeat]
        ring = self.round(self.target, radius * (1.3 - 0.3 * strength))
        pixels = round(width * self.camera.scale)
        self.draw.line(ring + ring[:4], _mixed(_PULSE, strength), pixels, joint="curve")

    def figure(self, joints: Floats, contacts: NDArray[np.bool_] | None) -> None:
        """A body (24, 3), far limbs first, on filled discs where its feet touch the floor."""
        for foot, down in zip(FEET, () if contacts is None else contacts, strict=False):
            if down:
                self.draw.polygon(self.round(joints[foot], _DISC), _colour(foot))
        pixels, depth = self.camera.see(joints, self.target)
        size = self.camera.scale * _DISTANCE / depth
        bones = [(depth[joint] + depth[PARENTS[joint]], joint) for joint in range(1, len(JOINTS))]
        for _, joint in sorted(bones, reverse=True):
            ends, width = pixels[[PARENTS[joint], joint]], round(_LIMB * size[joint])
            self.draw.line(_flat(ends), _colour(joint), width)
            for end in ends:
                self.draw.circle(tuple(end), width / 2, _colour(joint))
        neck, head = JOINTS.index("neck"), JOINTS.index("head")
        up = joints[head] - joints[neck]
        crown = joints[head] + up / max(float(np.linalg.norm(up)), 1e-6) * _HEAD / 2
        middle, _ = self.camera.see(crown, self.target)
        self.draw.circle(tuple(middle), _HEAD * size[head], _INK)


def frames(motion: Motion, beats: Beats, size: int, fps: float) -> Iterator[Image.Image]:
    """Pictures of a dance, each at the moment its frame begins.

    Below the dancer a ring pulses with the beats, at the lower edge time passes between them.

    Args:
        motion: the dance.
        beats: of its music; none are marked where there are none.
        size: pixels of a side.
        fps: pictures a second.
    """
    times = np.arange(frame_count(motion, fps)) / fps
    index = np.minimum(np.round(times * motion.fps).astype(np.int64), len(motion.positions) - 1)
    joints = grounded(motion)[index]
    targets = gaussian_filter1d(joints[:, 0] * (1, 0, 1), _FOLLOW * fps, axis=0, mode="nearest")
    side = size * _FINER
    camera = Camera(0.4 * side, (side / 2, 0.47 * side))
    empty = Image.new("RGB", (side, side), _BACKGROUND)
    left, right, level = 0.06 * side, 0.94 * side, 0.955 * side
    ends = left + (right - left) * np.append(times[1:], motion.duration) / motion.duration
    ticks = left + (right - left) * beats.times / motion.duration
    marks = ImageDraw.Draw(empty)
    marks.line((left, level, right, level), _PALE, 3 * _FINER)
    downbeats = strengths(beats)
    for tick, strong in zip(ticks, downbeats, strict=True):
        height = (0.018 if strong else 0.01) * side
        marks.line((tick, level - height, tick, level + height), _PULSE, _FINER)
    for moment, pose, target, frame, end in zip(times, joints, targets, index, ends, strict=True):
        picture = empty.copy()
        pen = Pen(ImageDraw.Draw(picture), camera, target)
        pen.floor()
        last = int(np.searchsorted(beats.times, moment + 1e-6)) - 1
        if last >= 0:
            strength = float(np.exp((beats.times[last] - moment) / _FADE))
            pen.pulse(min(strength, 1.0), downbeats[last])
        pen.figure(pose, None if motion.contacts is None else motion.contacts[frame])
        pen.draw.line((left, level, end, level), _INK, 3 * _FINER)
        yield picture.reduce(_FINER)


def frame_count(motion: Motion, fps: float) -> int:
    """Pictures of a dance, one at least."""
    return max(1, round(motion.duration * fps))


def strengths(beats: Beats) -> list[bool]:
    """Whether each beat is known to be a downbeat."""
    return [False] * len(beats.times) if beats.positions is None else list(beats.positions == 1)


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
    size, fps = VIDEO
    command = [
        *(ffmpeg(), "-v", "error", "-y"),
        *("-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{size}x{size}", "-r", f"{fps:g}"),
        *("-i", "pipe:", "-i", f"file:{song}", "-map", "0:v", "-map", "1:a:0"),
        *("-c:v", "libx264", "-preset", "veryfast", "-crf", "20", "-pix_fmt", "yuv420p"),
        *("-c:a", "aac", "-b:a", "160k", "-movflags", "+faststart", "-f", "mp4"),
    ]
    with replacing(path) as unfinished, tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            [*command, f"file:{unfinished}"], stdin=subprocess.PIPE, stderr=said
        )
        assert process.stdin is not None
        try:
            with process.stdin as pipe:
                for picture in shown(motion, beats, size, fps, path):
                    pipe.write(picture.tobytes())
        except BrokenPipeError:
            pass  # ffmpeg gave up, and says why
        finally:
            process.wait()
        if process.returncode:
            said.seek(0)
            reason = said.read().decode(errors="replace").strip().splitlines() or ["no reason"]
            raise PictureError(
                f"{path}: ffmpeg failed ({reason[-1]}); free some space, or choose .gif"
            )


def write_gif(motion: Motion, beats: Beats, path: Path) -> None:
    """Write a dance as a GIF that goes round and round.

    Raises:
        WriteError: the file cannot be written.
    """
    size, fps = GIF
    pictures = (
        picture.quantize(64, dither=Image.Dither.NONE)
        for picture in shown(motion, beats, size, fps, path)
    )
    with replacing(path) as unfinished:
        next(pictures).save(
            unfinished,
            format="GIF",
            save_all=True,
            append_images=pictures,
            duration=round(1000 / fps),
            loop=0,
        )


def shown(motion: Motion, beats: Beats, size: int, fps: float, path: Path) -> Iterator[Image.Image]:
    """The pictures of a dance, with a progress bar."""
    with bar("frames") as progress:
        yield from progress.track(
            frames(motion, beats, size, fps),
            total=frame_count(motion, fps),
            description=path.name,
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


def poses_strip(
    motions: Mapping[str, Motion], beats: Beats, path: Path, start: float, seconds: float = 4.5
) -> None:
    """Draw dances to the same music below each other, a row a name, beats as vertical lines.

    Args:
        motions: dances by name.
        beats: of the music.
        path: of the PNG.
        start: second of the first pose.
        seconds: from the first to the last pose.

    Raises:
        WriteError: the file cannot be written.
    """
    poses, column, row, label, edge = 10, *(_FINER * n for n in (124, 180, 150, 40))
    width, height = label + poses * column, row * len(motions) + edge
    picture = Image.new("RGB", (width, height), _BACKGROUND)
    draw = ImageDraw.Draw(picture)
    text = ImageFont.load_default(14 * _FINER)
    times = np.linspace(start, start + seconds, poses)

    def across(moment: float) -> float:
        return label + column / 2 + (moment - start) / seconds * (poses - 1) * column

    for beat, strong in zip(beats.times, strengths(beats), strict=True):
        if start <= beat <= start + seconds:
            line = (across(beat), 0, across(beat), height - edge)
            draw.line(line, _PULSE, (3 if strong else 1) * _FINER)
    for moment in times:
        place = across(moment), height - edge / 2
        draw.text(place, f"{moment:.1f} s", _INK, text, anchor="mm")
    for number, (name, motion) in enumerate(motions.items()):
        draw.text((10 * _FINER, (number + 0.5) * row), name, _INK, text, anchor="lm")
        joints = grounded(motion)
        for moment in times:
            frame = min(round(moment * motion.fps), len(joints) - 1)
            camera = Camera(0.43 * row, (across(moment), (number + 0.5) * row))
            contacts = None if motion.contacts is None else motion.contacts[frame]
            Pen(draw, camera, joints[frame, 0] * (1, 0, 1)).figure(joints[frame], contacts)
    with replacing(path) as unfinished:
        picture.reduce(_FINER).save(unfinished, format="PNG", optimize=True)


def _colour(joint: int) -> Colour:
    return {"l_": _LEFT, "r_": _RIGHT}.get(JOINTS[joint][:2], _INK)


def _mixed(colour: Colour, share: float) -> Colour:
    """A colour on the background, as if it let the rest shine through."""
    mixed = share * np.array(colour) + (1 - share) * np.array(_BACKGROUND)
    red, green, blue = mixed.round().astype(int).tolist()
    return red, green, blue


def _flat(points: Floats) -> list[float]:
    """Points (n, 2) as Pillow takes them."""
    flat: list[float] = points.ravel().tolist()
    return flat
