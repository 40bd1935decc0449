import numpy as np
import pandas as pd
import pytest
import soundfile
import torch
from scripts import near_duplicates as script
from scripts.near_duplicates import FRAME_RATE, THRESHOLD, chroma, kept_chroma, similar
from tests.clicks import RATE, Clicks, click_track


def tune(seed, seconds=100.0):
    """Chroma (frames, 12) of a random tune: each second another pitch class is loud."""
    rng = np.random.default_rng(seed)
    classes = np.repeat(rng.integers(12, size=round(seconds)), round(FRAME_RATE))
    return torch.from_numpy(np.eye(12, dtype=np.float32)[classes] + 0.1)


def faster(one, speed):
    length = round(len(one) / speed)
    return torch.nn.functional.interpolate(one.T[None], length, mode="linear")[0].T


@pytest.mark.parametrize(
    "copy",
    [
        lambda one: 0.1 * one,
        lambda one: one[9:],
        lambda one: one[:100],  # half of it
        lambda one: faster(one, 1.05),
        lambda one: faster(one, 0.9),
        lambda one: faster(one, 2 ** (1 / 12)).roll(1, dims=1),  # played faster
        lambda one: one + 0.3 * torch.rand(one.shape, generator=torch.manual_seed(0)),
    ],
)
def test_copies_are_told_from_other_music(copy):
    known = {str(seed): tune(seed) for seed in range(12)}
    pairs = similar(known | {"copy": copy(known["3"])})
    assert pairs[("3", "copy")] > THRESHOLD
    assert (pairs.drop([("3", "copy")]) < THRESHOLD).all()


def test_the_same_key_is_no_similarity():
    """Two tunes over one loud drone have nothing in common that changes."""
    drone = 5 * torch.eye(12)[0]
    pairs = similar({"a": tune(0) + drone, "b": tune(1) + drone})
    assert pairs[("a", "b")] < THRESHOLD


def test_what_is_shorter_than_a_fragment_is_in_no_pair():
    assert similar({"a": tune(0), "b": tune(0, 20.0)}).empty


def test_chroma_has_the_loud_pitch_class_and_the_rate():
    time = np.arange(22_050 * 3) / 22_050
    found = chroma(np.sin(2 * np.pi * 440 * time).astype(np.float32), 22_050)
    assert found.shape == (round(3 * FRAME_RATE), 12)
    assert (found.argmax(dim=1) == 9).all()


def test_the_table_has_pairs_and_copies(tmp_path, monkeypatch):
    monkeypatch.setattr(script, "_LENGTH", 4)
    monkeypatch.setattr(script, "CUT", 0.1)
    clicks = f"{Clicks.__module__}:{Clicks.__name__}"
    script.near_duplicates(clicks, copied=1, output=tmp_path, cache=tmp_path)
    table = pd.read_csv(tmp_path / "near_duplicates.csv")
    assert set(table["kind"]) == {"pair", *script.COPIES}
    assert table["similarity"].between(-1, 1.001).all()


def test_chroma_are_computed_once(tmp_path, monkeypatch):
    soundfile.write(tmp_path / "a.wav", click_track([0.5, 1.0], [True, False], 2.0), RATE)
    first = kept_chroma(tmp_path / "a.wav", tmp_path)
    monkeypatch.setattr(script, "chroma", None)
    assert torch.equal(kept_chroma(tmp_path / "a.wav", tmp_path), first)
