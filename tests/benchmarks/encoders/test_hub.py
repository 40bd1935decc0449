"""How files of the hub are fetched, and reading weights without running what lies in them."""

import errno

import pytest
import torch
from requests import Response
from safetensors.torch import save_file
from tests.toys import card

from motionbeat import encoder as contract
from motionbeat.benchmarks.encoders.pretrained.hub import HubEncoder
from motionbeat.benchmarks.encoders.pretrained.weight_files import read_weights
from motionbeat.errors import MotionBeatError

huggingface_hub = pytest.importorskip("huggingface_hub")
errors = pytest.importorskip("huggingface_hub.errors")

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Kept(HubEncoder):
    """Files of a repository that is not on the hub."""

    card = card("kept")
    repo, commit, files = "owner/name", COMMIT, ("config.json", "w.bin")


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    """An empty cache of the hub, where files of the commit would lie."""
    monkeypatch.delenv("MOTIONBEAT_HUB", raising=False)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    return tmp_path / "models--owner--name" / "snapshots" / COMMIT


def put(folder):
    folder.mkdir(parents=True, exist_ok=True)
    for file in Kept.files:
        (folder / file).touch()


def refused(match, kind=Kept):
    with pytest.raises(MotionBeatError, match=match) as caught:
        kind.folder()
    assert "\n" not in str(caught.value)


def test_an_encoder_is_here_when_its_files_are(cache):
    """Where the hub's own library finds them, which then asks no network."""
    assert Kept.unavailable() is None  # a benchmark would fetch them
    assert Kept.here() == "after a download, on first use"
    refused("owner/name: cannot be fetched .*; connect and unset HF_HUB_OFFLINE, or put config")
    put(cache)
    assert Kept.here() == "yes"
    assert Kept.folder() == cache


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ConnectionError("no route"), "cannot be fetched .ConnectionError.; connect"),
        (OSError(errno.ENOSPC, "No space left on device"), "No space left on device"),
        (errors.GatedRepoError("long\ntext", response=Response()), "not open to you; look at http"),
    ],
)
def test_failures_are_one_line_with_a_remedy(monkeypatch, error, message):
    def download(repo, file, revision):
        assert (repo, revision) == ("owner/name", COMMIT)
        raise error

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    refused(message)


def test_missing_package_is_named(monkeypatch):
    monkeypatch.setattr(contract, "find_spec", lambda name: None)
    refused("encoder kept: not installed; run: pip install 'transformers>=4.57,<5'")


def test_folder_of_copies_stands_in_for_the_hub(monkeypatch, tmp_path):
    monkeypatch.setenv("MOTIONBEAT_HUB", str(tmp_path))
    refused("name: has no config.json, w.bin; put it there or unset MOTIONBEAT_HUB")
    assert Kept.here() == Kept.unavailable()
    put(tmp_path / "owner" / "name")
    assert Kept.folder() == tmp_path / "owner" / "name"
    assert Kept.here() == "yes"


class Exploit:
    def __reduce__(self):
        return (exec, ("raise SystemExit('run')",))


@pytest.mark.parametrize("name", ["w.bin", "w.safetensors"])
def test_weights_are_read_from_both_formats_unless_damaged(tmp_path, name):
    tensors = {"one": torch.arange(3.0)}
    (save_file if name.endswith("s") else torch.save)(tensors, tmp_path / name)
    assert torch.equal(read_weights(tmp_path / name)["one"], tensors["one"])
    # Empty, junk, a pickle of None, of nothing, and of what was never put there.
    for content in (b"", bytes(100), b"\x80\x02N.", b"\x80\x02.", b"\x80\x02h\x07."):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(MotionBeatError, match=r"damaged.*; delete it") as caught:
            read_weights(tmp_path / name)
        assert "\n" not in str(caught.value)


def test_code_in_weights_is_not_run(tmp_path):
    torch.save({"one": Exploit()}, tmp_path / "w.bin")
    with pytest.raises(MotionBeatError, match="no file of weights"):
        read_weights(tmp_path / "w.bin")
