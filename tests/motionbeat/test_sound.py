import math

import pytest
import torch

from motionbeat.sound import SoundStream
from motionbeat.spectrum import AUDIO_FRAME_RATE, BANDS, HOP, SAMPLE_RATE, LogMelSpectrum, regain


@pytest.fixture(scope="module")
def stream():
    torch.manual_seed(0)
    return SoundStream(24).eval().requires_grad_(False)


@pytest.mark.parametrize("frames", [1, 15, 16, 17, 1000])
def test_a_frame_for_every_sixteen_of_the_spectrum(stream, frames):
    assert stream(torch.rand(2, frames, BANDS)).shape == (2, math.ceil(frames / 16), 24)


def test_a_recording_in_blocks_has_the_features_of_the_whole(stream):
    log_mel = torch.rand(1, 16 * 1100 + 5, BANDS)  # more than two blocks
    torch.testing.assert_close(stream.stream(log_mel), stream(log_mel))


def test_features_stand_at_the_time_of_what_is_heard(stream):
    """A click moves the features around its time, as much before as after."""
    for time in (2.0, 3.21):
        log_mel = torch.zeros(1, 600, BANDS)
        log_mel[:, round(time * AUDIO_FRAME_RATE)] = 3.0
        change = (stream(log_mel) - stream(torch.zeros_like(log_mel))).abs()
        seconds = torch.arange(0, 5, 0.01, dtype=torch.float64)[None]
        moved = stream.interpolate(change, seconds)[0].sum(dim=-1)
        centre = (moved * seconds[0]).sum() / moved.sum()
        assert centre.item() == pytest.approx(time, abs=0.05)


def test_the_average_spectrum_is_heard(stream):
    """Which the beat tokens leave out."""
    torch.manual_seed(1)
    log_mel = torch.rand(1, 320, BANDS)
    louder = stream(log_mel + 1) - stream(log_mel)
    assert louder.abs().mean() > 0.05 * stream(log_mel).std()


def test_gains_are_those_of_the_sound_itself():
    torch.manual_seed(2)
    waveform = 0.1 * torch.randn(1, SAMPLE_RATE)
    spectrum = LogMelSpectrum(SAMPLE_RATE, HOP, BANDS)
    expected = spectrum(waveform * 10 ** (6 / 20))
    torch.testing.assert_close(regain(spectrum(waveform), torch.full((BANDS,), 6.0)), expected)
