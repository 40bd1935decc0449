"""Speed of soft-DTW against plain loops over its cells: ``python benchmarks/perf/soft_dtw.py``."""

import math
import time
from collections.abc import Callable
from functools import partial
from statistics import median

import torch
from jsonargparse import auto_cli
from rich.console import Console
from rich.table import Table
from torch import Tensor

from motionbeat.benchmarks.record import Hardware
from motionbeat.losses import soft_dtw


def plain(cost: Tensor, gamma: float) -> Tensor:
    """Soft-DTW cell by cell in torch operations over the batch, differentiated by autograd.

    Args:
        cost: (B, n, m).
        gamma: smoothing.

    Returns:
        (B,) values.
    """
    batch, n, m = cost.shape
    border = cost.new_full((batch,), math.inf)
    above = [cost.new_zeros(batch)] + [border] * m
    for i in range(n):
        row = [border]
        for j in range(m):
            before = torch.stack([above[j], above[j + 1], row[j]])
            row.append(cost[:, i, j] - gamma * torch.logsumexp(-before / gamma, 0))
        above = row
    return above[m]


def scalars(cost: Tensor, gamma: float) -> Tensor:
    """Soft-DTW and its gradient cell by cell in Python floats, item after item.

    Args:
        cost: (B, n, m).
        gamma: smoothing.

    Returns:
        (B, n, m) gradients of the values by the costs.
    """
    return torch.tensor([_expected_alignment(item, gamma) for item in cost.tolist()])


def _expected_alignment(cost: list[list[float]], gamma: float) -> list[list[float]]:
    n, m = len(cost), len(cost[0])
    value = [[math.inf] * (m + 1) for _ in range(n + 1)]
    value[0][0] = 0.0
    expected = [[0.0] * (m + 1) for _ in range(n + 1)]
    expected[n][m] = 1.0
    shares = {}
    for i in range(1, n + 1):
        for j in range(1, m + 1):
            cells = ((i - 1, j - 1), (i - 1, j), (i, j - 1))
            least = min(value[k][h] for k, h in cells)
            share = [math.exp((least - value[k][h]) / gamma) for k, h in cells]
            total = sum(share)
            value[i][j] = cost[i - 1][j - 1] + least - gamma * math.log(total)
            shares[i, j] = [(cell, s / total) for cell, s in zip(cells, share, strict=True)]
    for (i, j), predecessors in reversed(shares.items()):
        for (k, h), share_of_cell in predecessors:
            expected[k][h] += share_of_cell * expected[i][j]
    return [row[1:] for row in expected[1:]]


def both_ways(function: Callable[[Tensor, float], Tensor], cost: Tensor, gamma: float) -> Tensor:
    """Gradient of the summed values of a function of costs: one pass forward, one backward."""
    cost = cost.detach().requires_grad_()
    function(cost, gamma).sum().backward()  # type: ignore[no-untyped-call]
    assert cost.grad is not None
    return cost.grad


def seconds(work: Callable[[], object]) -> float:
    """Wall time of a call."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def main(batch: int = 64, length: int = 128, gamma: float = 0.1, repeats: int = 5) -> None:
    """Measure and print, on one thread of the CPU.

    Args:
        batch: items.
        length: steps of either sequence.
        gamma: smoothing.
        repeats: passes of each in turns; medians are compared.
    """
    torch.set_num_threads(1)
    cost = torch.rand(batch, length, length, generator=torch.Generator().manual_seed(0))
    ways = {
        "soft_dtw": partial(both_ways, soft_dtw, cost, gamma),
        "cells, torch over the batch": partial(both_ways, plain, cost, gamma),
        "cells, Python floats": partial(scalars, cost, gamma),
    }
    results = [work() for work in ways.values()]  # a first pass also pays for loading code
    turns = [[seconds(work) for work in ways.values()] for _ in range(repeats)]
    times = [median(turn) for turn in zip(*turns, strict=True)]

    hardware = Hardware.here()
    grid = Table(
        title=f"soft-DTW forward and backward, {batch} x {length} x {length}, one thread of "
        f"{hardware.processor}, torch {hardware.torch}",
        caption=f"medians of {repeats}; target: 20 times as fast as cells in torch; error: largest "
        "difference from Python floats, which have double precision",
    )
    for column in ("what", "milliseconds", "ratio", "error of gradient"):
        grid.add_column(column, justify="left" if column == "what" else "right")
    for name, took, gradient in zip(ways, times, results, strict=True):
        off = (gradient - results[-1]).abs().max().item()
        grid.add_row(name, f"{1000 * took:.1f}", f"{took / times[0]:.1f}", f"{off:.0e}")
    Console().print(grid)


if __name__ == "__main__":
    auto_cli(main, as_positional=False)
