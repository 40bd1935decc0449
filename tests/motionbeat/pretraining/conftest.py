import pytest
from tests.dancing import write_pair

from motionbeat.pretraining.pairs import features


@pytest.fixture(scope="package")
def pairs(tmp_path_factory):
    """Four pairs of 8 s at 120 BPM; a test must not change them."""
    folder = tmp_path_factory.mktemp("pairs")
    return [write_pair(folder, f"pair{seed}", 120.0, seed=seed) for seed in range(4)]


@pytest.fixture(scope="package")
def cache(tmp_path_factory):
    """Features of the pairs."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="package")
def found(pairs, cache):
    return [features(pair, 0, cache) for pair in pairs]
