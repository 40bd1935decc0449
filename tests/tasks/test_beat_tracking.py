"""Beat tracking: targets, loss, thresholds, scores and baselines."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.toys import shaped

from motionbeat.data_modules.base import Beats, Tempo, Track
from motionbeat.tasks.beat_baselines import Chance, Oracle
from motionbeat.tasks.beat_tracking import BeatTracking, shift_tolerant_loss
from motionbeat.tasks.decoders import BeatEstimate, BeatPrediction

RATE = 50.0
TIMES = np.arange(0.5, 20, 0.5)
POSITIONS = np.arange(len(TIMES)) % 4 + 1


def track(*annotations):
    return Track("track", Path("none.wav"), 20.0, "track", annotations)


KNOWN, BARLESS = track(Beats(TIMES, POSITIONS)), track(Beats(TIMES))
ESTIMATE = BeatEstimate(TIMES, TIMES[::4], 120.0)
RIGHT = BeatPrediction(*ESTIMATE, dbn=ESTIMATE)


@pytest.fixture
def task():
    one = BeatTracking(shaped(RATE))
    one.prepare([KNOWN])
    return one


def test_targets_stand_at_the_nearest_frames(task):
    beats = Beats(np.array([0.0, 0.511, 1.0, 1.99]), np.array([1, 2, 1, 2]))
    targets = task.track_targets(track(beats), 90)
    assert targets["beats"][:, 0].nonzero().flatten().tolist() == [0, 26, 50]
    assert targets["beats"][:, 1].nonzero().flatten().tolist() == [0, 50]
    near = [24, 25, 27, 28, 48, 49, 51, 52]
    assert (targets["weight"][[26, 50], 0] == 1).all()
    assert (targets["weight"][near, 0] == 0).all()
    assert (targets["weight"][60:80] == 1).all()
    unknown = task.track_targets(BARLESS, 1000)["weight"]
    assert unknown[:, 0].any()
    assert not unknown[:, 1].any(), "downbeats of unknown bars are not learned"


def test_validation_finds_the_threshold_between_right_and_wrong_peaks(task):
    probability = np.full((1000, 2), 0.01)
    right = np.round(TIMES * RATE).astype(int)
    probability[right] = 0.73
    probability[right[:-1] + 12] = 0.65
    logits = np.log(probability / (1 - probability)).astype(np.float32)
    assert task.validation_result([task.validation_value(logits, BARLESS)], [BARLESS]) == 1
    assert task.head.thresholds[0].item() == pytest.approx(0.7)
    np.testing.assert_allclose(task.decode(logits, KNOWN).beats, TIMES)


def test_padding_does_not_count_in_the_loss(task):
    targets = {"beats": torch.zeros(1, 20, 2), "weight": torch.ones(1, 20, 2)}
    mask = torch.arange(20)[None] < 10
    outputs = torch.zeros(1, 20, 2)
    outputs[:, 14:] = 50.0
    assert task.loss(outputs, targets, mask).item() == pytest.approx(np.log(2))


def test_scores_of_the_right_answer():
    scores = BeatTracking.score(RIGHT, KNOWN)
    assert set(scores.values()) == {1.0}
    assert set(BeatTracking.headline) <= set(scores)
    scores = BeatTracking.score(RIGHT, BARLESS)
    assert scores["beat_f_measure"] == 1
    assert np.isnan([value for name, value in scores.items() if "downbeat" in name]).all()
    scores = BeatTracking.score(RIGHT, track(Beats(TIMES), Tempo(60.0)))
    assert (scores["tempo_acc1"], scores["tempo_acc2"]) == (0, 1), "an annotated tempo goes before"


@pytest.mark.parametrize("one", [KNOWN, BARLESS], ids=["bars", "no bars"])
def test_the_oracle_is_right(one):
    scores = BeatTracking.score(Oracle().predict(one, 0), one)
    assert scores["beat_f_measure"] == scores["dbn_beat_f_measure"] == scores["tempo_acc1"] == 1


def test_chance_is_a_grid_at_the_median_tempo_of_the_training_split():
    chance = Chance()
    steps = [track(Beats(np.arange(9) * step)) for step in (0.3, 0.4, 2.0)]
    chance.fit([*steps, track(Beats(np.zeros(0)))])
    first, again, other = (chance.predict(KNOWN.without_annotations(), seed) for seed in (0, 0, 1))
    np.testing.assert_allclose(np.diff(first.beats), 0.4)
    assert first.tempo == pytest.approx(150)
    assert np.array_equal(first.beats, again.beats)
    assert not np.array_equal(first.beats, other.beats)
    assert 0 <= first.beats[0] < 0.4
    assert 19.6 <= first.beats[-1] < 20
    np.testing.assert_allclose(np.diff(first.downbeats), 1.6)


BEAT, FRAMES, REACH = 10, 21, 2
SURE = 20.0
TARGETS = torch.zeros(1, FRAMES, 1).index_fill(1, torch.tensor(BEAT), 1)


def loss_of(logits, targets=TARGETS, weight=None, positive=(1.0,), reach=REACH):
    weight = torch.ones_like(targets) if weight is None else weight
    return shift_tolerant_loss(logits, targets, weight, torch.tensor(positive), reach)


def loss_of_a_peak_at(frame, weight=None):
    logits = torch.full((1, FRAMES, 1), -SURE)
    logits[0, frame] = SURE
    return loss_of(logits, weight=weight).item()


def test_the_loss_by_hand():
    """Three frames without reach at logit 0: one beat of weight 5 and two frames beside it."""
    targets = torch.tensor([0.0, 1.0, 0.0]).reshape(1, 3, 1)
    loss = loss_of(torch.zeros(1, 3, 1), targets, positive=(5.0,), reach=0)
    assert loss.item() == pytest.approx((5 + 2) * math.log(2) / 3)
    assert loss_of(torch.zeros(1, 3, 1), targets, torch.zeros(1, 3, 1)) == 0, "nothing is known"


@pytest.mark.parametrize("shift", [-3 * REACH - 1, -REACH - 1, -REACH, 0, REACH, REACH + 1])
def test_shifts_within_reach_are_forgiven_and_larger_ones_are_not(shift):
    loss = loss_of_a_peak_at(BEAT + shift)
    assert loss < 1e-6 if abs(shift) <= REACH else loss > 1


def test_what_is_unknown_has_no_influence():
    weight = torch.zeros(1, FRAMES, 1)
    assert loss_of_a_peak_at(0, weight) == 0
    weight[0, BEAT] = 1
    assert loss_of_a_peak_at(0, weight) == pytest.approx(SURE)
    logits = torch.randn(1, FRAMES, 2, generator=torch.Generator().manual_seed(0))
    targets = torch.cat([TARGETS, 0 * TARGETS], dim=-1)
    weight = torch.ones(1, FRAMES, 2) * torch.tensor([1.0, 0.0])
    both = loss_of(logits, targets, weight, (3.0, 9.0))
    torch.testing.assert_close(both, loss_of(logits[..., :1], positive=(3.0,)))


def test_gradient_flows_into_the_best_frame_in_reach_and_into_frames_that_count():
    logits = torch.full((1, FRAMES, 1), -1.0)
    logits[0, BEAT + 1] = 0.0
    logits[0, [BEAT - 2 * REACH, BEAT + 2 * REACH]] = -2.0
    logits.requires_grad_()
    loss_of(logits).backward()
    gradient = logits.grad.flatten()
    assert gradient[BEAT + 1] < 0
    ignored = [*range(BEAT - REACH, BEAT + 1), *range(BEAT + 2, BEAT + REACH + 1)]
    assert gradient[ignored].abs().max() == 0
    assert gradient.min() == gradient[BEAT + 1]
    assert (gradient[: BEAT - 3 * REACH] >= 0).all()
    assert gradient[: BEAT - 2 * REACH].sum() > 0
