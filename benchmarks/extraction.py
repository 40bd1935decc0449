"""Extraction: what encoders lack of tracks is computed once and stored."""

import math
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack

import numpy as np
import torch

from motionbeat.audio import AudioError, Channels, Waveform, load_audio, resample
from motionbeat.benchmarks.shards import rounded
from motionbeat.benchmarks.store import (
    LENGTH_SLACK,
    Embeddings,
    EmbeddingStore,
    FeatureReader,
    StoreError,
    Writer,
    file_digest,
)
from motionbeat.console import bar
from motionbeat.data_modules.base import DatasetError, Track
from motionbeat.encoder import Encoder
from motionbeat.encoding import Features, TrackError, encode_pieces, find_encoder, make_encoder
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
    stored = [store.embeddings(card, pooling) for card in cards]
    files = {track.audio_path for track in tracks if track.audio_path.is_file()}
    audios = {path: file_digest(path) for path in files}
    for embeddings in stored:
        embeddings.pool(audios.values())
    once = {audios.get(track.audio_path, track.audio_path): track for track in tracks}
    missing = [track for audio, track in once.items() if any(audio not in one for one in stored)]
    if missing:
        lacking = [
            (make_encoder(encoder), embeddings)
            for encoder, embeddings in zip(encoders, stored, strict=True)
            if any(audios.get(track.audio_path) not in embeddings for track in missing)
        ]
        _extract(lacking, missing, len(tracks), store, pooling, keep_frames)
    readers = [FeatureReader(embeddings, audios) for embeddings in stored]
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
    lacking: Sequence[tuple[Encoder, Embeddings]],
    tracks: Sequence[Track],
    total: int,
    store: EmbeddingStore,
    pooling: float | None,
    keep_frames: bool,
) -> None:
    """Encode what encoders lack of tracks, and add it to their embeddings.

    On a processor, encoders work side by side and share its threads: two threads that compute one
    operator together wait for each other a good part of the time.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    failures: list[str] = []
    spent = {encoder.card.name: [0.0, 0.0] for encoder, _ in lacking}  # s, and hours of audio

    def load(track: Track) -> Loaded:
        audio = track.audio_path
        digest = file_digest(audio)
        cards = [encoder.card for encoder, embeddings in lacking if digest not in embeddings]
        loaded: dict[Channels, tuple[Waveform, int]] = {
            channels: load_audio(audio, channels) for channels in {card.channels for card in cards}
        }
        return digest, {
            (rate, channels): resample(*loaded[channels], rate).T
            for rate, channels in {(card.sample_rate, card.channels) for card in cards}
        }

    def encode(loaded: Loaded, encoder: Encoder, embeddings: Embeddings, own: bool) -> None:
        started = time.perf_counter()
        card, (digest, waveforms) = encoder.card, loaded
        waveform = waveforms[card.sample_rate, card.channels]
        if math.isinf(encoder.context) and not own:
            waveform = waveform.copy()  # it is given the array, and may overwrite it
        pieces = encode_pieces(encoder, waveform, device)
        if pooling is None:
            writers[card.name, None].write(digest, pieces)
        else:
            frames: list[Features] = []
            seen = noted(pieces, frames, card.eight_bits)
            if keep_frames:
                writers[card.name, None].write(digest, seen)
            else:
                deque(seen, maxlen=0)
            averages = embeddings.averaged(np.concatenate(frames))
            writers[card.name, pooling].write(digest, [averages])
        spent[card.name][0] += time.perf_counter() - started
        spent[card.name][1] += waveform.shape[-1] / card.sample_rate / 3600

    for encoder, _ in lacking:
        encoder.to(device)
    threads = torch.get_num_threads()
    beside = min(len(lacking), threads) if device == "cpu" else 1
    with (
        bar("tracks") as progress,
        computing_threads(threads // beside),
        ExitStack() as stack,
        ThreadPoolExecutor(beside) as pool,
    ):
        writers: dict[tuple[str, float | None], Writer] = {}
        for encoder, embeddings in lacking:
            kinds = (
                [embeddings] if pooling is None else [embeddings, store.embeddings(encoder.card)]
            )
            for one in kinds if keep_frames else kinds[:1]:
                writers[encoder.card.name, one.pooling] = stack.enter_context(one.writer())
        label = f"embedding · {', '.join(encoder.card.name for encoder, _ in lacking)}"
        shown = progress.add_task(label, total=total, completed=total - len(tracks))
        for track, loaded in _prefetch(load, tracks):
            try:
                given = loaded.result()
                todo = [pair for pair in lacking if given[0] not in pair[1]]
                done = [pool.submit(encode, given, *pair, own=len(todo) == 1) for pair in todo]
                wait(done)  # an encoder is never asked for two tracks at once
                for encoded in done:
                    encoded.result()
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


def noted(
    pieces: Iterable[Features], frames: list[Features], eight_bits: bool
) -> Iterator[Features]:
    """Pieces as they come; what would be read of them in the end is noted in ``frames``."""
    for piece in pieces:
        frames.append(rounded(piece, eight_bits))
        yield piece


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
