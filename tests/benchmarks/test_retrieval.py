import numpy as np
import pandas as pd
import pytest
import torch

from benchmarks import retrieval
from benchmarks.retrieval import row
from motionbeat.model import MotionBeat
from motionbeat.weights import save_weights


def test_row_averages_clips_and_resamples_pieces():
    piece = np.repeat([0, 1, 2], [2, 2, 4])
    judged = {
        "shift": torch.tensor([1, 1, 0, 0, 1, 1, 1, 1]).double(),
        "impostor": torch.tensor([1, torch.nan, 1, 1, 0, 0, 0, 0]).double(),
    }
    found = row(judged, piece)
    assert found["clips"] == 8
    assert found["shift"] == 6 / 8
    assert found["impostor"] == pytest.approx(3 / 7)
    assert found["discrimination"] == pytest.approx((6 / 8 + 3 / 7) / 2)
    assert (found["shift_low"], found["shift_high"]) == (0, 1)


def test_command_writes_models_and_chance(tmp_path, monkeypatch):
    monkeypatch.setattr(retrieval, "untrained", lambda: MotionBeat("tiny").eval())
    save_weights(MotionBeat("tiny"), {"size": "tiny"}, tmp_path / "mine.safetensors")
    retrieval.retrieval(
        (str(tmp_path / "mine.safetensors"),),
        "tests.dancing:Dancing",
        tmp_path / "results",
        tmp_path / "cache",
    )
    table = pd.read_csv(tmp_path / "results" / "retrieval.csv", index_col="model")
    assert list(table.index) == ["mine", "motionbeat-random", "chance"]
    clips = table.loc["mine", "clips"]
    assert table.loc["chance", "music_to_motion_r1"] == pytest.approx(1 / clips, abs=1e-4)
    assert table.loc["chance", "shift"] == 0.5
