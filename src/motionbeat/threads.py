"""How many threads compute, part of which must be said before torch is imported.

OpenMP's threads spin while they wait, so that beside one busy neighbour every small operator takes
many times as long. Waiting passively costs nothing where operators are large; probes and dancers,
whose operators are small, are fastest with one thread.
"""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager


def wait_passively() -> None:
    """Let OpenMP's threads sleep while they wait, unless the user says otherwise."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


@contextmanager
def computing_threads(count: int) -> Iterator[None]:
    """Compute with so many threads meanwhile."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def one_thread() -> AbstractContextManager[None]:
    """Compute with one thread meanwhile."""
    return computing_threads(1)
