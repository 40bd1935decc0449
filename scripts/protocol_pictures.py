"""Pictures of the probing protocol, for docs/protocol.md.

    python -m scripts.protocol_pictures

draws ``docs/protocol.png``, ``docs/protocol_pieces.png`` and, of the committed records,
``docs/protocol_scores.png``.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jsonargparse import auto_cli
from matplotlib.figure import Figure
from scripts.drawing import INK, LINE, Page, save

from motionbeat.benchmarks.records import NO_HEAD, RunRecord, read_record
from motionbeat.benchmarks.significance import LEVEL, SAMPLES, interval, resample
from motionbeat.console import say
from motionbeat.data_modules import GrooveBox
from motionbeat.encoding import CHUNK_SECONDS
from motionbeat.tasks import BeatTracking

ENTRY, HEAD, METRIC = "motionbeat-small", "linear", BeatTracking.primary
_AUDIO, _TRAIN, _TEST, _PLAIN = "#dcebf8", "#fde8d0", "#dff2e1", "#ffffff"
_CHOSEN, _FAINT = "#b03060", "#c3cad2"
_PICTURES = {
    "protocol.png": lambda _: steps(),
    "protocol_pieces.png": lambda _: pieces(),
    "protocol_scores.png": lambda results: scores(results),
}


def protocol_pictures(results: Path = Path("results"), out: Path = Path("docs")) -> None:
    """Draw the pictures.

    Args:
        results: folder with the records.
        out: folder for the pictures.
    """
    for name, draw in _PICTURES.items():
        save(draw(results), out / name)
        say(f"{out / name}")


def steps() -> Figure:
    """From recordings to a row of a table."""
    page = Page(800, 452)
    recipe, seeds = BeatTracking.recipe, 3
    rates = recipe.learning_rates

    page.text(14, 14, "1  encode, once", bold=True, align="left")
    for left, width, title, text in (
        (10, 190, "recording", "an audio file of any length"),
        (245, 230, "encoder, frozen", "samples → layers, frames, width"),
        (520, 270, "store", "one file an embedding, in half precision"),
    ):
        _box(page, left, 28, width, 44, _AUDIO, title, text)
    page.line((200, 50), (245, 50))
    page.line((475, 50), (520, 50))

    page.text(14, 100, "2  train and choose", bold=True, align="left")
    page.box(10, 114, 190, 142, _TRAIN)
    page.text(105, 128, "splits", bold=True)
    for y, name, groups in ((152, "train", 6), (182, "validation", 2), (212, "test", 3)):
        page.text(20, y, name, align="left")
        for number in range(groups):
            page.box(86 + 18 * number, y - 8, 15, 16, _PLAIN)
    page.text(105, 241, "a square is a group")

    page.box(245, 114, 300, 142, _TRAIN)
    page.text(395, 128, "every head with every learning rate", bold=True)
    for number, rate in enumerate(rates):
        page.text(325 + 48 * number, 240, f"{rate:g}")
    for y, head, chosen in ((160, "linear", 3), (200, "mlp", 2)):
        page.text(255, y, head, code=True, align="left")
        for number in range(len(rates)):
            _dot(page, 325 + 48 * number, y, number == chosen)

    page.box(625, 114, 165, 142, _TRAIN)
    page.text(707, 128, f"its rate with {seeds} seeds", bold=True)
    for y in (160, 200):
        for seed in range(seeds):
            _dot(page, 667 + 40 * seed, y, True)
    for seed in range(seeds):
        page.text(667 + 40 * seed, 240, f"{seed}")
    page.line((655, 72), (655, 92), (395, 92), (395, 114))
    page.text(405, 103, "standardised by the training split", align="left")
    page.line((200, 185), (245, 185))
    page.line((545, 185), (625, 185))
    page.text(585, 172, "validation", colour=_CHOSEN)

    page.text(14, 284, "3  test", bold=True, align="left")
    for left, width, title, lines in (
        (10, 190, "predict", ("test tracks without", "their annotations")),
        (245, 140, "score", ("whole tracks,", "by mir_eval and others")),
        (430, 180, "resample", ("groups of test tracks,", f"{SAMPLES:,} times with replacement")),
        (655, 135, "compare", ("encoders in pairs;", "p-values by Holm")),
    ):
        _box(page, left, 298, width, 62, _TEST, title, *lines)
    page.line((707, 256), (707, 278), (105, 278), (105, 298))
    for start, end in ((200, 245), (385, 430), (610, 655)):
        page.line((start, 329), (end, 329))
    page.box(245, 396, 545, 46, "#ece6f7")
    page.text(517, 410, "a row of the table", bold=True)
    page.text(
        517, 428, "mean ± deviation over seeds, interval, p-value, marks; beside chance and bounds"
    )
    page.line((520, 360), (520, 396))
    page.line((722, 360), (722, 396))
    return page.figure


def pieces() -> Figure:
    """How a long recording is encoded."""
    page = Page(800, 178)
    left, piece, context = 60, 170, 34
    page.text(14, 22, "a recording of 4 minutes", bold=True, align="left")
    page.box(left, 36, 4 * piece, 20, _AUDIO)
    for number in range(5):
        page.text(left + number * piece, 68, f"{number * CHUNK_SECONDS:g} s")
    for number in range(4):
        y, start = 88 + 14 * number, left + number * piece
        low, high = max(left, start - context), min(left + 4 * piece, start + piece + context)
        page.box(low, y, high - low, 11, _FAINT)
        page.box(start, y, piece, 11, _AUDIO)
    text = f"pieces of {CHUNK_SECONDS:g} s, with the encoder's context on both sides (grey), "
    page.text(14, 162, text + "whose frames are left out", align="left")
    return page.figure


def scores(results: Path) -> Figure:
    """How the entry of an encoder comes about, from its record."""
    record, chance, oracle = (_record(results, name) for name in (ENTRY, "chance", "oracle"))
    figure = Figure(figsize=(8, 2.9), facecolor="white", layout="constrained")
    sweep, tracks, samples = figure.subplots(1, 3)
    _sweep(sweep, record)
    _tracks(tracks, record)
    _samples(samples, record, chance, oracle)
    for axes in (sweep, tracks, samples):
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=7)
        axes.xaxis.label.set_size(8)
        axes.yaxis.label.set_size(8)
    return figure


def _sweep(axes: Any, record: RunRecord) -> None:
    """The monitor at every learning rate."""
    for head, colour in ((HEAD, _CHOSEN), ("mlp", LINE)):
        rates, values = zip(*record.results[head].sweep.items(), strict=True)
        rates, best = np.array(rates, np.float64), int(np.argmax(values))
        axes.plot(rates, values, ".-", color=colour, linewidth=1)
        circle = {"color": colour, "fillstyle": "none", "markersize": 11}
        axes.plot(rates[best], values[best], "o", **circle)
        axes.text(rates[0], values[0], f" {head}", color=colour, va="top", fontsize=7.5)
    axes.set(xscale="log", xlabel="learning rate", ylabel="beat F on validation")
    axes.set_title("1  validation chooses the rate", fontsize=8.5, loc="left")


def _tracks(axes: Any, record: RunRecord) -> None:
    """The scores of the test tracks, a line a group."""
    result = record.results[HEAD]
    values = pd.Series(result.per_track[METRIC].mean(axis=0))
    groups = [group for _, group in values.groupby(list(record.groups))]
    for place, group in enumerate(sorted(groups, key=pd.Series.mean)):
        axes.plot(group, [place] * len(group), ".-", color=LINE, linewidth=0.8, markersize=5)
    axes.axvline(result.scores[METRIC].mean, color=_CHOSEN, linewidth=1)
    axes.set(xlabel="beat F of each test track", yticks=[], ylabel=f"{len(groups)} groups")
    axes.set_title("2  test tracks are scored", fontsize=8.5, loc="left")


def _samples(axes: Any, record: RunRecord, chance: RunRecord, oracle: RunRecord) -> None:
    """The means of bootstrap samples, beside chance and the upper bound."""
    result = record.results[HEAD]
    per_track = {METRIC: result.per_track[METRIC]}
    means = resample(per_track, record.groups, BeatTracking.summarise)[METRIC]
    low, high = interval(means)
    axes.hist(means, bins=30, color=_FAINT)
    axes.axvspan(low, high, color=_CHOSEN, alpha=0.12, linewidth=0)
    axes.axvline(result.scores[METRIC].mean, color=_CHOSEN, linewidth=1)
    text = {"va": "top", "fontsize": 7.5, "transform": axes.get_xaxis_transform()}
    for one, align in ((chance, "left"), (oracle, "right")):
        value = one.results[NO_HEAD].scores[METRIC].mean
        axes.axvline(value, color=INK, linewidth=1, linestyle=":")
        axes.text(value, 0.97, f" {one.name} ", ha=align, **text)
    score = f"{result.scores[METRIC].mean:.3f}\n[{low:.3f}, {high:.3f}]"
    axes.text(0.5, 0.5, score, color=_CHOSEN, fontsize=8, transform=axes.transAxes, ha="center")
    axes.set(xlabel=f"mean beat F, {SAMPLES:,} samples of groups", yticks=[])
    axes.set_title(f"3  the interval of {LEVEL * 100:g} %", fontsize=8.5, loc="left")


def _record(results: Path, name: str) -> RunRecord:
    """The committed record of an entry for beats of groovebox."""
    return read_record(results / "runs/beat" / f"groovebox-{GrooveBox().revision}" / f"{name}.json")


def _box(
    page: Page, left: float, top: float, width: float, height: float, colour: str, title: str,
    *lines: str,
) -> None:  # fmt: skip
    """A box with a title and lines below it."""
    page.box(left, top, width, height, colour)
    page.text(left + width / 2, top + 13, title, bold=True)
    for number, line in enumerate(lines):
        page.text(left + width / 2, top + 31 + 16 * number, line)


def _dot(page: Page, x: float, y: float, chosen: bool) -> None:
    page.axes.plot(
        x, y, "o", color=_CHOSEN if chosen else LINE, fillstyle="full" if chosen else "none",
        markersize=9,
    )  # fmt: skip


if __name__ == "__main__":
    auto_cli(protocol_pictures, as_positional=False)
