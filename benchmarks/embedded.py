"""A dataset with features that are encoded once and kept on disk."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from motionbeat.benchmarks.store import EmbeddingStore, StoredFeatures, extract, find_features
from motionbeat.cache import default_cache
from motionbeat.console import bar
from motionbeat.data_modules.base import (
    IN_MEMORY,
    SPLITS,
    Clips,
    DataModule,
    DatasetError,
    Loaders,
    Split,
    Track,
)
from motionbeat.encoder import Encoder
from motionbeat.encoding import find_encoder, halved, make_encoder
from motionbeat.features import resample_frames

LENGTH_SLACK = 0.5  # s


class Embedded(Loaders):
    """A dataset whose batches hold the features of a frozen encoder.

    ``prepare_data`` encodes what the store lacks. Stored features are those of the encoder's own
    frames, or of segments; ``frame_rate`` brings frames to another rate as they are read.

    Args:
        data: the dataset.
        encoder: a name that ``motionbeat list encoders`` shows, or an encoder.
        segment_seconds: seconds of frames averaged into one step, None for frames.
        frame_rate: Hz that frames are brought to, None for the encoder's own.
        stride_seconds: from one training clip to the next, None for ``clip_seconds``.
        cache: folder of the store; by default ``embeddings`` in ``MOTIONBEAT_CACHE`` or
            ``.cache/motionbeat``.
        loading: ``batch_size``, ``clip_seconds``, ``num_workers`` and ``shuffle_seed``; by default
            those of the dataset.
    """

    def __init__(
        self,
        data: DataModule,
        encoder: str | Encoder,
        *,
        segment_seconds: float | None = None,
        frame_rate: float | None = None,
        stride_seconds: float | None = None,
        cache: Path | None = None,
        **loading: Any,
    ) -> None:
        names = ("batch_size", "clip_seconds", "num_workers", "shuffle_seed")
        super().__init__(**{name: getattr(data, name) for name in names} | loading)
        self.data = data
        self.encoder = encoder
        self.card = find_encoder(encoder).card
        self.segment_seconds = segment_seconds
        self.target_rate = frame_rate
        self.stride_seconds = stride_seconds
        self.store = EmbeddingStore(cache or default_cache() / "embeddings")
        self._reader: FeatureReader | None = None

    def prepare_data(self) -> None:
        """Prepare the dataset, and encode what the store lacks."""
        self.data.prepare_data()
        self._open()

    def _open(self) -> "FeatureReader":
        """Reads the features of all tracks; what is missing is encoded, once."""
        if self._reader is None:
            self._reader = FeatureReader(self.features(), self.target_rate)
        return self._reader

    def features(self) -> StoredFeatures:
        """The stored features of all tracks; what is missing is encoded."""
        tracks = {t.audio_path: t for split in SPLITS for t in self.data.tracks(split)}
        return embed([self.encoder], list(tracks.values()), self.store, self.segment_seconds)[0]

    def tracks(self, split: Split) -> list[Track]:
        """The tracks of a split of the dataset."""
        return self.data.tracks(split)

    @property
    def eval_batch_size(self) -> int:
        """Whole tracks a batch: segments are few, frames are many."""
        return 1 if self.segment_seconds is None else self.batch_size

    def clips(self, tracks: Sequence[Track], whole: bool) -> Clips:
        """Clips of the features of some tracks, or whole tracks."""
        reader = self._open()
        rate = reader.frame_rate
        clip = max(1, round(self.clip_seconds * rate))
        stride = max(1, round((self.stride_seconds or self.clip_seconds) * rate))
        return Clips(
            tracks,
            [reader.length(track) for track in tracks],
            rate,
            reader,
            None if whole else clip,
            None if whole else stride,
        )


class FeatureReader:
    """Reads features of tracks at one rate; what was read is kept while there is room.

    Args:
        stored: the features.
        target_rate: Hz that frames are brought to, None for their own.
    """

    def __init__(self, stored: StoredFeatures, target_rate: float | None) -> None:
        self.stored = stored
        self.frame_rate = target_rate or stored.frame_rate
        self._read: dict[Path, Tensor] = {}
        self._room = IN_MEMORY

    def length(self, track: Track) -> int:
        """Steps of a track."""
        steps = self.stored.length(track)
        if self.frame_rate == self.stored.frame_rate:
            return steps
        return max(1, round(steps / self.stored.frame_rate * self.frame_rate))

    def __call__(self, track: Track, start: int, stop: int) -> Tensor:
        """Steps ``start`` to ``stop``, (stop - start, layers, width)."""
        if (known := self._read.get(track.audio_path)) is not None:
            return known[start:stop]
        resampled = self.frame_rate != self.stored.frame_rate
        if self._room <= 0 and not resampled:
            return torch.from_numpy(self.stored.read(track, start, stop))
        frames = self.stored.read(track)
        if resampled:
            wide = torch.from_numpy(frames.astype(np.float32))
            there = resample_frames(wide, self.stored.frame_rate, self.frame_rate)
            frames = halved(there.numpy())
        whole = torch.from_numpy(frames)
        if self._room > 0:
            self._read[track.audio_path] = whole
            self._room -= frames.nbytes
        return whole[start:stop]


def embed(
    encoders: Sequence[str | Encoder],
    tracks: Sequence[Track],
    store: EmbeddingStore,
    segment_seconds: float | None,
    keep_frames: bool = False,
) -> list[StoredFeatures]:
    """Features of tracks by several encoders; each file that lacks some is decoded once.

    Args:
        encoders: names, or encoders; one that lacks nothing is not made.
        tracks: the tracks.
        store: where features are kept.
        segment_seconds: seconds averaged into a step, None for frames.
        keep_frames: store frames as well as segments, for tasks that need frames.

    Raises:
        StoreError: some tracks failed; all others are stored.
        DatasetError: a track's audio is shorter than its dataset says.
    """
    cards = [find_encoder(encoder).card for encoder in encoders]
    found = [find_features(store, card, tracks, segment_seconds) for card in cards]
    lacking = [e for e, one in zip(encoders, found, strict=True) if one is None]
    made: Iterator[StoredFeatures] = iter(())
    if lacking:
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        instances = [make_encoder(encoder) for encoder in lacking]
        names = ", ".join(encoder.card.name for encoder in instances)
        with bar("tracks") as progress:
            shown = progress.add_task(f"embedding · {names}", total=len(tracks))
            made = iter(
                extract(
                    instances,
                    tracks,
                    store,
                    segment_seconds,
                    lambda _: progress.advance(shown),
                    device,
                    keep_frames,
                ).values()
            )
    features = [next(made) if one is None else one for one in found]
    for one in features:
        for track in tracks:
            check_length(track, one)
    return features


def check_length(track: Track, features: StoredFeatures) -> None:
    """Check that a track's audio was as long as its dataset says.

    Raises:
        DatasetError: its features are shorter by more than half a second and a step.
    """
    seconds = features.length(track) / features.frame_rate
    if track.duration > seconds + LENGTH_SLACK + 1 / features.frame_rate:
        raise DatasetError(
            f"{track.audio_path}: cut off after {seconds:.2f} s of {track.duration:.2f} s; "
            "restore the audio"
        )
