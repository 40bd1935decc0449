import shutil

import numpy as np
import pandas as pd
import pytest
import soundfile
from tests.clicks import click_track
from tests.command import motionbeat
from tests.dancing import SECONDS, beats_at, danced, write_dance

from motionbeat.benchmarks.dance_metrics import dance_metrics, read_dances
from motionbeat.data_modules.motion_formats import write_bvh
from motionbeat.model import SAMPLE_RATE
from motionbeat.motion import Motion
from motionbeat.tasks.metrics.dance_alignment import beat_alignment_score, motion_beats
from motionbeat.tasks.metrics.dance_distances import diversity, normalise
from motionbeat.tasks.metrics.dance_features import kinetic_features
from motionbeat.tasks.metrics.dance_physics import jerk
from motionbeat.tasks.metrics.dance_scores import SHORTEST, estimate_beats

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


def run(folder, **options):
    return dance_metrics(folder / "made", folder / "real", folder / "music", **options)


def run_command(folder, *options):
    places = ("--generated", folder / "made", "--reference", folder / "real")
    return motionbeat("dance-metrics", *places, "--music", folder / "music", *options)


@pytest.fixture
def scored(made):
    return run(made, permutations=50).set_index("metric")


def test_the_command_prints_every_metric_and_writes_them(folder):
    output = folder / "scores" / "dances.csv"
    ended = run_command(folder, "--output", output, "--permutations", 50)
    assert ended.code == 0
    table = pd.read_csv(output)
    assert set(table["metric"]) == {
        "BAS fact", "BAS bailando", "BAS edge30", "beat coverage", "beat hit rate",
        "FID_k legacy", "FID_k fixed", "FID_g", "Div_k legacy", "Div_k fixed", "Div_g",
        "PFC", "foot sliding", "penetration mm", "float mm", "jerk m/s³", "bone drift %",
    }  # fmt: skip
    for metric in table["metric"]:
        assert metric in ended.printed
    assert "mostly its bias" in " ".join(ended.printed.split())


def test_beat_scores_stand_beside_chance_and_real_dances(scored):
    for variant in ("BAS fact", "BAS bailando", "BAS edge30"):
        row = scored.loc[variant]
        assert row["chance_low"] <= row["chance"] <= row["chance_high"]
        assert row["real"] > max(row["chance"], row["generated"]) + 0.05
        assert (row["n"], row["real_n"], row["clip"]) == (3, 6, SECONDS)
    settings = scored[["fps", "sigma"]]
    assert settings.loc["BAS fact"].tolist() == [60, 0.05]
    assert settings.loc["BAS edge30"].tolist() == [30, 0.1]
    assert settings["fps"]["PFC"] == 30


def test_scores_are_those_of_the_functions(made, scored):
    scores = {}
    for song in TEMPI:
        motion = Motion.load(made / "made" / f"{song}.npz")
        beats = estimate_beats(made / "music" / f"{song}.wav").beats
        moves = motion_beats(motion.positions, "edge30")
        scores[song] = (
            beat_alignment_score(moves, len(motion.positions), beats, variant="edge30"),
            jerk(motion.positions, 30.0),
        )
    edge, jerky = np.mean(list(scores.values()), axis=0)
    assert scored["generated"]["BAS edge30"] == pytest.approx(edge)
    assert scored["generated"]["jerk m/s³"] == pytest.approx(jerky)
    real = [one.motion.at(60.0) for one in read_dances(made / "real", {}, None)]
    features = np.stack([kinetic_features(one) for one in real])
    spread = diversity(normalise(features, features))
    assert scored["real"]["Div_k fixed"] == pytest.approx(spread)


def test_dances_compared_with_themselves_have_no_distance(made):
    table = dance_metrics(made / "real", made / "real", made / "music", permutations=5)
    table = table.set_index("metric")
    for metric in ("FID_k legacy", "FID_k fixed", "FID_g"):
        assert table["generated"][metric] == pytest.approx(0, abs=1e-6)
        assert table["chance"][metric] > 1
    rest = table[~table.index.str.startswith("FID")]
    assert rest["generated"].to_numpy() == pytest.approx(rest["real"].to_numpy())


def test_legacy_features_do_not_depend_on_the_origin(folder, made, scored):
    for path in (folder / "made").iterdir():
        motion = Motion.load(path)
        write_dance(path, Motion(motion.positions + np.float32([3, 1, -2]), motion.fps))
    moved = run(folder, permutations=5).set_index("metric")
    for metric in ("FID_k legacy", "Div_k legacy", "PFC", "float mm"):
        assert moved["generated"][metric] == pytest.approx(
            scored["generated"][metric], rel=1e-2, abs=1e-2
        )


def test_beats_of_music_are_estimated_within_it(made):
    for song, bpm in TEMPI.items():
        found = estimate_beats(made / "music" / f"{song}.wav").beats
        times, _ = beats_at(bpm)
        gaps = np.abs(found[:, None] - times).min(axis=0)
        assert np.median(gaps) < 0.03
        assert found[0] >= 0
        assert found[-1] < SECONDS


def test_silent_and_1_second_music_give_no_beat_score(folder):
    write_song(folder / "music", "mAA0", np.zeros(8 * SAMPLE_RATE))
    write_song(folder / "music", "mAA1", 0.1 * np.sin(np.arange(SAMPLE_RATE)))
    assert len(estimate_beats(folder / "music" / "mAA0.wav").beats) == 0
    assert len(estimate_beats(folder / "music" / "mAA1.wav").beats) == 0
    table = run(folder, permutations=50).set_index("metric")
    beats = table.loc[["BAS fact", "BAS bailando", "BAS edge30", "beat hit rate"]]
    assert set(beats["n"]) == {1}
    assert set(beats["real_n"]) == {2}
    assert beats["generated"].notna().all()
    assert table["n"]["FID_g"] == 3


def test_one_generated_dance_has_no_distance_and_no_chance(folder):
    for song in ("mAA0", "mAA1"):
        (folder / "made" / f"{song}.npz").unlink()
    ended = run_command(folder, "--output", folder / "one.csv")
    assert ended.code == 0
    assert "no chance floor" in " ".join(ended.printed.split())
    table = pd.read_csv(folder / "one.csv").set_index("metric")
    assert np.isnan(table["generated"]["FID_k fixed"])
    assert np.isnan(table["chance"]["BAS fact"])
    assert np.isfinite(table["generated"]["BAS fact"])


def test_a_frame_rate_may_be_said(folder, scored):
    for path in (folder / "made").iterdir():
        np.savez(path, positions=Motion.load(path).positions)
    shutil.rmtree(folder / "real")
    for song in TEMPI:
        write_dance(folder / "real" / f"{song}.npz", danced(100, fps=30.0))
    said = run(folder, fps=30.0, permutations=5).set_index("metric")
    assert said["generated"]["BAS fact"] == pytest.approx(scored["generated"]["BAS fact"])


def test_a_shorter_song_is_no_worse_as_other_music(folder):
    """A dance goes on after the end of another song, which has no beats there to be near to."""
    for name, bpm in TEMPI.items():
        write_dance(folder / "made" / f"{name}.npz", danced(110, dancer=3, seed=9, fps=30.0))
        times, positions = beats_at(110, 4.0)
        if bpm != 110:
            write_song(folder / "music", name, click_track(times, positions == 1, 4.0, SAMPLE_RATE))
    table = run(folder, permutations=20).set_index("metric")
    for metric in ("BAS fact", "beat hit rate", "beat coverage"):
        row = table.loc[metric]
        assert row["chance"] == pytest.approx(row["generated"], abs=0.06), metric


def strangers(folder):
    for path in list((folder / "real").iterdir()):
        path.rename(path.with_name(path.name.replace("mAA", "mZZ")))


def generated(**arrays):
    """Another file for one of the generated dances."""
    return lambda folder: np.savez(folder / "made" / "mAA1.npz", **arrays)


def holey():
    motion = danced(100).positions.copy()
    motion[5, 3] = np.nan
    return motion


BRIEF = danced(100, fps=30.0).positions[:20]


@pytest.mark.parametrize(
    ("harm", "options", "message"),
    [
        (lambda folder: shutil.rmtree(folder / "music"), (), "no such folder; give the folder wi"),
        (lambda folder: [path.unlink() for path in (folder / "made").iterdir()], (),
         "made holds no motion; put .npz, .pkl, .bvh files there"),
        (strangers, (), "share no song; compare dances to the same music"),
        (lambda folder: (folder / "made" / "mAA1.npz").rename(folder / "made" / "mQQ1.npz"), (),
         "mQQ1: "),
        (generated(positions=BRIEF, fps=30.0), (), "mAA1.npz: 0.67 s of motion; the beat scores"),
        (generated(positions=holey(), fps=60.0), (), "mAA1.npz: motion holds NaN"),
        (generated(positions=holey()), ("--fps", 60), "mAA1.npz: motion holds NaN"),
        (generated(positions=holey()), (), "mAA1.npz: has no frame rate; say it by --fps"),
        (lambda folder: (folder / "music" / "mAA1.wav").write_bytes(b"no music"), (),
         "mAA1.wav: unreadable audio"),
    ],
)  # fmt: skip
def test_bad_input_is_one_clear_error(folder, harm, options, message):
    harm(folder)
    ended = run_command(folder, *options)
    assert ended.code == 1
    assert message in ended.said
    assert ended.said.startswith("motionbeat: error: ")
    assert ended.said.count("\n") == 1
    assert not ended.printed


@pytest.mark.parametrize(
    ("option", "value", "remedy"),
    [
        ("--fps", ".nan", "give 1 to 1000, or leave it out"),
        ("--fps", 1e-6, "give 1 to 1000, or leave it out"),
        ("--permutations", 0, "give 1 or more"),
        ("--unit", ".inf", "give the metres of a unit, such as 0.01 or 1"),
    ],
)
def test_an_option_out_of_its_range_is_named_before_anything_is_read(option, value, remedy):
    ended = motionbeat("dance-metrics", "--generated", "nowhere", f"{option}={value}")
    assert ended.code == 1
    [line] = ended.said.splitlines()
    assert line == f"motionbeat: error: {option} is {str(value).lstrip('.')}; {remedy}"


def test_the_shortest_motion_is_long_enough_for_every_metric(folder, monkeypatch):
    for fps, frames in ((20.0, 15), (25.0, 18), (30.0, 21), (60.0, 41)):
        for path in (folder / "made").iterdir():
            write_dance(path, Motion(danced(100, fps=fps).positions[:frames], fps))
        table = run(folder, permutations=2)
        assert table["generated"].notna().sum() > 10
    assert SHORTEST == 20 / 30


def test_bvh_files_in_metres_are_read_as_such(folder, tmp_path):
    metres = shutil.copytree(folder, tmp_path / "metres")
    for path in (folder / "made").iterdir():
        motion = Motion.load(path)
        for place, scale in ((folder, 1), (metres, 0.01)):
            write_bvh(
                Motion(motion.positions * scale, motion.fps), place / "made" / f"{path.stem}.bvh"
            )
            (place / "made" / path.name).unlink()
    ended = run_command(metres)
    assert ended.code == 1
    assert "m tall if its unit of length is 0.01 m; say its unit (--unit" in ended.said
    output = tmp_path / "metres.csv"
    ended = run_command(metres, "--unit", 1, "--permutations", 2, "--output", output)
    assert ended.code == 0, ended.said
    found = pd.read_csv(output, index_col="metric")["generated"]
    expected = run(folder, permutations=2).set_index("metric")["generated"]
    steady = ["BAS fact", "beat hit rate", "jerk m/s³", "Div_k fixed", "FID_k fixed"]
    pd.testing.assert_series_equal(found[steady], expected[steady], rtol=0.02)
