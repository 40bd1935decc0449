"""``motionbeat data get`` and ``list datasets``, on a dataset served from this machine."""

import hashlib
import threading
import zipfile
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
from tests.command import motionbeat
from tests.conftest import failed, run
from tests.lookalikes import write_audio

from motionbeat.benchmarks.registry import DATASETS
from motionbeat.data_modules.base import DatasetCard, Genre
from motionbeat.data_modules.published.collection import Published, Row
from motionbeat.data_modules.published.download import Remote


class Served(Published):
    """Nine tones in an archive, and a table beside it."""

    card = DatasetCard(
        name="served",
        revision="1",
        annotations=(Genre,),
        licence="none",
        citation="none",
        size="9 tracks",
        how_to_get="run motionbeat data get served",
        when_gone="ask the authors",
    )
    count = 9
    links = ()

    @classmethod
    def remotes(cls):
        return cls.links

    def rows(self):
        for row in self.table("table.csv", ["name", "genre", "split"]).itertuples():
            yield Row(row.split, row.name, f"audio/{row.name}.wav", row.name, (Genre(row.genre),))


def md5(path):
    return f"md5:{hashlib.md5(path.read_bytes()).hexdigest()}"


@pytest.fixture
def shelf(tmp_path, monkeypatch):
    """A folder on the web."""
    folder = tmp_path / "shelf"
    folder.mkdir()
    lines = ["name,genre,split"]
    with zipfile.ZipFile(folder / "audio.zip", "w") as archive:
        for index in range(9):
            write_audio(tmp_path / f"{index}.wav", index, 1.0, 8000)
            archive.write(tmp_path / f"{index}.wav", f"some-master/audio/t{index}.wav")
            split = ("train", "validation", "test")[index // 3]
            lines.append(f"t{index},{'ab'[index % 2]},{split}")
    (folder / "table.csv").write_text("\n".join(lines))

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=folder))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    Served.links = (
        Remote((f"{url}/audio.zip",), md5(folder / "audio.zip"), "audio.zip",
               lifted=("some-master",)),
        Remote((f"{url}/table.csv",), md5(folder / "table.csv"), "table.csv"),
    )  # fmt: skip
    monkeypatch.setitem(DATASETS.classes, "served", Served)
    yield folder
    server.shutdown()


def get(tmp_path, name="served"):
    return motionbeat("data", "get", name, "--cache", tmp_path / "cache")


def listed(tmp_path):
    """The line of the dataset in the list."""
    ended = motionbeat("list", "datasets", "--cache", tmp_path / "cache", "--data", tmp_path)
    return next(line for line in ended.printed.splitlines() if " served " in line)


def test_a_dataset_is_fetched_checked_and_listed(shelf, tmp_path):
    assert "absent" in listed(tmp_path)
    ended = get(tmp_path)
    assert ended.code == 0, ended.said
    assert "served: present" in ended.said
    assert "present" in listed(tmp_path)
    audio = tmp_path / "cache" / "data" / "served" / "audio"
    (audio / "t3.wav").unlink()
    assert "partial (8" in listed(tmp_path)


def test_the_whole_card_is_shown(shelf, tmp_path):
    ended = motionbeat("data", "show", "served", "--cache", tmp_path / "cache")
    lines = {"size: 9 tracks", "when gone: ask the authors", "annotations: Genre", "here: absent"}
    assert lines <= set(ended.printed.splitlines())


def test_a_dead_link_says_what_to_do(shelf, tmp_path):
    (shelf / "table.csv").unlink()
    assert failed(get(tmp_path), "404", "ask the authors")


def test_what_needs_a_login_prints_the_steps(shelf, tmp_path):
    Served.links = ()
    assert failed(get(tmp_path), "cannot be fetched: run motionbeat data get served")
    assert failed(get(tmp_path, "servd"), "did you mean served")


def test_a_partial_copy_is_marked_in_the_table(shelf, tmp_path, short_training):
    assert get(tmp_path).code == 0
    (tmp_path / "cache" / "data" / "served" / "audio" / "t8.wav").unlink()
    served = {"task": "genre", "dataset": "served"}
    refused = run(tmp_path, **served)
    assert failed(refused, "audio/t8.wav", "--dataset_options '{partial: true}'")
    accepted = run(tmp_path, "--dataset_options", "{partial: true}", **served)
    assert accepted.code == 0, accepted.said
    assert "partial" in accepted.printed
    assert "partial-8of9" in (tmp_path / "results" / "leaderboard_genre.csv").read_text()
