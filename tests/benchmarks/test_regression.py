import numpy as np
import pytest
import torch
from tests.conftest import shorten

from motionbeat.benchmarks import regression
from motionbeat.benchmarks.cli import ENCODERS, split
from motionbeat.benchmarks.encoders.pretrained.musicnn import Musicnn
from motionbeat.benchmarks.encoders.random import RandomNetwork
from motionbeat.benchmarks.registry import ENCODERS as KNOWN
from motionbeat.benchmarks.regression import NUMBERS, Check, RegressionError, tolerance
from motionbeat.tasks.beat_tracking import BeatTracking


class Late(Musicnn):
    """One frame too late."""

    def forward(self, waveform):
        return super().forward(waveform).roll(1, dims=2)


class Deaf(Musicnn):
    """Noise in place of features."""

    def forward(self, waveform):
        generator = torch.Generator().manual_seed(0)
        return torch.randn(super().forward(waveform).shape, generator=generator)


def perturbed(encoder, share):
    generator = torch.Generator().manual_seed(0)
    for weights in encoder.parameters():
        noise = torch.randn(weights.shape, generator=generator)
        weights += share * weights.abs().mean() * noise
    return encoder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("regression")


@pytest.fixture(autouse=True, scope="module")
def small_set():
    """Click tracks and a short training in place of the fixed set."""
    with pytest.MonkeyPatch.context() as patch:
        shorten(patch, max_steps=60, check_every=30)
        small = {"FIXED_SET": "tests.clicks:Clicks", "FIXED_OPTIONS": {}, "LEARNING_RATE": 0.01}
        for name, value in (small | {"UPDATE_SEEDS": 4, "GATE_SEEDS": 2}).items():
            patch.setattr(regression, name, value)
        yield


@pytest.fixture(scope="module")
def numbers(folder, small_set):
    path = folder / "numbers.json"
    regression.write_numbers(["random", Musicnn()], folder, path)
    return path


@pytest.fixture
def failure(folder, numbers):
    """What the gate says of an encoder it must stop."""

    def failed(encoder):
        with pytest.raises(RegressionError) as caught:
            regression.gate([encoder], folder, numbers)
        return str(caught.value)

    return failed


def test_unspoiled_encoders_pass(folder, numbers):
    checks = regression.gate([RandomNetwork(), Musicnn()], folder, numbers)
    assert len(checks) == 2 * (3 + len(BeatTracking.headline))


def test_slightly_perturbed_weights_fail(failure):
    assert "mean expected" in failure(perturbed(RandomNetwork(), 0.02))
    assert "mean expected" in failure(perturbed(Musicnn(), 0.02))


def test_frames_shifted_by_one_fail_by_timing_alone(failure):
    lines = failure(Late()).splitlines()
    assert [line for line in lines if "layer 0" in line] == [lines[1]]
    assert "timing" in lines[1]


def test_features_that_hear_nothing_fail_by_score_and_every_number_has_its_line(failure):
    first, *violated, remedy = failure(Deaf()).splitlines()
    assert first.startswith(f"{len(violated)} of ")
    assert all(" within " in line and ", got " in line for line in violated)
    assert any("musicnn: beat_f_measure expected" in line for line in violated)
    assert "motionbeat regression --update" in remedy


def test_an_update_refuses_new_features_of_an_old_revision(folder, numbers):
    before = numbers.read_bytes()
    with pytest.raises(RegressionError, match="change the revision on its card"):
        regression.write_numbers([perturbed(RandomNetwork(), 0.02)], folder, numbers)
    assert numbers.read_bytes() == before


def test_what_has_no_committed_numbers_is_not_compared(numbers):
    committed = regression.read(numbers)
    ours = committed["encoders"]["random"] | {"revision": "next"}
    with pytest.raises(RegressionError, match=r"of revision next; run: .*--update"):
        regression.compare(committed, committed | {"encoders": {"random": ours}})
    with pytest.raises(RegressionError, match=r"another dataset revision.*--update"):
        regression.compare(committed, committed | {"dataset_revision": "next"})


@pytest.mark.parametrize(
    ("change", "one_sided", "passed"),
    [(-0.09, True, True), (-0.11, True, False), (0.5, True, True), (0.11, False, False)],
)
def test_only_a_drop_of_a_score_fails_and_any_change_of_features(change, one_sided, passed):
    assert Check("x", "f", 0.7, 0.1, 0.7 + change, one_sided).passed == passed


def test_new_seeds_of_the_same_encoder_hardly_ever_fail():
    draws = np.random.default_rng(0).normal(0.5, 0.05, size=(4000, 15))
    failed = [row[12:].mean() < row[:12].mean() - tolerance(row[:12], 3) for row in draws]
    assert np.mean(failed) < 0.003


@pytest.mark.parametrize("content", [None, "{"])
def test_missing_or_damaged_numbers_are_one_line(tmp_path, content):
    path = tmp_path / "numbers.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(RegressionError, match=r"numbers.json: no valid numbers .*--update"):
        regression.gate([RandomNetwork()], tmp_path, path)


def test_committed_numbers_are_those_of_the_shipped_encoders():
    committed = regression.read(NUMBERS)
    assert {name: one["revision"] for name, one in committed["encoders"].items()} == {
        name: KNOWN.get(name).card.revision for name in split(ENCODERS)
    }
    assert committed["task_version"] == BeatTracking.version
