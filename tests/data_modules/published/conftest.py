import pytest
from tests import lookalikes

from motionbeat.benchmarks.registry import DATASETS


@pytest.fixture
def made(tmp_path, monkeypatch):
    """Makes datasets by name, of tiny copies below ``tmp_path/data``."""

    def make(name, **options):
        lookalikes.place(name, tmp_path, monkeypatch)
        return DATASETS.get(name)(cache=tmp_path / "cache", data=tmp_path / "data", **options)

    return make
