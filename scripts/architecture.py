"""Picture of MotionBeat's architecture, for docs/method.md.

    python scripts/architecture.py

draws ``docs/architecture.png``. Names and numbers come from the code. The picture also holds them
as text (``Description``), by which a test tells whether it is out of date.
"""

from collections.abc import Callable
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import Any

from jsonargparse import auto_cli
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from motionbeat.console import say
from motionbeat.files import replacing
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
_SCALE = 2  # pixels a unit
_COLOURS = 128  # of the palette
_INK, _LINE = "#1f2933", "#66727f"
_MUSIC, _MOTION, _SOUND = "#dcebf8", "#fde8d0", "#dff2e1"
_LOSS, _OUTPUT, _PLAIN = "#f9dbe4", "#ece6f7", "#ffffff"
_COLUMNS = {_MOTION: (10, 250), _MUSIC: (320, 250), _SOUND: (610, 180)}  # left edge and width


def architecture(size: str = "small", path: Path = Path("docs/architecture.png")) -> None:
    """Draw the architecture of MotionBeat.

    Args:
        size: name of the size whose numbers are shown.
        path: of the picture.
    """
    figure, drawn, texts = draw(size), BytesIO(), PngInfo()
    figure.savefig(drawn, format="png", dpi=100 * _SCALE)
    texts.add_text("Description", description(figure))
    picture = Image.open(drawn).convert("RGB").quantize(_COLOURS)
    with replacing(path) as unfinished:
        picture.save(unfinished, format="PNG", optimize=True, pnginfo=texts)
    say(f"{path}: size {size}")


def description(figure: Figure) -> str:
    """All texts of a picture, a line each."""
    texts = [text.get_text() for text in figure.axes[0].texts]
    return "\n".join(text for text in texts if text)


def draw(name: str) -> Figure:
    """The picture of a size of the model."""
    size = SIZES[name]
    page = _Page()
    _inputs(page, size)
    _blocks(page, _MOTION, size.motion_blocks, size.heads, "+ distance, contact")
    _blocks(page, _MUSIC, size.audio_blocks, size.heads, "+ distance")
    _sound(page, size)
    _heads_and_losses(page)
    _output(page, size)
    return page.figure


def _inputs(page: "_Page", size: Size) -> None:
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


def _blocks(page: "_Page", column: str, blocks: int, heads: int, bias: str) -> None:
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


def _sound(page: "_Page", size: Size) -> None:
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


def _heads_and_losses(page: "_Page") -> None:
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


def _output(page: "_Page", size: Size) -> None:
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


class _Page:
    """A page whose places are in hundredths of an inch, from the upper left corner."""

    def __init__(self) -> None:
        self.figure = Figure(figsize=(_WIDTH / 100, _HEIGHT / 100), facecolor="white")
        self.axes: Any = self.figure.add_axes((0, 0, 1, 1))
        self.axes.set(xlim=(0, _WIDTH), ylim=(_HEIGHT, 0))
        self.axes.axis("off")

    def box(self, left: float, top: float, width: float, height: float, colour: str) -> None:
        """A rectangle with round corners."""
        shape = FancyBboxPatch(
            (left, top), width, height, boxstyle="round,pad=0,rounding_size=5",
            facecolor=colour, edgecolor=_LINE, linewidth=0.8,
        )  # fmt: skip
        self.axes.add_patch(shape)

    def text(
        self, x: float, y: float, text: str, *, code: bool = False, bold: bool = False,
        align: str = "center", colour: str = _INK,
    ) -> None:  # fmt: skip
        """A line of text about a height."""
        self.axes.text(
            x, y, text, ha=align, va="center", color=colour, fontsize=7.7 if code else 8.2,
            family="DejaVu Sans Mono" if code else "DejaVu Sans",
            weight="bold" if bold else "normal",
        )  # fmt: skip

    def line(self, *places: tuple[float, float]) -> None:
        """A line through places, with an arrow at its end."""
        for start, end in pairwise(places[:-1]):
            self.axes.plot(*zip(start, end, strict=True), color=_LINE, linewidth=1)
        arrow = {"arrowstyle": "-|>", "color": _LINE, "linewidth": 1, "shrinkA": 0, "shrinkB": 0}
        self.axes.annotate("", places[-1], places[-2], arrowprops=arrow)

    def step(
        self, left: float, top: float, width: float, colour: str, what: Callable[..., Any],
        text: str,
    ) -> None:  # fmt: skip
        """A step, named as in the code."""
        self.box(left, top, width, 40, colour)
        self.text(left + width / 2, top + 13, what.__name__, code=True)
        self.text(left + width / 2, top + 29, text)


if __name__ == "__main__":
    auto_cli(architecture, as_positional=False)
