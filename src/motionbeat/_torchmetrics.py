"""torchmetrics, which Lightning imports, without what makes that slow."""

import importlib
import importlib.metadata
from unittest import mock


def import_torchmetrics() -> None:
    """Import torchmetrics as if transformers were not installed.

    Its text metrics would import them, which takes two seconds and serves nothing here. For
    processes of our own alone: in others somebody may want these metrics.
    """
    distribution = importlib.metadata.distribution

    def other(name: str) -> importlib.metadata.Distribution:
        if name == "transformers":
            raise importlib.metadata.PackageNotFoundError(name)
        return distribution(name)

    with mock.patch("importlib.metadata.distribution", other):
        importlib.import_module("torchmetrics")
