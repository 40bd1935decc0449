"""Extraction: what encoders lack of tracks is computed once and stored."""

import math
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import partial
from pathlib import Path

import numpy as np
import torch

from motionbeat.audio import AudioError, Channels, Waveform, load_audio, resample
from motionbeat.benchmarks.store import (
    LENGTH_SLACK,
    EmbeddingStore,
    FeatureReader,
    StoreError,
    file_digest,
)
from motionbeat.console import bar
from motionbeat.data_modules.base import DatasetError, Track
from motionbeat.encoder import Encoder
from motionbeat.encoding import TrackError, encode_pieces, find_encoder, halved, make_encoder
from motionbeat.threads import computing_threads

LOOK_AHEAD = 2  # files decoded while the encoders are busy

Loaded = tuple[str, dict[tuple[int, Channels], Waveform]]
"""Digest of an audio file, and its waveform by sample rate and channels."""


def embed(
    encoders: Sequence[str | Encoder],
    tracks: Sequence[Track],
    store: EmbeddingStore,
    pooling: float | None = None,
    keep_frames: bool = False,
) -> list[FeatureReader]:
    """Features of tracks by several encoders; each file that lacks some is decoded once.

    Args:
        encoders: names, or encoders; one that lacks nothing is not made.
        tracks: the tracks.
        store: where features are kept.
        pooling: seconds averaged into a step, None for frames.
        keep_frames: store frames as well as what is pooled of them, for tasks that need frames.

    Raises:
        StoreError: some tracks failed, and all others are stored.
        EncodingError: an encoder breaks its contract.
        WriteError: the store cannot be written.
        DatasetError: a track's audio is shorter than its dataset says.
    """
    cards = [find_encoder(encoder).card for encoder in encoders]
    paths: list[dict[Path, Path]] = [{} for _ in cards]
    for card, found in zip(cards, paths, strict=True):
        for audio in {track.audio_path for track in tracks if track.audio_path.is_file()}:
            if (entry := store.find(card, file_digest(audio), pooling)) is not None:
                found[audio] = entry
    missing = [track for track in tracks if any(track.audio_path not in one for one in paths)]
    if missing:
        lacking = [
            (make_encoder(encoder), found)
            for encoder, found in zip(encoders, paths, strict=True)
            if any(track.audio_path not in found for track in missing)
        ]
        _extract(lacking, missing, len(tracks), store, pooling, keep_frames)
    readers = [FeatureReader(card, pooling, one) for card, one in zip(cards, paths, strict=True)]
    for reader in readers:
        for track in tracks:
            seconds = reader.length(track) / reader.frame_rate
            if track.duration > seconds + LENGTH_SLACK + 1 / reader.frame_rate:
                raise DatasetError(
                    f"{track.audio_path}: cut off after {seconds:.2f} s of {track.duration:.2f} s; "
                    "restore the audio"
                )
    return readers


def _extract(
    lacking: Sequence[tuple[Encoder, dict[Path, Path]]],
    tracks: Sequence[Track],
    total: int,
    store: EmbeddingStore,
    pooling: float | None,
    keep_frames: bool,
) -> None:
    """Encode what encoders lack of tracks, and add it to their entries by audio file.

    On a processor, encoders work side by side and share its threads: two threads that compute one
    operator together wait for each other a good part of the time.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    failures: list[str] = []
    spent = {encoder.card.name: [0.0, 0.0] for encoder, _ in lacking}  # s, and hours of audio

    def load(track: Track) -> Loaded:
        audio = track.audio_path
        cards = [encoder.card for encoder, found in lacking if audio not in found]
        loaded: dict[Channels, tuple[Waveform, int]] = {
            channels: load_audio(audio, channels) for channels in {card.channels for card in cards}
        }
        return file_digest(audio), {
            (rate, channels): resample(*loaded[channels], rate).T
            for rate, channels in {(card.sample_rate, card.channels) for card in cards}
        }

    def encode(
        track: Track, loaded: Loaded, encoder: Encoder, found: dict[Path, Path], own: bool
    ) -> None:
        started = time.perf_counter()
        card, (digest, waveforms) = encoder.card, loaded
        waveform = waveforms[card.sample_rate, card.channels]
        if math.isinf(encoder.context) and not own:
            waveform = waveform.copy()  # it is given the array, and may overwrite it
        pieces = partial(encode_pieces, encoder, waveform, device)
        path = store.path(card, digest, pooling)
        if pooling is None:
            store.write(path, pieces)
        else:
            frames = np.concatenate([halved(piece) for piece in pieces()])
            if keep_frames:
                store.write(store.path(card, digest, None), partial(iter, [frames]))
            store.write_pooled(path, frames, card, pooling)
        found[track.audio_path] = path
        spent[card.name][0] += time.perf_counter() - started
        spent[card.name][1] += waveform.shape[-1] / card.sample_rate / 3600

    for encoder, _ in lacking:
        encoder.to(device)
    threads = torch.get_num_threads()
    beside = min(len(lacking), threads) if device == "cpu" else 1
    with (
        bar("tracks") as progress,
        computing_threads(threads // beside),
        ThreadPoolExecutor(beside) as pool,
    ):
        label = f"embedding · {', '.join(encoder.card.name for encoder, _ in lacking)}"
        shown = progress.add_task(label, total=total, completed=total - len(tracks))
        for track, loaded in _prefetch(load, tracks):
            try:
                todo = [pair for pair in lacking if track.audio_path not in pair[1]]
                given = track, loaded.result()
                done = [pool.submit(encode, *given, *pair, own=len(todo) == 1) for pair in todo]
                wait(done)  # an encoder is never asked for two tracks at once
                for one in done:
                    one.result()
            except (AudioError, TrackError) as error:
                failures.append(f"track {track.id}: {error}")
            progress.advance(shown)
    for encoder, _ in lacking:
        encoder.cpu()
        seconds, hours = spent[encoder.card.name]
        if hours:
            store.note_speed(encoder.card, seconds / hours)
    if failures:
        raise StoreError(
            f"{len(failures)} of {total} tracks failed, the others are stored: "
            + "; ".join(failures[:3])
            + ("; ..." if len(failures) > 3 else "")
        )


def _prefetch(
    load: Callable[[Track], Loaded], tracks: Sequence[Track]
) -> Iterator[tuple[Track, Future[Loaded]]]:
    """Load tracks in a thread, a few tracks ahead of whoever iterates."""
    with ThreadPoolExecutor(1) as thread:
        waiting: deque[tuple[Track, Future[Loaded]]] = deque()
        for track in tracks:
            waiting.append((track, thread.submit(load, track)))
            if len(waiting) > LOOK_AHEAD:
                yield waiting.popleft()
        yield from waiting
