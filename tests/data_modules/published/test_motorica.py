import numpy as np
import pytest
from tests.lookalikes import every, place
from tests.lookalikes import motorica as lookalike

from motionbeat.data_modules.base import DatasetError, Genre, MotionFile
from motionbeat.data_modules.published.motorica import Motorica
from motionbeat.motion import JOINTS


@pytest.fixture
def made(tmp_path, monkeypatch):
    place(lookalike, tmp_path, monkeypatch)
    return lambda **options: Motorica(cache=tmp_path / "cache", data=tmp_path / "data", **options)


@pytest.fixture
def folder(made, tmp_path):
    return tmp_path / "data/motorica"


def test_names_say_style_and_song(made):
    said = {id: (track.get(Genre).name, track.group) for id, track in every(made()).items()}
    assert said == {
        "kthstreet_gKR_sFM_cAll_d01_mKR1_ch01": ("krump", "song KR1"),
        "kthstreet_gLH_sFM_cAll_d02_mLH_ch01_thisisit_001": ("hip_hop", "song thisisit"),
        "kthstreet_gLH_sFM_cAll_d01_mLH_ch01_thisisit_001": ("hip_hop", "song thisisit"),
        "kthstreet_gLH_sFM_cAll_d01_mLH_ch01_danstrams": ("hip_hop", "song danstrams"),
        "kthstreet_gPO_sFM_cAll_d02_mPO_ch01_funk_002": ("pop", "song funk"),
        "kthjazz_gTP_sFM_sngl_d02_014": ("tap", "vintage jazz"),
        "kthjazz_gCH_sFM_sngl_d02_005": ("charleston", "vintage jazz"),
    }


def test_takes_without_a_song_are_trained_on(made):
    assert {"vintage jazz"} <= {track.group for track in made().tracks("train")}


def test_casual_dances_are_left_out(made):
    assert lookalike.CASUAL not in every(made())


def test_a_song_beginning_with_a_digit(made, folder):
    old = "kthstreet_gKR_sFM_cAll_d01_mKR1_ch01"
    new = "kthstreet_gKR_sFM_cAll_d01_mKR_ch01_1stafterthecaos_000"
    (folder / f"bvh/{old}.bvh").rename(folder / f"bvh/{new}.bvh")
    (folder / f"wav/{old}.wav").rename(folder / f"wav/{new}.wav")
    assert every(made())[new].group == "song 1stafterthecaos"


def test_motion_is_in_metres_at_120_frames(made):
    """A degree a frame about the vertical takes the left hip from +x to -z."""
    track = made().tracks("test")[0]
    motion = track.get(MotionFile).motion
    assert motion.fps == 120
    assert motion.duration == track.duration == lookalike.FRAMES / 120
    angle = np.radians(np.arange(lookalike.FRAMES))
    hip = np.stack([0.09 * np.cos(angle), 0.87 + 0 * angle, -0.09 * np.sin(angle)], axis=1)
    np.testing.assert_allclose(motion.positions[:, JOINTS.index("l_hip")], hip, atol=1e-6)


@pytest.mark.parametrize("name", ["take_001", "kthstreet_gXX_sFM_cAll_d01_mXX1_ch01"])
def test_other_names_are_refused(made, folder, name):
    (folder / f"bvh/{name}.bvh").write_text(lookalike.bvh())
    with pytest.raises(DatasetError, match=name):
        made().prepare_data()
