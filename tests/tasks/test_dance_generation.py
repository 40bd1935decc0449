"""Music to dance: what is learned from, the losses, the dances and their scores."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from lightning import Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from scipy.stats import ttest_1samp
from tests import dancing

from motionbeat.benchmarks.ensemble import Ensemble
from motionbeat.data_modules.base import Beats, Clips, DatasetError, MotionFile, Track, collate
from motionbeat.motion import FEET, JOINTS, Motion, MotionError
from motionbeat.tasks import dance_generation as subject
from motionbeat.tasks.dance_generation import CLIP, DanceGeneration, RealDance, music_of, sliding
from motionbeat.tasks.diffusion import PATCH
from motionbeat.tasks.metrics import dance_scores
from motionbeat.tasks.metrics.dance_alignment import motion_beats
from motionbeat.tasks.metrics.dance_distances import frechet_distance, normalise
from motionbeat.tasks.metrics.dance_features import kinetic_features
from motionbeat.tasks.metrics.dance_physics import jerk, physical_foot_contact
from motionbeat.tasks.poses import CONTACT, FPS, JOINT, WIDTH, Body

SECONDS = 6.0
CONDITION = 64


@pytest.fixture(autouse=True)
def small(monkeypatch):
    dancing.train_shortly(monkeypatch)


@pytest.fixture(scope="module")
def tracks(tmp_path_factory):
    """Four click tracks and dances to them; the first two are of one group."""
    folder = tmp_path_factory.mktemp("dances")
    return [write_track(folder, index, bpm) for index, bpm in enumerate((96, 104, 112, 120))]


def write_track(folder, index, bpm, seconds=SECONDS):
    pair = dancing.write_pair(folder, f"song{index}", bpm, seconds, index)
    annotations = (Beats(*dancing.beats_at(bpm, seconds)), MotionFile(pair.motion))
    group = "together" if index < 2 else f"group{index}"
    return Track(pair.id, pair.audio, seconds, group, annotations)


@pytest.fixture
def task(tracks):
    return prepared(tracks)


def prepared(tracks, seed=0, learning_rate=0.005):
    """A task with a head, as before training."""
    one = DanceGeneration("logmel", seed=seed, learning_rate=learning_rate)
    one.prepare(tracks)
    return one


@pytest.fixture
def batch(tracks):
    return batch_of(tracks)


def read(track, start, stop):
    """Features: sines of the time and of the track."""
    times = torch.arange(start, stop)[:, None] / FPS
    waves = torch.sin(times * (1 + torch.arange(80) % 7) + 2 * len(track.id))
    return waves[:, None]


def batch_of(tracks, seconds=2.0):
    lengths = [round(track.duration * FPS) for track in tracks]
    clips = Clips(tracks, lengths, FPS, read, round(seconds * FPS), 15)
    return collate([clips[index] for index in range(len(clips))], FPS)


def loss_of(one, batch):
    outputs, mask = one(batch)
    return one.loss(outputs, one.targets(batch, mask.shape[1]), mask)


def train(module, loss, steps):
    optimiser = torch.optim.Adam(module.parameters(), 0.005)
    for _ in range(steps):
        optimiser.zero_grad()
        loss().backward()
        optimiser.step()


def outputs_of(one, track):
    with torch.inference_mode():
        return one(batch_of([track], track.duration))[0][0].numpy()


# --- Learning -----------------------------------------------------------------------------------


def test_targets_are_the_dance_and_its_last_row_where_it_ends(task, tracks):
    rows = task.rows(tracks[0])
    found = task.track_targets(tracks[0], 200)["rows"].numpy()
    assert len(rows) == 180
    np.testing.assert_array_equal(found[:180], rows)
    np.testing.assert_array_equal(found[180:], rows[-1:].repeat(20, axis=0))


def test_the_loss_by_hand(task, batch, monkeypatch):
    """Of a prediction that is right, of one that is off throughout, and of one that trembles."""
    outputs = torch.zeros(*batch.mask.shape, CONDITION)
    targets = task.targets(batch, batch.mask.shape[1])

    def loss_of(change):
        monkeypatch.setattr(task.head, "denoise", lambda rows, *_: change(rows))
        return task.loss(outputs, targets, batch.mask).item()

    slides = 0.1 * sliding(targets["rows"]).item()
    assert loss_of(lambda rows: rows) == pytest.approx(slides, rel=1e-3)
    trunk = torch.zeros(WIDTH)
    trunk[JOINT.start + 3 * (JOINTS.index("neck") - 1)] = 2.0
    error = 4 / WIDTH
    assert loss_of(lambda rows: rows + trunk) == pytest.approx(slides + error, rel=1e-3)
    sign = torch.tensor([1.0, -1.0]).repeat(30)[: batch.mask.shape[1], None]
    wanted = slides + error + 4 * error
    assert loss_of(lambda rows: rows + sign * trunk) == pytest.approx(wanted, rel=1e-3)


def test_only_whole_clips_are_learned_from(tracks, tmp_path):
    short = write_track(tmp_path, 9, 100, seconds=1.0)
    alone, beside = batch_of(tracks[:1]), batch_of([tracks[0], short])
    assert len(beside.mask) == len(alone.mask) + 1
    torch.testing.assert_close(loss_of(prepared(tracks), alone), loss_of(prepared(tracks), beside))
    nothing = loss_of(prepared(tracks), beside._replace(mask=torch.zeros_like(beside.mask)))
    assert nothing.item() == 0
    nothing.backward()


def test_a_quarter_of_the_clips_is_without_music(task, batch, monkeypatch):
    task.head.denoiser.null_condition.data.fill_(-3)
    shares = []

    def denoise(rows, condition, timesteps, noise):
        shares.append((condition == -3).flatten(1).float().mean(dim=1))
        return rows

    monkeypatch.setattr(task.head, "denoise", denoise)
    targets = task.targets(batch, batch.mask.shape[1])
    for _ in range(60):
        task.loss(torch.ones(*batch.mask.shape, CONDITION), targets, batch.mask)
    dropped = torch.cat(shares)
    assert set(dropped.tolist()) == {0.0, 1.0}, "a clip has all of its music or none"
    assert dropped.mean().item() == pytest.approx(0.25, abs=4 * (0.1875 / len(dropped)) ** 0.5)


def test_members_side_by_side_end_as_if_alone(tracks, batch):
    settings = [(0, 0.002), (1, 0.005), (0, 0.01)]

    def trained(*members):
        ensemble = Ensemble([prepared(tracks, *member) for member in members])
        groups = [group for one in ensemble.tasks for group in one.parameter_groups()]
        optimiser = torch.optim.Adam(groups)
        for _ in range(8):
            optimiser.zero_grad()
            ensemble.training_step(batch, 0).backward()
            optimiser.step()
        return ensemble.tasks

    for member, beside in zip(settings, trained(*settings), strict=True):
        [alone] = trained(member)
        for name, weights in alone.state_dict().items():
            torch.testing.assert_close(
                weights, beside.state_dict()[name], rtol=1e-3, atol=1e-4, msg=name
            )


def test_validation_is_the_same_each_time_and_falls_with_learning(task, batch, tracks):
    def validated(tracks=tracks, until=None):
        values = [task.validation_value(outputs_of(task, track)[:until], track) for track in tracks]
        return task.validation_result(values, tracks)

    before = validated()
    task.head.generator.manual_seed(5)
    assert validated() == before
    train(task, lambda: loss_of(task, batch), 40)
    assert task.head.map.weight.grad.abs().max() > 0, "the projection of the music learns too"
    assert validated() < 0.8 * before
    length = round(CLIP * FPS) // PATCH * PATCH
    assert validated(tracks[:1], length) > 0
    with pytest.raises(DatasetError, match=r"no validation track is as long as a clip of 5 s"):
        validated(tracks[:1], length - 1)


def test_a_trained_task_is_loaded_from_its_checkpoint(tmp_path):
    data = dancing.Dancing(tmp_path / "data", seconds=SECONDS, batch_size=4, clip_seconds=2.0)
    one = DanceGeneration("logmel")
    keep = ModelCheckpoint(tmp_path, monitor=one.monitor, mode=one.mode)
    trainer = Trainer(
        max_epochs=1, logger=False, callbacks=[keep], enable_progress_bar=False, accelerator="cpu"
    )
    trainer.fit(one, data)
    [scores] = trainer.test(one, data, verbose=False)
    assert {f"test/{name}" for name in DanceGeneration.headline} <= set(scores)
    again = DanceGeneration.load_from_checkpoint(keep.best_model_path)
    song = data.tracks("test")[0].audio_path
    made, same = one.predict(song), again.predict(song)
    np.testing.assert_array_equal(made.positions, same.positions)
    assert made.duration == SECONDS


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


@pytest.mark.parametrize("turn", [0.0, 1.5])
def test_sliding_is_the_speed_over_the_floor_of_feet_on_it(turn):
    motion = walking(turn)
    down = np.random.default_rng(0).uniform(-0.2, 1.2, (30, 4))
    speeds = np.diff(motion.positions[:, FEET][..., [0, 2]], axis=0) * FPS
    wanted = (down[1:].clip(0, 1) * (speeds**2).sum(axis=2)).mean()
    assert sliding(rows_of(motion, down)).item() == pytest.approx(wanted, rel=0.03)
    assert sliding(rows_of(motion, 0.0)).item() == 0


@pytest.mark.parametrize("side", [0, 2])
def test_feet_at_rest_cost_nothing_under_a_body_that_walks_and_turns(side):
    motion = walking(1.5, planted=FEET[side : side + 2])
    down = np.zeros((30, 4))
    down[:, side : side + 2] = 1
    assert sliding(rows_of(motion, down)).item() < 1e-3
    assert sliding(rows_of(motion, 1 - down)).item() > 0.3


# --- Dances -------------------------------------------------------------------------------------


def test_a_dance_follows_from_track_and_seed(task, tracks):
    outputs = outputs_of(task, tracks[0])
    made = task.decode(outputs, tracks[0])
    assert made.fps == FPS
    assert len(made.positions) == round(SECONDS * FPS)
    assert made.contacts.shape == (len(outputs), 4)
    same = task.decode(outputs, tracks[0].without_annotations())
    np.testing.assert_array_equal(same.positions, made.positions)
    assert not np.array_equal(task.decode(outputs, tracks[1]).positions, made.positions)
    bodies = [Body.of(track.get(MotionFile).motion).bones for track in tracks]
    np.testing.assert_allclose(Body.of(made).bones, np.mean(bodies, axis=0), atol=1e-4)
    task.seed = 1
    assert not np.array_equal(task.decode(outputs, tracks[0]).positions, made.positions)


def test_an_unusable_dance_is_named(tracks, tmp_path):
    positions = tracks[0].get(MotionFile).motion.positions
    bad = {"still": np.zeros_like(positions), "brief": positions[:1]}
    for name, content in bad.items():
        path = tmp_path / f"{name}.npz"
        np.savez(path, positions=content, fps=60.0)
        track = replace(tracks[0], annotations=(MotionFile(path),))
        with pytest.raises(MotionError, match=f"{name}.npz: motion h[ao][ls]"):
            prepared([*tracks, track])


# --- Scores -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def real(tracks):
    return [RealDance().predict(track, 0) for track in tracks]


def test_beat_scores_are_those_of_the_metrics(tracks, real):
    found = DanceGeneration.score_all(real, tracks)
    beats = [track.get(Beats).times for track in tracks]
    for variant in ("fact", "bailando", "edge30"):
        score = dance_scores.BEAT_SCORES[f"BAS {variant}"]
        positions = real[2].at(score.fps)
        moves = motion_beats(positions, variant)
        of = [score.of(moves, len(positions), times) for times in beats]
        chance = np.mean([np.mean(of[:2]), of[3]])
        assert found[2][f"bas_{variant}"] == pytest.approx(of[2])
        assert found[2][f"bas_{variant}_chance"] == pytest.approx(chance)
        assert found[2][f"bas_{variant}_sensitivity"] > 0.1
    assert found[2]["pfc"] == physical_foot_contact(real[2].at(30.0))
    assert found[2]["jerk"] == jerk(real[2].at(30.0), 30.0)
    assert "coverage_chance" not in found[2]
    assert found[0]["song"] == found[1]["song"] != found[2]["song"]
    for one in DanceGeneration.score_all(real[:2], tracks[:2]):
        assert np.isfinite(one["bas_fact"])
        assert np.isnan([one["bas_fact_chance"], one["bas_fact_sensitivity"]]).all(), "one song"


def test_real_dances_are_known_as_such_and_compared_by_halves(tracks, real):
    """Their distance from themselves would say nothing; a copy that was generated is at 0."""
    found = DanceGeneration.score_all(real, tracks)
    clips = np.array([kinetic_features(motion.at(60.0)[:300]) for motion in real])
    scaled = normalise(clips, clips)
    halves = [
        frechet_distance(scaled[[0, other]], np.delete(scaled, [0, other], axis=0))
        for other in (1, 2, 3)
    ]
    [distance] = {one["fid_k"] for one in found}
    assert min(halves) < distance < max(halves), "the mean of random halves"
    assert {one["clips"] for one in found} == {4}
    copies = [Motion(one.positions, one.fps) for one in real]
    assert DanceGeneration.score_all(copies, tracks)[0]["fid_k"] == pytest.approx(0, abs=1e-6)
    short = [Motion(one.positions[:120], one.fps) for one in real]
    found = DanceGeneration.score_all(short, tracks)
    assert found[0]["clips"] == 0
    assert np.isnan([found[0]["fid_k"], found[0]["div_g"]]).all()
    assert np.isfinite([one["bas_fact"] for one in found]).all()


def test_features_that_do_not_vary_among_real_clips_are_left_out(real, monkeypatch):
    """Also where their deviation is not 0 but rounding, as that of 0.1, 0.1 and 0.1."""

    def features(positions):
        return np.array([positions[0, 0, 0], positions[0, 0, 1], 10 / len(positions)])

    monkeypatch.setattr(subject, "FEATURES", dict.fromkeys(subject.FEATURES, features))
    monkeypatch.setattr(subject, "_clips", lambda motion: [motion.positions])
    whole = [Motion(one.positions[:100], one.fps) for one in real[:3]]
    shift = np.float32([[0.25, 0, 0]])
    made = [Motion(one.positions[:50] + shift, one.fps) for one in whole]
    scores = subject._set_scores(made, whole)
    spread = np.std([one.positions[0, 0, 0] for one in whole])
    assert scores["fid_k"] == pytest.approx((0.25 / spread) ** 2, rel=1e-4)


def test_beats_are_those_annotated_or_else_estimated(tracks):
    track = tracks[0]
    assert music_of(track).beats is track.get(Beats).times
    estimated = music_of(track.without_annotations((MotionFile,)))
    assert estimated.duration == track.duration
    assert np.abs(estimated.beats[:, None] - track.get(Beats).times).min(axis=0).max() < 0.05


def test_music_without_a_beat_has_no_beat_scores_and_is_no_chance(tracks, real):
    without = replace(tracks[0], annotations=(Beats(np.zeros(0)), tracks[0].get(MotionFile)))
    found = DanceGeneration.score_all(real, [without, *tracks[1:]])
    for name in ("bas_fact", "hit_rate", "coverage"):
        assert np.isnan(found[0][name]), name
        assert np.isfinite([one[name] for one in found[1:]]).all(), name
    assert np.isnan(found[0]["bas_fact_sensitivity"])
    assert np.isfinite([one["bas_fact_chance"] for one in found]).all()


def p_of(differences, groups):
    differences = np.atleast_2d(differences)
    songs = np.broadcast_to(np.array(groups, str), differences.shape)
    per_track = {DanceGeneration.primary: differences, "song": songs}
    return DanceGeneration.summarise(per_track, np.ones((5, differences.shape[1])))["p"]


def test_p_is_that_of_a_t_test_over_groups_of_means_over_seeds():
    differences = np.random.default_rng(0).normal(0.1, 0.2, (2, 12))
    differences[1, [2, 7]] = np.nan
    differences[:, 5] = np.nan
    alone = np.nanmean(np.delete(differences, 5, axis=1), axis=0)
    by_group = [alone[:6].mean(), alone[6:8].mean(), *alone[8:]]  # without number 5
    for groups, values in ((range(12), alone), ([0] * 7 + [1] * 2 + [2, 3, 4], by_group)):
        wanted = ttest_1samp(values, 0, alternative="greater").pvalue
        assert p_of(differences, groups) == pytest.approx(np.full((2, 5), wanted))
    for differences, groups in (([0.3], "a"), ([np.nan, 0.2], "ab"), ([0.1, 0.2], "aa")):
        assert np.isnan(p_of(differences, list(groups))).all()
