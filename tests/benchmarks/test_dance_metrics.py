import shutil

import numpy as np
import pandas as pd
import pytest
import soundfile
from tests.clicks import click_track
from tests.command import motionbeat
from tests.dancing import SECONDS, beats_at, danced, write_dance

from motionbeat.benchmarks.dance_metrics import dance_metrics, hear, read_dances
from motionbeat.data_modules.motion_formats import write_bvh
from motionbeat.model import SAMPLE_RATE
from motionbeat.motion import Motion
from motionbeat.tasks.metrics import dance
from motionbeat.tasks.metrics.dance_scores import SHORTEST

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
        beats = hear(made / "music" / f"{song}.wav")
        scores[song] = (
            dance.beat_alignment_score(motion.positions, beats, variant="edge30"),
            dance.jerk(motion.positions, 30.0),
        )
    edge, jerk = np.mean(list(scores.values()), axis=0)
    assert scored["generated"]["BAS edge30"] == pytest.approx(edge)
    assert scored["generated"]["jerk m/s³"] == pytest.approx(jerk)
    real = [one.motion.at(60.0) for one in read_dances(made / "real", {}, None)]
    features = np.stack([dance.kinetic_features(one) for one in real])
    spread = dance.diversity(dance.normalise(features, features))
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


def test_other_frame_rates_are_brought_to_that_of_the_metric():
    time = np.arange(50) / 25
    swing = np.zeros((50, 24, 3), np.float32)
    swing[..., 1] = np.sin(2 * np.pi * time)[:, None]
    one = Motion(swing, 25.0)
    wanted = np.arange(118) / 60  # to the last frame, at 1.96 s
    assert one.at(60.0).shape == (118, 24, 3)
    assert one.at(60.0)[:, 5, 1] == pytest.approx(np.sin(2 * np.pi * wanted), abs=2e-3)
    assert one.at(25.0) is swing
    half = Motion(one.at(60.0), 60.0)
    assert half.at(30.0) == pytest.approx(one.at(60.0)[::2], abs=1e-6)


def test_beats_of_music_are_heard_within_it(made):
    for song, bpm in TEMPI.items():
        heard = hear(made / "music" / f"{song}.wav")
        times, _ = beats_at(bpm)
        gaps = np.abs(heard[:, None] - times).min(axis=0)
        assert np.median(gaps) < 0.03
        assert heard[0] >= 0
        assert heard[-1] < SECONDS


def test_silent_and_1_second_music_give_no_beat_score(folder):
    write_song(folder / "music", "mAA0", np.zeros(8 * SAMPLE_RATE))
    write_song(folder / "music", "mAA1", 0.1 * np.sin(np.arange(SAMPLE_RATE)))
    assert len(hear(folder / "music" / "mAA0.wav")) == 0
    assert len(hear(folder / "music" / "mAA1.wav")) == 0
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


def test_the_reference_may_have_dances_to_other_music(folder):
    other = folder / "real" / "gBR_sBM_cAll_d00_mZZ9_ch01.npz"
    shutil.copy(folder / "real" / "gBR_sBM_cAll_d00_mAA0_ch01.npz", other)
    table = run(folder, permutations=5).set_index("metric")
    assert table["real_n"]["BAS fact"] == 6
    assert table["real_n"]["Div_g"] == 7


def test_motion_without_frame_rate_needs_it_said(folder, scored):
    for path in (folder / "made").iterdir():
        np.savez(path, positions=Motion.load(path).positions)
    ended = run_command(folder)
    assert ended.code == 1
    assert "mAA0.npz: has no frame rate; say it by --fps" in ended.said
    shutil.rmtree(folder / "real")
    for song in TEMPI:
        write_dance(folder / "real" / f"{song}.npz", danced(100, fps=30.0))
    said = run(folder, fps=30.0, permutations=5).set_index("metric")
    assert said["generated"]["BAS fact"] == pytest.approx(scored["generated"]["BAS fact"])


def emptied(folder):
    shutil.rmtree(folder / "made")
    (folder / "made").mkdir()


def without_music(folder):
    shutil.rmtree(folder / "music")


def strangers(folder):
    for path in list((folder / "real").iterdir()):
        path.rename(path.with_name(path.name.replace("mAA", "mZZ")))


def unknown(folder):
    (folder / "made" / "mAA1.npz").rename(folder / "made" / "mQQ1.npz")


def short(folder):
    write_dance(folder / "made" / "mAA1.npz", Motion(danced(100, fps=30.0).positions[:20], 30.0))


def holey(folder):
    motion = danced(100).positions.copy()
    motion[5, 3] = np.nan
    np.savez(folder / "made" / "mAA1.npz", positions=motion, fps=60.0)


def holey_without_rate(folder):
    holey(folder)
    with np.load(folder / "made" / "mAA1.npz") as arrays:
        positions = arrays["positions"]
    np.savez(folder / "made" / "mAA1.npz", positions=positions)


def wordy(folder):
    np.savez(folder / "made" / "mAA1.npz", positions=np.full((60, 24, 3), None))


def slow(folder):
    np.savez(folder / "made" / "mAA1.npz", positions=danced(100).positions, fps=1e-6)


def broken(folder):
    (folder / "made" / "mAA1.npz").write_bytes(b"PK\x03\x04 no archive")


def broken_music(folder):
    (folder / "music" / "mAA1.wav").write_bytes(b"no music")


@pytest.mark.parametrize(
    ("harm", "options", "message"),
    [
        (emptied, (), "made holds no motion; put .npz, .pkl, .bvh files there"),
        (without_music, (), "no such folder; give the folder with the music"),
        (strangers, (), "share no song; compare dances to the same music"),
        (unknown, (), "mQQ1: "),
        (short, (), "mAA1.npz: 0.67 s of motion; the beat scores look at windows of 0.7 s"),
        (holey, (), "mAA1.npz: motion holds NaN"),
        (holey_without_rate, ("--fps", 60), "mAA1.npz: unusable motion (motion holds NaN"),
        (broken, (), "mAA1.npz: unreadable motion"),
        (wordy, ("--fps", 60), "mAA1.npz: unusable motion (positions that are no numbers); gen"),
        (slow, (), "mAA1.npz: motion has fps 1e-06; expected 1 to 1000 frames a second"),
        (broken_music, (), "mAA1.wav: unreadable audio"),
    ],
)
def test_bad_input_is_one_clear_error(folder, harm, options, message):
    harm(folder)
    ended = run_command(folder, *options)
    assert ended.code == 1
    assert message in ended.said
    assert ended.said.startswith("motionbeat: error: ")
    assert ended.said.count("\n") == 1
    assert not ended.printed


@pytest.mark.parametrize(
    ("option", "values", "remedy"),
    [
        ("--fps", (-3, 0, ".nan", ".inf", 1e-6), "give 1 to 1000, or leave it out"),
        ("--permutations", (0, -1), "give 1 or more"),
        ("--unit", (0, -1, ".nan", ".inf"), "give the metres of a unit, such as 0.01 or 1"),
    ],
)
def test_an_option_out_of_its_range_is_named_before_anything_is_read(option, values, remedy):
    for value in values:
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
