"""Registries of encoders, datasets and tasks, which find classes by name.

A registry imports all modules of a package and registers the classes that define a name. The base
classes of datasets and tasks are imported on use, so that listing encoders stays fast.
"""

import difflib
import hashlib
import importlib
import importlib.util
import inspect
import pkgutil
import sys
import zlib
from collections.abc import Hashable, Iterable
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

import cloudpickle

from motionbeat import data_modules, tasks
from motionbeat.benchmarks import encoders as shipped_encoders
from motionbeat.benchmarks.variants import parted, variant
from motionbeat.encoder import Encoder
from motionbeat.errors import MotionBeatError

if TYPE_CHECKING:
    from motionbeat.data_modules.base import DataModule
    from motionbeat.tasks.task import Task

T = TypeVar("T")


class UnknownNameError(MotionBeatError):
    """An unknown name; the message suggests similar ones."""


class UnavailableError(MotionBeatError):
    """Encoders that cannot be used here; the message says what each lacks."""


class Registry(Generic[T]):
    """The classes of one kind by name.

    Args:
        kind: "encoder", "dataset" or "task", for messages.
        base: base class as ``package.module:Class``; a subclass is registered if it defines its
            own ``name`` or ``card``.
        package: package whose modules are searched.
    """

    def __init__(self, kind: str, base: str, package: ModuleType) -> None:
        self.kind = kind
        self.package = package
        self._base = base
        self.loaded: dict[str, type[T]] = {}

    @cached_property
    def base(self) -> Any:
        """The base class."""
        module, _, name = self._base.partition(":")
        return getattr(importlib.import_module(module), name)

    @cached_property
    def classes(self) -> dict[str, type[T]]:
        """All classes of the package by name."""
        modules = [
            importlib.import_module(module.name)
            for module in pkgutil.walk_packages(self.package.__path__, f"{self.package.__name__}.")
        ]
        return {
            name: found
            for module in modules
            for found in vars(module).values()
            if (name := self._name(found)) is not None
        }

    def get(self, name: str) -> type[T]:
        """The class with a name, or given as ``package.module:Class`` or ``file.py:Class``.

        A dataset may also be a CSV file of audio and labels. An encoder may be a variant, such as
        ``NAME[4,8]`` (:mod:`motionbeat.benchmarks.variants`).

        Packages are also searched in the current folder. Once loaded, a class is registered under
        its name. A digest of its file is appended to the revision on its card, so that results of
        an earlier version of the file are not reused.

        Raises:
            UnknownNameError: there is no such class; the message suggests similar names, or the
                classes in the file.
            VariantError: the encoder has no such variant.
        """
        whole, parts = parted(name)
        if parts and self is ENCODERS:
            return cast(type[T], variant(cast(Hashable, ENCODERS.get(whole)), parts))
        if name.endswith(".csv") and self is DATASETS:
            own = importlib.import_module("motionbeat.data_modules.published.labels_file")
            return self._add(name, own.dataset_of(Path(name)))
        if ":" in name or name.endswith(".py"):
            return self.loaded.get(name) or self._load(name)
        if name not in self.classes:
            near = difflib.get_close_matches(name, self.classes, n=3, cutoff=0.5)
            offer = f"did you mean {' or '.join(near)}?" if near else "no known name is near"
            raise UnknownNameError(
                f"unknown {self.kind} '{name}': {offer} (known: {', '.join(sorted(self.classes))})"
            )
        return self.classes[name]

    def _name(self, found: object) -> str | None:
        if not (inspect.isclass(found) and issubclass(found, self.base)):
            return None
        own = vars(found)
        name = own["card"].name if "card" in own else own.get("name")
        return name if isinstance(name, str) else None

    def _load(self, path: str) -> type[T]:
        location, _, attribute = path.rpartition(":") if ":" in path else (path, "", "")
        try:
            module = _import(location)
        except Exception as error:  # the file is its author's, and anything may go wrong in it
            raise UnknownNameError(f"{self.kind} '{path}' cannot be loaded: {error}") from error
        found: Any = getattr(module, attribute, None) if attribute else None
        if found is None:
            own = [
                f"{location}:{name}"
                for name, one in vars(module).items()
                if self._name(one) is not None and one.__module__ == module.__name__
            ]
            offer = f"write {' or '.join(own)}" if own else self._remedy
            raise UnknownNameError(f"{self.kind} '{path}' names no class; {offer}")
        if self._name(found) is None:
            raise UnknownNameError(
                f"{self.kind} '{path}' is not a subclass of {self.base.__name__}; {self._remedy}"
            )
        self._add(path, found)
        if "card" in vars(found) and "+" not in found.card.revision:
            digest = hashlib.sha256(Path(inspect.getfile(found)).read_bytes()).hexdigest()
            found.card = replace(found.card, revision=f"{found.card.revision}+{digest[:8]}")
        return self.loaded[path]

    def _add(self, path: str, found: Any) -> type[T]:
        """Register a class by its name, unless a shipped class has that name."""
        name = self._name(found)
        assert name is not None
        shipped = self.classes.get(name, found)
        if shipped is not found and shipped.__module__.startswith(self.package.__name__):
            raise UnknownNameError(
                f"{self.kind} '{path}' is called '{name}', a name that is taken; rename it"
            )
        self.classes[name] = self.loaded[path] = found
        return self.loaded[path]

    @property
    def _remedy(self) -> str:
        return f"name a subclass of {self.base.__name__} that defines a card or a name"


def _import(location: str) -> ModuleType:
    """Import what is given as a file or as the name of a module."""
    if location.endswith(".py"):
        # A name of its own: the file may be called like a module of another.
        own = f"motionbeat_file_{zlib.crc32(location.encode())}"
        spec = importlib.util.spec_from_file_location(own, location)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        spec.loader.exec_module(module)
    else:
        if "" not in sys.path:
            sys.path.append("")
        module = importlib.import_module(location)
    # A process beside this one cannot import a file by name, and the classes of a package
    # would lack there what is written into their cards here.
    cloudpickle.register_pickle_by_value(module)
    return module


def check_available(encoders: Iterable[type[Encoder] | Encoder]) -> None:
    """Check that encoders can be used here; instances are not checked.

    Raises:
        UnavailableError: a package or weights are missing; the message says what each lacks.
    """
    kinds = [kind for kind in encoders if isinstance(kind, type)]
    lacking = [f"{kind.card.name}: {why}" for kind in kinds if (why := kind.unavailable())]
    if lacking:
        raise UnavailableError(f"encoder {'; encoder '.join(lacking)}")


def make(encoders: Iterable[type[Encoder]]) -> list[Encoder]:
    """Make one encoder of each class, or none if one of them is unavailable.

    Raises:
        UnavailableError: a package or weights are missing.
    """
    encoders = list(encoders)
    check_available(encoders)
    return [kind() for kind in encoders]


ENCODERS: Registry[Encoder] = Registry("encoder", "motionbeat.encoder:Encoder", shipped_encoders)
DATASETS: "Registry[DataModule]" = Registry(
    "dataset", "motionbeat.data_modules.base:DataModule", data_modules
)
TASKS: "Registry[Task]" = Registry("task", "motionbeat.tasks.task:Task", tasks)
