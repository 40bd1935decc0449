import pytest
from tests import lookalikes

from motionbeat.benchmarks.registry import DATASETS

OF = {name: module for module in lookalikes.MODULES.values() for name in module.COUNTS}


@pytest.fixture
def made(tmp_path, monkeypatch):
    """Makes datasets by name, of tiny copies below ``tmp_path/data``."""

    def make(name, **options):
        if not (tmp_path / "data" / OF[name].HOME).is_dir():
            lookalikes.place(OF[name], tmp_path, monkeypatch)
        return DATASETS.get(name)(cache=tmp_path / "cache", data=tmp_path / "data", **options)

    return make
