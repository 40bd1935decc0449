from itertools import chain

import numpy as np
import pytest
import torch

from motionbeat.pretraining.distillation import (
    BalancedSampler,
    Distillation,
    Segments,
    augmented,
)
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
        assert training.losses(given)["loss"].item() == pytest.approx(
            torch.stack(expected).mean().item(), rel=1e-5
        )
        assert training.losses(given._replace(targets=said))["loss"].item() < 1e-6


def test_the_sound_stream_learns_and_the_towers_stay():
    training = Distillation({"one": 3, "other": 5}, "tiny")
    training.log_dict = lambda *_, **__: None
    training.training_step(batch(), 0).backward()
    moved = {name for name, one in training.named_parameters() if one.grad is not None}
    assert all(name.startswith(("model.sound.", "heads.")) for name in moved)
    assert any(name.startswith("model.sound.layers.0") for name in moved)


def test_what_the_student_hears_is_a_window_of_the_music_and_its_target_mixed_alike():
    """Without gains, each segment is its own amplitudes and another's, but for silenced bands."""
    torch.manual_seed(3)
    given, lengths, mixed, silenced = batch(8), set(), 0, 0
    amplitude = torch.expm1(given.log_mel)
    for _ in range(30):
        heard = augmented(given, gain=0.0)
        length = heard.log_mel.shape[1]
        lengths.add(length)
        found = torch.expm1(heard.log_mel)
        for row in range(8):
            one, other = given.targets["one"][row], given.targets["one"][row - 1]
            share = float(
                (heard.targets["one"][row] - one) @ (other - one) / (other - one).square().sum()
            )
            assert 0 <= round(share, 5) <= 0.5
            mixed += share > 1e-5
            kept = (found[row] > 0).any(dim=0)
            silenced += int((~kept).sum())
            whole = amplitude[row].lerp(amplitude[row - 1], share)[:, kept]
            windows = whole.unfold(0, length, 1).mT  # (starts, length, bands)
            assert (windows - found[row][:, kept]).abs().amax((1, 2)).min() < 1e-4
    assert min(lengths) >= 0.4 * 64
    assert len(lengths) > 10
    assert 0.3 * 240 < mixed < 0.7 * 240
    assert 0 < silenced / 240 < 12
