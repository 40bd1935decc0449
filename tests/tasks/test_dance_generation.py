"""Music to dance: what is learned from, the losses, the dances and their scores."""

import pickle
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from motionbeat.benchmarks.training import feature_statistics, train
from motionbeat.tasks.features import Resampled, Windows, collate
from motionbeat.tasks.probe import Member
from scipy.stats import ttest_1samp
from tests import dancing

from motionbeat.data_modules.base import Beats, DataModule, DatasetError, MotionFile, Track
from motionbeat.motion import FEET, JOINTS, Motion, MotionError
from motionbeat.tasks import dance_generation as subject
from motionbeat.tasks import diffusion
from motionbeat.tasks.dance_generation import DanceGeneration, RealDance, danced, music_of, sliding
from motionbeat.tasks.diffusion import PATCH
from motionbeat.tasks.metrics.dance_alignment import beat_alignment_score, beat_hit_rate
from motionbeat.tasks.metrics.dance_distances import frechet_distance, normalise
from motionbeat.tasks.metrics.dance_features import kinetic_features
from motionbeat.tasks.metrics.dance_physics import (
    foot_sliding_ratio,
    jerk,
    physical_foot_contact,
)
from motionbeat.tasks.poses import CONTACT, FPS, JOINT, WIDTH, Body

SECONDS = 6.0
TEMPI = (96, 104, 112, 120)
HEARD = 64


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """A network with few channels that dances in few steps, so that tests are quick."""
    for name, value in (("CHANNELS", 32), ("LAYERS", 1), ("HEADS", 2), ("SAMPLING_STEPS", 4)):
        monkeypatch.setattr(diffusion, name, value)


@pytest.fixture(scope="module")
def tracks(tmp_path_factory):
    """Four click tracks and dances to them; the first two are of one group."""
    folder = tmp_path_factory.mktemp("dances")
    return [write_track(folder, index, bpm) for index, bpm in enumerate(TEMPI)]


def write_track(folder, index, bpm, seconds=SECONDS):
    pair = dancing.write_pair(folder, f"song{index}", bpm, seconds, index)
    annotations = (Beats(*dancing.beats_at(bpm, seconds)), MotionFile(pair.motion))
    group = "together" if index < 2 else f"group{index}"
    return Track(pair.id, pair.audio, seconds, group, annotations)


class Numbers:
    """Features of tracks in memory: sines of the time, and what the track is called."""

    rate, layers, width = 10.0, 2, 3

    def length(self, track):
        return round(track.duration * self.rate) + 1

    def read(self, track, start, stop):
        times = np.arange(start, stop) / self.rate
        rows = np.stack([np.sin(2 * times), np.cos(2 * times), 0 * times + len(track.id)], axis=1)
        return np.stack([rows, rows**3 + rows[:, ::-1]], axis=1).astype(np.float32)


class Ramp:
    """Features that are the seconds at which their frames are."""

    layers, width = 1, 1

    def __init__(self, rate, frames, of=lambda seconds: seconds):
        self.rate, self.frames, self.of = rate, frames, of

    def length(self, track):
        return self.frames

    def read(self, track, start, stop):
        assert 0 <= start < stop <= self.frames, "it reads what there is"
        return self.of(np.arange(start, stop) / self.rate)[:, None, None].astype(np.float64)


class Small(DanceGeneration):
    """The task, trained for a moment on short windows."""

    window = 2.0
    batch_size = 4
    max_steps = 9
    check_every = 3


def task(tracks, *members, kind=Small):
    members = members or (Member(0, 0.005),)
    return kind(Resampled(Numbers(), FPS), tracks, probe="decoder", members=members)


def batch_of(one, tracks):
    source = Resampled(Numbers(), FPS)
    windows = Windows(source, tracks, round(one.window * FPS), 15, one.inputs, one.targets)
    return collate([windows[index] for index in range(len(windows))])


def outputs_of(one, track, member=0):
    source = Resampled(Numbers(), FPS)
    features = torch.from_numpy(source.read(track, 0, source.length(track)))[None]
    batch = collate([(features[0], 0, {}, {})])
    with torch.inference_mode():
        return one(batch)[member][0].numpy()


# --- Features at another rate -------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(
    rate=st.sampled_from([10.0, 21.53, 30.0, 43.066, 50.0, 62.5, 75.0, 100.0]),
    frames=st.integers(1, 400),
    data=st.data(),
)
def test_a_straight_line_stays_one_at_any_rate(rate, frames, data):
    resampled = Resampled(Ramp(rate, frames), FPS)
    length = resampled.length(None)
    assert length == max(1, round(frames / rate * FPS))
    start = data.draw(st.integers(0, length - 1))
    stop = data.draw(st.integers(start + 1, length))
    found = resampled.read(None, start, stop)
    assert found.dtype == np.float32
    assert found.shape == (stop - start, 1, 1)
    wanted = np.minimum(np.arange(start, stop) / FPS, (frames - 1) / rate)
    np.testing.assert_allclose(found[:, 0, 0], wanted, atol=1e-5)


def test_what_is_constant_stays_so():
    resampled = Resampled(Ramp(43.066, 200, lambda seconds: 0 * seconds + 7), FPS)
    np.testing.assert_allclose(resampled.read(None, 0, resampled.length(None)), 7, rtol=1e-6)


def test_a_single_frame_is_heard_throughout():
    resampled = Resampled(Ramp(10.0, 1, lambda seconds: seconds + 5), FPS)
    assert resampled.length(None) == 3
    assert resampled.read(None, 0, 3).flatten().tolist() == [5, 5, 5]
    assert Resampled(Ramp(100.0, 1), FPS).length(None) == 1


def test_the_same_rate_changes_nothing():
    source = Ramp(FPS, 77, np.sin)
    resampled = Resampled(source, FPS)
    assert resampled.length(None) == 77
    np.testing.assert_array_equal(
        resampled.read(None, 3, 70), source.read(None, 3, 70).astype(np.float32)
    )


# --- Windows ------------------------------------------------------------------------------------


class Counting:
    rate, layers, width = FPS, 1, 1

    def length(self, track):
        return track

    def read(self, track, start, stop):
        return np.arange(start, stop, dtype=np.float32)[:, None, None]


def spans(lengths, window, stride):
    nothing = lambda track, steps: {}  # noqa: E731
    windows = Windows(Counting(), lengths, window, stride, nothing, None)
    every = (windows[index] for index in range(len(windows)))
    return [(track, int(steps[0]), len(steps)) for steps, track, _, _ in every]


@given(length=st.integers(1, 60), window=st.integers(2, 20), data=st.data())
@settings(deadline=None)
def test_windows_that_overlap_are_whole_and_leave_less_than_a_stride(length, window, data):
    stride = data.draw(st.integers(1, window - 1))
    found = spans([length], window, stride)
    if length < window:
        assert found == [(0, 0, length)]
        return
    assert [start for _, start, _ in found] == list(range(0, length - window + 1, stride))
    assert {size for *_, size in found} == {window}
    assert length - (found[-1][1] + window) < stride


def test_windows_by_hand():
    assert spans([10, 3, 4], 4, 2) == [
        (0, 0, 4), (0, 2, 4), (0, 4, 4), (0, 6, 4), (1, 0, 3), (2, 0, 4),
    ]  # fmt: skip
    assert spans([10], 4, 4) == [(0, 0, 4), (0, 4, 4), (0, 8, 2)]


# --- Learning -----------------------------------------------------------------------------------


def test_targets_are_the_dance_and_its_last_row_where_it_ends(tracks):
    one = task(tracks)
    rows = danced(tracks[0].get(MotionFile).path, one.body)
    found = one.targets(tracks[0], 200)["rows"].numpy()
    assert len(rows) == 180
    np.testing.assert_array_equal(found[:180], rows)
    np.testing.assert_array_equal(found[180:], rows[-1:].repeat(20, axis=0))
    assert one.targets(tracks[0], 100)["rows"].shape == (100, WIDTH)


def test_rows_are_standardised_and_what_hardly_moves_is_not_blown_up(tracks):
    one = task(tracks)
    rows = torch.from_numpy(
        np.concatenate([danced(t.get(MotionFile).path, one.body) for t in tracks])
    )
    scaled = one.typed_probes[0].standardise(rows)
    torch.testing.assert_close(scaled.mean(dim=0), torch.zeros(WIDTH), atol=1e-3, rtol=0)
    assert scaled.std(dim=0).max() < 1.01
    assert (one.rows_std > 0).all()
    joints = one.rows_std[JOINT]
    assert joints.min() >= 0.09 * rows[:, JOINT].std(dim=0).square().mean().sqrt()


def test_dances_are_learned_from_music(tracks):
    one = task(tracks)
    probe, batch = one.typed_probes[0], batch_of(one, tracks)
    optimiser = torch.optim.Adam(probe.parameters(), one.members[0].learning_rate)
    losses = []
    for _ in range(120):
        loss = one.training_step(batch, 0)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert np.mean(losses[-10:]) < 0.5 * np.mean(losses[:10])
    assert probe.head.weight.grad.abs().max() > 0, "the projection of the music learns too"
    assert probe.layer_logits.grad.abs().max() > 0


def test_the_loss_by_hand(tracks, monkeypatch):
    """Of a guess that is right, of one that is off throughout, and of one that trembles."""
    one = task(tracks)
    probe, batch = one.typed_probes[0], batch_of(one, tracks)
    outputs = torch.zeros(*batch.mask.shape, HEARD)

    def loss_of(change):
        monkeypatch.setattr(probe, "denoise", lambda rows, *_: change(rows))
        return one.loss(probe, outputs, batch).item()

    slides = 0.1 * sliding(batch.targets["rows"]).item()
    assert loss_of(lambda rows: rows) == pytest.approx(slides, rel=1e-3)
    trunk = torch.zeros(WIDTH)
    trunk[JOINT.start + 3 * (JOINTS.index("neck") - 1)] = 2.0
    error = 4 / WIDTH
    assert loss_of(lambda rows: rows + trunk) == pytest.approx(slides + error, rel=1e-3)
    sign = torch.tensor([1.0, -1.0]).repeat(30)[: batch.mask.shape[1], None]
    wanted = slides + error + 4 * error
    assert loss_of(lambda rows: rows + sign * trunk) == pytest.approx(wanted, rel=1e-3)


def test_only_whole_windows_are_learned_from(tracks, tmp_path):
    short = write_track(tmp_path, 9, 100, seconds=1.0)
    one, again = task(tracks), task(tracks)
    alone, beside = batch_of(one, tracks[:1]), batch_of(again, [tracks[0], short])
    assert len(beside.mask) == len(alone.mask) + 1
    losses = [one.training_step(alone, 0), again.training_step(beside, 0)]
    torch.testing.assert_close(*losses)
    for nothing in (
        beside._replace(mask=torch.zeros_like(beside.mask)),
        collate([(torch.zeros(2, 2, 3), 0, {}, {"rows": torch.zeros(2, WIDTH)})]),
    ):
        loss = one.training_step(nothing, 0)
        assert loss.item() == 0
        loss.backward()


def test_a_quarter_of_the_windows_is_without_music(tracks, monkeypatch):
    one = task(tracks)
    probe, batch = one.typed_probes[0], batch_of(one, tracks)
    probe.denoiser.null_condition.data.fill_(-3)
    heard, times = [], []

    def listening(rows, condition, when, noise):
        heard.append((condition == -3).flatten(1).float().mean(dim=1))
        times.append(when)
        return rows

    monkeypatch.setattr(probe, "denoise", listening)
    for _ in range(60):
        one.loss(probe, torch.ones(*batch.mask.shape, HEARD), batch)
    dropped = torch.cat(heard)
    assert set(dropped.tolist()) == {0.0, 1.0}, "a window has all of its music or none"
    assert dropped.mean().item() == pytest.approx(0.25, abs=4 * (0.1875 / len(dropped)) ** 0.5)
    every = torch.cat(times)
    assert every.min() >= 0
    assert every.max() < diffusion.TIMESTEPS
    assert every.float().mean().item() == pytest.approx(500, abs=50)


class Stage(DataModule):
    """The tracks, in batches whose order is the same for all seeds."""

    card = dancing.Dancing.card

    def __init__(self, tracks):
        super().__init__(Path())
        self.all = tracks

    def serve(self, examples, collate, batch_size, seed):
        super().serve(examples, collate, batch_size, seed=0)

    def tracks(self, split):
        return {"train": self.all[:2], "validation": self.all[2:3], "test": self.all[3:]}[split]


def fit(tracks, *members, kind=Small):
    stage = Stage(tracks)
    with TemporaryDirectory() as folder:
        return train(
            kind,
            Numbers(),
            stage,
            stage,
            probe="decoder",
            members=members,
            statistics=feature_statistics(Numbers(), stage.tracks("train")),
            label="test",
            kept=Path(folder) / "probes",
        )


def test_members_side_by_side_end_as_if_alone(tracks):
    members = [Member(0, 0.002), Member(1, 0.005), Member(0, 0.01)]
    for member, beside in zip(members, fit(tracks, *members), strict=True):
        [alone] = fit(tracks, member)
        assert alone.monitor == pytest.approx(beside.monitor, rel=1e-4)
        for name, weights in alone.probe.state_dict().items():
            torch.testing.assert_close(
                weights, beside.probe.state_dict()[name], rtol=1e-3, atol=1e-4, msg=name
            )
        np.testing.assert_allclose(alone.outputs[0], beside.outputs[0], atol=1e-3)


def test_the_same_members_end_the_same_to_the_bit(tracks):
    first, again, other = (fit(tracks, Member(seed, 0.005))[0] for seed in (3, 3, 4))
    states = [one.probe.state_dict() for one in (first, again, other)]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert not torch.equal(states[0]["head.weight"], states[2]["head.weight"])
    dances = [one.decoder(one.outputs[0], tracks[3]) for one in (first, again, other)]
    np.testing.assert_array_equal(dances[0].positions, dances[1].positions)
    assert not np.array_equal(dances[0].positions, dances[2].positions)


def test_validation_is_the_same_each_time_and_falls_with_learning(tracks):
    one = task(tracks)
    probe = one.typed_probes[0]
    outputs = [outputs_of(one, track) for track in tracks]
    torch.manual_seed(1)
    before = one.validate(probe, outputs, tracks)
    torch.manual_seed(2)
    probe.generator(torch.device("cpu")).manual_seed(5)
    assert one.validate(probe, outputs, tracks) == before
    optimiser = torch.optim.Adam(probe.parameters(), one.members[0].learning_rate)
    batch = batch_of(one, tracks)
    for _ in range(40):
        optimiser.zero_grad()
        one.training_step(batch, 0).backward()
        optimiser.step()
    assert one.validate(probe, outputs, tracks) < 0.8 * before


def test_no_window_to_validate_on_is_one_clear_error(tracks):
    one = task(tracks)
    length = round(Small.window * FPS) // PATCH * PATCH
    outputs = outputs_of(one, tracks[0])
    with pytest.raises(DatasetError, match=r"no validation track is as long as a window of 2 s"):
        one.validate(one.typed_probes[0], [outputs[: length - 1]], tracks[:1])
    assert one.validate(one.typed_probes[0], [outputs[:length]], tracks[:1]) > 0


# --- Feet ---------------------------------------------------------------------------------------


def walking(turn, planted=()):
    """A second of a stiff figure that walks in a curve; planted feet stay where they are."""
    pose = dancing.danced(110.0, 1.0).positions[0].astype(np.float64)
    pose -= pose[0] * [1, 0, 1]
    yaw = 0.7 + turn * np.arange(30) / FPS
    cos, sin = np.cos(yaw)[:, None], np.sin(yaw)[:, None]
    x, y, z = pose.T
    figure = np.stack([x * cos + z * sin, y + 0 * cos, z * cos - x * sin], axis=-1)
    way = np.cumsum(np.stack([sin, 0 * sin, cos], axis=-1) * 1.2 / FPS, axis=0)
    figure += way
    for joint in planted:
        figure[:, joint] = figure[0, joint]
    return Motion(figure.astype(np.float32), FPS)


def rows_of(motion, down):
    rows = Body.of(motion).rows(motion)
    rows[:, CONTACT] = down
    return torch.from_numpy(rows)[None]


@pytest.mark.parametrize("turn", [-1.0, 0.0, 1.5])
def test_sliding_is_the_speed_over_the_floor_of_feet_on_it(turn):
    motion = walking(turn)
    down = np.random.default_rng(0).uniform(-0.2, 1.2, (30, 4))
    speeds = np.diff(motion.positions[:, FEET][..., [0, 2]], axis=0) * FPS
    wanted = (down[1:].clip(0, 1) * (speeds**2).sum(axis=2)).mean()
    assert sliding(rows_of(motion, down)).item() == pytest.approx(wanted, rel=0.03)
    assert sliding(rows_of(motion, 0.0)).item() == 0


@pytest.mark.parametrize("turn", [-1.0, 0.0, 1.5])
@pytest.mark.parametrize("side", [0, 2])
def test_feet_at_rest_cost_nothing_under_a_body_that_walks_and_turns(turn, side):
    motion = walking(turn, planted=FEET[side : side + 2])
    down = np.zeros((30, 4))
    down[:, side : side + 2] = 1
    assert sliding(rows_of(motion, down)).item() < 1e-3
    assert sliding(rows_of(motion, 1 - down)).item() > 0.3


def test_sliding_has_a_gradient_towards_rest():
    rows = rows_of(walking(1.0), 1.0).requires_grad_()
    cost = sliding(rows)
    cost.backward()
    assert sliding(rows.detach() - 1e-4 * rows.grad) < cost


# --- Dances -------------------------------------------------------------------------------------


def test_a_dance_follows_from_track_and_seed(tracks):
    one = task(tracks, Member(0, 0.01), Member(1, 0.01))
    first, second = (one.decoder(probe) for probe in one.typed_probes)
    outputs = outputs_of(one, tracks[0])
    made = first(outputs, tracks[0])
    assert isinstance(made, Motion)
    assert made.fps == FPS
    assert len(made.positions) == len(outputs)
    assert made.contacts.shape == (len(outputs), 4)
    np.testing.assert_array_equal(first(outputs, tracks[0].blind()).positions, made.positions)
    assert not np.array_equal(first(outputs, tracks[1]).positions, made.positions)
    assert not np.array_equal(second(outputs, tracks[0]).positions, made.positions)


def test_seeds_dance_differently_with_the_same_weights(tracks):
    one = task(tracks)
    probe = one.typed_probes[0]
    outputs = outputs_of(one, tracks[0])
    made = one.decoder(probe)(outputs, tracks[0])
    probe.seed = 1
    assert not np.array_equal(one.decoder(probe)(outputs, tracks[0]).positions, made.positions)


def test_the_body_of_a_dance_is_the_average_one(tracks):
    one = task(tracks)
    made = one.decoder(one.typed_probes[0])(outputs_of(one, tracks[0]), tracks[0])
    np.testing.assert_allclose(Body.of(made).bones, one.body.bones, atol=1e-4)
    bodies = [Body.of(track.get(MotionFile).motion).bones for track in tracks]
    np.testing.assert_allclose(one.body.bones, np.mean(bodies, axis=0))


@pytest.mark.parametrize("steps", [1, 2, 31, 149, 150, 151, 400])
def test_music_of_any_length_is_danced_to(tracks, steps):
    one = task(tracks)
    outputs = np.zeros((steps, HEARD), np.float32)
    made = one.decoder(one.typed_probes[0])(outputs, tracks[0])
    assert made.positions.shape == (steps, len(JOINTS), 3)


def test_decoders_go_to_other_processes(tracks):
    one = task(tracks)
    one.training_step(batch_of(one, tracks), 0)  # random streams are open
    decoder = one.decoder(one.typed_probes[0])
    outputs = outputs_of(one, tracks[0])
    copy = pickle.loads(pickle.dumps(decoder))
    np.testing.assert_array_equal(
        copy(outputs, tracks[0]).positions, decoder(outputs, tracks[0]).positions
    )


# --- Scores -------------------------------------------------------------------------------------


def test_beat_scores_are_those_of_the_metrics(tracks):
    motions = [RealDance().predict(track, 0) for track in tracks]
    found = DanceGeneration.score_split(motions, tracks)
    beats = [track.get(Beats).times for track in tracks]
    for variant, fps in (("fact", 60.0), ("bailando", 60.0), ("edge30", 30.0)):
        score = partial(beat_alignment_score, motions[2].at(fps), variant=variant)
        groups = [np.mean([score(beats[0]), score(beats[1])]), score(beats[3])]
        assert found[2][f"bas_{variant}"] == pytest.approx(score(beats[2]))
        assert found[2][f"bas_{variant}_chance"] == pytest.approx(np.mean(groups))
        assert found[2][f"bas_{variant}_sensitivity"] > 0.1
    assert found[2]["hit_rate"] == pytest.approx(beat_hit_rate(motions[2].at(60.0), beats[2]))
    assert found[2]["pfc"] == physical_foot_contact(motions[2].at(30.0))
    assert found[2]["foot_sliding"] == foot_sliding_ratio(motions[2].at(30.0))
    assert found[2]["jerk"] == jerk(motions[2].at(30.0), 30.0)
    assert "coverage_chance" not in found[2]
    assert found[0]["group"] == found[1]["group"] != found[2]["group"]


def test_one_song_alone_has_no_chance(tracks):
    motions = [RealDance().predict(track, 0) for track in tracks[:2]]
    for one in DanceGeneration.score_split(motions, tracks[:2]):
        assert np.isfinite(one["bas_fact"])
        assert np.isnan([one["bas_fact_chance"], one["bas_fact_sensitivity"]]).all()


def test_real_dances_are_known_as_such_and_compared_by_halves(tracks):
    """Their distance from themselves would say nothing; a copy that was generated is at 0."""
    motions = [RealDance().predict(track, 0) for track in tracks]
    found = DanceGeneration.score_split(motions, tracks)
    clips = np.array([kinetic_features(motion.at(60.0)[:300]) for motion in motions])
    scaled = normalise(clips, clips)
    halves = frechet_distance(scaled[::2], scaled[1::2])
    assert [one["fid_k"] for one in found] == pytest.approx([halves] * 4)
    assert {one["clips"] for one in found} == {4}
    copies = [Motion(one.positions, one.fps) for one in motions]
    assert DanceGeneration.score_split(copies, tracks)[0]["fid_k"] == pytest.approx(0, abs=1e-6)


def test_features_that_do_not_vary_among_real_clips_are_left_out(tracks, monkeypatch):
    """Also where their deviation is not 0 but rounding, as that of 0.1, 0.1 and 0.1."""

    def features(positions):
        return np.array([positions[0, 0, 0], positions[0, 0, 1], 10 / len(positions)])

    monkeypatch.setattr(subject, "FEATURES", dict.fromkeys(subject.FEATURES, features))
    monkeypatch.setattr(subject, "_clips", lambda motion: [motion.positions])
    real = [RealDance().predict(track, 0) for track in tracks[:3]]
    real = [Motion(one.positions[:100], one.fps) for one in real]
    shift = np.float32([[0.25, 0, 0]])
    made = [Motion(one.positions[:50] + shift, one.fps) for one in real]
    whole = subject._set_scores(made, real)
    spread = np.std([one.positions[0, 0, 0] for one in real])
    assert whole["fid_k"] == pytest.approx((0.25 / spread) ** 2, rel=1e-4)
    assert whole["div_k"] > 0


def test_dances_shorter_than_a_clip_have_no_distance(tracks):
    real = [track.get(MotionFile).motion for track in tracks]
    short = [Motion(one.positions[:120], one.fps) for one in real]
    found = DanceGeneration.score_split(short, tracks)
    assert found[0]["clips"] == 0
    assert np.isnan([found[0]["fid_k"], found[0]["div_g"]]).all()
    assert np.isfinite([one["bas_fact"] for one in found]).all()


def test_beats_are_those_annotated_or_else_estimated(tracks):
    track = tracks[0]
    assert music_of(track).beats is track.get(Beats).times
    estimated = music_of(track.blind((MotionFile,)))
    assert estimated.duration == track.duration
    assert np.abs(estimated.beats[:, None] - track.get(Beats).times).min(axis=0).max() < 0.05


def test_music_without_a_beat_has_no_beat_scores_and_is_no_chance(tracks):
    without = replace(tracks[0], annotations=(Beats(np.zeros(0)), tracks[0].get(MotionFile)))
    motions = [RealDance().predict(one, 0) for one in tracks]
    found = DanceGeneration.score_split(motions, [without, *tracks[1:]])
    for name in ("bas_fact", "bas_bailando", "bas_edge30", "hit_rate", "coverage"):
        assert np.isnan(found[0][name]), name
        assert np.isfinite([one[name] for one in found[1:]]).all(), name
    assert np.isnan(found[0]["bas_fact_sensitivity"])
    assert np.isfinite([one["bas_fact_chance"] for one in found]).all()


def p_of(differences, groups):
    differences = np.atleast_2d(differences)
    evidence = {
        DanceGeneration.primary: differences,
        "group": np.broadcast_to(np.array(groups, float), differences.shape),
    }
    return DanceGeneration.summarise(evidence, np.ones((5, differences.shape[1])))["p"]


def test_p_is_that_of_a_t_test_over_groups_of_means_over_seeds():
    rng = np.random.default_rng(0)
    differences = rng.normal(0.1, 0.2, (2, 12))
    differences[1, [2, 7]] = np.nan
    differences[:, 5] = np.nan
    alone = np.nanmean(np.delete(differences, 5, axis=1), axis=0)
    wanted = ttest_1samp(alone, 0, alternative="greater").pvalue
    assert p_of(differences, range(12)) == pytest.approx(np.full((2, 5), wanted))
    by_group = [alone[:6].mean(), alone[6:8].mean(), *alone[8:]]  # without number 5
    wanted = ttest_1samp(by_group, 0, alternative="greater").pvalue
    assert p_of(differences, [0] * 7 + [1] * 2 + [2, 3, 4]) == pytest.approx(
        np.full((2, 5), wanted)
    )


def test_p_of_less_than_two_groups_is_undefined():
    for differences in ([0.3], [np.nan, np.nan], [np.nan, 0.2, np.nan]):
        assert np.isnan(p_of(differences, range(len(differences)))).all()
    assert np.isnan(p_of([0.1, 0.2], [7, 7])).all()


def test_the_real_dance_is_a_ceiling(tracks):
    [reference] = DanceGeneration.references()
    assert (reference.name, reference.kind) == ("ground-truth", "ceiling")
    np.testing.assert_array_equal(
        reference.predict(tracks[0], 0).positions, tracks[0].get(MotionFile).motion.positions
    )


def test_an_unusable_dance_is_named(tracks, tmp_path):
    positions = tracks[0].get(MotionFile).motion.positions.copy()
    holey, still = positions.copy(), np.zeros_like(positions)
    holey[5, 3] = np.nan
    bad = {"holey": holey, "still": still, "brief": positions[:1]}
    for name, content in bad.items():
        path = tmp_path / f"{name}.npz"
        np.savez(path, positions=content, fps=60.0)
        track = replace(tracks[0], annotations=(MotionFile(path),))
        with pytest.raises(MotionError, match=f"{name}.npz: motion h[ao][ls]"):
            task([*tracks, track])
