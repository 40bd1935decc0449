from dataclasses import replace

import numpy as np
import pytest
import soundfile
import torch
from tests.dancing import SECONDS, write_dance, write_pair

from motionbeat.kinematics import FEATURES
from motionbeat.model import AUDIO_RATE, BANDS, MOTION_RATE, SAMPLE_RATE
from motionbeat.motion import Motion, MotionError
from motionbeat.pretraining import pairs
from motionbeat.pretraining.batches import Draw, collate
from motionbeat.pretraining.pairs import (
    PairError,
    cut_grid,
    cut_motion,
    cut_music,
    features,
    load_pair,
    watch,
)
from motionbeat.rhythm import UNIFORM_TEMPO

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
    return all(np.array_equal(value, vars(other)[name]) for name, value in vars(one).items())


def test_features_of_a_pair(pair, tmp_path):
    found = features(pair, 0, tmp_path)
    assert found.log_mel.shape[1:] == (BANDS,)
    assert len(found.log_mel) == len(found.onsets) == pytest.approx(SECONDS * AUDIO_RATE, abs=1.5)
    assert found.motion.shape == (round(SECONDS * MOTION_RATE), FEATURES)
    assert found.onsets.min() == 0
    assert 0.5 < found.onsets.max() <= 1
    assert found.duration == pytest.approx(SECONDS, abs=0.02)
    assert found.tempo == pytest.approx(BPM, rel=1e-6)
    assert tuple(found.beats) == pair.beats
    for value in vars(found).values():
        assert np.isfinite(value.astype(np.float64)).all()
    apart = np.abs(found.audio_times[:, None] - found.beats).min(axis=0)
    assert np.median(apart) < 0.02


def test_features_are_kept_and_found_again(pair, tmp_path, loaded):
    first = features(pair, 1, tmp_path)
    again = features(pair, 1, tmp_path)
    assert loaded == [pair.id]
    assert same(first, again)
    assert features(pair, 0, tmp_path).log_mel.shape != first.log_mel.shape
    assert len(loaded) == 2


@pytest.mark.parametrize("damage", [b"", b"garbage" * 100, "cut"])
def test_a_damaged_file_is_worked_out_again(pair, tmp_path, loaded, damage):
    first = features(pair, 0, tmp_path)
    [file] = tmp_path.iterdir()
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2] if damage == "cut" else damage)
    assert same(features(pair, 0, tmp_path), first)
    assert len(loaded) == 2
    assert file.read_bytes() == whole
    features(pair, 0, tmp_path)
    assert len(loaded) == 2


def test_a_file_that_lacks_a_part_is_worked_out_again(pair, tmp_path, monkeypatch):
    first = features(pair, 0, tmp_path)
    [file] = tmp_path.iterdir()
    arrays = dict(vars(first))
    del arrays["beats"]
    file.write_bytes(pairs.save(arrays))
    assert same(features(pair, 0, tmp_path), first)


def test_other_files_are_other_features(tmp_path, loaded):
    pair = write_pair(tmp_path, bpm=BPM)
    features(pair, 0, tmp_path / "cache")
    write_pair(tmp_path, bpm=BPM, seconds=6.0)
    assert features(pair, 0, tmp_path / "cache").duration == pytest.approx(6.0, abs=0.02)
    assert len(loaded) == 2


def test_a_variant_is_always_the_same_and_differs_from_others(pair, tmp_path):
    found = [features(pair, variant, tmp_path / "one") for variant in range(4)]
    again = [features(pair, variant, tmp_path / "two") for variant in (3, 2, 1, 0)][::-1]
    assert all(same(*both) for both in zip(found, again, strict=True))
    assert len({one.duration for one in found}) == 4
    other = features(replace(pair, id="other"), 1, tmp_path / "two")
    assert other.duration != found[1].duration


def test_a_variant_moves_sound_dance_and_beats_alike(pair, tmp_path):
    plain = features(pair, 0, tmp_path)
    for variant in range(1, 9):
        found = features(pair, variant, tmp_path)
        factor = SECONDS / found.duration
        assert 0.84 < factor < 1.19
        assert len(found.log_mel) / AUDIO_RATE == pytest.approx(SECONDS / factor, abs=0.05)
        assert len(found.motion) / MOTION_RATE == pytest.approx(SECONDS / factor, abs=0.05)
        np.testing.assert_allclose(found.beats, plain.beats / factor, rtol=0.005)
        assert found.tempo == pytest.approx(BPM * factor, rel=0.005)


def test_beats_heard_stand_in_for_unknown_ones(pair, tmp_path):
    for beats in (None, (), (1.0,)):
        found = features(replace(pair, id=f"{beats}", beats=beats), 0, tmp_path)
        assert np.array_equal(found.beats, found.audio_times)
        assert found.tempo == pytest.approx(BPM, rel=0.02)


def test_music_and_motion_of_different_length_are_refused(tmp_path):
    pair = write_pair(tmp_path, "long")
    motion = Motion.load(pair.motion)
    for frames, refused in ((-30, True), (-13, False), (None, False)):
        write_dance(pair.motion, Motion(motion.positions[:frames], motion.fps))
        if refused:
            with pytest.raises(PairError) as caught:
                features(pair, 0, tmp_path / "cache")
            assert str(caught.value) == (
                "pair long: 8.00 s of music and 7.50 s of motion; cut both to the same part"
            )
            assert not (tmp_path / "cache").exists()
        else:
            load_pair(pair)


def test_motion_that_cannot_be_used_is_refused(tmp_path):
    pair = write_pair(tmp_path)
    positions = Motion.load(pair.motion).positions

    def write(changed):
        np.savez(pair.motion, positions=changed, fps=np.array(60.0))

    broken = positions.copy()
    broken[17, 3, 1] = np.nan
    write(broken)
    with pytest.raises(MotionError, match=r"^motion holds NaN or infinite positions; [^\n]*$"):
        features(pair, 0, tmp_path / "cache")
    write(positions[:, :22])
    with pytest.raises(MotionError, match=r"^motion has shape \(480, 22, 3\); [^\n]*24[^\n]*$"):
        features(pair, 0, tmp_path / "cache")
    pair.motion.write_bytes(b"no zip")
    with pytest.raises(MotionError, match=str(pair.motion)):
        features(pair, 0, tmp_path / "cache")


def test_nobody_moves(pair, tmp_path):
    motion = Motion.load(pair.motion)
    still = Motion(np.repeat(motion.positions[:1], 480, axis=0), 60.0)
    rows, grid = watch(still)
    assert np.isfinite(rows).all()
    np.testing.assert_allclose(np.diff(grid.times), 60 / UNIFORM_TEMPO)
    assert grid.beats_per_bar == 4
    danced = watch(motion)[1]
    assert np.abs(np.diff(danced.times) - 60 / UNIFORM_TEMPO).max() > 0.02


def test_nothing_sounds(tmp_path):
    pair = write_pair(tmp_path)
    soundfile.write(pair.audio, np.zeros(int(SECONDS * SAMPLE_RATE)), SAMPLE_RATE)
    for variant in range(3):
        found = features(pair, variant, tmp_path / "cache")
        assert np.isfinite(found.log_mel).all()
        assert np.isfinite(found.onsets).all()
    assert np.allclose(
        np.diff(features(pair, 0, tmp_path / "cache").audio_times), 60 / UNIFORM_TEMPO
    )


def test_a_pair_shorter_than_a_clip(tmp_path):
    pair = write_pair(tmp_path, seconds=3.0)
    found = features(pair, 0, tmp_path / "cache")
    batch = collate([(found, Draw(0, 0, 0.7, 5.0))])
    frames = len(found.log_mel)
    heard = batch.heard.log_mel[0]
    assert len(heard) == round(5 * AUDIO_RATE)
    assert torch.equal(heard[:frames], torch.from_numpy(found.log_mel.astype(np.float32)))
    assert (heard[frames:] == heard[frames - 1]).all()
    assert torch.isfinite(batch.seen.features).all()
    assert batch.seen.features.shape == (3, 5 * MOTION_RATE, FEATURES)


def test_clips_are_cut_at_the_rows_of_their_time(pair, tmp_path):
    found = features(pair, 0, tmp_path)
    heard = cut_music([found, found], [1.0, 2.5], 3.0)
    seen = cut_motion([found], [2.0], 3.0)
    for row, start in enumerate((1.0, 2.5)):
        first = round(start * AUDIO_RATE)
        stop = first + round(3 * AUDIO_RATE)
        assert np.array_equal(heard.log_mel[row], found.log_mel[first:stop].astype(np.float32))
        assert np.array_equal(heard.onsets[row], found.onsets[first:stop].astype(np.float32))
    assert np.array_equal(seen.features[0], found.motion[60:150].astype(np.float32))
    times = heard.clock.times[1][: int(heard.clock.mask[1].sum()) + 1]
    assert times[0] <= 0 < times[1]
    assert times[-2] < 3 <= times[-1]
    inside = found.audio_times[(found.audio_times > 2.5) & (found.audio_times < 5.5)] - 2.5
    np.testing.assert_allclose(times[(times > 0) & (times < 3)], inside, atol=1e-5)


def test_a_grid_keeps_the_positions_of_its_beats():
    times, positions = np.arange(9) * 0.5, np.arange(8) % 3
    grid = cut_grid(times, positions, 3, 1.2, 1.0)
    np.testing.assert_allclose(grid.times, [-0.2, 0.3, 0.8, 1.3])
    assert grid.positions.tolist() == [2, 0, 1]
    assert grid.beats_per_bar == 3
    beyond = cut_grid(times, positions, 3, 10.0, 1.0)
    assert (len(beyond.times), beyond.positions.tolist()) == (2, [1])
    before = cut_grid(times, positions, 3, -2.0, 1.0)
    assert (len(before.times), before.positions.tolist()) == (2, [0])
