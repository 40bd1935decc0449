"""The tables of the README, made of the committed results.

    python -m motionbeat.benchmarks.readme

writes them anew between their marks, ``<!-- table: NAME -->`` and ``<!-- end of table -->``.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import pandas as pd

from motionbeat.benchmarks.leaderboard import MARK
from motionbeat.benchmarks.registry import TASKS
from motionbeat.console import say
from motionbeat.files import write_atomically

ROOT = Path(__file__).resolve().parents[1]
_TABLE = re.compile(r"(<!-- table: (\S+) -->\n).*?(<!-- end of table -->)", re.DOTALL)
_PROBES = ("linear", "decoder", "reference")  # the others are in the files
_KINDS = ("ceiling", "specialist", "encoder", "floor")

CLIPS = {
    "genre": "genre, accuracy",
    "tagging": "tagging, ROC-AUC",
    "instruments": "instruments, ROC-AUC",
    "mood": "mood, ROC-AUC",
    "emotion": "emotion, R²",
}
RETRIEVAL = {
    "r10": "R@10, both ways",
    "m2d_r1": "music → dance R@1",
    "d2m_r1": "dance → music R@1",
    "m2d_median_rank": "median rank",
    "m2d_map": "mAP",
    "m2d_song_r10": "R@10, same song",
    "discrimination": "rhythm discrimination",
    "pool": "pool",
}
DANCE = {
    "bas_fact_sensitivity": "BAS own - others",
    "p": "p",
    "bas_fact": "BAS",
    "bas_fact_chance": "chance",
    "hit_rate_sensitivity": "hit rate own - others",
    "fid_k": "FID_k",
    "fid_g": "FID_g",
    "div_k": "Div_k",
    "pfc": "PFC",
    "foot_sliding": "sliding",
    "tracks": "dances",
    "clips": "clips",
    "seeds": "seeds",
}
ABLATION = {
    "music_to_motion_r1": "music → motion R@1",
    "music_to_motion_r10": "R@10",
    "motion_to_music_r1": "motion → music R@1",
    "motion_to_music_r10": "R@10",
    "discrimination": "discrimination",
    "beat_f_measure": "beat F",
    "downbeat_f_measure": "downbeat F",
}


def board(results: Path, task: str) -> pd.DataFrame:
    """The leaderboard of a task with the probes that are shown, by kind of row, best first."""
    rows = pd.read_csv(results / f"leaderboard_{task}.csv")
    rows = rows[rows["probe"].isin(_PROBES)]
    return rows.sort_values("kind", key=lambda kinds: kinds.map(_KINDS.index), kind="stable")


def label(row: pd.Series) -> str:
    """Name of a row, and what it is where it is no encoder."""
    return str(row["name"]) + ("" if row["kind"] == "encoder" else f" ({row['kind']})")


def primary(row: pd.Series, metric: str, interval: bool = True) -> str:
    """A primary metric with its interval and the mark of known ground."""
    if pd.isna(row[metric]):
        return "-"
    shown = f"{row[metric]:.3f}"
    if interval:
        shown += f" [{row[f'{metric}_low']:.3f}, {row[f'{metric}_high']:.3f}]"
    return shown + f" {MARK}" * bool(row["contaminated"])


def datasets_table(results: Path, tasks: dict[str, str], interval: bool) -> str:
    """Primary metric of every row on every dataset of some tasks; "-" where it was not run.

    Rows of a kind stand as in the first column.
    """
    columns: dict[str, pd.Series] = {}
    places: dict[str, int] = {}
    for task, title in tasks.items():
        for dataset, rows in board(results, task).groupby("dataset"):
            rows.index = pd.Index(rows.apply(label, axis=1))
            metric = TASKS.get(task).primary
            columns[f"{title}{dataset}"] = rows.apply(primary, axis=1, args=(metric, interval))
            places = dict(zip(rows.index, rows["kind"].map(_KINDS.index), strict=True)) | places
    table = pd.DataFrame(columns).reindex(sorted(places, key=places.__getitem__)).fillna("-")
    return markdown(["row", *table.columns], table.reset_index().to_numpy().tolist())


def dances_table(results: Path, task: str, columns: dict[str, str]) -> str:
    """Every row on every dataset, the interval beside the primary metric."""

    def cell(row: pd.Series, name: str) -> str:
        if name == TASKS.get(task).primary:
            return primary(row, name)
        whole = name in ("tracks", "pool", "clips", "seeds")
        digits = 0 if whole else 1 if name.startswith(("fid", "div")) or "rank" in name else 3
        return "-" if pd.isna(row[name]) else f"{row[name]:.{digits}f}"

    rows = board(results, task).sort_values("dataset", ascending=False, kind="stable")
    return markdown(
        ["dataset", "row", *columns.values()],
        (
            [row["dataset"], label(row), *(cell(row, name) for name in columns)]
            for _, row in rows.iterrows()
        ),
    )


def matching_table(results: Path) -> str:
    """How often the towers find the own dance."""
    return markdown(
        ["model", "own moment, not a shifted one", "p", "own song, not another", "p"],
        (
            [
                row["model"],
                f"{row['shifted']:.3f}",
                f"{row['shifted_p']:.4f}",
                f"{row['other_song']:.3f}",
                f"{row['other_song_p']:.4f}",
            ]
            for _, row in pd.read_csv(results / "matching.csv").iterrows()
        ),
    )


def ablation_table(results: Path) -> str:
    """What the parts of MotionBeat bring."""
    return markdown(
        ["model", *ABLATION.values()],
        (
            [row["variant"], *(f"{row[name]:.3f} ±{row[f'{name}_std']:.3f}" for name in ABLATION)]
            for _, row in pd.read_csv(results / "ablation.csv").iterrows()
        ),
    )


def markdown(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


TABLES: dict[str, Callable[[Path], str]] = {
    "results/leaderboard_beat.csv": lambda results: datasets_table(results, {"beat": ""}, True),
    "results/leaderboard.csv": lambda results: datasets_table(
        results, {task: f"{title}, " for task, title in CLIPS.items()}, False
    ),
    "results/leaderboard_retrieval.csv": lambda results: dances_table(
        results, "retrieval", RETRIEVAL
    ),
    "results/leaderboard_dance.csv": lambda results: dances_table(results, "dance", DANCE),
    "results/matching.csv": matching_table,
    "results/ablation.csv": ablation_table,
}
"""By the file that is named in the mark: what makes the table of the results."""


def with_tables(text: str, results: Path) -> str:
    """A text with its tables made anew."""
    return _TABLE.sub(lambda found: f"{found[1]}{TABLES[found[2]](results)}\n{found[3]}", text)


if __name__ == "__main__":
    readme = ROOT / "README.md"
    write_atomically(readme, with_tables(readme.read_text(), ROOT / "results").encode())
    say(f"written: the tables of {readme}")
