"""Clocks and beat-synchronous tokens, against numpy and against fine sampling."""

import numpy as np
import pytest
import torch

from motionbeat.rhythm import BeatGrid
from motionbeat.tokens import POSITIONS, Clock, beat_synchronous

RATE = 30.0


def grid(beats=9, metre=4, start=-0.3, period=0.5, pickup=0, seed=0):
    """Beats of uneven length that start anywhere in the bar."""
    lengths = period * np.random.default_rng(seed).uniform(0.8, 1.25, beats)
    times = start + np.concatenate([[0.0], lengths.cumsum()])
    return BeatGrid(times, (np.arange(beats) + pickup) % metre, metre)


def regular(beats, period, start=0.0, metre=4):
    return BeatGrid(start + period * np.arange(beats + 1), np.arange(beats) % metre, metre)


def tokens(frames, rate, *grids):
    """(B, beats * POSITIONS, width) of (T, width) frames for each grid."""
    frames = torch.as_tensor(np.asarray(frames), dtype=torch.float32)
    return beat_synchronous(frames.expand(len(grids), -1, -1), rate, Clock.of(grids)).numpy()


def noise(frames, width=3, seed=0):
    return np.random.default_rng(seed).standard_normal((frames, width)).astype(np.float32)


def held(frames, rate, seconds):
    """The frame that stands for each moment, 0 beyond the ends."""
    index = np.floor(seconds * rate + 0.5).astype(int)
    inside = (index >= 0) & (index < len(frames))
    return np.where(inside[:, None], frames[index.clip(0, len(frames) - 1)], 0.0)


@pytest.mark.parametrize(("rate", "period"), [(30.0, 0.5), (100.0, 0.9), (5.0, 0.4), (50.0, 0.28)])
def test_tokens_are_the_means_of_finely_sampled_frames(rate, period):
    one, frames, fine = grid(period=period), noise(round(3 * rate)), 2000
    edges = np.concatenate(
        [np.linspace(a, b, POSITIONS, endpoint=False)
         for a, b in zip(one.times, one.times[1:], strict=False)]
    )  # fmt: skip
    spans = np.diff(one.times).repeat(POSITIONS) / POSITIONS
    moments = edges[:, None] + (np.arange(fine) + 0.5) / fine * spans[:, None]
    means = held(frames, rate, moments.ravel()).reshape(*moments.shape, -1).mean(axis=1)
    assert tokens(frames, rate, one)[0] == pytest.approx(means, abs=0.01)


def test_positions_shorter_than_a_frame_share_it_and_none_is_lost():
    """Frames last a beat: twelve equal tokens for each. Half a beat later, six and six."""
    frames = np.array([[1.0], [5.0], [2.0]])
    whole = tokens(frames, 1.0, regular(3, 1.0, start=-0.5))[0, :, 0]
    assert whole == pytest.approx(np.repeat([1, 5, 2], POSITIONS), rel=1e-4)
    half = tokens(frames, 1.0, regular(3, 1.0))[0, :, 0]
    assert half == pytest.approx(np.repeat([1, 5, 5, 2, 2, 0], POSITIONS // 2), rel=1e-4, abs=1e-5)


def test_a_batch_equals_its_clips_and_padding_is_0():
    grids = [grid(9), grid(4, metre=3, start=0.1, seed=1), grid(13, period=0.2, seed=2)]
    together = tokens(noise(120), RATE, *grids)
    for one, found in zip(grids, together, strict=True):
        alone = tokens(noise(120), RATE, one)[0]
        assert found[: len(alone)] == pytest.approx(alone, abs=1e-5)
        assert not found[len(alone) :].any()


def test_clock_pads_to_the_longest():
    short, long = grid(4, metre=3, pickup=1), grid(7, seed=1)
    clock = Clock.of([short, long])
    assert clock.times[0, :5].numpy() == pytest.approx(short.times, abs=1e-6)
    assert clock.times[1].numpy() == pytest.approx(long.times, abs=1e-6)
    assert (clock.periods > 0).all()
    assert clock.positions.tolist() == [[1, 2, 0, 1, 0, 0, 0], [0, 1, 2, 3, 0, 1, 2]]
    assert clock.mask.tolist() == [[True] * 4 + [False] * 3, [True] * 7]
    assert clock.beats_per_bar.tolist() == [3, 4]


def both():
    """Two grids of different length, their clock, and moments before, within and after both."""
    grids = [grid(8, 3, pickup=2), grid(13, 4, start=-0.1, seed=3)]
    seconds = np.random.default_rng(0).uniform(-1, 8, (2, 200))
    return grids, Clock.of(grids), seconds


def true_beats(one, seconds):
    """np.interp, going on at the first and last period beyond the ends."""
    first, last = np.diff(one.times)[[0, -1]]
    count = len(one)
    times = np.concatenate([one.times[:1] - 20 * first, one.times, one.times[-1:] + 20 * last])
    return np.interp(seconds, times, np.array([-20, *range(count + 1), count + 20]))


def test_beat_is_interpolated_and_goes_on_at_the_ends():
    grids, clock, seconds = both()
    found = clock.beat(torch.from_numpy(seconds).float()).numpy()
    for one, moments, beat in zip(grids, seconds, found, strict=True):
        assert beat == pytest.approx(true_beats(one, moments), abs=1e-4)


@pytest.mark.parametrize("metre", [3, 4])
def test_phase_goes_once_round_each_bar(metre):
    """In a regular grid the bar lasts metre * 0.5 s, whatever beat the clip starts on."""
    seconds = np.linspace(-1, 7, 333)
    for pickup in range(metre):
        one = BeatGrid(0.5 * np.arange(13), (np.arange(12) + pickup) % metre, metre)
        found = Clock.of([one]).phase_at(torch.from_numpy(seconds)[None].float())[0].numpy()
        true = 2 * np.pi * (seconds / 0.5 + pickup) / metre
        assert np.abs(np.exp(1j * found) - np.exp(1j * true)).max() < 1e-4


def test_states_are_interpolated_between_the_middles_of_beats():
    grids, clock, seconds = both()
    states = np.random.default_rng(1).standard_normal((2, 13, 5))
    found = clock.interpolate(
        torch.from_numpy(states).float(), torch.from_numpy(seconds).float()
    ).numpy()
    for one, moments, state, result in zip(grids, seconds, states, found, strict=True):
        beats, middles = true_beats(one, moments), np.arange(len(one)) + 0.5
        true = [np.interp(beats, middles, channel) for channel in state[: len(one)].T]
        np.testing.assert_allclose(result.T, true, atol=1e-3)
