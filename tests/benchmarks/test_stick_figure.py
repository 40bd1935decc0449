import numpy as np
import pytest
from motionbeat.benchmarks.dance_pictures import between
from PIL import Image, ImageChops
from tests.dancing import danced

from motionbeat.benchmarks import stick_figure
from motionbeat.benchmarks.choreographer import excerpt
from motionbeat.benchmarks.stick_figure import Camera, frames, grounded, poses_strip, write_gif
from motionbeat.data_modules.base import Beats
from motionbeat.files import WriteError
from motionbeat.motion import FEET, JOINTS, Motion

SIZE, FPS = 240, 20.0
SILENCE = Beats(np.zeros(0))


def standing(seconds=2.0, contacts=None, way=(0.0, 0.0, 0.0)):
    """Somebody who stands, or glides that many metres a second."""
    pose = danced(100, seconds=4.0).positions[:1]
    count = round(seconds * FPS)
    glide = np.arange(count)[:, None, None] / FPS * np.float32(way)
    down = None if contacts is None else np.tile(np.array(contacts, bool), (count, 1))
    return Motion((pose + glide).astype(np.float32), FPS, down)


def drawn(motion, beats=SILENCE):
    return list(frames(motion, beats, SIZE, FPS))


def difference(one, two):
    """Where two pictures differ: left, upper, right, lower edge; None where they are the same."""
    return ImageChops.difference(one, two).getbbox()


def above_the_bar(picture):
    return picture.crop((0, 0, SIZE, 220))


def amount(one, two):
    return int(np.asarray(ImageChops.difference(one, two), np.int64).sum())


def pixel(motion, joint):
    joints = grounded(motion)[0]
    target = joints[0] * (1, 0, 1)
    places, _ = Camera(0.4 * SIZE, (SIZE / 2, 0.47 * SIZE)).see(joints, target)
    return places[joint]


def test_the_camera_sees_metres_from_the_front():
    camera = Camera(100.0, (200.0, 300.0))
    at = np.array([3.0, 0.0, -2.0])
    x, y, z = np.eye(3)
    looked_at = at + stick_figure._LOOK * y
    place, depth = camera.see(looked_at, at)
    assert place == pytest.approx((200, 300))
    assert depth == pytest.approx(stick_figure._DISTANCE)
    aside = np.cos(stick_figure._FROM[0]) * x - np.sin(stick_figure._FROM[0]) * z
    assert camera.see(looked_at + aside, at)[0] == pytest.approx((300, 300))
    assert camera.see(looked_at + 0.1 * y, at)[0][1] < 300
    nearer, depth_nearer = camera.see(looked_at + z, at)
    assert depth_nearer < depth
    assert nearer[1] > 300  # the floor rises with distance
    left, right = (camera.see(looked_at + way * x, at)[0][0] for way in (0.2, -0.2))
    assert left > 200 > right  # who faces the camera has the left hand on its right


def test_each_side_has_its_colour():
    motion = standing()
    picture = drawn(motion)[0]
    for name, colour in (("l_elbow", stick_figure._LEFT), ("r_elbow", stick_figure._RIGHT)):
        x, y = pixel(motion, JOINTS.index(name))
        assert np.abs(np.array(picture.getpixel((int(x), int(y)))) - colour).max() < 25


@pytest.mark.parametrize("foot", range(4))
def test_a_foot_on_the_floor_stands_on_a_disc(foot):
    contacts = np.arange(4) == foot
    motion = standing(contacts=contacts)
    free, down = (drawn(one)[0] for one in (standing(contacts=[False] * 4), motion))
    assert difference(drawn(standing())[0], free) is None
    left, upper, right, lower = difference(free, down)
    x, _ = pixel(motion, FEET[foot])
    assert left - 1 <= x <= right + 1
    assert abs((left + right) / 2 - x) < 8
    assert 8 < right - left < 0.2 * SIZE
    assert upper > 0.6 * SIZE
    assert lower - upper < right - left  # flat on the floor


def test_a_ring_pulses_on_beats_and_pales():
    motion = standing()
    plain = drawn(motion, Beats(np.array([1.9])))
    beaten = drawn(motion, Beats(np.array([0.5, 1.9])))
    assert difference(above_the_bar(plain[0]), above_the_bar(beaten[0])) is None
    amounts = [amount(one, two) for one, two in zip(plain, beaten, strict=True)]
    before, on = amounts[9], amounts[10]
    assert on > 5 * before  # before the beat there is but its mark on the bar
    fading = np.array(amounts[10:18]) - before
    assert (np.diff(fading) < 0).all()
    left, upper, right, _ = difference(above_the_bar(plain[10]), above_the_bar(beaten[10]))
    assert upper > 0.6 * SIZE
    assert left < SIZE / 2 < right


def test_the_ring_is_larger_on_downbeats():
    motion, times = standing(), np.array([0.0])
    plain = drawn(motion)[0]
    widths = []
    for positions in (None, np.array([2]), np.array([1])):
        beaten = drawn(motion, Beats(times, positions))[0]
        left, _, right, _ = difference(above_the_bar(plain), above_the_bar(beaten))
        widths.append(right - left)
    assert widths[0] == widths[1] < 0.8 * widths[2]


def test_time_passes_along_the_bar_and_ends_with_it():
    level = round(0.955 * SIZE)
    passed = []
    for picture in drawn(standing()):
        row = np.asarray(picture)[level].astype(int)
        passed.append(int((row.sum(axis=1) < 350).sum()))
    assert (np.diff(passed) >= 0).all()
    assert passed[0] < 0.05 * SIZE
    assert passed[-1] == pytest.approx(0.88 * SIZE, abs=2)


def test_a_moment_is_drawn_at_its_time():
    motion = danced(100, seconds=4.0, fps=60.0)
    pictures = list(frames(motion, SILENCE, SIZE, 30.0))
    assert len(pictures) == 120
    halved = Motion(motion.positions[::2], 30.0, motion.contacts[::2])
    for one, two in zip(pictures, frames(halved, SILENCE, SIZE, 30.0), strict=True):
        assert difference(one, two) is None
    assert {picture.size for picture in pictures} == {(SIZE, SIZE)}


def test_the_camera_follows():
    glider = drawn(standing(seconds=6.0, way=(0.5, 0, 0)))
    body = np.asarray(glider[60]).astype(int)[: SIZE // 2]
    columns = np.flatnonzero((body.sum(axis=2) < 400).any(axis=0))
    assert abs(columns.mean() - SIZE / 2) < 0.1 * SIZE
    below = (0, 150, SIZE, 220)
    assert difference(glider[60].crop(below), glider[61].crop(below))  # the floor goes by


def test_the_floor_is_below_the_feet_wherever_the_dancer_was_recorded():
    motion = standing()
    lifted = Motion(motion.positions + np.float32([4.0, 1.3, -7.5]), FPS)
    feet = grounded(lifted)[:, FEET, 1]
    assert feet.min() == pytest.approx(0, abs=0.01)
    upper = (0, 0, SIZE, 100)  # without the lines of the floor, which go with the place
    one, two = (drawn(either)[0].crop(upper) for either in (motion, lifted))
    assert amount(one, two) < 0.02 * amount(one, Image.new("RGB", one.size, "white"))


def test_a_gif_of_four_seconds_is_small(tmp_path):
    motion = danced(110, seconds=4.0, fps=30.0)
    times = np.arange(0.3, 4, 60 / 110)
    write_gif(motion, Beats(times), tmp_path / "a.gif")
    assert (tmp_path / "a.gif").stat().st_size < 1.5e6
    with Image.open(tmp_path / "a.gif") as gif:
        assert (gif.size, gif.n_frames) == ((240, 240), 50)


@pytest.mark.parametrize("stop", [KeyboardInterrupt, OSError(28, "No space left on device")])
def test_nothing_is_left_of_what_was_cut_short(tmp_path, monkeypatch, stop):
    def cut(*_):
        yield Image.new("RGB", (SIZE, SIZE))
        raise stop

    monkeypatch.setattr(stick_figure, "frames", cut)
    stopped = KeyboardInterrupt, WriteError
    with pytest.raises(stopped, match=r"the disk is full|^$"):
        write_gif(standing(), SILENCE, tmp_path / "a.gif")
    with pytest.raises(stopped, match=r"the disk is full|^$"):
        stick_figure.write_mp4(standing(), SILENCE, tmp_path / "song.wav", tmp_path / "a.mp4")
    assert not list(tmp_path.iterdir())


def test_a_strip_has_a_row_a_name_and_marks_beats(tmp_path):
    motion = danced(100, seconds=6.0)
    beats = Beats(np.array([0.5, 2.0, 2.75, 9.0]), np.array([4, 1, 2, 3]))
    heights = []
    for names in (("a",), ("a", "b")):
        for marked in (SILENCE, beats):
            poses_strip(dict.fromkeys(names, motion), marked, tmp_path / "s.png", 1.0, 3.0)
            with Image.open(tmp_path / "s.png") as picture:
                heights.append(picture.height)
                yellow = np.asarray(picture.convert("RGB")).astype(int)[4]
        columns = np.flatnonzero(np.abs(yellow - stick_figure._PULSE).max(axis=1) < 90)
        groups = np.split(columns, np.flatnonzero(np.diff(columns) > 2) + 1)
        assert len(groups) == 2  # those within the seconds shown
        assert len(groups[0]) > len(groups[1])  # the downbeat's is thicker
    assert heights[0] == heights[1]
    assert heights[2] - heights[0] == 180


def test_an_excerpt_begins_at_0_and_keeps_its_beats():
    motion = danced(100, seconds=6.0, fps=30.0)
    beats = Beats(np.array([0.5, 2.0, 2.75, 4.0]), np.array([4, 1, 2, 3]))
    part, inside = excerpt(motion, 2.0, 2.0), between(beats, 2.0, 2.0)
    assert (part.positions == motion.positions[60:120]).all()
    assert (part.contacts == motion.contacts[60:120]).all()
    assert inside.times.tolist() == [0, 0.75]
    assert inside.positions.tolist() == [1, 2]
    assert between(Beats(beats.times), 2.0, 2.0).positions is None
    assert excerpt(standing(), 0, 1).contacts is None
