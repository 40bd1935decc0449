"""Dances to click tracks and noise that stand in for the music of games."""

import json

import numpy as np
import pytest
import soundfile
from tests.clicks import click_track
from tests.command import motionbeat
from tests.lookalikes import every

from motionbeat.data_modules import DancedMusic
from motionbeat.data_modules.base import SPLITS, Beats, DatasetError, MotionFile, check_splits
from motionbeat.data_modules.published import game_music
from motionbeat.data_modules.published.game_music import Piece
from motionbeat.data_modules.rendered.danced_music import (
    DENSITIES,
    DIFFICULTIES,
    GAP,
    choose_steps,
    listen,
)
from motionbeat.spectrum import SAMPLE_RATE

SECONDS = 26.0
PIECES = [
    Piece(package, f"usr/share/{name}.ogg", SECONDS, "CC-BY-3.0", "Ann")
    for package, name in (
        ("tower-data", "quick"),
        ("tower-data", "slow"),
        ("tower-data", "noise"),
        ("flare-game", "held"),
    )
]
TEMPI = {"quick": 120.0, "slow": 96.0, "held": 110.0}
OPTIONS = {"sources": ["game_music"], "excerpts": 2, "seconds": 12.0}


def clicks(bpm, seconds=SECONDS):
    """Beats with eighths between them, and a click track of them."""
    beats = np.arange(0.4, seconds - 0.1, 60 / bpm)
    times = np.sort(np.concatenate([beats, beats[:-1:2] + 30 / bpm]))
    accented = np.isin(times, beats[::4])
    return beats, click_track(times, accented, seconds, SAMPLE_RATE)


def noise(seconds=SECONDS):
    return np.random.default_rng(0).normal(0, 0.1, round(seconds * SAMPLE_RATE)).astype(np.float32)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder of data, and a cache with the dances to it."""
    place = tmp_path_factory.mktemp("danced_music")
    for piece in PIECES:
        name = piece.name.removesuffix(".ogg")
        path = place / "data/game_music" / piece.package / piece.name
        path.parent.mkdir(parents=True, exist_ok=True)
        sound = clicks(TEMPI[name])[1] if name in TEMPI else noise()
        soundfile.write(path, sound, SAMPLE_RATE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(game_music, "pieces", lambda: PIECES)
        made(place).prepare_data()
    return place


@pytest.fixture(autouse=True)
def few(monkeypatch):
    monkeypatch.setattr(game_music, "pieces", lambda: PIECES)
    monkeypatch.delenv("MOTIONBEAT_DATA", raising=False)


def made(place, cache="cache", **options):
    return DancedMusic(cache=place / cache, data=place / "data", **(OPTIONS | options))


def contents(dataset):
    files = (path for path in dataset.folder.rglob("*") if path.suffix in (".flac", ".npz"))
    return {path.relative_to(dataset.folder).as_posix(): path.read_bytes() for path in files}


@pytest.mark.parametrize("bpm", [96, 110, 120])
def test_trackers_agree_on_clicks_and_not_on_noise(bpm):
    beats, waveform = clicks(bpm)
    heard = listen(waveform)
    assert heard is not None
    apart = np.abs(heard.grid.times[:, None] - beats).min(axis=0)
    assert np.quantile(apart, 0.9) < 0.03
    times, strengths = heard.onsets.T
    assert np.abs(times[:, None] - beats).min(axis=0).max() < 0.03
    assert ((strengths > 0) & (strengths <= 1)).all()
    assert listen(noise()) is None
    assert listen(np.zeros(SAMPLE_RATE * 10, np.float32)) is None


@pytest.mark.parametrize("difficulty", DIFFICULTIES)
@pytest.mark.parametrize("density", DENSITIES)
def test_steps_are_the_strongest_of_the_moments_allowed(difficulty, density):
    rng = np.random.default_rng(0)
    beats = np.arange(0.2, 30, 0.4)
    positions = np.arange(len(beats)) % 4 + 1
    times = np.arange(0.2, 29.9, 0.2)
    onsets = np.stack([times, rng.uniform(0.25, 1, len(times))], axis=1)
    chosen = choose_steps(beats, positions, onsets, difficulty, density)
    allowed = {"half": beats[::2], "beat": beats, "onset": times}[difficulty]
    assert np.isin(chosen, allowed).all()
    assert (np.diff(chosen) >= GAP).all()
    wanted = round(density * (beats[-1] - beats[0]))
    assert len(chosen) == min(wanted, len(allowed)) or (difficulty == "onset" and density > 1)
    strength = dict(zip(times.round(3), onsets[:, 1], strict=True))
    left_out = np.array([t for t in allowed if np.abs(chosen - t).min() >= GAP])
    if len(left_out) and len(chosen) == wanted:
        assert max(strength[t.round(3)] for t in left_out) <= min(
            strength[t.round(3)] for t in chosen
        )


def test_syncopated_steps_fall_between_the_beats():
    beats = np.arange(0.0, 30, 0.5)
    between = np.stack([beats + 0.25, np.ones(len(beats))], axis=1)
    chosen = choose_steps(beats, np.arange(len(beats)) % 4 + 1, between, "onset", 1.0)
    assert np.allclose(chosen % 0.5, 0.25)


def test_excerpts_are_cut_from_pieces_with_a_beat_and_danced_to(place):
    dataset = made(place)
    check_splits([dataset.tracks(split) for split in SPLITS])
    found = every(dataset)
    assert {id.rsplit("/", 1)[0] for id in found} == {
        "game_music/tower-data/quick.ogg",
        "game_music/tower-data/slow.ogg",
        "game_music/flare-game/held.ogg",
    }
    assert {len(dataset.tracks(split)) for split in ("train", "validation")} == {4, 2}
    for track in found.values():
        sound, rate = soundfile.read(track.audio_path)
        assert len(sound) / rate == track.duration == 12.0
        assert track.get(MotionFile).motion.duration == pytest.approx(12.0, abs=0.02)
        bpm = next(bpm for name, bpm in TEMPI.items() if name in track.id)
        periods = np.diff(track.get(Beats).times)
        assert np.median(periods) == pytest.approx(60 / bpm, rel=0.05)
        # Clicks are where the beats are said to be, so the excerpt is cut at the right place.
        loud = np.abs(sound).reshape(-1, 441).max(axis=1) > 0.1
        near = [
            loud[max(round(t * 50) - 2, 0) : round(t * 50) + 3].any()
            for t in track.get(Beats).times
        ]
        assert np.mean(near) > 0.9


def test_two_runs_give_the_same_files_and_more_excerpts_the_same_ones(place):
    dataset, again, fewer = made(place), made(place, "again"), made(place, "again", excerpts=1)
    again.prepare_data()
    assert contents(again) == contents(dataset)
    fewer.prepare_data()
    assert fewer.revision != dataset.revision
    some = contents(fewer)
    assert len(some) == len(contents(dataset)) / 2
    assert some.items() <= contents(dataset).items()
    other = made(place, "again", excerpts=1, seed=1)
    other.prepare_data()
    assert set(contents(other).values()).isdisjoint(some.values())


def test_what_is_wrong_is_one_line(place, tmp_path):
    for options, message in (
        ({"sources": ["fma"]}, r"no source \['fma'\]; choose from game_music, free_music"),
        ({"sources": []}, "choose from"),
        ({"seconds": 7.0}, "8 seconds or more"),
        ({"excerpts": 0}, "1 excerpt"),
    ):
        with pytest.raises(DatasetError, match=message) as error:
            made(place, **options)
        assert "\n" not in str(error.value)
    with pytest.raises(DatasetError, match="call prepare_data"):
        made(place, "absent").tracks("train")
    assert DancedMusic(cache=tmp_path).status() == "absent"


def test_towers_are_trained_on_it_from_the_command_line(place, tmp_path):
    ended = motionbeat(
        "pretrain", "--data.datasets", json.dumps({"danced_music": OPTIONS}),
        "--data.validation=danced_music", f"--data.data={place / 'data'}",
        f"--data.cache={tmp_path}", "--data.steps_per_epoch=1", "--data.batch_size=4",
        "--data.variants=1", "--data.num_workers=0", "--model.size=tiny",
        "--trainer.max_epochs=1", f"--output={tmp_path / 'output'}",
    )  # fmt: skip
    assert ended.code == 0, ended.said
    assert (tmp_path / "output/motionbeat.safetensors").is_file()
