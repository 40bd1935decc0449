"""Long files are encoded piece by piece, and nobody can tell from the features."""

import math
import tracemalloc

import numpy as np
import pytest
import torch

from benchmarks import store
from benchmarks.encoders.beatgrid import BeatGridEncoder
from benchmarks.encoders.logmel import LogMel
from benchmarks.registry import ENCODERS
from benchmarks.store import encode
from motionbeat.model import MotionBeatEncoder

NAMES = ["logmel", "mfcc_chroma", "random", "musicnn", "beatnet", "basic-pitch", "fcn-mtat"]
NAMES += ["crnn-msd", "musicnn-jamendo"]


def noise(seconds, rate):
    """Noise that grows louder, so that statistics of a piece would show."""
    samples = round(seconds * rate)
    loud = np.random.default_rng(3).uniform(-0.5, 0.5, samples) * np.linspace(0.01, 1, samples)
    return loud.astype(np.float32)


def whole(encoder, waveform):
    with torch.inference_mode():
        return encoder(torch.from_numpy(waveform)[None])[0].movedim(1, 0).numpy()


def test_twenty_minutes_equal_the_whole_in_little_memory(monkeypatch):
    encoder = LogMel()
    waveform = noise(1200, encoder.card.sample_rate)
    longest = []
    forward = LogMel.forward

    def listening(self, piece):
        longest.append(piece.shape[1])
        return forward(self, piece)

    with monkeypatch.context() as patch:
        patch.setattr(LogMel, "forward", listening)
        tracemalloc.start()
        features = encode(encoder, waveform)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert len(longest) == 20
    assert max(longest) <= (60 + 2 * 0.06) * encoder.card.sample_rate + 1
    assert peak < 3 * features.nbytes  # the pieces and their concatenation, held by numpy
    np.testing.assert_allclose(features, whole(encoder, waveform), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_pieces_equal_the_whole(name, monkeypatch):
    """Pieces of about eight seconds with the declared context, across all seams.

    A piece is a whole number of Basic Pitch's windows, as the store's pieces of a minute are.
    """
    kind = ENCODERS.get(name)
    if (reason := kind.unavailable()) is not None:
        pytest.skip(reason)
    encoder, rate = kind(), kind.card.frame_rate
    seconds = 4 * 136 * 256 / 22_050 if name == "basic-pitch" else 8.0
    monkeypatch.setattr(store, "CHUNK_SECONDS", seconds - 0.5 / rate)
    waveform = noise(max(30, encoder.context + 25), encoder.card.sample_rate)
    pieces = encode(encoder, waveform)
    assert len(pieces) > 3 * math.floor(seconds * rate)
    np.testing.assert_allclose(pieces, whole(encoder, waveform), rtol=1e-3, atol=2e-3)


def test_a_minute_is_a_whole_number_of_windows():
    """What lets the store's pieces see Basic Pitch's windows where the whole file has them."""
    kind = ENCODERS.get("basic-pitch")
    assert math.ceil(store.CHUNK_SECONDS * kind.card.frame_rate) % 136 == 0
    assert math.ceil(kind.context * kind.card.frame_rate) == 136


def test_others_lay_one_grid_over_a_whole_piece():
    """The encoders not compared here are those whose features are relative to the beats heard."""
    left_out = {
        name
        for name, kind in ENCODERS.classes.items()
        if issubclass(kind, BeatGridEncoder | MotionBeatEncoder)
    }
    assert left_out == {"beatgrid", "motionbeat-random", "motionbeat-small"}
