"""Ranks of right answers."""

import numpy as np
from numpy.typing import NDArray


def ranks(nearness: NDArray[np.floating], right: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Ranks (queries,) of the best right answers, 1 is the nearest; ties and NaN count against.

    Args:
        nearness: (queries, candidates), larger is nearer.
        right: (queries, candidates) which candidates are right; one at least a query.
    """
    best = np.where(right, nearness, -np.inf).max(axis=1, keepdims=True)
    ahead: NDArray[np.int64] = (~right & ~(nearness < best)).sum(axis=1)
    return 1 + ahead
