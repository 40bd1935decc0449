"""The diffusion decoder: its schedule, its sampling of any length, its network."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from motionbeat.tasks import diffusion
from motionbeat.tasks.diffusion import (
    GUIDANCE,
    PATCH,
    SAMPLING_STEPS,
    TIMESTEPS,
    Denoiser,
    add_noise,
    alpha_bar,
    sample,
)

WIDTH, CONDITION, WINDOW = 5, 7, 24
LENGTHS = [1, 2, WINDOW // 2, WINDOW - 1, WINDOW, WINDOW + 1, 3 * WINDOW // 2, 10 * WINDOW + 5]


class Stub(nn.Module):
    """Says at each row what a function makes of the row's condition."""

    def __init__(self, guess, null=0.0):
        super().__init__()
        self.guess = guess
        self.null_condition = torch.full((CONDITION,), null)
        self.asked = []

    def forward(self, noisy, times, condition):
        self.asked.append((noisy.shape, times))
        return self.guess(noisy, times, condition)


def columns(noisy, times, condition):
    return condition[..., :WIDTH]


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def small(monkeypatch):
    """A network with few channels, so that tests are quick."""
    for name, value in (("CHANNELS", 32), ("LAYERS", 1), ("HEADS", 2)):
        monkeypatch.setattr(diffusion, name, value)


def made(seed=0):
    torch.manual_seed(seed)
    return Denoiser(WIDTH, CONDITION).eval()


def test_the_signal_goes_from_all_to_nothing():
    share = alpha_bar(torch.arange(TIMESTEPS))
    assert (share.diff() <= 0).all()
    assert (share[:-10].diff() < 0).all()
    assert share[0] > 0.9999
    assert 0 < share[-1] < 1e-4
    assert share[TIMESTEPS // 2] == pytest.approx(0.5, abs=0.02)


def test_noise_keeps_the_variance():
    clean, noise = normal(2000, 3, WIDTH), normal(2000, 3, WIDTH, seed=1)
    for time in (0, 300, 999):
        rows = add_noise(clean, torch.full((2000,), time), noise)
        assert rows.std().item() == pytest.approx(1, abs=0.02)
    times = torch.tensor([0, TIMESTEPS - 1])
    first, last = add_noise(clean[:2], times, noise[:2])
    torch.testing.assert_close(first, clean[0], atol=0.05, rtol=0)
    torch.testing.assert_close(last, noise[1], atol=0.02, rtol=0)


@pytest.mark.parametrize("total", LENGTHS)
def test_what_is_known_at_each_row_is_sampled_at_each_row(total):
    condition, noise = normal(total, CONDITION), normal(total, WIDTH, seed=1)
    stub = Stub(columns)
    rows = sample(stub, condition, WINDOW, noise)
    assert rows.shape == (total, WIDTH)
    torch.testing.assert_close(rows, GUIDANCE * condition[:, :WIDTH], atol=1e-5, rtol=1e-5)
    assert len(stub.asked) == SAMPLING_STEPS
    [shape] = {shape for shape, _ in stub.asked}
    assert shape[1:] == (WINDOW, WIDTH)
    covered = (shape[0] // 2 + 1) * WINDOW // 2
    assert covered - WINDOW // 2 < max(total, WINDOW) <= covered, "no more windows than it takes"


def test_guidance_goes_beyond_what_the_condition_says():
    condition = normal(30, CONDITION)
    rows = sample(Stub(columns, null=0.5), condition, WINDOW, normal(30, WIDTH))
    wanted = 0.5 + GUIDANCE * (condition[:, :WIDTH] - 0.5)
    torch.testing.assert_close(rows, wanted, atol=1e-5, rtol=1e-5)
    blind = sample(
        Stub(lambda noisy, *_: torch.ones_like(noisy)), condition, WINDOW, normal(30, WIDTH)
    )
    torch.testing.assert_close(blind, torch.ones(30, WIDTH))


def test_time_runs_from_noise_to_the_clean():
    stub = Stub(columns)
    sample(stub, normal(30, CONDITION), WINDOW, normal(30, WIDTH))
    times = [time.unique().item() for _, time in stub.asked]
    assert times[0] == TIMESTEPS - 1
    assert times[-1] == 0
    assert (np.diff(times) < 0).all()
    assert all(time == int(time) for time in times)


def test_windows_that_disagree_meet_by_their_nearness():
    """Each window says its own number; between two middles the rows go evenly from one to one."""

    def number(noisy, times, condition):
        numbers = torch.arange(len(noisy) // 2).repeat(2)[:, None, None]
        return numbers.expand_as(noisy).float()

    total = 2 * WINDOW
    rows = sample(Stub(number), torch.zeros(total, CONDITION), WINDOW, normal(total, WIDTH))
    half = WINDOW // 2
    assert (rows[:half] == 0).all()
    assert (rows[-half:] == 2).all()
    slope = (torch.arange(half) + 0.5) / half
    torch.testing.assert_close(rows[half : 2 * half, 0], slope)
    torch.testing.assert_close(rows[2 * half : 3 * half, 0], 1 + slope)


def test_the_last_condition_stands_in_where_music_ends():
    conditions = []

    def listening(noisy, times, condition):
        conditions.append(condition)
        return columns(noisy, times, condition)

    condition = normal(WINDOW - 5, CONDITION)
    sample(Stub(listening), condition, WINDOW, normal(WINDOW - 5, WIDTH))
    given, null = conditions[0]
    torch.testing.assert_close(given[: WINDOW - 5], condition)
    torch.testing.assert_close(given[WINDOW - 5 :], condition[-1:].expand(5, -1))
    assert (null == 0).all()


@pytest.mark.parametrize("total", LENGTHS)
def test_the_same_noise_gives_the_same_sequence(small, total):
    denoiser, condition = made(), normal(total, CONDITION)
    first, again, other = (
        sample(denoiser, condition, WINDOW, normal(total, WIDTH, seed=seed)) for seed in (1, 1, 2)
    )
    assert first.shape == (total, WIDTH)
    assert first.isfinite().all()
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_a_token_is_so_many_rows(small):
    """With nothing between tokens, a row reaches those of its own token and no others."""
    denoiser = made()
    denoiser.blocks = nn.Identity()
    rows, condition = normal(1, 12, WIDTH), normal(1, 12, CONDITION)
    times = torch.tensor([300])
    with torch.inference_mode():
        before = denoiser(rows, times, condition)
        for place in ("rows", "condition"):
            changed = {"rows": rows.clone(), "condition": condition.clone()}
            changed[place][0, 4] += 1
            after = denoiser(changed["rows"], times, changed["condition"])
            moved = (before != after).any(dim=-1)[0].nonzero().flatten()
            assert moved.tolist() == list(range(PATCH, 2 * PATCH))


def test_the_network_minds_time_place_and_its_batch_mates_not(small):
    denoiser = made()
    rows, condition = normal(2, 12, WIDTH), normal(2, 12, CONDITION)
    with torch.inference_mode():
        both = denoiser(rows, torch.tensor([10, 700]), condition)
        assert both.shape == rows.shape
        alone = denoiser(rows[1:], torch.tensor([700]), condition[1:])
        torch.testing.assert_close(both[1:], alone, atol=1e-5, rtol=1e-5)
        later = denoiser(rows[1:], torch.tensor([10]), condition[1:])
        assert (later - alone).abs().max() > 1e-3
        flat = denoiser(torch.ones(1, 12, WIDTH), torch.tensor([10]), torch.ones(1, 12, CONDITION))
        assert (flat[0, 0] - flat[0, PATCH]).abs().max() > 1e-4, "tokens know where they are"


def test_a_network_learns_a_sequence_by_heart(small):
    denoiser = made().train()
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
