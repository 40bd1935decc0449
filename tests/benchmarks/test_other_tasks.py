"""Tasks on whole clips, with corpus metrics, fit the same contracts as beat tracking."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score, f1_score, r2_score
from tests.command import motionbeat

from motionbeat.benchmarks.record import RunRecord, read_model


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Results of both toy tasks, scored in processes of their own as always."""
    folder = tmp_path_factory.mktemp("toys")
    for task in ("ToyGenre", "ToyEmotion", "ToyMatching"):
        ended = motionbeat(
            *("bench", "--task", f"tests.toys:{task}", "--dataset", "tests.toys:Tones"),
            *("--encoder", "tests.toys:Tiny", "--seeds", 2, "--learning_rates", "[0.003, 0.03]"),
            *("--cache", folder / "cache", "--results", folder / "results"),
        )
        assert ended.code == 0, ended.said
    return folder


def record(folder, task, name="tiny"):
    [path] = (folder / "results" / "runs" / task).rglob(f"{name}.json")
    return read_model(path, RunRecord)


@pytest.mark.parametrize("probe", ["linear", "mlp"])
def test_classes(folder, probe):
    one = record(folder, "toy_genre").results[probe]
    evidence = one.arrays()
    pairs = list(zip(evidence["true"], evidence["predicted"], strict=True))
    assert evidence["true"].tolist() == [[0, 1, 2] * 4] * 2
    accuracy = one.scores["accuracy"]
    assert accuracy.mean == pytest.approx(np.mean([accuracy_score(*pair) for pair in pairs]))
    assert accuracy.mean > 0.6
    assert one.scores["macro_f1"].mean == pytest.approx(
        np.mean([f1_score(*pair, average="macro") for pair in pairs]), abs=1e-6
    )
    assert accuracy.low <= accuracy.mean <= accuracy.high
    assert one.sweep[f"{one.learning_rate:g}"] == max(one.sweep.values())


@pytest.mark.parametrize("probe", ["linear", "mlp"])
def test_numbers(folder, probe):
    one = record(folder, "toy_emotion").results[probe]
    evidence = one.arrays()
    for axis in ("valence", "arousal"):
        pairs = zip(evidence[f"{axis}_true"], evidence[f"{axis}_predicted"], strict=True)
        expected = [r2_score(*pair) for pair in pairs]
        score = one.scores[f"{axis}_r2"]
        assert score.mean == pytest.approx(np.mean(expected), abs=1e-4)
        assert score.std == pytest.approx(np.std(expected, ddof=1), abs=1e-4)
        assert score.low <= score.mean <= score.high
    assert one.scores["arousal_r2"].mean > 0.5
    assert one.sweep[f"{one.learning_rate:g}"] == min(one.sweep.values()), "the error is small"


def test_ranks_among_all_tracks_of_the_split(folder):
    one = record(folder, "toy_matching").results["towers"]
    chance = np.mean(1 / np.arange(1, 13))
    assert one.scores["reciprocal_rank"].mean > 1.5 * chance


def test_floor(folder):
    guess = record(folder, "toy_genre", "guess")
    assert guess.kind == "floor"
    assert guess.results["reference"].scores["accuracy"].mean == pytest.approx(1 / 3, abs=1e-6)


def test_tables(folder):
    results = folder / "results"
    genre = pd.read_csv(results / "leaderboard_toy_genre.csv")
    assert list(genre["kind"]) == ["encoder", "encoder", "floor"]
    assert {"accuracy", "accuracy_low", "macro_f1", "macro_f1_high"} <= set(genre.columns)
    emotion = pd.read_csv(results / "leaderboard_toy_emotion.csv")
    assert list(emotion["name"]) == ["tiny", "tiny"]
    overview = pd.read_csv(results / "leaderboard.csv")
    assert {"toy_genre/tones", "toy_emotion/tones"} <= set(overview.columns)
    assert (results / "leaderboard_toy_emotion.png").exists()


def test_a_task_in_a_file_of_its_own(folder, tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(
        "from tests.toys import ToyEmotion\n\n\n"
        "def middle(outputs, track):\n"
        "    return outputs.mean(axis=0)\n\n\n"
        "class Mine(ToyEmotion):\n"
        "    name = 'toy_emotion'\n"
        "    max_steps = check_every = 10\n\n"
        "    def decoder(self, probe):\n"
        "        return middle\n"
    )
    ended = motionbeat(
        *("bench", "--task", f"{file}:Mine", "--dataset", "tests.toys:Tones"),
        *("--encoder", "tests.toys:Tiny", "--seeds", 1, "--learning_rates", "[0.01]"),
        *("--cache", tmp_path / "cache", "--results", tmp_path / "results"),
    )
    assert ended.code == 0, ended.said
    assert "arousal" in ended.printed
