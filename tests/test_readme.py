import re
from pathlib import Path

import pandas as pd
import pytest
import torch

from benchmarks.leaderboard import MARK
from benchmarks.registry import TASKS
from tests.command import motionbeat

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
CLIPS = {
    "genre": "genre, accuracy",
    "tagging": "tagging, ROC-AUC",
    "instruments": "instruments, ROC-AUC",
    "mood": "mood, ROC-AUC",
    "emotion": "emotion, R²",
}


def board(task):
    return pd.read_csv(ROOT / "results" / f"leaderboard_{task}.csv")


def test_beat_table_shows_the_committed_results():
    shown = README.split("<!-- table: results/leaderboard_beat.csv -->")[1].split("<!--")[0]
    assert shown.strip() == table(board("beat"), "beat_f_measure").strip()


def test_table_of_clips_shows_the_committed_results():
    shown = README.split("<!-- table: results/leaderboard.csv -->")[1].split("<!--")[0]
    assert shown.strip() == clips_table().strip()


def clips_table():
    """Primary metric of every row on every clip task and dataset."""
    boards = [
        (f"{title}, {dataset}", TASKS.get(task).primary, rows.set_index(["name", "probe"]))
        for task, title in CLIPS.items()
        for dataset, rows in board(task).groupby("dataset")
    ]
    columns = {title: rows[metric] for title, metric, rows in boards}
    known = {(title, *row) for title, _, rows in boards for row in rows.index[rows["contaminated"]]}
    found = pd.concat(columns, axis=1).reset_index()
    order = ["linear", "mlp", "knn", "reference"]
    found = found.sort_values(
        ["probe", found.columns[2]],
        key=lambda column: column.map(order.index) if column.name == "probe" else -column,
    )

    def cell(row, title):
        marked = (title, row["name"], row["probe"]) in known
        return "-" if pd.isna(row[title]) else f"{row[title]:.3f}" + f" {MARK}" * marked

    cells = [
        [row["name"], row["probe"], *(cell(row, title) for title in columns)]
        for _, row in found.iterrows()
    ]
    return markdown(["row", *found.columns[1:]], cells)


def table(board, metric):
    """Primary metric of every row on every dataset; "-" where a row was not run."""
    datasets = list(dict.fromkeys(board["dataset"]))
    lines = [f"| row | probe | {' | '.join(datasets)} |", f"|---|---|{'---|' * len(datasets)}"]
    order = {
        kind: place for place, kind in enumerate(("ceiling", "specialist", "encoder", "floor"))
    }
    probes = {probe: place for place, probe in enumerate(("reference", "linear", "mlp", "knn"))}
    board = board.assign(
        place=[
            (order[kind], probes[probe])
            for kind, probe in zip(board["kind"], board["probe"], strict=True)
        ]
    ).sort_values("place", kind="stable")
    for (name, probe), rows in board.groupby(["name", "probe"], sort=False):
        cells = rows.set_index("dataset").apply(
            lambda row: (
                f"{row[metric]:.3f} [{row[f'{metric}_low']:.3f}, {row[f'{metric}_high']:.3f}]"
                + f" {MARK}" * row["contaminated"]
            ),
            axis=1,
        )
        kind = rows["kind"].iloc[0]
        label = name if kind == "encoder" else f"{name} ({kind})"
        lines.append(f"| {label} | {probe} | {' | '.join(cells.reindex(datasets).fillna('-'))} |")
    return "\n".join(lines)


def test_encoder_example_meets_the_contract(tmp_path):
    from benchmarks.registry import ENCODERS
    from benchmarks.store import encode

    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    file = tmp_path / "loudness.py"
    file.write_text(code)
    assert len(code.splitlines()) <= 21
    assert motionbeat("check-encoder", f"{file}:Loudness").code == 0
    encoder = ENCODERS.get(f"{file}:Loudness")()
    waveform = torch.zeros(2 * 16000)
    waveform[16000] = 1
    features = encode(encoder, waveform.numpy())
    assert features.shape[1:] == (1, 1)
    assert abs(features[:, 0, 0].argmax() - 50) <= 1


@pytest.mark.parametrize("name", ["matching", "ablation"])
def test_tables_of_motionbeat_show_the_committed_results(name):
    shown = README.split(f"<!-- table: results/{name}.csv -->")[1].split("<!--")[0]
    assert shown.strip() == TABLES[name](pd.read_csv(ROOT / "results" / f"{name}.csv")).strip()


@pytest.mark.parametrize("task", ["retrieval", "dance"])
def test_tables_of_dances_show_the_committed_results(task):
    shown = README.split(f"<!-- table: results/leaderboard_{task}.csv -->")[1].split("<!--")[0]
    assert shown.strip() == dances_table(task).strip()


def dances_table(task):
    """Every row on every dataset, the interval beside the primary metric."""
    columns = DANCES[task]
    rows = board(task).sort_values(["dataset", "kind"], key=lambda c: c.map(PLACES).fillna(0))

    def cell(row, name):
        if pd.isna(row[name]):
            return "-"
        digits = 1 if name.startswith(("fid", "div")) or "rank" in name else 3
        shown = f"{row[name]:.{digits}f}"
        if name == TASKS.get(task).primary:
            shown += f" [{row[f'{name}_low']:.3f}, {row[f'{name}_high']:.3f}]"
        return shown + f" {MARK}" * (row["contaminated"] and name == TASKS.get(task).primary)

    def label(row):
        return row["name"] if row["kind"] == "encoder" else f"{row['name']} ({row['kind']})"

    return markdown(
        ["dataset", "row", *columns.values()],
        [
            [row["dataset"], label(row), *(cell(row, name) for name in columns)]
            for _, row in rows.iterrows()
        ],
    )


PLACES = {"groovebox": 0, "dance_with_melody": 1} | {
    kind: place for place, kind in enumerate(("ceiling", "specialist", "encoder", "floor"))
}
DANCES = {
    "retrieval": {
        "r10": "R@10, both ways",
        "m2d_r1": "music → dance R@1",
        "d2m_r1": "dance → music R@1",
        "m2d_rank": "rank",
        "m2d_map": "mAP",
        "m2d_song_r10": "R@10, same song",
        "discrimination": "rhythm discrimination",
    },
    "dance": {
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
    },
}


def matching_table(found):
    return markdown(
        ["model", "own moment, not a shifted one", "p", "own song, not another", "p"],
        [
            [
                row.model,
                f"{row.shifted:.3f}",
                f"{row.shifted_p:.4f}",
                f"{row.other_song:.3f}",
                f"{row.other_song_p:.4f}",
            ]
            for row in found.itertuples()
        ],
    )


def ablation_table(found):
    columns = {
        "music_to_motion_r1": "music → motion R@1",
        "music_to_motion_r10": "R@10",
        "motion_to_music_r1": "motion → music R@1",
        "motion_to_music_r10": "R@10",
        "discrimination": "discrimination",
        "beat_f_measure": "beat F",
        "downbeat_f_measure": "downbeat F",
    }
    return markdown(
        ["model", *columns.values()],
        [
            [row["variant"], *(f"{row[name]:.3f} ±{row[f'{name}_std']:.3f}" for name in columns)]
            for _, row in found.iterrows()
        ],
    )


def markdown(header, rows):
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


TABLES = {"matching": matching_table, "ablation": ablation_table}
