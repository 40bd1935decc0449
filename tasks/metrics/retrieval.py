"""Ranks of relevant candidates."""

import numpy as np
from numpy.typing import NDArray


def ranks(nearness: NDArray[np.floating], right: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Rank of the best relevant candidate of each query.

    Args:
        nearness: (queries, candidates) similarities; larger is nearer.
        right: (queries, candidates) which candidates are relevant; at least one per query.

    Returns:
        (queries,) ranks, counted from 1. Ties and NaN count as ranked ahead.
    """
    best = np.where(right, nearness, -np.inf).max(axis=1, keepdims=True)
    ahead: NDArray[np.int64] = (~right & ~(nearness < best)).sum(axis=1)
    return 1 + ahead
