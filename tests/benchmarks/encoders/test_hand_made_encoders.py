import math
import zlib

import pytest
import torch

from motionbeat.benchmarks.encoders.logmel import LogMel
from motionbeat.benchmarks.encoders.mfcc_chroma import MfccChroma
from motionbeat.benchmarks.encoders.random import RandomNetwork
from motionbeat.spectrum import AmplitudeSpectrum


def tone(frequency: float, amplitude: float = 0.3, seconds: float = 2.0) -> torch.Tensor:
    time = torch.arange(round(seconds * 24_000), dtype=torch.float64) / 24_000
    return (amplitude * torch.sin(2 * math.pi * frequency * time)).float().unsqueeze(0)


def test_full_scale_sine_has_height_one():
    on_a_bin = 24_000 / 1024 * 40
    heights = AmplitudeSpectrum(1024, 480)(tone(on_a_bin, amplitude=1.0))[0, 50]
    assert heights.argmax() == 40
    assert heights.max() == pytest.approx(1.0, abs=1e-3)


def test_logmel_bands_rise_with_frequency():
    brightest = [LogMel()(tone(hertz))[0, 0, 50].argmax() for hertz in (100, 400, 1600, 6400)]
    assert brightest == sorted(set(brightest))


@pytest.mark.parametrize(
    ("hertz", "pitch_class"), [(261.63, 0), (329.63, 4), (440.0, 9), (880.0, 9), (1975.53, 11)]
)
def test_chroma_names_the_pitch_class(hertz, pitch_class):
    chroma = MfccChroma()(tone(hertz))[0, 0, 50, 40:]
    assert chroma.argmax() == pitch_class
    assert chroma.max() == 1.0


def test_mfcc_match_librosa():
    """A published implementation of the same transform, floor and scale aside."""
    librosa = pytest.importorskip("librosa")
    waveform = tone(523.25) + tone(3000.0, amplitude=0.05)
    power = (
        librosa.feature.melspectrogram(
            y=waveform[0].numpy(), sr=24_000, n_fft=1024, hop_length=480, n_mels=80, norm=None
        )
        / (1024 / 4) ** 2
    )
    bel = librosa.power_to_db(power, amin=1e-8, top_db=None) / 10
    expected = torch.from_numpy(librosa.feature.mfcc(S=bel, n_mfcc=20).T)
    torch.testing.assert_close(MfccChroma()(waveform)[0, 0, :, :20], expected, rtol=0, atol=0.01)


def test_slopes_follow_a_fading_tone():
    """Twenty decibels a second are 0.04 bel a frame in all 80 bands: sqrt(80) in the first MFCC."""
    seconds = torch.arange(48_000) / 24_000
    noise = torch.rand(1, 48_000, generator=torch.Generator().manual_seed(1)) - 0.5
    states = MfccChroma()(noise * 10**-seconds)[0, 0]
    assert states[10:90, 20].mean() == pytest.approx(-0.04 * math.sqrt(80), rel=0.05)


def test_random_weights_are_pinned_to_the_bit_whatever_the_global_seed():
    for seed in (0, 1234):
        torch.manual_seed(seed)
        before, checksum = torch.get_rng_state(), 0
        for weights in RandomNetwork().parameters():
            checksum = zlib.crc32(weights.numpy().tobytes(), checksum)
        assert checksum == 0x7EE2980B
        assert torch.equal(torch.get_rng_state(), before)


def test_every_random_block_changes_what_it_is_given():
    generator = torch.Generator().manual_seed(5)
    states = RandomNetwork()(torch.rand(1, 48_000, generator=generator) - 0.5)[0]
    spread = states.std(dim=(1, 2))
    assert (states.diff(dim=0).std(dim=(1, 2)) > 0.2 * spread[:-1]).all()
    assert (spread < 5).all()
