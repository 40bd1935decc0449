"""Fuzz the readers of user files: damage valid files of every kind and read them.

    python scripts/fuzz.py --variants 1000

A variant is a valid file that was mutated, truncated or extended, or whose header was falsified.
The reader may read it, or refuse it with a message of one line. Anything else is a fault: a
traceback, a message of several lines, or the use of more than ``MEMORY`` or ``SECONDS``. Each
variant is determined by its number, so that a fault can be reproduced:
``--kind motion --first 417 --variants 1 --keep folder``.
"""

import io
import json
import multiprocessing
import pickle
import resource
import shutil
import signal
import sys
import tarfile
import tempfile
import zipfile
from collections import Counter
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple

import jsonargparse
import numpy as np
import soundfile
import torch

from motionbeat.audio import audio_duration, load_audio
from motionbeat.benchmarks.cli import run
from motionbeat.benchmarks.pretrain_cli import LAST, resumable
from motionbeat.benchmarks.records import read_record
from motionbeat.data_modules.base import SPLITS
from motionbeat.data_modules.motion_formats import (
    MOTIONS,
    SMPL_OFFSETS,
    forward_kinematics,
    read_raw_motion,
    write_bvh,
)
from motionbeat.data_modules.published.download import unpack
from motionbeat.data_modules.published.labels_file import dataset_of
from motionbeat.errors import MotionBeatError
from motionbeat.model import MotionBeat
from motionbeat.motion import PARENTS, Motion
from motionbeat.pretraining.module import Pretraining
from motionbeat.weights import load_model, save_weights

MEMORY = 1 << 30
"""Bytes that reading a small file may take beyond the memory of the program itself."""

SECONDS = 20
"""Seconds that reading a small file may take."""

_EXTREMES = (0, 1, 7, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
_EXTREME_TEXTS = (b"nan", b"-1", b"1e308", b"999999999", b"", b"\0", "\u202e".encode(), b"'\"<&\\")


class Kind(NamedTuple):
    """A kind of file.

    Attributes:
        endings: of the names of valid files.
        write: writes a valid file to a path, in the format of its ending.
        read: reads a file as the program does.
    """

    endings: tuple[str, ...]
    write: Callable[[Path], None]
    read: Callable[[Path], Any]


def _write_audio(path: Path) -> None:
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, 16_000)
    soundfile.write(path, noise, 16_000)


def _read_audio(path: Path) -> None:
    audio_duration(path)
    load_audio(path)


def _write_motion(path: Path) -> None:
    rng = np.random.default_rng(0)
    standing = forward_kinematics(PARENTS, SMPL_OFFSETS[None], np.eye(3)[None, None].repeat(24, 1))
    positions = standing + 0.01 * rng.normal(size=(12, 24, 3))
    motion = Motion(positions.astype(np.float32), 30.0)
    if path.suffix == ".npz":
        np.savez(path, **motion.arrays())  # type: ignore[arg-type]
    elif path.suffix == ".npy":
        np.save(path, motion.positions)
    elif path.suffix == ".bvh":
        write_bvh(motion, path)
    else:
        smpl = {
            "smpl_poses": rng.normal(size=(12, 72)),
            "smpl_trans": rng.normal(size=(12, 3)),
            "smpl_scaling": np.ones(1),
        }
        path.write_bytes(pickle.dumps(smpl, protocol=4))


def _write_archive(path: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for name in ("a.txt", "inner/b.txt"):
            file = Path(folder) / name
            file.parent.mkdir(exist_ok=True)
            file.write_bytes(name.encode() * 50)
        if path.suffix == ".zip":
            with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
                for file in sorted(Path(folder).rglob("*.txt")):
                    archive.write(file, file.relative_to(folder))
        else:
            with tarfile.open(path, "w:" + path.suffix[1:].replace("tar", "")) as tar:
                tar.add(folder, ".")


def _unpack(path: Path) -> None:
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        target = Path(folder) / "target"
        target.mkdir()
        try:
            unpack(path, target, path.name)
        finally:
            outside = {*Path(folder).iterdir()} - {target}
            assert not outside, f"escaped: {outside}"


def _write_table(path: Path) -> None:
    for number in range(6):
        _write_audio(path.with_name(f"{number}.wav"))
    lines = [f"{n}.wav,{'ab'[n % 2]},x|y,120,{n}" for n in range(6)]
    path.write_text("\n".join(["path,label,tags,tempo,group", *lines]) + "\n")


def _read_table(path: Path) -> None:
    dataset = dataset_of(path)(cache=path.parent)
    for split in SPLITS:
        dataset.tracks(split)


def _record() -> bytes:
    folder = Path(__file__).resolve().parent.parent / "results" / "runs"
    return min(folder.rglob("*.json"), key=lambda path: path.stat().st_size).read_bytes()


def _write_weights(path: Path) -> None:
    save_weights(MotionBeat("tiny"), {"size": "tiny"}, path)


def _write_checkpoint(path: Path) -> None:
    model = Pretraining("tiny")
    torch.save(
        {
            "state_dict": model.state_dict(),
            "hyper_parameters": dict(model.hparams),
            "datamodule_hyper_parameters": {},
            "optimizer_states": [],
            "lr_schedulers": [],
            "loops": {},
            "callbacks": {},
            "global_step": 1,
        },
        path,
    )


def _resume(path: Path) -> None:
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        shutil.copy(path, Path(folder) / LAST)
        with redirect_stderr(io.StringIO()):
            resumable(Path(folder), Pretraining("tiny"))


SETTINGS = "task: genre\ndataset: groovebox\nheads: linear,knn\nseeds: 2\nlearning_rates: [0.01]\n"


def _read_settings(path: Path) -> None:
    said = io.StringIO()
    with redirect_stdout(said), redirect_stderr(said):
        try:
            run(["bench", "--config", str(path), "--print_config"])
        except SystemExit as stop:
            if stop.code:  # the parser has printed the reason
                raise MotionBeatError("refused") from stop


KINDS = {
    "audio": Kind(
        (".wav", ".flac", ".ogg", ".mp3", ".aiff", ".raw.wav"), _write_audio, _read_audio
    ),
    "motion": Kind(MOTIONS, _write_motion, lambda path: read_raw_motion(path, 30.0)),
    "archive": Kind((".zip", ".tar", ".tar.gz", ".tar.xz"), _write_archive, _unpack),
    "table": Kind((".csv",), _write_table, _read_table),
    "record": Kind(
        (".json",),
        lambda path: path.write_bytes(_record()) and None,
        lambda path: read_record(path),
    ),
    "checkpoint": Kind((".ckpt",), _write_checkpoint, _resume),
    "settings": Kind((".yaml",), lambda path: path.write_text(SETTINGS) and None, _read_settings),
    "weights": Kind((".safetensors",), _write_weights, load_model),
}


def mutate(content: bytes, rng: np.random.Generator) -> bytes:
    """Damage the content of a file at random places."""
    changed = bytearray(content)
    for _ in range(rng.integers(1, 4)):
        size = len(changed)
        place = int(rng.integers(size + 1))
        head = int(rng.integers(min(size, 128) + 1))
        run = int(rng.integers(1, 64))
        match rng.integers(8):
            case 0:  # flip bits
                for at in rng.integers(size, size=4) if size else ():
                    changed[at] ^= 1 << int(rng.integers(8))
            case 1:
                del changed[place:]
            case 2:
                changed += rng.bytes(int(rng.integers(1, 4096)))
            case 3:
                changed[place : place + run] = rng.bytes(run)
            case 4:  # repeat a part once or many times
                times = int(rng.choice([1, 2, 500]))
                changed[place:place] = changed[place : place + run] * times
            case 5:
                del changed[place : place + run]
            case 6:  # overwrite a number in the header
                width = int(rng.choice([2, 4, 8]))
                order = rng.choice(["little", "big"])
                lie = int(rng.choice(_EXTREMES)) % (1 << 8 * width)
                changed[head : head + width] = lie.to_bytes(width, order)
            case _:  # overwrite a field between commas
                words = bytes(changed).split(b",")
                words[int(rng.integers(len(words)))] = _EXTREME_TEXTS[
                    int(rng.integers(len(_EXTREME_TEXTS)))
                ]
                changed = bytearray(b",".join(words))
    return bytes(changed)


def variant(kind: str, number: int, folder: Path) -> Path:
    """Write a variant of one kind of file, determined by its number, into a folder."""
    made = KINDS[kind]
    rng = np.random.default_rng([number, sum(kind.encode())])
    ending = made.endings[number % len(made.endings)]
    path = folder / f"whole{ending}"
    if not path.is_file():
        made.write(path)
    content = path.read_bytes()
    if ending == ".raw.wav":
        ending = ".raw"
    damaged = folder / f"{number}{ending}"
    damaged.write_bytes(mutate(content, rng))
    return damaged


def outcome(kind: str, path: Path) -> str:
    """Read a file and name the outcome: ``read``, ``refused`` or a fault."""
    try:
        KINDS[kind].read(path)
    except MotionBeatError as error:
        message = str(error)
        lines = [letter for letter in message if ord(letter) < 32 or letter == "\u202e"]
        return f"fault: a message with {lines[0]!r}" if lines else "refused"
    except Exception as error:
        return f"fault: {type(error).__name__}: {error}".partition("\n")[0][:120]
    return "read"


def _alone(kind: str, path: Path, answer: Any) -> None:
    """Read a file within the limits and send the outcome; runs in a separate process."""
    signal.alarm(SECONDS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
    answer.send(outcome(kind, path))


def limited_outcome(kind: str, path: Path) -> str:
    """Read a file within the limits of time and memory and name the outcome."""
    context = multiprocessing.get_context("fork")
    receive, send = context.Pipe(duplex=False)
    process = context.Process(target=_alone, args=(kind, path, send))
    process.start()
    send.close()
    try:
        return str(receive.recv())
    except EOFError:
        process.join()
        return f"fault: killed by {signal.Signals(-process.exitcode).name}"
    finally:
        process.join()


def main(
    variants: int = 1000, first: int = 0, kind: str | None = None, keep: Path | None = None
) -> None:
    """Read damaged files and count the outcomes.

    Args:
        variants: number of variants of each kind.
        first: number of the first variant.
        kind: the only kind to read; by default all kinds.
        keep: folder to keep the files in; by default they are removed.
    """
    faults = 0
    with tempfile.TemporaryDirectory() as scratch:
        for name in [kind] if kind else KINDS:
            folder = (keep or Path(scratch)) / name
            folder.mkdir(parents=True, exist_ok=True)
            counts: Counter[str] = Counter()
            examples: dict[str, int] = {}
            for number in range(first, first + variants):
                path = variant(name, number, folder)
                said = limited_outcome(name, path)
                counts[said] += 1
                examples.setdefault(said, number)
                if keep is None:
                    path.unlink()
            faults += sum(count for said, count in counts.items() if said.startswith("fault"))
            print(name, json.dumps(counts.most_common()))
            for said, number in examples.items():
                if said.startswith("fault"):
                    print(f"  {said} (--kind {name} --first {number} --variants 1)")
    sys.exit(bool(faults))


if __name__ == "__main__":
    jsonargparse.auto_cli(main)
