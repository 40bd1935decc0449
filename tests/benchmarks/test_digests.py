"""Digests are kept between commands, and never those of changed files."""

import hashlib
import os
from pathlib import Path

import pytest

from motionbeat.benchmarks import digests
from motionbeat.benchmarks.digests import SETTLED, WORTHWHILE, file_digest, file_digests
from motionbeat.encoding import TrackError

LONG_AGO = 1_600_000_000  # s


@pytest.fixture(autouse=True)
def start(monkeypatch: pytest.MonkeyPatch) -> None:
    in_a_new_process(monkeypatch)


def write(path: Path, content: bytes, at: float = LONG_AGO) -> Path:
    path.write_bytes(content)
    os.utime(path, (at, at))
    return path


def in_a_new_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digests, "_known", {})
    digests._recall.cache_clear()


def test_a_file_is_read_once_by_all_commands(tmp_path, monkeypatch):
    content = os.urandom(WORTHWHILE)
    path = write(tmp_path / "a", content)
    expected = hashlib.sha256(content).hexdigest()
    assert file_digests([path], tmp_path / "kept") == {path: expected}
    in_a_new_process(monkeypatch)
    monkeypatch.setattr(hashlib, "file_digest", None)  # reading it would fail
    assert file_digests([path], tmp_path / "kept") == {path: expected}
    assert file_digest(path) == expected


@pytest.mark.parametrize("change", ["size", "time"])
def test_a_changed_file_is_read_again(tmp_path, monkeypatch, change):
    path = write(tmp_path / "a", bytes(WORTHWHILE))
    file_digests([path], tmp_path / "kept")
    in_a_new_process(monkeypatch)
    content = b"1" * (WORTHWHILE + (change == "size"))
    write(path, content, LONG_AGO + (change == "time"))
    found = file_digests([path], tmp_path / "kept")
    assert found == {path: hashlib.sha256(content).hexdigest()}


def test_files_that_may_change_again_are_not_kept(tmp_path, monkeypatch):
    now = 2 * LONG_AGO
    monkeypatch.setattr(digests.time, "time_ns", lambda: int(now * 1e9))
    write(tmp_path / "a", bytes(WORTHWHILE), now - SETTLED / 2)
    file_digests([tmp_path / "a"], tmp_path / "kept")
    assert not (tmp_path / "kept").exists()
    file_digests([write(tmp_path / "b", bytes(WORTHWHILE), now - 2 * SETTLED)], tmp_path / "kept")
    assert len(list((tmp_path / "kept").iterdir())) == 1


def test_kept_digests_are_merged_and_damaged_ones_left_out(tmp_path, monkeypatch):
    folder = tmp_path / "kept"
    paths = [write(tmp_path / str(n), os.urandom(WORTHWHILE)) for n in range(20)]
    expected = {}
    for path in paths:
        in_a_new_process(monkeypatch)
        expected |= file_digests([path], folder)
    assert len(list(folder.iterdir())) < 20
    (folder / "damaged.json").write_bytes(b"[[1")
    in_a_new_process(monkeypatch)
    monkeypatch.setattr(hashlib, "file_digest", None)
    assert file_digests(paths, folder) == expected


def test_a_missing_file_is_an_error_in_its_place(tmp_path):
    there, gone = write(tmp_path / "a", b"1"), tmp_path / "b"
    found = file_digests([there, gone], tmp_path / "kept")
    assert isinstance(found[there], str)
    assert isinstance(found[gone], TrackError)
    assert str(found[gone]).startswith(str(gone))
