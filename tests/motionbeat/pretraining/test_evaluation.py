from dataclasses import replace

import numpy as np
import pytest
import soundfile
import torch
from tests.dancing import write_dance, write_pair

from motionbeat.model import SAMPLE_RATE, MotionBeat
from motionbeat.motion import Motion
from motionbeat.pretraining.batches import Batch
from motionbeat.pretraining.evaluation import clips, compare, embed
from motionbeat.pretraining.pairs import PairError, _to_arrays, excerpt

CLIP = 3.0
START = 3.0


def batch(count, tempo=None):
    """Clips without content: what is known of them is enough for a comparison."""
    tempo = torch.full((count,), 100.0) if tempo is None else torch.tensor(tempo)
    return Batch(None, None, CLIP, None, torch.arange(count), tempo)


def unit(rows, width=64, seed=0):
    made = torch.randn(rows, width, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.normalize(made, dim=1)


def tiny():
    torch.manual_seed(0)
    return MotionBeat("tiny").eval()


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


def different(one, other):
    """Names of the features that differ: of the music ``log_mel``, of the motion ``motion``."""
    one, other = _to_arrays(one), _to_arrays(other)
    names = {name.partition(".")[0] for name in one if not np.array_equal(one[name], other[name])}
    return names - {"beats", "phases"}  # of the annotations


def test_perfect_embeddings_score_one():
    music = unit(30)
    found = compare(music, torch.cat([music, unit(30, seed=1), unit(30, seed=2)]), batch(30))
    assert set(found) == {
        "music_to_motion_r1", "music_to_motion_r10", "motion_to_music_r1", "motion_to_music_r10",
        "r10", "shift", "impostor", "discrimination",
    }  # fmt: skip
    assert set(found.values()) == {1.0}


def test_unrelated_embeddings_score_chance():
    count = 1000
    found = compare(unit(count, 32, 0), unit(3 * count, 32, 1), batch(count))
    for way in ("music_to_motion", "motion_to_music"):
        assert found[f"{way}_r1"] <= 5 / count
        assert found[f"{way}_r10"] == pytest.approx(10 / count, abs=0.01)
    for name in ("shift", "impostor", "discrimination"):
        assert found[name] == pytest.approx(0.5, abs=0.04)


def test_each_number_by_hand():
    # Music 0 finds its motion; 1 is nearer to motion 0 than to its own; 2 to its own shifted later.
    music = torch.tensor([[1.0, 0, 0, 0], [0.8, 0.6, 0, 0], [0, 0, 0.6, 0.8]])
    true = torch.tensor([[1.0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]])
    later = torch.tensor([[0.0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 1]])
    found = compare(music, torch.cat([true, 0 * later, later]), batch(3, [100.0, 100.0, 300.0]))
    assert found["music_to_motion_r1"] == pytest.approx(2 / 3)
    assert found["motion_to_music_r1"] == found["r10"] == 1
    assert found["shift"] == pytest.approx(5 / 6)
    assert found["impostor"] == pytest.approx(1 / 2)
    assert found["discrimination"] == pytest.approx(3 / 4)  # of the two with impostors


@pytest.mark.parametrize("value", [0.5, float("nan")])
def test_ties_and_numbers_that_are_none_count_against(value):
    found = compare(torch.full((12, 4), value), torch.full((36, 4), 0.5), batch(12))
    assert set(found.values()) == {0.0}


@pytest.mark.parametrize(
    ("each", "starts"), [(None, [0, 3, 6]), (2, [0, 3]), (1, [3]), (5, [0, 3, 6])]
)
def test_clips_are_consecutive_and_shifted_motions_a_beat_off(tmp_path, each, starts):
    pair = write_pair(tmp_path, bpm=120.0, seconds=9.0)
    found = clips([pair], tmp_path / "cache", each, CLIP)
    assert found.piece.tolist() == [0] * len(starts)
    np.testing.assert_allclose(found.tempo, 120.0)
    expected = [
        excerpt(pair, start, CLIP, shift, tmp_path / "cache").motion.astype(np.float32)
        for shift in (0.0, -0.5, 0.5)
        for start in starts
    ]
    assert np.array_equal(found.motion.features, np.stack(expected))


def test_clips_of_several_pairs(tmp_path):
    pairs = [write_pair(tmp_path, f"{bpm}", bpm, 7.0) for bpm in (100.0, 130.0)]
    short = write_pair(tmp_path, "short", seconds=2.0)
    unknown = replace(pairs[1], id="unknown", beats=None)
    found = clips([pairs[0], short, pairs[1], unknown], tmp_path / "cache", None, CLIP)
    assert found.piece.tolist() == [0, 0, 2, 2, 3, 3]
    np.testing.assert_allclose(found.tempo, [100.0] * 2 + [130.0] * 4, rtol=0.02)
    with pytest.raises(PairError, match=r"^no pair to validate on has 3 s; [^\n]*$"):
        clips([short], tmp_path / "cache", None, CLIP)


def test_nothing_outside_a_clip_influences_it(pair, copy, tmp_path):
    rng = np.random.default_rng(0)
    waveform, rate = soundfile.read(copy.audio)
    motion = Motion.load(copy.motion)
    positions = motion.positions + rng.normal(0, 1, motion.positions.shape)
    noisy = rng.uniform(-0.9, 0.9, len(waveform))
    for changed, given, fps in ((noisy, waveform, rate), (positions, motion.positions, motion.fps)):
        inside = slice(round(START * fps), round((START + CLIP) * fps))
        changed[inside] = given[inside]
    soundfile.write(copy.audio, noisy, rate)
    write_dance(copy.motion, Motion(positions.astype(np.float32), motion.fps))
    excerpts = [excerpt(one, START, CLIP, 0.0, tmp_path / "cache") for one in (pair, copy)]
    assert not different(*excerpts)
    (music, motion), (changed, moved) = (
        embed(tiny(), *clips([one], tmp_path / "cache", 1, CLIP)[:3]) for one in (pair, copy)
    )
    assert torch.equal(music, changed)
    assert torch.equal(motion[0], moved[0])
    assert not torch.equal(motion[1:], moved[1:])  # a shifted motion does look outside


def test_music_and_motion_do_not_influence_each_others_inputs(pair, copy, tmp_path):
    def changes():
        now = excerpt(replace(copy, beats=None), START, CLIP, 0.0, tmp_path / "cache")
        return different(before, now)

    before = excerpt(pair, START, CLIP, 0.0, tmp_path / "cache")
    assert not changes(), "annotated beats influence neither"
    waveform, rate = soundfile.read(copy.audio)
    soundfile.write(copy.audio, np.roll(waveform, SAMPLE_RATE // 5), rate)
    assert changes() == {"log_mel", "onsets", "audio_grid"}
    copy.audio.write_bytes(pair.audio.read_bytes())
    motion = Motion.load(copy.motion)
    write_dance(copy.motion, Motion(np.roll(motion.positions, 12, axis=0), motion.fps))
    assert changes() == {"motion", "motion_grid"}


def test_embeddings_are_of_unit_length_and_the_same_in_any_batch(pair, tmp_path):
    model = tiny()
    with torch.no_grad():
        music, motion = embed(model, *clips([pair], tmp_path, None, CLIP)[:3])
        alone, alone_moved = embed(model, *clips([pair], tmp_path, 1, CLIP)[:3])
    torch.testing.assert_close(music.norm(dim=1), torch.ones(3))
    torch.testing.assert_close(motion.norm(dim=1), torch.ones(9))
    torch.testing.assert_close(music[1:2], alone, atol=1e-5, rtol=0)
    torch.testing.assert_close(motion[1::3], alone_moved, atol=1e-5, rtol=0)
    assert (music[1] - music[0]).abs().max() > 1e-3
