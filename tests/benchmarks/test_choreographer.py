"""``motionbeat dance``: from a song to a video and a motion."""

import base64
import io
import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import imageio_ffmpeg
import numpy as np
import pytest
import soundfile
from PIL import Image
from scripts.dance_pictures import dance_pictures
from tests.clicks import click_track
from tests.command import Ended, motionbeat
from tests.conftest import failed
from tests.dancing import beats_at, train_shortly

from motionbeat.benchmarks import choreographer as command
from motionbeat.benchmarks import stick_figure
from motionbeat.benchmarks.evaluator import Folders
from motionbeat.data_modules.motion_formats import read_motion
from motionbeat.model import SAMPLE_RATE
from motionbeat.motion import Motion
from motionbeat.tasks.dance_generation import DanceGeneration

DATASET = "tests.dancing:Dancing"
SECONDS = 6.0
KINDS = (".mp4", ".gif", ".html", ".bvh", ".npz")


@pytest.fixture(autouse=True)
def short_training(monkeypatch):
    train_shortly(monkeypatch)


def write_song(path, waveform):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, waveform, SAMPLE_RATE)
    return path


def clicks(bpm=104, seconds=SECONDS):
    times, positions = beats_at(bpm, seconds)
    return click_track(times, positions == 1, seconds, SAMPLE_RATE, 0)


def run(cache, song, *outputs, **options):
    options = {"encoder": "logmel", "dataset": DATASET, "cache": cache} | options
    flags = [part for name, value in options.items() for part in (f"--{name}", value)]
    return motionbeat("dance", song, "--out", ",".join(map(str, outputs)), *flags)


class Danced(NamedTuple):
    """The first call of the command, which trained a decoder, and all that it wrote."""

    folder: Path
    song: Path
    ended: Ended

    def written(self, kind):
        return self.folder / f"one{kind}"


@pytest.fixture(scope="module")
def danced(tmp_path_factory):
    folder = tmp_path_factory.mktemp("danced")
    song = write_song(folder / "a song.wav", clicks())
    with pytest.MonkeyPatch.context() as patch:
        train_shortly(patch)
        ended = run(folder / "cache", song, *(folder / f"one{kind}" for kind in KINDS))
    return Danced(folder, song, ended)


@pytest.fixture
def cache(danced, tmp_path):
    """A copy of the cache that a test may change."""
    return shutil.copytree(danced.folder / "cache", tmp_path / "cache")


@pytest.fixture
def untrained(monkeypatch):
    """Any training fails the test."""
    monkeypatch.setattr("motionbeat.benchmarks.protocol.fit", None)


def looked_at(video):
    """What ffmpeg says of a video that it plays to its end, and the number of its frames."""
    said = subprocess.run(
        [imageio_ffmpeg.get_ffmpeg_exe(), "-i", str(video), "-map", "0:v", "-f", "null", "-"],
        capture_output=True,
        text=True,
        check=True,
    ).stderr
    hours, minutes, seconds = re.search(r"Duration: (\d+):(\d+):([\d.]+)", said).groups()
    duration = 3600 * int(hours) + 60 * int(minutes) + float(seconds)
    return said, duration, int(re.findall(r"frame=\s*(\d+)", said)[-1])


def test_the_video_is_as_long_as_the_song_and_has_its_sound(danced):
    assert danced.ended.code == 0, danced.ended.said
    said, duration, frames = looked_at(danced.written(".mp4"))
    assert re.search(r"Video: h264.*yuv420p.*640x640.*30 fps", said)
    assert "Audio: aac" in said
    assert duration == pytest.approx(SECONDS, abs=0.05)
    assert frames == SECONDS * 30


def test_the_gif_moves_and_is_small(danced):
    with Image.open(danced.written(".gif")) as gif:
        assert (gif.size, gif.n_frames) == ((240, 240), SECONDS * 12.5)
    assert danced.written(".gif").stat().st_size < 1.5e6 * SECONDS / 4


def test_motions_are_read_back(danced):
    motion, captured = (read_motion(danced.written(kind)) for kind in (".npz", ".bvh"))
    assert motion.positions.shape == (SECONDS * 30, 24, 3)
    assert motion.fps == captured.fps == 30
    assert captured.positions == pytest.approx(motion.positions, abs=1e-3)


def test_the_page_is_one_file_that_holds_the_dance_and_the_music(danced):
    text = danced.written(".html").read_text()
    [found] = re.findall(r'<script type="application/json" id="data">(.*?)</script>', text)
    [song] = json.loads(found)["songs"]
    [dance] = song["dances"]
    joints = np.frombuffer(base64.b64decode(dance["positions"]), "<i2").reshape(-1, 24, 3)
    motion = read_motion(danced.written(".npz")).positions
    expected = motion - motion[:1, :1] * [1, 0, 1]
    np.testing.assert_allclose(joints[..., [0, 2]] / 1000, expected[..., [0, 2]], atol=6e-4)
    assert set(dance["scores"]) == {"BAS", "PFC"}
    heard, rate = soundfile.read(io.BytesIO(base64.b64decode(song["content"])))
    assert len(heard) / rate == pytest.approx(SECONDS, abs=0.01)
    assert not re.search(r'(src|href)="(?!data:)', text), "nothing beside it is needed"


def test_the_next_call_only_dances_and_writes_the_same_bytes(danced, cache, tmp_path, untrained):
    again = tmp_path / "again.npz"
    ended = run(cache, danced.song, again, seed=0)
    assert ended.code == 0, ended.said
    assert "training the dance decoder" not in ended.said
    assert again.read_bytes() == danced.written(".npz").read_bytes()


def test_the_dancer_of_a_finished_entry_need_not_learn(danced, tmp_path, monkeypatch):
    monkeypatch.setattr(DanceGeneration, "baselines", lambda: ())
    options = ("--dataset", DATASET, "--encoder", "logmel", "--seeds", 1)
    places = ("--cache", tmp_path / "cache", "--results", tmp_path / "results")
    ended = motionbeat("bench", "--task", "dance", *options, *places)
    assert ended.code == 0, ended.said
    monkeypatch.setattr("motionbeat.benchmarks.protocol.fit", None)
    assert run(tmp_path / "cache", danced.song, tmp_path / "one.npz").code == 0
    assert (tmp_path / "one.npz").read_bytes() == danced.written(".npz").read_bytes()


def test_another_seed_or_song_is_another_dance(danced, cache, tmp_path, untrained):
    other = write_song(tmp_path / "other.wav", clicks(128))
    assert run(cache, danced.song, tmp_path / "seed.npz", seed=1).code == 0
    assert run(cache, other, tmp_path / "song.npz").code == 0
    paths = (danced.written(".npz"), tmp_path / "seed.npz", tmp_path / "song.npz")
    first, *others = (Motion.load(path).positions for path in paths)
    assert all(np.abs(first - other).max() > 1e-5 for other in others)


@pytest.mark.parametrize("seconds", [0, 5])
def test_a_short_or_silent_song_is_danced_to_without_beats(
    cache, tmp_path, untrained, monkeypatch, seconds
):
    marked = []
    monkeypatch.setattr(command, "write_gif", lambda motion, beats, path: marked.append(beats))
    song = write_song(tmp_path / "silence.wav", np.zeros(max(1, seconds * SAMPLE_RATE)))
    ended = run(cache, song, *(tmp_path / f"a{kind}" for kind in KINDS))
    assert ended.code == 0, ended.said
    assert "silence.wav: no beats found" in ended.said
    assert len(marked[0].times) == 0
    frames = max(1, 30 * seconds)
    assert len(read_motion(tmp_path / "a.npz").positions) == frames
    assert looked_at(tmp_path / "a.mp4")[2] == frames


def no_ffmpeg(patch):
    patch.setitem(sys.modules, "imageio_ffmpeg", None)


@pytest.mark.parametrize(
    ("song", "output", "options", "harm", "message"),
    [
        ("none.wav", "a.npz", {}, None, "none.wav: no such song; give a WAV, FLAC"),
        ("text.mp3", "a.npz", {}, None, "text.mp3: unreadable audio"),
        ("song.wav", "a.avi", {}, None, "a.avi: unknown format; use one of .mp4"),
        ("song.wav", "text.mp3/a.npz", {}, None, "text.mp3: cannot be written (File exists)"),
        ("song.wav", "a.mp4", {}, no_ffmpeg, "no ffmpeg to make .mp4 with; run: pip install"),
        ("song.wav", "a.npz", {"dataset": "emotify"}, None, "'emotify' has nothing for dance"),
    ],
)
def test_bad_input_is_one_clear_error_before_any_training(
    tmp_path, untrained, monkeypatch, song, output, options, harm, message
):
    write_song(tmp_path / "song.wav", clicks(seconds=1.0))
    (tmp_path / "text.mp3").write_text("no music")
    if harm:
        harm(monkeypatch)
    ended = run(tmp_path / "cache", tmp_path / song, tmp_path / output, **options)
    assert failed(ended, message)
    assert ended.said.count("\n") == 1


def test_a_video_that_ffmpeg_refuses_is_one_clear_error(cache, tmp_path, untrained, monkeypatch):
    song = write_song(tmp_path / "song.wav", clicks())
    monkeypatch.setattr(stick_figure, "ffmpeg", lambda: "false")
    ended = run(cache, song, tmp_path / "out" / "a.mp4")
    assert ended.code == 1
    assert re.search(r"error: .*a\.mp4: ffmpeg failed \(.+\); free some space", ended.said)
    assert not list((tmp_path / "out").iterdir())


def test_pictures_show_the_real_dance_and_each_encoder(danced, cache, tmp_path):
    dance_pictures("logmel", DATASET, start=1.0, seconds=3.0, results=tmp_path, cache=cache)
    with Image.open(tmp_path / "dances_dancing.png") as picture:
        assert picture.width > picture.height == 400
    with Image.open(tmp_path / "dance.gif") as gif:
        assert gif.n_frames == round(3.0 * 12.5)


def test_a_shipped_dancer_dances_like_the_one_that_was_trained(danced, cache, tmp_path):
    folders = Folders(cache)
    trained = command.choreographer("logmel", DATASET, None, folders)
    assert command.shipped_dancer("logmel", tmp_path) is None
    command.save_dancer(trained, tmp_path / "logmel-dancer.safetensors")
    shipped = command.shipped_dancer("logmel", tmp_path)
    assert np.array_equal(*(one.predict(danced.song).positions for one in (trained, shipped)))
    assert (tmp_path / "logmel-dancer.safetensors").stat().st_size < 5_000_000


def test_a_dancer_of_another_revision_of_the_encoder_is_not_taken(danced, cache, tmp_path):
    trained = command.choreographer("logmel", DATASET, None, Folders(cache))
    trained.card = replace(trained.card, revision="another")
    command.save_dancer(trained, tmp_path / "logmel-dancer.safetensors")
    assert command.shipped_dancer("logmel", tmp_path) is None


LIVE = {"encoder": "tests.toy_encoders:TinyLive"}
PACE = r"danced at \d+\.\d x real time, latency \d\.\d\d s on average and \d+\.\d\d s at most"


@pytest.fixture(scope="module")
def danced_live(tmp_path_factory):
    """The first live dance, whose decoder was trained before."""
    folder = tmp_path_factory.mktemp("live")
    song = write_song(folder / "song.wav", clicks())
    with pytest.MonkeyPatch.context() as patch:
        train_shortly(patch)
        outputs = [folder / f"one{kind}" for kind in (".gif", ".bvh", ".npz")]
        ended = run(folder / "cache", song, *outputs, live="true", **LIVE)
    return Danced(folder, song, ended)


def streamed(danced, samples, monkeypatch, *outputs):
    """The command on 16-bit samples from stdin."""
    pcm = (np.clip(samples, -1, 1) * (2**15 - 1)).astype("<i2").tobytes()
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(pcm + b"x")))
    flags = [part for name, value in LIVE.items() for part in (f"--{name}", value)]
    flags += ["--out", ",".join(map(str, outputs))] if outputs else []
    return motionbeat(
        "dance", "-", "--live", "--dataset", DATASET, "--cache", danced.folder / "cache", *flags
    )


def test_a_live_dance_is_as_long_as_the_song_and_says_its_pace(danced_live):
    assert danced_live.ended.code == 0, danced_live.ended.said
    assert re.search(rf"song\.wav: {PACE}", danced_live.ended.said)
    motion = Motion.load(danced_live.written(".npz"))
    assert motion.positions.shape == (SECONDS * 30, 24, 3)
    assert len(read_motion(danced_live.written(".bvh")).positions) == SECONDS * 30
    assert motion.contacts.any()


def test_poses_to_a_stream_are_printed_as_they_come(danced_live, untrained, monkeypatch, tmp_path):
    """They are those of the live dance to the file, which has the same samples to 16 bits."""
    ended = streamed(danced_live, clicks(), monkeypatch, tmp_path / "one.npz")
    assert ended.code == 0, ended.said
    assert re.search(rf"-: {PACE}", ended.said)
    poses = [json.loads(line) for line in ended.printed.splitlines()]
    assert [pose["time"] for pose in poses] == [round(n / 30, 4) for n in range(len(poses))]
    positions = np.array([pose["positions"] for pose in poses])
    kept = Motion.load(tmp_path / "one.npz")
    np.testing.assert_allclose(positions, kept.positions, atol=1e-4)
    np.testing.assert_array_equal([pose["contacts"] for pose in poses], kept.contacts)
    np.testing.assert_allclose(
        positions, Motion.load(danced_live.written(".npz")).positions, atol=0.02
    )


def test_an_empty_stream_is_one_clear_error(danced_live, untrained, monkeypatch):
    assert failed(streamed(danced_live, np.zeros(0), monkeypatch), "stdin: no samples; pipe 16-bit")


@pytest.mark.parametrize("samples", [1, 3000])
def test_a_stream_may_end_at_once(danced_live, untrained, monkeypatch, samples):
    ended = streamed(danced_live, np.zeros(samples), monkeypatch)
    assert ended.code == 0, ended.said
    assert len(ended.printed.splitlines()) == max(1, round(samples / SAMPLE_RATE * 30))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("-",), "music from stdin needs --live; add it"),
        (
            ("-", "--live", "--out", "a.mp4"),
            "a.mp4: unknown format; use one of .gif",
        ),
    ],
)
def test_a_stream_that_cannot_be_danced_to_is_one_clear_error(arguments, message):
    assert failed(motionbeat("dance", *arguments), message)


def test_an_encoder_that_needs_the_whole_song_cannot_dance_live(danced, cache, tmp_path):
    ended = run(cache, danced.song, tmp_path / "a.npz", live="true")
    assert failed(ended, "encoder logmel needs the whole of the music; take motionbeat-live")
