"""Data of the dance viewer, and a page of dances that is one file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from markupsafe import Markup

from motionbeat.audio import load_audio, resample
from motionbeat.benchmarks.report.writing import STATIC, as_json, packed, page, scripts
from motionbeat.benchmarks.stick_figure import grounded
from motionbeat.data_modules.base import Beats
from motionbeat.files import write_atomically
from motionbeat.motion import FEET, JOINTS, PARENTS, Motion, MotionError
from motionbeat.tasks.metrics.dance_alignment import Music
from motionbeat.tasks.metrics.dance_physics import PFC_FPS
from motionbeat.tasks.metrics.dance_scores import BEAT_SCORES, PHYSICAL_SCORES, check_length
from motionbeat.tasks.metrics.per_track import Floats

FPS = 30.0
"""Frames a second that pages keep of a motion; between them the viewer interpolates."""

AUDIO_RATE = 22050  # Hz
AUDIO_TYPE = "audio/ogg"
_BLOCK = 1 << 16  # samples; libsndfile overflows the stack with long blocks of Vorbis
_REACH = 32.767  # m, of millimetres in 16 bits

SKELETON = {
    "parents": PARENTS,
    "feet": FEET,
    "sides": "".join(name[0] if name[1] == "_" else "-" for name in JOINTS),
}


@dataclass(frozen=True, eq=False)
class Shown:
    """A dance to be shown, with its scores by title."""

    name: str
    motion: Motion
    scores: Mapping[str, float] = field(default_factory=dict)
    note: str = ""


def viewer_data(dances: Sequence[Shown], beats: Beats, duration: float) -> dict[str, Any]:
    """What the viewer is given, but for the music.

    Args:
        dances: to one piece of music, from its beginning on.
        beats: of the music.
        duration: of the music in seconds.
    """
    return {
        "skeleton": SKELETON,
        "duration": duration,
        "beats": beats.times,
        "downbeats": [] if beats.downbeats is None else beats.downbeats,
        "dances": [_packed_dance(dance) for dance in dances],
    }


def _packed_dance(dance: Shown) -> dict[str, Any]:
    """Joints in whole millimetres with the floor at 0, and a bit for each foot that is down."""
    motion = dance.motion
    slow = len(motion.positions) < 4 or motion.fps <= FPS
    positions = motion.positions if slow else motion.at(FPS)
    fps = motion.fps if slow else FPS
    contacts = None
    if motion.contacts is not None:
        frames = np.round(np.arange(len(positions)) / fps * motion.fps).astype(int)
        down = motion.contacts[np.minimum(frames, len(motion.contacts) - 1)]
        contacts = packed((down << np.arange(len(FEET))).sum(axis=1).astype(np.uint8))
    joints = grounded(Motion(positions, fps))
    joints[..., [0, 2]] -= joints[:1, :1, [0, 2]]  # so that far places fit
    metres = np.clip(joints, -_REACH, _REACH)
    return {
        "name": dance.name,
        "note": dance.note,
        "fps": fps,
        "positions": packed(np.round(1000 * metres).astype("<i2")),
        "contacts": contacts,
        "scores": dict(dance.scores),
    }


def own_scores(motion: Motion, music: Music | None) -> dict[str, float]:
    """BAS with its own music and PFC of a dance; none of one that is too short for them."""
    try:
        check_length(motion)
        pfc = PHYSICAL_SCORES["PFC"][1](motion.at(PFC_FPS))
    except MotionError:
        return {}
    if music is None:
        return {"PFC": pfc}
    return {"BAS": BEAT_SCORES["BAS fact"].pairs([motion], [music], [0]).whole.item(), "PFC": pfc}


def ogg(path: Path) -> tuple[bytes, Floats]:
    """A recording as mono Ogg Vorbis, and the waveform it is made of.

    Vorbis starts at the first sample, where MP3 has a delay that not every player takes off.

    Raises:
        AudioError: the file is missing or cannot be read.
    """
    waveform = resample(*load_audio(path), AUDIO_RATE)
    content = BytesIO()
    with soundfile.SoundFile(content, "w", AUDIO_RATE, 1, format="OGG", subtype="VORBIS") as file:
        for start in range(0, len(waveform), _BLOCK):
            file.write(waveform[start : start + _BLOCK])
    return content.getvalue(), waveform.astype(np.float64)


def sound(path: Path) -> dict[str, Any]:
    """The music as it lies in a page that is one file.

    Raises:
        AudioError: the file is missing or cannot be read.
    """
    content, _ = ogg(path)
    return {"content": packed(np.frombuffer(content, np.uint8)), "type": AUDIO_TYPE}


def write_dance_page(
    path: Path, title: str, songs: Sequence[dict[str, Any]], facts: Sequence[Any] = ()
) -> None:
    """Write a page of dances that stands alone: one file, which opens from disk.

    Args:
        path: of the page.
        title: its heading.
        songs: :func:`viewer_data` with the music of each and its ``title``.
        facts: rows of a table below, the first of them titles.

    Raises:
        WriteError: the file cannot be written.
    """
    content = page(
        "dance.html",
        title=title,
        style=Markup((STATIC / "report.css").read_text()),  # our own, and nobody else's text
        script=Markup(scripts(["report.js", "viewer.js", "dance.js"])),
        data=Markup(as_json({"songs": list(songs), "facts": list(facts)})),
    )
    write_atomically(path, content.encode())
