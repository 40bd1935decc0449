"""A dataset with features that are computed once and stored on disk."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from motionbeat.benchmarks.extraction import embed
from motionbeat.benchmarks.store import EmbeddingStore, FeatureReader, address_of
from motionbeat.cache import default_cache
from motionbeat.data_modules.base import SPLITS, Clips, DataModule, Loaders, Split, Track
from motionbeat.encoder import Encoder
from motionbeat.encoding import find_encoder


class Embedded(Loaders):
    """A dataset whose batches hold the features of a frozen encoder.

    ``prepare_data`` encodes the tracks that are not in the store. The store holds the encoder's
    frames, or averages over segments. Frames are resampled to ``frame_rate`` when they are read.

    Args:
        data: the dataset.
        encoder: a name that ``motionbeat list encoders`` shows, or an encoder.
        segment_seconds: length in seconds of the segments that are averaged into one step; None
            for frames.
        frame_rate: frame rate in Hz to which frames are resampled; None for that of the encoder.
        stride_seconds: distance of successive training clips in seconds; None for
            ``clip_seconds``.
        cache: folder or address of the store; by default ``MOTIONBEAT_EMBEDDINGS``, or
            ``embeddings`` in ``MOTIONBEAT_CACHE`` or ``.cache/motionbeat``.
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
        cache: Path | str | None = None,
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
        self.store = EmbeddingStore(cache or address_of(default_cache()))

    def prepare_data(self) -> None:
        """Prepare the dataset, and encode the tracks that are not in the store."""
        self.data.prepare_data()
        assert self.reader

    @cached_property
    def reader(self) -> FeatureReader:
        """Reader of the features of all tracks; missing ones are encoded first."""
        tracks = {t.audio_path: t for split in SPLITS for t in self.data.tracks(split)}
        [reader] = embed([self.encoder], list(tracks.values()), self.store, self.segment_seconds)
        reader.frame_rate = self.target_rate or reader.frame_rate
        return reader

    def tracks(self, split: Split) -> list[Track]:
        """The tracks of a split of the dataset."""
        return self.data.tracks(split)

    @property
    def eval_batch_size(self) -> int:
        """Whole tracks per batch: 1 for frames, ``batch_size`` for segments."""
        return 1 if self.segment_seconds is None else self.batch_size

    def clips(self, tracks: Sequence[Track], whole: bool) -> Clips:
        """Clips of the features of tracks, or whole tracks."""
        rate = self.reader.frame_rate
        clip = max(1, round(self.clip_seconds * rate))
        stride = max(1, round((self.stride_seconds or self.clip_seconds) * rate))
        lengths = [self.reader.length(track) for track in tracks]
        cut = (None, None) if whole else (clip, stride)
        return Clips(tracks, lengths, rate, self.reader, *cut)
