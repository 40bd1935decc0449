"""Speed of soft-DTW beside a loop over its cells: ``python scripts/speed/soft_dtw.py``."""

import math
import time
from collections.abc import Callable
from statistics import median

import torch
from torch import Tensor

from motionbeat.losses import soft_dtw

BATCH, LENGTH, GAMMA, REPEATS = 64, 128, 0.1, 3


def looped(cost: Tensor, gamma: float) -> Tensor:
    """Soft-DTW (B,) of costs (B, n, m), cell by cell in torch operations over the batch."""
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


def seconds(function: Callable[[Tensor, float], Tensor], cost: Tensor) -> float:
    """CPU time of one pass forward and backward."""
    started = time.process_time()
    function(cost, GAMMA).sum().backward()  # type: ignore[no-untyped-call]
    return time.process_time() - started


if __name__ == "__main__":
    torch.set_num_threads(1)
    cost = torch.rand(BATCH, LENGTH, LENGTH, requires_grad=True)
    seconds(soft_dtw, cost)  # loads code
    fast, slow = (
        median(seconds(function, cost) for _ in range(REPEATS)) for function in (soft_dtw, looped)
    )
    size = f"{BATCH} x {LENGTH} x {LENGTH}"
    print(f"{size}: soft_dtw {1000 * fast:.1f} ms, loop {1000 * slow:.0f} ms, {slow / fast:.0f} x")
