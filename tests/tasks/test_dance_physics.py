"""Physical scores by hand, and what all metrics of dances refuse."""

import numpy as np
import pytest
from tests.dancing import posed

from motionbeat.motion import MotionError
from motionbeat.tasks.metrics.dance_alignment import motion_beats
from motionbeat.tasks.metrics.dance_features import geometric_features, kinetic_features
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
    assert np.isnan(physical_foot_contact(posed(*[{}] * 9))), "the pelvis never accelerates"


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
    assert penetration(motion) == pytest.approx(50 / 10)
    assert floating(motion) == pytest.approx(100 / 10)


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


NOISE = 0.3 * np.random.default_rng(0).standard_normal((120, 24, 3))
METRICS = {
    "motion_beats": (motion_beats, 21),
    "kinetic_features": (kinetic_features, 5),
    "geometric_features": (geometric_features, 2),
    "physical_foot_contact": (physical_foot_contact, 3),
    "foot_sliding_ratio": (foot_sliding_ratio, 2),
    "floor_height": (floor_height, 1),
    "penetration": (penetration, 1),
    "floating": (floating, 1),
    "jerk": (lambda p: jerk(p, 60.0), 4),
    "bone_length_drift": (bone_length_drift, 1),
}


@pytest.mark.parametrize(("metric", "shortest"), METRICS.values(), ids=METRICS)
def test_bad_motion_is_one_clear_error(metric, shortest):
    metric(NOISE[:shortest])
    holey = NOISE.copy()
    holey[3, 4, 1] = np.nan
    for bad, reason in (
        (NOISE[:, :22], "expected"),
        (NOISE[: shortest - 1], f"needs {shortest}"),
        (holey, "NaN"),
    ):
        with pytest.raises(MotionError, match=reason):
            metric(bad)
