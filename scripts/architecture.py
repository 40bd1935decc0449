"""Picture of MotionBeat's architecture, for docs/method.md.

    python -m scripts.architecture

draws ``docs/architecture.png``. Names and numbers come from the code.
"""

from pathlib import Path

from jsonargparse import auto_cli
from matplotlib.figure import Figure
from scripts.drawing import Page, save

from motionbeat.console import say
from motionbeat.kinematics import FEATURES, motion_features, movement_envelope
from motionbeat.layers import PhaseAttention, PhaseRotation
from motionbeat.losses import (
    bar_emd,
    embodied_contrastive_loss,
    soft_dtw,
    structural_rhythm_alignment_loss,
)
from motionbeat.model import (
    FRAME_RATE,
    MOTION_FRAME_RATE,
    PULSE_WIDTH,
    SIZES,
    AudioTower,
    MotionBeatEncoder,
    MotionTower,
    Size,
    Tower,
)
from motionbeat.motion import JOINTS
from motionbeat.pretraining.distillation import Distillation
from motionbeat.rhythm import beat_grid, music_grid
from motionbeat.sound import Separable, SoundStream
from motionbeat.spectrum import AUDIO_FRAME_RATE, BANDS, SAMPLE_RATE, LogMelSpectrum
from motionbeat.tokens import POSITIONS, beat_synchronous

_WIDTH, _HEIGHT = 800, 792  # of the page
_MUSIC, _MOTION, _SOUND = "#dcebf8", "#fde8d0", "#dff2e1"
_LOSS, _OUTPUT, _PLAIN = "#f9dbe4", "#ece6f7", "#ffffff"
_COLUMNS = {_MOTION: (10, 250), _MUSIC: (320, 250), _SOUND: (610, 180)}  # left edge and width


def architecture(size: str = "small", path: Path = Path("docs/architecture.png")) -> None:
    """Draw the architecture of MotionBeat.

    Args:
        size: name of the size whose numbers are shown.
        path: of the picture.
    """
    save(draw(size), path)
    say(f"{path}: size {size}")


def draw(name: str) -> Figure:
    """The picture of a size of the model."""
    size = SIZES[name]
    page = Page(_WIDTH, _HEIGHT)
    _inputs(page, size)
    _blocks(page, _MOTION, size.motion_blocks, size.heads, "+ distance, contact")
    _blocks(page, _MUSIC, size.audio_blocks, size.heads, "+ distance")
    _sound(page, size)
    _heads_and_losses(page)
    _output(page, size)
    return page.figure


def _inputs(page: Page, size: Size) -> None:
    """From files to tokens."""
    for column, tower, given, token in (
        (_MOTION, MotionTower, f"{len(JOINTS)} joint positions in metres", "a beat"),
        (_MUSIC, AudioTower, f"waveform at {SAMPLE_RATE / 1000:g} kHz", "with the mean spectrum"),
    ):
        left, width = _COLUMNS[column]
        page.text(left + width / 2, 14, tower.__name__, code=True, bold=True)
        page.box(left, 30, width, 26, _PLAIN)
        page.text(left + width / 2, 43, given)
        page.step(left, 242, width, column, Tower.encode, f"a token of {size.width} {token}")
        page.line((left + width / 2, 226), (left + width / 2, 242))
    left, _ = _COLUMNS[_MOTION]
    rate = f"{MOTION_FRAME_RATE:g} Hz"
    page.step(left, 74, 122, _MOTION, movement_envelope, "accents of moves")
    page.step(left, 130, 122, _MOTION, beat_grid, "beats and bars")
    page.step(left + 130, 74, 120, _MOTION, motion_features, f"{FEATURES} columns, {rate}")
    page.step(left, 186, 250, _MOTION, beat_synchronous, f"{POSITIONS} positions in each beat")
    page.line((left + 61, 56), (left + 61, 74))
    page.line((left + 190, 56), (left + 190, 74))
    page.line((left + 61, 114), (left + 61, 130))
    page.line((left + 61, 170), (left + 61, 186))
    page.line((left + 190, 114), (left + 190, 186))
    left, width = _COLUMNS[_MUSIC]
    rate = f"{AUDIO_FRAME_RATE:.0f} Hz"
    page.step(left, 74, width, _MUSIC, LogMelSpectrum, f"{BANDS} bands at {rate}")
    page.step(left, 130, 122, _MUSIC, music_grid, "beats and bars")
    page.step(left, 186, width, _MUSIC, beat_synchronous, f"{POSITIONS} positions in each beat")
    page.line((left + width / 2, 56), (left + width / 2, 74))
    page.line((left + 61, 114), (left + 61, 130))
    page.line((left + 61, 170), (left + 61, 186))
    page.line((left + 142, 114), (left + 142, 186))
    page.text(left + 150, 142, "less the", align="left")
    page.text(left + 150, 158, "mean spectrum", align="left")


def _blocks(page: Page, column: str, blocks: int, heads: int, bias: str) -> None:
    """The blocks of a tower, and how its states are read."""
    left, width = _COLUMNS[column]
    page.line((left + width / 2, 282), (left + width / 2, 298))
    page.box(left, 298, width, 186, column)
    page.text(left + 10, 311, f"{blocks} blocks", bold=True, align="left")
    page.text(left + width - 10, 311, f"{heads} heads, residual", align="right")
    parts = (
        ("LayerNorm", ""),
        (PhaseRotation.__name__, "of q, k, v by kφ"),
        (PhaseAttention.__name__, bias),
        (PhaseRotation.__name__, "back by kφ"),
        ("LayerNorm, MLP", ""),
    )
    for number, (name, what) in enumerate(parts):
        y = 324 + 31 * number
        page.box(left + 10, y, width - 20, 25, _PLAIN)
        page.text(left + 18, y + 12.5, name, code=True, align="left")
        page.text(left + width - 18, y + 12.5, what, align="right")
    aside = 36  # of the mean state, which goes past the interpolation
    start = left if column == _MOTION else left + aside
    page.line((start + (width - aside) / 2, 484), (start + (width - aside) / 2, 504))
    what = "at any time t, rotated by φ(t)"
    page.step(start, 504, width - aside, column, Tower.interpolate_states, what)
    past = left + width - 14 if column == _MOTION else left + 14
    page.line((past, 484), (past, 566))


def _sound(page: Page, size: Size) -> None:
    """The sound stream and its loss."""
    left, width = _COLUMNS[_SOUND]
    middle, (audio, across) = left + width / 2, _COLUMNS[_MUSIC]
    page.text(middle, 14, SoundStream.__name__, code=True, bold=True)
    page.line((audio + across, 94), (middle, 94), (middle, 186))
    page.box(left, 186, width, 298, _SOUND)
    for y, text in (
        (302, f"{Separable.__name__} convolutions"),
        (326, "of all the log-mel,"),
        (342, "mean included; no beats"),
        (366, f"width {size.sound} at {AUDIO_FRAME_RATE / 16:.1f} Hz"),
    ):
        page.text(middle, y, text, bold=y == 302)
    page.line((left + 43, 484), (left + 43, 504))
    page.step(left, 504, 86, _SOUND, SoundStream.interpolate, "at any time t")
    page.line((left + 137, 484), (left + 137, 504))
    page.step(left + 94, 504, 86, _LOSS, Distillation, "from taggers")


def _heads_and_losses(page: Page) -> None:
    """The heads of both towers, and what they are trained by."""
    for start, across, colour, head, loss in (
        (10, 120, _MOTION, Tower.rhythms, "anchor loss"),
        (138, 122, _MOTION, Tower.embed, ""),
        (320, 72, _MUSIC, Tower.embed, ""),
        (400, 82, _MUSIC, AudioTower.rhythms, "anchor loss"),
        (490, 80, _MUSIC, AudioTower.phases, "phase loss"),
    ):
        middle = start + across / 2
        from_states = min(max(middle, 20), 202) if colour == _MOTION else max(middle, 368)
        page.line((from_states, 544), (from_states, 566))
        page.box(start, 566, across, 42, colour)
        page.text(middle, 580 if loss else 587, head.__name__, code=True)
        page.text(middle, 597, loss, colour="#b03060")
    page.box(268, 572, 44, 30, _LOSS)
    page.text(290, 587, "ECL", bold=True)
    page.line((260, 587), (268, 587))
    page.line((320, 587), (312, 587))
    page.box(190, 632, 200, 44, _LOSS)
    page.text(290, 645, "SRAL", bold=True)
    page.text(290, 663, f"{soft_dtw.__name__}, {bar_emd.__name__}", code=True)
    page.line((70, 608), (70, 654), (190, 654))
    page.line((422, 608), (422, 654), (390, 654))
    for y, name, function in (
        (726, "ECL", embodied_contrastive_loss),
        (746, "SRAL", structural_rhythm_alignment_loss),
    ):
        page.text(14, y, name, bold=True, align="left")
        page.text(56, y, function.__name__, code=True, align="left")


def _output(page: Page, size: Size) -> None:
    """What the encoder gives out."""
    page.line((458, 608), (458, 700))
    page.line((530, 608), (530, 700))
    page.line((570, 524), (590, 524), (590, 700))
    page.line((653, 544), (653, 664), (738, 664), (738, 700))
    page.box(402, 700, 388, 82, _OUTPUT)
    page.text(596, 714, MotionBeatEncoder.__name__, code=True, bold=True)
    page.text(596, 770, f"{MotionBeatEncoder.width(size)} features at {FRAME_RATE:g} Hz")
    for start, across, text in (
        (410, 84, f"{AudioTower.pulses.__name__}: {PULSE_WIDTH}"),
        (500, 184, f"after {size.audio_blocks} blocks: {size.width}"),
        (690, 92, f"sound: {size.sound}"),
    ):
        page.box(start, 726, across, 34, _PLAIN)
        page.text(start + across / 2, 743, text)


if __name__ == "__main__":
    auto_cli(architecture, as_positional=False)
