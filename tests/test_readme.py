import re

import pandas as pd
import torch
from tests.command import motionbeat

from motionbeat.benchmarks.readme import ROOT, TABLES, with_tables

README = (ROOT / "README.md").read_text()
ENCODERS_DOC = (ROOT / "docs" / "encoders.md").read_text()


def test_tables_show_the_committed_results():
    assert with_tables(README, ROOT / "results") == README
    for name in TABLES:
        assert f"<!-- table: {name} -->" in README, name


def test_every_committed_table_has_eight_encoders():
    boards = sorted((ROOT / "results").glob("leaderboard_*.csv"))
    assert len(boards) == 8
    for path in boards:
        rows = pd.read_csv(path)
        encoders = rows[rows["kind"] == "encoder"].groupby("dataset")["name"].nunique()
        assert (encoders >= 8).all(), f"{path.name}: {encoders.to_dict()}"


def test_tables_are_made_of_the_results_they_name(tmp_path):
    """Two rows on two datasets, one of them on known ground and not run on the other."""
    numbers = {"beat_f_measure": 0.5, "beat_f_measure_low": 0.4, "beat_f_measure_high": 0.6}
    rows = [
        {"dataset": "b", "kind": "floor", "name": "chance", "probe": "reference"},
        {"dataset": "b", "kind": "encoder", "name": "ours", "probe": "mlp"},
        {"dataset": "b", "kind": "encoder", "name": "ours", "probe": "linear"},
        {"dataset": "a", "kind": "floor", "name": "chance", "probe": "reference"},
    ]
    rows = [row | numbers | {"contaminated": row["kind"] == "encoder"} for row in rows]
    pd.DataFrame(rows).to_csv(tmp_path / "leaderboard_beat.csv")
    text = "before\n<!-- table: results/leaderboard_beat.csv -->\nold\n<!-- end of table -->\nafter"
    assert with_tables(text, tmp_path).splitlines() == [
        "before",
        "<!-- table: results/leaderboard_beat.csv -->",
        "| row | a | b |",
        "| --- | --- | --- |",
        "| ours | - | 0.500 [0.400, 0.600] † |",
        "| chance (floor) | 0.500 [0.400, 0.600] | 0.500 [0.400, 0.600] |",
        "<!-- end of table -->",
        "after",
    ]


def test_encoder_example_meets_the_contract(tmp_path):
    from motionbeat.benchmarks.registry import ENCODERS
    from motionbeat.benchmarks.store import encode

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


def test_jukebox_example_meets_the_contract(tmp_path, monkeypatch):
    """With an extractor in its place that gives a state a token, the loudness of its samples."""
    from motionbeat.benchmarks.check_encoder import CHECKS
    from motionbeat.benchmarks.registry import ENCODERS
    from motionbeat.benchmarks.store import encode

    extractor = (
        "import numpy as np\n"
        "def extract(audio, layers):\n"
        "    assert audio.dtype == np.float32 and len(audio) <= 8192 * 128\n"
        "    loudness = np.abs(audio.reshape(-1, 128)).mean(axis=1, keepdims=True)\n"
        "    return {layer: np.repeat(loudness, 4800, axis=1) for layer in layers}\n"
    )
    (tmp_path / "jukemirlib.py").write_text(extractor)
    monkeypatch.syspath_prepend(tmp_path)
    (code,) = re.findall(r"```python\n(.*?)```", ENCODERS_DOC, re.DOTALL)
    file = tmp_path / "jukebox.py"
    file.write_text(code)
    encoder = ENCODERS.get(f"{file}:Jukebox")()
    assert encoder.unavailable() is None
    for name in CHECKS.keys() - {"long audio"}:  # of which the example says that windows differ
        assert CHECKS[name](encoder)
    waveform = torch.zeros(50 * 44100)
    waveform[round(23.9 * 44100)] = 1  # in the second window
    features = encode(encoder, waveform.numpy())
    assert features.shape[1:] == (1, 4800)
    assert abs(features[:, 0, 0].argmax() - 23.9 * encoder.card.frame_rate) <= 1
