"""Heads: the modules that are trained on the features of a frozen encoder."""

import torch
from torch import Tensor, nn

HIDDEN = 512
DROPOUT = 0.2


class SeededDropout(nn.Module):
    """Dropout with its own random generator.

    A head that is trained together with others then gets the same masks as one that is trained
    alone. The masks are drawn as random bytes, so the probability is rounded to a multiple of
    1/256.
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
    """Softmax weights for the layers, then a linear map or one hidden layer.

    Args:
        layers: number of layers of the encoder.
        width: features per layer.
        outputs: number of outputs.
        hidden: True for one hidden layer of 512 units with dropout 0.2, False for a linear map.
        seed: seed of initialisation and dropout.
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
        """Map standardised features (..., width), with mixed layers, to outputs (..., outputs)."""
        outputs: Tensor = self.map(mixed)
        return outputs


def mix_layers(features: Tensor, weights: Tensor) -> Tensor:
    """Mix the layers of features by the weights of several heads, reading the features once.

    Args:
        features: (B, T, layers, width).
        weights: (heads, layers).

    Returns:
        (heads, B, T, width).
    """
    if features.shape[-2] == 1:
        return features.squeeze(-2).expand(len(weights), -1, -1, -1)
    mixed: Tensor = torch.tensordot(weights, features.movedim(-2, 0), dims=1)
    return mixed
