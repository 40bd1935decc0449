"""Heads: what is trained on the features of a frozen encoder."""

import torch
from torch import Tensor, nn

HIDDEN = 512
DROPOUT = 0.2


class SeededDropout(nn.Module):
    """Dropout with a random stream of its own.

    A head that trains beside others then sees the same masks as one that trains alone. Elements are
    dropped by random bytes, so the probability is rounded to a 256th.
    """

    def __init__(self, probability: float, seed: int) -> None:
        super().__init__()
        self.threshold = round(probability * 256)
        self.seed = seed
        self._generator: torch.Generator | None = None

    def forward(self, inputs: Tensor) -> Tensor:
        """Zero elements of a tensor of any shape while training."""
        if not self.training:
            return inputs
        if self._generator is None or self._generator.device != inputs.device:
            self._generator = torch.Generator(inputs.device).manual_seed(self.seed)
        words = torch.empty(-(-inputs.numel() // 8), dtype=torch.int64, device=inputs.device)
        # Eight bytes are drawn at once; the sign bit is random as well.
        words.random_(-(2**63), None, generator=self._generator)
        keep = words.view(torch.uint8)[: inputs.numel()].view_as(inputs) >= self.threshold
        return inputs * keep * (256 / (256 - self.threshold))


class Head(nn.Module):
    """Softmax layer weights, then a linear map or one hidden layer.

    Args:
        layers: hidden layers of the encoder.
        width: features a layer.
        outputs: numbers to predict.
        hidden: True for one hidden layer of 512 with dropout 0.2, False for a linear map.
        seed: of initialisation and dropout.
    """

    def __init__(self, layers: int, width: int, outputs: int, hidden: bool, seed: int) -> None:
        super().__init__()
        self.layer_logits: Tensor
        if layers > 1:
            self.layer_logits = nn.Parameter(torch.zeros(layers))
        else:  # there is nothing to choose, and no gradient
            self.register_buffer("layer_logits", torch.zeros(layers))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.map: nn.Module = nn.Linear(width, HIDDEN if hidden else outputs)
            if hidden:
                dropout = SeededDropout(DROPOUT, seed)
                self.map = nn.Sequential(self.map, nn.ReLU(), dropout, nn.Linear(HIDDEN, outputs))

    @property
    def layer_weights(self) -> Tensor:
        """(layers,) weights of the layers, positive and summing to 1."""
        return self.layer_logits.softmax(dim=0)

    def forward(self, mixed: Tensor) -> Tensor:
        """Map standardised features (..., width), layers mixed, to outputs (..., outputs)."""
        outputs: Tensor = self.map(mixed)
        return outputs


def mix_layers(features: Tensor, weights: Tensor) -> Tensor:
    """Mix the layers of features (B, T, layers, width) by weights (heads, layers).

    One product for all heads reads the features once; (heads, B, T, width).
    """
    if features.shape[-2] == 1:
        return features.squeeze(-2).expand(len(weights), -1, -1, -1)
    mixed: Tensor = torch.tensordot(weights, features.movedim(-2, 0), dims=1)
    return mixed
