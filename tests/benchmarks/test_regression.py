import numpy as np
import pytest
import torch
from tests.conftest import shorten

from motionbeat.benchmarks import regression
from motionbeat.benchmarks.cli import ENCODERS, split
from motionbeat.benchmarks.encoders.pretrained.musicnn import Musicnn
from motionbeat.benchmarks.encoders.random import RandomNetwork
from motionbeat.benchmarks.registry import ENCODERS as KNOWN
from motionbeat.benchmarks.regression import (
    NUMBERS,
    Fingerprint,
    RegressionError,
    compare_seeds,
    tolerance,
)
from motionbeat.tasks.beat_tracking import BeatTracking


class Shuffled(RandomNetwork):
    """Layers in another order."""

    def forward(self, waveform):
        return super().forward(waveform)[:, [1, 0, 2, 3, 4, 5, 6]]


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


def permuted(encoder):
    weight = encoder.banks[0].weight
    weight.copy_(weight.flip(1))
    return encoder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("regression")


@pytest.fixture(autouse=True, scope="module")
def small_set():
    """Click tracks and a short training in place of the fixed set."""
    with pytest.MonkeyPatch.context() as patch:
        shorten(patch, max_steps=60, check_every=30)
        patch.setattr(regression, "FIXED_SET", "tests.clicks:Clicks")
        patch.setattr(regression, "FIXED_OPTIONS", {})
        patch.setattr(regression, "LEARNING_RATE", 0.01)
        patch.setattr(regression, "UPDATE_SEEDS", 4)
        patch.setattr(regression, "GATE_SEEDS", 2)
        yield


@pytest.fixture(scope="module")
def numbers(folder, small_set):
    path = folder / "numbers.json"
    regression.update(["random", Musicnn()], folder, path)
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
    table = regression.gate([RandomNetwork(), Musicnn()], folder, numbers)
    features, weights = 3, RandomNetwork.card.layers
    assert table.row_count == 2 * (features + len(BeatTracking.headline)) + weights


def test_shuffled_layers_fail(failure):
    said = failure(Shuffled())
    assert "random: layer" in said
    assert "change the revision" in said


def test_slightly_perturbed_weights_fail(failure):
    assert "mean expected" in failure(perturbed(RandomNetwork(), 0.02))
    assert "mean expected" in failure(perturbed(Musicnn(), 0.02))


def test_permuted_filters_fail(failure):
    said = failure(permuted(Musicnn()))
    assert "std expected" in said
    assert "musicnn: layer 0 timing" in said


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
        regression.update([perturbed(RandomNetwork(), 0.02)], folder, numbers)
    assert numbers.read_bytes() == before


def test_a_new_revision_needs_new_numbers(numbers):
    committed = regression.read(numbers)
    ours = committed.encoders["random"].model_copy(update={"revision": "next"})
    measured = committed.model_copy(update={"encoders": {"random": ours}})
    regression.check_revisions(committed, measured)
    with pytest.raises(RegressionError, match=r"of revision next; run: .*--update"):
        regression.compare(committed, measured)


def test_numbers_of_another_set_are_not_compared(numbers):
    committed = regression.read(numbers)
    measured = committed.model_copy(update={"dataset_revision": "next"})
    with pytest.raises(RegressionError, match=r"another dataset revision.*--update"):
        regression.compare(committed, measured)


def test_another_number_of_layers_fails():
    one = Fingerprint(mean=((0.0,),), std=((1.0,),), timing=(0.0,))
    two = Fingerprint(mean=((0.0,),) * 2, std=((1.0,),) * 2, timing=(0.0,) * 2)
    with pytest.raises(RegressionError, match="changed from"):
        regression.compare_features("x", one, two)


@pytest.mark.parametrize(
    ("shift", "passed"), [(0.0, True), (-0.99, True), (-1.01, False), (2.0, True)]
)
def test_only_a_drop_beyond_the_tolerance_fails(shift, passed):
    committed = (0.70, 0.72, 0.71, 0.69)
    mean = np.mean(committed) + shift * tolerance(committed, 3)
    check = compare_seeds("x", "f", committed, (mean - 0.01, mean, mean + 0.01))
    assert check.passed == passed


def test_new_seeds_of_the_same_encoder_hardly_ever_fail():
    draws = np.random.default_rng(0).normal(0.5, 0.05, size=(4000, 15))
    failed = [row[12:].mean() < row[:12].mean() - tolerance(row[:12], 3) for row in draws]
    assert np.mean(failed) < 0.003


def test_a_layer_weight_may_not_grow_either():
    weights = (0.70, 0.72, 0.71, 0.69)
    assert compare_seeds("x", "layer 0 weight", weights, weights, more_is_better=False).passed
    assert not compare_seeds("x", "layer 0 weight", weights, [0.9], more_is_better=False).passed


def test_scores_without_spread_keep_a_tolerance():
    assert tolerance((0.5, 0.5, 0.5), 3) > regression.STD_FLOOR


@pytest.mark.parametrize("content", [None, "", "{", '{"encoders": {}}'])
def test_missing_or_damaged_numbers_are_one_line(tmp_path, content):
    path = tmp_path / "numbers.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(RegressionError) as caught:
        regression.gate([RandomNetwork()], tmp_path, path)
    assert str(caught.value).startswith(f"{path}: no valid numbers")
    assert "--update" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_committed_numbers_are_those_of_the_shipped_encoders():
    committed = regression.read(NUMBERS)
    assert {name: one.revision for name, one in committed.encoders.items()} == {
        name: KNOWN.get(name).card.revision for name in split(ENCODERS)
    }
    assert committed.task_version == BeatTracking.version
