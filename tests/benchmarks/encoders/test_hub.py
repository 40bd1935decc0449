import errno
import sys
from typing import ClassVar

import pytest
import torch
from requests import Response
from safetensors.torch import save_file
from tests.toys import card

from motionbeat.benchmarks.encoders.pretrained.hub import (
    HubEncoder,
    HubError,
    read_weights,
    snapshot,
)

huggingface_hub = pytest.importorskip("huggingface_hub")
errors = pytest.importorskip("huggingface_hub.errors")

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(autouse=True)
def no_copies(monkeypatch):
    monkeypatch.delenv("MOTIONBEAT_HUB", raising=False)


def fetch(*files):
    return snapshot("owner/name", COMMIT, files)


def hub(monkeypatch, cached=None, online=None):
    """Stand in for the hub: a folder, or an error to raise, with and without the network."""
    asked = []

    def download(repo, revision, local_files_only=False, allow_patterns=None):
        assert (repo, revision) == ("owner/name", COMMIT)
        asked.append(allow_patterns)
        answer = cached if local_files_only else online
        if answer is None:
            raise errors.LocalEntryNotFoundError("not here")
        if isinstance(answer, Exception):
            raise answer
        return str(answer)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    return asked


def test_only_the_files_asked_for_are_fetched(monkeypatch, tmp_path):
    (tmp_path / "config.json").touch()
    asked = hub(monkeypatch, online=tmp_path)
    assert fetch("config.json") == tmp_path
    assert asked == [None, ["config.json"]]


def test_the_network_is_not_asked_for_what_is_here(monkeypatch, tmp_path):
    (tmp_path / "config.json").touch()
    asked = hub(monkeypatch, cached=tmp_path, online=AssertionError("asked"))
    assert fetch("config.json") == tmp_path
    assert asked == [None]


def test_what_an_interruption_left_is_completed(monkeypatch, tmp_path):
    (tmp_path / "cached").mkdir()
    (tmp_path / "whole").mkdir()
    (tmp_path / "whole" / "config.json").touch()
    hub(monkeypatch, cached=tmp_path / "cached", online=tmp_path / "whole")
    assert fetch("config.json") == tmp_path / "whole"


def failed(kind):
    return kind("long\nexplanation", response=Response())


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (None, "owner/name: not here, and the hub gave no answer .LocalEntryNotFoundError.; conn"),
        (
            errors.OfflineModeIsEnabled("offline"),
            "unset HF_HUB_OFFLINE, or put a, b of commit 0123",
        ),
        (ConnectionError("no route"), "gave no answer .ConnectionError.; connect"),
        (failed(errors.HfHubHTTPError), "gave no answer .HfHubHTTPError."),
        (failed(errors.GatedRepoError), "give it at https://huggingface.co/owner/name and run: hf"),
        (failed(errors.RepositoryNotFoundError), "not on the hub, or not for you"),
        (failed(errors.RevisionNotFoundError), f"no longer has commit {COMMIT}"),
        (OSError(errno.ENOSPC, "No space left on device"), "the disk is full; free some space"),
    ],
)
def test_failures_are_one_line_with_a_remedy(monkeypatch, error, message):
    hub(monkeypatch, online=error)
    with pytest.raises(HubError, match=message) as caught:
        fetch("a", "b")
    assert "\n" not in str(caught.value)


def test_file_that_never_came_is_named(monkeypatch, tmp_path):
    (tmp_path / "a").touch()
    hub(monkeypatch, online=tmp_path)
    with pytest.raises(HubError, match="owner/name: b of commit 01234567 could not be had"):
        fetch("a", "b")


def test_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(HubError, match="run: pip install 'huggingface_hub"):
        fetch("a")


def test_folder_of_copies_stands_in_for_the_hub(monkeypatch, tmp_path):
    monkeypatch.setenv("MOTIONBEAT_HUB", str(tmp_path))
    with pytest.raises(HubError, match="name: has no a, b; put it there or unset MOTIONBEAT_HUB"):
        fetch("a", "b")
    (tmp_path / "owner" / "name").mkdir(parents=True)
    for name in "ab":
        (tmp_path / "owner" / "name" / name).touch()
    assert fetch("a", "b") == tmp_path / "owner" / "name"


def test_weights_are_read_from_both_formats(tmp_path):
    tensors = {"one": torch.arange(3.0)}
    torch.save(tensors, tmp_path / "w.bin")
    save_file(tensors, tmp_path / "w.safetensors")
    for name in ("w.bin", "w.safetensors"):
        assert torch.equal(read_weights(tmp_path / name)["one"], tensors["one"])


class Kept(HubEncoder):
    """Files of a repository that is not on the hub."""

    card = card("kept")
    packages: ClassVar = {}
    repo, commit, files = "owner/name", COMMIT, ("config.json", "sub/w.bin")


def test_an_encoder_is_here_when_its_files_are(monkeypatch, tmp_path):
    """Where the hub's own library finds them."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    kept = tmp_path / "models--owner--name" / "snapshots" / COMMIT
    for file in Kept.files:
        assert Kept.here() == "after a download, on first use"
        assert Kept.unavailable() is None  # a benchmark would fetch them
        (kept / file).parent.mkdir(parents=True, exist_ok=True)
        (kept / file).touch()
    assert Kept.here() == "yes"
    found = huggingface_hub.snapshot_download(
        Kept.repo, revision=COMMIT, local_files_only=True, cache_dir=tmp_path
    )
    assert found == str(kept)


def test_copies_are_here_or_lacking(monkeypatch, tmp_path):
    monkeypatch.setenv("MOTIONBEAT_HUB", str(tmp_path))
    assert Kept.here() == Kept.unavailable()
    assert "has no config.json, sub/w.bin; put it there" in Kept.here()
    for file in Kept.files:
        (tmp_path / Kept.repo / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / Kept.repo / file).touch()
    assert Kept.here() == "yes"


@pytest.mark.parametrize("name", ["w.bin", "w.safetensors"])
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"nonsense",
        bytes(100),
        b"\x80\x02N.",
        b"\x80\x02h\x07.",  # what was never put there
        b"\x80\x02.",  # of nothing
        b"\x80\x02}(t",
        b"\x80\x02}K\x01K\x02s.",  # numbers for names
        b"ustar tape",
    ],
)
def test_damaged_weights_are_refused(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(HubError, match="delete it and try again") as caught:
        read_weights(tmp_path / name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [[torch.zeros(1)], {1: torch.zeros(1)}])
def test_tensors_without_names_are_refused(tmp_path, content):
    torch.save(content, tmp_path / "w.bin")
    with pytest.raises(HubError, match="holds no named tensors; delete it and try again"):
        read_weights(tmp_path / "w.bin")


def test_code_in_weights_is_not_run(tmp_path):
    torch.save({"one": Exploit()}, tmp_path / "w.bin")
    with pytest.raises(HubError, match="no file of weights"):
        read_weights(tmp_path / "w.bin")


class Exploit:
    def __reduce__(self):
        return (exec, ("raise SystemExit('run')",))
