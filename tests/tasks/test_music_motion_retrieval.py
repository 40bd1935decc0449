"""Music-motion retrieval: ranks, embeddings, clips, the time axis, and pictures of a dance."""

import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from tests.dancing import danced, write_dance, write_pair
from tests.toys import shaped

from motionbeat.data_modules.base import DatasetError, MotionFile, Track
from motionbeat.features import resample_frames
from motionbeat.kinematics import FEATURES
from motionbeat.model import SAMPLE_RATE
from motionbeat.motion import Motion
from motionbeat.tasks.metrics.retrieval import ranks
from motionbeat.tasks.music_motion_retrieval import (
    ClipEmbeddings,
    MusicMotionRetrieval,
    MusicMotionRetrieval2D,
    RandomEmbeddings,
    Towers,
    UntrainedTowers,
    estimated_period,
)

SECONDS = 12.0
UPWARDS = {MusicMotionRetrieval: 24 * 3 + 23 * 3 + 1, MusicMotionRetrieval2D: 24 * 2 + 23 * 2 + 1}
"""Column of the upward speed of the last joint, a hand."""


def write_track(folder, name, bpm, seconds=SECONDS):
    pair = write_pair(folder, name, bpm, seconds)
    return Track(name, pair.audio, seconds, name, (MotionFile(pair.motion),))


@pytest.fixture(scope="module")
def tracks(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dances")
    return [write_track(folder, f"song{bpm}", bpm) for bpm in (100, 126)]


@pytest.fixture
def task(tracks):
    one = MusicMotionRetrieval(shaped(10.0))
    one.prepare(tracks)
    return one


def score_all(embeddings, groups):
    tracks = [Track(str(i), Path(), 10.0, group, ()) for i, group in enumerate(groups)]
    return MusicMotionRetrieval.score_all(embeddings, tracks)


def test_ranks_by_hand():
    nearness = np.array([[0.9, 0.5, 0.1], [0.8, 0.2, 0.2], [np.nan, 0.1, 0.3]])
    assert ranks(nearness, np.eye(3, dtype=bool)).tolist() == [1, 3, 2]
    right = np.array([[False, True, True]] * 3)
    assert ranks(nearness, right).tolist() == [2, 2, 2]


def test_inputs_are_the_dance_and_the_dance_a_beat_off(task, tracks):
    inputs = task.track_inputs(tracks[0].without_annotations((MotionFile,)), 120)
    assert {name: rows.shape for name, rows in inputs.items()} == dict.fromkeys(
        ("motion", "earlier", "later"), (120, FEATURES)
    )
    period = estimated_period(tracks[0].audio_path)
    assert min(abs(period * k - 0.6) for k in (0.5, 1, 2)) < 0.02, "of the beats that are heard"
    inner = slice(20, 100)
    shifted = inputs["motion"].roll(-round(period * 10), dims=0)[inner]
    near = (inputs["later"][inner] - shifted).abs().mean()
    assert near < 0.5 * (inputs["later"] - inputs["motion"])[inner].abs().mean()
    assert len(task.track_inputs(tracks[0], 200)["motion"]) == 200, "the last stands in"


@pytest.mark.parametrize("rate", [10.0, 30.0])
@pytest.mark.parametrize("encoder_rate", [50.0, 43.07])
@pytest.mark.parametrize("kind", [MusicMotionRetrieval, MusicMotionRetrieval2D])
def test_music_and_motion_share_one_time_axis(kind, encoder_rate, rate):
    """A click and a jerk at one moment are in one step, at any rate of frames and of steps."""
    moments = np.array([1.0, 2.3, 3.7, 5.1])
    frames = np.arange(round(6 * encoder_rate)) / encoder_rate
    clicks = np.maximum(0, 1 - np.abs(frames[:, None] - moments) * encoder_rate).sum(axis=1)
    heard = resample_frames(torch.from_numpy(clicks).float()[:, None], encoder_rate, rate)[:, 0]
    fps = 60.0
    lifted = np.zeros(round(6 * fps))
    for moment in moments:  # one hand is thrown up, fastest at that moment
        lifted += 0.3 / (1 + np.exp(-(np.arange(len(lifted)) / fps - moment) / 0.02))
    positions = np.repeat(danced(110, 6.0, fps=fps).positions[:1], len(lifted), axis=0)
    positions[:, -1, 1] += lifted.astype(np.float32)
    seen = kind.motion_features(Motion(positions, fps), "one", rate)
    moved = np.abs(seen[:, UPWARDS[kind]])
    for moment in moments:
        inside = np.arange(round((moment - 0.5) * rate), round((moment + 0.5) * rate))
        middles = [np.average(inside / rate, weights=np.asarray(one)[inside])
                   for one in (heard, moved)]  # fmt: skip
        assert middles == pytest.approx([moment, moment], abs=0.012)


def test_only_whole_clips_count(task, tracks):
    outputs = np.random.default_rng(0).standard_normal((120, 4 * 144)).astype(np.float32)
    found = task.decode(outputs, tracks[0])
    assert found.music.shape == (2, 128 + 16 * 50)
    np.testing.assert_allclose(np.linalg.norm(found.motion, axis=1), 1, atol=1e-6)
    brief = replace(tracks[0], duration=4.9)
    nothing = task.decode(outputs[:49], brief)
    assert len(nothing.music) == 0
    with pytest.raises(DatasetError, match="no validation track is as long as a clip of 5 s"):
        task.validation_result([nothing], [brief])
    real = torch.randn(3, 50, 4 * 144, generator=torch.Generator().manual_seed(0))
    mask = torch.ones(3, 50, dtype=torch.bool)
    whole = task.loss(real[:2], {}, mask[:2])
    mask[2, 30:] = False
    torch.testing.assert_close(task.loss(real, {}, mask), whole)
    assert task.loss(real[:, :20], {}, mask[:, :20]).item() == 0


def test_cosines_are_the_mean_of_clip_and_time(task, tracks):
    states = np.random.default_rng(0).standard_normal((50, 144)).astype(np.float32)
    other = np.concatenate([states[:, :128], np.roll(states[:, 128:], 7, axis=0)], axis=1)
    outputs = np.concatenate([states, states, other, other], axis=1)
    found = task.decode(outputs, replace(tracks[0], duration=5.0))
    assert (found.music @ found.motion.T).item() == pytest.approx(1)
    moved = (found.music @ found.earlier.T).item()
    assert 0.3 < moved < 0.75, "the same clip embedding, another time embedding"


def test_scores_by_hand():
    clips = np.eye(4)
    found = [
        ClipEmbeddings(clips[:2], clips[[1, 0]], clips[[3, 3]], clips[:2], 0.5),
        ClipEmbeddings(clips[2:3], clips[2:3], clips[3:4], clips[3:4], 0.505),
        ClipEmbeddings(clips[3:], clips[3:], clips[:1], clips[:1], 0.9),
    ]
    first, second, third = score_all(found, "aab")
    # Both clips of the first track find each other's moment, but not their own.
    assert (first["m2d_r1"], first["m2d_song_r1"]) == (0, 1)
    assert first["m2d_rank"] == 4, "ties count against"
    assert first["shift"] == 0, "nearer to the dance a beat later than to the true one"
    assert (second["m2d_r1"], second["d2m_map"], second["shift"]) == (1, 1, 1)
    assert {one["pool"] for one in (first, second, third)} == {4}
    assert {one["m2d_median_rank"] for one in (first, second, third)} == {2.5}, "of 4, 4, 1 and 1"


def test_impostors_are_clips_of_other_pieces_of_the_same_tempo():
    """Two dances to one song, a piece as fast with a clip that is nearer, and a slower piece."""
    song, near, far = np.eye(3)
    own = 0.8 * song + 0.6 * near
    rows = (
        (song[None], own[None], 0.5),
        (song[None], song[None], 0.5),
        (np.stack([far, near]), np.stack([far, 0.9 * song + 0.1 * far]), 0.51),
        (far[None], song[None], 0.6),
    )
    found = [ClipEmbeddings(music, moves, moves, moves, period) for music, moves, period in rows]
    first, second, third, fourth = score_all(found, "aabc")
    assert first["impostor"] == 0.5, "nearer than one of two; the other dance to its song is none"
    assert second["impostor"] == 1
    assert third["impostor"] == np.mean([1, 0]), "no motion is near its second clip, its own least"
    assert np.isnan(fourth["impostor"]), "no other piece has its tempo"


def test_strangers_find_nothing(tracks):
    many = [Track(f"{i}", tracks[0].audio_path, 20.0, f"{i}", ()) for i in range(30)]
    found = [RandomEmbeddings().predict(track, 0) for track in many]
    assert {len(one.music) for one in found} == {4}
    scores = MusicMotionRetrieval.score_all(found, many)
    assert np.mean([one["r10"] for one in scores]) == pytest.approx(10 / 120, abs=0.06)
    assert np.mean([one["shift"] for one in scores]) == pytest.approx(0.5, abs=0.1)


def test_a_picture_has_no_depth_and_does_not_see_how_near_one_stands(tracks):
    motion = tracks[0].get(MotionFile).motion

    def picture(positions):
        found = Motion(positions.astype(np.float32), motion.fps)
        return MusicMotionRetrieval2D.motion_features(found, tracks[0].id, 10.0)

    seen = picture(motion.positions)
    assert seen.shape == (120, MusicMotionRetrieval2D.motion_width)
    np.testing.assert_allclose(picture(motion.positions * 1.3), seen, atol=1e-3)
    yaw = 2 * np.pi * zlib.crc32(tracks[0].id.encode()) / 2**32
    away = np.array([-np.sin(yaw), 0, np.cos(yaw)])
    depth = motion.positions + away * np.linspace(0, 3, len(motion.positions))[:, None, None]
    np.testing.assert_allclose(picture(depth), seen, atol=2e-3)


def test_towers_learn_to_find_each_other(task):
    latent = torch.randn(8, 50, 6, generator=torch.Generator().manual_seed(0))
    seen = torch.nn.functional.pad(latent, (0, FEATURES - 6))
    inputs = {"motion": seen, "earlier": seen.roll(5, 1), "later": seen.roll(-5, 1)}
    mask = torch.ones(8, 50, dtype=torch.bool)
    optimiser = torch.optim.Adam(task.parameters(), 0.01)
    losses = []
    for _ in range(40):
        loss = task.loss(task.respond(latent[..., :3], inputs), {}, mask)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.3 * losses[0]


@pytest.fixture(scope="module", params=[Towers, UntrainedTowers], ids=lambda kind: kind.name)
def towers(request):
    return request.param()


def cut_track(folder, track, start, stop):
    """Music and dance of a part of a track, in files of their own."""
    waveform, rate = soundfile.read(track.audio_path, dtype="int16")
    audio, dance = folder / f"{start}.wav", folder / f"{start}.npz"
    soundfile.write(audio, waveform[round(start * rate) : round(stop * rate)], rate)
    motion = track.get(MotionFile).motion
    frames = slice(round(start * motion.fps), round(stop * motion.fps))
    write_dance(dance, Motion(motion.positions[frames], motion.fps))
    return Track(f"{track.id}-{start}", audio, stop - start, track.group, (MotionFile(dance),))


def test_towers_embed_each_whole_clip_as_if_alone(tracks, towers, tmp_path):
    whole, stranger = towers.predict(tracks[0], 0), RandomEmbeddings().predict(tracks[0], 0)
    assert len(whole.music) == len(stranger.music) == 2
    assert whole.period == stranger.period
    for part in whole[:4]:
        assert part.shape == whole.music.shape
        np.testing.assert_allclose(np.linalg.norm(part, axis=1), 1, atol=1e-6)
    for index, start in enumerate((0.0, 5.0)):
        alone = towers.predict(cut_track(tmp_path, tracks[0], start, start + 5.0), 7)
        for one, other in zip(alone[:2], whole[:2], strict=True):
            np.testing.assert_allclose(one[0], other[index], atol=1e-5)


def test_the_trained_towers_find_the_dances(tracks):
    embeddings = [Towers().predict(track, 0) for track in tracks]
    scores = MusicMotionRetrieval.score_all(embeddings, tracks)
    assert np.mean([one["m2d_song_r1"] for one in scores]) > 0.5


def test_towers_bear_silence_and_tracks_without_a_clip(tracks, towers, tmp_path):
    audio = tmp_path / "silence.wav"
    soundfile.write(audio, np.zeros(round(SECONDS * SAMPLE_RATE)), SAMPLE_RATE)
    silent = replace(tracks[0], audio_path=audio)
    found = towers.predict(silent, 0)
    assert found.period == 0.5
    assert len(found.music) == 2
    assert all(np.isfinite(part).all() for part in found[:4])
    short = write_track(tmp_path, "short", 110, seconds=3.0)
    found = towers.predict(short, 0)
    assert [len(part) for part in found[:4]] == [0, 0, 0, 0]
    assert len(RandomEmbeddings().predict(short, 0).music) == 0
    assert np.isnan(MusicMotionRetrieval.score_all([found], [short])[0]["r10"])
