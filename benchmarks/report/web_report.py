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
from motionbeat.benchmarks.report.gathered import Cell, Column, Gathered, entries, gather, tied
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
        write_data(out, f"details-{index}", [_details(cell) for cell in column.cells])
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
        "records": len({(c.id, cell.label) for c in gathered.columns for cell in c.cells}),
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
        place = re.sub(r"[^A-Za-z0-9_-]+", "_", column.dataset)
        name = f"tracks_{column.task.name}_{place}_{index}.csv"
        write_csv(out / "csv" / name, column.table())
        names.append(name)
    return names


def _column(column: Column, gathered: Gathered, numbers: dict[str, int]) -> dict[str, Any]:
    task = column.task
    alike = [o for o in gathered.columns if (o.task, o.dataset) == (task, column.dataset)]
    return {
        "id": column.id,
        "task": task.name,
        "dataset": column.dataset,
        "again": f" {column.id.split('/', 2)[2]}" if len(alike) > 1 else "",
        "revision": column.revision,
        "data": column.data,
        "partial": column.partial,
        "trained_on": column.trained_on,
        "folds": column.folds,
        "tracks": len(column.tracks),
        "groups": len(set(column.groups)),
        "metric": column.metric,
        "headline": [title.strip() for title in task.headline.values()],
        "heads": sorted({cell.row["head"] for cell in column.cells} - {NO_HEAD}),
        "warnings": sorted({cell.row["warnings"] for cell in column.cells} - {None}),
        "cells": [_cell(column, cell, numbers) for cell in column.cells],
    }


def _cell(column: Column, cell: Cell, numbers: dict[str, int]) -> list[Any]:
    row, primary = cell.row, column.task.primary
    mark = 1 if row["training_data_overlap"] else 2 * bool(row["shared_renderer"])
    score = [row[primary], row[f"{primary}_std"]]
    bounds = [row.get(f"{primary}_low", np.nan), row.get(f"{primary}_high", np.nan)]
    return [numbers[cell.label], row["head"], *score, *bounds, mark, int(tied(column, cell))]


def _details(cell: Cell) -> Row:
    """What the details of a cell show."""
    row, facts = cell.row, dict(cell.facts)
    names = ("seeds", "learning_rate", "compared_with", "p_holm", "revision", "finished")
    more = ("package_version", "task_version", "git_commit", "warnings")
    sweep = ", ".join(f"{rate}: {value:.3f}" for rate, value in facts.pop("sweep").items())
    facts["metrics"] = list(facts["metrics"].values())
    return (
        facts
        | {name: row[name] for name in (*names, *more)}
        | {"p": row["p_value"], "sweep": sweep}
    )


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
        "tracks": column.tracks,
        "groups": column.groups,
        "scores": [cell.scores.values for cell in column.cells],
        **column.predictions(),
    }
