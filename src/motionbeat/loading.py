"""Decode and resample many files in worker processes, in order and in bounded memory."""

import gc
import math
import multiprocessing
import signal
import sys
import threading
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from joblib import cpu_count
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, get_worker_info

from motionbeat.audio import AudioError, Channels, Waveform, decode
from motionbeat.processes import ProcessError, end_with_parent

Kind = tuple[int, Channels]
"""Sample rate in Hz and number of channels."""

SECONDS_AHEAD = 600.0
"""Seconds of audio that a process may decode in advance."""

_TOGETHER = 120.0  # s of short files that are sent at once
_WORTHWHILE = 60.0  # s of audio for which a process is worth starting
_SAMPLES = 1 << 24  # of a block: hours of audio are never in memory twice
_SLACK = 1.0  # s that files may be longer than stated, for them to be one block
_POLL = 0.005  # s


@dataclass(frozen=True)
class AudioFile:
    """An audio file to decode.

    Attributes:
        path: its path.
        seconds: approximate length.
        kinds: sample rates and channels to convert it to.
    """

    path: Path
    seconds: float
    kinds: tuple[Kind, ...]


class _Loaded(NamedTuple):
    """Some files, one after the other.

    Attributes:
        blocks: consecutive samples of all files by kind, (samples * channels,).
        lengths: numbers of each file by kind; none where it is broken.
        errors: of the files.
    """

    blocks: dict[Kind, list[Tensor]]
    lengths: list[dict[Kind, int]]
    errors: list[AudioError | None]


class _Blocks:
    """Gathers samples in blocks of some megabytes, which can be sent and freed one by one.

    Args:
        expected: number of samples, approximately.
    """

    def __init__(self, expected: int) -> None:
        self.blocks: list[Tensor] = []
        self.room = min(expected, _SAMPLES)
        self.used = 0  # of the last block
        self.total = 0

    def add(self, samples: Waveform) -> None:
        """Append samples (n,) or (n, 2)."""
        flat = torch.from_numpy(samples.reshape(-1))
        self.total += len(flat)
        while len(flat):
            if not self.blocks or self.used == len(self.blocks[-1]):
                # Pages that are never written take no memory.
                self.blocks.append(_empty(self.room if not self.blocks else _SAMPLES))
                self.used = 0
            place = self.blocks[-1][self.used :][: len(flat)]
            place.copy_(flat[: len(place)])
            self.used += len(place)
            flat = flat[len(place) :]

    def close(self) -> list[Tensor]:
        """All blocks."""
        if self.blocks:
            self.blocks[-1] = self.blocks[-1][: self.used]
        return self.blocks


def _empty(size: int) -> Tensor:
    """A tensor (size,), in a loader's process in memory that its parent can map."""
    if get_worker_info() is None:
        return torch.empty(size)
    storage = torch.UntypedStorage._new_shared(4 * size)  # type: ignore[no-untyped-call]
    return torch.empty(0).set_(storage, 0, (size,), (1,))


class _Files(Dataset[_Loaded]):
    """Files in groups; an item is a group, decoded when it is needed soon."""

    def __init__(self, groups: Sequence[Sequence[AudioFile]], ahead: float) -> None:
        self.groups = groups
        self.ahead = ahead
        self.ends = [0.0, *accumulate(sum(file.seconds for file in group) for group in groups)]
        # A single number, which needs no lock that a killed process could hold.
        self.used = multiprocessing.RawValue("q", 0)

    def __len__(self) -> int:
        return len(self.groups)

    def __getitem__(self, number: int) -> _Loaded:
        while number > self.used.value and (
            self.ends[number + 1] - self.ends[self.used.value] > self.ahead
        ):
            time.sleep(_POLL)
        group = self.groups[number]
        seconds = sum(file.seconds for file in group) + _SLACK
        gathered = {
            kind: _Blocks(math.ceil(seconds * kind[0] * kind[1]))
            for kind in dict.fromkeys(kind for file in group for kind in file.kinds)
        }
        lengths: list[dict[Kind, int]] = []
        errors: list[AudioError | None] = []
        for file in group:
            before = {kind: gathered[kind].total for kind in file.kinds}
            try:
                decode(file.path, {kind: gathered[kind].add for kind in file.kinds})
                errors.append(None)
            except AudioError as error:
                errors.append(error)
            # The decoded beginning of a broken file stays among the samples.
            lengths.append({kind: gathered[kind].total - before[kind] for kind in file.kinds})
        return _Loaded({kind: one.close() for kind, one in gathered.items()}, lengths, errors)


def load_files(
    files: Sequence[AudioFile], workers: int | None = None, pinned: bool = False
) -> Generator[dict[Kind, Waveform] | AudioError]:
    """Yield waveforms (samples,) or (2, samples) of each file by kind, in order, or its error.

    The files of a group count as used when the next group is requested.

    Args:
        files: the files.
        workers: number of decoding processes; by default one per processor, fewer for little audio;
            0 for this process.
        pinned: use pinned memory, for copies to a GPU.

    Raises:
        ProcessError: a process was killed.
    """
    groups = _grouped(files)
    if not groups:
        return
    worthwhile = int(sum(file.seconds for file in files) / _WORTHWHILE)
    workers = min(cpu_count() if workers is None else workers, worthwhile, len(groups))
    data = _Files(groups, max(1, workers) * SECONDS_AHEAD)
    loader = DataLoader(
        data,
        batch_size=None,  # an item is a group
        num_workers=workers,
        collate_fn=_as_it_is,
        pin_memory=pinned,
        worker_init_fn=_begin if workers else None,
        # Elsewhere forking is not safe. It starts in milliseconds, and a script that has no
        # `if __name__ == "__main__"` is not run again.
        multiprocessing_context="fork" if workers and sys.platform == "linux" else None,
        generator=torch.Generator(),  # not the global one
    )
    loading: Any = iter(loader)
    with _no_signals_of_children():
        try:
            for number, group in enumerate(groups):
                yield from _unpacked(_next(loading), group)
                data.used.value = number + 1
        finally:
            # A traceback may keep the loader for long, and torch would then report a killed process
            # wherever another child of this one ends.
            if workers:
                loading._shutdown_workers()


def _next(loading: Iterator[_Loaded]) -> _Loaded:
    """The next files; torch looks every few seconds whether its processes live."""
    try:
        return next(loading)
    except (RuntimeError, ConnectionError, EOFError) as error:  # the latter while it sends a tensor
        if isinstance(error, RuntimeError) and "DataLoader worker" not in str(error):
            raise
        raise ProcessError(
            "a process that decodes audio was killed, probably for lack of memory (in a container, "
            "of shared memory: --shm-size); run again, finished work is kept"
        ) from error


@contextmanager
def _no_signals_of_children() -> Iterator[None]:
    """Switch off torch's handler for killed processes, whose error can occur anywhere."""
    if threading.current_thread() is not threading.main_thread() or sys.platform == "win32":
        yield
        return
    before = signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    try:
        yield
    finally:
        if before is not None:  # of Python
            signal.signal(signal.SIGCHLD, before)


def _begin(worker: int) -> None:
    """Set up a process, whose memory stays shared with its parent."""
    gc.freeze()
    end_with_parent(worker)


def _as_it_is(loaded: Any) -> Any:
    return loaded


def _grouped(files: Sequence[AudioFile]) -> list[list[AudioFile]]:
    """Group consecutive files of together two minutes; longer ones are alone."""
    groups: list[list[AudioFile]] = []
    seconds = 0.0
    for file in files:
        if not groups or seconds + file.seconds > _TOGETHER:
            groups.append([])
            seconds = 0.0
        groups[-1].append(file)
        seconds += file.seconds
    return groups


def _unpacked(
    loaded: _Loaded, group: Sequence[AudioFile]
) -> Iterator[dict[Kind, Waveform] | AudioError]:
    """The files of a group."""
    samples = {kind: _joined(blocks) for kind, blocks in loaded.blocks.items()}
    starts = dict.fromkeys(samples, 0)
    for file, lengths, error in zip(group, loaded.lengths, loaded.errors, strict=True):
        waveforms: dict[Kind, Waveform] = {}
        for kind in file.kinds:
            start, stop = starts[kind], starts[kind] + lengths[kind]
            waveforms[kind] = samples[kind][start:stop]
            if kind[1] == 2:
                waveforms[kind] = waveforms[kind].reshape(-1, 2).T
            starts[kind] = stop
        if file is group[-1]:
            samples.clear()  # so that the caller can free a waveform
        yield waveforms if error is None else error


def _joined(blocks: list[Tensor]) -> Waveform:
    """Concatenate blocks, which are freed one by one."""
    if len(blocks) == 1:
        return np.asarray(blocks.pop().numpy())
    joined = np.empty(sum(map(len, blocks)), np.float32)
    start = 0
    while blocks:
        block = blocks.pop(0)
        joined[start : start + len(block)] = block.numpy()
        start += len(block)
        del block
    return joined
