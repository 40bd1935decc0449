from pathlib import Path

import numpy as np
import pytest
import torch

from motionbeat.data_modules.base import Beats, Tempo, Track
from motionbeat.tasks.beat import BeatTask
from motionbeat.tasks.beat_references import Chance, Oracle
from motionbeat.tasks.decoders import BeatEstimate, BeatPrediction
from motionbeat.tasks.features import Batch
from motionbeat.tasks.probe import Member

RATE = 50.0
TIMES = np.arange(0.5, 20, 0.5)
POSITIONS = np.arange(len(TIMES)) % 4 + 1


class Shape:
    rate, layers, width = RATE, 1, 3


def track(*annotations, name="track"):
    return Track(name, Path("none.wav"), 20.0, name, annotations)


KNOWN = track(Beats(TIMES, POSITIONS))
BARLESS = track(Beats(TIMES))


def task(*tracks):
    return BeatTask(Shape, tracks or [KNOWN], probe="linear", members=[Member(0, 0.01)])


def prediction(times, positions=POSITIONS, tempo=120.0):
    estimate = BeatEstimate(times, times[positions[: len(times)] == 1], tempo)
    return BeatPrediction(estimate, estimate)


def test_targets_stand_at_the_nearest_frames():
    beats = Beats(np.array([0.0, 0.511, 1.0, 1.99]), np.array([1, 2, 1, 2]))
    targets = task().targets(track(beats), 90)
    assert targets["beats"][:, 0].nonzero().flatten().tolist() == [0, 26, 50]
    assert targets["beats"][:, 1].nonzero().flatten().tolist() == [0, 50]
    near = [24, 25, 27, 28, 48, 49, 51, 52]
    assert (targets["weight"][[26, 50], 0] == 1).all()
    assert (targets["weight"][near, 0] == 0).all()
    assert (targets["weight"][60:80] == 1).all()


def test_downbeats_of_unknown_bars_are_not_learned():
    targets = task().targets(BARLESS, 1000)
    assert targets["weight"][:, 0].any()
    assert not targets["weight"][:, 1].any()


def test_weights_are_the_ratios_of_frames():
    downbeats = np.sum(POSITIONS == 1)
    expected = [(1000 - len(TIMES)) / len(TIMES), (1000 - downbeats) / downbeats]
    assert task().positive_weight.tolist() == pytest.approx(expected)


def test_validation_finds_the_threshold_between_right_and_wrong_peaks():
    module = task()
    probability = np.full((1000, 2), 0.01)
    right = np.round(TIMES * RATE).astype(int)
    probability[right] = 0.73
    probability[right[:-1] + 12] = 0.65
    logits = np.log(probability / (1 - probability)).astype(np.float32)
    [probe] = module.trained
    assert module.validate(probe, [logits], [BARLESS]) == 1
    assert probe.thresholds[0].item() == pytest.approx(0.7)
    np.testing.assert_allclose(module.decoder(probe)(logits, KNOWN).peaks.beats, TIMES)


def test_padding_does_not_count_in_the_loss():
    module = task()
    targets = {"beats": torch.zeros(1, 20, 2), "weight": torch.ones(1, 20, 2)}
    mask = torch.arange(20)[None] < 10
    outputs = torch.zeros(1, 20, 2)
    outputs[:, 14:] = 50.0
    loss = module.loss(None, outputs, Batch(outputs, mask, torch.zeros(1), {}, targets))
    assert loss.item() == pytest.approx(np.log(2))


def test_scores_of_the_right_answer():
    scores = BeatTask.score(prediction(TIMES), KNOWN)
    assert set(scores.values()) == {1.0}
    assert set(BeatTask.headline) <= set(scores)


def test_bars_that_are_unknown_are_not_scored():
    scores = BeatTask.score(prediction(TIMES), BARLESS)
    assert scores["beat_f_measure"] == 1
    assert np.isnan([value for name, value in scores.items() if "downbeat" in name]).all()


def test_an_annotated_tempo_goes_before_that_of_the_intervals():
    scores = BeatTask.score(prediction(TIMES), track(Beats(TIMES), Tempo(60.0)))
    assert (scores["tempo_acc1"], scores["tempo_acc2"]) == (0, 1)


@pytest.mark.parametrize("one", [KNOWN, BARLESS], ids=["bars", "no bars"])
def test_the_oracle_is_right(one):
    scores = BeatTask.score(Oracle().predict(one, 0), one)
    assert scores["beat_f_measure"] == scores["dbn_beat_f_measure"] == scores["tempo_acc1"] == 1


def test_chance_is_a_grid_at_the_median_tempo_of_the_training_split():
    chance = Chance()
    chance.fit([track(Beats(np.arange(9) * step)) for step in (0.3, 0.4, 2.0)])
    first, again, other = (chance.predict(KNOWN.blind(), seed).peaks for seed in (0, 0, 1))
    np.testing.assert_allclose(np.diff(first.beats), 0.4)
    assert first.tempo == pytest.approx(150)
    assert np.array_equal(first.beats, again.beats)
    assert not np.array_equal(first.beats, other.beats)
    assert 0 <= first.beats[0] < 0.4
    assert 19.6 <= first.beats[-1] < 20
    np.testing.assert_allclose(np.diff(first.downbeats), 1.6)


def test_chance_passes_over_tracks_without_beats():
    chance = Chance()
    chance.fit([track(Beats(np.zeros(0))), KNOWN])
    assert chance.tempo == 120
