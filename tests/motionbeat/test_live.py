"""The live encoder: music after a time changes nothing of it, and parts of any length join."""

import numpy as np
import pytest
import torch
from tests.motionbeat.test_live_rhythm import clicks, music
from torch import nn

from motionbeat.encoder import EncoderCard
from motionbeat.encoding import encode
from motionbeat.live import (
    BEAT_DELAY,
    SOUND_DELAY,
    Listener,
    LiveEncoder,
    LiveMotionBeat,
    LiveTower,
)
from motionbeat.live_rhythm import LiveGrid, live_grid
from motionbeat.model import (
    AUDIO_FRAME_RATE,
    BANDS,
    FRAME_RATE,
    PULSE_WIDTH,
    SAMPLE_RATE,
    SIZES,
    AudioTower,
    MotionBeat,
)
from motionbeat.tokens import Clock

TINY = SIZES["tiny"]
SECONDS = 40.0
"""Long enough for several windows of attention."""


@pytest.fixture(scope="module")
def encoder():
    """With biases of distance that matter, as random ones are 0."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = LiveMotionBeat("tiny")
        for block in model.audio.blocks:
            nn.init.normal_(block.attention.distance_bias)
    return LiveEncoder(model)


@pytest.fixture(scope="module")
def waveform():
    """Clicks that wander, then clicks in three."""
    parts = music(SECONDS / 2, 0), clicks(140, 3, SECONDS / 2)[1]
    return torch.from_numpy(np.concatenate(parts)).float()


@pytest.fixture(scope="module")
def features(encoder, waveform):
    return encoder(waveform[None])[0, 0]


def distance(one, other):
    return (one - other).abs().max().item()


@pytest.mark.parametrize("time", [0.02, 1.0, 5.5, 17.313, 33.1])
def test_music_after_a_time_changes_nothing_before(encoder, waveform, features, time):
    first = round(time * SAMPLE_RATE)
    other = waveform.clone()
    other[first:] = torch.from_numpy(music(SECONDS, 7)[first:]).float()
    changed = encoder(other[None])[0, 0]
    before = int(first * FRAME_RATE / SAMPLE_RATE) + 1
    assert distance(changed[:before], features[:before]) < 1e-5
    assert distance(changed[before:], features[before:]) > 0.1


@pytest.mark.parametrize("seconds", [0.02, 0.2, 0.777, 11.0])
def test_parts_of_any_length_join_to_the_whole(encoder, waveform, features, seconds):
    listener, size = Listener(encoder), round(seconds * SAMPLE_RATE)
    found, heard = [], 0
    for part in torch.split(waveform, size):
        found.append(listener.hear(part))
        heard += len(part)
        assert sum(map(len, found)) == int(heard * FRAME_RATE / SAMPLE_RATE) + 1, "not at once"
    assert distance(torch.cat(found), features) < 1e-4


def test_the_suite_encodes_a_recording_alike(encoder, waveform, features):
    width = features.shape[1]
    vars(encoder)["card"] = EncoderCard(
        name="live", revision="1", sample_rate=SAMPLE_RATE, frame_rate=FRAME_RATE, layers=1,
        width=width, parameters=1, licence="none", training_data=(), source="tests",
    )  # fmt: skip
    found = torch.from_numpy(encode(encoder, waveform.numpy())[:, 0])
    assert width == TINY.width + PULSE_WIDTH + TINY.sound
    assert distance(found, features) < 1e-5


def test_training_computes_what_a_stream_hears(encoder):
    """The tower alone, on all beats at once, in music whose metre is never in doubt."""
    waveform = torch.from_numpy(clicks(100, 4, 20.0)[1]).float()
    log_mel = encoder.frontend.spectrum(waveform[None])
    grid = live_grid(log_mel[0].numpy(), AUDIO_FRAME_RATE)
    assert set(grid.beats_per_bar.tolist()) == {4}
    clock = Clock.of([grid.cut(0.0, 20.0)])
    states = encoder.tower(log_mel, torch.tensor([log_mel.shape[1]]), clock)
    heard = encoder(waveform[None])[0, 0, :, : -TINY.sound]
    seconds = torch.arange(len(heard), dtype=torch.float64)[None] / FRAME_RATE
    assert distance(encoder.read(states, clock, seconds)[0], heard) < 1e-4


def test_another_downbeat_turns_what_is_read_and_changes_no_state(encoder):
    tower, count = encoder.tower, 30
    log_mel = torch.rand(1, 1500, BANDS, generator=torch.Generator().manual_seed(0))
    grid = LiveGrid(0.5 * np.arange(count + 1), np.arange(count) % 4, np.full(count, 4))
    moved = LiveGrid(grid.times, (grid.positions + 1) % 4, grid.beats_per_bar)
    seconds = torch.linspace(3, 14, 57, dtype=torch.float64)[None]
    lengths, read, kept = torch.tensor([1500]), [], []
    for one in (grid, moved):
        clock = Clock.of([one.cut(0.0, 15.0)])
        kept.append(tower(log_mel, lengths, clock))
        read.append(tower.interpolate_states(kept[-1], clock, seconds))
    assert torch.equal(*kept)
    quarter = torch.full_like(seconds, np.pi / 2)
    turned = tower.rotation(read[0], quarter, torch.tensor([[4]]))
    assert distance(turned, read[1]) < 1e-4
    assert distance(*read) > 0.1


def test_a_frame_reads_the_last_beat_that_is_over():
    tower = LiveTower(TINY)
    grid = LiveGrid(np.array([0.0, 0.5, 1.25]), np.array([0, 1]), np.array([4, 4]))
    clock, states = Clock.of([grid.cut(0.0, 1.2)]), torch.tensor([[[1.0], [2.0]]])
    first, second = (end + BEAT_DELAY for end in (0.5, 1.25))
    about = [0.0, first - 1e-3, first + 1e-3, second - 1e-3, second + 1e-3, 9.0]
    seconds = torch.tensor([about], dtype=torch.float64)
    assert tower.states_at(states, clock, seconds).flatten().tolist() == [0, 0, 1, 1, 2, 2]


def test_the_sound_stream_is_late_by_what_it_looks_ahead(encoder, features, waveform):
    """Otherwise it is that of the other encoders."""
    sound = encoder.sound
    log_mel = encoder.frontend.spectrum(waveform[None])
    seconds = torch.arange(len(features), dtype=torch.float64)[None] / FRAME_RATE
    expected = sound.interpolate(sound(log_mel), seconds - SOUND_DELAY)[0]
    late = seconds[0] >= SOUND_DELAY
    assert distance(features[late, -TINY.sound :], expected[late]) < 1e-4
    assert not features[~late, -TINY.sound :].any()


def test_the_parameters_are_those_of_the_other_towers():
    """So its training begins with their weights."""
    own, other = LiveMotionBeat("tiny").state_dict(), MotionBeat("tiny").state_dict()
    assert {name: one.shape for name, one in own.items()} == {
        name: one.shape for name, one in other.items()
    }


def test_beats_before_are_heard_and_beats_after_are_not():
    """While the other tower hears both."""
    log_mel = torch.rand(1, 2000, BANDS, generator=torch.Generator().manual_seed(0))
    changed = log_mel.clone()
    changed[:, 1005:1045] += 1  # the beat from 10 s on
    grid = LiveGrid(0.5 * np.arange(41), np.arange(40) % 4, np.full(40, 4))
    clock, lengths = Clock.of([grid.cut(0.0, 19.9)]), torch.tensor([2000])
    for kind in (LiveTower, AudioTower):
        torch.manual_seed(0)
        tower = kind(TINY).eval().requires_grad_(False)
        one, other = (tower(given, lengths, clock) for given in (log_mel, changed))
        apart = (one - other).abs().amax(dim=(0, 2))
        assert (apart[:20].max() == 0) == (kind is LiveTower)
        assert apart[20:30].min() > 1e-5


@pytest.mark.parametrize("samples", [0, 1, 500, 3000])
def test_a_moment_of_music_is_heard(encoder, samples):
    found = Listener(encoder).hear(torch.full((samples,), 0.1))
    assert len(found) == int(samples * FRAME_RATE / SAMPLE_RATE) + 1
    assert found.isfinite().all()
