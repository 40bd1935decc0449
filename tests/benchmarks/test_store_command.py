import os
from dataclasses import replace

import pytest
from tests.benchmarks.test_store import card, expected, files, noise, written
from tests.command import motionbeat
from tests.conftest import failed

from motionbeat.benchmarks.registry import ENCODERS
from motionbeat.benchmarks.store import EmbeddingStore

CLICKS = "tests.clicks:Clicks"


@pytest.fixture
def store(tmp_path):
    return EmbeddingStore(tmp_path / "embeddings")


def command(tmp_path, name, *more):
    return motionbeat("store", name, "--cache", tmp_path, *more)


def test_sizes_by_encoder_and_dataset(tmp_path, store):
    assert failed(command(tmp_path, "ls"), "there are none; give --cache or --embeddings")
    options = ("--dataset", CLICKS, "--encoder", "tests.toys:Tiny", "--cache", tmp_path)
    assert motionbeat("embed", *options).code == 0
    assert motionbeat("embed", *options, "--segment_seconds", 2).code == 0
    card = ENCODERS.get("tests.toys:Tiny").card  # with a digest of its file
    written(store.embeddings(card), "a")
    shown = command(tmp_path, "ls", "--dataset", CLICKS).printed
    revision = card.revision
    rows = [[part.strip() for part in line.split("│")[1:-1]] for line in shown.splitlines()]
    assert ["tiny", revision, "frames", CLICKS, "9"] in [row[:-1] for row in rows]
    assert ["tiny", revision, "frames", "other", "1"] in [row[:-1] for row in rows]
    assert ["tiny", revision, "2 s", CLICKS, "9"] in [row[:-1] for row in rows]
    written(store.embeddings(ENCODERS.get("random[mean,int8]").card), "a")
    assert "random[mean,int8]" in command(tmp_path, "ls").printed


def test_all_damage_is_found(tmp_path, store):
    written(store.embeddings(card()), "a", "b")
    written(store.embeddings(card(), 1.0), "c")
    assert command(tmp_path, "verify").code == 0
    paths = files(store)
    shard = next(p for p in paths if p == store.embeddings(card()).shards["a"].path)
    content = bytearray(store.fs.cat_file(shard))
    content[store.embeddings(card()).shards["b"].entries["b"].start + 3] ^= 4
    store.fs.pipe_file(shard, bytes(content))
    other = next(path for path in paths if path != shard)
    store.fs.pipe_file(other, store.fs.cat_file(other)[:-1])
    ended = command(tmp_path, "verify")
    assert ended.code == 1
    assert ended.printed.splitlines() == [
        f"{other}: is cut off or damaged", f"{shard}: the embedding b is damaged"
    ]  # fmt: skip
    assert files(store) == paths, "nothing is removed"


def test_what_nothing_refers_to_is_removed(tmp_path, store):
    shipped = ENCODERS.get("logmel").card
    kept = written(store.embeddings(shipped), "a", "b", features=[noise("a")[0][:, :1]])
    others = written(store.embeddings(card()), "a", "b")
    again = written(store.embeddings(card()), "b", "c")
    written(store.embeddings(replace(shipped, revision="0")), "a")
    root = tmp_path / "embeddings"
    for name in ("ab/cd.safetensors", f".x.safetensors.{'0' * 32}", f".y.safetensors.{'1' * 32}"):
        path = root / "tiny" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"0")
    os.utime(path, (0, 0))  # left by a process that was killed long ago
    (root / "tiny" / "ab" / f"{'2' * 32}.safetensors").write_bytes(b"0")
    before = files(store)
    planned = command(tmp_path, "gc", "--dry_run")
    assert files(store) == before
    done = command(tmp_path, "gc")
    assert planned.printed == done.printed
    assert {line.partition(", ")[0] for line in done.printed.splitlines()} == {
        "logmel: older revision", "tiny: unfinished", "tiny: damaged", "tiny: duplicates",
    }  # fmt: skip
    assert not command(tmp_path, "gc").printed
    assert len(files(store)) == 5, "one of logmel, two of tiny, what is being written, another's"
    assert (root / "tiny" / "ab" / "cd.safetensors").exists()
    assert set(store.embeddings(shipped).shards) == set(kept.shards) == {"a", "b"}
    known = store.embeddings(card())
    assert set(known.shards) == {*others.shards, *again.shards}
    for audio in "abc":
        assert (known.read(audio) == expected(audio)).all()


def test_what_cannot_be_removed_is_an_error(tmp_path, store, monkeypatch):
    for _ in range(2):
        written(store.embeddings(card()), "a")

    def refuse(self, path):
        raise PermissionError(path)

    monkeypatch.setattr(type(store.fs), "rm_file", refuse)
    assert failed(command(tmp_path, "gc"), "cannot be removed; make the store writable")


def test_another_address(tmp_path, monkeypatch):
    monkeypatch.setenv("MOTIONBEAT_EMBEDDINGS", "memory://first")
    options = ("--dataset", CLICKS, "--encoder", "tests.toys:Tiny", "--cache", tmp_path)
    assert "memory:///first" in motionbeat("embed", *options).said
    assert "memory:///second" in motionbeat(
        "embed", *options, "--embeddings", "memory://second"
    ).said  # fmt: skip
    assert not (tmp_path / "embeddings").exists()
    assert command(tmp_path, "verify", "--embeddings", "memory://first").code == 0
