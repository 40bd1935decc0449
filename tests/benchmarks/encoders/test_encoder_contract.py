"""What every built-in encoder promises."""

import subprocess
import sys
from functools import cache

import pytest

from motionbeat.benchmarks.check_encoder import CHECKS, check_card, noise, states
from motionbeat.benchmarks.encoders.beatgrid import BeatGridEncoder
from motionbeat.benchmarks.encoders.logmel import LogMel
from motionbeat.benchmarks.encoders.mfcc_chroma import MfccChroma
from motionbeat.benchmarks.encoders.motionbeat import MotionBeatRandom, MotionBeatSmall
from motionbeat.benchmarks.encoders.no_music import NoMusic
from motionbeat.benchmarks.encoders.pretrained.basic_pitch import BasicPitch
from motionbeat.benchmarks.encoders.pretrained.beatnet import BeatNet
from motionbeat.benchmarks.encoders.pretrained.mtg_taggers import CrnnMsd, FcnMtat, MusicnnJamendo
from motionbeat.benchmarks.encoders.pretrained.musicnn import Musicnn, MusicnnMsd
from motionbeat.benchmarks.encoders.random import RandomNetwork
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
    BeatNet,
    BasicPitch,
    FcnMtat,
    CrnnMsd,
    MusicnnJamendo,
    NoMusic,
]

build = cache(lambda kind: kind())


@pytest.fixture(params=ENCODERS, ids=lambda kind: kind.card.name)
def encoder(request) -> Encoder:
    if (reason := request.param.unavailable()) is not None:
        pytest.skip(reason)
    return build(request.param)


WARNED = {
    # One beat grid lies over a whole piece, and statistics of it all level it.
    "long audio": BeatGridEncoder | MotionBeatEncoder,
    # States of beats are seen best at their middles, LSTMs remember, taggers pool.
    "alignment": MotionBeatEncoder | BeatNet | FcnMtat | CrnnMsd,
}
"""Encoders of which a check warns, with good reason."""


@pytest.mark.parametrize("check", CHECKS)
def test_keeps_the_contract(encoder, check):
    found = CHECKS[check](encoder)
    warned = isinstance(encoder, WARNED.get(check, ()))
    deaf = check == "alignment" and isinstance(encoder, NoMusic)
    assert found.verdict == ("failed" if deaf else "warning" if warned else "ok"), found


def test_card_is_plausible(encoder):
    assert check_card(type(encoder)).verdict == "ok"


def test_names_are_unique():
    names = [kind.card.name for kind in [*ENCODERS, MusicnnMsd]]
    assert len(names) == len(set(names)) == len(ENCODERS) + 1
    assert set(names) > {"beatgrid", "logmel", "mfcc_chroma", "musicnn", "musicnn-msd", "random"}


def test_no_music_is_heard_by_the_encoder_that_hears_none():
    heard = states(build(NoMusic), noise(build(NoMusic), 2.0, batch=2))
    assert not heard.any()


def test_importing_the_encoders_is_light():
    code = (
        "import sys\n"
        "from motionbeat.benchmarks.encoders import basic_pitch, beatnet, logmel, mfcc_chroma\n"
        "from motionbeat.benchmarks.encoders import mtg_taggers, musicnn, random\n"
        "heavy = {'librosa', 'torchaudio', 'scipy', 'tensorflow', 'madmom'}\n"
        "packages = {'musicnn', 'BeatNet', 'basic_pitch'}\n"
        "print((heavy | packages) & set(sys.modules))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"
