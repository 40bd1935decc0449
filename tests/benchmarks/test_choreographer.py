import re
import shutil
import subprocess
import sys
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest
import soundfile
import torch
from motionbeat.benchmarks.runner import Folders
from PIL import Image
from safetensors.torch import save
from tests.clicks import click_track
from tests.command import motionbeat
from tests.conftest import one_by_one
from tests.dancing import beats_at

from motionbeat.benchmarks import choreographer as command
from motionbeat.benchmarks import dance_pictures, runner, training
from motionbeat.data_modules.base import Track
from motionbeat.data_modules.motion_formats import read_motion
from motionbeat.model import SAMPLE_RATE
from motionbeat.motion import Motion
from motionbeat.tasks.dance_generation import DanceGeneration
from motionbeat.tasks.metrics.dance_alignment import Music

DATASET = "tests.dancing:Dancing"
SECONDS = 6.0
KINDS = (".mp4", ".gif", ".bvh", ".npz")


def train_shortly(patch):
    patch.setattr(DanceGeneration, "max_steps", 6)
    patch.setattr(DanceGeneration, "check_every", 2)
    patch.setattr(runner, "in_parallel", one_by_one)


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


class Danced:
    """The first call of the command, which trained a dancer, and all that it wrote."""

    def __init__(self, folder):
        self.folder, self.cache = folder, folder / "cache"
        self.song = write_song(folder / "a song.wav", clicks())
        self.trained = []
        with pytest.MonkeyPatch.context() as patch:
            train_shortly(patch)
            patch.setattr(command, "train", self.train)
            self.ended = run(self.cache, self.song, *(folder / f"one{kind}" for kind in KINDS))

    def train(self, *arguments, **options):
        self.trained = real_train(*arguments, **options)
        self.members = options["members"]
        return self.trained

    @property
    def dancer(self):
        [path] = (self.cache / "dancers").iterdir()
        return path

    def written(self, kind):
        return self.folder / f"one{kind}"


real_train = command.train


@pytest.fixture(scope="session")
def danced(tmp_path_factory):
    return Danced(tmp_path_factory.mktemp("danced"))


@pytest.fixture
def cache(danced, tmp_path):
    """A copy of the cache that a test may change."""
    return shutil.copytree(danced.cache, tmp_path / "cache")


@pytest.fixture
def untrained(monkeypatch):
    """Any training fails the test."""

    def train(*_, **__):
        raise AssertionError("trained again")

    monkeypatch.setattr(command, "train", train)


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


def heard(video):
    """The sound of a video, mono."""
    raw = subprocess.run(
        [
            *(imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", str(video), "-vn"),
            *("-ac", "1", "-ar", str(SAMPLE_RATE), "-f", "f32le", "-"),
        ],
        capture_output=True,
        check=True,
    ).stdout
    return np.frombuffer(raw, np.float32)


def test_the_video_is_as_long_as_the_song_and_sounds_like_it(danced):
    assert danced.ended.code == 0, danced.ended.said
    said, duration, frames = looked_at(danced.written(".mp4"))
    assert re.search(r"Video: h264.*yuv420p.*640x640.*30 fps", said)
    assert "Audio: aac" in said
    assert duration == pytest.approx(SECONDS, abs=0.05)
    assert frames == SECONDS * 30
    content = danced.written(".mp4").read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")  # plays before it is all there
    sound, song = heard(danced.written(".mp4")), clicks()
    assert len(sound) == pytest.approx(len(song), abs=0.05 * SAMPLE_RATE)
    length = 2 ** int(np.ceil(np.log2(2 * len(song))))
    alike = np.fft.irfft(np.fft.rfft(sound, length) * np.fft.rfft(song, length).conj())
    late = alike.argmax()
    assert min(late, length - late) < 0.01 * SAMPLE_RATE


def test_the_gif_moves_and_is_small(danced):
    with Image.open(danced.written(".gif")) as gif:
        assert gif.size == (240, 240)
        assert gif.n_frames == SECONDS * 12.5
        assert gif.info["duration"] == 80
        assert gif.info["loop"] == 0
    assert danced.written(".gif").stat().st_size < 1.5e6 * SECONDS / 4


def test_motions_are_read_back(danced):
    motion = read_motion(danced.written(".npz"))
    assert motion.positions.shape == (SECONDS * 30, 24, 3)
    assert motion.fps == 30
    assert motion.contacts is not None
    captured = read_motion(danced.written(".bvh"))
    assert captured.fps == 30
    assert captured.positions == pytest.approx(motion.positions, abs=1e-3)


def test_what_is_danced_is_what_the_benchmark_scores(danced):
    rates = [member.learning_rate for member in danced.members]
    assert rates == list(DanceGeneration.learning_rates)
    assert {member.seed for member in danced.members} == {0}
    best = min(danced.trained, key=lambda one: one.monitor)
    folders = Folders(danced.cache, Path(), None)
    dataset = folders.datamodule(DATASET)
    known = command.choreographer("logmel", DATASET, None, folders)
    for track, outputs in zip(dataset.tracks("test"), best.outputs, strict=True):
        scored = best.decoder(outputs, track.blind())
        motion = known.dance(track, 0, danced.cache)
        assert len(motion.positions) == round(track.duration * 30)
        ours = motion.positions, motion.contacts
        theirs = scored.positions, scored.contacts
        assert ours[0] == pytest.approx(theirs[0][: len(ours[0])], abs=1e-4)
        assert (ours[1] == theirs[1][: len(ours[1])]).mean() > 0.999


def test_the_next_call_only_dances_and_writes_the_same_bytes(danced, cache, tmp_path, untrained):
    moved = shutil.copy(danced.song, tmp_path / "renamed.wav")
    first, again = tmp_path / "again.npz", tmp_path / "renamed.npz"
    assert run(cache, danced.song, first).code == 0
    assert run(cache, moved, again, seed=0).code == 0
    content = danced.written(".npz").read_bytes()
    assert first.read_bytes() == content
    assert again.read_bytes() == content


def test_the_dancer_of_a_finished_row_need_not_learn(danced, tmp_path, monkeypatch):
    places = ("--cache", tmp_path / "cache", "--results", tmp_path / "results")
    monkeypatch.setattr(DanceGeneration, "references", lambda: ())
    ended = motionbeat(
        "bench", "--task", "dance", "--dataset", DATASET, "--encoder", "logmel", *places
    )
    assert ended.code == 0, ended.said
    monkeypatch.setattr(training, "learn", None)
    ended = run(tmp_path / "cache", danced.song, tmp_path / "one.npz")
    assert ended.code == 0, ended.said
    assert "learns to dance" not in ended.said
    assert (tmp_path / "one.npz").read_bytes() == danced.written(".npz").read_bytes()


def test_another_seed_or_song_is_another_dance(danced, cache, tmp_path, untrained):
    other = write_song(tmp_path / "other.wav", clicks(128))
    assert run(cache, danced.song, tmp_path / "seed.npz", seed=1).code == 0
    assert run(cache, other, tmp_path / "song.npz").code == 0
    dances = [
        Motion.load(path).positions
        for path in (danced.written(".npz"), tmp_path / "seed.npz", tmp_path / "song.npz")
    ]
    for one, two in ((0, 1), (0, 2), (1, 2)):
        assert np.abs(dances[one] - dances[two]).max() > 1e-5


def test_another_encoder_or_version_of_the_task_is_another_dancer(
    danced, cache, tmp_path, monkeypatch
):
    assert run(cache, danced.song, tmp_path / "one.npz", encoder="no-music").code == 0
    monkeypatch.setattr(DanceGeneration, "version", DanceGeneration.version + 1)
    assert run(cache, danced.song, tmp_path / "two.npz").code == 0
    names = sorted(path.name.rpartition("-")[0] for path in (cache / "dancers").iterdir())
    assert names == ["logmel", "logmel", "no-music"]


@pytest.mark.parametrize("harm", ["cut", "bit", "other"])
def test_a_damaged_dancer_is_trained_again(danced, cache, tmp_path, harm):
    [path] = (cache / "dancers").iterdir()
    content = bytearray(path.read_bytes())
    if harm == "cut":
        content = content[:-100]
    elif harm == "bit":
        content[-40] ^= 4
    else:
        content = save({"bones": torch.zeros(24)}, {"crc32": "0"})
    path.write_bytes(content)
    shutil.rmtree(cache / "probes")
    ended = run(cache, danced.song, tmp_path / "again.npz")
    assert ended.code == 0
    assert "is damaged" in ended.said
    assert "learns to dance" in ended.said
    assert (tmp_path / "again.npz").read_bytes() == danced.written(".npz").read_bytes()
    assert path.read_bytes() == danced.dancer.read_bytes()


@pytest.mark.parametrize("samples", [1, 2000, SAMPLE_RATE])
def test_the_shortest_songs_are_danced_to(cache, tmp_path, untrained, samples):
    song = write_song(tmp_path / "short.wav", np.full(samples, 0.1, np.float32))
    outputs = [tmp_path / f"short{kind}" for kind in KINDS]
    ended = run(cache, song, *outputs)
    assert ended.code == 0, ended.said
    frames = max(1, round(samples / SAMPLE_RATE * 30))
    assert len(read_motion(tmp_path / "short.npz").positions) == frames
    assert len(read_motion(tmp_path / "short.bvh").positions) == frames
    assert looked_at(tmp_path / "short.mp4")[2] == frames


def test_silence_is_danced_to_without_beats(cache, tmp_path, untrained, monkeypatch):
    marked = []
    monkeypatch.setitem(command.WRITERS, ".gif", lambda *arguments: marked.append(arguments[1]))
    silence = write_song(tmp_path / "silence.wav", np.zeros(5 * SAMPLE_RATE))
    ended = run(cache, silence, tmp_path / "a.npz", tmp_path / "a.gif")
    assert ended.code == 0
    assert "silence.wav: no beat is heard, so none is marked" in ended.said
    assert len(marked[0].times) == 0
    assert read_motion(tmp_path / "a.npz").duration == 5


def test_beats_heard_are_those_of_the_song(danced, cache, tmp_path, untrained, monkeypatch):
    marked = []
    monkeypatch.setitem(command.WRITERS, ".gif", lambda *arguments: marked.append(arguments[1]))
    ended = run(cache, danced.song, tmp_path / "a.gif")
    assert "no beat" not in ended.said
    times, _ = beats_at(104, SECONDS)
    assert np.abs(marked[0].times[:, None] - times).min(axis=0).max() < 0.05


def no_ffmpeg(patch):
    def refuse():
        raise RuntimeError("No ffmpeg exe could be found.")

    patch.setattr(imageio_ffmpeg, "get_ffmpeg_exe", refuse)


def no_package(patch):
    patch.setitem(sys.modules, "imageio_ffmpeg", None)


@pytest.mark.parametrize(
    ("song", "output", "options", "harm", "message"),
    [
        ("none.wav", "a.npz", {}, None, "none.wav: no such song; give a WAV, FLAC"),
        (".", "a.npz", {}, None, "no such song; give a WAV, FLAC"),
        ("text.mp3", "a.npz", {}, None, "text.mp3: unreadable audio"),
        ("empty.wav", "a.npz", {}, None, "empty.wav: unreadable audio"),
        ("header.wav", "a.npz", {}, None, "header.wav: holds no audio samples"),
        ("song.wav", "a.avi", {}, None, "a.avi: unknown kind of dance; let its name end in .mp4"),
        ("song.wav", "dance", {}, None, "dance: unknown kind of dance; let its name end in .mp4"),
        ("song.wav", "", {}, None, "no file to write the dance to; name one by --out"),
        ("song.wav", "text.mp3/a.npz", {}, None, "text.mp3: cannot be written (File exists)"),
        ("song.wav", "text.mp3/b/a.gif", {}, None, "cannot be written (Not a directory)"),
        ("song.wav", "a.mp4", {}, no_ffmpeg, "no ffmpeg to make .mp4 with; run: pip install"),
        ("song.wav", "a.mp4", {}, no_package, "no ffmpeg to make .mp4 with; run: pip install"),
        ("song.wav", "a.npz", {"encoder": "logmle"}, None, "did you mean logmel?"),
        ("song.wav", "a.npz", {"dataset": "emotify"}, None, "'emotify' has no dances to learn"),
    ],
)  # fmt: skip
def test_bad_input_is_one_clear_error_before_any_training(
    tmp_path, untrained, monkeypatch, song, output, options, harm, message
):
    write_song(tmp_path / "song.wav", clicks(seconds=1.0))
    write_song(tmp_path / "header.wav", np.zeros(0))
    (tmp_path / "text.mp3").write_text("no music")
    (tmp_path / "empty.wav").touch()
    if harm:
        harm(monkeypatch)
    output = tmp_path / output if output else ","
    ended = run(tmp_path / "cache", tmp_path / song, output, **options)
    assert ended.code == 1
    assert message in ended.said
    assert ended.said.startswith("motionbeat: error: ")
    assert ended.said.count("\n") == 1
    assert not ended.printed


def test_a_video_that_ffmpeg_refuses_is_one_clear_error(cache, tmp_path, untrained, monkeypatch):
    song = write_song(tmp_path / "song.wav", clicks())
    monkeypatch.setattr(
        command,
        "estimate_beats",
        lambda path: Music(np.zeros(path.write_bytes(b"gone") * 0), 6.0),
    )
    ended = run(cache, song, tmp_path / "out" / "a.mp4")
    assert ended.code == 1
    assert re.search(r"error: .*a\.mp4: ffmpeg failed \(.+\); free some space", ended.said)
    assert not list((tmp_path / "out").iterdir())


def test_pictures_show_the_real_dance_and_each_encoder(danced, cache, tmp_path, monkeypatch):
    drawn = {}
    strip = dance_pictures.poses_strip

    def poses_strip(motions, *rest):
        drawn.update(motions)
        strip(motions, *rest)

    monkeypatch.setattr(dance_pictures, "poses_strip", poses_strip)
    dance_pictures.dance_pictures(
        "logmel,no-music", DATASET, start=1.0, seconds=3.0, results=tmp_path, cache=cache
    )
    assert list(drawn) == ["ground-truth", "logmel", "no-music"]
    track: Track = Folders(cache, Path(), None).datamodule(DATASET).tracks("test")[0]
    assert drawn["ground-truth"].duration == pytest.approx(track.duration, abs=0.02)
    with Image.open(tmp_path / "dances_dancing.png") as picture:
        assert picture.width > picture.height > 500
    with Image.open(tmp_path / "dance.gif") as gif:
        assert gif.n_frames == round(3.0 * 12.5)


def test_weights_of_the_encoder_are_looked_for_in_the_folder_that_is_given(tmp_path, monkeypatch):
    monkeypatch.setenv("MOTIONBEAT_DATA", "")
    song = write_song(tmp_path / "song.wav", clicks())
    file = tmp_path / "data" / "weights" / "vggish-10086976.pth"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"junk")
    ended = run(
        tmp_path / "cache", song, tmp_path / "a.npz", encoder="vggish", data=tmp_path / "data"
    )
    assert ended.code == 1
    [line] = [line for line in ended.said.splitlines() if "error" in line]
    assert line == (
        f"motionbeat: error: {file}: damaged, or no file of weights; delete it and try again"
    )
