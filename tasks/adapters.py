"""Fine-tuning of encoders together with the head: all weights, or low-rank adapters."""

from typing import Literal

import torch
from torch import nn

from motionbeat.encoder import Encoder
from motionbeat.errors import MotionBeatError

EncoderMode = Literal["frozen", "lora", "full"]

RANK = 8


class FineTuningError(MotionBeatError):
    """An encoder that cannot be fine-tuned."""


def adaptable(encoder: nn.Module) -> list[str]:
    """Names of the layers that get adapters: attention, linear and pointwise layers."""
    inside_attention = nn.modules.linear.NonDynamicallyQuantizableLinear
    return [
        name
        for name, module in encoder.named_modules()
        if (isinstance(module, nn.Conv1d) and module.kernel_size == (1,))
        or (
            isinstance(module, nn.Linear | nn.MultiheadAttention)
            and not isinstance(module, inside_attention)
        )
    ]


def unfreeze(encoder: Encoder, mode: EncoderMode, seed: int = 0) -> Encoder:
    """Make an encoder trainable: all weights, or only low-rank adapters of rank 8.

    Adapters: Hu et al., "LoRA: low-rank adaptation of large language models", 2021. Batch
    normalisation and dropout stay in evaluation mode.

    Args:
        encoder: the encoder; it is modified in place.
        mode: ``full`` for all weights, ``lora`` for adapters.
        seed: seed of the adapters' initialisation.

    Returns:
        The same encoder.

    Raises:
        FineTuningError: the encoder has no weights or no layer that adapters fit, or peft is not
            installed.
    """
    name = encoder.card.name
    if not list(encoder.parameters()):
        raise FineTuningError(f"encoder '{name}' has no weights to fine-tune; leave --mode out")
    encoder.float().eval().requires_grad_(mode == "full")
    if mode == "lora":
        targets = adaptable(encoder)
        if not targets:
            raise FineTuningError(f"encoder '{name}' has no layer that LoRA fits; use --mode full")
        try:
            from peft import LoraConfig, inject_adapter_in_model
        except ImportError as error:
            raise FineTuningError(
                "low-rank adapters need peft; run: pip install 'motionbeat[finetune]'"
            ) from error
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            inject_adapter_in_model(LoraConfig(r=RANK, target_modules=targets), encoder)
    for module in encoder.modules():
        if isinstance(module, nn.RNNBase):
            module.train()  # cuDNN computes no gradients otherwise
    return encoder
