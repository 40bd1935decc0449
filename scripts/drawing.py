"""Pictures of boxes, lines and texts for the docs.

A picture also holds its texts (``Description``), by which a test tells whether it is out of date.
"""

from collections.abc import Callable
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from motionbeat.files import replacing

INK, LINE = "#1f2933", "#66727f"
_SCALE = 2  # pixels a unit
_COLOURS = 128  # of the palette


def description(figure: Figure) -> str:
    """All texts of a picture, a line each."""
    texts = [text.get_text() for axes in figure.axes for text in axes.texts]
    return "\n".join(text for text in texts if text)


def save(figure: Figure, path: Path) -> None:
    """Write a picture as a small PNG file."""
    drawn, texts = BytesIO(), PngInfo()
    figure.savefig(drawn, format="png", dpi=100 * _SCALE)
    texts.add_text("Description", description(figure))
    picture = Image.open(drawn).convert("RGB").quantize(_COLOURS)
    with replacing(path) as unfinished:
        picture.save(unfinished, format="PNG", optimize=True, pnginfo=texts)


class Page:
    """A page whose places are in hundredths of an inch, from the upper left corner."""

    def __init__(self, width: int, height: int) -> None:
        self.figure = Figure(figsize=(width / 100, height / 100), facecolor="white")
        self.axes: Any = self.figure.add_axes((0, 0, 1, 1))
        self.axes.set(xlim=(0, width), ylim=(height, 0))
        self.axes.axis("off")

    def box(self, left: float, top: float, width: float, height: float, colour: str) -> None:
        """A rectangle with round corners."""
        shape = FancyBboxPatch(
            (left, top), width, height, boxstyle="round,pad=0,rounding_size=5",
            facecolor=colour, edgecolor=LINE, linewidth=0.8,
        )  # fmt: skip
        self.axes.add_patch(shape)

    def text(
        self, x: float, y: float, text: str, *, code: bool = False, bold: bool = False,
        align: str = "center", colour: str = INK,
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
            self.axes.plot(*zip(start, end, strict=True), color=LINE, linewidth=1)
        arrow = {"arrowstyle": "-|>", "color": LINE, "linewidth": 1, "shrinkA": 0, "shrinkB": 0}
        self.axes.annotate("", places[-1], places[-2], arrowprops=arrow)

    def step(
        self, left: float, top: float, width: float, colour: str, what: Callable[..., Any],
        text: str,
    ) -> None:  # fmt: skip
        """A step, named as in the code."""
        self.box(left, top, width, 40, colour)
        self.text(left + width / 2, top + 13, what.__name__, code=True)
        self.text(left + width / 2, top + 29, text)
