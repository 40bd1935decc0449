"""Rules of the datasets with captured dances: conversion, shared songs, splits by song."""

import os
from pathlib import Path

import numpy as np
import pytest
import soundfile
from tests.lookalikes import dance as copies
from tests.lookalikes import every

from motionbeat.data_modules.base import SPLITS, DatasetError, Genre, MotionFile
from motionbeat.data_modules.motion_formats import SMPL_OFFSETS
from motionbeat.data_modules.published.aistpp import GENRES, held_out, tempo
from motionbeat.data_modules.published.dance_with_melody import (
    FPS,
    JOINT_MIX,
    DanceWithMelody,
    smpl_joints,
)
from motionbeat.motion import JOINTS, PARENTS, MotionError

DATA = os.environ.get("MOTIONBEAT_DATA")
SHARING = tuple(f"gHO_sBM_cAll_d{dancer}_mHO1_ch04" for dancer in (21, 19))
at = JOINTS.index


def test_aistpp_is_split_by_songs(made):
    dataset = made("aistpp")
    groups = {split: {track.group for track in dataset.tracks(split)} for split in SPLITS}
    assert groups["test"] == {"mLH4", "mKR2"}
    assert {group[:3] for group in groups["validation"]} == {"mWA", "mHO"}
    assert len(groups["validation"]) == len(groups["train"]) == 2


def test_the_held_out_songs_of_the_true_list_of_aistpp():
    """One of the five training songs of each genre; fixed, for it decides what is learned from."""
    tested = {"mLH4", "mKR2", "mBR0", "mLO2", "mJB5", "mWA0", "mJS3", "mMH3", "mHO5", "mPO1"}
    songs = {f"m{genre}{number}" for genre in GENRES for number in range(6)} - tested
    held = "mBR4 mHO2 mJB1 mJS0 mKR0 mLH3 mLO3 mMH2 mPO2 mWA1"
    assert held_out(songs) == set(held.split())
    assert [tempo("HO", 5), tempo("BR", 0), tempo("WA", 5)] == [135, 80, 130]


def test_shared_songs_are_cut_to_each_dance_and_own_audio_used_in_place(made):
    dataset = made("aistpp")
    tracks, seconds = every(dataset), copies.AIST_FRAMES / 60
    song, rate = soundfile.read(dataset.folder / "music/mHO1.wav", dtype="int16")
    for track in (tracks[id] for id in SHARING):
        samples, same = soundfile.read(track.audio_path, dtype="int16")
        assert same == rate
        assert track.duration == len(samples) / rate == seconds
        np.testing.assert_array_equal(samples, song[: len(samples)])
        assert track.get(MotionFile).motion.duration == seconds
    assert len({tracks[id].audio_path for id in SHARING}) == 2
    own = copies.AIST_OWN
    assert tracks[own].audio_path == dataset.folder / f"wavs/{own}.wav"
    soundfile.write(dataset.folder / "music/mLH4.wav", np.zeros(96000), 48000)  # put there later
    later = every(made("aistpp"))[own]
    assert (later.audio_path.suffix, later.duration) == (".flac", seconds)


def test_a_song_shorter_than_a_dance_ends_before_it(made):
    path = made("aistpp").folder / "music/mKR2.wav"
    song, rate = soundfile.read(path)
    soundfile.write(path, song[: rate // 2], rate)
    track = every(made("aistpp"))["gKR_sBM_cAll_d28_mKR2_ch02"]
    assert track.duration == 0.5
    assert soundfile.info(track.audio_path).frames == rate // 2


def test_motions_are_converted_once_and_damaged_conversions_again(made):
    first = every(made("aistpp"))
    motion = first["gWA_sFM_cAll_d25_mWA4_ch05"].get(MotionFile).motion
    assert motion.fps == 60
    time = np.arange(copies.AIST_FRAMES) / 60
    expected = np.stack([0.04 * time, np.ones_like(time), 0 * time], axis=1)
    np.testing.assert_allclose(motion.positions[:, 0], expected, atol=1e-5)
    cut = first[SHARING[0]].audio_path
    whole = cut.read_bytes()
    cut.write_bytes(b"broken")
    made("aistpp").prepare_data()
    assert cut.read_bytes() == whole
    for path in (made("aistpp").folder / "motions").iterdir():
        path.write_bytes(b"unreadable")
    again = every(made("aistpp"))
    for id, track in first.items():
        assert track.get(MotionFile).path == again[id].get(MotionFile).path


def test_a_missing_motion_is_refused_or_left_out(made):
    gone = "gKR_sBM_cAll_d28_mKR2_ch02"
    (made("aistpp").folder / f"motions/{gone}.pkl").unlink()
    with pytest.raises(DatasetError, match=rf"1 of 9 tracks.*motions/{gone}\.pkl.*partial"):
        made("aistpp").tracks("test")
    part = made("aistpp", partial=True)
    assert gone not in every(part)
    assert "partial-8of9" in part.revision


def turning_hip(angle, x, y):
    """Places of a left hip beside hips at 1 m that turn about the vertical."""
    return np.stack([x * np.cos(angle), y + 0 * angle, -x * np.sin(angle)], axis=1)


def test_finedance_reads_both_layouts_of_its_arrays(made):
    tracks = every(made("finedance"))
    # The hips turn about the vertical; row 1 is (cos, 0, sin), so the left hip goes to -z.
    angle = np.arange(copies.FINE_FRAMES) / 30
    x, y, _ = SMPL_OFFSETS[at("l_hip")]
    for id in ("001", "002"):  # with contacts, and without
        motion = tracks[id].get(MotionFile).motion
        assert (motion.fps, motion.duration) == (30, copies.FINE_FRAMES / 30)
        np.testing.assert_allclose(motion.positions[:, 0], [[0, 1, 0]] * len(angle), atol=1e-6)
        expected = turning_hip(angle, x, 1 + y)
        np.testing.assert_allclose(motion.positions[:, at("l_hip")], expected, atol=1e-6)


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (np.zeros((4, 168), np.float32), r"shape \(4, 168\)"),
        (np.full((4, 315), np.nan, np.float32), "NaN"),
        (np.array([{"a": 1}], dtype=object), "unreadable"),
    ],
)
def test_other_motions_of_finedance_are_refused_by_name(made, array, reason):
    np.save(made("finedance").folder / "motion/012.npy", array, allow_pickle=True)
    with pytest.raises(MotionError, match=rf"012\.npy: .*{reason}"):
        made("finedance").prepare_data()


def test_motorica_is_read_at_its_rate(made):
    motion = made("motorica").tracks("test")[0].get(MotionFile).motion
    assert (motion.fps, motion.duration) == (120, copies.MOTORICA_FRAMES / 120)
    hip = turning_hip(np.radians(np.arange(copies.MOTORICA_FRAMES)), 0.09, 0.87)
    np.testing.assert_allclose(motion.positions[:, at("l_hip")], hip, atol=1e-6)


@pytest.mark.parametrize("name", ["take_001", "kthstreet_gXX_sFM_cAll_d01_mXX1_ch01"])
def test_other_names_in_motorica_are_refused(made, name):
    (made("motorica").folder / f"bvh/{name}.bvh").write_text(copies.bvh())
    with pytest.raises(DatasetError, match=name):
        made("motorica").prepare_data()


def test_dance_with_melody_shows_the_body_that_danced(made):
    dataset = made("dance_with_melody")
    dataset.prepare_data()
    tracks = dataset.tracks("test")
    assert [track.get(Genre).name for track in tracks] == ["cha_cha", "waltz"]
    motion, expected = tracks[0].get(MotionFile).motion, copies.melody_dance()
    assert motion.fps == FPS
    assert motion.duration == tracks[0].duration == pytest.approx(copies.MELODY_SECONDS)
    joints = motion.positions
    shown = [at(name) for name, mix in JOINT_MIX.items() if len(mix) == 1]
    gap = joints[:, shown] - expected[:, shown]
    assert np.abs(gap[..., [0, 2]]).max() < 0.003  # half precision
    # The floor is found again under feet that go up and down.
    assert np.abs(joints[..., 1].min(axis=1)).mean() < 0.02
    assert np.abs(gap[..., 1] - gap[..., 1].mean()).max() < 0.04
    others = [at(name) for name in ("spine1", "spine2", "spine3", "neck", "head", "l_collar")]
    assert np.linalg.norm(joints[:, others] - expected[:, others], axis=2).max() < 0.12


def test_a_joint_of_dance_with_melody_is_an_average_of_points():
    assert set(JOINT_MIX) == set(JOINTS)
    points = np.arange(3 * 23 * 3, dtype=float).reshape(3, 23, 3)
    shift = np.array([1.0, 2.0, 3.0])
    np.testing.assert_allclose(smpl_joints(points + shift), smpl_joints(points) + shift)


def test_folds_of_dance_with_melody_deal_out_every_style(made):
    folds = [made("dance_with_melody", fold=fold) for fold in range(DanceWithMelody.folds)]
    tested = [track.id for dataset in folds for track in dataset.tracks("test")]
    assert sorted(tested) == list(copies.MELODY)
    for dataset, following in zip(folds, [*folds[1:], folds[0]], strict=True):
        assert dataset.tracks("validation") == following.tracks("test")
    assert len({dataset.revision for dataset in folds}) == len(folds)
    with pytest.raises(DatasetError, match="no fold 5"):
        made("dance_with_melody", fold=5)


@pytest.mark.parametrize(
    ("name", "array", "match"),
    [
        ("DANCE_W_2", np.zeros((143, 23, 3), np.float16), r"about a centre of \(150, 3\)"),
        ("DANCE_W_2_center", np.full((150, 3), np.inf, np.float16), "DANCE_W_2 is unreadable"),
        ("DANCE_W_2", np.array([{"a": 1}], dtype=object), "DANCE_W_2 is unreadable"),
    ],
)
def test_bad_poses_of_dance_with_melody_are_refused(made, name, array, match):
    copies.write_melody_arrays(made("dance_with_melody").folder, **{name: array})
    with pytest.raises(MotionError, match=match):
        made("dance_with_melody").prepare_data()


def test_audio_of_dance_with_melody_must_be_as_long_as_the_dance(made):
    audio = made("dance_with_melody").folder / "audio/DANCE_C_1.ogg"
    soundfile.write(audio, np.zeros(int(5.7 * 22_050)), 22_050)
    with pytest.raises(DatasetError, match=r"DANCE_C_1 has 5\.70 s of audio and 6\.00 of motion"):
        made("dance_with_melody").prepare_data()


@pytest.mark.skipif(not DATA, reason="needs real recordings: set MOTIONBEAT_DATA")
def test_real_dances_stand_on_two_legs(tmp_path):
    dataset = DanceWithMelody(cache=tmp_path, data=Path(str(DATA)))
    dataset.prepare_data()
    tracks = dataset.tracks("test")
    assert len(tracks) == 30
    for track in tracks:
        joints = track.get(MotionFile).motion.positions
        bones = np.linalg.norm(joints[:, 1:] - joints[:, PARENTS[1:]], axis=2)
        assert (bones.std(axis=0) < 0.08).all()
        left = joints[:, at("l_hip")] - joints[:, at("r_hip")]
        forward = np.cross(left, [0, 1, 0])
        for letter in "lr":
            toes = joints[:, at(f"{letter}_foot")] - joints[:, at(f"{letter}_ankle")]
            assert np.mean(np.sum(toes * forward, axis=1) > 0) > 0.8
        assert 1.3 < np.median(joints[:, at("head"), 1]) < 1.75
        assert -0.15 < joints[..., 1].min() < 0.02
