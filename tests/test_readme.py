import re
from pathlib import Path

import pandas as pd
import torch

README = (Path(__file__).parents[1] / "README.md").read_text()
BOARD = Path(__file__).parents[1] / "results" / "leaderboard_beat.csv"


def test_table_shows_the_committed_results():
    shown = README.split("<!-- table: results/leaderboard_beat.csv -->")[1].split("<!--")[0]
    assert shown.strip() == table(pd.read_csv(BOARD)).strip()


def table(board):
    datasets = list(dict.fromkeys(board["dataset"]))
    lines = [f"| row | probe | {' | '.join(datasets)} |", f"|---|---|{'---|' * len(datasets)}"]
    for (name, probe), rows in board.groupby(["name", "probe"], sort=False):
        cells = rows.set_index("dataset").apply(
            lambda row: (
                f"{row.beat_f_measure:.3f} "
                f"[{row.beat_f_measure_low:.3f}, {row.beat_f_measure_high:.3f}]"
            ),
            axis=1,
        )
        kind = rows["kind"].iloc[0]
        label = name if kind == "encoder" else f"{name} ({kind})"
        lines.append(f"| {label} | {probe} | {' | '.join(cells.reindex(datasets))} |")
    return "\n".join(lines)


def test_encoder_example_meets_the_contract(tmp_path):
    from benchmarks.registry import ENCODERS
    from benchmarks.store import encode

    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    file = tmp_path / "loudness.py"
    file.write_text(code)
    encoder = ENCODERS.get(f"{file}:Loudness")()
    waveform = torch.zeros(2 * 16000)
    waveform[16000] = 1
    features = encode(encoder, waveform.numpy())
    assert features.shape[1:] == (1, 1)
    assert abs(features[:, 0, 0].argmax() - 50) <= 1
