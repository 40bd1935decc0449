"""Rhythm discrimination: whether music is nearer to its own motion than to near misses of it."""

import numpy as np
from numpy.typing import NDArray

SAME_TEMPO = 0.04
"""Tempi that differ by no more than this share are similar."""

Floats = NDArray[np.float64]


def rhythm_discrimination(
    similarity: Floats, earlier: Floats, later: Floats, piece: NDArray[np.generic], tempo: Floats
) -> dict[str, Floats]:
    """Rhythm discrimination, clip by clip; chance is 1/2.

    Args:
        similarity: (N, N) of music i and motion j; motion i belongs to music i.
        earlier: (N,) of music i and its own motion, begun a beat earlier.
        later: (N,) likewise, begun a beat later.
        piece: (N,) the piece that a clip is cut from.
        tempo: (N,) beats a minute.

    Returns:
        (N,) each. ``shift``: share of the two shifted motions that are less similar than the true
        one. ``impostor``: share of the motions of other pieces, of a tempo within 4 %, that are;
        NaN where there are none. ``discrimination``: the mean of both. Ties count against.
    """
    own = similarity.diagonal()
    apart = np.abs(np.log(tempo[:, None] / tempo))
    impostors = (piece[:, None] != piece) & (apart <= np.log1p(SAME_TEMPO))
    beaten = (own[:, None] > similarity) & impostors
    shift = ((own > earlier).astype(np.float64) + (own > later)) / 2
    with np.errstate(invalid="ignore"):
        impostor = beaten.sum(axis=1) / impostors.sum(axis=1)
    return {"shift": shift, "impostor": impostor, "discrimination": (shift + impostor) / 2}
