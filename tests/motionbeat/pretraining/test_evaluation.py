from dataclasses import replace

import numpy as np
import pytest
import soundfile
import torch
from tests.dancing import write_dance, write_pair

from motionbeat.model import MOTION_RATE, SAMPLE_RATE, MotionBeat
from motionbeat.motion import Motion
from motionbeat.pretraining.evaluation import Clips, clips, compare, embed, impostors, moments
from motionbeat.pretraining.pairs import PairError, excerpt

CLIP = 3.0
START = 3.0


def known(count, tempo=None, piece=None):
    """Clips without content: what is known of them is enough for a comparison."""
    return Clips(
        None,
        np.arange(count) if piece is None else np.array(piece),
        np.full(count, 100.0) if tempo is None else np.array(tempo),
    )


def unit(rows, width=64, seed=0):
    made = torch.randn(rows, width, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.normalize(made, dim=1)


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    return write_pair(tmp_path_factory.mktemp("pair"), seconds=9.0)


@pytest.fixture
def copy(pair, tmp_path):
    """The same pair in files a test may change."""
    files = []
    for file in (pair.audio, pair.motion):
        files.append(tmp_path / file.name)
        files[-1].write_bytes(file.read_bytes())
    return replace(pair, audio=files[0], motion=files[1])


def test_perfect_embeddings_score_one():
    music = unit(30)
    found = compare(music, torch.cat([music, unit(30, seed=1), unit(30, seed=2)]), known(30))
    assert set(found) == {
        "music_to_motion_r1", "music_to_motion_r10", "motion_to_music_r1", "motion_to_music_r10",
        "shift", "impostor", "discrimination",
    }  # fmt: skip
    assert set(found.values()) == {1.0}


def test_unrelated_embeddings_score_chance():
    count = 2000
    found = compare(unit(count, 32, 0), unit(3 * count, 32, 1), known(count))
    for way in ("music_to_motion", "motion_to_music"):
        assert found[f"{way}_r1"] <= 5 / count
        assert found[f"{way}_r10"] == pytest.approx(10 / count, abs=0.005)
    for name in ("shift", "impostor", "discrimination"):
        assert found[name] == pytest.approx(0.5, abs=0.04)


def test_each_number_counts_its_own_comparison():
    # Music 0 finds its motion; 1 is nearer to motion 0 than to its own; 2 to its own shifted later.
    music = torch.tensor([[1.0, 0, 0, 0], [0.8, 0.6, 0, 0], [0, 0, 0.6, 0.8]])
    true = torch.tensor([[1.0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]])
    earlier = torch.zeros(3, 4)
    later = torch.tensor([[0.0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 1]])
    found = compare(music, torch.cat([true, earlier, later]), known(3, [100, 100, 300]))
    assert found["music_to_motion_r1"] == pytest.approx(2 / 3)
    assert found["motion_to_music_r1"] == 1
    assert found["music_to_motion_r10"] == found["motion_to_music_r10"] == 1
    assert found["shift"] == pytest.approx(5 / 6)
    assert found["impostor"] == pytest.approx(1 / 2)
    assert found["discrimination"] == pytest.approx((5 / 6 + 1 / 2) / 2)


def test_the_way_back_is_the_other_one():
    music = torch.tensor([[1.0, 0.0], [1.0, 0.0]])  # one music for both: a tie on the way back
    motion = torch.tensor([[1.0, 0.0], [2.0, 0.0]])
    found = compare(music, motion.repeat(3, 1), known(2))
    assert (found["music_to_motion_r1"], found["motion_to_music_r1"]) == (0.5, 0.0)


@pytest.mark.parametrize("value", [0.5, float("nan")])
def test_ties_and_numbers_that_are_none_count_against(value):
    count = 12
    music = torch.full((count, 4), value)
    found = compare(music, torch.full((3 * count, 4), 0.5), known(count))
    assert set(found.values()) == {0.0}


def test_comparison_keeps_its_precision_under_autocast():
    music = unit(200)
    motion = unit(600, seed=1) * 0.01 + torch.cat([music, music, music])
    plain = compare(music, motion, known(200))
    with torch.autocast("cpu", torch.bfloat16):
        assert compare(music, motion, known(200)) == plain
    assert 0 < plain["shift"] < 1


def test_impostors_are_the_nearest_of_another_piece():
    #          0      1      2      3      4      5      6
    tempo = [100.0, 100.0, 103.0, 102.0, 104.2, 140.0, 146.0]
    piece = [0, 0, 1, 2, 3, 4, 5]
    rows, others = impostors(known(7, tempo, piece))
    assert dict(zip(rows.tolist(), others.tolist(), strict=True)) == {0: 3, 1: 3, 2: 3, 3: 2, 4: 2}


def test_without_impostors_their_share_is_no_number():
    music = unit(2)
    found = compare(music, music.repeat(3, 1), known(2, [100.0, 200.0]))
    assert np.isnan(found["impostor"])
    assert found["music_to_motion_r1"] == 1


@pytest.mark.parametrize(
    ("seconds", "each", "starts"),
    [(9.0, None, [0, 3, 6]), (9.0, 2, [0, 3]), (9.0, 1, [3]), (9.0, 5, [0, 3, 6]), (4.0, 2, [0])],
)
def test_clips_follow_each_other(tmp_path, seconds, each, starts):
    pair = write_pair(tmp_path, bpm=120.0, seconds=seconds)
    found = clips([pair], tmp_path / "cache", each, CLIP)
    assert found.piece.tolist() == [0] * len(starts)
    np.testing.assert_allclose(found.tempo, 120.0)
    assert len(found.batch) == len(starts)
    for row, start in enumerate(starts):
        one = excerpt(pair, start, CLIP, 0.0, tmp_path / "other")
        whole = torch.from_numpy(one.motion.astype(np.float32))
        assert torch.equal(found.batch.seen.features[row], whole)


def test_shifted_motions_lie_a_beat_apart(tmp_path):
    pair = write_pair(tmp_path, bpm=120.0, seconds=9.0)
    found = clips([pair], tmp_path / "cache", 1, CLIP)
    for row, shift in enumerate((0.0, -0.5, 0.5)):
        one = excerpt(pair, START, CLIP, shift, tmp_path / "cache")
        whole = torch.from_numpy(one.motion.astype(np.float32))
        assert torch.equal(found.batch.seen.features[row], whole)
    true, earlier, later = found.batch.seen.features
    lag = round(0.5 * MOTION_RATE)
    middle = slice(lag, -lag)  # at the ends of a clip features know less
    for one, other in ((earlier, true), (true, later)):
        apart = (one[lag:][middle] - other[:-lag][middle]).abs().median()
        assert 3 * apart < (one - other).abs().median()


def test_clips_of_several_pairs(tmp_path):
    pairs = [write_pair(tmp_path, f"{bpm}", bpm, 7.0) for bpm in (100.0, 130.0)]
    short = write_pair(tmp_path, "short", seconds=2.0)
    unknown = replace(pairs[1], id="unknown", beats=None)
    single = replace(pairs[1], id="single", beats=(1.0,))
    found = clips([pairs[0], short, pairs[1], unknown, single], tmp_path / "cache", None, CLIP)
    assert found.piece.tolist() == [0, 0, 2, 2, 3, 3, 4, 4]
    np.testing.assert_allclose(found.tempo, [100.0] * 2 + [130.0] * 6, rtol=0.02)
    with pytest.raises(PairError, match=r"^no pair to validate on has 3 s; [^\n]*$"):
        clips([short], tmp_path / "cache", None, CLIP)


def test_nothing_outside_a_clip_touches_it(pair, copy, tmp_path):
    before = excerpt(pair, START, CLIP, 0.0, tmp_path / "one")
    rng = np.random.default_rng(0)
    waveform, rate = soundfile.read(copy.audio)
    first, last = round(START * rate), round((START + CLIP) * rate)
    outside = np.ones(len(waveform), bool)
    outside[first:last] = False
    waveform[outside] = rng.uniform(-0.9, 0.9, outside.sum())
    soundfile.write(copy.audio, waveform, rate)
    motion = Motion.load(copy.motion)
    positions = motion.positions.copy()
    outside = np.ones(len(positions), bool)
    outside[round(START * motion.fps) : round((START + CLIP) * motion.fps)] = False
    positions[outside] = 2 * positions[outside] + rng.normal(0, 1, positions[outside].shape)
    write_dance(copy.motion, Motion(positions, motion.fps))

    after = excerpt(copy, START, CLIP, 0.0, tmp_path / "two")
    for name, value in vars(before).items():
        assert np.array_equal(value, vars(after)[name]), name

    torch.manual_seed(0)
    model = MotionBeat("tiny").eval()
    found = [
        embed(model, clips([one], tmp_path / folder, 1, CLIP).batch)
        for one, folder in ((pair, "one"), (copy, "two"))
    ]
    (music, motion), (changed, moved) = found
    assert torch.equal(music, changed)
    assert torch.equal(motion[0], moved[0])
    assert not torch.equal(motion[1:], moved[1:])  # a shifted motion does look outside


def test_what_is_inside_touches_its_own_side_only(pair, copy, tmp_path):
    before = excerpt(pair, START, CLIP, 0.0, tmp_path / "one")
    heard = ("log_mel", "onsets", "audio_times", "audio_positions", "audio_metre")
    seen = ("motion", "motion_times", "motion_positions", "motion_metre")

    waveform, rate = soundfile.read(copy.audio)
    soundfile.write(copy.audio, np.roll(waveform, SAMPLE_RATE // 5), rate)
    after = excerpt(copy, START, CLIP, 0.0, tmp_path / "two")
    assert all(np.array_equal(vars(before)[name], vars(after)[name]) for name in seen)
    assert not np.array_equal(before.log_mel, after.log_mel)
    assert not np.array_equal(before.audio_times, after.audio_times)

    copy.audio.write_bytes(pair.audio.read_bytes())
    motion = Motion.load(copy.motion)
    write_dance(copy.motion, Motion(np.roll(motion.positions, 12, axis=0), motion.fps))
    after = excerpt(copy, START, CLIP, 0.0, tmp_path / "three")
    assert all(np.array_equal(vars(before)[name], vars(after)[name]) for name in heard)
    assert not np.array_equal(before.motion, after.motion)
    assert not np.array_equal(before.motion_times, after.motion_times)

    unlabelled = excerpt(replace(pair, beats=None), START, CLIP, 0.0, tmp_path / "four")
    for name in (*heard, *seen):
        assert np.array_equal(vars(before)[name], vars(unlabelled)[name])


def test_embeddings_are_of_unit_length_and_in_order(pair, tmp_path):
    torch.manual_seed(0)
    model = MotionBeat("tiny").eval()
    all_clips = clips([pair], tmp_path, None, CLIP)
    with torch.no_grad():
        music, motion = embed(model, all_clips.batch)
        alone, alone_moved = embed(model, clips([pair], tmp_path, 1, CLIP).batch)
    assert (len(music), len(motion)) == (3, 9)
    torch.testing.assert_close(music.norm(dim=1), torch.ones(3))
    torch.testing.assert_close(motion.norm(dim=1), torch.ones(9))
    torch.testing.assert_close(music[1:2], alone, atol=1e-5, rtol=0)
    torch.testing.assert_close(motion[1::3], alone_moved, atol=1e-5, rtol=0)
    assert (music[1] - music[0]).abs().max() > 1e-3


def test_moments_cover_a_clip():
    np.testing.assert_allclose(moments(0.5), [0, 0.1, 0.2, 0.3, 0.4])
    assert len(moments(5.0)) == 50
