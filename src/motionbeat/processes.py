"""Work in processes beside this one."""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from threading import Thread
from typing import TypeVar

from joblib import Parallel, delayed, parallel_config

from motionbeat.errors import MotionBeatError

T = TypeVar("T")

_WATCHED = "_MOTIONBEAT_PARENT"  # variable of a worker that watches its parent already
_SECONDS = 1.0  # between looks


class ProcessError(MotionBeatError):
    """A process beside this one that was killed."""


def side_by_side(calls: Sequence[Callable[[], T]], workers: int | None = None) -> Iterator[T]:
    """Results of calls in the order in which they finish, each from a process of one thread.

    The processes end with this one, however that ends.

    Args:
        calls: what to do; one alone is done in this process.
        workers: number of processes, one a processor by default; 1 works in this one.

    Raises:
        ProcessError: a process was killed; what others have finished was given out.
    """
    if workers == 1 or len(calls) == 1:
        yield from (call() for call in calls)
        return
    with parallel_config("loky", n_jobs=workers or -1, inner_max_num_threads=1):
        parallel = Parallel(return_as="generator_unordered", batch_size=1)
    try:
        yield from parallel(delayed(_attached)(call, os.getpid()) for call in calls)
    except BrokenProcessPool as error:
        raise ProcessError(
            "a process was killed, probably for want of memory; run again: what is finished is kept"
        ) from error


def _attached(call: Callable[[], T], parent: int) -> T:
    """Do the work of a parent without which this process ends."""
    if os.environ.get(_WATCHED) != str(parent):
        os.environ[_WATCHED] = str(parent)

        def watch() -> None:
            while os.getppid() == parent:
                time.sleep(_SECONDS)
            os._exit(1)

        Thread(target=watch, daemon=True).start()
    return call()
