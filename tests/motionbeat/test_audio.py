import numpy as np
import pytest
import soundfile

from motionbeat.audio import AudioError, load_audio, resample


def sine(rate, seconds=2.0, frequency=440.0):
    return 0.5 * np.sin(2 * np.pi * frequency * np.arange(round(seconds * rate)) / rate)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "sound.wav"


def test_channels_are_averaged_block_by_block(path, monkeypatch):
    monkeypatch.setattr("motionbeat.audio._BLOCK_FRAMES", 1000)
    left = sine(8000)
    soundfile.write(path, np.stack([left, -0.5 * left], axis=1), 8000, subtype="FLOAT")
    waveform, rate = load_audio(path)
    assert (rate, waveform.shape, waveform.dtype) == (8000, left.shape, np.float32)
    np.testing.assert_allclose(waveform, 0.25 * left, atol=1e-6)


@pytest.mark.parametrize(
    ("suffix", "rate"), [("wav", 8000), ("flac", 96000), ("ogg", 44100), ("mp3", 22050)]
)
def test_any_format_and_rate_keeps_pitch_and_length(tmp_path, suffix, rate):
    path = tmp_path / f"sound.{suffix}"
    soundfile.write(path, sine(rate), rate)
    waveform = resample(*load_audio(path), 16000)
    assert waveform.dtype == np.float32
    # An MP3 is padded to whole frames where the decoder does not know how many samples it held.
    assert len(waveform) == pytest.approx(32000, abs=2000 if suffix == "mp3" else 1)
    spectrum = np.abs(np.fft.rfft(waveform * np.hanning(len(waveform))))
    assert spectrum.argmax() * 16000 / len(waveform) == pytest.approx(440, abs=1)
    assert np.abs(waveform[4000:-4000]).max() == pytest.approx(0.5, abs=0.05)


def test_downsampling_lets_nothing_fold_back():
    above = sine(44100, frequency=15000).astype(np.float32)
    assert np.abs(resample(above, 44100, 16000)[500:-500]).max() < 1e-3
    assert resample(above, 44100, 44100) is above


def spoilt():
    waveform = sine(8000)
    waveform[700] = np.nan
    return waveform


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "no such audio file"),
        (b"neither music nor noise", "unreadable"),
        (np.zeros(0), "no audio samples"),
        (spoilt(), "NaN or infinite"),
    ],
)
def test_what_cannot_be_used_is_refused_in_one_line(path, content, words):
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        soundfile.write(path, content, 8000, subtype="FLOAT")
    with pytest.raises(AudioError, match=rf"^{path}: [^\n]*{words}[^\n]*$"):
        load_audio(path)


@pytest.mark.parametrize("suffix", ["flac", "mp3", "wav", "ogg"])
def test_half_a_file_is_found_out_where_it_states_its_length(tmp_path, suffix):
    """What finds the others are checksums, and annotations that reach beyond the end."""
    path = tmp_path / f"sound.{suffix}"
    soundfile.write(path, np.random.default_rng(0).uniform(-0.5, 0.5, 80000), 16000)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    if suffix in ("flac", "mp3"):
        with pytest.raises(AudioError, match=rf"^{path}: "):
            load_audio(path)
    else:
        assert 0 < len(load_audio(path)[0]) < 60000


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize(("source", "target"), [(44100, 22050), (44100, 24000), (8000, 44100)])
def test_audio_resampled_while_it_is_decoded_equals_that_of_the_whole(
    path, monkeypatch, source, target, channels
):
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, (source + 123, 2))
    soundfile.write(path, noise, source, subtype="FLOAT")
    whole, _ = load_audio(path, channels)
    monkeypatch.setattr("motionbeat.audio._BLOCK_FRAMES", 1000)
    waveform, rate = load_audio(path, channels, target)
    assert rate == target
    assert np.array_equal(waveform, resample(whole, source, target))
