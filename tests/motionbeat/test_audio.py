import numpy as np
import pytest
import soundfile

from motionbeat.audio import AudioError, load_audio, resample


def sine(rate, seconds=2.0, frequency=440.0):
    return 0.5 * np.sin(2 * np.pi * frequency * np.arange(round(seconds * rate)) / rate)


def strongest_frequency(waveform, rate):
    spectrum = np.abs(np.fft.rfft(waveform * np.hanning(len(waveform))))
    return spectrum.argmax() * rate / len(waveform)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "sound.wav"


def test_channels_are_averaged(path):
    left = sine(8000)
    soundfile.write(path, np.stack([left, -0.5 * left], axis=1), 8000, subtype="FLOAT")
    waveform, rate = load_audio(path)
    assert (rate, waveform.shape, waveform.dtype) == (8000, left.shape, np.float32)
    np.testing.assert_allclose(waveform, 0.25 * left, atol=1e-6)


def test_long_files_are_read_whole(path, monkeypatch):
    monkeypatch.setattr("motionbeat.audio._BLOCK_FRAMES", 1000)
    soundfile.write(path, sine(8000), 8000, subtype="FLOAT")
    np.testing.assert_allclose(load_audio(path)[0], sine(8000), atol=1e-6)


@pytest.mark.parametrize(
    ("suffix", "rate"),
    [("wav", 8000), ("wav", 96000), ("flac", 44100), ("ogg", 44100), ("mp3", 22050)],
)
def test_any_format_and_rate_keeps_pitch_and_length(tmp_path, suffix, rate):
    path = tmp_path / f"sound.{suffix}"
    soundfile.write(path, sine(rate), rate)
    waveform = resample(*load_audio(path), 16000)
    assert waveform.dtype == np.float32
    # An MP3 is padded to whole frames where the decoder does not know how many samples it held.
    assert len(waveform) == pytest.approx(32000, abs=2000 if suffix == "mp3" else 1)
    assert strongest_frequency(waveform, 16000) == pytest.approx(440, abs=1)
    assert np.abs(waveform[4000:-4000]).max() == pytest.approx(0.5, abs=0.05)


def test_downsampling_lets_nothing_fold_back():
    above = sine(44100, frequency=15000)
    assert np.abs(resample(above.astype(np.float32), 44100, 16000)[500:-500]).max() < 1e-3


def test_same_rate_is_left_alone():
    waveform = sine(8000).astype(np.float32)
    assert resample(waveform, 8000, 8000) is waveform


def test_silence_is_audio(path):
    soundfile.write(path, np.zeros(800), 8000)
    assert not load_audio(path)[0].any()


def refused(path):
    with pytest.raises(AudioError) as caught:
        load_audio(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message


def test_missing(path):
    assert "no such audio file" in refused(path)


@pytest.mark.parametrize("content", [b"", b"neither music nor noise"])
def test_garbage(path, content):
    path.write_bytes(content)
    assert "unreadable" in refused(path)


def test_no_samples(path):
    soundfile.write(path, np.zeros(0), 8000)
    assert "no audio samples" in refused(path)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_samples_that_are_no_numbers(path, bad):
    waveform = sine(8000)
    waveform[700] = bad
    soundfile.write(path, waveform, 8000, subtype="FLOAT")
    assert "NaN or infinite" in refused(path)


def half_a_file(path):
    soundfile.write(path, np.random.default_rng(0).uniform(-0.5, 0.5, 80000), 16000)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    return path


@pytest.mark.parametrize("suffix", ["flac", "mp3"])
def test_half_a_file_that_states_its_length(tmp_path, suffix):
    refused(half_a_file(tmp_path / f"sound.{suffix}"))


@pytest.mark.parametrize("suffix", ["wav", "ogg"])
def test_half_a_file_that_does_not_is_shorter(tmp_path, suffix):
    """What finds these are checksums, and annotations that reach beyond the end."""
    waveform, _ = load_audio(half_a_file(tmp_path / f"sound.{suffix}"))
    assert 0 < len(waveform) < 60000
