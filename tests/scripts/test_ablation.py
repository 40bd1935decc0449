import json
from dataclasses import asdict, replace

import pandas as pd
import pytest

from motionbeat.benchmarks import ablation
from motionbeat.pretraining.settings import Objective


def test_each_variant_leaves_out_one_thing():
    full = asdict(ablation.FULL[0]) | asdict(ablation.FULL[1])
    for name, parts in ablation.VARIANTS.items():
        other = asdict(parts[0]) | asdict(parts[1])
        changed = {key for key in full if full[key] != other[key]}
        if name == "full":
            assert not changed
        elif name == "plain InfoNCE":
            assert changed == {"tempo_negatives", "jitter_negatives", "beat", "bar", "anchor"}
            assert not any(getattr(parts[1], key) for key in changed)
        else:
            assert len(changed) == 1
            assert not other[changed.pop()]
    assert ablation.FULL[1] == Objective()


def test_summary_has_mean_and_deviation_of_each_variant_in_order():
    rows = pd.DataFrame(
        {"variant": ["b", "a", "b", "a"], "seed": [0, 0, 1, 1], "score": [1.0, 5.0, 3.0, 5.0]}
    )
    table = ablation.summary(rows)
    assert list(table.index) == ["b", "a"]
    assert table.loc["b"].tolist() == [2.0, pytest.approx(2**0.5, abs=1e-4), 2]
    assert table.loc["a", "score_std"] == 0


def test_finished_runs_are_not_run_again_and_all_share_the_budget(tmp_path, monkeypatch):
    trained = []

    def pretrain(folders, place, datasets, validation, architecture, objective, training):
        trained.append((place.name, architecture, objective, training))
        return place / "motionbeat.safetensors"

    def measured(weights, folders, kept):
        return {"music_to_motion_r1": float(kept.parent.name.endswith("1"))}

    monkeypatch.setattr(ablation, "pretrain", pretrain)
    monkeypatch.setattr(ablation, "measured", measured)
    ablation.ablation(output=tmp_path / "out", results=tmp_path)
    assert len({name for name, *_ in trained}) == 2 * len(ablation.VARIANTS)
    assert {replace(training, seed=0) for *_, training in trained} == {ablation.TRAINING}
    assert {training.seed for *_, training in trained} == {0, 1}
    table = pd.read_csv(tmp_path / "ablation.csv", index_col="variant")
    assert list(table.index) == list(ablation.VARIANTS)
    assert (table["music_to_motion_r1"] == 0.5).all()


def test_scores_are_worked_out_once(tmp_path):
    kept = tmp_path / "scores.json"
    kept.write_text(json.dumps({"beat_f_measure": 0.5}))
    assert ablation.measured(None, None, kept) == {"beat_f_measure": 0.5}
