"""Dance with Melody from a look-alike of its folder, written by the tests."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from motionbeat.data_modules.base import DatasetError, Genre, MotionFile, check_splits
from motionbeat.data_modules.published.dance_with_melody import (
    FPS,
    JOINT_MIX,
    DanceWithMelody,
    smpl_joints,
)
from motionbeat.data_modules.rendered.synthesis.dancer import dance
from motionbeat.motion import JOINTS, PARENTS

DATA = os.environ.get("MOTIONBEAT_DATA")
IDS = {"DANCE_C_1": "chacha", "DANCE_W_2": "waltz"}
SECONDS = 6.0


def at(name: str) -> int:
    return JOINTS.index(name)


def danced() -> np.ndarray:
    """(T, 24, 3) metres: a dance that faces +z in the first frame."""
    beats = np.arange(0.4, SECONDS, 0.5)
    return dance(
        beats=beats,
        positions=np.arange(len(beats)) % 4 + 1,
        accents=np.zeros((0, 2)),
        style="cha_cha",
        metre="4/4",
        duration=SECONDS,
        dancer=0,
        seed=0,
        fps=FPS,
    ).positions


def points_of(joints: np.ndarray) -> np.ndarray:
    """(T, 23, 3): the points that the capture would have put on these joints."""
    points = np.zeros((len(joints), 23, 3))
    for name, mix in JOINT_MIX.items():
        if len(mix) == 1:
            points[:, next(iter(mix))] = joints[:, at(name)]
    points[:, [0, 1]] = joints[:, [at("head")]]
    points[:, 2] = (joints[:, at("spine1")] + joints[:, at("spine2")]) / 2
    ankles = joints[:, [at("r_ankle"), at("l_ankle")]]
    points[:, [10, 19]] = ankles - [0, 0.03, 0]
    return points


def write_arrays(data: Path, **changed: np.ndarray) -> None:
    arrays = {}
    for id in IDS:
        points = 100 * points_of(danced())
        centre = points.mean(axis=1)
        arrays[id] = (points - centre[:, None]).astype(np.float16)
        # The floor seems to sink by a centimetre a second.
        centre[:, 1] -= np.linspace(0, 6, len(centre))
        arrays[f"{id}_center"] = centre.astype(np.float16)
    np.savez(data / "dance_with_melody" / "motion.npz", **(arrays | changed))


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    data = tmp_path_factory.mktemp("data")
    (data / "dance_with_melody" / "audio").mkdir(parents=True)
    rows = "".join(f"{id},{style},25,150,0,150,6.0\n" for id, style in IDS.items())
    header = "id,dance,fps,frames,start_frame_in_song,end_frame_in_song,seconds\n"
    (data / "dance_with_melody" / "meta.csv").write_text(header + rows)
    for id in IDS:
        sound = 0.1 * np.sin(np.arange(int(SECONDS * 22_050)) / 10)
        soundfile.write(data / "dance_with_melody" / "audio" / f"{id}.ogg", sound, 22_050)
    write_arrays(data)
    return data


@pytest.fixture
def data(written, tmp_path):
    return Path(shutil.copytree(written, tmp_path / "data"))


def prepared(tmp_path: Path, data: Path) -> DanceWithMelody:
    dataset = DanceWithMelody(cache=tmp_path / "cache", data=data)
    dataset.prepare_data()
    return dataset


def test_all_dances_are_test_tracks(tmp_path, data):
    dataset = prepared(tmp_path, data)
    tracks = dataset.tracks("test")
    assert dataset.tracks("train") == dataset.tracks("validation") == []
    check_splits([tracks])
    assert [track.id for track in tracks] == list(IDS)
    assert [track.get(Genre).name for track in tracks] == ["cha_cha", "waltz"]
    for track in tracks:
        assert track.audio_path.parent == data / "dance_with_melody" / "audio"
        assert track.duration == pytest.approx(SECONDS)
        motion = track.get(MotionFile).motion
        assert motion.fps == FPS
        assert motion.duration == pytest.approx(SECONDS)
        assert motion.contacts is None
    assert all(track.has(kind) for track in tracks for kind in dataset.card.annotations)


def test_the_body_is_the_one_that_danced(tmp_path, data):
    joints = prepared(tmp_path, data).tracks("test")[0].get(MotionFile).motion.positions
    expected = danced()
    shown = [at(name) for name, mix in JOINT_MIX.items() if len(mix) == 1]
    gap = joints[:, shown] - expected[:, shown]
    assert np.abs(gap[..., [0, 2]]).max() < 0.003  # half precision
    # The floor is found again under feet that go up and down.
    assert np.abs(joints[..., 1].min(axis=1)).mean() < 0.02
    assert np.abs(gap[..., 1] - gap[..., 1].mean()).max() < 0.04
    others = [at(name) for name in ("spine1", "spine2", "spine3", "neck", "head", "l_collar")]
    assert np.linalg.norm(joints[:, others] - expected[:, others], axis=2).max() < 0.12
    assert joints[:, at("l_hip"), 0].mean() > joints[:, at("r_hip"), 0].mean()
    assert (joints[:, at("head"), 1] > joints[:, at("pelvis"), 1] + 0.4).all()
    hands = np.linalg.norm(joints[:, at("l_hand")] - joints[:, at("l_wrist")], axis=1)
    assert np.ptp(hands) < 0.005


def test_a_joint_is_an_average_of_points():
    assert set(JOINT_MIX) == set(JOINTS)
    assert all(sum(mix.values()) == pytest.approx(1) for mix in JOINT_MIX.values())
    points = np.arange(3 * 23 * 3, dtype=float).reshape(3, 23, 3)
    shift = np.array([1.0, 2.0, 3.0])
    np.testing.assert_allclose(smpl_joints(points + shift), smpl_joints(points) + shift)


def test_damaged_motion_is_converted_again(tmp_path, data):
    dataset = prepared(tmp_path, data)
    path = dataset.tracks("test")[0].get(MotionFile).path
    whole = path.read_bytes()
    path.write_bytes(whole[:-10])
    dataset.prepare_data()
    assert path.read_bytes() == whole
    motions = dataset.data / "dance_with_melody" / "motion.npz"
    motions.unlink()
    dataset.prepare_data()  # what is converted is enough


def refused(tmp_path: Path, data: Path | None, match: str) -> None:
    with pytest.raises(DatasetError, match=match) as caught:
        DanceWithMelody(cache=tmp_path / "cache", data=data).prepare_data()
    assert "MOTIONBEAT_DATA" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_is_missing_is_named(tmp_path, data):
    refused(tmp_path, None, "no such folder")
    refused(tmp_path, tmp_path, "no such folder")
    (data / "dance_with_melody" / "audio" / "DANCE_W_2.ogg").unlink()
    refused(tmp_path, data, "DANCE_W_2 has no readable audio")
    (data / "dance_with_melody" / "meta.csv").write_text("id,frames\n")
    refused(tmp_path, data, "lists no dances")
    (data / "dance_with_melody" / "meta.csv").write_text("id,frames\nDANCE_W_2,150\n")
    refused(tmp_path, data, "no columns id and dance")
    (data / "dance_with_melody" / "meta.csv").unlink()
    refused(tmp_path, data, "meta.csv is missing")


@pytest.mark.parametrize(
    ("name", "array", "match"),
    [
        ("DANCE_W_2", np.zeros((150, 22, 3), np.float16), r"DANCE_W_2 .* shape \(150, 22, 3\)"),
        ("DANCE_W_2", np.zeros((0, 23, 3), np.float16), r"DANCE_W_2 .* shape \(0, 23, 3\)"),
        ("DANCE_W_2", np.full((150, 23, 3), np.nan, np.float16), "DANCE_W_2 has NaN"),
        ("DANCE_W_2", np.zeros((143, 23, 3), np.float16), r"DANCE_W_2 has a centre of shape"),
        ("DANCE_W_2_center", np.full((150, 3), np.inf, np.float16), "DANCE_W_2 has NaN"),
        ("DANCE_W_2", np.array([{"a": 1}], dtype=object), "DANCE_W_2 has no readable motion"),
    ],
)
def test_bad_poses_are_refused(tmp_path, data, name, array, match):
    write_arrays(data, **{name: array})
    refused(tmp_path, data, match)


def test_missing_or_broken_arrays_are_refused(tmp_path, data):
    meta = data / "dance_with_melody" / "meta.csv"
    meta.write_text(meta.read_text() + "DANCE_T_3,tango,25,150,0,150,6.0\n")
    refused(tmp_path, data, "DANCE_T_3 has no readable motion")
    (data / "dance_with_melody" / "motion.npz").write_bytes(b"PK\x03\x04 cut off")
    refused(tmp_path, data, "has no readable motion")


def test_audio_must_be_as_long_as_the_dance(tmp_path, data):
    audio = data / "dance_with_melody" / "audio" / "DANCE_C_1.ogg"
    soundfile.write(audio, np.zeros(int(5.7 * 22_050)), 22_050)
    refused(tmp_path, data, r"DANCE_C_1 has 5\.70 s of audio and 6\.00 s of motion")


def test_tracks_before_prepare_data(tmp_path, data):
    with pytest.raises(DatasetError, match="prepare_data"):
        DanceWithMelody(cache=tmp_path / "cache", data=data).tracks("test")


@pytest.mark.skipif(not DATA, reason="needs real recordings: set MOTIONBEAT_DATA")
def test_real_dances(tmp_path):
    tracks = prepared(tmp_path, Path(str(DATA))).tracks("test")
    assert len(tracks) == 30
    assert sum(track.duration for track in tracks) / 60 == pytest.approx(32.53, abs=0.01)
    assert {track.get(Genre).name for track in tracks} == {"waltz", "rumba", "cha_cha", "tango"}
    for track in tracks:
        joints = track.get(MotionFile).motion.positions
        bones = np.linalg.norm(joints[:, 1:] - joints[:, PARENTS[1:]], axis=2)
        assert (bones.std(axis=0) < 0.08).all()
        assert 0.04 < bones.mean(axis=0).min() < bones.mean(axis=0).max() < 0.56
        left = joints[:, at("l_hip")] - joints[:, at("r_hip")]
        forward = np.cross(left, [0, 1, 0])
        for letter in "lr":
            toes = joints[:, at(f"{letter}_foot")] - joints[:, at(f"{letter}_ankle")]
            leg = joints[:, at(f"{letter}_hip")] + joints[:, at(f"{letter}_ankle")]
            knee = joints[:, at(f"{letter}_knee")] - leg / 2
            assert np.mean(np.sum(toes * forward, axis=1) > 0) > 0.8
            assert np.mean(np.sum(knee * forward, axis=1)) > 0
        heads = joints[:, at("head"), 1]
        assert 1.3 < np.median(heads) < 1.75
        assert -0.15 < joints[..., 1].min() < 0.02
