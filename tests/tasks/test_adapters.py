import pytest
import torch
from tests.toys import Learner, Stiff, Tiny

from motionbeat.benchmarks.encoders.motionbeat import MotionBeatRandom
from motionbeat.tasks.adapters import FineTuningError, adaptable, unfreeze
from motionbeat.tasks.genre import GenreClassification

KINDS = (Learner, MotionBeatRandom)


def noise(kind):
    return torch.rand(1, 3 * kind.card.sample_rate, generator=torch.manual_seed(0)) - 0.5


@pytest.mark.parametrize("kind", KINDS)
def test_adapters_change_nothing_at_first(kind):
    with torch.no_grad():
        expected = kind().eval()(noise(kind))
        torch.testing.assert_close(unfreeze(kind(), "lora")(noise(kind)), expected)


def test_adapters_fit_attention_linear_and_pointwise_layers():
    assert set(adaptable(Learner())) == {"linear", "attention", "pointwise"}
    names = {name for name, _ in unfreeze(Learner(), "lora").named_parameters() if "lora_" in name}
    for layer in ("linear", "attention", "attention.base_layer.out_proj", "pointwise"):
        assert f"{layer}.lora_A.default.weight" in names, names


@pytest.mark.parametrize("kind", KINDS)
def test_adapters_alone_get_gradients(kind):
    encoder = unfreeze(kind(), "lora")
    encoder(noise(kind)).square().sum().backward()
    given = {name for name, weight in encoder.named_parameters() if weight.grad is not None}
    assert given
    assert all("lora_" in name for name in given)


@pytest.mark.parametrize(
    ("kind", "mode", "words"),
    [
        (Tiny, "full", "encoder 'tiny' has no weights to fine-tune"),
        (Stiff, "lora", "encoder 'stiff' has no layer that LoRA fits"),
    ],
)
def test_what_cannot_be_tuned_is_one_clear_error(kind, mode, words):
    with pytest.raises(FineTuningError, match=words):
        unfreeze(kind(), mode)


def test_the_encoder_is_slower_than_the_head(tones):
    task = GenreClassification("tests.toys:Learner", learning_rate=0.01, encoder_mode="full")
    task.prepare(tones.tracks("train"))
    head, encoder = task.configure_optimizers().param_groups
    assert (head["lr"], encoder["lr"]) == (0.01, pytest.approx(0.0003))
    assert len(encoder["params"]) == len(list(Learner().parameters()))
    assert len(head["params"]) + len(encoder["params"]) == len(list(task.parameters()))
