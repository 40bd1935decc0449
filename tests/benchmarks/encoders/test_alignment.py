"""MotionBeat hears clicks where a file at 44.1 kHz has them, and shows sounds at their beats."""

import numpy as np
import pytest
import soundfile
import torch
from torch import nn

from motionbeat.audio import load_audio, resample
from motionbeat.benchmarks.registry import ENCODERS
from motionbeat.model import AUDIO_FRAME_RATE, SAMPLE_RATE, AudioFrontend, frame_times
from motionbeat.rhythm import onset_envelope

RATE, SECONDS = 44_100, 60
CLICKS = (0.0, 7.31, 16.507, 25.2371, 38.0, 47.77, 59.985)  # s


def write(path, clicks):
    """A minute of silence but for clicks of a millisecond, given as seconds and loudness."""
    waveform = np.zeros(SECONDS * RATE, np.float32)
    for second, peak in clicks.items():
        first = round(second * RATE)
        waveform[first : first + 44] = peak
    soundfile.write(path, waveform, RATE)
    return path


def test_motionbeat_hears_clicks_where_the_file_has_them(tmp_path):
    """In the spectrum its towers are given, and in the onsets that its beats are found by."""
    listening = AudioFrontend()

    def heard_of(clicks):
        waveform = resample(*load_audio(write(tmp_path / "clicks.wav", clicks)), SAMPLE_RATE)
        return listening.spectrum(torch.from_numpy(waveform)[None])[0]

    silence, clicks = heard_of({}), heard_of(dict.fromkeys(CLICKS, 0.5))
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

    From its tokens on, the tower's states are those of whole beats: frames between the middles of
    two beats are mixed from both, and where in its beat a sound is, is said by what a state holds,
    not by which frame is brightest. So no frame can show a click at its own time.
    """
    encoder = ENCODERS.get(name)()
    steady = dict.fromkeys(np.arange(0.25, SECONDS, 0.5), 0.5)

    def listened(clicks):
        """The tokens in time, and the edges of the beats in seconds."""
        waveform = resample(*load_audio(write(tmp_path / "clicks.wav", clicks)), SAMPLE_RATE)
        audio = torch.from_numpy(waveform)[None]
        log_mel, clock = encoder.frontend(audio)
        tokens = encoder.tower(log_mel, torch.tensor([log_mel.shape[1]]), clock)
        states = encoder.tower.interpolate_states(tokens, clock, frame_times(audio))
        return states[0].numpy(), clock.times[0].numpy()

    encoder.tower.blocks = nn.ModuleList()  # which mix beats; what is left are the tokens
    states, times = listened(steady)
    for second in (0.55, 30.07, 59.52):
        changed, same = listened(steady | {second: 0.1})  # too quiet for another beat
        assert np.array_equal(same, times)
        beat = np.searchsorted(times, second)
        middle = times[beat - 1 : beat + 1].mean() * encoder.card.frame_rate
        assert abs(np.linalg.norm(changed - states, axis=-1).argmax() - middle) <= 1
