"""Tables and pictures, made from run records alone.

Records are read one at a time, and what is kept of one is its rows and the bootstrap samples of its
primary metric, so time and memory grow with the number of records.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from motionbeat.benchmarks.records import (
    CLEAN,
    NO_HEAD,
    HeadResult,
    RunRecord,
    read_record,
    read_records,
)
from motionbeat.benchmarks.registry import DATASETS, TASKS
from motionbeat.benchmarks.significance import (
    Estimate,
    holm,
    interval,
    once,
    paired_p_values,
    resample,
)
from motionbeat.console import wide
from motionbeat.data_modules.base import canonical
from motionbeat.files import write_atomically
from motionbeat.tasks.metrics.classification import confusion
from motionbeat.tasks.metrics.per_track import FOLD

if TYPE_CHECKING:
    from motionbeat.tasks.task import Task

Floats = NDArray[np.float64]
Row = dict[str, Any]
Keep = Callable[[RunRecord, str, Row, Floats], None]
"""Is given each record and head with its row and the bootstrap samples of the primary metric."""

KINDS = ("upper bound", "dedicated", "encoder", "baseline")
OVERLAP = "†"
RENDERER = "‡"
MEANINGS = {
    OVERLAP: "training-data overlap: the encoder was trained on this dataset, on a split of it or "
    "on recordings it shares",
    RENDERER: "shared renderer: the encoder was trained on another dataset made with the same "
    "renderer and sounds",
}
P_VALUES = ("p_chance_holm", "p_holm")
"""Columns of corrected p-values, against chance and against the best other encoder."""

COMPARED = "p_holm: Holm-corrected paired t test against the best other encoder"
DROPS = {name: name for name in ("deformation", "clean", "deformed", "drop")}
_STYLES = {
    "linear": ("o", "tab:blue"),
    "mlp": ("s", "tab:orange"),
    "knn": ("^", "tab:green"),
    NO_HEAD: ("D", "gray"),
}
_SHOWN = 40  # encoders in a picture or a printed table; files have all
_PANELS = 12  # datasets in a picture or printed
_NAMED_CLASSES = 40  # more names than that cannot be read
_SMALL = 0.3  # largest score on an axis that need not reach 1


def stem(task: str, mode: str = "frozen", deformed: bool = False) -> str:
    """Name of the table, without suffix, that holds the entries of a task."""
    if deformed:
        return f"robustness_{task}"
    return f"leaderboard_{task}" + ("" if mode == "frozen" else "_finetuned")


def write_tables(
    results: Path, task: str | None = None, deformed: bool = False
) -> dict[str, pd.DataFrame]:
    """Write the tables of all records, or of a task's, each as CSV with a picture.

    Frozen and fine-tuned encoders have a table each.

    Args:
        results: folder of the tables, with the records in ``runs``, those of deformed audio in
            ``robustness/runs``.
        task: the one task whose records have changed.
        deformed: the tables of deformed audio instead of the ordinary ones.

    Returns:
        The tables by :func:`stem`.

    Raises:
        WriteError: the folder cannot be written.
    """
    folder = results / "robustness" / "runs" if deformed else results / "runs"
    tables = collect(read_records(folder / (task or "")), deformed)
    for name, table in tables.items():
        write_csv(results / f"{name}.csv", table)
        (draw_drops if deformed else draw_scores)(table, results / f"{name}.png")
        if name == stem(of := table["task"].iloc[0]) and (matrices := confusions(table, folder)):
            draw_confusions(matrices, results / f"confusion_{of}.png")
    return tables


def collect(
    records: Iterable[RunRecord], deformed: bool = False, keep: Keep | None = None
) -> dict[str, pd.DataFrame]:
    """Rows of records, best first within a kind, encoders compared with the best other one.

    Encoders compare where head, mode, protocol and test tracks agree. p-values are corrected for
    the encoders of a dataset and head.

    Args:
        records: read one at a time.
        deformed: rows of deformed audio instead of the ordinary ones.
        keep: is given what the rows are made of; comparisons are in the rows when all are read.
    """
    rows: dict[str, list[Row]] = defaultdict(list)
    rivals: dict[object, list[tuple[Row, Estimate]]] = defaultdict(list)
    for record in records:
        task = TASKS.get(record.task)
        table = rows[stem(record.task, record.mode, deformed)]
        for head, result in record.results.items():
            if deformed:
                table += [_row(record, head, result, drop) for drop in _drops(record, result, task)]
                continue
            table.append(_row(record, head, result, _scores(result, task)))
            if record.kind != "encoder" and keep is None:
                continue
            estimate = _estimate(result.per_track, record.groups, task)
            if keep is not None:
                keep(record, head, table[-1], estimate.samples)
            if record.kind == "encoder":
                alike = record.task, record.dataset, record.dataset_revision, head, record.mode
                rivals[*alike, record.protocol, record.tracks].append((table[-1], estimate))
    for family in rivals.values():
        _compare(family)
    return {name: _in_order(table) for name, table in rows.items()}


def _row(record: RunRecord, head: str, result: HeadResult, values: Row) -> Row:
    """One row: what was run, its values, and where they come from."""
    overlap, renderer = known_data(record.dataset, record.training_data)
    return {
        "task": record.task,
        "dataset": record.dataset,
        "dataset_revision": record.dataset_revision,
        "data": record.data,
        "partial": record.partial,
        "trained_on": record.trained_on or record.dataset,
        "kind": record.kind,
        "entry": record.name,
        "head": head,
        "mode": record.mode,
        "tracks": len(record.tracks),
        "groups": len(set(record.groups)),
        "folds": record.folds,
        "seeds": len(next(iter(result.per_track.values()))),
        "learning_rate": result.learning_rate,
        **record.conditions,
        **values,
        "training_data_overlap": overlap,
        "shared_renderer": renderer,
        "warnings": "; ".join(record.warnings) or None,
        "revision": record.revision,
        "parameters": record.parameters,
        "licence": record.licence,
        "training_data": "; ".join(record.training_data),
        "task_version": record.task_version,
        "package_version": record.package_version,
        "git_commit": record.git_commit,
        "finished": record.finished.date().isoformat(),
    }


def _scores(result: HeadResult, task: "type[Task]") -> Row:
    """The metrics that tables show, with room for the comparison."""
    values: Row = {}
    for metric in task.headline:
        score = result.scores[metric]
        values |= {metric: score.mean, f"{metric}_std": score.std}
        if metric not in task.corpus_level:
            values |= {f"{metric}_low": score.low, f"{metric}_high": score.high}
    return values | {"compared_with": None, "p_value": math.nan, "p_holm": math.nan}


def _drops(record: RunRecord, result: HeadResult, task: "type[Task]") -> Iterator[Row]:
    """What each deformation takes from the primary metric.

    The interval is that of the drop on resampled groups, each counted alike in both versions.
    """
    from motionbeat.benchmarks.deformations import DEFORMATIONS

    made = np.array([track.partition("/")[0] for track in record.tracks])

    def part(deformation: str) -> tuple[float, Floats]:
        """Score and bootstrap samples of the tracks in one deformation."""
        chosen = made == deformation
        scores = {name: values[:, chosen] for name, values in result.per_track.items()}
        groups = [group for group, one in zip(record.groups, chosen, strict=True) if one]
        estimate = _estimate(scores, groups, task)
        return float(estimate.seeds.mean()), estimate.samples

    clean, samples = part(CLEAN)
    for deformation in DEFORMATIONS:
        if deformation.name not in made:
            continue
        deformed, left = part(deformation.name)
        low, high = interval(samples - left)
        yield {
            "tracks": int((made == CLEAN).sum()),
            "deformation": deformation.name,
            "strength": deformation.strength,
            "clean": clean,
            "deformed": deformed,
            "drop": clean - deformed,
            "drop_low": low,
            "drop_high": high,
        }


def _estimate(
    per_track: dict[str, NDArray[Any]], groups: Sequence[str], task: "type[Task]"
) -> Estimate:
    """The primary metric and its bootstrap samples."""
    if task.primary in per_track:  # a per-track score itself, on which no other numbers have a say
        per_track = {
            name: values
            for name, values in per_track.items()
            if name in (task.primary, FOLD) or values.dtype.kind == "U"
        }
    seeds = once(per_track, task.summarise)[task.primary]
    return Estimate(seeds, resample(per_track, groups, task.summarise)[task.primary])


def _compare(family: list[tuple[Row, Estimate]]) -> None:
    """Compare each row with the best one of another encoder, p-values corrected.

    The best row and the one it is compared with are one comparison, which is counted once.
    """
    if len(family) < 2:
        return
    primary = TASKS.get(family[0][0]["task"]).primary
    ranked = sorted(family, key=lambda one: -np.nan_to_num(one[0][primary], nan=-np.inf))
    estimates = [estimate for _, estimate in ranked]
    p_values = paired_p_values(estimates, ranked[0][0]["groups"])[0, 1:]
    adjusted = holm(p_values)
    for place, (row, _) in enumerate(ranked):
        row["compared_with"] = ranked[0 if place else 1][0]["entry"]
        row["p_value"], row["p_holm"] = (p[max(0, place - 1)] for p in (p_values, adjusted))


def _in_order(rows: list[Row]) -> pd.DataFrame:
    """The rows of a table by dataset, kind, head and primary metric, with corrected p-values."""
    task = TASKS.get(rows[0]["task"])

    def place(row: Row) -> tuple[Any, ...]:
        head = task.heads.index(row["head"]) if row["kind"] == "encoder" else 0
        value = -np.nan_to_num(row.get(task.primary, 0), nan=-np.inf)
        return row["dataset"], row["dataset_revision"], KINDS.index(row["kind"]), head, value

    rows = sorted(rows, key=place)
    table = pd.DataFrame(rows)
    if "p" in table:
        encoders = table[table["kind"] == "encoder"]
        families = encoders.groupby(["dataset", "dataset_revision", "head"])["p"]
        table["p_chance_holm"] = families.transform(lambda values: holm(values.to_numpy()))
    return table


def known_data(dataset: str, training_data: Iterable[str]) -> tuple[bool, bool]:
    """Whether an encoder was trained on a dataset, and else on another one of the same renderer.

    A dataset that is not known here, as it lies in a file of its author's, goes by its name alone.
    """
    trained = {canonical(name) for name in training_data}
    known = DATASETS.classes.get(dataset)
    if known is None:
        return canonical(dataset) in trained, False
    overlap = known.card.is_among(trained)
    alike = known.card.renderer and any(
        other.card.renderer == known.card.renderer and canonical(name) in trained
        for name, other in DATASETS.classes.items()
    )
    return overlap, bool(alike) and not overlap


def marked(row: Any) -> str:
    """The mark of a row's training data, with a space before it; mostly nothing."""
    if row["training_data_overlap"]:
        return f" {OVERLAP}"
    return f" {RENDERER}" * bool(row["shared_renderer"])


def meanings(table: pd.DataFrame) -> list[str]:
    """What the marks in a table mean."""
    columns = {OVERLAP: "training_data_overlap", RENDERER: "shared_renderer"}
    return [f"{mark} {MEANINGS[mark]}" for mark, name in columns.items() if table[name].any()]


def write_csv(path: Path, table: pd.DataFrame) -> None:
    """Write a table, its numbers in six digits."""
    write_atomically(path, table.to_csv(index=False, float_format="%.6g").encode())


def by_dataset(table: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """The rows of each dataset and its label: the name, what data it is, what tells it apart."""
    revisions = table.groupby("dataset")["dataset_revision"].nunique()
    for (name, revision), part in table.groupby(["dataset", "dataset_revision"], sort=False):
        label = f"{name} {revision}" if revisions[str(name)] > 1 else str(name)
        yield f"{label} ({part['data'].iloc[0]}{', partial' * bool(part['partial'].any())})", part


def largest(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of the datasets with most entries: what a person can look at."""
    datasets = _datasets(table)
    return table[datasets.isin(datasets.value_counts(sort=True).index[:_PANELS])]


def _datasets(table: pd.DataFrame) -> "pd.Series[str]":
    return table["dataset"] + " " + table["dataset_revision"]


def best(table: pd.DataFrame, primary: str) -> pd.DataFrame:
    """The rows of the best encoders and of all other entries: what a person can look at."""
    encoders = table[table["kind"] == "encoder"].sort_values(primary, ascending=False)
    names = set(encoders["entry"].drop_duplicates().head(_SHOWN))
    return table[(table["kind"] != "encoder") | table["entry"].isin(names)]


def draw_scores(table: pd.DataFrame, path: Path) -> None:
    """Draw the primary metric with its intervals, one panel a dataset."""
    primary = TASKS.get(table["task"].iloc[0]).primary
    table = best(largest(table), primary)
    datasets = list(by_dataset(table))
    names = list(table.sort_values(primary).drop_duplicates("entry", keep="last")["entry"])
    heads = [head for head in _STYLES if (table["head"] == head).any()]
    heads += sorted(set(table["head"]) - set(heads))
    figure = new_figure(1.5 + 3.4 * len(datasets), 1.2 + 0.36 * len(names))
    panels = figure.subplots(1, len(datasets), sharey=True, squeeze=False)[0]
    for panel, (label, here) in zip(panels, datasets, strict=True):
        for shift, head in zip(np.linspace(0.2, -0.2, len(heads)), heads, strict=True):
            marker, colour = _STYLES.get(head, ("v", "tab:red"))
            part = here[here["head"] == head]
            value, height = part[primary], part["entry"].map(names.index) + shift
            margins = [value - part[f"{primary}_low"], part[f"{primary}_high"] - value]
            xerr = [margin.clip(lower=0) for margin in margins]
            style = {"fmt": marker, "color": colour, "capsize": 2, "markersize": 5}
            label_of = "no head" if head == NO_HEAD else head
            panel.errorbar(value, height, xerr=xerr, label=label_of, **style)
            known = part["training_data_overlap"].astype(bool)
            hollow = {"color": colour, "mfc": "white", "ms": 5, "zorder": 3}
            panel.plot(value[known], height[known], marker, **hollow)
        panel.set_title(f"{label}, {here['tracks'].iloc[0]} tracks", fontsize=10)
        panel.set_yticks(range(len(names)), names)
        panel.set_ylim(-0.6, len(names) - 0.4)
        low, high = panel.get_xlim()
        small = high < _SMALL  # differences, which an axis up to 1 would hide
        panel.set_xlim(np.clip(low, -1, -0.02), high if small else 1.02)
        panel.grid(axis="x", alpha=0.3)
        panel.set_xlabel(primary.replace("_", " "))
    panels[0].legend(fontsize=8, loc="lower right")
    if table["training_data_overlap"].any():
        figure.supxlabel(f"hollow: {MEANINGS[OVERLAP]}", fontsize=8)
    save(figure, path)


def draw_drops(table: pd.DataFrame, path: Path) -> None:
    """Draw what deformations take from the first head, one panel a dataset."""
    task = TASKS.get(table["task"].iloc[0])
    table = largest(table[table["head"] == task.heads[0]])
    panels = {}
    for label, part in by_dataset(table):
        drops = part.pivot(index="entry", columns="deformation", values="drop")
        robust = drops.mean(axis=1).sort_values().head(_SHOWN).index
        panels[label] = drops.loc[robust, part["deformation"].unique()]
    figure = new_figure(10, 1.6 + 0.3 * sum(len(drops) + 2 for drops in panels.values()))
    axes = figure.subplots(len(panels), 1, squeeze=False, sharex=True)[:, 0]
    reach = float(table["drop"].abs().max()) or 1.0
    for axis, (label, drops) in zip(axes, panels.items(), strict=True):
        image = axis.imshow(drops, cmap="RdBu_r", vmin=-reach, vmax=reach, aspect="auto")
        axis.set_title(f"{label}, {task.heads[0]} head", fontsize=9)
        axis.set_yticks(range(len(drops)), drops.index, fontsize=8)
        axis.set_xticks(range(drops.shape[1]), drops.columns, rotation=60, ha="right", fontsize=8)
        for (line, column), drop in np.ndenumerate(drops.to_numpy()):
            colour = "white" if abs(drop) > 0.6 * reach else "black"
            place = {"ha": "center", "va": "center", "fontsize": 6, "color": colour}
            axis.text(column, line, f"{drop:.2f}", **place)
    figure.colorbar(image, ax=axes, label=f"drop of {task.primary.replace('_', ' ')}")
    save(figure, path)


def confusions(table: pd.DataFrame, folder: Path) -> dict[str, pd.DataFrame]:
    """What the best encoder's linear head takes for what, by dataset; from its record."""
    found = {}
    best = largest(table[(table["kind"] == "encoder") & (table["head"] == "linear")])
    for _, row in best.drop_duplicates(["dataset", "dataset_revision"]).iterrows():
        place = folder / row["task"] / f"{row['dataset']}-{row['dataset_revision']}"
        record = read_record(place / f"{row['entry']}.json")
        scores = record.results["linear"].per_track
        if "true" in scores:
            matrix = confusion(scores["true"], scores["predicted"])
            found[f"{row['dataset']}: {row['entry']}"] = matrix
    return found


def draw_confusions(matrices: dict[str, pd.DataFrame], path: Path) -> None:
    """Draw confusion matrices by title, one panel each."""
    sizes = [3.0 + 0.16 * min(len(matrix), _NAMED_CLASSES) for matrix in matrices.values()]
    figure = new_figure(sum(sizes), max(sizes))
    panels = figure.subplots(1, len(sizes), squeeze=False, width_ratios=sizes)[0]
    for panel, (title, matrix) in zip(panels, matrices.items(), strict=True):
        panel.imshow(matrix, cmap="Blues", vmin=0, vmax=1)
        panel.set_title(title, fontsize=9)
        panel.set_xlabel("predicted", fontsize=8)
        panel.set_ylabel("true", fontsize=8)
        names = list(matrix) if len(matrix) <= _NAMED_CLASSES else []
        panel.set_xticks(range(len(names)), names, rotation=90, fontsize=6)
        panel.set_yticks(range(len(names)), names, fontsize=6)
    save(figure, path)


def new_figure(width: float, height: float) -> Any:
    """An empty picture of a size in inches."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def save(figure: Any, path: Path) -> None:
    """Write a picture that is the same bytes whenever it is drawn."""
    figure.savefig(path, dpi=130, metadata={"Software": None})


def print_table(table: pd.DataFrame, console: Console | None = None) -> None:
    """Print a table as :func:`write_tables` gives it, one grid a dataset."""
    console = wide(console or Console())
    task = TASKS.get(table["task"].iloc[0])
    deformed = "drop" in table
    metric = "drop" if deformed else task.primary
    columns = DROPS if deformed else dict(task.headline)
    columns |= {name: name for name in P_VALUES if name in table}
    over = "[95 % bootstrap interval over groups of tracks]"
    for label, part in by_dataset(largest(table)):
        first = part.iloc[0]
        shown = part if deformed else best(part, metric)
        more = part["entry"].nunique() - shown["entry"].nunique()
        notes = [f"mean ±std over seeds {over}", COMPARED]
        if deformed:
            primary = task.primary.replace("_", " ")
            notes = [f"{primary} on clean and deformed audio, and its drop {over}"]
        notes += [f"{name.replace('_', ' ')}: {value:g}" for name, value in task.conditions.items()]
        notes += [f"{more} more encoders in the file"] * bool(more)
        warnings = part["warnings"].dropna().unique()
        trained = f", trained on {first['trained_on']}" * (first["trained_on"] != first["dataset"])
        grid = Table(
            title=f"{task.name} · {label}: {first['tracks']} test tracks{trained}",
            caption="\n".join(["; ".join(notes), *meanings(part), *warnings]),
        )
        for title in ("entry", "head", *columns.values()):
            grid.add_column(title, justify="left" if title == "entry" else "right")
        for _, line in shown.iterrows():
            what = line["mode"] if line["kind"] == "encoder" else line["kind"]
            grid.add_row(
                line["entry"] + f" ({what})" * (what != "frozen") + marked(line),
                "-" if line["head"] == NO_HEAD else line["head"],
                *(cell(line, name, name == metric) for name in columns),
            )
        console.print(grid)
    if more := len({*_datasets(table)} - {*_datasets(largest(table))}):
        console.print(f"{more} more datasets in the file")


def cell(line: "pd.Series[Any]", metric: str, full: bool = False) -> str:
    """One value as people read it; a dash where it is undefined."""
    value = line[metric]
    if isinstance(value, str) or pd.isna(value):
        return value if isinstance(value, str) else "-"
    text = f"{value:.3f}"
    if full and f"{metric}_std" in line:
        text += f" ±{line[f'{metric}_std']:.3f}" if line["seeds"] > 1 else " " * 7
    if full:
        text += f" [{line[f'{metric}_low']:.3f}, {line[f'{metric}_high']:.3f}]"
    return text
