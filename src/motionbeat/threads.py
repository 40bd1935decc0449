"""How many threads compute, part of which must be said before torch is imported.

OpenMP's threads spin while they wait, so that beside one busy neighbour every small operator takes
many times as long. Waiting passively costs nothing where operators are large; probes and dancers,
whose operators are small, are fastest with one thread.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager


def wait_passively() -> None:
    """Let OpenMP's threads sleep while they wait, unless the user says otherwise."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute with one thread meanwhile."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
