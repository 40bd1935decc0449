import numpy as np
import pytest
from tests.clicks import click_track

from motionbeat.tasks.decoders import decode_dbn, interval_tempo, peaks, periodicity, pick_peaks
from motionbeat.tasks.madmom import downbeat_activations, madmom

RATE = 50.0


def pulses(times, height=1.0, seconds=30.0, floor=0.0):
    activation = np.full(int(seconds * RATE), floor)
    activation[np.round(np.asarray(times) * RATE).astype(int)] = height
    return activation


@pytest.mark.parametrize(
    ("frames", "values", "found"),
    [
        ([20, 21, 22, 23], 0.8, [20]),
        ([20, 23, 30], [0.8, 0.9, 0.7], [23, 30]),
        ([0, 49], 1.0, [0, 49]),
    ],
    ids=["a plateau", "two near maxima", "both ends"],
)
def test_peaks_by_hand(frames, values, found):
    activation = np.zeros(50)
    activation[frames] = values
    times, heights = peaks(activation, RATE)
    assert times[heights > 0.5].tolist() == [frame / RATE for frame in found]


def test_thresholds_are_per_kind_and_must_be_exceeded():
    beats = pulses([1], 0.5) + pulses([2], 0.6)
    downbeats = pulses([1], 0.6) + pulses([2], 0.7)
    estimate = pick_peaks(np.stack([beats, downbeats], axis=1), RATE, (0.5, 0.6))
    assert estimate.beats.tolist() == [2]
    assert estimate.downbeats.tolist() == [2]


@pytest.mark.parametrize(
    ("beats", "downbeats", "found"), [([1, 2, 3], [1.1, 2.8, 3.1], [1, 3]), ([], [1.1], [1.1])]
)
def test_downbeats_move_to_the_nearest_beat_if_there_is_one(beats, downbeats, found):
    activations = np.stack([pulses(beats), pulses(downbeats)], axis=1)
    assert pick_peaks(activations, RATE, (0.5, 0.5)).downbeats.tolist() == found


@pytest.mark.parametrize("bpm", [55, 72.3, 120, 133.7, 165])
def test_tempo_of_pulses_within_1_percent(bpm):
    times = np.arange(0.3, 29.5, 60 / bpm)
    assert periodicity(pulses(times), RATE) == pytest.approx(bpm, rel=0.01)


@pytest.mark.parametrize("frames", [1, 3, 500])
def test_what_never_changes_has_no_tempo(frames):
    assert np.isnan(periodicity(np.full(frames, 0.3), RATE))


def test_interval_tempo_is_the_median():
    assert interval_tempo(np.array([0.0, 0.5, 1.0, 3.0])) == 120
    assert np.isnan(interval_tempo(np.array([1.0])))


def dbn_inputs(rng, rate, frames):
    """Constants, noise, and noisy beats of varying tempo in bars of 3, 4 and 5."""
    yield from (np.full((frames, 2), value) for value in (0.0, 0.05, 0.3, 1.0))
    yield rng.uniform(0, 1, (frames, 2))
    yield rng.uniform(0, 1, (frames, 2)) ** 8
    for beats_per_bar in (3, 4, 5):
        periods = 60 / rng.uniform(60, 200) * rng.normal(1, 0.03, frames)
        beats = np.round(np.cumsum(periods) * rate).astype(int)
        beats = beats[beats < frames]
        activations = rng.uniform(0.0, 0.1, (frames, 2))
        activations[beats, 0] = rng.uniform(0.3, 1, len(beats))
        activations[beats[::beats_per_bar], 1] = rng.uniform(0.3, 1, len(beats[::beats_per_bar]))
        yield activations


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("frames", [1, 15, 1500])
@pytest.mark.parametrize("rate", [31.25, 50.0, 100.0])
def test_dbn_agrees_with_madmom(rate, frames):
    tracker = madmom("features.downbeats").DBNDownBeatTrackingProcessor(
        beats_per_bar=[3, 4], min_bpm=55.0, max_bpm=215.0, transition_lambda=100, fps=rate
    )
    for activations in dbn_inputs(np.random.default_rng(frames), rate, frames):
        beat, downbeat = np.clip(activations, 1e-5, 1 - 2e-5).T
        split = np.stack([np.maximum(beat - downbeat, 1e-5), downbeat], axis=1)
        times, positions = np.reshape(tracker(split), (-1, 2)).T
        estimate = decode_dbn(activations, rate)
        assert np.array_equal(estimate.beats, times)
        assert np.array_equal(estimate.downbeats, times[positions == 1])


def test_compiled_recurrent_layers_agree_with_madmoms():
    times = np.arange(0.5, 6, 0.5)
    sound = click_track(times, np.arange(len(times)) % 4 == 0, 6.0, 44_100)
    signal = madmom("audio.signal").Signal(sound, sample_rate=44_100, num_channels=1)
    expected = madmom("features.downbeats").RNNDownBeatProcessor()(signal)
    assert expected.max() > 0.5
    np.testing.assert_allclose(downbeat_activations(signal), expected, atol=1e-4)
