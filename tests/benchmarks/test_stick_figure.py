import numpy as np
import pytest
from PIL import ImageChops
from tests.dancing import danced

from motionbeat.benchmarks.stick_figure import Canvas, frames, grounded
from motionbeat.data_modules.base import Beats
from motionbeat.motion import FEET, Motion

SIZE, FPS = 240, 20.0
SILENCE = Beats(np.zeros(0))


def standing(contacts=None):
    """Two seconds of somebody who stands."""
    pose = danced(100, seconds=4.0).positions[:1]
    down = None if contacts is None else np.tile(np.array(contacts, bool), (40, 1))
    return Motion(pose.repeat(40, axis=0), FPS, down)


def drawn(motion, beats=SILENCE):
    return list(frames(motion, beats, SIZE, FPS))


def difference(one, two):
    """Where two pictures differ: left, upper, right, lower edge; None where they are the same."""
    return ImageChops.difference(one, two).getbbox()


def pixel(motion, joint):
    joints = grounded(motion)[0]
    canvas = Canvas(None, 0.4 * SIZE, (SIZE / 2, 0.82 * SIZE), joints[0] * [1, 0, 1])
    return canvas.pixels(joints[joint])


def test_the_camera_stands_in_front_and_above():
    target, (x, y, z) = np.array([3.0, 0.0, -2.0]), np.eye(3)
    canvas = Canvas(None, 100.0, (200.0, 300.0), target)
    assert canvas.pixels(target) == pytest.approx((200, 300))
    assert canvas.pixels(target + y) == pytest.approx((200, 200), abs=5)
    assert canvas.pixels(target + z)[1] > 300, "what is near is lower in the picture"
    left, right = (canvas.pixels(target + way * x)[0] for way in (0.2, -0.2))
    assert left > 200 > right, "who faces the camera has the left hand on its right"


@pytest.mark.parametrize("foot", range(4))
def test_a_foot_on_the_floor_stands_on_a_disc(foot):
    motion = standing(contacts=np.arange(4) == foot)
    left, upper, right, _ = difference(drawn(standing())[0], drawn(motion)[0])
    assert abs((left + right) / 2 - pixel(motion, FEET[foot])[0]) < 8
    assert 8 < right - left < 0.2 * SIZE
    assert upper > 0.6 * SIZE


def test_a_ring_pulses_on_beats_and_is_larger_on_downbeats():
    motion, times = standing(), np.array([0.5])
    plain = drawn(motion)
    widths = []
    for positions in (None, np.array([2]), np.array([1])):
        beaten = drawn(motion, Beats(times, positions))
        amounts = [
            np.asarray(ImageChops.difference(*pair), int).sum()
            for pair in zip(plain, beaten, strict=True)
        ]
        assert amounts[:10] == [0] * 10
        assert amounts[10] > 2 * amounts[13] > 4 * amounts[19]
        left, upper, right, _ = difference(plain[10], beaten[10])
        assert upper > 0.6 * SIZE
        widths.append(right - left)
    assert widths[0] == widths[1] < 0.8 * widths[2]


def test_the_floor_is_below_the_feet_wherever_the_dancer_was_recorded():
    lifted = Motion(standing().positions + np.float32([4.0, 1.3, -7.5]), FPS)
    assert grounded(lifted)[:, FEET, 1].min() == pytest.approx(0, abs=0.01)
