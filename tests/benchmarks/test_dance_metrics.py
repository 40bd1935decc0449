import shutil

import numpy as np
import pandas as pd
import pytest
import soundfile
from scipy.spatial.transform import Rotation
from tests.clicks import click_track
from tests.command import motionbeat
from tests.conftest import failed
from tests.dancing import SECONDS, beats_at, danced, write_dance

from motionbeat.benchmarks.dance_metrics import read_dances
from motionbeat.data_modules.motion_formats import write_bvh
from motionbeat.model import SAMPLE_RATE
from motionbeat.motion import Motion
from motionbeat.tasks.metrics.dance_alignment import beat_alignment_score, motion_beats
from motionbeat.tasks.metrics.dance_distances import diversity, normalise
from motionbeat.tasks.metrics.dance_features import kinetic_features
from motionbeat.tasks.metrics.dance_physics import jerk
from motionbeat.tasks.metrics.dance_scores import estimate_beats

TEMPI = {"mAA0": 96.0, "mAA1": 110.0, "mAA2": 124.0}


def write_song(folder, name, waveform):
    folder.mkdir(parents=True, exist_ok=True)
    soundfile.write(folder / f"{name}.wav", waveform, SAMPLE_RATE)


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """Three songs, two real dances to each, and one to another tempo as if generated."""
    folder = tmp_path_factory.mktemp("dances")
    for index, (song, bpm) in enumerate(TEMPI.items()):
        times, positions = beats_at(bpm)
        clicks = click_track(times, positions == 1, SECONDS, SAMPLE_RATE, index)
        write_song(folder / "music", song, clicks)
        for take in range(2):
            name = f"gBR_sBM_cAll_d0{take}_{song}_ch01.npz"
            write_dance(folder / "real" / name, danced(bpm, dancer=take, seed=take))
        write_dance(folder / "made" / f"{song}.npz", danced(bpm + 17, dancer=3, seed=9, fps=30.0))
    return folder


@pytest.fixture
def folder(made, tmp_path):
    """A copy that a test may change."""
    return shutil.copytree(made, tmp_path / "dances")


def run(folder, *options, generated="made"):
    places = ("--generated", folder / generated, "--reference", folder / "real")
    output = ("--music", folder / "music", "--output", folder / "scores" / "dances.csv")
    return motionbeat("dance-metrics", *places, *output, "--permutations", 20, *options)


def table(folder, *options, **changes):
    ended = run(folder, *options, **changes)
    assert ended.code == 0, ended.said
    return pd.read_csv(folder / "scores" / "dances.csv", index_col="metric")


@pytest.fixture(scope="module")
def scored(made):
    return table(made)


def test_the_command_prints_every_metric_and_writes_them(folder):
    ended = run(folder)
    found = pd.read_csv(folder / "scores" / "dances.csv")["metric"]
    assert set(found) == {
        "BAS fact", "BAS bailando", "BAS edge30", "beat coverage", "beat hit rate",
        "FID_k legacy", "FID_k fixed", "FID_g", "Div_k legacy", "Div_k fixed", "Div_g",
        "PFC", "foot sliding", "penetration mm", "float mm", "jerk m/s³", "bone drift %",
    }  # fmt: skip
    assert all(metric in ended.printed for metric in found)
    assert "mostly its bias" in " ".join(ended.printed.split())


def test_beat_scores_stand_beside_chance_and_real_dances(scored):
    for variant in ("BAS fact", "BAS bailando", "BAS edge30"):
        row = scored.loc[variant]
        assert row["chance_low"] <= row["chance"] <= row["chance_high"]
        assert row["real"] > max(row["chance"], row["generated"]) + 0.05
        assert (row["n"], row["real_n"], row["clip"]) == (3, 6, SECONDS)


def test_scores_are_those_of_the_functions(made, scored):
    scores = []
    for song in TEMPI:
        motion = Motion.load(made / "made" / f"{song}.npz")
        beats = estimate_beats(made / "music" / f"{song}.wav").beats
        moves = motion_beats(motion.positions, "edge30")
        alignment = beat_alignment_score(moves, len(motion.positions), beats, variant="edge30")
        scores.append((alignment, jerk(motion.positions, 30.0)))
    edge, jerky = np.mean(scores, axis=0)
    assert scored["generated"]["BAS edge30"] == pytest.approx(edge, rel=1e-5)
    assert scored["generated"]["jerk m/s³"] == pytest.approx(jerky, rel=1e-5)
    real = [one.motion.at(60.0) for one in read_dances(made / "real", {}, None)]
    features = np.stack([kinetic_features(one) for one in real])
    spread = diversity(normalise(features, features))
    assert scored["real"]["Div_k fixed"] == pytest.approx(spread, rel=1e-5)


def test_dances_compared_with_themselves_have_no_distance(made):
    found = table(made, generated="real")
    distances = found.loc[["FID_k legacy", "FID_k fixed", "FID_g"]]
    assert distances["generated"].to_numpy() == pytest.approx(0, abs=1e-6)
    assert (distances["chance"] > 1).all()
    rest = found.drop(distances.index)
    assert rest["generated"].to_numpy() == pytest.approx(rest["real"].to_numpy(), rel=1e-5)


def test_silent_and_1_second_music_give_no_beat_score(folder):
    write_song(folder / "music", "mAA0", np.zeros(8 * SAMPLE_RATE))
    write_song(folder / "music", "mAA1", 0.1 * np.sin(np.arange(SAMPLE_RATE)))
    found = table(folder)
    beats = found.loc[["BAS fact", "BAS bailando", "BAS edge30", "beat hit rate"]]
    assert (set(beats["n"]), set(beats["real_n"])) == ({1}, {2})
    assert beats["generated"].notna().all()
    assert found["n"]["FID_g"] == 3


def test_one_generated_dance_has_no_distance_and_no_chance(folder):
    for song in ("mAA0", "mAA1"):
        (folder / "made" / f"{song}.npz").unlink()
    assert "no chance floor" in " ".join(run(folder).printed.split())
    found = table(folder)
    assert np.isnan([found["generated"]["FID_k fixed"], found["chance"]["BAS fact"]]).all()
    assert np.isfinite(found["generated"]["BAS fact"])


def test_a_shorter_song_is_no_worse_as_other_music(folder):
    """A dance goes on after the end of another song, which has no beats there to be near to."""
    for name, bpm in TEMPI.items():
        write_dance(folder / "made" / f"{name}.npz", danced(110, dancer=3, seed=9, fps=30.0))
        times, positions = beats_at(110, 4.0)
        if bpm != 110:
            write_song(folder / "music", name, click_track(times, positions == 1, 4.0, SAMPLE_RATE))
    found = table(folder)
    for metric in ("BAS fact", "beat hit rate", "beat coverage"):
        row = found.loc[metric]
        assert row["chance"] == pytest.approx(row["generated"], abs=1 / 13 + 0.01), (
            f"{metric}: at most one beat of thirteen is estimated elsewhere"
        )


def strangers(folder):
    for path in list((folder / "real").iterdir()):
        path.rename(path.with_name(path.name.replace("mAA", "mZZ")))


def generated(**arrays):
    """Another file for one of the generated dances."""
    return lambda folder: np.savez(folder / "made" / "mAA1.npz", **arrays)


BRIEF = danced(100, fps=30.0).positions[:20]
SHUFFLED = danced(100, fps=30.0).positions[:, np.random.default_rng(0).permutation(24)]
LEANING = danced(100, fps=30.0).positions @ Rotation.from_euler("x", 45, degrees=True).as_matrix()


@pytest.mark.parametrize(
    ("harm", "options", "message"),
    [
        (lambda folder: shutil.rmtree(folder / "music"), (), "no such folder; give the folder wi"),
        (lambda folder: [path.unlink() for path in (folder / "made").iterdir()], (),
         "made holds no motion; put .npz, .npy, .pkl, .bvh files there"),
        (lambda folder: np.save(folder / "made" / "mAA1.npy", SHUFFLED), ("--fps", 30),
         "mAA1.npy: the bone"),
        (lambda folder: [np.savez(path, positions=LEANING) for path in (folder / "made").iterdir()],
         ("--fps", 30), "mAA0.npz: cannot tell which axis points up"),
        (generated(positions=BRIEF, fps=30.0), (), "mAA1.npz: 0.67 s of motion; the beat scores"),
        (generated(positions=BRIEF * np.nan), ("--fps", 60), "mAA1.npz: motion holds NaN"),
        (generated(positions=BRIEF), (), "mAA1.npz: has no frame rate; set it with --fps"),
        (lambda _: None, ("--fps=.nan",), "--fps is nan; give 1 to 1000, or leave it out"),
        (lambda _: None, ("--unit=.inf",), "--unit is inf; give the metres of a unit"),
        (lambda _: None, ("--reference_unit", 5), "m tall if its unit of length is 5 m"),
    ],
)  # fmt: skip
def test_bad_input_is_one_clear_error(folder, harm, options, message):
    harm(folder)
    ended = run(folder, *options)
    assert failed(ended, message)
    assert ended.said.count("\n") == 1
    assert not ended.printed


def test_songs_in_common_are_not_needed(folder, scored):
    for path in list((folder / "real").iterdir()):
        path.rename(path.with_name(path.name.replace("mAA", "mZZ")))
    ended = run(folder)
    assert ended.code == 0
    assert "share no song" in ended.said
    found = pd.read_csv(folder / "scores" / "dances.csv", index_col="metric")
    pd.testing.assert_series_equal(found["generated"], scored["generated"])
    assert found.loc["BAS fact", "real_n"] == 0


def test_a_motion_without_music_is_scored_without_beats(folder, scored):
    (folder / "made" / "mAA1.npz").rename(folder / "made" / "mQQ1.npz")
    ended = run(folder)
    assert ended.code == 0
    assert "1 of 3 motions, such as mQQ1, are named after no music" in ended.said.replace("\n", " ")
    found = pd.read_csv(folder / "scores" / "dances.csv", index_col="metric")
    assert found.loc["BAS fact", "n"] == 2
    pd.testing.assert_series_equal(found["generated"]["PFC":], scored["generated"]["PFC":])


def test_the_longest_song_in_a_name_is_meant(folder):
    songs = dict.fromkeys(("my_song", "song", "my"), folder)
    for old, new in (("mAA0", "my_song_take_2"), ("mAA1", "song_2"), ("mAA2", "other")):
        (folder / "made" / f"{old}.npz").rename(folder / "made" / f"{new}.npz")
    found = {one.name: one.song for one in read_dances(folder / "made", songs)}
    assert found == {"my_song_take_2": "my_song", "song_2": "song", "other": None}


WRITTEN = {
    "y and z exchanged": lambda p: p[..., [0, 2, 1]],
    "y down": lambda p: p * [1, -1, -1],
    "centimetres, z up": lambda p: 100 * np.stack([p[..., 0], -p[..., 2], p[..., 1]], axis=-1),
    "millimetres": lambda p: 1000 * p,
}


@pytest.mark.parametrize("written", WRITTEN)
def test_axes_and_units_change_no_score(folder, scored, written):
    for path in (folder / "made").iterdir():
        motion = Motion.load(path)
        np.savez(path, positions=WRITTEN[written](motion.positions), fps=[motion.fps])
    ended = run(folder)
    assert "turned to y up, in metres" in ended.said
    found = pd.read_csv(folder / "scores" / "dances.csv", index_col="metric")
    # published foot sliding depends on where the dancer looks
    same = found.index != "foot sliding"
    for column in ("generated", "chance"):
        pd.testing.assert_series_equal(
            found[column][same], scored[column][same], rtol=2e-3, atol=1e-3
        )


@pytest.mark.parametrize("unit", [1.0, 0.01])
def test_bvh_files_are_read_in_their_own_unit(folder, scored, unit):
    for path in (folder / "made").iterdir():
        motion = Motion.load(path)
        scaled = Motion(motion.positions * 0.01 / unit, motion.fps)
        write_bvh(scaled, path.with_suffix(".bvh"))
        path.unlink()
    metrics = ["BAS fact", "beat hit rate", "jerk m/s³", "Div_k fixed", "FID_k fixed"]
    for options in ((), ("--unit", unit)):
        found, expected = (one["generated"][metrics] for one in (table(folder, *options), scored))
        pd.testing.assert_series_equal(found, expected, rtol=0.02)
