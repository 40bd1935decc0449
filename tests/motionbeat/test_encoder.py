"""Any module becomes an encoder by being wrapped."""

import copy
import math
import pickle

import numpy as np
import pytest
import torch
from torch import nn

from motionbeat.encoder import WrapError, wrap
from motionbeat.encoding import encode


class Strided(nn.Module):
    """A convolution with 100 frames a second at 8 kHz."""

    def __init__(self, gain=1.0):
        super().__init__()
        self.gain = gain
        self.convolution = nn.Conv1d(1, 4, 81, 80, padding=40)
        with torch.no_grad():
            for weights in self.parameters():
                weights.copy_(torch.linspace(-1, 1, weights.numel()).view_as(weights))

    def forward(self, waveform):
        return self.gain * self.convolution(waveform[:, None]).mT


class Layered(Strided):
    def forward(self, waveform):
        states = super().forward(waveform)
        return torch.stack([states, 2 * states], dim=1)


class Pair(Strided):
    def forward(self, waveform):
        return super().forward(waveform), None


def wrapped(module, **changes):
    return wrap(module, **({"sample_rate": 8000, "frame_rate": 100} | changes))


@pytest.mark.parametrize(("kind", "layers"), [(Strided, 1), (Layered, 2)])
def test_layers_and_width_are_found_by_running_the_module(kind, layers):
    encoder = wrapped(kind())
    card = encoder.card
    assert (card.name, card.layers, card.width, card.parameters) == (kind.__name__, layers, 4, 328)
    assert (card.sample_rate, card.frame_rate, encoder.context) == (8000, 100.0, 5.0)
    assert encoder(torch.rand(2, 16000)).shape == (2, layers, 200, 4)
    assert encode(encoder, np.zeros(16000, np.float32)).shape[1:] == (layers, 4)
    again = pickle.loads(pickle.dumps(encoder))
    assert again.card == encoder.card
    assert torch.equal(again(torch.ones(1, 800)), encoder(torch.ones(1, 800)))


def test_the_encoder_is_a_frozen_copy():
    module = Strided().train()
    encoder = wrapped(module)
    before = encoder(torch.ones(1, 800))
    with torch.no_grad():
        module.convolution.weight.zero_()
    assert torch.equal(encoder(torch.ones(1, 800)), before)
    assert module.training
    assert module.convolution.weight.requires_grad
    assert not any(weights.requires_grad for weights in encoder.parameters())
    assert not any(part.training for part in encoder.modules())


def test_the_revision_changes_with_weights_settings_and_code():
    def revision(module):
        return wrapped(module).card.revision

    changed = Strided()
    with torch.no_grad():
        changed.convolution.bias[0] += 1e-6
    modules = [Strided(), changed, Strided(gain=2.0), Layered()]
    assert len({revision(module) for module in modules}) == len(modules)
    assert revision(Strided()) == revision(Strided().train()) == revision(copy.deepcopy(Strided()))


def test_code_that_cannot_be_read_needs_a_revision():
    names = {"Strided": Strided}
    exec("class Hidden(Strided):\n    pass\n", names)
    with pytest.raises(WrapError, match="Hidden cannot be read; give wrap"):
        wrapped(names["Hidden"]())
    assert wrapped(names["Hidden"](), revision="7").card.revision == "7"


def test_facts_that_are_given_stand_on_the_card():
    facts = {"name": "mine", "licence": "MIT", "training_data": ("groovebox",)}
    encoder = wrapped(Strided(), context=math.inf, **facts)
    assert {name: getattr(encoder.card, name) for name in facts} == facts
    assert encoder.context == math.inf
    assert wrapped(Strided(), context=0.0).context == 0, "a frame that depends on nothing around it"


@pytest.mark.parametrize(
    ("module", "changes", "words"),
    [
        (Strided(), {"frame_rate": 50}, "gave 100 frames for one second of audio, not 50"),
        (Pair(), {}, "gave a tuple; give one tensor"),
        (nn.Identity(), {}, r"gave \(1, 8000\); give one tensor"),
        (Strided(gain=math.nan), {}, "NaN or infinite"),
    ],
)
def test_what_cannot_be_wrapped_is_refused(module, changes, words):
    with pytest.raises(WrapError, match=words):
        wrapped(module, **changes)
