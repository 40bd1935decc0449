from itertools import chain

import numpy as np
import pytest
import torch

from motionbeat.pretraining.distillation import BalancedSampler, Distillation, Segments
from motionbeat.spectrum import BANDS


def batch(count=4):
    rng = torch.Generator().manual_seed(0)
    targets = {"one": torch.randn(count, 3, generator=rng), "other": torch.randn(count, 5)}
    return Segments(torch.rand(count, 64, BANDS, generator=rng), targets)


def test_rare_clusters_are_drawn_as_often_as_common_ones():
    cluster = np.repeat([0, 2, 5], [90, 9, 1])
    drawn = cluster[list(chain(*BalancedSampler(cluster, 30, 100, seed=0)))]
    assert np.bincount(drawn)[[0, 2, 5]] == pytest.approx(np.full(3, 1000), rel=0.1)


def test_the_draws_follow_from_the_seed_and_the_epoch():
    def draws(seed, epoch):
        sampler = BalancedSampler(np.arange(8) % 2, 4, 3, seed)
        sampler.set_epoch(epoch)
        return list(sampler)

    assert draws(0, 1) == draws(0, 1)
    assert draws(0, 1) != draws(0, 0) != draws(1, 0)


def test_the_loss_by_hand():
    """Teachers count alike; a perfect student has none."""
    training = Distillation({"one": 3, "other": 5}, "tiny").eval()
    training.log_dict = lambda *_, **__: None
    given = batch()
    with torch.no_grad():
        heard = training.model.sound(given.log_mel).mean(dim=1)
        said = {name: head(heard) for name, head in training.heads.items()}
        expected = []
        for name, target in given.targets.items():
            cosine = (said[name] * target).sum(1) / said[name].norm(dim=1) / target.norm(dim=1)
            apart = (said[name] - target).abs()
            smooth = torch.where(apart < 1, apart**2 / 2, apart - 0.5)
            expected.append(1 - cosine.mean() + smooth.mean() / 2)
        assert training._loss(given, "val").item() == pytest.approx(
            torch.stack(expected).mean().item(), rel=1e-5
        )
        assert training._loss(given._replace(targets=said), "val").item() < 1e-6


def test_the_sound_stream_learns_and_the_towers_stay():
    training = Distillation({"one": 3, "other": 5}, "tiny")
    training.log_dict = lambda *_, **__: None
    training.training_step(batch(), 0).backward()
    moved = {name for name, one in training.named_parameters() if one.grad is not None}
    assert all(name.startswith(("model.sound.", "heads.")) for name in moved)
    assert any(name.startswith("model.sound.layers.0") for name in moved)
