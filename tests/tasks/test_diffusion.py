"""The diffusion decoder: its schedule, its sampling of any length, its network."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from motionbeat.tasks import diffusion
from motionbeat.tasks.diffusion import (
    GUIDANCE,
    SAMPLING_STEPS,
    TIMESTEPS,
    Denoiser,
    add_noise,
    alpha_bar,
    continue_rows,
    sample,
)

WIDTH, CONDITION, WINDOW = 5, 7, 24


class Stub(nn.Module):
    """Says at each row what a function makes of the row's condition."""

    def __init__(self, guess, null=0.0):
        super().__init__()
        self.guess = guess
        self.null_condition = torch.full((CONDITION,), null)
        self.asked = []

    def forward(self, noisy, times, condition):
        self.asked.append((noisy.shape, times, condition))
        return self.guess(noisy, condition)


def columns(noisy, condition):
    return condition[..., :WIDTH]


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def denoiser(monkeypatch):
    """A network with few channels, so that tests are quick."""
    for name, value in (("CHANNELS", 32), ("LAYERS", 1), ("HEADS", 2)):
        monkeypatch.setattr(diffusion, name, value)
    torch.manual_seed(0)
    return Denoiser(WIDTH, CONDITION).eval()


def test_the_signal_goes_from_all_to_nothing():
    share = alpha_bar(torch.arange(TIMESTEPS))
    assert (share.diff() <= 0).all()
    assert share[0] > 0.9999
    assert 0 < share[-1] < 1e-4
    assert share[TIMESTEPS // 2] == pytest.approx(0.5, abs=0.02)


def test_noise_keeps_the_variance():
    clean, noise = normal(2000, 3, WIDTH), normal(2000, 3, WIDTH, seed=1)
    first, middle, last = (
        add_noise(clean, torch.full((2000,), time), noise) for time in (0, 300, TIMESTEPS - 1)
    )
    assert middle.std().item() == pytest.approx(1, abs=0.02)
    torch.testing.assert_close(first, clean, atol=0.05, rtol=0)
    torch.testing.assert_close(last, noise, atol=0.05, rtol=0)


@pytest.mark.parametrize("total", [1, WINDOW // 2, WINDOW, WINDOW + 1, 10 * WINDOW + 5])
def test_what_is_known_at_each_row_is_sampled_at_each_row(total):
    """Guidance goes beyond what the condition says, and time runs from noise to the clean."""
    condition, noise = normal(total, CONDITION), normal(total, WIDTH, seed=1)
    stub = Stub(columns, null=0.5)
    rows = sample(stub, condition, WINDOW, noise)
    wanted = 0.5 + GUIDANCE * (condition[:, :WIDTH] - 0.5)
    torch.testing.assert_close(rows, wanted, atol=1e-5, rtol=1e-5)
    shapes, times, conditions = zip(*stub.asked, strict=True)
    assert len(shapes) == SAMPLING_STEPS
    covered = (shapes[0][0] // 2 + 1) * WINDOW // 2
    assert covered - WINDOW // 2 < max(total, WINDOW) <= covered, "no more windows than it takes"
    steps = [time.unique().item() for time in times]
    assert (steps[0], steps[-1]) == (TIMESTEPS - 1, 0)
    assert (np.diff(steps) < 0).all()
    last, null = conditions[0][len(conditions[0]) // 2 - 1], conditions[0][-1]
    torch.testing.assert_close(last[-1], condition[-1])  # it stands in where music ends
    assert (null == 0.5).all()


def test_windows_that_disagree_meet_by_their_nearness():
    """Each window says its own number; between two middles the rows go evenly from one to one."""

    def number(noisy, condition):
        numbers = torch.arange(len(noisy) // 2).repeat(2)[:, None, None]
        return numbers.expand_as(noisy).float()

    total, half = 2 * WINDOW, WINDOW // 2
    rows = sample(Stub(number), torch.zeros(total, CONDITION), WINDOW, normal(total, WIDTH))
    assert (rows[:half] == 0).all()
    assert (rows[-half:] == 2).all()
    slope = (torch.arange(half) + 0.5) / half
    torch.testing.assert_close(rows[half:-half, 0], torch.cat([slope, 1 + slope]))


@pytest.mark.parametrize("known", [0, 9, WINDOW - 3])
def test_rows_go_on_from_those_that_are_known(known):
    """Each guess is the mean of what is shown: known rows lead it to their own value."""
    condition, noise = normal(WINDOW, CONDITION), normal(WINDOW, WIDTH, seed=1)
    stub = Stub(columns, null=0.5)
    rows = continue_rows(stub, torch.full((known, WIDTH), 3.0), condition, noise, 5)
    wanted = 0.5 + GUIDANCE * (condition[known:, :WIDTH] - 0.5)
    torch.testing.assert_close(rows, wanted, atol=1e-5, rtol=1e-5)
    assert [time.unique().item() for _, time, _ in stub.asked][::4] == [TIMESTEPS - 1, 0]

    def shown(noisy, condition):
        return noisy[:, :known].mean(dim=1, keepdim=True).expand_as(noisy)

    if known:
        last = continue_rows(Stub(shown), torch.full((known, WIDTH), 3.0), condition, noise, 50)
        torch.testing.assert_close(last, torch.full_like(last, 3.0), atol=0.2, rtol=0)


def test_the_same_noise_gives_the_same_sequence(denoiser):
    condition = normal(WINDOW + 1, CONDITION)
    first, again, other = (
        sample(denoiser, condition, WINDOW, normal(WINDOW + 1, WIDTH, seed=seed))
        for seed in (1, 1, 2)
    )
    assert first.isfinite().all()
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_the_network_minds_time_and_place_but_not_its_batch_mates(denoiser):
    rows, condition = normal(2, 12, WIDTH), normal(2, 12, CONDITION)
    with torch.inference_mode():
        both = denoiser(rows, torch.tensor([10, 700]), condition)
        alone = denoiser(rows[1:], torch.tensor([700]), condition[1:])
        torch.testing.assert_close(both[1:], alone, atol=1e-5, rtol=1e-5)
        later = denoiser(rows[1:], torch.tensor([10]), condition[1:])
        assert (later - alone).abs().max() > 1e-3
        flat = denoiser(torch.ones(1, 12, WIDTH), torch.tensor([10]), torch.ones(1, 12, CONDITION))
        assert (flat[0, 0] - flat[0, -1]).abs().max() > 1e-4, "tokens know where they are"


def test_a_network_learns_a_sequence_by_heart(denoiser):
    denoiser.train()
    angles = torch.arange(WINDOW) * 0.4
    clean = torch.stack([torch.sin(angles + phase) for phase in range(WIDTH)], dim=1)
    condition = normal(WINDOW, CONDITION)
    optimiser = torch.optim.Adam(denoiser.parameters(), 0.003)
    generator = torch.Generator().manual_seed(0)
    for _ in range(400):
        times = torch.randint(TIMESTEPS, (8,), generator=generator)
        noise = torch.randn(8, WINDOW, WIDTH, generator=generator)
        given = condition.expand(8, -1, -1).clone()
        given[::4] = denoiser.null_condition
        rows = clean.expand(8, -1, -1)
        loss = functional.mse_loss(denoiser(add_noise(rows, times, noise), times, given), rows)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    rows = sample(denoiser.eval(), condition, WINDOW, normal(WINDOW, WIDTH, seed=3))
    assert functional.mse_loss(rows, clean) < 0.02 * clean.var()
    assert denoiser.null_condition.abs().max() > 0, "what stands for silence is learned too"
