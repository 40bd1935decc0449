"""Long files are encoded piece by piece, and nobody can tell from the features."""

import math
import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from motionbeat import encoding
from motionbeat.benchmarks.encoders.logmel import LogMel
from motionbeat.benchmarks.registry import ENCODERS
from motionbeat.encoding import encode

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


def test_twenty_minutes_equal_the_whole(monkeypatch):
    encoder = LogMel()
    waveform = noise(1200, encoder.card.sample_rate)
    longest = []
    forward = LogMel.forward

    def listening(self, piece):
        longest.append(piece.shape[1])
        return forward(self, piece)

    with monkeypatch.context() as patch:
        patch.setattr(LogMel, "forward", listening)
        features = encode(encoder, waveform)
    assert len(longest) == 20
    assert max(longest) <= (60 + 2 * 0.06) * encoder.card.sample_rate + 1
    np.testing.assert_allclose(features, whole(encoder, waveform), rtol=1e-4, atol=1e-4)


GROWTH = """
import sys, numpy, torch
from motionbeat.benchmarks.check_encoder import peak_memory
from motionbeat.encoding import encode
from motionbeat.benchmarks.registry import ENCODERS

torch.set_num_threads(1)
encoder = ENCODERS.get(sys.argv[1])()
rate = encoder.card.sample_rate
audio = numpy.random.default_rng(0).random(int(sys.argv[2]) * rate, numpy.float32) - 0.5
short = encode(encoder, audio[: 180 * rate]).nbytes
peak = peak_memory()
print(encode(encoder, audio).nbytes - short, peak_memory() - peak)
"""


@pytest.mark.parametrize(("name", "seconds"), [("logmel", 1200), ("beatnet", 600)])
def test_a_longer_file_takes_more_memory_for_its_features_alone(name, seconds):
    """Than one of three minutes, whose middle piece is whole; of a process that does nothing else.

    The audio lies in its memory before.
    """
    if (reason := ENCODERS.get(name).unavailable()) is not None:
        pytest.skip(reason)
    run = subprocess.run(
        [sys.executable, "-c", GROWTH, name, str(seconds)],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"MALLOC_MMAP_THRESHOLD_": "1000000"},  # freed memory goes back
    )
    features, grown = map(float, run.stdout.split())
    assert grown < 2 * features + 30e6  # the pieces and their concatenation


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
    monkeypatch.setattr(encoding, "CHUNK_SECONDS", seconds - 0.5 / rate)
    waveform = noise(max(30, encoder.context + 25), encoder.card.sample_rate)
    pieces = encode(encoder, waveform)
    assert len(pieces) > 3 * math.floor(seconds * rate)
    np.testing.assert_allclose(pieces, whole(encoder, waveform), rtol=1e-3, atol=2e-3)


def test_a_minute_is_a_whole_number_of_windows():
    """What lets the pieces see Basic Pitch's windows where the whole file has them."""
    kind = ENCODERS.get("basic-pitch")
    assert math.ceil(encoding.CHUNK_SECONDS * kind.card.frame_rate) % 136 == 0
    assert math.ceil(kind.context * kind.card.frame_rate) == 136
