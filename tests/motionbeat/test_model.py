"""The towers: clips of any length in any company, and bars that may begin anywhere."""

import dataclasses
import math
from typing import get_args

import numpy as np
import pytest
import torch
from torch import nn

from motionbeat.kinematics import CONTACTS, FEATURES, PULSES
from motionbeat.model import (
    AUDIO_FRAME_RATE,
    BANDS,
    MOTION_FRAME_RATE,
    PULSE_WIDTH,
    SAMPLE_RATE,
    SIZES,
    AudioTower,
    Contacts,
    MotionBeat,
    MotionBeatEncoder,
    MotionTower,
    Phase,
)
from motionbeat.rhythm import BeatGrid
from motionbeat.tokens import Clock

TINY = SIZES["tiny"]
RATES = {AudioTower: (AUDIO_FRAME_RATE, BANDS), MotionTower: (MOTION_FRAME_RATE, FEATURES)}
KINDS = pytest.mark.parametrize("kind", RATES)
LENGTHS = [1, 11, 36, 37, 60, 61, 90]
"""Up to 36 beats are one window, up to 60 two, more are three."""


def build(kind, size=TINY, **options):
    """A tower in evaluation mode, with biases of distance and contact that matter."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        tower = kind(size, **options)
        for block in tower.blocks:
            nn.init.normal_(block.attention.distance_bias)
    return tower.eval().requires_grad_(False)


def grid(beats, metre=4, pickup=0, seed=0):
    lengths = np.random.default_rng(seed).uniform(0.4, 0.6, beats)
    times = np.concatenate([[0.0], lengths.cumsum()]) - 0.2
    return BeatGrid(times, (np.arange(beats) + pickup) % metre, metre)


def clip(kind, one, seed=0):
    """(T, columns) frames that end within the last beat."""
    rate, columns = RATES[kind]
    frames = max(1, int((one.times[-1] - 0.1) * rate))
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(frames, columns, generator=generator).abs()


def inputs(tower, clips, clock):
    frames = nn.utils.rnn.pad_sequence(clips, batch_first=True)
    lengths = [torch.tensor([len(one) for one in clips])] if isinstance(tower, AudioTower) else []
    return frames, *lengths, clock


def encode(tower, clips, clock):
    with torch.inference_mode():
        return tower(*inputs(tower, clips, clock))


def clips_of(kind, beats=(20, 50), metres=(3, 4)):
    grids = [
        grid(n, metre, seed, seed)
        for seed, (n, metre) in enumerate(zip(beats, metres, strict=True))
    ]
    return [clip(kind, one, seed) for seed, one in enumerate(grids)], Clock.of(grids)


def moments(clock, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return 10 * torch.rand(len(clock.mask), 57, generator=generator)


def shifted(clock, beats=1):
    """The same beats, numbered from another one."""
    positions = (clock.positions + beats) % clock.beats_per_bar[:, None]
    return clock._replace(positions=positions)


def distance(one, other):
    return (one - other).abs().max().item()


def test_the_pulse_layer_tells_the_tempo_and_turns_with_the_clock():
    """Its phases are read from rotated states, so the same states elsewhere in the bar differ."""
    tower = build(AudioTower)
    grids = [grid(8, 4)]
    clock = Clock.of([dataclasses.replace(one, times=np.arange(9) * 0.25) for one in grids])
    states, seconds = torch.ones(1, 8, TINY.width), torch.linspace(0.3, 1.6, 40)[None]
    pulses = tower.pulses(states, clock, seconds)
    assert pulses.shape == (1, 40, PULSE_WIDTH)
    torch.testing.assert_close(pulses[..., -1], torch.full((1, 40), -1.0))  # half of half a second
    assert ((pulses[..., -3:-1] > 0) & (pulses[..., -3:-1] < 1)).all()
    phases = tower.phases(states, clock, seconds)
    torch.testing.assert_close(phases, pulses[..., :-3])
    assert distance(phases, tower.phases(states, shifted(clock), seconds)) > 0.01
    torch.testing.assert_close(phases, tower.phases(states, shifted(clock, 4), seconds))


@KINDS
@pytest.mark.parametrize("phase", get_args(Phase))
def test_clips_of_any_length_have_the_same_states_in_any_batch(kind, phase):
    tower = build(kind, phase=phase)
    grids = [grid(n, 3 + n % 2, n % 3, n) for n in LENGTHS]
    clips = [clip(kind, one, len(one)) for one in grids]
    together = encode(tower, clips, Clock.of(grids))
    for index, (frames, one) in enumerate(zip(clips, grids, strict=True)):
        alone = encode(tower, [frames], Clock.of([one]))
        assert distance(together[index, : len(one)], alone[0]) < 1e-5


def test_training_hides_the_average_spectrum_of_some_clips():
    tower = build(AudioTower, dataclasses.replace(TINY, dropout=0.0))
    one = grid(8)
    given = [clip(AudioTower, one)] * 64, Clock.of([one] * 64)
    seen = encode(tower, *given)[0]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        trained = encode(tower.train(), *given)
    kept = (trained - seen).abs().amax(dim=(1, 2)) < 1e-5
    assert 32 < kept.sum() < 60
    hidden = trained[~kept]
    assert distance(hidden, hidden[:1]) < 1e-5


def test_equalisation_is_heard_in_the_average_spectrum_alone():
    tower = build(AudioTower)
    clips, clock = clips_of(AudioTower)
    equaliser = torch.linspace(0, 2, BANDS)
    before, after = (encode(tower, [one + e for one in clips], clock) for e in (0, equaliser))
    assert distance(before, after) > 0.01
    tower.token.weight[:, -BANDS:] = 0
    before, after = (encode(tower, [one + e for one in clips], clock) for e in (0, equaliser))
    assert distance(before[clock.mask], after[clock.mask]) < 1e-4


@pytest.mark.parametrize("contacts", get_args(Contacts))
def test_footfalls_guide_attention_only_where_they_are_asked_to(contacts):
    """Guidance changes states if and only if there is guidance and a footfall."""
    tower = build(MotionTower, contacts=contacts)
    [frames], clock = clips_of(MotionTower, [20], [4])
    still = frames.clone()
    still[:, PULSES] = 0
    before = [encode(tower, [given], clock) for given in (frames, still)]
    for name, parameter in tower.named_parameters():
        if name.endswith("guidance"):
            parameter.fill_(5.0)
    after = [encode(tower, [given], clock) for given in (frames, still)]
    guided = contacts in ("both", "guidance")
    assert (distance(after[0], before[0]) > 1e-3) == guided
    assert torch.equal(after[1], before[1])


@pytest.mark.parametrize("contacts", get_args(Contacts))
def test_contacts_are_among_the_features_only_where_they_are_asked_to(contacts):
    tower = build(MotionTower, contacts=contacts)
    [frames], clock = clips_of(MotionTower, [20], [4])
    columns = range(*CONTACTS.indices(FEATURES))
    assert list(columns)[-1] == PULSES
    for column in (*columns, 0):
        other = frames.clone()
        other[:, column] += torch.linspace(0, 3, len(frames))
        moved = distance(encode(tower, [frames], clock), encode(tower, [other], clock))
        given = contacts in ("both", "features") or column == 0
        guiding = column == PULSES and contacts == "guidance"
        assert moved > 1e-3 if given or guiding else moved == 0
    assert not other[:, CONTACTS].eq(0).all(), "the features that were given stay"


@KINDS
@pytest.mark.parametrize("beats", [1, 2, 5])
def test_numbering_the_beats_from_another_one_leaves_states_and_turns_what_is_carried(kind, beats):
    """Carried states are as exact as the phase of a moment, times its highest harmonic."""
    tower = build(kind)
    clips, clock = clips_of(kind)
    before, after = encode(tower, clips, clock), encode(tower, clips, shifted(clock, beats))
    turn = 2 * math.pi * beats / clock.beats_per_bar[:, None].double()
    seconds = moments(clock).double()
    assert distance(before[clock.mask], after[clock.mask]) < 1e-5
    carried = tower.interpolate_states(before, clock, seconds)
    again = tower.interpolate_states(before, shifted(clock, beats), seconds)
    true = tower.rotation(carried, turn.expand_as(seconds), clock.beats_per_bar[:, None])
    assert again.dtype == torch.float32
    assert distance(again, true) < 1e-5
    assert distance(again, carried) > 0.1


@KINDS
@pytest.mark.parametrize("phase", get_args(Phase))
def test_only_rotation_knows_the_bar_and_not_where_it_begins(kind, phase):
    """Rotation knows where in the bar beats are to each other, addition where each of them is.

    If only read states are rotated, the states themselves know neither.
    """
    tower = build(kind, phase=phase)
    clips, clock = clips_of(kind)
    before = encode(tower, clips, clock)
    others = shifted(clock), clock._replace(positions=clock.positions * 0)
    elsewhere, stretched = (
        distance(encode(tower, clips, one)[clock.mask], before[clock.mask]) for one in others
    )
    assert stretched > 1e-3 if phase in ("rotated", "added") else stretched == 0
    assert elsewhere > 1e-3 if phase == "added" else elsewhere < 1e-5
    seconds = moments(clock).double()
    read, again = (tower.interpolate_states(before, one, seconds) for one in (clock, others[0]))
    assert distance(read, again) > 0.1 if phase != "none" else torch.equal(read, again)


def test_a_phase_or_contacts_of_no_such_name_are_refused():
    for options in ({"phase": "turned"}, {"contacts": "feet"}, {"phase": True}):
        with pytest.raises(ValueError, match="is none of "):
            MotionBeat("tiny", **options)


@KINDS
def test_embedding_is_two_halves_of_equal_length(kind):
    tower = build(kind)
    clips, clock = clips_of(kind)
    found = tower.embed(encode(tower, clips, clock), clock, moments(clock))
    what, when = found[:, :128], found[:, 128:]
    torch.testing.assert_close(found.norm(dim=-1), torch.ones(2))
    torch.testing.assert_close(what.norm(dim=-1), torch.full((2,), 0.5**0.5))
    assert when.shape == (2, 16 * 57)
    assert when.unflatten(-1, (57, 16)).mean(dim=1).abs().max() < 1e-6


@pytest.mark.parametrize("samples", [1, 100, SAMPLE_RATE, 4 * SAMPLE_RATE])
@pytest.mark.parametrize("loudness", [0.0, 1.0])
def test_encoder_gives_finite_frames_at_50_hz_for_any_length(samples, loudness):
    waveform = loudness * (torch.rand(1, samples, generator=torch.Generator().manual_seed(0)) - 0.5)
    model = MotionBeat("tiny")
    states = MotionBeatEncoder(model)(waveform)
    frames = math.floor(samples / SAMPLE_RATE * 50) + 1
    assert states.shape == (1, 1, frames, TINY.width + PULSE_WIDTH + TINY.sound)
    assert states.isfinite().all()
    embodied = MotionBeatEncoder(model, embodied=True)(waveform)
    assert torch.equal(embodied, states[..., : -TINY.sound]), "all but the sound stream"


@KINDS
def test_a_tower_compiles_to_one_graph(kind):
    tower = build(kind)
    given = inputs(tower, *clips_of(kind))
    compiled = torch.compile(tower, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(*given), tower(*given))


@KINDS
@pytest.mark.parametrize("phase", get_args(Phase))
def test_gradients_reach_every_parameter_a_loss_on_embeddings_and_rhythms_needs(kind, phase):
    tower = build(kind, phase=phase).requires_grad_()
    clips, clock = clips_of(kind)
    states, seconds = tower(*inputs(tower, clips, clock)), moments(clock)
    one, other = tower.embed(states, clock, seconds)
    heads = [tower.rhythms(states, clock, seconds)]
    heads += [tower.phases(states, clock, seconds)] if kind is AudioTower else []
    (one @ other + sum(head.std() for head in heads)).backward()
    for name, parameter in tower.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.any(), name
