import numpy as np
import pytest
import soundfile
from scipy.signal import correlate

from motionbeat.data_modules.rendered.synthesis.render import (
    SAMPLE_RATE,
    Note,
    Part,
    normalise,
    render,
    write_audio,
)

TOLERANCE = 0.003  # seconds

PIANO = (0, False, 60)
BASS = (33, False, 40)
VIOLIN = (40, False, 67)
KICK = (0, True, 36)
HI_HAT_808 = (25, True, 42)


def hit(sound, start, length=0.3):
    program, drums, pitch = sound
    role = "drums" if drums else "lead"
    return Part(role, "any", program, (Note(start, start + length, pitch, 90),))


def shift(late, early):
    """Seconds by which one waveform lags behind another."""
    correlation = correlate(late.astype(np.float64), early.astype(np.float64), method="fft")
    return (int(np.argmax(correlation)) - (len(early) - 1)) / SAMPLE_RATE


@pytest.mark.parametrize("sound", [PIANO, BASS, VIOLIN, KICK, HI_HAT_808])
@pytest.mark.parametrize("start", [0.1, 0.123456789, 0.2500113])
def test_onset_falls_where_the_note_starts(sound, start):
    at_zero = render([hit(sound, 0.0)], 0.5)
    assert abs(shift(render([hit(sound, start)], 0.8), at_zero) - start) < TOLERANCE


def test_onset_does_not_depend_on_other_notes():
    crowd = tuple(Note(0.017 * i, 0.017 * i + 0.05, 50 + i, 80) for i in range(20))
    alone, together = hit(KICK, 0.2), Part("lead", "piano", 0, crowd)
    difference = render([together, alone], 0.6) - render([together], 0.6)
    np.testing.assert_allclose(difference, render([alone], 0.6), atol=1e-6)


def test_length_gain_and_silence():
    waveform = render([hit(PIANO, 0.0)], 0.25)
    assert waveform.shape == (round(0.25 * SAMPLE_RATE),)
    assert waveform.dtype == np.float32
    quiet = render([Part("lead", "piano", 0, hit(PIANO, 0.0).notes, gain_db=-20.0)], 0.25)
    np.testing.assert_allclose(quiet, waveform / 10, atol=1e-6)
    assert not render([], 0.1).any()
    assert not render([hit(PIANO, 0.2)], 0.1).any()


def test_a_repeated_note_is_not_ended_by_the_release_of_the_first():
    twice = (Note(0.0, 0.2, 74, 90), Note(0.2, 0.6, 74, 90))
    waveform = render([Part("lead", "flute", 73, twice)], 0.6)
    assert np.abs(waveform[int(0.4 * SAMPLE_RATE) :]).max() > 0.01


def test_audio_file_is_whole_sixteen_bit_and_byte_identical(tmp_path):
    waveform = normalise(render([hit(PIANO, 0.0)], 0.3), peak=0.5)
    for name in ("a.flac", "b.flac"):
        write_audio(tmp_path / "new" / name, waveform)
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["a.flac", "b.flac"]
    first, second = ((tmp_path / "new" / name).read_bytes() for name in ("a.flac", "b.flac"))
    assert first == second
    read, rate = soundfile.read(tmp_path / "new" / "a.flac", dtype="float32")
    assert rate == SAMPLE_RATE
    np.testing.assert_allclose(read, waveform, atol=1 / 32_000)
