"""Frames lie where the card says, on the whole path from a file at 44.1 kHz to stored features."""

import numpy as np
import pytest
import soundfile
import torch

from motionbeat.audio import load_audio, resample
from motionbeat.benchmarks.registry import ENCODERS
from motionbeat.encoding import encode
from motionbeat.model import AUDIO_FRAME_RATE, SAMPLE_RATE, AudioFrontend
from motionbeat.rhythm import onset_envelope

RATE, SECONDS = 44_100, 60
CLICKS = (0.0, 7.31, 16.507, 25.2371, 38.0, 47.77, 59.985)  # s
# The features nearest to the audio, as what is learned later looks around: of musicnn the timbral
# filters, of taggers the first block, of Basic Pitch the maps behind its contours.
FIRST = {
    "logmel": slice(None),
    "mfcc_chroma": slice(None),
    "random": slice(None),
    "musicnn": slice(408),
    "beatnet": slice(None),
    "basic-pitch": slice(440, 448),
    "fcn-mtat": slice(64),
    "crnn-msd": slice(64),
    "musicnn-jamendo": slice(408),
}


def write(path, clicks):
    """A minute of silence but for clicks of a millisecond, given as seconds and loudness."""
    waveform = np.zeros(SECONDS * RATE, np.float32)
    for second, peak in clicks.items():
        first = round(second * RATE)
        waveform[first : first + 44] = peak
    soundfile.write(path, waveform, RATE)
    return path


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Silence, and clicks at uneven distances."""
    folder = tmp_path_factory.mktemp("clicks")
    return [
        write(folder / "silence.wav", {}),
        write(folder / "clicks.wav", dict.fromkeys(CLICKS, 0.5)),
    ]


@pytest.mark.parametrize("name", FIRST)
def test_clicks_are_where_the_file_has_them(name, files):
    """The middle of the frames that a click changes most is its own, within one frame."""
    kind = ENCODERS.get(name)
    if (reason := kind.unavailable()) is not None:
        pytest.skip(reason)
    encoder, card = kind(), kind.card
    silence, clicks = (
        encode(encoder, resample(*load_audio(file), card.sample_rate))[:, 0, FIRST[name]]
        for file in files
    )
    answer = np.linalg.norm(clicks - silence, axis=-1)
    reach = max(2, round(0.3 * card.frame_rate))
    for second in CLICKS[1:-1]:
        frame = round(second * card.frame_rate)
        nearby = answer[frame - reach : frame + reach + 1]
        lit = np.flatnonzero(nearby > 0.5 * nearby.max()) - reach
        assert abs(lit[0] + lit[-1]) / 2 <= 1


def test_motionbeat_hears_clicks_where_the_file_has_them(files):
    """In the spectrum its towers are given, and in the onsets that its beats are found by."""
    listening = AudioFrontend()
    silence, clicks = (
        listening.spectrum(torch.from_numpy(resample(*load_audio(file), SAMPLE_RATE))[None])[0]
        for file in files
    )
    spectrum = (clicks - silence).norm(dim=-1).numpy()
    onsets = onset_envelope(clicks.numpy(), AUDIO_FRAME_RATE)
    for answer, heard in ((spectrum, CLICKS), (onsets, CLICKS[1:])):  # nothing is before the first
        for second in heard:
            frame = round(second * AUDIO_FRAME_RATE)
            start = max(frame - 30, 0)
            assert abs(start + answer[start : frame + 31].argmax() - frame) <= 1


@pytest.mark.parametrize("name", ["motionbeat-random", "motionbeat-small"])
def test_motionbeat_shows_a_sound_at_the_middle_of_its_beat(name, tmp_path):
    """A sound within a beat changes most the frame at the middle of that beat, as it was heard.

    From the first layer on, MotionBeat's states are those of whole beats: frames between the
    middles of two beats are mixed from both, and where in its beat a sound is, is said by what a
    state holds, not by which frame is brightest. So no frame can show a click at its own time.
    """
    encoder = ENCODERS.get(name)()
    steady = dict.fromkeys(np.arange(0.25, SECONDS, 0.5), 0.5)

    def listened(clicks):
        """The first layer, and the edges of the beats in seconds."""
        waveform = resample(*load_audio(write(tmp_path / "clicks.wav", clicks)), SAMPLE_RATE)
        _, clock = encoder.frontend(torch.from_numpy(waveform)[None])
        return encode(encoder, waveform)[:, 0], clock.times[0].numpy()

    states, times = listened(steady)
    for second in (0.55, 30.07, 59.52):
        changed, same = listened(steady | {second: 0.1})  # too quiet for another beat
        assert np.array_equal(same, times)
        beat = np.searchsorted(times, second)
        middle = times[beat - 1 : beat + 1].mean() * encoder.card.frame_rate
        assert abs(np.linalg.norm(changed - states, axis=-1).argmax() - middle) <= 1
