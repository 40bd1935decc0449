import numpy as np
import pandas as pd
import pytest
from scripts import matching
from scripts.matching import LAG, STEP, lagged, scores, shifted_cosines, song
from tests.dancing import write_pair

from motionbeat.model import MotionBeat
from motionbeat.weights import save_weights

CLIP = 5.0
STRIDE = round(CLIP / STEP)


def made(songs=8, clips=4, noise=0.0, width=16, seed=0):
    """Embeddings of songs whose music is its motion plus noise."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(songs):
        motion = rng.standard_normal((clips * STRIDE, width))
        music = motion[::STRIDE] + noise * rng.standard_normal((clips, width))
        found.append(tuple(x / np.linalg.norm(x, axis=1, keepdims=True) for x in (music, motion)))
    return found


@pytest.fixture(autouse=True)
def few_permutations(monkeypatch):
    monkeypatch.setattr(matching, "PERMUTATIONS", 499)


def test_music_that_equals_its_motion_is_always_matched():
    found = scores(made(), STRIDE)
    assert (found["dances"], found["clips"]) == (8, 32)
    assert found["shifted"] == found["other_song"] == 1
    assert found["shifted_p"] == found["other_song_p"] == 1 / 500


def test_music_that_has_nothing_to_do_with_the_motion_is_matched_by_chance():
    seeds = [scores(made(noise=1e6, seed=seed), STRIDE) for seed in range(20)]
    for name in ("shifted", "other_song"):
        assert np.mean([one[name] for one in seeds]) == pytest.approx(0.5, abs=0.05)
        p_values = np.array([one[f"{name}_p"] for one in seeds])
        assert 0.2 < p_values.mean() < 0.8
        assert (p_values < 0.05).sum() <= 4


def test_shifts_go_round_the_end_and_begin_with_none():
    [(music, motion)] = made(songs=1, clips=2)
    [table] = shifted_cosines([(music, motion)], STRIDE)
    assert table.shape == (2, 2 * STRIDE)
    assert table[:, 0] == pytest.approx(1)
    assert table[1, STRIDE] == pytest.approx(music[1] @ motion[0])


def test_music_is_cut_at_every_clip_and_motion_at_every_step(tmp_path):
    cut = song(write_pair(tmp_path, seconds=11.2), CLIP)
    assert len(cut.audio.log_mel) == 2
    assert len(cut.motion.features) == 1 + int((11.2 - CLIP) / STEP)
    assert song(write_pair(tmp_path, seconds=9.0), CLIP) is None


def test_a_constant_lag_is_found_on_the_other_half_of_the_clips():
    """Dancers who are late by half a second or a second, and clips without a time of their own."""
    late = [(music, np.roll(motion, 1 + n % 2, axis=0)) for n, (music, motion) in enumerate(made())]
    found = scores(late, STRIDE)
    assert found["lagged_p"] == 1 / 500
    assert found["shifted_p"] > 0.05
    cosines = np.zeros((4, 40))
    cosines[:, LAG] = 1
    assert lagged(cosines)[0] == 1
    cosines[::2] = np.roll(cosines[::2], 1, axis=1)  # every second clip is later still
    assert lagged(cosines)[0] == 0


def test_a_lag_that_is_chosen_gains_nothing_by_chance():
    found = [scores(made(noise=1e6, seed=seed), STRIDE)["lagged_p"] for seed in range(20)]
    assert 0.2 < np.mean(found) < 0.8
    assert np.sum(np.array(found) < 0.05) <= 4


def test_command_writes_a_row_for_each_model(tmp_path, monkeypatch):
    monkeypatch.setattr(matching, "untrained", lambda: MotionBeat("tiny").eval())
    monkeypatch.setattr(matching, "SECONDS", (2.0,))
    save_weights(MotionBeat("tiny"), {"size": "tiny"}, tmp_path / "mine.safetensors")
    matching.matching(
        (str(tmp_path / "mine.safetensors"),),
        "tests.dancing:Dancing",
        tmp_path / "results",
        tmp_path / "cache",
    )
    table = pd.read_csv(tmp_path / "results" / "matching.csv", index_col="model")
    assert list(table.index) == ["mine", "motionbeat-random"]
    assert set(table.seconds) == {2.0}
    assert table["shifted"].between(0, 1).all()
