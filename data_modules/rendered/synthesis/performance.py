"""From a score to the files of a piece: its sound and a dance to it."""

import io
from pathlib import Path
from typing import Any

import numpy as np

from motionbeat.data_modules.generated import Piece
from motionbeat.data_modules.rendered.synthesis.arranger import Score
from motionbeat.data_modules.rendered.synthesis.dancer import DANCERS, dance
from motionbeat.data_modules.rendered.synthesis.mixing import mix
from motionbeat.data_modules.rendered.synthesis.render import write_audio
from motionbeat.files import write_atomically


def perform(
    folder: Path,
    id: str,
    score: Score,
    style: str,
    mixing: np.random.Generator,
    dancing: np.random.Generator,
    soundfont: Path | None = None,
    **labels: Any,
) -> Piece:
    """Render and dance a score; write its audio and its motion, in this order.

    Args:
        folder: where to write.
        id: names of the files without their suffix.
        score: what to play.
        style: what to dance.
        mixing: draws the mix.
        dancing: draws the dancer and the dance.
        soundfont: another one to play it with than the usual.
        labels: more of them than every score has.
    """
    write_audio(folder / f"{id}.flac", mix(score, mixing, soundfont))
    dancer = int(dancing.integers(len(DANCERS)))
    danced = dance(
        beats=score.beats,
        positions=score.positions,
        accents=score.accents,
        style=style,
        metre=score.metre,
        duration=score.duration,
        dancer=dancer,
        seed=int(dancing.integers(2**31)),
    )
    buffer = io.BytesIO()
    np.savez(buffer, **danced.arrays())  # type: ignore[arg-type]
    write_atomically(folder / f"{id}.npz", buffer.getvalue())
    labels |= {
        "style": score.style,
        "metre": score.metre,
        "bpm": score.bpm,
        "duration": score.duration,
        "beats": score.beats.tolist(),
        "positions": score.positions.tolist(),
        "dancer": dancer,
        "used": score.used | {"kits": score.programs(True), "programs": score.programs(False)},
    }
    return Piece((f"{id}.flac", f"{id}.npz"), labels)
