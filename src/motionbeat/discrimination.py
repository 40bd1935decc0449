"""Rhythm discrimination: whether music is closer to its motion than to similar wrong motions."""

import numpy as np
from numpy.typing import NDArray

SAME_TEMPO = 0.04
"""Largest relative difference of similar tempi."""

Floats = NDArray[np.float64]


def rhythm_discrimination(
    similarity: Floats, earlier: Floats, later: Floats, piece: NDArray[np.generic], tempo: Floats
) -> dict[str, Floats]:
    """Rhythm discrimination of each clip; chance is 1/2.

    Args:
        similarity: (N, N) similarity of music i and motion j; motion i belongs to music i.
        earlier: (N,) similarity of music i and its motion, started one beat earlier.
        later: (N,) similarity of music i and its motion, started one beat later.
        piece: (N,) the piece that each clip is cut from.
        tempo: (N,) tempo of each clip in BPM.

    Returns:
        (N,) scores by name. ``shift``: the share of the two shifted motions that are less similar
        than the true motion. ``impostor``: the same share for motions of other pieces whose tempo
        differs by at most 4 %; NaN if there are none. ``discrimination``: the mean of both. Ties
        count as errors.
    """
    own = similarity.diagonal()
    apart = np.abs(np.log(tempo[:, None] / tempo))
    impostors = (piece[:, None] != piece) & (apart <= np.log1p(SAME_TEMPO))
    beaten = (own[:, None] > similarity) & impostors
    shift = ((own > earlier).astype(np.float64) + (own > later)) / 2
    with np.errstate(invalid="ignore"):
        impostor = beaten.sum(axis=1) / impostors.sum(axis=1)
    return {"shift": shift, "impostor": impostor, "discrimination": (shift + impostor) / 2}
