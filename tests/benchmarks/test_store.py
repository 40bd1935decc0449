import math
import os
import pickle
import signal
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from multiprocessing import get_context

import numpy as np
import pytest
import torch
from fsspec import register_implementation
from fsspec.implementations.memory import MemoryFileSystem
from tests.toys import HOP, RATE, Listening, Tiny, card, write_noise

from motionbeat.audio import decode, load_audio
from motionbeat.benchmarks import shards
from motionbeat.benchmarks import store as module
from motionbeat.benchmarks.digests import file_digest
from motionbeat.benchmarks.extraction import embed
from motionbeat.benchmarks.shards import DamagedError
from motionbeat.benchmarks.store import EmbeddingStore, StoreError
from motionbeat.benchmarks.variants import variant
from motionbeat.encoding import EncodingError, encode
from motionbeat.files import WriteError


class Counted(MemoryFileSystem):
    """A filesystem in memory that counts the bytes that are read."""

    protocol = "counted"
    store = {}  # noqa: RUF012
    pseudo_dirs = [""]  # noqa: RUF012
    read = 0

    def cat_file(self, *args, **kwargs):
        content = super().cat_file(*args, **kwargs)
        Counted.read += len(content)
        return content


class Full(MemoryFileSystem):
    """A filesystem without room."""

    protocol = "full"

    def put_file(self, *args, **kwargs):
        raise OSError(28, "No space left on device")


register_implementation("counted", Counted, clobber=True)
register_implementation("full", Full, clobber=True)


@pytest.fixture(params=["folder", "memory://"])
def store(request, tmp_path):
    """One in a folder, and one at another address."""
    places = {"folder": tmp_path / "store", "memory://": f"memory://{tmp_path.name}"}
    return EmbeddingStore(places[request.param])


@pytest.fixture
def folder(tmp_path):
    return EmbeddingStore(tmp_path / "store")


@pytest.fixture
def tracks(tmp_path):
    return [write_noise(tmp_path / f"{index}.wav", 1.33, seed=index) for index in range(3)]


def run(store, tracks, *encoders, pooling=None):
    """Readers by the encoders' names."""
    encoders = encoders or [Tiny()]
    readers = embed(encoders, tracks, store, pooling)
    return {one.card.name: reader for one, reader in zip(encoders, readers, strict=True)}


def files(store):
    found = store.fs.find(store.root)
    return sorted(path for path in found if not path.endswith("speed.json"))


def written(embeddings, *audios, features=None):
    """Embeddings with those of some digests added, a shard for all."""
    with embeddings.writer() as writer:
        for audio in audios:
            writer.write(audio, noise(audio) if features is None else features)
    return embeddings


def noise(audio, steps=5):
    """Two pieces of features that follow from a digest."""
    rng = np.random.default_rng(list(audio.encode()))
    return list(rng.normal(size=(2, steps, 2, 6)).astype(np.float16))


def expected(audio):
    return np.concatenate(noise(audio))


class Broken(Tiny):
    card = card("broken")

    def forward(self, waveform):
        return super().forward(waveform) * math.nan


class Liar(Tiny):
    card = card("liar", width=7)


class Slow(Tiny):
    """Takes another sample rate."""

    card = card("slow", sample_rate=4000, frame_rate=5.0)


class Overwriting(Tiny):
    card = card("overwriting")

    def forward(self, waveform):
        states = super().forward(waveform)
        waveform.zero_()
        return states


class WholeRecording(Overwriting):
    """Needs the mean of the whole recording, and gives its states in three parts."""

    card = card("whole_recording")
    context = math.inf

    def stream(self, waveform):
        yield from self(waveform - waveform.mean())[0].tensor_split(3, dim=1)
        waveform.zero_()


VARIANTS = ("0", "1", "mean", "int8", "1,int8")


def test_embeddings_follow_from_the_bytes_and_all_that_changes_them(store, tracks, tmp_path):
    copy = write_noise(tmp_path / "copy.wav", 0.1).audio_path
    copy.write_bytes(tracks[0].audio_path.read_bytes())
    audio, other, same = map(file_digest, (*(one.audio_path for one in tracks[:2]), copy))
    assert audio == same != other
    kinds = [
        *((card(), None), (card(revision="2"), None), (card("other"), None)),
        *((card(), 0.5), (card(), 1.0), *((variant(Tiny, one).card, None) for one in VARIANTS)),
    ]
    assert len({store.embeddings(*kind).folder for kind in kinds}) == len(kinds)


def test_the_store_knows_how_fast_an_encoder_filled_it(store, tracks):
    assert math.isnan(store.speed(Tiny.card))
    run(store, tracks)
    seconds = store.speed(Tiny.card)
    assert seconds > 0
    run(store, tracks)
    assert store.speed(Tiny.card) == seconds, "nothing was encoded"
    assert math.isnan(store.speed(replace(Tiny.card, revision="2")))
    store.fs.pipe_file(f"{store.root}/tiny/speed.json", b"[]")
    assert math.isnan(store.speed(Tiny.card))


def test_stored_features_are_those_of_the_encoder(store, tracks):
    encoder = Listening()
    for _ in range(2):  # and nothing is encoded twice
        reader = run(store, tracks, encoder)["tiny"]
    assert encoder.asked == len(tracks)
    for track in tracks:
        expected = encode(Tiny(), load_audio(track.audio_path)[0]).astype(np.float16)
        assert reader.length(track) == len(expected) == 14
        assert np.array_equal(reader(track), expected)
        assert np.array_equal(reader(track, 4, 8), expected[4:8])


@pytest.mark.parametrize("kind", [Listening, variant(Listening, "int8,1")])
def test_pooled_features_come_from_stored_frames(store, tracks, tmp_path, kind):
    encoder = kind()
    run(store, tracks, encoder)
    derived = run(store, tracks, encoder, pooling=0.4)[encoder.card.name]
    asked = getattr(encoder, "whole", encoder)
    direct = EmbeddingStore(tmp_path / "fresh")
    [reader] = embed([encoder], tracks, direct, 0.4, keep_frames=True)
    [alone] = embed([encoder], tracks, EmbeddingStore(tmp_path / "alone"), 0.4)
    if kind is Listening:
        assert asked.asked == 3 * len(tracks)
    for track in tracks:
        assert derived.length(track) == 4
        assert torch.equal(derived(track), reader(track))
        assert torch.equal(derived(track), alone(track))


@pytest.mark.parametrize("pooling", [None, 0.4, 0.25, 0.37])
def test_steps_times_frame_rate_cover_the_audio(store, tracks, pooling):
    source = run(store, tracks, pooling=pooling)["tiny"]
    assert 1.33 <= source.length(tracks[0]) / source.frame_rate < 1.33 + 1.1 / source.frame_rate


@pytest.mark.parametrize("long", [False, True])
def test_what_half_precision_cannot_hold_stays_single(store, monkeypatch, long):
    monkeypatch.setattr(module, "LONG_BYTES", 0 if long else 1 << 20)
    large = np.float32([0.1, 1e6, 0.1]).reshape(3, 1, 1, 1).repeat(12, 3).reshape(3, 1, 2, 6)
    embeddings = written(store.embeddings(card()), "a", features=list(large))
    written(embeddings, "c")
    for known in (embeddings, store.embeddings(card())):
        assert np.array_equal(known.read("a"), large[:, 0])
        assert known.read("a").dtype == np.float32
        assert np.array_equal(known.read("c"), expected("c"))


@pytest.mark.parametrize("name", ["0,1", "int8"])
def test_what_does_not_fit_into_memory_is_read_in_part(store, tracks, monkeypatch, name):
    monkeypatch.setattr(shards, "BLOCK_VALUES", 36)  # of three steps
    encoder = variant(Tiny, name)()
    whole = run(store, tracks, encoder)[encoder.card.name](tracks[0])
    monkeypatch.setattr(module, "IN_MEMORY", 0)
    reader = run(store, tracks, encoder)[encoder.card.name]
    for start in range(15):
        for stop in (*range(start, 16), None):
            assert torch.equal(reader(tracks[0], start, stop), whole[start:stop])


@pytest.mark.parametrize("damage", ["truncate", "empty", "text", "longer"])
def test_a_damaged_shard_is_dropped_and_built_again(store, tracks, damage, capsys):
    before = run(store, tracks)["tiny"](tracks[0])
    [path] = files(store)
    content = store.fs.cat_file(path)
    damaged = {"truncate": content[:-7], "empty": b"", "text": b"hello", "longer": content + b"0"}
    store.fs.pipe_file(path, damaged[damage])
    encoder = Listening()
    assert torch.equal(run(store, tracks, encoder)["tiny"](tracks[0]), before)
    assert encoder.asked == len(tracks)
    assert capsys.readouterr().err.count("its embeddings are computed again") == 1
    assert files(store) != [path]


def test_a_damaged_embedding_alone_is_dropped_and_built_again(store, tracks):
    before = run(store, tracks)["tiny"](tracks[1])
    [path] = files(store)
    content = bytearray(store.fs.cat_file(path))
    shard = run(store, tracks)["tiny"].embeddings.shards[file_digest(tracks[1].audio_path)]
    content[shard.entries[file_digest(tracks[1].audio_path)].start] ^= 1
    store.fs.pipe_file(path, bytes(content))
    reader = run(store, tracks)["tiny"]
    with pytest.raises(DamagedError, match=r"is damaged; it is dropped, run again") as caught:
        reader(tracks[1])
    assert "\n" not in str(caught.value)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
    assert torch.equal(reader(tracks[0]), run(store, tracks[:1])["tiny"](tracks[0]))
    encoder = Listening()
    assert torch.equal(run(store, tracks, encoder)["tiny"](tracks[1]), before)
    assert encoder.asked == 1


@pytest.mark.parametrize("name", ["0,1", "int8"])
def test_no_flipped_byte_gives_wrong_features(folder, name):
    embeddings = written(folder.embeddings(variant(Tiny, name).card), "a", "b")
    before = {audio: embeddings.read(audio) for audio in "ab"}
    [path] = files(folder)
    content = folder.fs.cat_file(path)
    for place in range(len(content)):
        changed = bytearray(content)
        changed[place] ^= 1 << place % 8
        for old in files(folder):
            folder.fs.rm_file(old)
        folder.fs.pipe_file(path, bytes(changed))
        again = folder.embeddings(embeddings.card)
        for audio in "ab":
            with suppress(DamagedError, KeyError):
                assert np.array_equal(again.read(audio), before[audio])


@pytest.mark.parametrize("long", [False, True])
def test_what_failed_leaves_nothing_and_the_others_stay(store, monkeypatch, long):
    monkeypatch.setattr(module, "LONG_BYTES", 0 if long else 1 << 20)

    def pieces():
        yield np.ones((5, 2, 6), np.float32)
        raise KeyboardInterrupt

    embeddings = store.embeddings(card())
    written(embeddings, "a")
    with pytest.raises(KeyboardInterrupt):
        written(embeddings, "b", features=pieces())
    assert len(files(store)) == 1
    known = store.embeddings(card())
    assert "b" not in known
    assert np.array_equal(known.read("a"), expected("a"))


@pytest.mark.parametrize("long", [False, True])
def test_a_killed_process_leaves_what_was_whole(folder, monkeypatch, long):
    monkeypatch.setattr(module, "LONG_BYTES", 0 if long else 1 << 20)

    def pieces():
        for _ in range(20):
            yield noise("b")[0]
        os.kill(os.getpid(), signal.SIGKILL)

    def work():
        written(folder.embeddings(card()), "a")
        written(folder.embeddings(card()), "b", features=pieces())

    process = get_context("fork").Process(target=work)
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    known = folder.embeddings(card())
    assert "b" not in known
    assert np.array_equal(known.read("a"), expected("a"))
    assert len([path for path in files(folder) if path.endswith(".safetensors")]) == 1


def test_several_writers_fill_one_store(store, monkeypatch):
    monkeypatch.setattr(module, "SHARD_BYTES", 600)
    names = [f"{number:02d}" for number in range(20)]
    both = [store.embeddings(card()) for _ in range(2)]
    with ThreadPoolExecutor(4) as pool, both[0].writer() as one, both[1].writer() as other:
        for name in names:
            pool.submit(one.write, name, noise(name))
            pool.submit(other.write, name, noise(name))
        pool.shutdown()
    known = store.embeddings(card())
    assert len(files(store)) > 2
    for name in names:
        assert np.array_equal(known.read(name), expected(name))


def test_what_waits_is_written_after_a_while(store, monkeypatch):
    monkeypatch.setattr(module, "FLUSH_SECONDS", 0.0)
    embeddings = store.embeddings(card())
    with embeddings.writer() as writer:
        for name in "ab":
            writer.write(name, noise(name))
    assert len(files(store)) == 2


def test_a_second_run_reads_headers_alone():
    store = EmbeddingStore("counted://store")
    large = [np.zeros((20_000, 2, 6), np.float16)]
    written(store.embeddings(card()), *"abcd", features=large)
    Counted.read = 0
    known = store.embeddings(card())
    assert Counted.read <= shards.HEAD_BYTES
    assert [known.steps(audio) for audio in "abcd"] == [20_000] * 4
    known.read("a", 0, 10)
    assert Counted.read < 700_000


@pytest.mark.parametrize("steps", [1, 2, 1000])
def test_eight_bits_are_within_half_a_level_and_take_less_room(folder, steps):
    rng = np.random.default_rng(0)
    halves = rng.normal(size=(steps, 2, 6)).cumsum(axis=0).astype(np.float16)
    halves[:, 0, 0] = 3.0
    features = halves.astype(np.float32)
    sizes = []
    for kind in (Tiny, variant(Tiny, "int8")):
        embeddings = written(folder.embeddings(kind.card), "a", features=[halves])
        entry = embeddings.shards["a"].entries["a"]
        sizes.append(entry.stop - entry.start)
    level = np.ptp(features, axis=0) / 255
    bound = level / 2 + np.abs(features) * 2**-10
    assert (np.abs(embeddings.read("a").astype(np.float32) - features) <= bound).all()
    assert steps < 1000 or sizes[1] < 0.45 * sizes[0]


@pytest.mark.parametrize(
    ("address", "words"),
    [("nowhere://x", "nowhere"), ("s3://bucket/x", "s3fs"), ("github://x", "org")],
)
def test_an_address_that_cannot_be_used_is_named(address, words):
    with pytest.raises(StoreError, match=rf"embeddings at {address}: .*{words}.*; ") as caught:
        EmbeddingStore(address)
    assert "\n" not in str(caught.value)


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"file: cannot be read .*; check the address"):
        written(EmbeddingStore(tmp_path / "file").embeddings(card()), "a")
    with pytest.raises(WriteError, match=r"full://x/tiny/.*No space left.*; free some space"):
        written(EmbeddingStore("full://x").embeddings(card()), "a")


def test_each_file_is_decoded_once_for_all_encoders(store, tracks, monkeypatch):
    decoded = []
    load = lambda path, takers: (decoded.append(path), decode(path, takers))[1]  # noqa: E731
    monkeypatch.setattr("motionbeat.loading.decode", load)
    readers = run(store, tracks, Tiny(), Slow())
    assert decoded == [track.audio_path for track in tracks]
    assert [readers[name].length(tracks[0]) for name in ("tiny", "slow")] == [14, 7]


def test_an_encoder_that_overwrites_its_input_spoils_no_other(store, tracks):
    readers = run(store, tracks, Overwriting(), WholeRecording(), Tiny())
    for track in tracks:
        assert torch.equal(readers["overwriting"](track), readers["tiny"](track))


def test_what_needs_the_whole_recording_is_given_it():
    waveform = np.random.default_rng(0).uniform(-0.5, 1, 150 * RATE).astype(np.float32)
    expected = Tiny()(torch.from_numpy(waveform - waveform.mean())[None])[0].movedim(1, 0)
    np.testing.assert_allclose(encode(WholeRecording(), waveform), expected, rtol=1e-5)


def test_faults_are_named_and_the_other_tracks_kept(store, tracks):
    with pytest.raises(StoreError, match=r"track 0: encoder broken: gave NaN"):
        run(store, tracks[:1], Broken())
    with pytest.raises(EncodingError, match=r"liar: gave \(2, 14, 6\), its card says \(2, fr"):
        run(store, tracks, Liar())
    assert not files(store)
    tracks[1].audio_path.write_bytes(b"no audio")
    with pytest.raises(StoreError, match=r"1 of 3 tracks failed.*1\.wav") as caught:
        run(store, tracks)
    assert "\n" not in str(caught.value)
    assert len(store.embeddings(Tiny.card).shards) == 2


@pytest.mark.parametrize("seconds", [0.01, 59.95, 60.0, 60.05, 150.0])
def test_piece_by_piece_equals_whole(seconds):
    samples = round(seconds * RATE)
    waveform = np.random.default_rng(0).uniform(-0.5, 0.5, samples).astype(np.float32)
    expected = Tiny()(torch.from_numpy(waveform)[None])[0].movedim(1, 0)
    features = encode(Tiny(), waveform)
    assert len(features) == len(expected) == max(samples // HOP + 1, 1)
    np.testing.assert_allclose(features, expected, rtol=1e-4, atol=1e-4)
