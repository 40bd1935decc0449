"""Couples who step at a steady pace, warped to the beats of excerpts of music."""

import numpy as np
import pytest
import soundfile
from tests.clicks import click_track
from tests.dancing import danced

from motionbeat.data_modules import WarpedSalsa
from motionbeat.data_modules.base import Beats, DatasetError, Licence, MotionFile, Track
from motionbeat.data_modules.published.cmu_salsa import HELD_OUT, Take
from motionbeat.data_modules.rendered import warped_salsa
from motionbeat.data_modules.rendered.warped_salsa import (
    FACTORS,
    choose_beats,
    couple_beats,
    fits,
    warp,
)
from motionbeat.motion import JOINTS, Motion, MotionError

RATE = 8000


def ticking(beats, seconds, fps=30.0):
    """Somebody whose hands are at their highest on the beats."""
    count = np.interp(np.arange(round(seconds * fps)) / fps, beats, np.arange(len(beats)))
    positions = np.zeros((len(count), len(JOINTS), 3), np.float32)
    positions[:, JOINTS.index("l_hand"), 1] = np.cos(2 * np.pi * count)
    return Motion(positions, fps)


def highest(motion):
    """Times at which the hands are."""
    height = motion.positions[:, JOINTS.index("l_hand"), 1]
    peaks = (height[1:-1] > height[:-2]) & (height[1:-1] >= height[2:])
    return (np.flatnonzero(peaks) + 1) / motion.fps


def test_beats_of_a_warped_motion_fall_on_those_of_the_music():
    rng = np.random.default_rng(0)
    beats = 0.7 + np.cumsum(rng.uniform(0.6, 0.7, 15))
    onto = np.concatenate([[0.0], np.cumsum(rng.uniform(0.55, 0.75, 14))])
    warped = warp(ticking(beats, 12.0), beats, onto)
    assert warped.duration == pytest.approx(onto[-1], abs=0.02)
    np.testing.assert_allclose(highest(warped), onto[1:-1], atol=0.025)
    same = warp(ticking(beats, 12.0), beats, beats - beats[0])
    frames = round(beats[0] * 30) + np.arange(len(same.positions))
    still = ticking(beats, 12.0).positions[frames]
    np.testing.assert_allclose(same.positions, still, atol=0.1)  # up to part of a frame


@pytest.mark.parametrize("factor", FACTORS)
def test_a_beat_that_would_change_too_much_is_refused(factor):
    beats = np.arange(1.0, 11.0)
    motion = ticking(beats, 12.0)
    inside, outside = (1 + (factor - 1) * share for share in (0.99, 1.01))
    warp(motion, beats, (beats - 1) * inside)
    onto = beats - 1.0
    onto[5:] += outside - 1
    with pytest.raises(MotionError, match=r"0\.75 to 1\.33; choose music of another tempo"):
        warp(motion, beats, onto)


def test_beats_are_taken_all_or_every_second_one():
    own, rng = np.arange(0.5, 15, 0.7), np.random.default_rng(0)
    for period, step in ((0.6, 1), (0.8, 1), (0.35, 2), (0.4, 2)):
        onto = choose_beats(own, np.arange(0.1, 28, period), rng)
        np.testing.assert_allclose(np.diff(onto), step * period)
        assert fits(own[: len(onto)], onto)
    assert choose_beats(own, np.arange(0.1, 28, 0.5), rng) is None
    assert choose_beats(own, np.arange(0.1, 7, 0.7), rng) is None, "too short"


def couple(id, bpm):
    partners = (danced(bpm, 16.0, dancer, seed=dancer, fps=30.0) for dancer in (0, 3))
    return Take(id, *(Motion(one.positions, one.fps) for one in partners))


def test_couples_step_on_the_beats_that_are_found():
    beats = couple_beats(couple("01", 84))
    assert np.median(np.diff(beats)) == pytest.approx(60 / 84, rel=0.03)
    still = Motion(np.zeros((300, 24, 3), np.float32), 30.0)
    assert not len(couple_beats(Take("01", still, still)))


@pytest.fixture
def dataset(tmp_path, monkeypatch):
    """One quick and one slow excerpt, and one to whose tempo nobody can dance."""
    tracks = []
    for name, bpm in (("quick", 168), ("slow", 80), ("between", 120)):
        beats = np.arange(0.3, 23.9, 60 / bpm)
        path = tmp_path / f"{name}.wav"
        soundfile.write(path, click_track(beats, beats < 0, 24.0, RATE), RATE)
        positions = None if name == "slow" else np.arange(len(beats)) % 4 + 1
        known = (Licence("CC0-1.0"), Beats(beats, positions))
        tracks.append(Track(f"music/{name}", path, 24.0, name, known))
    monkeypatch.setattr(
        "motionbeat.data_modules.rendered.warped_salsa.DancedMusic",
        lambda **options: Music(tracks),
    )
    couples = [couple("01", 84), couple(min(HELD_OUT), 84)]
    monkeypatch.setattr(warped_salsa, "takes", lambda data: couples)
    made = WarpedSalsa(cache=tmp_path, data=tmp_path)
    made.prepare_data()
    return made


class Music:
    revision = "1"

    def __init__(self, all_of_it):
        self.all_of_it = all_of_it

    def prepare_data(self):
        pass

    def tracks(self, split):
        return self.all_of_it


def test_pairs_are_music_and_salsa_of_takes_that_are_not_held_out(dataset):
    found = {track.id: track for track in dataset.tracks("train")}
    assert found.keys() == {"music/quick", "music/slow"}
    assert dataset.tracks("validation") == dataset.tracks("test") == []
    for line in (dataset.folder / "manifest.jsonl").read_text().splitlines():
        assert '"between"' in line or '_01"' in line or '"labels": {}' in line
    for track in found.values():
        sound, rate = soundfile.read(track.audio_path)
        assert len(sound) / rate == track.duration > 8
        assert track.get(MotionFile).motion.duration == pytest.approx(track.duration, abs=0.03)
        beats = track.get(Beats)
        assert beats.times[0] == pytest.approx(0, abs=1e-6)
        envelope = np.abs(sound)
        for time in beats.times[1:-1]:
            around = envelope[round((time - 0.01) * rate) : round((time + 0.02) * rate)]
            assert around.max() > 0.05, "the music has a click on each beat"
    assert found["music/slow"].get(Beats).positions is None
    assert found["music/quick"].get(Beats).positions is not None


def test_without_salsa_it_says_what_is_missing(tmp_path, dataset, monkeypatch):
    monkeypatch.undo()
    with pytest.raises(DatasetError, match="a seed from 0"):
        WarpedSalsa(cache=tmp_path, seed=-1)
    lacking = WarpedSalsa(cache=tmp_path, data=tmp_path)
    lacking.music = Music([])
    with pytest.raises(DatasetError, match=r"no .*cmu_salsa"):
        lacking.prepare_data()
