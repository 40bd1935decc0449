import errno
import math
import multiprocessing
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.toys import HOP, RATE, Listening, Tiny, card, fill, write_noise

from motionbeat.audio import load_audio
from motionbeat.benchmarks import store as module
from motionbeat.benchmarks.store import (
    EmbeddingStore,
    StoredFeatures,
    StoreError,
    audio_digest,
    encode,
    extract,
    intact,
    pool,
)
from motionbeat.files import WriteError


@pytest.fixture
def store(tmp_path):
    return EmbeddingStore(tmp_path / "store")


@pytest.fixture
def tracks(tmp_path):
    return [write_noise(tmp_path / f"{index}.wav", 1.33, seed=index) for index in range(3)]


def run(store, tracks, *encoders, pooling=None):
    return extract(encoders or [Tiny()], tracks, store, pooling, lambda _: None)


def entries(store):
    return sorted(store.root.rglob("*.safetensors"))


def whole(source, track):
    return source.read(track, 0, source.length(track))


class Huge(Tiny):
    card = card("huge")

    def forward(self, waveform):
        return super().forward(waveform) + 1e6


class Broken(Tiny):
    card = card("broken")

    def forward(self, waveform):
        return super().forward(waveform) * math.nan


class Liar(Tiny):
    card = card("liar", width=7)


class Slow(Tiny):
    """Takes another sample rate."""

    card = card("slow", sample_rate=4000, frame_rate=5.0)


def test_address_follows_from_audio_revision_and_pooling(store, tracks):
    audio = audio_digest(tracks[0].audio_path)
    paths = {
        store.path(card(), audio, None),
        store.path(card(), audio_digest(tracks[1].audio_path), None),
        store.path(card(revision="2"), audio, None),
        store.path(card("other"), audio, None),
        store.path(card(), audio, 0.5),
        store.path(card(), audio, 1.0),
    }
    assert len(paths) == 6


def test_digest_follows_the_bytes_and_not_the_name(tmp_path):
    first, second = tmp_path / "first.wav", tmp_path / "second.wav"
    write_noise(first, 0.1)
    second.write_bytes(first.read_bytes())
    digest = audio_digest(first)
    assert audio_digest(second) == digest
    write_noise(first, 0.2)
    assert audio_digest(first) != digest


def test_stored_features_are_those_of_the_encoder(store, tracks):
    source = run(store, tracks)["tiny"]
    for track in tracks:
        with torch.inference_mode():
            direct = Tiny()(torch.from_numpy(load_audio(track.audio_path)[0])[None])[0]
        expected = direct.movedim(1, 0).half().numpy()
        assert source.length(track) == len(expected) == 14
        assert np.array_equal(whole(source, track), expected)


def test_windows_equal_the_whole(store, tracks):
    source = run(store, tracks)["tiny"]
    windows = [source.read(tracks[0], start, min(start + 4, 14)) for start in range(0, 14, 4)]
    assert np.array_equal(np.concatenate(windows), whole(source, tracks[0]))


def test_nothing_is_encoded_twice(store, tracks):
    encoder = Listening()
    run(store, tracks, encoder)
    run(store, tracks, encoder)
    assert encoder.asked == len(tracks)


def test_pooling_by_hand_counts_every_frame_in_segments_of_like_length():
    frames = np.arange(6, dtype=np.float32).reshape(6, 1, 1)
    assert pool(frames, rate=10.0, seconds=0.2).flatten().tolist() == [0.5, 2.5, 4.5]
    assert pool(frames[:5], rate=10.0, seconds=0.2).flatten().tolist() == [0.5, 3.0]
    assert pool(frames[:1], rate=10.0, seconds=0.2).flatten().tolist() == [0.0]


def test_pooled_features_come_from_stored_frames(store, tracks, tmp_path):
    encoder = Listening()
    run(store, tracks, encoder)
    derived = run(store, tracks, encoder, pooling=0.4)["tiny"]
    assert encoder.asked == len(tracks)
    direct = run(EmbeddingStore(tmp_path / "fresh"), tracks, encoder, pooling=0.4)["tiny"]
    assert encoder.asked == 2 * len(tracks)
    for track in tracks:
        assert derived.length(track) == 4
        np.testing.assert_allclose(whole(derived, track), whole(direct, track), rtol=2e-3)


@pytest.mark.parametrize("pooling", [None, 0.4, 0.25, 0.37])
def test_steps_times_rate_cover_the_audio(store, tracks, pooling):
    source = run(store, tracks, pooling=pooling)["tiny"]
    assert 1.33 <= source.length(tracks[0]) / source.rate < 1.33 + 1.1 / source.rate


def test_what_half_precision_cannot_hold_stays_in_single(store, tracks):
    sources = run(store, tracks, Tiny(), Huge())
    assert whole(sources["tiny"], tracks[0]).dtype == np.float16
    huge = whole(sources["huge"], tracks[0])
    assert huge.dtype == np.float32
    assert np.isfinite(huge).all()


@pytest.mark.parametrize("damage", ["flip", "truncate", "empty", "text"])
def test_a_damaged_entry_is_dropped_and_built_again(store, tracks, damage):
    source = run(store, tracks)["tiny"]
    expected = whole(source, tracks[0])
    path = source.paths[tracks[0].audio_path]
    content = bytearray(path.read_bytes())
    if damage == "flip":
        content[-5] ^= 1
    path.write_bytes(
        {"flip": content, "truncate": content[:-7], "empty": b"", "text": b"hello"}[damage]
    )
    assert not intact(path)
    assert not path.exists()
    encoder = Listening()
    assert np.array_equal(whole(run(store, tracks, encoder)["tiny"], tracks[0]), expected)
    assert encoder.asked == 1


def test_death_while_writing_leaves_no_entry(store, tracks, monkeypatch):
    write = Path.write_bytes

    def die_in_the_middle(path, content):
        write(path, content[: len(content) // 2])
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", die_in_the_middle)
        with pytest.raises(KeyboardInterrupt):
            run(store, tracks)
    assert not entries(store)
    run(store, tracks)
    assert len(entries(store)) == len(tracks)
    assert all(map(intact, entries(store)))


def test_death_before_the_entry_appears_leaves_none(store, tracks, monkeypatch):
    def die(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", die)
        with pytest.raises(KeyboardInterrupt):
            run(store, tracks)
    assert not entries(store)


@pytest.mark.parametrize(
    ("number", "words"), [(errno.ENOSPC, "the disk is full"), (errno.EACCES, "cannot be written")]
)
def test_a_failed_write_is_one_line_and_leaves_nothing(store, tracks, monkeypatch, number, words):
    def fail(*_):
        raise OSError(number, "no")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(WriteError, match=words) as caught:
        run(store, tracks)
    assert str(store.root) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not [path for path in store.root.rglob("*") if path.is_file()]


def test_a_store_below_a_file_cannot_be_written(tmp_path, tracks):
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(WriteError, match="cannot be written"):
        run(EmbeddingStore(file / "store"), tracks)


def test_two_processes_fill_one_store(store, tmp_path):
    tracks = [write_noise(tmp_path / f"{index}.wav", 0.5, seed=index) for index in range(20)]
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=fill, args=(store.root, tracks)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    files = [path for path in store.root.rglob("*") if path.is_file()]
    assert len(files) == len(tracks)
    assert all(map(intact, files))


def test_each_file_is_decoded_once_for_all_encoders(store, tracks, monkeypatch):
    decoded = []

    def load(path):
        decoded.append(path)
        return load_audio(path)

    monkeypatch.setattr(module, "load_audio", load)
    sources = run(store, tracks, Tiny(), Slow())
    assert decoded == [track.audio_path for track in tracks]
    assert [sources[name].length(tracks[0]) for name in ("tiny", "slow")] == [14, 7]


def test_features_that_are_no_numbers_name_encoder_and_track(store, tracks):
    with pytest.raises(StoreError, match=r"track 0: encoder broken: gave NaN") as caught:
        run(store, tracks[:1], Broken())
    assert "\n" not in str(caught.value)
    assert not entries(store)


def test_an_encoder_that_breaks_its_card_is_named(store, tracks):
    with pytest.raises(StoreError, match=r"encoder liar: gave \(2, 14, 6\), its card says \(2, fr"):
        run(store, tracks, Liar())


def test_a_broken_track_leaves_the_others(store, tracks):
    tracks[1].audio_path.write_bytes(b"no audio")
    with pytest.raises(StoreError, match=r"1 of 3 tracks failed") as caught:
        run(store, tracks)
    assert str(tracks[1].audio_path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(entries(store)) == 2


@pytest.mark.parametrize("seconds", [0.01, 1.0, 59.95, 60.0, 60.05, 119.99, 150.0])
def test_piece_by_piece_equals_whole(seconds):
    samples = round(seconds * RATE)
    waveform = np.random.default_rng(0).uniform(-0.5, 0.5, samples).astype(np.float32)
    with torch.inference_mode():
        expected = Tiny()(torch.from_numpy(waveform)[None])[0].movedim(1, 0)
    features = encode(Tiny(), waveform)
    assert len(features) == len(expected) == max(samples // HOP + 1, 1)
    np.testing.assert_allclose(features, expected, rtol=1e-4, atol=1e-4)


def test_a_source_says_how_its_steps_lie(store, tracks):
    source = StoredFeatures(card(), None, {})
    assert (source.rate, source.layers, source.width) == (10, 2, 6)
