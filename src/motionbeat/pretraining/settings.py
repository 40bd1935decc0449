"""What can be chosen about a pretraining; the defaults are those of the shipped weights."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Architecture:
    """What is trained.

    Attributes:
        size: tiny, small or base.
        rotate: False leaves phase rotation out, for comparison.
        guide: False leaves contact guidance out, for comparison.
    """

    size: str = "small"
    rotate: bool = True
    guide: bool = True


@dataclass(frozen=True)
class Training:
    """How it is trained.

    Attributes:
        epochs: how often the training is validated and its state kept.
        steps: optimiser steps an epoch.
        batch_size: clips a step, a multiple of 4.
        seconds: shortest and longest clip.
        variants: features of each pair; the first is the pair as it is, the others are augmented.
        captured: augmented dances, and those to validate on, turn, swing out and are seen as
            captured ones are.
        start: weights to begin with, shipped ones or a file; None for random ones.
        locked: the audio tower keeps the weights it starts with.
        learning_rate: the highest.
        weight_decay: of AdamW.
        warm_up: share of the steps over which the learning rate rises.
        gradient_clip: largest norm of the gradient.
        seed: of initialisation, batches and dropout.
        precision: of Lightning's trainer, for example bf16-mixed.
        accelerator: of Lightning's trainer.
        devices: of Lightning's trainer.
        strategy: of Lightning's trainer, for example ddp.
        workers: processes that load, render and augment.
    """

    epochs: int = 26
    steps: int = 100
    batch_size: int = 32
    seconds: tuple[float, float] = (5.0, 12.0)
    variants: int = 3
    captured: bool = False
    start: str | None = None
    locked: bool = False
    learning_rate: float = 1e-3
    weight_decay: float = 0.05
    warm_up: float = 0.05
    gradient_clip: float = 1.0
    seed: int = 0
    precision: str = "32-true"
    accelerator: str = "auto"
    devices: int | str = "auto"
    strategy: str = "auto"
    workers: int = 1


@dataclass(frozen=True)
class Objective:
    """What the loss is made of; a weight of 0 or a False leaves a part out, for comparison.

    Attributes:
        tempo_negatives: motions of similar tempo and other bar phase are negatives.
        jitter_negatives: the pair's own motion shifted by a beat is a negative.
        beat: weight of soft-DTW over beats.
        bar: weight of the transport of accents in the bar.
        anchor: weight of the measured onsets and contacts.
        gamma: smoothing of soft-DTW in squared pulses.
    """

    tempo_negatives: bool = True
    jitter_negatives: bool = True
    beat: float = 10.0
    bar: float = 5.0
    anchor: float = 1.0
    gamma: float = 0.01
