"""Parallel work in processes that end with the one that started them."""

import os
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from threading import Thread
from typing import TypeVar

from joblib import Parallel, cpu_count, delayed, parallel_config

from motionbeat.errors import MotionBeatError

T = TypeVar("T")

_WATCHED = "_MOTIONBEAT_PARENT"  # environment variable of a worker that already watches its parent
_SECONDS = 1.0  # between checks of the parent
_SILENT = "ignore:resource_tracker"  # what joblib's tracker says about a killed worker


class ProcessError(MotionBeatError):
    """A worker process was killed."""


def side_by_side(
    calls: Sequence[Callable[[], T]],
    workers: int | None = None,
    initializer: Callable[[], None] | None = None,
) -> Iterator[T]:
    """Yield the results of calls as they finish, each from a worker process with one thread.

    The workers end when this process ends, even if it is killed.

    Args:
        calls: functions to run; a single one runs in this process.
        workers: number of worker processes, by default one per processor; 1 runs all calls in this
            process.
        initializer: called first in each worker process.

    Raises:
        ProcessError: a worker was killed; results that finished before have been yielded.
    """
    workers = workers or cpu_count()  # that this process may use
    if workers == 1 or len(calls) == 1:
        yield from (call() for call in calls)
        return
    filters = os.environ.get("PYTHONWARNINGS", "")  # of the tracker, a process of its own
    if _SILENT not in filters:
        os.environ["PYTHONWARNINGS"] = f"{filters},{_SILENT}".strip(",")
    # A worker that grows by 300 MB, as by importing torch, is replaced when its call has ended.
    warnings.filterwarnings("ignore", "A worker stopped while some jobs", UserWarning)
    with parallel_config("loky", n_jobs=workers, inner_max_num_threads=1, initializer=initializer):
        parallel = Parallel(return_as="generator_unordered", batch_size=1)
    try:
        yield from parallel(delayed(_attached)(call, os.getpid()) for call in calls)
    except BrokenProcessPool as error:
        raise ProcessError(
            "a process was killed, probably for lack of memory; run again, finished work is kept"
        ) from error


def _attached(call: Callable[[], T], parent: int) -> T:
    """Run a call of the parent, and end this worker when the parent ends."""
    if os.environ.get(_WATCHED) != str(parent):
        os.environ[_WATCHED] = str(parent)
        _watch(parent)
    return call()


def end_with_parent(_: int) -> None:
    """End this process when the one that started it does: for ``worker_init_fn`` of a loader."""
    _watch(os.getppid())


def _watch(parent: int) -> None:
    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_SECONDS)
        os._exit(1)

    Thread(target=watch, daemon=True).start()
