"""What every built-in encoder promises."""

import copy
import math
import subprocess
import sys
from functools import cache

import pytest
import torch
from torch import Tensor

from benchmarks.encoders.beatgrid import BeatGridEncoder
from benchmarks.encoders.logmel import LogMel
from benchmarks.encoders.mfcc_chroma import MfccChroma
from benchmarks.encoders.motionbeat import MotionBeatRandom, MotionBeatSmall
from benchmarks.encoders.musicnn import Musicnn, MusicnnMsd
from benchmarks.encoders.no_music import NoMusic
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
    NoMusic,
]

build = cache(lambda kind: kind())


@pytest.fixture(params=ENCODERS, ids=lambda kind: kind.card.name)
def encoder(request) -> Encoder:
    return build(request.param)


def noise(encoder: Encoder, seconds: float, batch: int = 1) -> Tensor:
    samples = round(seconds * encoder.card.sample_rate)
    return torch.rand(batch, samples, generator=torch.Generator().manual_seed(3)) - 0.5


def encode(encoder: Encoder, waveform: Tensor) -> Tensor:
    with torch.inference_mode():
        return encoder(waveform)


def test_shape_type_and_frame_count(encoder):
    states = encode(encoder, noise(encoder, 2.0, batch=2))
    card = encoder.card
    assert states.shape == (2, card.layers, math.floor(2 * card.frame_rate) + 1, card.width)
    assert states.dtype == torch.float32


def test_is_frozen_and_deterministic(encoder):
    assert not any(module.training for module in encoder.modules())
    assert not any(parameter.requires_grad for parameter in encoder.parameters())
    waveform = noise(encoder, 1.0)
    assert torch.equal(encode(encoder, waveform), encode(encoder, waveform))


def test_two_instances_agree(encoder):
    waveform = noise(encoder, 1.0)
    assert torch.equal(encode(encoder, waveform), encode(type(encoder)(), waveform))


def test_card_counts_the_parameters(encoder):
    assert encoder.card.parameters == sum(weight.numel() for weight in encoder.parameters())


@pytest.mark.parametrize("samples", [1, 2, 255, 1000])
def test_short_silence_is_finite(encoder, samples):
    states = encode(encoder, torch.zeros(1, samples))
    assert states.shape[2] >= 1
    assert states.isfinite().all()


def test_batch_of_two_equals_two_of_one(encoder):
    waveform = noise(encoder, 3.0, batch=2)
    apart = torch.cat([encode(encoder, one) for one in waveform.split(1)])
    torch.testing.assert_close(encode(encoder, waveform), apart, rtol=1e-4, atol=1e-3)


def test_clicks_light_up_their_frames(encoder):
    """At the start, in the middle and at the end of a minute.

    musicnn's learned filters answer a click before or after it, so no one frame is the brightest;
    what is known is how far its timbral filters reach: three frames to either side. MotionBeat's
    states are those of beats, seen best at their middles, up to a quarter of a second away.
    """
    if isinstance(encoder, NoMusic):
        pytest.skip("hears nothing")
    card = encoder.card
    waveform = torch.zeros(1, 60 * card.sample_rate)
    silence = encode(encoder, waveform)
    clicks = [0.0, 20.5, 40.013, 59.985]
    for seconds in clicks:
        waveform[0, round(seconds * card.sample_rate)] = 1.0
    difference = (encode(encoder, waveform) - silence)[0]
    around, last = round(5 * card.frame_rate), difference.shape[1] - 1
    for seconds in clicks:
        frame = round(seconds * card.frame_rate)
        start = max(frame - around, 0)
        answer = difference[:, start : frame + around]
        if isinstance(encoder, Musicnn):
            lit = start + answer[0, :, :408].norm(dim=-1).gt(1e-3).nonzero()
            assert abs(lit.min() - max(frame - 3, 0)) <= 1
            assert abs(lit.max() - min(frame + 3, last)) <= 1
        else:
            brightest = start + answer.norm(dim=-1).argmax(dim=-1)
            tolerance = 0.25 * card.frame_rate if isinstance(encoder, MotionBeatEncoder) else 0
            assert (brightest - frame).abs().max() <= tolerance + 1


def test_piece_equals_whole_away_from_its_margins(encoder):
    """With the declared context, in a signal whose level changes and hides no statistics."""
    if isinstance(encoder, BeatGridEncoder | MotionBeatEncoder):
        pytest.skip("lays one beat grid over a whole piece and levels it by statistics of it all")
    card = encoder.card
    waveform = noise(encoder, 20.0) * torch.linspace(0.01, 1.0, 20 * card.sample_rate)
    first, last, margin = 400, 500, math.ceil(encoder.context * card.frame_rate)
    hop = round(card.sample_rate / card.frame_rate)
    piece = encode(encoder, waveform[:, (first - margin) * hop : (last + margin) * hop])
    whole = encode(encoder, waveform)[:, :, first:last]
    kept = piece[:, :, margin : margin + last - first]
    torch.testing.assert_close(kept, whole, rtol=1e-4, atol=1e-3)


def test_everything_moves_with_the_module(encoder, monkeypatch):
    """Tensors left behind on the CPU could not be combined with those on another device.

    Beats are found on the CPU, and a tensor without data is fetched there as silence.
    """
    monkeypatch.setattr(Tensor, "cpu", lambda tensor: torch.zeros(tensor.shape, dtype=tensor.dtype))
    moved = copy.deepcopy(encoder).to("meta")
    assert moved(torch.zeros(1, 4000, device="meta")).device.type == "meta"


def test_names_are_unique():
    names = [kind.card.name for kind in [*ENCODERS, MusicnnMsd]]
    assert len(names) == len(set(names)) == 9
    assert set(names) > {"beatgrid", "logmel", "mfcc_chroma", "musicnn", "musicnn-msd", "random"}


def test_no_music_is_heard_by_the_encoder_that_hears_none():
    states = encode(build(NoMusic), noise(build(NoMusic), 2.0, batch=2))
    assert not states.any()


def test_importing_the_encoders_is_light():
    code = (
        "import sys, benchmarks.encoders.logmel, benchmarks.encoders.mfcc_chroma\n"
        "import benchmarks.encoders.random, benchmarks.encoders.musicnn\n"
        "print({'librosa', 'torchaudio', 'scipy', 'tensorflow', 'musicnn'} & set(sys.modules))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"
