import math
from itertools import groupby
from operator import itemgetter

import numpy as np
import pytest
import torch
from tests.toys import HOP, RATE, Tiny, card

from motionbeat.devices import CPU, BatchBudget, Device
from motionbeat.encoding import HalfPrecisionError, TrackError, encode, encode_batches


class Batched(Tiny):
    """Notes the shapes of its batches, and fails beyond so many samples."""

    def __init__(self, room=math.inf):
        super().__init__()
        self.room, self.shapes = room, []

    def forward(self, waveform):
        if waveform.numel() > self.room:
            raise torch.OutOfMemoryError
        self.shapes.append(tuple(waveform.shape))
        return super().forward(waveform)


class Centred(Batched):
    """The mean of a recording is taken off, its own samples alone where lengths are given."""

    card = card("centred", unequal_lengths=True)

    def forward(self, waveform, lengths=None):
        if lengths is None:
            lengths = torch.full((len(waveform),), waveform.shape[1])
        mask = torch.arange(waveform.shape[1]) < lengths[:, None]
        mean = (waveform * mask).sum(dim=1, keepdim=True) / lengths[:, None]
        return super().forward((waveform - mean) * mask)


class Whole(Batched):
    context = math.inf


class FakeGPU(Device):
    """A GPU whose copies are finished only when they are waited for."""

    is_gpu = True

    def __init__(self):
        super().__init__("cpu")
        self.events = []

    def download(self, states):
        self.events.append("begun")
        late = torch.full_like(states, torch.nan)

        def wait():
            self.events.append("awaited")
            return late.copy_(states)

        return wait


def recordings(*seconds):
    rng = np.random.default_rng(0)
    return [rng.uniform(-0.5, 0.5, round(one * RATE)).astype(np.float32) for one in seconds]


def together(encoder, waveforms, budget, half=False):
    """Features of each recording, which come in order; or why there are none."""
    found = []
    batches = encode_batches(encoder, [*waveforms], budget, half)
    for number, group in groupby(batches, itemgetter(0)):
        assert number == len(found)
        pieces = [piece for _, piece in group]
        fault = isinstance(pieces[-1], Exception)
        found.append(pieces[-1] if fault else np.concatenate(pieces))
    return found


LENGTHS = (4.0, 150.0, 4.0, 0.05, 4.0, 3.5, 61.0, 150.0)


@pytest.mark.parametrize("kind", [Batched, Centred, Whole])
@pytest.mark.parametrize("device", [CPU, FakeGPU()])
@pytest.mark.parametrize("seconds", [0.0, 9.0, 500.0])
def test_features_are_the_same_in_any_batch(kind, device, seconds):
    waveforms, encoder = recordings(*LENGTHS), kind()
    found = together(encoder, waveforms, BatchBudget(device, seconds))
    for waveform, features in zip(waveforms, found, strict=True):
        expected = encode(kind(), waveform)
        assert len(features) == len(waveform) // HOP + 1
        if seconds == 0:  # on a processor by default
            assert np.array_equal(features, expected)
        np.testing.assert_allclose(features, expected, rtol=1e-4, atol=1e-4)
    rows = [shape[0] for shape in encoder.shapes]
    assert max(rows) == 1 if seconds == 0 else max(rows) > 1
    assert all(rows == 1 or rows * size <= seconds * RATE for rows, size in encoder.shapes)


def test_recordings_of_unequal_lengths_share_a_batch_where_the_card_says_so():
    waveforms = recordings(4.0, 3.5, 3.8)
    shapes = {}
    for kind in (Batched, Centred):
        encoder = kind()
        together(encoder, waveforms, BatchBudget(CPU, 60))
        shapes[kind] = encoder.shapes
    assert shapes[Centred] == [(3, 4 * RATE)]
    assert [shape[0] for shape in shapes[Batched]] == [1, 1, 1]


def test_a_batch_that_does_not_fit_is_encoded_in_parts():
    waveforms = recordings(*[4.0] * 7)
    encoder = Batched(room=2.5 * 4.0 * RATE)
    found = together(encoder, waveforms, BatchBudget(FakeGPU(), 100))
    assert max(shape[0] for shape in encoder.shapes) <= 2
    for waveform, features in zip(waveforms, found, strict=True):
        np.testing.assert_allclose(features, encode(Tiny(), waveform), rtol=1e-4, atol=1e-4)


def test_a_gpu_encodes_the_next_batch_before_a_copy_is_awaited():
    device = FakeGPU()
    together(Batched(), recordings(*[4.0] * 3), BatchBudget(device, 4.0))
    assert device.events == ["begun", "begun", "awaited", "begun", "awaited", "awaited"]


def test_half_precision_is_what_rounding_gives():
    [waveform] = recordings(70.0)
    [halves] = together(Tiny(), [waveform], BatchBudget(CPU), half=True)
    assert halves.dtype == np.float16
    assert np.array_equal(halves, encode(Tiny(), waveform).astype(np.float16))


class Loud(Tiny):
    """Features of the second and third recordings in a list are beyond half precision, or none."""

    def forward(self, waveform):
        peak = waveform.abs().amax()
        return super().forward(waveform) * (1e6 if peak == 1 else math.nan if peak == 2 else 1)


def test_a_recording_that_fails_says_so_and_leaves_the_others():
    waveforms = recordings(70.0, 70.0, 70.0, 5.0)
    waveforms[1][-1] = 1.0
    waveforms[2][0] = 2.0
    kinds = [type(one) for one in together(Loud(), waveforms, BatchBudget(CPU), half=True)]
    assert kinds == [np.ndarray, HalfPrecisionError, TrackError, np.ndarray]
    kinds = [type(one) for one in together(Loud(), waveforms, BatchBudget(CPU))]
    assert kinds == [np.ndarray, np.ndarray, TrackError, np.ndarray]
