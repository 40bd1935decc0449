"""The probe: softmax layer weights, then a linear map or one hidden layer."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

HIDDEN = 512
DROPOUT = 0.2


class Member(NamedTuple):
    """One of the probes that train side by side: its seed and its learning rate."""

    seed: int
    learning_rate: float


class SeededDropout(nn.Module):
    """Dropout with a random stream of its own.

    A probe that trains beside others then sees the same masks as one that trains alone.
    """

    def __init__(self, probability: float, seed: int) -> None:
        super().__init__()
        self.probability = probability
        self.seed = seed
        self._generator: torch.Generator | None = None

    def forward(self, inputs: Tensor) -> Tensor:
        """Zero elements of a tensor of any shape while training."""
        if not self.training:
            return inputs
        if self._generator is None or self._generator.device != inputs.device:
            self._generator = torch.Generator(inputs.device).manual_seed(self.seed)
        keep = torch.empty_like(inputs).bernoulli_(1 - self.probability, generator=self._generator)
        return inputs * keep / (1 - self.probability)


class Probe(nn.Module):
    """What is trained on frozen features.

    Args:
        layers: hidden layers of the encoder.
        width: features a layer.
        outputs: numbers to predict.
        hidden: True for one hidden layer of 512 with dropout 0.2, False for a linear map.
        seed: of initialisation and dropout.
    """

    def __init__(self, layers: int, width: int, outputs: int, hidden: bool, seed: int) -> None:
        super().__init__()
        self.layer_logits = nn.Parameter(torch.zeros(layers))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.head: nn.Module = (
                nn.Sequential(
                    nn.Linear(width, HIDDEN),
                    nn.ReLU(),
                    SeededDropout(DROPOUT, seed),
                    nn.Linear(HIDDEN, outputs),
                )
                if hidden
                else nn.Linear(width, outputs)
            )

    @property
    def layer_weights(self) -> Tensor:
        """(layers,) weights of the layers, positive and summing to 1."""
        return self.layer_logits.softmax(dim=0)

    def forward(self, mixed: Tensor) -> Tensor:
        """Map standardised features (..., width), layers mixed, to outputs (..., outputs)."""
        outputs: Tensor = self.head(mixed)
        return outputs
