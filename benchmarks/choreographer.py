"""Dancing to any song: a decoder trained once on frozen features, kept, and asked ever after."""

import io
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from motionbeat.benchmarks.kept import keep, recall
from motionbeat.benchmarks.runner import Folders, Run, embed, folds, protocol_of, serves
from motionbeat.benchmarks.training import feature_statistics, train
from motionbeat.tasks.features import Resampled
from motionbeat.tasks.probe import Member
from torch import Tensor, nn

from motionbeat.audio import load_audio
from motionbeat.benchmarks.registry import DATASETS, ENCODERS, TASKS
from motionbeat.benchmarks.stick_figure import ffmpeg, write_gif, write_mp4
from motionbeat.benchmarks.store import audio_digest
from motionbeat.console import say
from motionbeat.data_modules.base import Beats, MotionFile, Track
from motionbeat.data_modules.motion_formats import write_bvh
from motionbeat.encoder import Encoder
from motionbeat.errors import MotionBeatError
from motionbeat.files import WriteError, write_atomically
from motionbeat.motion import JOINTS, Motion
from motionbeat.tasks.dance_generation import (
    DanceGeneration,
    DanceHead,
    Dancer,
    average_body,
    perform,
)
from motionbeat.tasks.metrics.dance_scores import estimate_beats
from motionbeat.tasks.poses import FPS, WIDTH, Body


class DanceError(MotionBeatError):
    """A dance that cannot be made, with the remedy."""


class Choreographer(nn.Module):
    """Dances to what an encoder hears; its state is all that was learned.

    Args:
        encoder: whose features it has learned from.
    """

    bones: Tensor
    mean: Tensor
    std: Tensor

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        layers, width = encoder.card.layers, encoder.card.width
        self.probe = DanceHead(layers, width, 0, torch.zeros(WIDTH), torch.ones(WIDTH))
        self.register_buffer("bones", torch.zeros(len(JOINTS), dtype=torch.float64))
        self.register_buffer("mean", torch.zeros(layers, width))
        self.register_buffer("std", torch.ones(layers, width))
        self.encoder = [encoder]  # in a list, so that its weights are no part of the state

    @torch.inference_mode()
    def dance(self, track: Track, seed: int, cache: Path) -> Motion:
        """Dance to a track for as long as it lasts; the same seed gives the same dance.

        Args:
            track: whose audio is listened to.
            seed: another one is another dance.
            cache: folder where features are kept.
        """
        [stored] = embed(self.encoder, [track], cache, DanceGeneration.pooling).values()
        source = Resampled(stored, FPS)
        features = torch.from_numpy(source.read(track, 0, source.length(track)))
        standardised = (features - self.mean) / self.std
        mixed = torch.tensordot(self.probe.layer_weights, standardised.movedim(-2, 0), dims=1)
        dancer = Dancer(self.probe, Body(self.bones.numpy()))
        motion = perform(dancer, seed, self.probe(mixed).numpy(), track)
        return excerpt(motion, 0.0, max(track.duration, 1 / FPS))


def excerpt(motion: Motion, start: float, seconds: float) -> Motion:
    """Some seconds of a dance."""
    frames = slice(round(start * motion.fps), round((start + seconds) * motion.fps))
    contacts = None if motion.contacts is None else motion.contacts[frames]
    return Motion(motion.positions[frames], motion.fps, contacts)


def choreographer(
    encoder: str, dataset: str, dataset_options: Mapping[str, Any] | None, folders: Folders
) -> Choreographer:
    """One who dances to what an encoder hears, trained on the dances of a dataset on first use.

    Of the learning rates of the dance task the one that denoises the validation split best is
    taken, with the first seed. It is the dancer of the encoder's row, if that was run before.

    Raises:
        MotionBeatError: a name is unknown, the dataset is missing or without dances, or the cache
            cannot be written.
    """
    chosen, task = ENCODERS.get(encoder), TASKS.get(DanceGeneration.name)
    modules = folds(dataset, dataset_options or {}, folders)[:1]
    run = Run(task, modules, protocol_of(task, seeds=1), folders)
    if not serves(run.examined, task):
        able = [name for name, other in DATASETS.classes.items() if serves(other, task)]
        raise DanceError(
            f"dataset '{dataset}' has no dances to learn from; try {' or '.join(sorted(able))}"
        )
    found = Choreographer(chosen())
    name = f"{chosen.card.name}-{run.encoder_key(chosen)}.safetensors"
    path = folders.cache / "dancers" / name
    if recall(found, path):
        return found
    label = f"{chosen.card.name} · {run.examined.card.name}"
    [fold] = run.folds
    source = run.embed(found.encoder)[chosen.card.name]
    tracks = fold.tracks["train"]
    statistics = feature_statistics(source, tracks)
    [probe] = task.probes
    members = [Member(0, rate) for rate in run.protocol.learning_rates]
    kept = run.kept(fold, chosen.card, probe, members)
    if not kept.is_file():
        say(f"{label}: learns to dance, once; the next time it only dances")
    trained = train(
        task,
        source,
        fold.teacher,
        fold.examined,
        probe=probe,
        members=members,
        statistics=statistics,
        label=f"{label} · learning rates",
        kept=kept,
    )
    best = min(trained, key=lambda one: one.monitor)
    found.probe.load_state_dict(best.probe.state_dict())
    body = average_body(tuple(track.get(MotionFile).path for track in tracks))
    mean, std = statistics
    found.bones.copy_(torch.from_numpy(body.bones))
    found.mean.copy_(torch.from_numpy(mean))
    found.std.copy_(torch.from_numpy(np.where(std > 1e-6, std, 1.0)))
    keep(found, path)
    return found


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
        encoder: what listens.
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
    waveform, rate = load_audio(song)
    digest = audio_digest(song)
    track = Track(digest, song, len(waveform) / rate, digest)
    motion = choreographer(encoder, dataset, dataset_options, folders).dance(
        track, seed, folders.cache
    )
    beats = Beats(estimate_beats(song).beats)
    if not len(beats.times):
        say(f"{song}: no beat is heard, so none is marked; the dance goes on without")
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
