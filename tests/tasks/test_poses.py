"""Dances as rows of numbers: there and back, wherever, however turned and on whatever body."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.dancing import danced

from motionbeat.kinematics import foot_contacts
from motionbeat.motion import FEET, JOINTS, PARENTS, Motion, MotionError
from motionbeat.tasks.metrics.dance_physics import bone_length_drift
from motionbeat.tasks.poses import CONTACT, FPS, GROUND, HEIGHT, JOINT, WIDTH, Body

SECONDS = 4.0

few = settings(max_examples=15, deadline=None)
metres = st.floats(-20, 20)


@pytest.fixture(scope="module")
def motion():
    return circled(danced(110.0, SECONDS, fps=60.0))


@pytest.fixture(scope="module")
def body(motion):
    return Body.of(motion)


def turned(positions, yaw):
    """Positions (T, n, 3) turned to the left about the vertical by angles () or (T,)."""
    yaw = np.broadcast_to(yaw, len(positions))[:, None]
    x, y, z = np.moveaxis(positions.astype(np.float64), -1, 0)
    cos, sin = np.cos(yaw), np.sin(yaw)
    return np.stack([x * cos + z * sin, y, z * cos - x * sin], axis=-1)


def circled(motion, radius=1.5, speed=0.8):
    """The same dance on a turntable, so that the dancer goes and turns more than once around."""
    moments = np.arange(len(motion.positions)) / motion.fps
    out = motion.positions + np.array([radius, 0, 0])
    return Motion(turned(out, 2 * speed * moments).astype(np.float32), motion.fps)


def overlaid(positions, onto):
    """Positions put where the first pelvis of others is, and turned as these are on the whole."""
    ours, theirs = (
        (p - p[:1, :1]).astype(np.float64)[..., [2, 0]] @ [1, 1j] for p in (positions, onto)
    )
    yaw = np.angle(np.sum(ours.conj() * theirs))
    return turned(positions - positions[0, 0], yaw) + onto[0, 0]


@pytest.mark.parametrize("fps", [25.0, 30.0, 60.0])
def test_there_and_back_up_to_where_it_starts(fps):
    motion = circled(danced(110.0, SECONDS, fps=fps))
    body = Body.of(motion)
    back = body.motion(body.rows(motion))
    wanted = motion.at(FPS)
    assert back.fps == FPS
    assert back.positions.shape == wanted.shape
    bones = np.linalg.norm(back.positions - back.positions[:, PARENTS], axis=2)[:, 1:]
    np.testing.assert_allclose(bones, [body.bones[1:]] * len(wanted), atol=1e-5)
    # A spline between captured frames cuts corners, and with them bones, by a few millimetres.
    onto = overlaid(back.positions, wanted)
    np.testing.assert_allclose(onto, wanted, atol=1e-4 if fps != 25 else 5e-3)


def test_a_dance_begins_at_the_origin_with_its_face_to_z(motion, body):
    back = body.motion(body.rows(motion)).positions
    np.testing.assert_allclose(back[0, 0, [0, 2]], 0, atol=1e-6)
    left = back[0, JOINTS.index("l_hip")] - back[0, JOINTS.index("r_hip")]
    assert abs(np.degrees(np.arctan2(-left[2], left[0]))) < 15
    assert np.percentile(back[:, FEET, 1], 5) == pytest.approx(0, abs=1e-4)


def test_who_is_carried_in_a_circle_goes_and_turns_evenly():
    still = circled(Motion(np.repeat(danced(110.0, 1.0).positions[:1], 240, axis=0), 60.0))
    rows = Body.of(still).rows(still)
    inner = rows[20:-20]
    np.testing.assert_allclose(inner[:, 2], 1.6 / FPS, rtol=1e-3)
    np.testing.assert_allclose(np.ptp(inner[:, HEIGHT:], axis=0), 0, atol=0.01)
    ways = np.linalg.norm(np.diff(still.at(FPS)[:, 0], axis=0), axis=1)
    np.testing.assert_allclose(np.hypot(rows[1:, 0], rows[1:, 1]), ways, atol=1e-5)
    assert rows[0, GROUND].tolist() == rows[1, GROUND].tolist(), "there is no row before"


@few
@given(yaw=st.floats(-7, 7), x=metres, y=st.floats(-2, 2), z=metres, size=st.floats(0.3, 3))
def test_rows_do_not_know_where_the_dancer_is_how_turned_and_how_large(
    motion, body, yaw, x, y, z, size
):
    positions = (turned(motion.positions, yaw) + np.array([x, y, z])) * size
    rows = body.rows(replace(motion, positions=positions.astype(np.float32)))
    kept = [*range(3), HEIGHT, *range(WIDTH)[JOINT]]
    np.testing.assert_allclose(rows[:, kept], body.rows(motion)[:, kept], atol=2e-3)


@few
@given(size=st.floats(0.3, 3))
def test_another_body_dances_the_same_in_its_size(motion, body, size):
    rows, larger = body.rows(motion), Body(body.bones * size).rows(motion)
    scaled = [0, 1, HEIGHT, *range(WIDTH)[JOINT]]
    np.testing.assert_allclose(larger[:, scaled], rows[:, scaled] * size, atol=1e-5 * size)
    np.testing.assert_allclose(larger[:, 2], rows[:, 2], atol=1e-6)
    np.testing.assert_allclose(larger[:, CONTACT], rows[:, CONTACT], atol=1e-6)


def test_bodies_are_medians_of_bones_and_their_mean(motion, body):
    positions = motion.positions.copy()
    positions[7, 20:] += 50  # a hand that a camera lost for a frame
    np.testing.assert_allclose(Body.of(Motion(positions, 60.0)).bones, body.bones, atol=1e-5)
    double = Body.of(Motion(2 * motion.positions, 60.0))
    np.testing.assert_allclose(Body.average([body, double]).bones, 1.5 * body.bones, rtol=1e-5)


@pytest.mark.parametrize("fps", [30.0, 60.0])
def test_contacts_are_those_of_the_positions(fps):
    motion = danced(110.0, SECONDS, fps=fps)
    body = Body.of(motion)
    rows = body.rows(motion)
    touching = foot_contacts(motion)[:: round(fps / FPS)]
    np.testing.assert_allclose(rows[:, CONTACT], touching, atol=1e-6)
    assert 0.1 < touching.mean() < 0.9, "a dance that says nothing about contacts"
    back = body.motion(rows)
    np.testing.assert_array_equal(back.contacts, rows[:, CONTACT] > 0.5)


@few
@given(seed=st.integers(0, 2**32 - 1), size=st.sampled_from([0.0, 1e-9, 0.1, 10.0]))
def test_whatever_is_generated_has_bones_of_the_body(body, seed, size):
    rows = size * np.random.default_rng(seed).standard_normal((40, WIDTH)).astype(np.float32)
    made = body.motion(rows)
    assert np.isfinite(made.positions).all()
    if size > 1e-9:
        assert bone_length_drift(made.positions) < 0.01
    np.testing.assert_allclose(made.positions[:, 0, 1], rows[:, HEIGHT], atol=1e-6)
    assert body.motion(rows[:1]).positions.shape == (1, 24, 3)


def test_motions_that_cannot_be_rows_are_refused(motion, body):
    still = Motion(np.full((60, 24, 3), 3.0, np.float32), 60.0)
    with pytest.raises(MotionError, match="all joints in one place; drop the clip"):
        body.rows(still)
    for frames, fps in ((1, 30.0), (3, 60.0)):
        with pytest.raises(MotionError, match=r"motion has \d frames.*drop the clip"):
            body.rows(Motion(motion.positions[:frames], fps))
