from dataclasses import replace

import numpy as np
import pytest
import soundfile
from tests.dancing import SECONDS, write_dance, write_pair

from motionbeat.kinematics import FEATURES
from motionbeat.model import AUDIO_FRAME_RATE, BANDS, MOTION_FRAME_RATE, SAMPLE_RATE
from motionbeat.motion import Motion, MotionError
from motionbeat.pretraining import pairs
from motionbeat.pretraining.pairs import (
    PairError,
    audio_inputs,
    cut_audio,
    cut_grid,
    cut_motion,
    features,
    load_pair,
    motion_inputs,
)
from motionbeat.rhythm import UNIFORM_TEMPO, BeatGrid

BPM = 110.0


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    return write_pair(tmp_path_factory.mktemp("pair"), bpm=BPM)


@pytest.fixture
def loaded(monkeypatch):
    """The pairs that are read from their files."""
    read = []
    load = pairs.load_pair

    def counted(pair):
        read.append(pair.id)
        return load(pair)

    monkeypatch.setattr(pairs, "load_pair", counted)
    return read


def same(one, other):
    one, other = pairs._to_arrays(one), pairs._to_arrays(other)
    return all(np.array_equal(value, other[name]) for name, value in one.items())


def test_features_of_a_pair(pair, tmp_path):
    found = features(pair, 0, tmp_path)
    assert found.log_mel.shape[1:] == (BANDS,)
    frames = SECONDS * AUDIO_FRAME_RATE
    assert len(found.log_mel) == len(found.onsets) == pytest.approx(frames, abs=1.5)
    assert found.motion.shape == (round(SECONDS * MOTION_FRAME_RATE), FEATURES)
    assert found.onsets.min() == 0
    assert 0.5 < found.onsets.max() <= 1
    assert found.duration == pytest.approx(SECONDS, abs=0.02)
    assert found.tempo == pytest.approx(BPM, rel=1e-6)
    assert tuple(found.beats) == pair.beats
    for value in pairs._to_arrays(found).values():
        assert np.isfinite(value.astype(np.float64)).all()
    apart = np.abs(found.audio_grid.times[:, None] - found.beats).min(axis=0)
    assert np.median(apart) < 0.02


def test_features_are_stored_by_pair_variant_and_files(tmp_path, loaded):
    pair, cache = write_pair(tmp_path, bpm=BPM), tmp_path / "cache"
    first = features(pair, 1, cache)
    assert same(first, features(pair, 1, cache))
    assert len(loaded) == 1
    assert features(pair, 0, cache).log_mel.shape != first.log_mel.shape
    write_pair(tmp_path, bpm=BPM, seconds=6.0)
    assert features(pair, 0, cache).duration == pytest.approx(6.0, abs=0.02)
    assert len(loaded) == 3


@pytest.mark.parametrize("damage", ["empty", "garbage", "cut", "lacking"])
def test_a_damaged_file_is_computed_again(pair, tmp_path, loaded, damage):
    first = features(pair, 0, tmp_path)
    [file] = tmp_path.iterdir()
    whole = file.read_bytes()
    lacking = {k: value for k, value in pairs._to_arrays(first).items() if k != "beats"}
    file.write_bytes(
        {
            "empty": b"",
            "garbage": b"garbage" * 100,
            "cut": whole[: len(whole) // 2],
            "lacking": pairs.save(lacking),
        }[damage]
    )
    assert same(features(pair, 0, tmp_path), first)
    assert file.read_bytes() == whole
    features(pair, 0, tmp_path)
    assert len(loaded) == 2


def test_a_variant_is_always_the_same_and_differs_from_others(pair, tmp_path):
    found = [features(pair, variant, tmp_path / "one") for variant in range(4)]
    again = [features(pair, variant, tmp_path / "two") for variant in (3, 2, 1, 0)][::-1]
    assert all(same(*both) for both in zip(found, again, strict=True))
    assert len({one.duration for one in found}) == 4
    other = features(replace(pair, id="other"), 1, tmp_path / "two")
    assert other.duration != found[1].duration


def test_a_variant_changes_the_time_of_music_motion_and_beats_alike(pair, tmp_path):
    plain = features(pair, 0, tmp_path)
    for variant in range(1, 9):
        found = features(pair, variant, tmp_path)
        factor = SECONDS / found.duration
        assert 0.84 < factor < 1.19
        assert len(found.log_mel) / AUDIO_FRAME_RATE == pytest.approx(SECONDS / factor, abs=0.05)
        assert len(found.motion) / MOTION_FRAME_RATE == pytest.approx(SECONDS / factor, abs=0.05)
        np.testing.assert_allclose(found.beats, plain.beats / factor, rtol=0.005)


@pytest.mark.parametrize("beats", [None, (), (1.0,)])
def test_tracked_beats_are_used_where_none_are_annotated(pair, tmp_path, beats):
    found = features(replace(pair, beats=beats), 0, tmp_path)
    assert np.array_equal(found.beats, found.audio_grid.times)
    assert found.tempo == pytest.approx(BPM, rel=0.02)


def test_music_and_motion_of_different_length_are_refused(tmp_path):
    pair = write_pair(tmp_path, "long")
    motion = Motion.load(pair.motion)
    write_dance(pair.motion, Motion(motion.positions[:-13], motion.fps))
    load_pair(pair)
    write_dance(pair.motion, Motion(motion.positions[:-30], motion.fps))
    with pytest.raises(PairError) as caught:
        features(pair, 0, tmp_path / "cache")
    assert str(caught.value) == (
        "pair long: 8.00 s of music and 7.50 s of motion; cut both to the same part"
    )
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("damage", ["nan", "joints", "no zip"])
def test_motion_that_cannot_be_used_is_refused(tmp_path, damage):
    pair = write_pair(tmp_path)
    positions = Motion.load(pair.motion).positions.copy()
    if damage == "nan":
        positions[17, 3, 1] = np.nan
    np.savez(pair.motion, positions=positions[:, : 22 if damage == "joints" else 24], fps=60.0)
    if damage == "no zip":
        pair.motion.write_bytes(b"no zip")
    with pytest.raises(MotionError, match=r"^[^\n]*(NaN or infinite|22, 3|pair.npz)[^\n]*$"):
        features(pair, 0, tmp_path / "cache")


def test_a_motionless_body_and_silence_have_no_beat(pair, tmp_path):
    motion = Motion.load(pair.motion)
    rows, grid = motion_inputs(Motion(np.repeat(motion.positions[:1], 480, axis=0), 60.0))
    assert np.isfinite(rows).all()
    _, _, silent = audio_inputs(np.zeros(int(SECONDS * SAMPLE_RATE), np.float32))
    for one in (grid, silent):
        assert not one.has_beat
        assert not cut_grid(one, 1.0, 2.0).has_beat
        np.testing.assert_allclose(np.diff(one.times), 60 / UNIFORM_TEMPO)
    assert motion_inputs(motion)[1].has_beat
    assert audio_inputs(load_pair(pair)[0])[2].has_beat


def test_silence_has_finite_features(tmp_path):
    pair = write_pair(tmp_path)
    soundfile.write(pair.audio, np.zeros(int(SECONDS * SAMPLE_RATE)), SAMPLE_RATE)
    for variant in range(3):
        found = features(pair, variant, tmp_path / "cache")
        assert np.isfinite(found.log_mel).all()
        assert np.isfinite(found.onsets).all()


def test_clips_are_cut_at_the_rows_of_their_time(pair, tmp_path):
    found = features(pair, 0, tmp_path)
    audio = cut_audio([found, found], [1.0, 2.5], 3.0)
    motion = cut_motion([found], [2.0], 3.0)
    for row, start in enumerate((1.0, 2.5)):
        first = round(start * AUDIO_FRAME_RATE)
        stop = first + round(3 * AUDIO_FRAME_RATE)
        assert np.array_equal(audio.log_mel[row], found.log_mel[first:stop].astype(np.float32))
        assert np.array_equal(audio.onsets[row], found.onsets[first:stop].astype(np.float32))
    assert np.array_equal(motion.features[0], found.motion[60:150].astype(np.float32))
    times = audio.clock.times[1][: int(audio.clock.mask[1].sum()) + 1]
    assert times[0] <= 0 < times[1]
    assert times[-2] < 3 <= times[-1]
    beats = found.audio_grid.times
    inside = beats[(beats > 2.5) & (beats < 5.5)] - 2.5
    np.testing.assert_allclose(times[(times > 0) & (times < 3)], inside, atol=1e-5)


def test_a_cut_grid_keeps_the_positions_of_its_beats():
    whole = BeatGrid(np.arange(9) * 0.5, np.arange(8) % 3, 3)
    grid = cut_grid(whole, 1.2, 1.0)
    np.testing.assert_allclose(grid.times, [-0.2, 0.3, 0.8, 1.3])
    assert grid.positions.tolist() == [2, 0, 1]
    assert grid.beats_per_bar == 3
    beyond = cut_grid(whole, 10.0, 1.0)
    assert (len(beyond.times), beyond.positions.tolist()) == (2, [1])
    before = cut_grid(whole, -2.0, 1.0)
    assert (len(before.times), before.positions.tolist()) == (2, [0])
