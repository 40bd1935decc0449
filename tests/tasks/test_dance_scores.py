"""What all metrics of dances have in common: what they take, and what they refuse."""

import numpy as np
import pytest
import torch
from tests.dancing import danced

from motionbeat.motion import MotionError
from motionbeat.tasks.metrics.dance_alignment import (
    beat_alignment_score,
    beat_coverage,
    beat_hit_rate,
)
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

NOISE = 0.3 * np.random.default_rng(0).standard_normal((120, 24, 3))

METRICS = {
    "beat_alignment_score": lambda p: beat_alignment_score(p, np.array([0.3])),
    "beat_coverage": lambda p: beat_coverage(p, np.array([0.3])),
    "beat_hit_rate": lambda p: beat_hit_rate(p, np.array([0.3])),
    "kinetic_features": kinetic_features,
    "geometric_features": geometric_features,
    "physical_foot_contact": physical_foot_contact,
    "foot_sliding_ratio": foot_sliding_ratio,
    "floor_height": floor_height,
    "penetration": lambda p: penetration(p, 0.0),
    "floating": lambda p: floating(p, 0.0),
    "jerk": lambda p: jerk(p, 60.0),
    "bone_length_drift": bone_length_drift,
}


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
def test_bad_motion_is_one_clear_error(metric):
    good = NOISE
    holey = good.copy()
    holey[3, 4, 1] = np.nan
    for bad, reason in (
        (good[:, :22], "expected"),
        (good[0], "expected"),
        (good[:0], "frames"),
        (holey, "NaN"),
    ):
        with pytest.raises(MotionError, match=reason) as error:
            metric(bad)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
def test_tensors_are_taken_too(metric):
    motion = danced(124).positions.astype(np.float64)
    tensor = torch.from_numpy(motion).requires_grad_()
    assert metric(tensor) == pytest.approx(metric(motion), nan_ok=True)


@pytest.mark.parametrize(
    ("metric", "shortest"),
    [("beat_alignment_score", 21), ("kinetic_features", 5), ("geometric_features", 2), ("jerk", 4)],
)
def test_a_motion_shorter_than_the_window_is_refused(metric, shortest):
    motion = NOISE
    METRICS[metric](motion[:shortest])
    with pytest.raises(MotionError, match=f"needs {shortest}"):
        METRICS[metric](motion[: shortest - 1])
