"""How many threads compute, which must be said before torch is imported.

OpenMP's threads spin while they wait, so that beside one busy neighbour every small operator takes
many times as long. Waiting passively costs nothing where operators are large; probes and dancers,
whose operators are small, are fastest with one thread.
"""

import os


def wait_passively() -> None:
    """Let OpenMP's threads sleep while they wait, unless the user says otherwise."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def one_thread() -> None:
    """Compute with one thread in this process from here on."""
    import torch

    torch.set_num_threads(1)
