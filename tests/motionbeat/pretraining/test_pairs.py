from dataclasses import replace

import numpy as np
import pytest
from tests.dancing import SECONDS, write_dance, write_pair

from motionbeat.kinematics import FEATURES
from motionbeat.model import AUDIO_FRAME_RATE, BANDS, MOTION_FRAME_RATE
from motionbeat.motion import Motion, MotionError
from motionbeat.pretraining import pairs as module
from motionbeat.pretraining.pairs import (
    PairError,
    audio_inputs,
    cut_audio,
    cut_grid,
    cut_motion,
    cut_phases,
    features,
    load_pair,
    motion_inputs,
    variant_tempi,
)
from motionbeat.rhythm import UNIFORM_TEMPO, BeatGrid


@pytest.fixture
def pair(pairs):
    return pairs[0]


@pytest.fixture
def loaded(monkeypatch):
    """The pairs that are read from their files."""
    read = []
    load = module.load_pair
    monkeypatch.setattr(module, "load_pair", lambda pair: [read.append(pair.id), load(pair)][1])
    return read


def same(one, other):
    one, other = module._to_arrays(one), module._to_arrays(other)
    return all(np.array_equal(v, other[name], v.dtype.kind == "f") for name, v in one.items())


def test_features_of_a_pair(pair, found):
    one = found[0]
    assert one.log_mel.shape == (len(one.onsets), BANDS)
    assert len(one.log_mel) == pytest.approx(SECONDS * AUDIO_FRAME_RATE, abs=1.5)
    assert one.motion.shape == (round(SECONDS * MOTION_FRAME_RATE), FEATURES)
    assert one.onsets.min() == 0
    assert 0.5 < one.onsets.max() <= 1
    assert one.duration == pytest.approx(SECONDS, abs=0.02)
    assert one.tempo == pytest.approx(120, rel=1e-6)
    assert tuple(one.beats) == pair.beats
    apart = np.abs(one.audio_grid.times[:, None] - one.beats).min(axis=0)
    assert np.median(apart) < 0.02


def test_phases_are_shares_of_the_way_between_annotated_beats(pair, tmp_path):
    beats = (0.5, 1.0, 2.0)
    for downbeats in (None, (0.5, 2.0)):
        known = replace(pair, id=f"phases{downbeats}", beats=beats, downbeats=downbeats)
        one = features(known, 0, tmp_path)
        shares = cut_phases([one], [0.0], 3.0)[0].numpy()
        seconds = np.arange(len(shares)) / AUDIO_FRAME_RATE
        inside = (seconds >= 0.5) & (seconds <= 2.0)
        assert np.isnan(shares[~inside]).all()
        expected = np.where(seconds < 1, (seconds - 0.5) / 0.5, seconds - 1)[inside]
        np.testing.assert_allclose(shares[inside, 0], expected, atol=1e-3)
        if downbeats is None:
            assert np.isnan(shares[:, 1]).all()
        else:
            np.testing.assert_allclose(shares[inside, 1], (seconds[inside] - 0.5) / 1.5, atol=1e-3)


def test_features_are_stored_by_pair_variant_and_files(tmp_path, loaded):
    pair, cache = write_pair(tmp_path), tmp_path / "cache"
    first = features(pair, 1, cache)
    assert same(first, features(pair, 1, cache))
    assert len(loaded) == 1
    assert features(pair, 0, cache).log_mel.shape != first.log_mel.shape
    write_pair(tmp_path, seconds=6.0)
    assert features(pair, 0, cache).duration == pytest.approx(6.0, abs=0.02)
    assert len(loaded) == 3


@pytest.mark.parametrize("damage", ["garbage", "cut", "lacking"])
def test_a_damaged_file_is_computed_again(pair, tmp_path, loaded, damage):
    first = features(pair, 0, tmp_path)
    [file] = tmp_path.iterdir()
    whole = file.read_bytes()
    lacking = {k: value for k, value in module._to_arrays(first).items() if k != "beats"}
    damaged = {"garbage": b"garbage" * 100, "cut": whole[:-9], "lacking": module.save(lacking)}
    file.write_bytes(damaged[damage])
    assert same(features(pair, 0, tmp_path), first)
    assert file.read_bytes() == whole
    assert len(loaded) == 2


def test_variants_change_music_motion_and_beats_alike_and_always_in_the_same_way(pair, tmp_path):
    plain = features(pair, 0, tmp_path)
    durations, tempi = {plain.duration}, variant_tempi(pair, 6)
    assert tempi[0] == pytest.approx(plain.tempo, rel=0.005)
    for variant in range(1, 6):
        one = features(pair, variant, tmp_path)
        assert same(one, features(pair, variant, tmp_path / "again"))
        factor = SECONDS / one.duration
        assert 0.84 < factor < 1.19
        assert one.tempo == pytest.approx(tempi[variant], rel=0.005)
        for rows, rate in ((one.log_mel, AUDIO_FRAME_RATE), (one.motion, MOTION_FRAME_RATE)):
            assert len(rows) / rate == pytest.approx(SECONDS / factor, abs=0.05)
        np.testing.assert_allclose(one.beats, plain.beats / factor, rtol=0.005)
        durations.add(one.duration)
    assert features(replace(pair, id="other"), 1, tmp_path).duration not in durations
    assert len(durations) == 6


@pytest.mark.parametrize("beats", [None, (1.0,)])
def test_tracked_beats_are_used_where_none_are_annotated(pair, tmp_path, beats):
    found = features(replace(pair, beats=beats), 0, tmp_path)
    assert np.array_equal(found.beats, found.audio_grid.times)
    assert found.tempo == pytest.approx(120, rel=0.02)


def test_music_and_motion_of_different_length_are_refused(tmp_path):
    pair = write_pair(tmp_path, "long")
    motion = Motion.load(pair.motion)
    write_dance(pair.motion, Motion(motion.positions[:-13], motion.fps))
    load_pair(pair)
    write_dance(pair.motion, Motion(motion.positions[:-30], motion.fps))
    with pytest.raises(PairError, match=r"pair long: 8\.00 s of music and 7\.50 s of motion; "):
        features(pair, 0, tmp_path / "cache")
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
    waveform, motion = load_pair(pair)
    assert motion_inputs(motion)[1].has_beat
    assert audio_inputs(waveform)[2].has_beat
    rows, grid = motion_inputs(Motion(np.repeat(motion.positions[:1], 480, axis=0), 60.0))
    assert np.isfinite(rows).all()
    log_mel, onsets, silent = audio_inputs(0 * waveform)
    assert not log_mel.any()
    assert not onsets.any()
    for one in (grid, silent):
        assert not one.has_beat
        assert not cut_grid(one, 1.0, 2.0).has_beat
        np.testing.assert_allclose(np.diff(one.times), 60 / UNIFORM_TEMPO)


def test_clips_are_cut_at_the_rows_of_their_time(found):
    one = found[0]
    audio = cut_audio([one, one], [1.0, 2.5], 3.0)
    motion = cut_motion([one], [2.0], 3.0)
    for row, start in enumerate((1.0, 2.5)):
        first = round(start * AUDIO_FRAME_RATE)
        stop = first + round(3 * AUDIO_FRAME_RATE)
        assert np.array_equal(audio.log_mel[row], one.log_mel[first:stop].astype(np.float32))
        assert np.array_equal(audio.onsets[row], one.onsets[first:stop].astype(np.float32))
    assert np.array_equal(motion.features[0], one.motion[60:150].astype(np.float32))
    times = audio.clock.times[1][: int(audio.clock.mask[1].sum()) + 1]
    beats = one.audio_grid.times
    np.testing.assert_allclose(times[1:-1], beats[(beats > 2.5) & (beats < 5.5)] - 2.5, atol=1e-5)


@pytest.mark.parametrize(
    ("start", "times", "positions"),
    [
        (1.2, [-0.2, 0.3, 0.8, 1.3], [2, 0, 1]),
        (1.0, [0.0, 0.5, 1.0], [2, 0]),
        (10.0, [-6.5, -6.0], [1]),
        (-2.0, [2.0, 2.5], [0]),
    ],
)
def test_a_cut_grid_keeps_the_positions_of_its_beats(start, times, positions):
    grid = cut_grid(BeatGrid(np.arange(9) * 0.5, np.arange(8) % 3, 3), start, 1.0)
    np.testing.assert_allclose(grid.times, times)
    assert grid.positions.tolist() == positions
    assert grid.beats_per_bar == 3
