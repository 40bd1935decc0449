"""Dancing to any song: a decoder is trained once on the features of an encoder, and kept."""

import io
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np

from motionbeat.benchmarks.evaluator import Folders, plan
from motionbeat.benchmarks.protocol import Probing, best_of
from motionbeat.benchmarks.stick_figure import ffmpeg, write_gif, write_mp4
from motionbeat.console import say
from motionbeat.data_modules.base import Beats
from motionbeat.data_modules.motion_formats import write_bvh
from motionbeat.encoding import find_encoder
from motionbeat.errors import MotionBeatError
from motionbeat.files import WriteError, write_atomically
from motionbeat.motion import Motion
from motionbeat.tasks.dance_generation import DanceGeneration
from motionbeat.tasks.metrics.dance_scores import estimate_beats
from motionbeat.threads import one_thread


class DanceError(MotionBeatError):
    """A dance that cannot be made, with the remedy."""


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
    name = f"{find_encoder(encoder).card.name} · {fold.test_data.card.name}"
    evaluation.check(encoder)
    fold.train_data.prepare_data()
    probing = Probing(
        evaluation.task,
        encoder,
        "decoder",
        "frozen",
        fold.train_data,
        fold.test_data,
        folders.cache,
        name,
    )
    members = [(0, rate) for rate in evaluation.protocol.learning_rates]
    if not probing.kept(members).is_file():
        assert fold.tracks, "its tracks are checked before anything is trained"
        say(f"{name}: learns to dance, once; the next time it only dances")
    with one_thread():
        ensemble = probing.train(members, "learning rates")
    best = best_of(ensemble.monitors.tolist(), DanceGeneration.mode)
    return cast("DanceGeneration", ensemble.tasks[best])


def write_npz(motion: Motion, path: Path) -> None:
    """Write a dance as ``.npz``.

    Raises:
        WriteError: the file cannot be written.
    """
    buffer = io.BytesIO()
    np.savez(buffer, **motion.arrays())  # type: ignore[arg-type]
    write_atomically(path, buffer.getvalue())


WRITERS: dict[str, Callable[[Motion, Beats, Path, Path], None]] = {
    ".mp4": write_mp4,
    ".gif": lambda motion, beats, _, path: write_gif(motion, beats, path),
    ".bvh": lambda motion, _, __, path: write_bvh(motion, path),
    ".npz": lambda motion, _, __, path: write_npz(motion, path),
}
"""By the ending of a file: what writes a dance, the beats of its song, and the song, to a path."""


def dance(
    song: Path,
    outputs: Sequence[Path],
    encoder: str,
    dataset: str,
    dataset_options: Mapping[str, Any] | None,
    seed: int,
    folders: Folders,
) -> None:
    """Dance to a song, and write the dance.

    Args:
        song: audio file.
        outputs: where to write it; the ending says as what.
        encoder: name of the encoder whose features the decoder is given.
        dataset: whose dances are learned from.
        dataset_options: arguments of the dataset's constructor.
        seed: another one is another dance.
        folders: where things lie.

    Raises:
        MotionBeatError: the song is unreadable, an output cannot be written, a name is unknown.
    """
    if not outputs:
        raise DanceError("no file to write the dance to; name one by --out")
    for path in outputs:
        check_output(path)
    if not song.is_file():
        raise DanceError(f"{song}: no such song; give a WAV, FLAC, OGG or MP3 file")
    beats = Beats(estimate_beats(song).beats)
    task = choreographer(encoder, dataset, dataset_options, folders)
    task.seed = seed
    motion: Motion = task.predict(song)
    if not len(beats.times):
        say(f"{song}: has no beat, so none is marked; the dance goes on without")
    for path in outputs:
        WRITERS[path.suffix.lower()](motion, beats, song, path)
        say(f"{path}: {motion.duration:.1f} s of dance")


def check_output(path: Path) -> None:
    """Check, before any work is done, that a dance can be written somewhere.

    Raises:
        DanceError: the ending is unknown.
        PictureError: there is no ffmpeg for a video.
        WriteError: the folder cannot be written.
    """
    kind = path.suffix.lower()
    if kind not in WRITERS:
        raise DanceError(f"{path}: unknown kind of dance; let its name end in {', '.join(WRITERS)}")
    if kind == ".mp4":
        ffmpeg()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise WriteError(
            f"{path.parent}: cannot be written ({error.strerror}); choose another folder"
        ) from error
