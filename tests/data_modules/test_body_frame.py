import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from tests.dancing import posed

from motionbeat.data_modules.body_frame import BodyFrame, check_upright, find_body_frame
from motionbeat.motion import Motion, MotionError

BODY = posed({}, {"l_wrist": (0.3, 1.1, 0.2), "l_hand": (0.3, 1.0, 0.25)}, {"head": (0, 1.6, 0.1)})

AXES = {
    "y": [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
    "-y": [[1, 0, 0], [0, -1, 0], [0, 0, -1]],
    "z": [[1, 0, 0], [0, 0, -1], [0, 1, 0]],
    "-z": [[1, 0, 0], [0, 0, 1], [0, -1, 0]],
    "x": [[0, 1, 0], [-1, 0, 0], [0, 0, 1]],
    "-x": [[0, -1, 0], [1, 0, 0], [0, 0, 1]],
}
"""Rotations from y up to each axis up."""


@pytest.mark.parametrize("up", AXES)
@pytest.mark.parametrize("unit", [1.0, 0.01, 0.001])
@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("turn", [0, 100, 200])
def test_a_body_is_stood_on_its_feet(up, unit, mirrored, turn):
    body = BODY @ Rotation.from_euler("y", turn, degrees=True).as_matrix().T
    given = (body * [1, 1, -1] if mirrored else body) @ np.array(AXES[up]).T / unit
    frame = find_body_frame(given)
    assert frame == BodyFrame(up, unit, mirrored)
    found = frame.to_metres(given)
    # the same body, turned about the vertical axis at most
    np.testing.assert_allclose(found[..., 1], body[..., 1], atol=1e-4)
    flat, expected = found[..., ::2].reshape(-1, 2), body[..., ::2].reshape(-1, 2)
    turning, *_ = np.linalg.lstsq(expected, flat, rcond=None)
    np.testing.assert_allclose(flat, expected @ turning, atol=1e-3)
    assert np.linalg.det(turning) == pytest.approx(1, abs=1e-3)


def test_exchanged_axes_are_left_handed():
    assert find_body_frame(BODY[..., [0, 2, 1]]) == BodyFrame("z", 1.0, True)


@pytest.mark.parametrize("seed", range(20))
def test_shuffled_joints_are_refused(seed):
    shuffled = np.random.default_rng(seed).permutation(24)
    with pytest.raises(MotionError, match="order of SMPL"):
        find_body_frame(BODY[:, shuffled])


def test_what_is_no_persons_size_is_refused_until_the_unit_is_said():
    for inches in (1, 12):
        body = BODY / (0.0254 * inches)
        with pytest.raises(MotionError, match="--unit"):
            find_body_frame(body)
        assert find_body_frame(body, unit=0.0254 * inches) == BodyFrame("y", 0.0254 * inches)


def test_a_body_on_the_floor_needs_to_be_told():
    leaning = BODY @ Rotation.from_euler("x", 45, degrees=True).as_matrix().T
    with pytest.raises(MotionError, match="--up"):
        find_body_frame(leaning)
    assert find_body_frame(leaning, up="y").up == "y"


def test_a_body_without_bones_is_refused():
    with pytest.raises(MotionError, match="bones"):
        find_body_frame(BODY * 0)


def test_motions_of_datasets_must_stand_upright_where_that_can_be_told(tmp_path):
    path = tmp_path / "a.npz"
    leaning = BODY @ Rotation.from_euler("x", 45, degrees=True).as_matrix().T
    for fine in (BODY, leaning, BODY * [1, 1, -1]):
        check_upright(path, Motion(fine.astype(np.float32), 30))
    for wrong in (BODY[..., [0, 2, 1]], 100 * BODY):
        with pytest.raises(MotionError, match=f"^{path}: motion with"):
            check_upright(path, Motion(wrong.astype(np.float32), 30))
