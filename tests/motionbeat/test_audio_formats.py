"""Containers, codecs, headers and tags, with ffmpeg as the reference for length and positions."""

import struct
import subprocess

import imageio_ffmpeg
import numpy as np
import pytest
import soundfile

from motionbeat.audio import AudioError, audio_duration, load_audio, resample

CLICKS = [0.5, 1.25, 3.0]
SECONDS = 4.0

FORMATS = {
    "wav.wav": "",
    "pipe.wav": "pipe",
    "alaw.wav": "-c:a pcm_alaw",
    "wave64.w64": "",
    "aiff.aiff": "",
    "flac.flac": "",
    "pipe.flac": "pipe",
    "cbr.mp3": "-b:a 128k",
    "cbr_no_header.mp3": "-b:a 128k -write_xing 0",
    "vbr.mp3": "-q:a 4",
    "vbr_no_header.mp3": "-q:a 4 -write_xing 0",
    "no_tag.mp3": "-b:a 128k -write_xing 0 -id3v2_version 0",
    "tag.mp3": "-b:a 128k -metadata title=Duration:_99:00:00.00 -write_id3v1 1",
    "vorbis.ogg": "-c:a libvorbis",
    "flac.ogg": "-c:a flac",
    "opus.opus": "-c:a libopus -ar 48000",
    "aac.m4a": "-c:a aac",
    "alac.m4a": "-c:a alac",
    "raw.aac": "-c:a aac",
    "matroska.mka": "-c:a libvorbis",
    "wma.wma": "-c:a wmav2",
}


def ffmpeg(*arguments, **options):
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True, **options).stdout


def clicks(rate, channels):
    """Short bursts of a tone above a soft one; lossy codecs keep them in place."""
    time = np.arange(round(SECONDS * rate)) / rate
    wave = 0.001 * np.sin(2 * np.pi * 330 * time)
    for click in CLICKS:
        wave += 0.5 * np.sin(2 * np.pi * 1000 * time) * (np.abs(time - click - 0.01) < 0.01)
    return np.stack([wave] * channels, axis=1)


def onsets(waveform, rate):
    loud = np.flatnonzero(np.abs(waveform) > 0.1) / rate
    return loud[np.diff(loud, prepend=-1) > 0.1]


@pytest.fixture
def made(tmp_path):
    def make(name, rate=44_100, channels=2):
        source, path = tmp_path / "source.wav", tmp_path / name
        soundfile.write(source, clicks(rate, channels), rate)
        options = FORMATS[name].split()
        if options == ["pipe"]:
            path.write_bytes(ffmpeg("-i", source, "-f", path.suffix[1:], "pipe:1"))
        else:
            ffmpeg("-i", source, *options, path)
        return path

    return make


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize(("rate", "channels"), [(44_100, 2), (22_050, 1), (48_000, 1)])
def test_all_of_a_file_is_read_at_its_place(made, name, rate, channels):
    path = made(name, rate, channels)
    waveform, found = load_audio(path)
    reference = np.frombuffer(ffmpeg("-i", path, "-f", "f32le", "-ac", 1, "-ar", found, "-"), "<f4")
    assert found == (48_000 if "opus" in name else rate)
    assert len(waveform) == pytest.approx(len(reference), abs=0.003 * found)
    assert len(waveform) / found == pytest.approx(SECONDS, abs=0.1)
    assert audio_duration(path) == pytest.approx(len(waveform) / found, abs=0.05)
    np.testing.assert_allclose(onsets(waveform, found), onsets(reference, found), atol=1e-3)
    np.testing.assert_allclose(onsets(waveform, found), CLICKS, atol=0.06)


@pytest.mark.parametrize("name", ["cbr.mp3", "cbr_no_header.mp3", "vorbis.ogg", "opus.opus"])
def test_files_joined_end_to_end_are_read_to_the_end(made, name):
    path = made(name)
    path.write_bytes(2 * path.read_bytes())
    waveform, rate = load_audio(path)
    assert len(waveform) / rate == pytest.approx(2 * SECONDS, abs=0.1)
    assert audio_duration(path) == pytest.approx(2 * SECONDS, abs=0.1)
    expected = [*CLICKS, *(SECONDS + click for click in CLICKS)]
    np.testing.assert_allclose(onsets(waveform, rate), expected, atol=0.08)


def test_a_file_named_raw_is_known_by_its_content(made, tmp_path):
    path = made("wav.wav").rename(tmp_path / "wave.raw")
    assert len(load_audio(path)[0]) == SECONDS * 44_100


@pytest.mark.parametrize("rate", [1, 7, 999, 1_000_000_000])
def test_impossible_rates_are_refused(tmp_path, rate):
    path = tmp_path / "wave.wav"
    soundfile.write(path, np.zeros(100), 44_100)
    content = bytearray(path.read_bytes())
    content[24:28] = rate.to_bytes(4, "little")
    path.write_bytes(content)
    for read in (load_audio, audio_duration):
        with pytest.raises(AudioError, match=f"sample rate of {rate} Hz"):
            read(path)


def test_audio_of_which_nothing_is_left_is_refused():
    with pytest.raises(AudioError, match="leave none at 8000 Hz"):
        resample(np.zeros(10, np.float32), 768_000, 8000)


@pytest.mark.parametrize("suffix", ["mp3", "m3u8", "wav", "raw"])
def test_a_playlist_opens_no_other_file(made, tmp_path, suffix):
    playlist = tmp_path / f"list.{suffix}"
    playlist.write_text(f"#EXTM3U\n#EXTINF:4,\nfile://{made('aac.m4a')}\n#EXT-X-ENDLIST\n")
    with pytest.raises(AudioError, match="unreadable audio"):
        load_audio(playlist)


def test_ogg_whose_last_page_counts_samples_that_it_lacks_is_whole(tmp_path):
    """So some encoders write it; libsndfile then promises more samples than it reads."""
    path = tmp_path / "a.ogg"
    samples = 5 * 44_100  # of several pages
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, samples)
    soundfile.write(path, noise, 44_100)
    content = bytearray(path.read_bytes())
    page = content.rfind(b"OggS")
    content[page + 6 : page + 14] = struct.pack("<q", samples + 1105)
    content[page + 22 : page + 26] = bytes(4)
    checksum = 0  # RFC 3533, section 6
    for byte in content[page:]:
        checksum ^= byte << 24
        for _ in range(8):
            checksum = (checksum << 1) ^ (0x104C11DB7 if checksum >> 31 else 0)
    content[page + 22 : page + 26] = struct.pack("<I", checksum)
    path.write_bytes(content)
    promised = soundfile.info(path).frames
    waveform, rate = load_audio(path)
    assert samples <= len(waveform) < promised == samples + 1105
    assert rate == 44_100
