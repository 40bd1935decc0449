import json

import numpy as np
import pytest
from tests.lookalikes import every
from tests.lookalikes import finedance as lookalike

from motionbeat.data_modules.base import DatasetError, Genre, MotionFile
from motionbeat.data_modules.motion_formats import SMPL_OFFSETS
from motionbeat.data_modules.published import finedance
from motionbeat.data_modules.published.finedance import FineDance
from motionbeat.motion import JOINTS, MotionError


@pytest.fixture
def made(tmp_path, monkeypatch):
    monkeypatch.setattr(FineDance, "count", lookalike.COUNTS["finedance"])
    monkeypatch.setattr(finedance, "PUBLISHED", lookalike.IDS)
    folder = tmp_path / "data/finedance"
    folder.mkdir(parents=True)
    lookalike.write(folder)
    return lambda **options: FineDance(cache=tmp_path / "cache", data=tmp_path / "data", **options)


@pytest.fixture
def folder(made, tmp_path):
    return tmp_path / "data/finedance"


def test_the_true_lists():
    assert finedance.FineDance.count == 201
    assert len(finedance.PUBLISHED) == 211
    assert len(finedance.TEST) == 20
    assert len(finedance.TEST - finedance.IGNORED) == 18


def test_the_test_list_is_tested_on_and_ignored_dances_are_left_out(made):
    dataset = made()
    assert [track.id for track in dataset.tracks("test")] == ["012", "037"]
    assert "116" not in every(dataset)


def test_one_style_written_two_ways_is_one_genre(made):
    tracks = every(made())
    styles = dict(zip(lookalike.IDS, 3 * lookalike.STYLES, strict=False))
    names = {"Dai": "tai", "Tai": "tai", "Popping": "popping", "jazz": "jazz"}
    for id, track in tracks.items():
        assert track.get(Genre).name == names[styles[id]]


def test_rows_of_matrices_are_read_with_or_without_contacts(made):
    """The hips turn about the vertical; row 1 is (cos, 0, sin), so the left hip goes to -z."""
    tracks = every(made())
    angle = np.arange(lookalike.FRAMES) / 30
    x, y, _ = SMPL_OFFSETS[JOINTS.index("l_hip")]
    expected = np.stack([x * np.cos(angle), 1 + y + 0 * angle, -x * np.sin(angle)], axis=1)
    for id in ("001", "002"):  # with contacts, and without
        motion = tracks[id].get(MotionFile).motion
        assert motion.fps == 30
        assert motion.duration == lookalike.FRAMES / 30
        np.testing.assert_allclose(motion.positions[:, 0], [[0, 1, 0]] * len(angle), atol=1e-6)
        np.testing.assert_allclose(motion.positions[:, JOINTS.index("l_hip")], expected, atol=1e-6)


def test_audio_is_used_in_place(made, folder):
    for id, track in every(made()).items():
        assert track.audio_path == folder / f"music_wav/{id}.wav"


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (np.zeros((4, 168), np.float32), r"shape \(4, 168\)"),
        (np.zeros((0, 315), np.float32), "empty"),
        (np.full((4, 315), np.nan, np.float32), "NaN"),
        (np.array([{"a": 1}], dtype=object), "unreadable"),
    ],
)
def test_other_motions_are_refused_by_name(made, folder, array, reason):
    np.save(folder / "motion/012.npy", array, allow_pickle=True)
    with pytest.raises(MotionError, match=rf"012\.npy: .*{reason}"):
        made().prepare_data()


@pytest.mark.parametrize("content", [b"", b"no array", b"PK\x05\x06" + bytes(18)])
def test_a_file_that_is_no_array_is_named(made, folder, content):
    (folder / "motion/012.npy").write_bytes(content)
    with pytest.raises(MotionError, match=r"012\.npy: unreadable motion; restore the file$"):
        made().prepare_data()


def test_labels_that_lack_are_named(made, folder):
    path = folder / "label_json/012.json"
    path.write_text(json.dumps({"style1": "Modern"}))
    with pytest.raises(DatasetError, match=r"012\.json is unreadable"):
        made().prepare_data()
    path.unlink()
    with pytest.raises(DatasetError, match=r"012\.json is missing"):
        made().prepare_data()
