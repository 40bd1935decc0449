"""Long files are encoded piece by piece, and nobody can tell from the features."""

import math
import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from motionbeat import encoding, model, rhythm, spectrum
from motionbeat.benchmarks.encoders.beatgrid import BeatGridEncoder
from motionbeat.benchmarks.registry import ENCODERS
from motionbeat.model import MotionBeat, MotionBeatEncoder


def noise(seconds, rate):
    """Noise that grows louder, so that statistics of a piece would show."""
    samples = round(seconds * rate)
    loud = np.random.default_rng(3).uniform(-0.5, 0.5, samples) * np.linspace(0.01, 1, samples)
    return loud.astype(np.float32)


GROWTH = """
import resource, sys, numpy, torch
from motionbeat.benchmarks.registry import ENCODERS
from motionbeat.encoding import encode

torch.set_num_threads(1)
encoder = ENCODERS.get(sys.argv[1])()
rate = encoder.card.sample_rate
audio = numpy.random.default_rng(0).random(int(sys.argv[2]) * rate, numpy.float32) - 0.5
short = encode(encoder, audio[: 180 * rate]).nbytes
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
grown = encode(encoder, audio).nbytes - short
print(grown, 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak))
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


def test_a_minute_is_a_whole_number_of_windows():
    """What lets the store's pieces see Basic Pitch's windows where the whole file has them."""
    kind = ENCODERS.get("basic-pitch")
    assert math.ceil(encoding.CHUNK_SECONDS * kind.card.frame_rate) % 136 == 0
    assert math.ceil(kind.context * kind.card.frame_rate) == 136


def clicks(seconds):
    """Clicks of varying tempo in noise that grows louder."""
    waveform = 0.02 * noise(seconds, model.SAMPLE_RATE)
    periods = 0.5 + 0.1 * np.sin(np.arange(2 * seconds) / 9)
    for time in np.cumsum(periods)[np.cumsum(periods) < seconds - 0.1]:
        start = round(time * model.SAMPLE_RATE)
        waveform[start : start + 1000] += 0.5 * np.exp(-np.arange(1000) / 200)
    return waveform.astype(np.float32)


def test_what_needs_the_whole_recording():
    endless = {name for name, kind in ENCODERS.classes.items() if math.isinf(kind.context)}
    motionbeat = {f"motionbeat-{name}" for name in ("random", "small", "embodied", "live")}
    assert endless == motionbeat | {"beatgrid"}


def test_motionbeat_streams_what_it_gives_at_once(monkeypatch):
    torch.manual_seed(0)
    encoder = MotionBeatEncoder(MotionBeat("tiny"))
    waveform = torch.from_numpy(clicks(100))[None]
    at_once = encoder(waveform)[0]
    monkeypatch.setattr(model, "_CHUNK", 48)
    parts = list(encoder.stream(waveform))
    assert len(parts) > 2
    torch.testing.assert_close(torch.cat(parts, dim=1), at_once, rtol=1e-4, atol=1e-4)


def test_spectrum_and_beats_in_blocks_are_those_at_once(monkeypatch):
    encoder, waveform = BeatGridEncoder(), torch.from_numpy(clicks(40))[None]
    at_once = encoder(waveform)
    monkeypatch.setattr(spectrum, "_BLOCK", 301)
    monkeypatch.setattr(rhythm, "_BLOCK", 257)
    monkeypatch.setattr(rhythm, "_WINDOWS", 7)
    torch.testing.assert_close(encoder(waveform), at_once, rtol=1e-5, atol=1e-5)
