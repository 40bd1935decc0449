"""Work spread over workers of Ray, which are killed."""

import os
import secrets
import select
import signal
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager
from dataclasses import replace

import pytest
from tests.command import motionbeat
from tests.conftest import failed, run

from motionbeat.benchmarks import cluster
from motionbeat.benchmarks.cluster import Needs, versions
from motionbeat.benchmarks.records import read_records

with_ray = pytest.mark.skipif(
    cluster.find_spec("ray") is None, reason="Ray is not installed: pip install 'motionbeat[ray]'"
)

CLUSTER = """
import os
os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0"}
import ray
options = {"include_dashboard": False, "log_to_driver": False, "logging_level": "ERROR"}
ray.init(address="local", num_cpus=2, object_store_memory=100 << 20, **options)
print(ray.get_runtime_context().gcs_address, flush=True)
os.read(0, 1)
ray.shutdown()
"""

MORTAL = """
import os
import signal
import zlib
from dataclasses import replace
from pathlib import Path
from tests.toys import Tiny, Tones, card

HERE = Path({here!r})


def die(name, pid):
    \"\"\"Kill a process, once.\"\"\"
    try:
        os.rename(HERE / name, HERE / f"was-{{name}}")
    except FileNotFoundError:
        return
    os.kill(pid, signal.SIGKILL)


def driver():
    return int((HERE / "driver").read_text())


class Mortal(Tiny):
    card = card("mortal")

    def forward(self, waveform):
        if (HERE / "pipe").exists():  # held open until this process ends
            self.pipe = os.open(HERE / "pipe", os.O_WRONLY)
        if (HERE / "encoded").exists():
            with (HERE / "encoded").open("a") as file:
                file.write("one\\n")
        number = zlib.crc32(waveform.numpy().tobytes())
        die(f"kill{{number % 3}}", os.getpid())
        if number % 3 == 1:
            die("kill-driver", driver())
        if (HERE / "always").exists():  # whatever came first
            if not (HERE / "always").read_text():
                (HERE / "always").write_text(str(number))
            if (HERE / "always").read_text() == str(number):
                os.kill(os.getpid(), signal.SIGKILL)
        return super().forward(waveform)


class Here(Tiny):
    card = card("here")

    @classmethod
    def unavailable(cls):
        return None if os.getpid() == driver() else "its weights are not here; fetch them"


class Songs(Tones):
    card = replace(Tones.card, name="songs")

    def tracks(self, split):
        if os.getpid() != driver():  # in a worker, which learns
            die(f"kill-{{split}}", os.getpid())
        return super().tracks(split)
"""


@pytest.fixture(scope="module")
def address():
    """A cluster of two workers, in processes of their own."""
    command = [sys.executable, "-c", CLUSTER]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_MODE", "token")
        patch.setenv("RAY_AUTH_TOKEN", secrets.token_hex(32))
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, text=True
        ) as head:
            yield head.stdout.readline().strip()
            head.stdin.close()


@pytest.fixture
def mortal(tmp_path):
    """Options of a run with an encoder and a dataset that kill, where files say so."""
    file = tmp_path / "mortal.py"
    file.write_text(MORTAL.format(here=str(tmp_path)))
    (tmp_path / "driver").write_text(str(os.getpid()))
    return {
        "task": "genre", "dataset": f"{file}:Songs", "encoder": f"{file}:Mortal,tests.toys:Noise"
    }  # fmt: skip


def known(folder):
    """What records say, but for times."""
    times = {"seconds", "seconds_per_hour", "finished"}
    records = {}
    for one in read_records(folder / "results"):
        heads = {name: head.model_dump(mode="json") for name, head in one.results.items()}
        for head in heads.values():
            del head["seconds"]
        records[one.label] = one.model_dump(mode="json", exclude=times) | {"results": heads}
    return records


@with_ray
def test_killed_workers_lose_their_piece_which_is_done_again(tmp_path, mortal, address):
    """While they encode and while they learn; the records are those of one process."""
    heads = ("--heads", "linear")
    alone = run(tmp_path / "alone", *heads, **mortal)
    assert alone.code == 0, alone.said
    tokens = [tmp_path / f"kill{name}" for name in (0, 1, 2, "-train", "-test")]
    for token in tokens:
        token.touch()
    spread = run(tmp_path / "spread", *heads, "--ray", address, **mortal)
    assert spread.code == 0, spread.said
    assert not any(token.exists() for token in tokens)
    expected = known(tmp_path / "alone")
    assert set(expected) == {"mortal", "noise", "chance"}
    assert known(tmp_path / "spread") == expected
    assert spread.printed == alone.printed
    said = spread.said.splitlines()
    assert sum(line.startswith("genre · songs · mortal · linear: accuracy") for line in said) == 1
    assert not [line for line in said if line.startswith("reused")]
    assert not [line for line in said if "raylet" in line or "pid=" in line or "ray." in line]
    again = run(tmp_path / "spread", *heads, "--ray", address, **mortal)
    assert [line.split()[0] for line in again.said.splitlines()] == ["reused:"] * 3 + ["to"]


@with_ray
def test_a_piece_that_always_kills_is_named_and_all_others_are_finished(
    tmp_path, mortal, address, monkeypatch
):
    monkeypatch.setattr(cluster, "RETRIES", 1)
    (tmp_path / "always").touch()
    options = ("--cache", tmp_path / "cache", "--encoder", mortal["encoder"].split(",")[0])
    options += ("--dataset", mortal["dataset"])
    ended = motionbeat("embed", *options, "--ray", address)
    assert failed(ended, "1 of ", "pieces failed, all others are finished", "killed 2 times")
    (tmp_path / "always").unlink()
    (tmp_path / "encoded").touch()
    assert motionbeat("embed", *options).code == 0
    assert len((tmp_path / "encoded").read_text().splitlines()) in (1, 2)  # of that piece alone


@with_ray
@pytest.mark.parametrize("ray", [(), ("--ray", "auto")], ids=["alone", "ray"])
def test_a_killed_driver_leaves_no_process_and_the_same_command_goes_on(tmp_path, mortal, ray):
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    (tmp_path / "kill-driver").touch()
    options = ("--task", "genre", "--seeds", 1, "--learning_rates", "[0.01]", "--heads", "linear")
    options += ("--dataset", mortal["dataset"], "--encoder", mortal["encoder"])
    code = (
        "import os, sys, pathlib\n"
        "pathlib.Path(sys.argv.pop(1)).write_text(str(os.getpid()))\n"
        "from motionbeat.benchmarks.cli import main\nmain()"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}

    def bench(folder, *more):
        places = ("--cache", folder / "cache", "--results", folder / "results")
        words = [sys.executable, "-c", code, tmp_path / "driver", "bench", *options, *places, *more]
        return subprocess.run([*map(str, words)], env=environment, capture_output=True, text=True)

    first = bench(tmp_path / "a", *ray)
    assert first.returncode == -signal.SIGKILL, first.stderr
    ready, _, _ = select.select([reader], [], [], 120)
    assert ready, "a worker lives on"
    assert os.read(reader, 1) == b""  # the end of the pipe: nobody holds its other side
    (tmp_path / "pipe").unlink()
    for ended in (bench(tmp_path / "a", *ray), bench(tmp_path / "alone")):
        assert ended.returncode == 0, ended.stderr
    assert known(tmp_path / "a") == known(tmp_path / "alone")


@with_ray
def test_a_worker_that_lacks_something_is_one_line(tmp_path, mortal, address, monkeypatch):
    options = {**mortal, "encoder": mortal["encoder"].replace("Mortal", "Here")}
    ended = run(tmp_path, "--ray", address, **options)
    assert failed(ended, "cannot make encoder here: its weights are not here; fetch them")
    wanted = versions() | {"soxr": "9.9"}
    monkeypatch.setattr(cluster, "versions", lambda: wanted)
    assert failed(run(tmp_path, "--ray", address, **mortal), "has soxr", "the driver 9.9", "same")


@pytest.mark.parametrize(
    ("needs", "words"),
    [
        ({"versions": {"torch": "0.1"}}, "install the same versions on all machines"),
        ({"places": ("nowhere/cache/token",)}, "nowhere/cache; choose a folder that all"),
        ({"audio": ("nowhere/song.wav",)}, "nowhere/song.wav; put the dataset where"),
        ({"encoders": {"logmell": "1"}}, "unknown encoder 'logmell'"),
        ({"encoders": {"logmel": "0"}}, "of encoder logmel, the driver 0; put the same file"),
        ({"encoders": {"logmel": "1"}}, ""),
    ],
)
def test_what_a_worker_lacks(tmp_path, needs, words):
    paths = {k: tuple(tmp_path / one for one in v) for k, v in needs.items() if k in WITH_PATHS}
    if not words:
        needs = {"encoders": {"logmel": cluster.find_encoder("logmel").card.revision}}
    lacking = replace(Needs(versions()), **{**needs, **paths}).lacking()
    assert words in lacking
    assert bool(words) == bool(lacking)


WITH_PATHS = ("places", "audio")


@contextmanager
def other_server():
    """A server that answers with something of its own."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer():
            with server.accept()[0] as connection:
                connection.sendall(b"SSH-2.0\r\n")
                connection.recv(100)

        thread = threading.Thread(target=answer)
        thread.start()
        yield f"127.0.0.1:{server.getsockname()[1]}"
        thread.join()


@with_ray
@pytest.mark.parametrize("command", ["bench", "embed"])
def test_a_wrong_address_is_one_line(tmp_path, command):
    def tried(address):
        return motionbeat(command, "--ray", address, "--cache", tmp_path / "cache")

    for address in ("nonsense", "10001", "ray://head:10001", "head:ray", "head:99999"):
        assert failed(tried(address), address, "write auto, or HOST:PORT")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert failed(tried(f"127.0.0.1:{port}"), "cannot be joined", "ray start --head")
    with other_server() as address:
        assert failed(tried(address), address, "what answers is not Ray", "ray start --head")
    assert not (tmp_path / "cache").exists()


@with_ray
@pytest.mark.parametrize("command", ["bench", "embed"])
def test_a_store_in_memory_is_not_shared(tmp_path, command, monkeypatch):
    monkeypatch.setenv("MOTIONBEAT_EMBEDDINGS", f"memory://{command}")
    options = ("--dataset", "tests.clicks:Clicks", "--encoder", "tests.toys:Noise")
    where = ("--cache", tmp_path, *(("--results", tmp_path) if command == "bench" else ()))
    ended = motionbeat(command, *options, *where, "--ray", "auto")
    assert failed(ended, f"embeddings at memory:///{command}: are seen by one process alone")


@pytest.mark.parametrize("command", ["bench", "embed"])
def test_without_ray_its_remedy_is_one_line(tmp_path, monkeypatch, command):
    monkeypatch.setattr(cluster, "find_spec", lambda name: None)
    ended = motionbeat(command, "--ray", "auto", "--cache", tmp_path / "cache")
    assert failed(ended, "pip install 'motionbeat[ray]'")
    assert not (tmp_path / "cache").exists()
