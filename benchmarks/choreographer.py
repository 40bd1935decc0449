"""Dances to any song: a decoder is trained once on the features of an encoder, and cached."""

import io
import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
from safetensors import safe_open
from safetensors.torch import save_file

from motionbeat.benchmarks.cli import CACHE, DATA, Options, share, split
from motionbeat.benchmarks.evaluator import Folders, plan
from motionbeat.benchmarks.live_stage import STDIN, Performance, json_lines, parts_of
from motionbeat.benchmarks.protocol import Probing, best_of
from motionbeat.benchmarks.registry import check_available
from motionbeat.benchmarks.report.dance_viewer import (
    Shown,
    own_scores,
    sound,
    viewer_data,
    write_dance_page,
)
from motionbeat.benchmarks.stick_figure import ffmpeg, write_gif, write_mp4
from motionbeat.console import say
from motionbeat.data_modules.base import Beats
from motionbeat.data_modules.motion_formats import write_bvh
from motionbeat.encoding import find_encoder
from motionbeat.errors import MotionBeatError
from motionbeat.files import WriteError, replacing, write_atomically
from motionbeat.motion import Motion
from motionbeat.tasks.dance_generation import DanceGeneration
from motionbeat.tasks.metrics.dance_alignment import Music
from motionbeat.tasks.metrics.dance_scores import estimate_beats
from motionbeat.threads import one_thread
from motionbeat.weights import FOLDER

KINDS = (".mp4", ".gif", ".html", ".bvh", ".npz")
STREAM_KINDS = (".gif", ".bvh", ".npz")  # without the sound
_DANCER = "dancer"  # key of the metadata of a shipped dancer


class DanceError(MotionBeatError):
    """A dance that cannot be made, with the remedy."""


def shipped_dancer(encoder: str, folder: Path = FOLDER) -> DanceGeneration | None:
    """The shipped dance task of an encoder, trained on groovebox; None if there is none."""
    path = folder / f"{encoder}-dancer.safetensors"
    if not path.is_file():
        return None
    with safe_open(path, framework="pt") as file:
        facts = json.loads(file.metadata()[_DANCER])
        state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    task = DanceGeneration(encoder)
    if facts["revision"] != task.card.revision:
        return None
    standard = {name: state[f"head.{name}"] for name in ("mean", "std")}
    task.learned = {"bones": tuple(facts["bones"]), **standard}
    task.head = task.configure_head(task.card.layers, task.card.width)
    task.load_state_dict(state)
    return task


def save_dancer(task: DanceGeneration, path: Path) -> None:
    """Write the dance task of an encoder for :func:`shipped_dancer`."""
    facts = {"revision": task.card.revision, "bones": list(task.learned["bones"])}
    with replacing(path) as unfinished:
        save_file(task.state_dict(), unfinished, {_DANCER: json.dumps(facts)})


def choreographer(
    encoder: str, dataset: str, dataset_options: Mapping[str, Any] | None, folders: Folders
) -> DanceGeneration:
    """The dance task of an encoder, trained on the dances of a dataset on first use.

    The learning rate with the lowest denoising error on the validation split is used, with the
    first seed. If the encoder has an entry on that dataset, its decoder is reused.

    Raises:
        MotionBeatError: a name is unknown, the dataset is missing or without dances, or the cache
            cannot be written.
    """
    evaluation = plan(DanceGeneration.name, dataset, folders, dataset_options=dataset_options)
    fold = evaluation.folds[0]
    kind = find_encoder(encoder)
    check_available([kind])
    fold.train_data.prepare_data()
    name = f"{kind.card.name} · {fold.test_data.card.name}"
    data = fold.train_data, fold.test_data
    probing = Probing(DanceGeneration, encoder, "decoder", "frozen", *data, folders.cache, name)
    members = [(0, rate) for rate in evaluation.protocol.learning_rates]
    if not probing.kept(members).is_file():
        assert fold.tracks, "its tracks are checked before anything is trained"
        say(f"{name}: training the dance decoder, once; it is cached")
    with one_thread():
        ensemble = probing.train(members, "learning rates")
    best = best_of(ensemble.monitors.tolist(), DanceGeneration.mode)
    return cast("DanceGeneration", ensemble.tasks[best])


def write(motion: Motion, music: Music, song: Path, path: Path) -> None:
    """Write a dance in the format of the path's suffix.

    Raises:
        PictureError: ffmpeg, which writes videos, is missing or fails.
        WriteError: the file cannot be written.
    """
    kind, beats = path.suffix.lower(), Beats(music.beats)
    if kind == ".html":
        shown = Shown("dance", motion, own_scores(motion, music))
        data = viewer_data([shown], beats, music.duration) | sound(song)
        write_dance_page(path, f"Dance to {song.name}", [data | {"title": song.stem}])
    elif kind == ".mp4":
        write_mp4(motion, beats, song, path)
    elif kind == ".gif":
        write_gif(motion, beats, path)
    elif kind == ".bvh":
        write_bvh(motion, path)
    else:
        buffer = io.BytesIO()
        np.savez(buffer, **motion.arrays())  # type: ignore[arg-type]
        write_atomically(path, buffer.getvalue())


def check_outputs(out: str, kinds: Sequence[str] = KINDS) -> list[Path]:
    """Output paths of a dance, checked before anything is computed.

    Raises:
        MotionBeatError: a format is unknown, a folder cannot be written, or ffmpeg is missing.
    """
    outputs = [Path(name) for name in split(out)]
    for path in outputs:
        if path.suffix.lower() not in kinds:
            raise DanceError(f"{path}: unknown format; use one of {', '.join(kinds)}")
        if path.suffix.lower() == ".mp4":
            ffmpeg()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=path.parent):
                pass
        except OSError as error:
            raise WriteError(
                f"{path.parent}: cannot be written ({error.strerror}); choose another folder"
            ) from error
    return outputs


def dance(
    song: Path,
    out: str | None = None,
    live: bool = False,
    encoder: str | None = None,
    dataset: str = "groovebox",
    dataset_options: Options | None = None,
    seed: int = 0,
    cache: Path = CACHE,
    data: Path | None = DATA,
) -> None:
    """Generate a dance to a song; a decoder that is not shipped is trained on first use.

    Args:
        song: music (.wav, .flac, .ogg, .mp3). With --live, - reads music from stdin (16-bit
            little-endian samples, mono, 22.05 kHz), and poses are printed as they are computed.
        out: output files, separated by commas: a page (.html), a video (.mp4, .gif) or a motion
            (.bvh, .npz). By default dance.mp4, and none for stdin.
        live: dance while the music plays, using only past audio.
        encoder: name, package.module:Class or file.py:Class of the encoder whose features the
            decoder uses. By default motionbeat-small, or motionbeat-live with --live.
        dataset: dataset whose dances the decoder is trained on.
        dataset_options: arguments of the dataset, for example {train: 8} for a larger groovebox.
        seed: seed of the noise; each seed gives a different dance.
        cache: folder for generated data, features and trained decoders (MOTIONBEAT_CACHE).
        data: folder with datasets and weights that you provide (MOTIONBEAT_DATA).

    Raises:
        MotionBeatError: the song is unreadable, an output cannot be written, or a name is unknown.
    """
    share(data)
    streamed = song == STDIN
    if streamed and not live:
        raise DanceError("music from stdin needs --live; add it")
    if out is None:
        out = "" if streamed else "dance.mp4"
    outputs = check_outputs(out, STREAM_KINDS if streamed else KINDS)
    if not outputs and not streamed:
        raise DanceError("no output file; name one with --out")
    if not streamed and not song.is_file():
        raise DanceError(f"{song}: no such song; give a WAV, FLAC, OGG or MP3 file")
    music = None if live else estimate_beats(song)
    name = encoder or ("motionbeat-live" if live else "motionbeat-small")
    shipped = dataset == "groovebox" and dataset_options is None
    task = (shipped_dancer(name) if shipped else None) or choreographer(
        name, dataset, dataset_options, Folders(cache, data=data)
    )
    task.seed = seed
    if music is None:
        motion, music = dance_live(task, song, bool(outputs))
    else:
        motion = task.predict(song)
    if not len(music.beats):
        say(f"{song}: no beats found, so the dance shows none")
    for path in outputs:
        write(motion, music, song, path)
        say(f"{path}: {motion.duration:.1f} s of dance")


def dance_live(task: DanceGeneration, song: Path, keep: bool) -> tuple[Motion, Music]:
    """Dance to a song while it plays; for stdin, print the poses as they are computed.

    With ``keep`` False only the last poses are returned, so that an endless stream needs bounded
    memory.
    """
    performance = Performance(task)
    pieces: list[Motion] = []
    count = 0
    for motion in performance.dance(parts_of(song)):
        if song == STDIN:
            for line in json_lines(motion, count):
                print(line, flush=True)
        count += len(motion.positions)
        if not keep:
            pieces.clear()
        pieces.append(motion)
    say(f"{song}: danced at {performance.pace}")
    positions, contacts = (
        np.concatenate([getattr(piece, part) for piece in pieces])
        for part in ("positions", "contacts")
    )
    return Motion(positions, pieces[-1].fps, contacts), performance.music
