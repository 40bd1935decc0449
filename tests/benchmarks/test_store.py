import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.toys import HOP, RATE, Listening, Tiny, card, write_noise

from motionbeat.audio import decode, load_audio
from motionbeat.benchmarks.extraction import embed
from motionbeat.benchmarks.store import (
    EmbeddingStore,
    FeatureReader,
    StoreError,
    file_digest,
    intact,
)
from motionbeat.encoding import EncodingError, encode


@pytest.fixture
def store(tmp_path):
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
    found = (path for path in store.root.rglob("*") if path.is_file())
    return sorted(path for path in found if path.name != "speed.json")


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


def test_an_entry_follows_from_the_bytes_the_revision_and_the_pooling(store, tracks, tmp_path):
    copy = write_noise(tmp_path / "copy.wav", 0.1).audio_path
    copy.write_bytes(tracks[0].audio_path.read_bytes())
    audio, other, same = map(file_digest, (*(one.audio_path for one in tracks[:2]), copy))
    assert audio == same
    places = [
        *((card(), audio, None), (card(), other, None), (card(revision="2"), audio, None)),
        *((card("other"), audio, None), (card(), audio, 0.5), (card(), audio, 1.0)),
    ]
    assert len({store.path(*place) for place in places}) == 6


def test_the_store_knows_how_fast_an_encoder_filled_it(store, tracks):
    assert math.isnan(store.speed(Tiny.card))
    run(store, tracks)
    seconds = store.speed(Tiny.card)
    assert seconds > 0
    run(store, tracks)
    assert store.speed(Tiny.card) == seconds, "nothing was encoded"
    assert math.isnan(store.speed(replace(Tiny.card, revision="2")))
    (store.root / "tiny" / "speed.json").write_text("[]")
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


def test_pooled_features_come_from_stored_frames(store, tracks, tmp_path):
    encoder = Listening()
    run(store, tracks, encoder)
    derived = run(store, tracks, encoder, pooling=0.4)["tiny"]
    assert encoder.asked == len(tracks)
    direct = run(EmbeddingStore(tmp_path / "fresh"), tracks, encoder, pooling=0.4)["tiny"]
    assert encoder.asked == 2 * len(tracks)
    for track in tracks:
        assert derived.length(track) == 4
        assert np.array_equal(derived(track), direct(track))


@pytest.mark.parametrize("pooling", [None, 0.4, 0.25, 0.37])
def test_steps_times_frame_rate_cover_the_audio(store, tracks, pooling):
    source = run(store, tracks, pooling=pooling)["tiny"]
    assert 1.33 <= source.length(tracks[0]) / source.frame_rate < 1.33 + 1.1 / source.frame_rate


def test_a_late_piece_that_half_precision_cannot_hold_turns_all_to_single(store):
    pieces = np.float32([[[0.1]], [[1e6]]])
    path = store.root / "late.safetensors"
    store.write(path, lambda: iter(np.split(pieces, 2)))
    track = write_noise(store.root / "late.wav", 0.1)
    assert np.array_equal(FeatureReader(card(), None, {track.audio_path: path})(track), pieces)
    assert intact(path)


def test_what_does_not_fit_into_memory_is_read_in_part(store, tracks, monkeypatch):
    whole = run(store, tracks)["tiny"]
    monkeypatch.setattr("motionbeat.benchmarks.store.IN_MEMORY", 0)
    assert torch.equal(run(store, tracks)["tiny"](tracks[0], 3, 9), whole(tracks[0])[3:9])


@pytest.mark.parametrize("damage", ["flip", "truncate", "empty", "text"])
def test_a_damaged_entry_is_dropped_and_built_again(store, tracks, damage):
    reader = run(store, tracks)["tiny"]
    before = reader(tracks[0])
    path = reader.paths[tracks[0].audio_path]
    content = bytearray(path.read_bytes())
    if damage == "flip":
        content[-5] ^= 1
    path.write_bytes(
        {"flip": content, "truncate": content[:-7], "empty": b"", "text": b"hello"}[damage]
    )
    assert not intact(path)
    assert not path.exists()
    encoder = Listening()
    assert torch.equal(run(store, tracks, encoder)["tiny"](tracks[0]), before)
    assert encoder.asked == 1


def test_death_leaves_no_entry(store):
    def pieces():
        yield np.ones((5, 1, 1), np.float32)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.write(store.root / "tiny" / "entry", pieces)
    assert not files(store)


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
    assert len(files(store)) == 2


@pytest.mark.parametrize("seconds", [0.01, 59.95, 60.0, 60.05, 150.0])
def test_piece_by_piece_equals_whole(seconds):
    samples = round(seconds * RATE)
    waveform = np.random.default_rng(0).uniform(-0.5, 0.5, samples).astype(np.float32)
    expected = Tiny()(torch.from_numpy(waveform)[None])[0].movedim(1, 0)
    features = encode(Tiny(), waveform)
    assert len(features) == len(expected) == max(samples // HOP + 1, 1)
    np.testing.assert_allclose(features, expected, rtol=1e-4, atol=1e-4)
