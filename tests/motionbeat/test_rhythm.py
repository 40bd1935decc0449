"""Beats and bars heard in click tracks whose beats and bars are known."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from motionbeat import rhythm
from motionbeat.model import AUDIO_FRAME_RATE, SAMPLE_RATE, AudioFrontend
from motionbeat.rhythm import (
    FASTEST,
    METRES,
    SLOWEST,
    accent_curve,
    beat_grid,
    music_grid,
    onset_envelope,
    sharpened,
    uniform_grid,
)

TOLERANCE = 0.035
SECONDS = 20.0
FRAME = 1 / AUDIO_FRAME_RATE


def accented_clicks(times, accented, kind="kick", seconds=SECONDS, seed=0):
    """Hisses over faint noise; the accented ones with a kick, louder, or replaced by a beep."""
    rng = np.random.default_rng(seed)
    waveform = 0.003 * rng.standard_normal(round(seconds * SAMPLE_RATE))
    n = np.arange(SAMPLE_RATE // 20)
    decay = np.exp(-n / (SAMPLE_RATE / 100))
    for time, accent in zip(times, accented, strict=True):
        piece = hiss = np.diff(0.15 * rng.standard_normal(len(n)) * decay, prepend=0)
        if accent:
            piece = {
                "kick": hiss + 0.6 * np.sin(2 * np.pi * 80 * n / SAMPLE_RATE) * decay,
                "louder": 4 * hiss,
                "beep": 0.5 * np.sin(2 * np.pi * 3000 * n / SAMPLE_RATE) * decay,
            }[kind]
        start = round(time * SAMPLE_RATE)
        waveform[start : start + len(n)] += piece[: len(waveform) - start]
    return waveform


def hear(waveform):
    with torch.inference_mode():
        log_mel = AudioFrontend().spectrum(torch.from_numpy(waveform).float()[None])[0].numpy()
    return music_grid(log_mel, AUDIO_FRAME_RATE)[1]


def steady(bpm, start=0.4, seconds=SECONDS):
    return np.arange(start, seconds - 0.1, 60 / bpm)


def assert_heard(grid, times, positions, metre):
    """A beat at each time, none between them, with its place in the bar."""
    away = np.abs(grid.times[:, None] - times)
    nearest = away.argmin(axis=0)
    assert away.min(axis=0).max() < TOLERANCE
    assert (np.diff(nearest) == 1).all()
    assert grid.beats_per_bar == metre
    assert np.array_equal(grid.positions[nearest], positions)


def assert_covers(grid, duration):
    assert grid.times.shape == (len(grid) + 1,)
    assert (np.diff(grid.times) > 0).all()
    assert grid.times[0] <= 1e-5
    assert grid.times[-1] >= duration - 1e-5
    assert grid.beats_per_bar in METRES
    assert (grid.positions >= 0).all()
    assert (grid.positions < grid.beats_per_bar).all()
    assert (np.diff(grid.positions) % grid.beats_per_bar == 1).all()


def assert_uniform(grid, duration):
    assert_covers(grid, duration)
    assert np.array_equal(grid.times, np.arange(len(grid) + 1) * 0.5)
    assert np.array_equal(grid.positions, np.arange(len(grid)) % 4)
    assert grid.times[-1] - duration < 0.5 + FRAME or len(grid) == 1


@pytest.mark.parametrize("kind", ["kick", "louder", "beep"])
@pytest.mark.parametrize("metre", METRES)
@pytest.mark.parametrize("bpm", [52, 100, 160])
def test_steady_clicks_are_beats_and_accents_are_downbeats(bpm, metre, kind):
    times = steady(bpm)
    positions = (np.arange(len(times)) + bpm) % metre  # starts somewhere in the bar
    grid = hear(accented_clicks(times, positions == 0, kind))
    assert_heard(grid, times, positions, metre)
    assert_covers(grid, SECONDS)


@pytest.mark.parametrize(("first", "last"), [(100, 130), (140, 100), (90, 160), (160, 120)])
def test_gradual_change_of_tempo_is_followed(first, last):
    times = [0.4]
    while times[-1] < 29:
        times.append(times[-1] + 60 / (first + (last - first) * times[-1] / 30))
    positions = np.arange(len(times)) % 4
    grid = hear(accented_clicks(times, positions == 0, seconds=30.0))
    assert_heard(grid, np.array(times), positions, 4)


@pytest.mark.parametrize("silent", [(0.0, 5.3), (8.0, 14.0), (4.1, 4.5)])
def test_beats_go_on_where_clicks_are_missing(silent):
    times = np.arange(0.3, 24, 0.55)
    positions, heard = np.arange(len(times)) % 4, (times < silent[0]) | (times > silent[1])
    grid = hear(accented_clicks(times[heard], positions[heard] == 0, seconds=25.0))
    for part in (times < silent[0], times > silent[1]):
        if part.any():
            assert_heard(grid, times[part], positions[part], 4)
    assert np.diff(grid.times).min() > 0.8 * 0.55
    assert np.diff(grid.times).max() < 1.2 * 0.55


@pytest.mark.parametrize("bpm", [30, 42, 205, 280])
def test_tempo_outside_the_range_or_at_its_fast_end_is_heard_at_its_double_or_half(bpm):
    times = steady(bpm)
    grid = hear(accented_clicks(times, np.zeros(len(times), bool)))
    heard = 60 / np.median(np.diff(grid.times))
    multiple = 2.0 ** np.round(np.log2(heard / bpm))
    assert heard == pytest.approx(multiple * bpm, rel=0.01)
    assert SLOWEST <= heard <= FASTEST
    assert multiple in ({2} if bpm < SLOWEST else {0.5} if bpm > FASTEST else {0.5, 1})
    inner = grid.times[(grid.times > times[0] - 0.1) & (grid.times < times[-1] + 0.1)]
    rare, often = (inner, times) if multiple <= 1 else (times, inner)
    assert np.abs(rare[:, None] - often).min(axis=1).max() < TOLERANCE


def sine(seconds):
    return 0.5 * np.sin(2 * np.pi * 440 * np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE)


def noise(seconds):
    return np.random.default_rng(0).uniform(-0.5, 0.5, round(seconds * SAMPLE_RATE))


def few_clicks(seconds):
    times = np.arange(0.05, seconds, 0.4)
    return accented_clicks(times, times < 0.1, seconds=seconds)


@pytest.mark.parametrize(
    ("sound", "seconds"),
    [(sine, 0.3), (sine, 12.0), (noise, 6.0), (noise, 20.0), (few_clicks, 0.1), (few_clicks, 1.9)],
)
def test_what_does_not_repeat_has_the_uniform_grid(sound, seconds):
    assert_uniform(hear(sound(seconds)), seconds)
    assert_uniform(hear(0 * sound(seconds)), seconds)


@st.composite
def curves(draw):
    frames = draw(st.one_of(st.integers(0, 3), st.integers(0, 900)))
    rng = np.random.default_rng(draw(st.integers(0, 999)))
    heavy, often = np.exp(4 * rng.standard_normal(frames)), rng.uniform(0, 1, frames)
    pulses = np.arange(frames) % rng.integers(1, 100) == 0
    kinds = [heavy, often, heavy * (often < 0.03), 1.0 * pulses, 0 * heavy, 0 * heavy + 0.7]
    accents = rng.standard_normal(frames) * draw(st.sampled_from([0.0, 1.0]))
    envelope = draw(st.sampled_from(kinds))
    rate = draw(st.sampled_from([30.0, 60.0, AUDIO_FRAME_RATE]))
    return envelope.astype(np.float32), accents.astype(np.float32), rate


def test_beats_follow_the_path_of_the_highest_score():
    """Against the same recursion over whole rows of lags."""
    rng = np.random.default_rng(0)
    envelope, periods = rng.exponential(1, 900), np.linspace(30, 50, 900)
    score, origin = envelope.copy(), np.full(900, -1)
    for frame, period in enumerate(periods):
        lags = np.arange(round(period / 2), min(round(2 * period), frame) + 1)
        if len(lags):
            options = score[frame - lags] - rhythm.TIGHTNESS * np.log(lags / period) ** 2
            if options.max() > 0:
                score[frame] += options.max()
                origin[frame] = frame - lags[options.argmax()]
    expected = [825 + score[825:].argmax()]
    while origin[expected[-1]] >= 0:
        expected.append(origin[expected[-1]])
    assert np.array_equal(rhythm._follow(envelope, periods), expected[::-1])


@given(curves())
@settings(max_examples=150, deadline=None)
def test_any_curve_gives_increasing_beats_from_start_to_end(given_curves):
    envelope, accents, rate = given_curves
    assert_covers(beat_grid(envelope, accents, rate), len(envelope) / rate)


@given(st.floats(0, 4000))
def test_uniform_grid_is_120_bpm_and_no_longer_than_it_must_be(duration):
    assert_uniform(uniform_grid(duration), duration)


def test_sharpened_has_unit_deviation_and_no_constant():
    envelope = np.random.default_rng(0).uniform(0, 1, 500)
    found = sharpened(100 * envelope + 7, 100.0)
    assert found.min() == 0
    assert found.std() == pytest.approx(1, abs=1e-4)
    assert found == pytest.approx(sharpened(envelope, 100.0), abs=1e-3)
    assert not sharpened(np.full(500, 3.0), 100.0).any()


@pytest.mark.parametrize(
    ("change", "onsets"),
    [
        ({5: 3}, [100, 101]),  # another band sets in
        ({20: 0}, []),  # the sound ends
        ({20: 0, 21: 3}, []),  # it slides to the next band
        ({20: 0, 22: 3}, [100, 101]),  # it leaps
    ],
)
def test_onsets_are_where_a_sound_sets_in(change, onsets):
    log_mel = np.zeros((200, 40), np.float32)
    log_mel[:, 20] = 3
    for band, level in change.items():
        log_mel[100:, band] = level
    assert np.flatnonzero(onset_envelope(log_mel, AUDIO_FRAME_RATE)).tolist() == onsets


def test_accents_are_where_the_sound_changes():
    log_mel = np.zeros((600, 40), np.float32)
    log_mel[:200, 10:20], log_mel[200:, 25:35] = 3, 3
    accents = accent_curve(log_mel, AUDIO_FRAME_RATE)
    assert abs(accents.argmax() - 200) <= 1
    assert accents.mean() == pytest.approx(0, abs=1e-4)
    assert not accent_curve(np.ones((50, 40), np.float32), AUDIO_FRAME_RATE).any()
