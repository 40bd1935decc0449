import math

import pytest
import torch

from motionbeat.tasks.beat import shift_tolerant_loss

BEAT, FRAMES, REACH = 10, 21, 2
SURE = 20.0


def loss_of_a_peak_at(frame, weight=None):
    logits = torch.full((1, FRAMES, 1), -SURE)
    logits[0, frame] = SURE
    targets = torch.zeros(1, FRAMES, 1)
    targets[0, BEAT] = 1
    weight = torch.ones_like(targets) if weight is None else weight
    return shift_tolerant_loss(logits, targets, weight, torch.ones(1), REACH).item()


def test_by_hand():
    """Three frames without reach at logit 0: one beat of weight 5 and two frames beside it."""
    targets = torch.tensor([0.0, 1.0, 0.0]).reshape(1, 3, 1)
    loss = shift_tolerant_loss(
        torch.zeros(1, 3, 1), targets, torch.ones(1, 3, 1), torch.tensor([5.0]), reach=0
    )
    assert loss.item() == pytest.approx((5 + 2) * math.log(2) / 3)


@pytest.mark.parametrize("shift", [-REACH, -1, 0, 1, REACH])
def test_shifts_within_reach_are_forgiven(shift):
    assert loss_of_a_peak_at(BEAT + shift) < 1e-6


@pytest.mark.parametrize("shift", [-3 * REACH - 1, -REACH - 1, REACH + 1, 3 * REACH + 1])
def test_larger_shifts_are_not(shift):
    assert loss_of_a_peak_at(BEAT + shift) > 1


def test_unknown_frames_have_no_influence():
    weight = torch.zeros(1, FRAMES, 1)
    assert loss_of_a_peak_at(0, weight) == 0
    weight[0, BEAT] = 1
    assert loss_of_a_peak_at(0, weight) == pytest.approx(SURE)


def test_unknown_downbeats_leave_the_loss_of_the_beats_alone():
    generator = torch.Generator().manual_seed(0)
    targets = torch.zeros(1, FRAMES, 2)
    targets[0, BEAT, 0] = 1
    weight = torch.ones(1, FRAMES, 2)
    weight[..., 1] = 0
    logits = torch.randn(1, FRAMES, 2, generator=generator)
    both = shift_tolerant_loss(logits, targets, weight, torch.tensor([3.0, 9.0]), REACH)
    alone = shift_tolerant_loss(
        logits[..., :1], targets[..., :1], weight[..., :1], torch.tensor([3.0]), REACH
    )
    torch.testing.assert_close(both, alone)


def test_gradient_flows_into_the_best_frame_in_reach_and_into_frames_that_count():
    logits = torch.full((1, FRAMES, 1), -1.0)
    logits[0, BEAT + 1] = 0.0
    logits[0, [BEAT - 2 * REACH, BEAT + 2 * REACH]] = -2.0
    logits.requires_grad_()
    targets = torch.zeros(1, FRAMES, 1)
    targets[0, BEAT] = 1
    shift_tolerant_loss(logits, targets, torch.ones(1, FRAMES, 1), torch.ones(1), REACH).backward()
    gradient = logits.grad.flatten()
    assert gradient[BEAT + 1] < 0
    ignored = [*range(BEAT - REACH, BEAT + 1), *range(BEAT + 2, BEAT + REACH + 1)]
    assert gradient[ignored].abs().max() == 0
    assert gradient.min() == gradient[BEAT + 1]
    assert (gradient[: BEAT - 3 * REACH] >= 0).all()
    assert gradient[: BEAT - 2 * REACH].sum() > 0


def test_no_known_frame_gives_0_and_not_nan():
    zeros = torch.zeros(1, FRAMES, 1)
    assert shift_tolerant_loss(zeros, zeros, zeros, torch.ones(1), REACH) == 0
