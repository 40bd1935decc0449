"""Datasets that mirdata knows: its loaders, its indices and its links (Bittner et al. 2019)."""

from collections.abc import Sequence
from functools import cached_property
from importlib import import_module
from typing import Any, ClassVar

from motionbeat.data_modules.download import Remote
from motionbeat.data_modules.published import Published


class MirData(Published):
    """A dataset that mirdata has a loader for; mirdata's index of it lies in the dataset's folder.

    A subclass makes its rows of :attr:`loaded`. Attributes:
        loader: name of mirdata's module.
        parts: which of mirdata's links to fetch, None for all of them.
    """

    loader: ClassVar[str]
    parts: ClassVar[tuple[str, ...] | None] = None

    @classmethod
    def remotes(cls) -> Sequence[Remote]:
        """The links and checksums of mirdata, and its index."""
        module, index = cls._module()
        remotes = module.REMOTES or {}
        names = cls.parts if cls.parts is not None else index.partial_download or tuple(remotes)
        links = [remotes[name] for name in names]
        return [
            Remote(
                (link.url,),
                f"md5:{link.checksum}",
                link.filename,
                link.destination_dir or "",
                tuple(link.unpack_directories or ()),
            )
            for link in links
        ] + (
            [Remote((index.remote.url,), f"md5:{index.remote.checksum}", index.filename)]
            if index.remote
            else []
        )

    @cached_property
    def loaded(self) -> dict[str, Any]:
        """The tracks of mirdata by id, in the order of its index.

        Raises:
            DatasetError: the index is missing or broken.
        """
        module, index = self._module()
        dataset = module.Dataset(data_home=str(self.folder))
        dataset.index_path = str(self.folder / index.filename)
        try:
            tracks: dict[str, Any] = dataset.load_tracks()
        except FileNotFoundError as error:
            raise self.error(
                f"{self.folder / index.filename} is missing; "
                f"run: motionbeat data get {self.card.name}"
            ) from error
        except (ValueError, KeyError, OSError) as error:
            raise self.error(f"{self.folder / index.filename} is unreadable ({error})") from error
        self.checksums: dict[str, str] = {
            id: f"md5:{files['audio'][1]}"
            for id, files in dataset._index["tracks"].items()
            if files.get("audio") and files["audio"][1]
        }
        return tracks

    @classmethod
    def _module(cls) -> tuple[Any, Any]:
        module = import_module(f"mirdata.datasets.{cls.loader}")
        return module, module.INDEXES[module.INDEXES["default"]]
