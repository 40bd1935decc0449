import pandas as pd
import pytest
from scripts import matching, partners
from tests.dancing import danced

from motionbeat.data_modules.published.cmu_salsa import HELD_OUT, Take
from motionbeat.model import MotionBeat
from motionbeat.weights import save_weights


@pytest.fixture
def couples():
    """Partners who do the same."""
    dances = [danced(bpm, dancer=bpm % 8) for bpm in (90, 104, 131)]
    ids = ["01", *sorted(HELD_OUT)]
    return [Take(id, one, one) for id, one in zip(ids, dances, strict=False)]


def test_partners_who_do_the_same_are_told_from_others(couples, tmp_path, monkeypatch):
    monkeypatch.setattr(partners, "takes", lambda data: couples)
    monkeypatch.setattr(partners, "untrained", lambda: MotionBeat("tiny").eval())
    monkeypatch.setattr(partners, "SECONDS", (2.0, 60.0))
    monkeypatch.setattr(matching, "PERMUTATIONS", 99)
    save_weights(MotionBeat("tiny"), {"size": "tiny"}, tmp_path / "mine.safetensors")
    partners.partners((str(tmp_path / "mine.safetensors"),), tmp_path, tmp_path)
    table = pd.read_csv(tmp_path / "partners.csv", index_col="model")
    assert list(table.index) == 2 * ["mine", "motionbeat-random"], "nobody dances for two minutes"
    assert (table.shifted == 1).all()
    assert list(table.takes) == 2 * ["all"] + 2 * ["held out"]
    assert list(table.dances) == [3, 3, 2, 2]
