"""Dances to music as it plays: in time, without leaps, and never changed by what comes later."""

import numpy as np
import pytest
import torch
from tests.clicks import click_track
from tests.dancing import beats_at, train_shortly, write_pair
from tests.toy_encoders import Loudness, TinyLive

from motionbeat.data_modules.base import MotionFile, Track
from motionbeat.model import SAMPLE_RATE
from motionbeat.motion import FEET, PARENTS
from motionbeat.tasks.dance_generation import DanceGeneration
from motionbeat.tasks.live_dance import HOP, LiveDanceError, LiveDancer
from motionbeat.tasks.poses import FPS

SECONDS = 8.0


@pytest.fixture(scope="module", autouse=True)
def small():
    with pytest.MonkeyPatch.context() as patch:
        train_shortly(patch)
        yield


@pytest.fixture(scope="module")
def task(tmp_path_factory):
    """A decoder that has learned nothing but the body."""
    folder = tmp_path_factory.mktemp("live")
    one = DanceGeneration(TinyLive())
    one.prepare([track_of(folder, index) for index in range(2)])
    return one


def track_of(folder, index):
    pair = write_pair(folder, f"song{index}", 100 + 10 * index, SECONDS, index)
    return Track(pair.id, pair.audio, SECONDS, pair.id, (MotionFile(pair.motion),))


@pytest.fixture(scope="module")
def waveform():
    times, positions = beats_at(104, SECONDS)
    return torch.from_numpy(click_track(times, positions == 1, SECONDS, SAMPLE_RATE))


def danced(task, waveform, size, seed=0):
    """Positions and contacts of the whole dance, and how many poses there were after each part."""
    dancer = LiveDancer(task, seed)
    pieces = [dancer.hear(part) for part in torch.split(waveform, size)]
    poses = np.concatenate([piece.positions for piece in pieces])
    contacts = np.concatenate([piece.contacts for piece in pieces if piece.contacts is not None])
    return poses, contacts, np.cumsum([len(piece.positions) for piece in pieces])


@pytest.fixture(scope="module")
def dance(task, waveform):
    return danced(task, waveform, 2205)


def test_poses_come_soon_after_their_sound(dance):
    _, contacts, counts = dance
    heard = 0.1 * np.arange(1, len(counts) + 1)
    late = heard - counts / FPS  # of the next pose
    assert len(contacts) == counts[-1]
    assert late.min() > 0, "no pose is given before its sound"
    assert late.max() < (HOP + 3 + 6 + 1) / FPS + 0.1


@pytest.mark.parametrize("size", [500, 4410, 3 * SAMPLE_RATE])
def test_parts_of_any_length_give_the_same_dance(task, waveform, dance, size):
    poses, contacts, _ = danced(task, waveform, size)
    np.testing.assert_allclose(poses, dance[0], atol=1e-3)
    assert (contacts == dance[1]).mean() > 0.99


def test_music_that_comes_later_changes_no_pose(task, waveform, dance):
    """The very same poses, as far as there were any."""
    cut = 5 * SAMPLE_RATE
    other = torch.cat([waveform[:cut], 0.3 * torch.randn(len(waveform) - cut)])
    poses, _, counts = danced(task, other, 2205)
    given = counts[cut // 2205 - 1]
    assert given > 4.3 * FPS
    np.testing.assert_allclose(poses[:given], dance[0][:given], atol=1e-5)
    assert np.abs(poses[given:] - dance[0][given:]).max() > 0.01


def test_another_seed_is_another_dance(task, waveform, dance):
    assert np.abs(danced(task, waveform, 4410, seed=1)[0] - dance[0]).max() > 1e-3


def test_the_body_stays_whole_and_above_the_floor(task, dance):
    bones = np.linalg.norm(dance[0] - dance[0][:, PARENTS], axis=2)
    inner = [joint for joint in range(1, 24) if joint not in FEET]
    wanted = np.broadcast_to(np.array(task.learned["bones"])[inner], bones[:, inner].shape)
    np.testing.assert_allclose(bones[:, inner], wanted, atol=1e-3)
    assert dance[0][:, FEET, 1].min() > -1e-3


def test_pieces_join_without_a_leap(dance):
    """From one piece to the next the dance moves as it does within a piece."""
    steps = np.linalg.norm(np.diff(dance[0], axis=0), axis=2).max(axis=1)
    seams = np.zeros(len(steps), bool)
    seams[HOP - 1 :: HOP] = True  # the first pieces are short by nine poses, a whole one
    assert steps[seams].mean() < 1.5 * steps[~seams].mean()


def test_an_encoder_that_needs_all_the_music_is_refused():
    task = DanceGeneration(Loudness())
    task.head = torch.nn.Identity()
    with pytest.raises(LiveDanceError, match="loudness needs the whole of the music; take motion"):
        LiveDancer(task)
