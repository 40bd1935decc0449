"""Physical scores by hand, and the figure that poses for them."""

import numpy as np
import pytest
from tests.dancing import danced, posed

from motionbeat.tasks.metrics.dance_physics import (
    bone_length_drift,
    floating,
    floor_height,
    foot_sliding_ratio,
    jerk,
    penetration,
    physical_foot_contact,
)


def test_physical_foot_contact_by_hand():
    motion = posed(*[{}] * 4)
    motion[2, 0] += [0.3, 0.4, 0]  # accelerations (0.3, 0.4, 0), then (-0.6, -0.8 cut to 0, 0)
    for joint, way in ((7, 0.02), (10, 0.03), (8, 0.05), (11, 0.04)):
        motion[3, joint, 2] += way
    expected = 0.6 / 0.6 * 0.02 * 0.04 / 2 * 10000
    assert physical_foot_contact(motion) == pytest.approx(expected)
    motion[2, 7, 0] += 0.01  # moves in the frame before, in which the right foot does not
    motion[3, 7, 0] += 0.01
    assert physical_foot_contact(motion) == pytest.approx(expected)


def test_a_root_that_never_accelerates_has_no_foot_contact():
    assert np.isnan(physical_foot_contact(posed(*[{}] * 9)))


def test_foot_contact_depends_on_the_frame_rate():
    sway = 0.1 * np.sin(2 * np.pi * 1.3 * np.arange(480) / 60)
    motion = danced(124).positions + sway[:, None, None] * [1, 0, 0]
    assert physical_foot_contact(motion[::2]) == pytest.approx(
        4 * physical_foot_contact(motion), rel=0.2
    )


def test_foot_sliding_by_hand():
    motion = posed(*[{}] * 5)
    motion[2:, [7, 10], 0] += 0.03  # the left foot jumps aside once
    assert foot_sliding_ratio(motion) == pytest.approx((1 / 5 + 0) / 2)
    motion[2:, [7, 10], 2] -= 0.03  # along the diagonal on which published code is blind
    assert foot_sliding_ratio(motion) == 0
    motion[1:, [7, 10], 1] += 0.2  # in the air it does not slide
    assert foot_sliding_ratio(motion) == 0


def test_heights_by_hand():
    motion = posed(*[{}] * 10)
    assert floor_height(motion) == pytest.approx(0.02)
    motion[0, :, 1] -= 0.05
    motion[1, :, 1] += 0.1
    motion[2, :, 1] -= 0.004  # forgiven
    assert penetration(motion, 0.02) == pytest.approx(50 / 10)
    assert floating(motion, 0.02) == pytest.approx(100 / 10)


def test_jerk_by_hand():
    time = np.arange(40)[:, None, None] / 30
    motion = np.tile(time**3 * [2, 0, 0], (1, 24, 1))
    assert jerk(motion, 30.0) == pytest.approx(12)
    assert jerk(np.tile(time**2 * [2, 0, 0], (1, 24, 1)), 30.0) == pytest.approx(0, abs=1e-7)


def test_bone_length_drift_by_hand():
    motion = posed(*[{}] * 2)
    assert bone_length_drift(motion) == 0
    bone = motion[1, 15] - motion[1, 12]
    motion[1, 15] += bone / 2  # the head: lengths 1 and 1.5, deviation 0.25, mean 1.25
    assert bone_length_drift(motion) == pytest.approx(20 / 23)
    assert np.isnan(bone_length_drift(np.zeros((3, 24, 3))))
