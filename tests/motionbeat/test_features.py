"""One time axis: frame ``i`` is centred at ``i / rate`` seconds, whatever the rate."""

from itertools import pairwise

import numpy as np
import pytest
import torch

from motionbeat.features import frames_in_segment, resample_frames, segment_means


def column(*values):
    return torch.tensor(values, dtype=torch.float32)[:, None]


def test_other_rates_by_hand():
    """From 4 Hz to 2 Hz a step spans half a frame, a frame and half a frame."""
    lower = resample_frames(column(1, 2, 4, 8, 16, 32), 4.0, 2.0)
    first = (1 + 0.5 * 2) / 1.5  # nothing is before the first frame's edge
    assert lower.flatten().tolist() == pytest.approx([first, 0.25 * 2 + 0.5 * 4 + 0.25 * 8, 18.0])
    higher = resample_frames(column(0, 4, 2), 2.0, 4.0)
    assert higher.flatten().tolist() == pytest.approx([0, 2, 4, 3, 2, 2])


@pytest.mark.parametrize(("rate", "target"), [(50.0, 10.0), (31.25, 10.0), (43.07, 30.0)])
def test_a_lower_rate_is_the_mean_of_the_step_function(rate, target):
    frames = np.random.default_rng(0).standard_normal(round(3 * rate))
    found = resample_frames(torch.from_numpy(frames).float()[:, None], rate, target).flatten()
    for step in (3, 7, 15):
        times = (step + np.linspace(-0.5, 0.5, 20_000)) / target
        mean = frames[np.floor(times * rate + 0.5).astype(int).clip(0, len(frames) - 1)].mean()
        assert found[step].item() == pytest.approx(mean, abs=1e-3)


@pytest.mark.parametrize(("rate", "target"), [(4.0, 10.0), (10.0, 30.0)])
def test_a_higher_rate_is_linear_interpolation(rate, target):
    frames = np.random.default_rng(0).standard_normal((20, 2, 3)).astype(np.float32)
    found = resample_frames(torch.from_numpy(frames), rate, target).numpy()
    moments, places = np.arange(len(found)) / target, np.arange(20) / rate
    for layer, feature in np.ndindex(2, 3):
        expected = np.interp(moments, places, frames[:, layer, feature])
        np.testing.assert_allclose(found[:, layer, feature], expected, atol=1e-5)


@pytest.mark.parametrize("rate", [7.0, 10.0, 50.0, 86.13])
@pytest.mark.parametrize("target", [10.0, 30.0])
def test_a_straight_line_stays_where_it_is(rate, target):
    """No rate moves anything in time: a ramp of seconds reads the seconds of each step."""
    ramp = torch.arange(round(8 * rate))[:, None] / rate
    found = resample_frames(ramp.float(), rate, target).flatten()
    seconds = torch.arange(len(found)) / target
    torch.testing.assert_close(found[5:-15], seconds[5:-15], atol=2e-3, rtol=0)
    assert resample_frames(ramp[:3], rate, 0.1).shape == (1, 1), "one step at least"


def test_segment_means_by_hand():
    found = segment_means(column(*range(10)), 1.0, 4.0)  # 10 frames are nearer to two segments
    assert found.flatten().tolist() == [2.0, 7.0]
    assert segment_means(column(1, 2, 6), 1.0, 10.0).flatten().tolist() == [3.0]


@pytest.mark.parametrize("count", [1, 99, 149, 151, 1234])
def test_every_frame_is_in_one_segment_of_about_the_same_length(count):
    frames = torch.rand(count, 2, 3, generator=torch.Generator().manual_seed(0))
    found = segment_means(frames, 10.0, 10.0)
    assert len(found) == max(1, round(count / frames_in_segment(10.0, 10.0)))
    edges = np.round(np.linspace(0, count, len(found) + 1)).astype(int)
    expected = [frames[a:b].mean(dim=0) for a, b in pairwise(edges)]
    torch.testing.assert_close(found, torch.stack(expected))
