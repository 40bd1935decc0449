"""Datasets that mirdata knows: its loaders, its indices and its links (Bittner et al. 2019)."""

from collections.abc import Sequence
from functools import cached_property
from importlib import import_module
from os.path import relpath
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from motionbeat.data_modules.base import Annotation, Beats, Split, Tempo
from motionbeat.data_modules.published.collection import Published, Row
from motionbeat.data_modules.published.download import Remote


class MirData(Published):
    """A dataset that mirdata has a loader for; mirdata's index of it lies in the dataset's folder.

    A subclass makes its rows of :attr:`loaded`.
    """

    loader: ClassVar[str] = ""
    """Name of mirdata's module, where it is not the dataset's."""
    parts: ClassVar[tuple[str, ...] | None] = None
    """Which of mirdata's links to fetch, None for all of them."""
    any_copy: ClassVar[bool] = False
    """Whether other recordings than those of the index's checksums are accepted."""

    @classmethod
    def remotes(cls) -> Sequence[Remote]:
        """The links and checksums of mirdata, its index and the links of the class."""
        module, index = cls._module()
        links = module.REMOTES or {}
        names = cls.parts if cls.parts is not None else index.partial_download or links
        found = [links[name] for name in names]
        remotes = [
            Remote(
                (link.url,),
                f"md5:{link.checksum}",
                link.filename,
                link.destination_dir or "",
                tuple(link.unpack_directories or ()),
            )
            for link in found
        ]
        if index.remote:
            remote = index.remote
            remotes.append(Remote((remote.url,), f"md5:{remote.checksum}", index.filename))
        return [*remotes, *cls.links]

    @cached_property
    def loaded(self) -> dict[str, Any]:
        """The tracks of mirdata by id, in the order of its index."""
        module, index = self._module()
        dataset = module.Dataset(data_home=str(self.folder))
        dataset.index_path = str(self.folder / index.filename)
        if not Path(dataset.index_path).is_file():
            raise self.error(
                f"{dataset.index_path} is missing; run: motionbeat data get {self.card.name}"
            )
        with self.reading(dataset.index_path):
            tracks: dict[str, Any] = dataset.load_tracks()
        self.checksums: dict[str, str] = {
            id: f"md5:{files['audio'][1]}"
            for id, files in dataset._index["tracks"].items()
            if files.get("audio") and files["audio"][1]
        }
        return tracks

    def row(
        self, split: Split, id: str, group: str, *annotations: Annotation, audio: str | None = None
    ) -> Row:
        """The row of a track of mirdata's index, whose audio may have another path there."""
        if id not in self.loaded:
            raise self.error(f"mirdata's index does not list track {id}")
        checksum = None if self.any_copy else self.checksums.get(id)
        return Row(split, id, audio or self.audio(id), group, annotations, checksum)

    def audio(self, id: str) -> str:
        """Path of a track's audio below the dataset's folder, as the index has it."""
        return relpath(self.loaded[id].audio_path, self.folder)

    def known(self, id: str, what: str) -> Any:
        """What mirdata knows of a track, by the name of its attribute."""
        with self.reading(f"the {what} of track {id}"):
            found = getattr(self.loaded[id], what)
        if found is None:
            raise self.error(f"track {id} has no {what}")
        return found

    def beats(self, id: str) -> Beats:
        """The beats of a track; bars are unknown where its file does not tell them."""
        found = self.known(id, "beats")
        positions = found.positions
        with self.reading(f"the beats of track {id}"):
            return Beats(found.times, None if positions is None else positions.astype(np.int64))

    def tempo(self, id: str) -> Tempo:
        """The tempo of a track, the first number of its file."""
        # mirdata's own reader of GTZAN fails with numpy 2.4.
        path = Path(self.loaded[id].tempo_path)
        with self.reading(path):
            bpm = float(path.read_text().split()[0])
        if not bpm > 0:
            raise self.error(f"track {id} has the tempo {bpm}")
        return Tempo(bpm)

    @classmethod
    def _module(cls) -> tuple[Any, Any]:
        module = import_module(f"mirdata.datasets.{cls.loader or cls.card.name}")
        return module, module.INDEXES[module.INDEXES["default"]]
