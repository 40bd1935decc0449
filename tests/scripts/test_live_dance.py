"""The script compares live dances with others on the same pieces."""

import pandas as pd
import pytest
from scripts.live_dance import SCORES, live_dance
from tests.dancing import train_shortly


@pytest.fixture(autouse=True)
def short_training(monkeypatch):
    train_shortly(monkeypatch)


def test_live_dances_stand_beside_others(tmp_path):
    live_dance(
        "tests.toy_encoders:TinyLive", "logmel", "tests.dancing:Dancing", tracks=2,
        results=tmp_path, cache=tmp_path / "cache", data=None,
    )  # fmt: skip
    dances = pd.read_csv(tmp_path / "live_dance.csv", index_col="dances")
    assert list(dances.columns) == list(SCORES)
    assert len(dances) == 4
    assert dances.bas_fact.between(0, 1).all()
    beats = pd.read_csv(tmp_path / "live_beats.csv", index_col="tracker")
    assert beats.loc["whole", "beat_f"] >= beats.loc["live", "beat_f"] > 0
