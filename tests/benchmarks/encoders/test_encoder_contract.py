"""What every built-in encoder promises."""

import subprocess
import sys
from functools import cache

import pytest
import torch

from benchmarks.check_encoder import CHECKS, check_card, states
from benchmarks.encoders.beatgrid import BeatGridEncoder
from benchmarks.encoders.logmel import LogMel
from benchmarks.encoders.mfcc_chroma import MfccChroma
from benchmarks.encoders.motionbeat import MotionBeatRandom, MotionBeatSmall
from benchmarks.encoders.musicnn import Musicnn, MusicnnMsd
from benchmarks.encoders.random import RandomNetwork
from motionbeat.encoder import Encoder
from motionbeat.model import MotionBeatEncoder

ENCODERS = [
    LogMel,
    MfccChroma,
    RandomNetwork,
    Musicnn,
    BeatGridEncoder,
    MotionBeatRandom,
    MotionBeatSmall,
]

build = cache(lambda kind: kind())


@pytest.fixture(params=ENCODERS, ids=lambda kind: kind.card.name)
def encoder(request) -> Encoder:
    return build(request.param)


WHOLE = BeatGridEncoder | MotionBeatEncoder
"""They lay one beat grid over a whole piece and level it by statistics of it all."""


@pytest.mark.parametrize("check", CHECKS)
def test_keeps_the_contract(encoder, check):
    found = CHECKS[check](encoder)
    warned = (check == "long audio" and isinstance(encoder, WHOLE)) or (
        # The states of beats are seen best at their middles.
        check == "alignment" and isinstance(encoder, MotionBeatEncoder)
    )
    assert found.verdict == ("warning" if warned else "ok"), found


def test_card_is_plausible(encoder):
    assert check_card(type(encoder)).verdict == "ok"


def test_clicks_light_up_the_timbral_filters_of_musicnn():
    """They reach three frames to either side, at the start, in the middle and at the end."""
    encoder = build(Musicnn)
    rate, frames = encoder.card.sample_rate, encoder.card.frame_rate
    waveform = torch.zeros(1, 60 * rate)
    silence = states(encoder, waveform)
    clicks = [0.0, 20.5, 40.013, 59.985]
    for seconds in clicks:
        waveform[0, round(seconds * rate)] = 1.0
    difference = (states(encoder, waveform) - silence)[0, 0, :, :408].norm(dim=-1)
    for seconds in clicks:
        frame = round(seconds * frames)
        start = max(frame - 300, 0)
        lit = start + difference[start : frame + 300].gt(1e-3).nonzero()
        assert abs(lit.min() - max(frame - 3, 0)) <= 1
        assert abs(lit.max() - min(frame + 3, len(difference) - 1)) <= 1


def test_names_are_unique():
    names = [kind.card.name for kind in [*ENCODERS, MusicnnMsd]]
    assert len(names) == len(set(names)) == 8
    assert set(names) > {"beatgrid", "logmel", "mfcc_chroma", "musicnn", "musicnn-msd", "random"}


def test_importing_the_encoders_is_light():
    code = (
        "import sys, benchmarks.encoders.logmel, benchmarks.encoders.mfcc_chroma\n"
        "import benchmarks.encoders.random, benchmarks.encoders.musicnn\n"
        "print({'librosa', 'torchaudio', 'scipy', 'tensorflow', 'musicnn'} & set(sys.modules))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"
