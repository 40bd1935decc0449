"""Dancing to any song: a decoder is trained once on the features of an encoder, and kept."""

import io
import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
from safetensors import safe_open
from safetensors.torch import save_file

from motionbeat.benchmarks.cli import CACHE, DATA, Options, share, split
from motionbeat.benchmarks.evaluator import Folders, plan
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
_DANCER = "dancer"  # key of the metadata of a shipped dancer


class DanceError(MotionBeatError):
    """A dance that cannot be made, with the remedy."""


def shipped_dancer(encoder: str, folder: Path = FOLDER) -> DanceGeneration | None:
    """The dance task of an encoder that was trained on groovebox; None where none is shipped."""
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

    Of the learning rates the one is taken that denoises the validation split best, with the first
    seed. It is the decoder of the encoder's entry, if that was run before.

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
        say(f"{name}: learns to dance, once; the next time it only dances")
    with one_thread():
        ensemble = probing.train(members, "learning rates")
    best = best_of(ensemble.monitors.tolist(), DanceGeneration.mode)
    return cast("DanceGeneration", ensemble.tasks[best])


def write(motion: Motion, music: Music, song: Path, path: Path) -> None:
    """Write a dance as what the ending of the path says.

    Raises:
        PictureError: there is no ffmpeg for a video, or it fails.
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


def dance(
    song: Path,
    out: str = "dance.mp4",
    encoder: str = "motionbeat-small",
    dataset: str = "groovebox",
    dataset_options: Options | None = None,
    seed: int = 0,
    cache: Path = CACHE,
    data: Path | None = DATA,
) -> None:
    """Dance to a song. The dancer of motionbeat-small is shipped, others are trained on first use.

    Args:
        song: music (.wav, .flac, .ogg, .mp3).
        out: file for the dance, a page (.html), a video (.mp4, .gif) or a motion (.bvh,
            .npz); several are separated by commas.
        encoder: a name or package.module:Class; what the dancer hears the music by.
        dataset: whose dances are learned from.
        dataset_options: arguments of the dataset, for example {train: 8} for a larger groovebox.
        seed: another one is another dance.
        cache: folder for generated data, features and trained dancers (MOTIONBEAT_CACHE).
        data: folder with datasets and weights put in place by hand (MOTIONBEAT_DATA).

    Raises:
        MotionBeatError: the song is unreadable, an output cannot be written, a name is unknown.
    """
    share(data)
    outputs = [Path(name) for name in split(out)]
    if not outputs:
        raise DanceError("no file to write the dance to; name one by --out")
    for path in outputs:
        if path.suffix.lower() not in KINDS:
            raise DanceError(
                f"{path}: unknown kind of dance; let its name end in {', '.join(KINDS)}"
            )
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
    if not song.is_file():
        raise DanceError(f"{song}: no such song; give a WAV, FLAC, OGG or MP3 file")
    music = estimate_beats(song)
    shipped = dataset == "groovebox" and dataset_options is None
    task = (shipped_dancer(encoder) if shipped else None) or choreographer(
        encoder, dataset, dataset_options, Folders(cache, data=data)
    )
    task.seed = seed
    motion: Motion = task.predict(song)
    if not len(music.beats):
        say(f"{song}: has no beat, so none is marked; the dance goes on without")
    for path in outputs:
        write(motion, music, song, path)
        say(f"{path}: {motion.duration:.1f} s of dance")
