import pandas as pd
import pytest
from scripts import ablation


def test_summary_has_mean_and_deviation_of_each_variant_in_order():
    rows = pd.DataFrame(
        {"variant": ["b", "a", "b", "a"], "seed": [0, 0, 1, 1], "score": [1.0, 5.0, 3.0, 5.0]}
    )
    table = ablation.summary(rows)
    assert list(table.index) == ["b", "a"]
    assert table.loc["b"].tolist() == [2.0, pytest.approx(2**0.5, abs=1e-4), 2]
    assert table.loc["a", "score_std"] == 0


@pytest.fixture
def small(monkeypatch):
    """One variant without pairs of groovebox, on the tests' own dances."""
    dataset = "tests.dancing:Dancing"
    changes = {"data.datasets": {dataset: {}}, "data.validation": dataset, "data.num_workers": 0}
    changes |= {"data.steps_per_epoch": 2, "data.batch_size": 4, "trainer.max_epochs": 1}
    monkeypatch.setattr(ablation, "BUDGET", ablation.BUDGET | changes)
    monkeypatch.setattr(ablation, "VARIANTS", {"full": {}, "without SRAL": {"beat_weight": 0.0}})


def test_variants_are_trained_with_the_same_budget_and_measured_once(small, tmp_path, monkeypatch):
    measured = []

    def measure(weights, folders, kept):
        measured.append(weights)
        return {"score": float(kept.parent.name.endswith("1"))}

    monkeypatch.setattr(ablation, "measured", measure)
    ablation.ablation(output=tmp_path / "out", results=tmp_path, cache=tmp_path / "cache")
    assert [path.parent.name for path in measured] == [
        "full-0", "without_SRAL-0", "full-1", "without_SRAL-1"
    ]  # fmt: skip
    assert all(path.is_file() for path in measured)
    table = pd.read_csv(tmp_path / "ablation.csv", index_col="variant")
    assert table["score"].tolist() == [0.5, 0.5]
