"""Features by hand: how fast joints move, and what a body does."""

import numpy as np
import pytest
from tests.dancing import STANDING, posed

from motionbeat.tasks.metrics.dance_features import geometric_features, kinetic_features


def test_kinetic_features_by_hand():
    time = np.arange(50)[:, None, None] / 30
    steady = kinetic_features(np.tile(time * [3, 2, 4], (1, 24, 1)), 30.0)
    assert steady.reshape(24, 3) == pytest.approx(np.tile([25, 4, 0], (24, 1)), abs=1e-8)
    falling = kinetic_features(np.tile(time**2 * [0, -5, 0], (1, 24, 1)), 30.0)
    assert falling.reshape(24, 3)[:, 2] == pytest.approx(10)


def test_the_legacy_bracket_measures_where_the_dancer_is():
    still = np.zeros((20, 24, 3))
    still[:, 5] = [0.3, 0.0, 0.4]
    legacy = kinetic_features(still, variant="legacy").reshape(24, 3)
    assert legacy[5] == pytest.approx([0, 0, 3540 * 0.5])
    assert not kinetic_features(still).any()


def holding(*frames):
    return set(np.flatnonzero(geometric_features(posed(*frames))))


def test_somebody_who_stands_has_the_left_ankle_behind_a_plane_through_the_toes():
    assert holding({}, {}) == {15}


@pytest.mark.parametrize(
    ("change", "feature"),
    [
        ({"r_wrist": (-0.22, 1.8, 0)}, 2),
        ({"l_wrist": (0.22, 1.8, 0)}, 3),
        ({"r_wrist": (-0.22, 1.4, 0.1)}, 6),
        ({"l_wrist": (0.22, 1.4, 0.1)}, 7),
        ({"r_wrist": (-0.9, 1.2, 0), "l_wrist": (0.9, 1.2, 0)}, 8),
        ({"r_ankle": (-0.1, 0.5, 0.05)}, 16),
        ({"l_ankle": (0.1, 0.5, 0.05)}, 17),
        ({"l_ankle": (0.2, 0.1, 0), "r_ankle": (-0.2, 0.1, 0)}, 18),
        ({"r_ankle": (-0.1, 0.45, -0.3)}, 19),
        ({"l_ankle": (0.1, 0.45, -0.3)}, 20),
        ({"r_elbow": (-0.45, 1.4, 0)}, 23),
        ({"l_elbow": (0.45, 1.4, 0)}, 24),
        ({"r_knee": (-0.1, 0.85, 0.4)}, 25),
        ({"l_knee": (0.1, 0.85, 0.4)}, 26),
        ({"pelvis": (0, 1, 0.2)}, 27),
        ({"pelvis": (0, 1.5, -0.5)}, 28),
        ({"r_wrist": (-0.22, 0.3, 0.05)}, 29),
        ({"l_wrist": (0.22, 0.3, 0.05)}, 30),
    ],
)
def test_a_pose_has_its_feature(change, feature):
    assert feature in holding(change, change)


def test_right_and_left_look_to_different_sides_as_in_published_code():
    ahead = ({"r_ankle": (-0.1, 0.1, 0.3)}, {"l_ankle": (0.1, 0.1, 0.3)})
    assert [holding(foot, foot) & {14, 15} for foot in ahead] == [{14, 15}, set()]
    forward = {"r_wrist": (-0.22, 0.95, 0.07), "l_wrist": (0.22, 0.95, 0.07)}
    assert holding({}, forward) & {0, 1} == {1}
    assert holding(forward, {}) & {0, 1} == {0}


def test_speeds_count_120_frames_a_second():
    # 2.5 lengths of the humerus a second are 5.35 mm a frame; 10.7 mm would be right at 60.
    for way, fast in ((0.005, False), (0.006, True)):
        shifted = {
            name: (x, y, z + way) for name, (x, y, z) in STANDING.items() if name.endswith("ankle")
        }
        assert (holding({}, shifted) >= {21, 22}) is fast
    moved = {name: (x + 0.005, y, z) for name, (x, y, z) in STANDING.items()}
    assert 31 in holding({}, moved)
