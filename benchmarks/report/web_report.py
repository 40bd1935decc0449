"""``motionbeat report``: run records as pages that open from disk."""

import re
import shutil
import webbrowser
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

import motionbeat
from motionbeat.benchmarks.cli import CACHE, DATA, Options, share, split
from motionbeat.benchmarks.evaluator import Folders
from motionbeat.benchmarks.leaderboards import MEANINGS, OVERLAP, RENDERER, Row, write_csv
from motionbeat.benchmarks.records import NO_HEAD, RecordError, read_records
from motionbeat.benchmarks.registry import DATASETS, ENCODERS
from motionbeat.benchmarks.report.cards import card_groups
from motionbeat.benchmarks.report.gathered import (
    Cell,
    Column,
    Gathered,
    command,
    entries,
    gather,
    remark,
    tied,
)
from motionbeat.benchmarks.report.listening import Media, write_media
from motionbeat.benchmarks.report.writing import STATIC, packed, page, write_data
from motionbeat.console import say
from motionbeat.errors import MotionBeatError
from motionbeat.files import write_atomically

PAGES = {
    "Leaderboard": ("index.html", "leaderboard.html", ("leaderboard.js",)),
    "Compare": ("compare.html", "compare.html", ("plotly.min.js", "compare.js")),
    "Size and speed": ("size.html", "size.html", ("plotly.min.js", "size.js")),
    "Tracks": ("tracks.html", "tracks.html", ("viewer.js", "player.js", "tracks.js")),
    "Dances": ("dances.html", "dances.html", ("viewer.js", "dances.js")),
    "Cards": ("cards.html", "cards.html", ("cards.js",)),
}
"""By title: the file, its template, and the scripts it needs beside the common one."""

OWN = ("assets", "csv", "data", "media")  # folders of a report, which a new one replaces
_STEPS = 65534  # of a packed bootstrap sample; one more is NaN


class ReportError(MotionBeatError):
    """A report that cannot be made, with the remedy."""


def report(
    results: Path = Path("results"),
    out: Path = Path("report"),
    open: bool = False,
    media: int = 0,
    dataset: str = "groovebox",
    dataset_options: Options | None = None,
    encoder: str | None = None,
    cache: Path = CACHE,
    data: Path | None = DATA,
) -> None:
    """Make pages of run records: a folder that opens from disk and can be sent.

    Args:
        results: folder with the records.
        out: folder for the report; an older report there is replaced.
        open: show it in the browser.
        media: test tracks with audio, predicted beats and dances, from the first on; only of a
            dataset whose licence allows copies, by probes that motionbeat bench has kept.
        dataset: whose tracks these are.
        dataset_options: arguments of that dataset.
        encoder: one or several names whose predictions can be heard, separated by commas; the
            best ones when left out.
        cache: folder with the probes and embeddings (MOTIONBEAT_CACHE).
        data: folder with datasets put in place by hand (MOTIONBEAT_DATA).

    Raises:
        UnknownNameError: there is no such encoder or dataset.
        RecordError: there are no records.
        ReportError: the folder holds something else than a report.
        WriteError: the folder cannot be written.
    """
    share(data)
    named = None if encoder is None else split(encoder)
    if media < 0:
        raise ReportError(f"--media is {media}; give a number of tracks, or leave it out")
    for name in named or ():
        ENCODERS.get(name)
    DATASETS.get(dataset)
    if out.is_dir() and any(out.iterdir()) and not (out / "data" / "report.js").is_file():
        raise ReportError(f"{out} holds something else than a report; give another folder by --out")
    gathered = gather(read_records(results / "runs"))
    if not gathered.columns:
        raise RecordError(
            f"{results / 'runs'} holds no records that count; run motionbeat bench, or give the "
            "folder by --results"
        )
    for name in OWN:
        shutil.rmtree(out / name, ignore_errors=True)
    heard = Media()
    if media > 0:
        folders = Folders(cache, data=data)
        heard = write_media(out, gathered, media, dataset, dataset_options or {}, named, folders)
    write_pages(out, gathered, heard)
    size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    say(f"{out / 'index.html'}: {size / 1e6:.1f} MB, opens in any browser")
    if open:
        webbrowser.open((out / "index.html").resolve().as_uri())


def write_pages(out: Path, gathered: Gathered, media: Media) -> None:
    """Write all pages, their data and the tables as files."""
    known = entries(gathered.columns)
    numbers = {entry["name"]: number for number, entry in enumerate(known)}
    files = [*_write_tables(out, gathered), "cards.csv"]
    for index, column in enumerate(gathered.columns):
        write_data(out, f"details-{index}", [_details(column, cell) for cell in column.cells])
        write_data(out, f"samples-{index}", [_samples(cell) for cell in column.cells])
        write_data(out, f"tracks-{index}", _tracks(column))
    write_data(
        out,
        "report",
        {
            "entries": known,
            "columns": [_column(one, gathered, numbers) for one in gathered.columns],
            "meanings": [MEANINGS[OVERLAP], MEANINGS[RENDERER]],
            "media": media.tracks,
            "dances": media.dances,
        },
    )
    groups, table = card_groups(gathered.columns)
    write_csv(out / "csv" / "cards.csv", table)
    for path in STATIC.iterdir():
        write_atomically(out / "assets" / path.name, path.read_bytes())
    write_atomically(out / "assets" / "plotly.min.js", _plotly())
    facts: dict[str, Any] = {
        "pages": [(title, file) for title, (file, _, _) in PAGES.items()],
        "made": f"{datetime.now(UTC):%Y-%m-%d}",
        "version": motionbeat.__version__,
        "records": len({cell.record.key for one in gathered.columns for cell in one.cells}),
        "files": files,
        "notes": media.notes,
        "credits": media.credits,
        "media": bool(media.tracks),
        "groups": groups,
    }
    for title, (file, template, names) in PAGES.items():
        needed = ["data/report.js", *(f"assets/{name}" for name in names)]
        content = page(template, title=title, scripts=needed, **facts)
        write_atomically(out / file, content.encode())


def _plotly() -> bytes:
    """The script of plotly's package."""
    from plotly.offline import get_plotlyjs

    return str(get_plotlyjs()).encode()


def _write_tables(out: Path, gathered: Gathered) -> list[str]:
    """Write leaderboards and per-track scores as files, and name them."""
    names = []
    for name, table in gathered.tables.items():
        write_csv(out / "csv" / f"{name}.csv", table)
        names.append(f"{name}.csv")
    for index, column in enumerate(gathered.columns):
        place = re.sub(r"[^A-Za-z0-9_-]+", "_", column.record.dataset)
        name = f"tracks_{column.task.name}_{place}_{index}.csv"
        write_csv(out / "csv" / name, column.table())
        names.append(name)
    return names


def _column(column: Column, gathered: Gathered, numbers: dict[str, int]) -> dict[str, Any]:
    record = column.record
    place = f"{record.task}/{record.dataset}/"
    alike = sum(one.id.startswith(place) for one in gathered.columns)
    return {
        "id": column.id,
        "task": record.task,
        "dataset": record.dataset,
        "again": f" {column.id.removeprefix(place)}" if alike > 1 else "",
        "revision": record.dataset_revision,
        "data": record.data,
        "partial": record.partial,
        "trained_on": record.trained_on,
        "folds": record.folds,
        "tracks": len(record.tracks),
        "groups": len(set(record.groups)),
        "metric": column.metric,
        "headline": [title.strip() for title in column.task.headline.values()],
        "heads": sorted({cell.row["head"] for cell in column.cells} - {NO_HEAD}),
        "warnings": sorted({cell.row["warnings"] for cell in column.cells} - {None}),
        "cells": [_cell(column, cell, numbers) for cell in column.cells],
    }


def _cell(column: Column, cell: Cell, numbers: dict[str, int]) -> list[Any]:
    row, primary = cell.row, column.task.primary
    mark = 1 if row["training_data_overlap"] else 2 * bool(row["shared_renderer"])
    score = [row[primary], row[f"{primary}_std"]]
    bounds = [row.get(f"{primary}_low", np.nan), row.get(f"{primary}_high", np.nan)]
    return [numbers[cell.record.label], row["head"], *score, *bounds, mark, int(tied(column, cell))]


def _details(column: Column, cell: Cell) -> Row:
    """What the details of a cell show."""
    record, result, row = cell.record, cell.result, cell.row
    machine = record.hardware
    processor = machine.accelerator or f"{machine.processor}, {machine.cores} cores"
    of_row = ("seeds", "compared_with", "p_value", "p_holm", "finished", "warnings")
    of_record = {"revision", "package_version", "task_version", "git_commit"}
    scores = [result.scores[name] for name in column.task.headline]
    return {
        **{name: row[name] for name in of_row},
        **record.model_dump(include=of_record),
        "learning_rate": result.learning_rate,
        "metrics": [[score.mean, score.std, score.low, score.high] for score in scores],
        "sweep": ", ".join(f"{rate}: {value:.3f}" for rate, value in result.sweep.items()),
        "layers": np.mean(result.layer_weights, axis=0) if result.layer_weights else [],
        "hardware": f"{processor}, torch {machine.torch}",
        "seconds": result.seconds,
        "speed": record.seconds_per_hour,
        "command": command(record, row["head"]),
        "remark": remark(record),
    }


def _samples(cell: Cell) -> list[Any]:
    """Bootstrap samples in 16 bits: lowest, highest, and what lies between."""
    defined = cell.samples[np.isfinite(cell.samples)]
    low, high = (float(defined.min()), float(defined.max())) if len(defined) else (0.0, 0.0)
    steps = np.nan_to_num((cell.samples - low) / ((high - low) or 1) * _STEPS, nan=_STEPS + 1)
    return [repr(low), repr(high), packed(np.round(steps).astype("<u2"))]


def _tracks(column: Column) -> dict[str, Any]:
    """Scores of every track, and what is predicted for it where that is a class or a number."""
    first = column.cells[0].scores
    return {
        "title": first.title,
        "better": first.better,
        "tracks": column.record.tracks,
        "groups": column.record.groups,
        "scores": [cell.scores.values for cell in column.cells],
        **column.predictions(),
    }
