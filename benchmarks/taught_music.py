"""Segments of music with features of teachers, for distillation."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning import LightningDataModule
from numpy.typing import NDArray
from sklearn.cluster import MiniBatchKMeans
from torch.utils.data import DataLoader, Dataset

from motionbeat.audio import load_audio, resample
from motionbeat.benchmarks.digests import file_digest
from motionbeat.benchmarks.evaluator import Folders
from motionbeat.benchmarks.extraction import embed
from motionbeat.benchmarks.store import store_of
from motionbeat.cache import default_cache, digest
from motionbeat.console import bar
from motionbeat.data_modules.base import DatasetError, Split, Track
from motionbeat.devices import has_gpu
from motionbeat.encoding import find_encoder
from motionbeat.files import replacing
from motionbeat.pretraining.distillation import BalancedSampler, Segments
from motionbeat.processes import side_by_side
from motionbeat.spectrum import AUDIO_FRAME_RATE, BANDS, HOP, SAMPLE_RATE, LogMelSpectrum

SECONDS = 10.0
"""Length of a segment."""

_FRAMES = round(SECONDS * AUDIO_FRAME_RATE)
_FORMAT = 1  # changes whenever the spectra of the same track change

Floats = NDArray[np.floating[Any]]


class SegmentDataset(Dataset[Segments]):
    """Whole batches of segments by their numbers."""

    def __init__(self, spectra: Sequence[Floats], targets: dict[str, Floats]) -> None:
        self.spectra, self.targets = spectra, targets

    def __getitem__(self, numbers: Sequence[int]) -> Segments:
        """The segments with some numbers."""
        log_mel = np.stack([self.spectra[number] for number in numbers]).astype(np.float32)
        targets = {name: torch.from_numpy(one[numbers]) for name, one in self.targets.items()}
        return Segments(torch.from_numpy(log_mel), targets)


class TaughtMusic(LightningDataModule):
    """Segments of the music of any datasets, with the mean features of teachers.

    Args:
        datasets: options of each dataset, by its name; train splits are used for training,
            validation splits select the checkpoint.
        teachers: names of encoders.
        batch_size: segments per step.
        steps_per_epoch: batches per epoch; each epoch ends with a validation and a checkpoint.
        clusters: number of clusters of the teachers' features; all are drawn equally often.
        cache: folder for generated data, features and spectra; by default ``MOTIONBEAT_CACHE`` or
            ``.cache/motionbeat``.
        data: folder with datasets that you put in place; by default ``MOTIONBEAT_DATA``.
        num_workers: processes that load.
        seed: of the batches and the clusters.
    """

    def __init__(
        self,
        datasets: dict[str, dict[str, Any]],
        teachers: list[str],
        batch_size: int = 32,
        steps_per_epoch: int = 100,
        clusters: int = 50,
        cache: Path | None = None,
        data: Path | None = None,
        num_workers: int = 0,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.cache = cache or default_cache()
        self.teachers, self.num_workers = teachers, num_workers
        self.batch_size, self.steps, self.clusters, self.seed = (
            batch_size, steps_per_epoch, clusters, seed,
        )  # fmt: skip
        folders = Folders(self.cache, data=data)
        self.datasets = [folders.datamodule(name, one) for name, one in datasets.items()]

    @property
    def widths(self) -> dict[str, int]:
        """Features of each teacher."""
        cards = [find_encoder(name).card for name in self.teachers]
        return {card.name: card.layers * card.width for card in cards}

    def prepare_data(self) -> None:
        """Fetch or generate the datasets; compute what is missing of spectra and features."""
        for dataset in self.datasets:
            dataset.prepare_data()
        for split in ("train", "validation"):
            self._features(self.tracks(split))
            lacking = [one for one in self.tracks(split) if not self._spectrum_path(one).is_file()]
            with bar("tracks") as progress:
                shown = progress.add_task("spectra", total=len(lacking))
                parts = [lacking[start : start + 20] for start in range(0, len(lacking), 20)]
                for count in side_by_side([_Spectra(part, self) for part in parts]):
                    progress.advance(shown, count)

    def tracks(self, split: Split) -> list[Track]:
        """The tracks of a split that have a whole segment.

        Raises:
            DatasetError: there are none.
        """
        tracks = [track for one in self.datasets for track in one.tracks(split)]
        found = [track for track in tracks if track.duration >= SECONDS]
        if not found:
            raise DatasetError(f"no track of the {split} splits has {SECONDS:g} s; choose others")
        return found

    def setup(self, stage: str) -> None:
        """Read the features and find their clusters."""
        self.split = {
            split: SegmentDataset(*self._read(self.tracks(split)))
            for split in ("train", "validation")
        }
        train = self.split["train"].targets
        scale = {name: (one.mean(axis=0), one.std(axis=0) + 1e-6) for name, one in train.items()}
        for dataset in self.split.values():
            for name, one in dataset.targets.items():
                mean, deviation = scale[name]
                dataset.targets[name] = ((one - mean) / deviation).astype(np.float32)
        self.cluster = MiniBatchKMeans(
            min(self.clusters, len(self.split["train"].spectra)), n_init=3, random_state=self.seed
        ).fit_predict(np.concatenate(list(train.values()), axis=1))

    def train_dataloader(self) -> DataLoader[Any]:
        """Batches drawn from all clusters alike."""
        sampler = BalancedSampler(self.cluster, self.batch_size, self.steps, self.seed)
        if self.trainer:  # loader processes draw before Lightning sets the epoch
            sampler.set_epoch(self.trainer.current_epoch)
        return self._loader("train", sampler)

    def val_dataloader(self) -> DataLoader[Any]:
        """All validation segments in order."""
        numbers = range(len(self.split["validation"].spectra))
        size = self.batch_size
        batches: Any = [numbers[start : start + size] for start in range(0, len(numbers), size)]
        return self._loader("validation", batches)

    def _loader(self, split: str, batches: Any) -> DataLoader[Any]:
        return DataLoader(
            self.split[split],
            batch_size=None,  # the sampler draws whole batches
            sampler=batches,
            num_workers=self.num_workers,
            pin_memory=has_gpu(),
            generator=torch.Generator(),  # not the global one, which gains are drawn from
        )

    def _features(self, tracks: Sequence[Track]) -> Any:
        return embed(self.teachers, tracks, store_of(self.cache), SECONDS)

    def _read(self, tracks: Sequence[Track]) -> tuple[list[Floats], dict[str, Floats]]:
        """Spectra of all segments, and the features of each teacher."""
        readers = self._features(tracks)
        spectra: list[Floats] = []
        rows: dict[str, list[Floats]] = {name: [] for name in self.widths}
        for track in tracks:
            whole = np.load(self._spectrum_path(track), mmap_mode="r")
            own = [reader(track).flatten(1).float().numpy() for reader in readers]
            count = min(int(track.duration / SECONDS), *map(len, own), len(whole) // _FRAMES)
            spectra += [whole[index * _FRAMES : (index + 1) * _FRAMES] for index in range(count)]
            for name, one in zip(rows, own, strict=True):
                rows[name].append(one[:count])
        return spectra, {name: np.concatenate(own) for name, own in rows.items()}

    def _spectrum_path(self, track: Track) -> Path:
        key = digest(format=_FORMAT, audio=file_digest(track.audio_path))
        return self.cache / "spectra" / f"{key}.npy"


class _Spectra:
    """Computes the spectra of some tracks in another process."""

    def __init__(self, tracks: Sequence[Track], data: TaughtMusic) -> None:
        self.work = [(track.audio_path, data._spectrum_path(track)) for track in tracks]

    def __call__(self) -> int:
        spectrum = LogMelSpectrum(SAMPLE_RATE, HOP, BANDS)
        for audio, path in self.work:
            waveform = torch.from_numpy(resample(*load_audio(audio), SAMPLE_RATE))
            with replacing(path) as unfinished, unfinished.open("wb") as file:
                np.save(file, spectrum(waveform[None])[0].half().numpy())
        return len(self.work)
