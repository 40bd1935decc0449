"""A clock that hears click tracks as they play, and never what is still to come."""

import numpy as np
import pytest
from tests.motionbeat.test_rhythm import SECONDS, accented_clicks, noise, sine, steady

from motionbeat.live_rhythm import HEARING_DELAY, LiveGrid, LiveTracker, live_grid
from motionbeat.model import AUDIO_FRAME_RATE, SAMPLE_RATE
from motionbeat.pretraining.pairs import audio_inputs
from motionbeat.tasks.metrics.beat import HIT_WINDOW

LOCKED = 6.0
"""Seconds after which a steady click track is followed."""


def spectrum(waveform):
    return audio_inputs(waveform.astype(np.float32))[0]


def hear(waveform):
    return live_grid(spectrum(waveform), AUDIO_FRAME_RATE)


def clicks(bpm, metre=4, seconds=SECONDS):
    times = steady(bpm, seconds=seconds)
    return times, accented_clicks(times, np.arange(len(times)) % metre == 0, seconds=seconds)


def predicted(grid, times):
    """Beats that begin when clicks are predicted, with their numbers, from ``LOCKED`` on."""
    later = times[times > LOCKED]
    away = np.abs(grid.times[:-1, None] - later)
    assert away.min(axis=0).max() < HIT_WINDOW
    nearest = away.argmin(axis=0)
    assert (np.diff(nearest) == 1).all(), "a beat between two clicks"
    return nearest


@pytest.mark.parametrize("metre", [3, 4])
@pytest.mark.parametrize("bpm", [75, 100, 140])
def test_clicks_are_predicted_once_they_are_known(bpm, metre):
    times, waveform = clicks(bpm, metre, 30.0)
    grid = hear(waveform)
    numbers = predicted(grid, times)
    late = times[times > LOCKED] > 20
    expected = np.arange(len(times))[times > LOCKED] % metre
    assert (grid.beats_per_bar[numbers][late] == metre).all()
    assert np.array_equal(grid.positions[numbers][late], expected[late])


def test_a_change_of_tempo_is_followed():
    times = np.concatenate([np.arange(0.4, 15, 0.6), np.arange(15.2, 30, 0.5)])
    grid = hear(accented_clicks(times, np.arange(len(times)) % 4 == 0, seconds=30.0))
    for part in (times[(times > LOCKED) & (times < 15)], times[times > 15 + LOCKED]):
        assert np.abs(grid.times[:, None] - part).min(axis=0).max() < HIT_WINDOW


def test_beats_go_on_where_clicks_stop():
    times = np.arange(0.4, 24, 0.55)
    heard = times[times < 12]
    grid = hear(accented_clicks(heard, heard < 0, seconds=25.0))
    assert np.abs(grid.times[:, None] - times[times > LOCKED]).min(axis=0).max() < HIT_WINDOW


@pytest.mark.parametrize("sound", [sine, noise, lambda seconds: 0 * noise(seconds)])
def test_what_has_no_beat_has_the_uniform_clock(sound):
    grid = hear(sound(20.0))
    assert np.array_equal(grid.times, 0.5 * np.arange(len(grid.times)))
    assert np.array_equal(grid.positions, np.arange(len(grid.positions)) % 4)
    assert (grid.beats_per_bar == 4).all()


def music(seconds, seed):
    """Clicks that wander in tempo, over noise."""
    rng = np.random.default_rng(seed)
    times = 0.3 + rng.normal(0.5, 0.03, round(2.2 * seconds)).cumsum()
    times = times[times < seconds - 0.1]
    return accented_clicks(times, rng.random(len(times)) < 0.3, seconds=seconds, seed=seed)


def known(grid, time):
    """All that the clock had said up to a time, bit by bit."""
    begun = int((grid.times < time).sum())
    return grid.times[: begun + 1], grid.positions[:begun], grid.beats_per_bar[:begun]


@pytest.mark.parametrize("time", [0.01, 1.7, 5.003, 9.5, 14.999, 19.2])
def test_what_comes_later_changes_nothing_that_was_said(time):
    waveform = music(SECONDS, 0)
    other = waveform.copy()
    other[round(time * SAMPLE_RATE) :] = 0.5 * noise(SECONDS)[round(time * SAMPLE_RATE) :]
    before, after = hear(waveform), hear(other)
    for one, same in zip(known(before, time), known(after, time), strict=True):
        assert np.array_equal(one, same)
    assert not np.array_equal(before.times, after.times)


@pytest.mark.parametrize("length", [1, 7, 100, 431])
def test_parts_of_any_length_are_heard_alike(length):
    log_mel = spectrum(music(SECONDS, 1))
    tracker = LiveTracker(AUDIO_FRAME_RATE)
    for start in range(0, len(log_mel), length):
        part = log_mel[start : start + length]
        tracker.hear(part)
        heard = (start + len(part) - 1) / AUDIO_FRAME_RATE + HEARING_DELAY
        assert tracker.beats().times[-1] > heard, "the end of the beat is always known"
    whole, parts = live_grid(log_mel, AUDIO_FRAME_RATE), tracker.beats()
    for name, value in vars(whole).items():
        assert np.array_equal(value, vars(parts)[name])
        assert np.array_equal(value[5:], vars(tracker.beats(5))[name])


def test_a_clip_has_the_beats_that_overlap_it_in_its_usual_metre():
    metres = np.array([4, 4, 3, 3, 3, 3])
    grid = LiveGrid(np.arange(7) / 2, np.array([0, 3, 0, 1, 2, 0]), metres)
    found = grid.cut(0.75, 1.5)
    assert found.times.tolist() == [-0.25, 0.25, 0.75, 1.25, 1.75]
    assert found.positions.tolist() == [0, 0, 1, 2]
    assert found.beats_per_bar == 3
