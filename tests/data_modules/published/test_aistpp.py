import pickle

import numpy as np
import pytest
import soundfile
from tests.lookalikes import aistpp as lookalike
from tests.lookalikes import every, place

from motionbeat.data_modules.base import SPLITS, DatasetError, Genre, MotionFile, Tempo
from motionbeat.data_modules.published import aistpp
from motionbeat.data_modules.published.aistpp import AistPlusPlus, tempo
from motionbeat.motion import MotionError


@pytest.fixture
def made(tmp_path, monkeypatch):
    place(lookalike, tmp_path, monkeypatch)
    return lambda **options: AistPlusPlus(
        cache=tmp_path / "cache", data=tmp_path / "data", **options
    )


@pytest.fixture
def folder(made, tmp_path):
    return tmp_path / "data/aistpp"


def test_splits_are_by_songs_and_ignored_dances_are_left_out(made):
    dataset = made()
    groups = {split: {track.group for track in dataset.tracks(split)} for split in SPLITS}
    assert groups["test"] == {"mLH4", "mKR2"}
    assert {group[:3] for group in groups["validation"]} == {"mWA", "mHO"}
    assert len(groups["validation"]) == 2
    assert len(groups["train"]) == 2
    assert not set(lookalike.IGNORED) & set(every(dataset))
    both = [track.id for track in dataset.tracks("test")]
    assert both == [*lookalike.TEST, lookalike.VAL[1]]


def test_the_held_out_songs_of_the_true_list():
    """One of the five training songs of each genre; fixed, for it decides what is learned from."""
    tested = {"mLH4", "mKR2", "mBR0", "mLO2", "mJB5", "mWA0", "mJS3", "mMH3", "mHO5", "mPO1"}
    songs = {
        f"m{genre}{number}"
        for genre in aistpp.GENRES
        for number in range(6)
        if f"m{genre}{number}" not in tested
    }
    held = aistpp._held_out(songs)
    assert held == {
        *("mBR4", "mHO2", "mJB1", "mJS0", "mKR0"),
        *("mLH3", "mLO3", "mMH2", "mPO2", "mWA1"),
    }


@pytest.mark.parametrize(
    ("genre", "number", "bpm"),
    [("HO", 0, 110), ("HO", 5, 135), ("BR", 0, 80), ("WA", 5, 130), ("MH", 3, 110)],
)
def test_the_name_of_the_song_says_its_tempo(genre, number, bpm):
    assert tempo(genre, number) == bpm


def test_annotations_follow_from_the_name(made):
    track = every(made())["gHO_sBM_cAll_d21_mHO1_ch04"]
    assert track.get(Genre).name == "house"
    assert track.get(Tempo).bpm == 115
    assert track.group == "mHO1"


def test_shared_songs_are_cut_to_each_dance(made, folder):
    tracks = every(made())
    one, other = (tracks[f"gHO_sBM_cAll_d{dancer}_mHO1_ch04"] for dancer in (21, 19))
    song, rate = soundfile.read(folder / "music/mHO1.wav", dtype="int16")
    for track in (one, other):
        samples, same = soundfile.read(track.audio_path, dtype="int16")
        assert same == rate
        assert track.duration == len(samples) / rate == lookalike.FRAMES / 60
        np.testing.assert_array_equal(samples, song[: len(samples)])
        assert track.get(MotionFile).motion.duration == track.duration
    assert one.audio_path != other.audio_path


def test_audio_of_its_own_is_used_in_place(made, folder):
    track = every(made())[lookalike.OWN]
    assert track.audio_path == folder / f"wavs/{lookalike.OWN}.wav"


def test_a_song_put_there_later_is_cut(made, folder):
    before = every(made())[lookalike.OWN]
    soundfile.write(folder / "music/mLH4.wav", np.zeros(96000), 48000)
    after = every(made())[lookalike.OWN]
    assert after.audio_path.suffix == ".flac"
    assert after.duration == before.duration == lookalike.FRAMES / 60
    assert before.audio_path.is_file()


def test_a_song_shorter_than_a_dance_ends_before_it(made, folder):
    song, rate = soundfile.read(folder / "music/mKR2.wav")
    soundfile.write(folder / "music/mKR2.wav", song[: rate // 2], rate)
    track = every(made())["gKR_sBM_cAll_d28_mKR2_ch02"]
    assert track.duration == 0.5
    assert soundfile.info(track.audio_path).frames == rate // 2


def test_motion_is_in_metres_at_60_frames(made):
    motion = every(made())["gWA_sFM_cAll_d25_mWA4_ch05"].get(MotionFile).motion
    assert motion.fps == 60
    time = np.arange(lookalike.FRAMES) / 60
    expected = np.stack([0.04 * time, np.ones_like(time), 0 * time], axis=1)
    np.testing.assert_allclose(motion.positions[:, 0], expected, atol=1e-5)


def test_motions_are_converted_once(made, folder):
    first = every(made())
    for path in (folder / "motions").iterdir():
        path.write_bytes(b"unreadable")
    again = every(made())
    for id, track in first.items():
        assert track.get(MotionFile).path == again[id].get(MotionFile).path
        assert again[id].get(MotionFile).motion.fps == 60


def test_a_damaged_conversion_is_made_again(made):
    track = every(made())["gHO_sBM_cAll_d21_mHO1_ch04"]
    whole = track.audio_path.read_bytes()
    track.audio_path.write_bytes(b"broken")
    made().prepare_data()
    assert track.audio_path.read_bytes() == whole


def test_a_missing_motion_is_refused_or_left_out(made, folder):
    gone = "gKR_sBM_cAll_d28_mKR2_ch02"
    (folder / f"motions/{gone}.pkl").unlink()
    with pytest.raises(DatasetError, match=rf"1 of 9 motions.*motions/{gone}\.pkl.*partial"):
        made().tracks("test")
    part = made(partial=True)
    assert gone not in every(part)
    assert len(every(part)) == 8
    assert "partial-8of9" in part.revision


class Malice:
    def __reduce__(self):
        return print, ("harm",)


def test_a_malicious_motion_is_refused(made, folder):
    path = folder / f"motions/{lookalike.OWN}.pkl"
    path.write_bytes(pickle.dumps(lookalike.poses(0) | {"x": Malice()}))
    with pytest.raises(MotionError, match=rf"{lookalike.OWN}\.pkl: refused.*builtins\.print"):
        made().prepare_data()


def test_names_that_say_no_dance_are_refused(made, folder):
    with (folder / "splits/crossmodal_test.txt").open("a") as file:
        file.write("\ngXX_sBM_cAll_d17_mXX4_ch02\n")
    with pytest.raises(DatasetError, match="gXX_sBM"):
        made().tracks("test")
