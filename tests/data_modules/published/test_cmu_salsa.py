"""Couples from a look-alike of the salsa takes: joints named as in Poser, feet without toes."""

import os
import zipfile
from pathlib import Path

import numpy as np
import pytest

from motionbeat.data_modules.base import DatasetError
from motionbeat.data_modules.published.cmu_salsa import UNIT, takes
from motionbeat.motion import JOINTS, MotionError

DATA = os.environ.get("MOTIONBEAT_DATA")
ARM = {"Collar": 0.1, "Shldr": 0.1, "ForeArm": 0.22, "Hand": 0.2, "Mid1": 0.06}


def chain(joints, ending, depth):
    """Joints that hang one on the other by their offsets, and the end of the last one."""
    lines = []
    for name, offset in joints.items():
        lines += [
            f"JOINT {name}",
            "{",
            f"OFFSET {offset}",
            "CHANNELS 3 Zrotation Xrotation Yrotation",
        ]
    return "\n".join([*lines, "End Site", "{", f"OFFSET {ending}", "}", "}\n" * depth])


def hierarchy():
    arms, legs = "", ""
    for side, sign in (("l", 1), ("r", -1)):
        arm = {f"{side}{name}": f"{sign * length} 0 0" for name, length in ARM.items()}
        arms += chain(arm, f"{sign * 0.03} 0 0", len(arm))
        leg = {
            f"{side}Buttock": "0 0 0",
            f"{side}Thigh": f"{sign * 0.07} 0 0",
            f"{side}Shin": "0 -0.32 0",
            f"{side}Foot": "0 -0.33 0",
        }
        legs += chain(leg, "0 -0.04 0.1", len(leg))
    head = chain({"neck": "0 0.15 0", "head": "0 0.06 0"}, "0 0.1 0", 2)
    trunk = (
        "JOINT abdomen\n{\nOFFSET 0 0.16 0\nCHANNELS 3 Zrotation Xrotation Yrotation\n"
        "JOINT chest\n{\nOFFSET 0 0.15 0\nCHANNELS 3 Zrotation Xrotation Yrotation\n"
    )
    return (
        "HIERARCHY\nROOT hip\n{\nOFFSET 0 0 0\n"
        "CHANNELS 6 Xposition Yposition Zposition Zrotation Yrotation Xrotation\n"
        f"{trunk}{head}{arms}}}\n}}\n{legs}}}\n"
    )


def write_take(path, frames=128, x=0.0):
    """A person who stands at x, and goes forward by a unit a second."""
    head = hierarchy()
    others = " 0" * 3 * (head.count("JOINT") + 1)
    lines = [f"{x} 0.7 {frame / 120:.6f}{others}" for frame in range(frames)]
    path.parent.mkdir(parents=True, exist_ok=True)
    said = f"MOTION\nFrames: {frames}\nFrame Time: 0.008333\n"
    path.write_text(head + said + "\n".join(lines) + "\n")


@pytest.fixture
def folder(tmp_path):
    for subject in (60, 61):
        for take in ("01", "03"):
            write_take(tmp_path / f"cmu_salsa/{subject}_{take}.bvh", x=subject - 60)
    return tmp_path


def test_couples_are_in_metres_at_30_frames_a_second_without_the_first_pose(folder):
    found = takes(folder)
    assert [take.id for take in found] == ["01", "03"]
    for take in found:
        assert take.leader.positions.shape == take.follower.positions.shape == (30, 24, 3)
        assert take.leader.fps == take.follower.fps == 30
    leader, follower = found[0].leader.positions, found[0].follower.positions
    np.testing.assert_allclose(
        follower - leader, np.broadcast_to([UNIT, 0, 0], leader.shape), atol=1e-5
    )
    body = dict(zip(JOINTS, leader[0] / UNIT, strict=True))
    forward = 8 / 120
    np.testing.assert_allclose(body["pelvis"], [0, 0.7, forward], atol=1e-5)
    np.testing.assert_allclose(body["l_ankle"], [0.07, 0.05, forward], atol=1e-5)
    np.testing.assert_allclose(body["l_foot"], [0.07, 0.01, forward + 0.1], atol=1e-5)
    np.testing.assert_allclose(body["r_hand"], [-0.68, 1.01, forward], atol=1e-5)
    np.testing.assert_allclose(leader[1, 0] - leader[0, 0], [0, 0, UNIT / 30], atol=1e-4)


def test_an_archive_is_as_good_as_the_folder(folder, tmp_path):
    packed = tmp_path / "packed"
    packed.mkdir()
    with zipfile.ZipFile(packed / "cmu_salsa.zip", "w") as archive:
        for path in (folder / "cmu_salsa").iterdir():
            archive.write(path, f"cmu_salsa/{path.name}")
    for one, other in zip(takes(packed), takes(folder), strict=True):
        assert np.array_equal(one.leader.positions, other.leader.positions)


def test_what_is_missing_or_does_not_fit_is_named(folder, tmp_path):
    with pytest.raises(DatasetError, match=r"no .*cmu_salsa or cmu_salsa\.zip; get subjects 60"):
        takes(tmp_path / "nowhere")
    write_take(folder / "cmu_salsa/61_03.bvh", frames=100)
    with pytest.raises(DatasetError, match="take 03 of cmu_salsa has partners of two lengths"):
        takes(folder)
    (folder / "cmu_salsa/61_03.bvh").unlink()
    with pytest.raises(MotionError, match=r"61_03\.bvh"):
        takes(folder)
    for path in (folder / "cmu_salsa").iterdir():
        path.unlink()
    with pytest.raises(DatasetError, match=r"no files such as 60_01\.bvh"):
        takes(folder)


@pytest.mark.skipif(not DATA, reason="needs real recordings: set MOTIONBEAT_DATA")
def test_real_couples():
    found = takes(Path(str(DATA)))
    assert len(found) == 14
    seconds = sum(take.leader.duration for take in found)
    assert seconds / 60 == pytest.approx(7.6 / 2, abs=0.2)
    for take in found:
        pelvis = np.linalg.norm((take.leader.positions - take.follower.positions)[:, 0], axis=1)
        assert 0.2 < np.median(pelvis) < 1.5
