"""Frames lie where the card says, on the whole path from a file at 44.1 kHz to stored features."""

import numpy as np
import pytest
import soundfile

from benchmarks.encoders.basic_pitch import BasicPitch
from benchmarks.encoders.hub import HubEncoder
from benchmarks.encoders.mtg_taggers import BlockTagger
from benchmarks.encoders.musicnn import Musicnn
from benchmarks.encoders.no_music import NoMusic
from benchmarks.registry import ENCODERS
from benchmarks.store import encode
from motionbeat.audio import load_audio, resample
from motionbeat.model import MotionBeatEncoder

RATE, SECONDS = 44_100, 60
CLICKS = (0.0, 7.31, 16.507, 25.2371, 38.0, 47.77, 59.985)  # s
NAMES = sorted(
    name
    for name, kind in ENCODERS.classes.items()
    if kind.__module__.startswith("benchmarks.") and not issubclass(kind, HubEncoder | NoMusic)
)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Silence, and clicks of a millisecond at uneven distances."""
    folder = tmp_path_factory.mktemp("clicks")
    silence = np.zeros(SECONDS * RATE, np.float32)
    clicks = silence.copy()
    for second in CLICKS:
        first = round(second * RATE)
        clicks[first : first + 44] = 0.5
    for name, waveform in (("silence", silence), ("clicks", clicks)):
        soundfile.write(folder / f"{name}.wav", waveform, RATE)
    return [folder / "silence.wav", folder / "clicks.wav"]


def first_stage(encoder, states):
    """The features nearest to the audio, (frames, width): what is learned later looks around.

    Of musicnn the timbral filters, of FCN and CRNN the first block, of Basic Pitch the maps behind
    its contours, of the others the first layer.
    """
    if isinstance(encoder, Musicnn):
        return states[:, 0, :408]
    if isinstance(encoder, BlockTagger):
        return states[:, 0, :64]
    if isinstance(encoder, BasicPitch):
        return states[:, 0, 440:448]
    return states[:, 0]


@pytest.mark.parametrize("name", NAMES)
def test_clicks_are_where_the_file_has_them(name, files):
    """The brightest frame around each click is its own or the next, and a frame is at most 64 ms.

    musicnn's filters answer a click before and after it, most of all as it enters and leaves their
    seven frames; what must be at the click is the middle of those. MotionBeat's states are those of
    beats, seen best at their middles, up to a quarter of a second away.
    """
    kind = ENCODERS.get(name)
    if (reason := kind.unavailable()) is not None:
        pytest.skip(reason)
    encoder, card = kind(), kind.card
    silence, clicks = (
        first_stage(encoder, encode(encoder, resample(*load_audio(file), card.sample_rate)))
        for file in files
    )
    answer = np.linalg.norm(clicks - silence, axis=-1)
    reach = max(2, round(0.3 * card.frame_rate))
    tolerance = 0.25 * card.frame_rate if isinstance(encoder, MotionBeatEncoder) else 0
    for second in CLICKS:
        frame = round(second * card.frame_rate)
        start = max(frame - reach, 0)
        nearby = answer[start : frame + reach + 1]
        found = start + nearby.argmax()
        if isinstance(encoder, Musicnn):
            lit = start + np.flatnonzero(nearby > 0.01 * nearby.max())
            found = (lit[0] + lit[-1]) / 2
            frame = (max(frame - 3, 0) + min(frame + 3, len(answer) - 1)) / 2
        assert abs(found - frame) <= tolerance + 1
