import math
from dataclasses import replace

import pytest
import torch
from lightning import Callback, Trainer
from tests.dancing import write_pair
from torch.utils.data import DataLoader

from motionbeat.losses import embodied_contrastive_loss
from motionbeat.model import MotionBeat
from motionbeat.pretraining import module as module_file
from motionbeat.pretraining.batches import cut, mates
from motionbeat.pretraining.evaluation import clips, embed
from motionbeat.pretraining.module import Pretraining
from motionbeat.pretraining.pairs import features
from motionbeat.pretraining.settings import Objective
from motionbeat.progress import quiet

PARTS = ("contrast", "beat", "bar", "anchor")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A batch of clips to train on, and clips to validate on."""
    folder = tmp_path_factory.mktemp("pairs")
    pairs = [write_pair(folder, f"{n}", 100.0 + 20 * (n // 2), seed=n) for n in range(4)]
    found = [features(pair, 0, folder / "cache") for pair in pairs]
    batch = cut(found, [1.0, 1.5, 2.0, 2.5], 3.0)
    return batch, clips(pairs, folder / "cache", 1, 3.0)


@pytest.fixture
def batch(made):
    return made[0]


def training(made, objective=None, **changes):
    torch.manual_seed(0)
    options = {"learning_rate": 1e-3, "weight_decay": 0.05, "warm_up": 0.1, "seed": 0}
    return Pretraining(
        MotionBeat("tiny"), objective or Objective(), validation=made[1], **(options | changes)
    )


def losses(made, objective, batch):
    with torch.no_grad():
        return training(made, objective).eval().losses(batch)


def test_the_loss_is_the_weighted_sum_of_its_parts(made, batch):
    goal = Objective(beat=3.0, bar=7.0, anchor=0.5)
    parts = losses(made, goal, batch)
    assert set(parts) == {"loss", *PARTS}
    assert all(value.ndim == 0 for value in parts.values())
    assert all(parts[name] > 0 for name in PARTS)
    expected = parts["contrast"] + 3 * parts["beat"] + 7 * parts["bar"] + 0.5 * parts["anchor"]
    torch.testing.assert_close(parts["loss"], expected)


@pytest.mark.parametrize("name", ["beat", "bar", "anchor"])
def test_a_weight_changes_its_own_part_only(made, batch, name):
    whole = losses(made, Objective(), batch)
    without = losses(made, replace(Objective(), **{name: 0.0}), batch)
    for other in set(PARTS) - {name}:
        assert torch.equal(without[other], whole[other])
    weight = getattr(Objective(), name)
    torch.testing.assert_close(without["loss"], whole["loss"] - weight * whole[name])
    if name == "anchor":  # measured all the same, but it teaches nothing
        assert torch.equal(without[name], whole[name])
    else:
        assert without[name] == 0


def test_smoothing_reaches_the_alignment(made, batch):
    sharp, smooth = (losses(made, Objective(gamma=gamma), batch) for gamma in (0.01, 0.1))
    assert sharp["beat"] != smooth["beat"]
    assert all(torch.equal(sharp[name], smooth[name]) for name in ("contrast", "bar", "anchor"))


@pytest.mark.parametrize("tempo", [True, False])
@pytest.mark.parametrize("jitter", [True, False])
def test_negatives_are_those_that_were_asked_for(made, batch, tempo, jitter, monkeypatch):
    calls = []

    def listened(*arguments, **options):
        calls.append(arguments)
        return embodied_contrastive_loss(*arguments, **options)

    monkeypatch.setattr(module_file, "embodied_contrastive_loss", listened)
    goal = Objective(tempo_negatives=tempo, jitter_negatives=jitter)
    contrast = losses(made, goal, batch)["contrast"]

    with torch.no_grad():
        music, motion = embed(training(made, goal).eval().model, batch)
    true, earlier, later = motion.chunk(3)
    shifted = torch.stack([earlier, later], dim=1)
    of_mates = torch.stack([shifted[[n for n in range(4) if n != row]] for row in range(4)])
    expected = embodied_contrastive_loss(
        music,
        true,
        of_mates.flatten(1, 2) if tempo else None,
        shifted if jitter else None,
        0.07,
        symmetric=True,
    )
    torch.testing.assert_close(contrast, expected, atol=1e-5, rtol=1e-5)
    [(_, _, tempo_negatives, jitter_negatives, temperature)] = calls
    assert [None if x is None else x.shape[1] for x in (tempo_negatives, jitter_negatives)] == [
        6 if tempo else None,
        2 if jitter else None,
    ]
    assert float(temperature) == pytest.approx(0.07)


def test_more_negatives_are_harder(made, batch):
    found = {
        (tempo, jitter): float(
            losses(made, Objective(tempo_negatives=tempo, jitter_negatives=jitter), batch)[
                "contrast"
            ]
        )
        for tempo in (True, False)
        for jitter in (True, False)
    }
    assert found[False, False] < found[False, True] < found[True, True]
    assert found[False, False] < found[True, False] < found[True, True]


def test_mates_stay_in_their_cluster(made, batch, monkeypatch):
    asked = []
    monkeypatch.setattr(module_file, "mates", lambda rows: asked.append(rows) or mates(rows))
    losses(made, Objective(), batch)
    assert asked == [4]


def test_gradients_reach_all_that_is_trained(made, batch):
    model = training(made)
    model.train()
    model.losses(batch)["loss"].backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
    assert model.temperature.grad != 0


def test_a_tiny_batch_is_learned(made, batch):
    model = training(made).eval()  # without dropout the loss is that of the very same task
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    first = None
    for _ in range(60):
        parts = model.losses(batch)
        first = first or {name: float(value.detach()) for name, value in parts.items()}
        optimizer.zero_grad()
        parts["loss"].backward()
        optimizer.step()
    last = {name: float(value.detach()) for name, value in model.losses(batch).items()}
    assert last["loss"] < 0.6 * first["loss"]
    assert last["contrast"] < 0.5 * first["contrast"]
    assert last["anchor"] < 0.8 * first["anchor"]


def test_half_precision_is_finite_and_near(made, batch):
    model = training(made).eval()
    exact = model.losses(batch)
    with torch.autocast("cpu", torch.bfloat16):
        parts = model.losses(batch)
    parts["loss"].backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters())
    for name, value in exact.items():
        near = pytest.approx(float(value.detach()), rel=0.1, abs=0.02)
        assert float(parts[name].detach()) == near


class Rates(Callback):
    """Learning rates before each step, and the one after the last."""

    def __init__(self):
        self.before, self.after = [], None

    def on_train_batch_start(self, trainer, *_):
        self.before.append(trainer.optimizers[0].param_groups[0]["lr"])

    def on_train_batch_end(self, trainer, *_):
        self.after = trainer.optimizers[0].param_groups[0]["lr"]


def fitted(made, steps, **changes):
    """Train for two epochs on one batch again and again."""
    rates = Rates()
    model = training(made, **changes)
    with quiet():
        trainer = Trainer(
            max_epochs=2, accelerator="cpu", logger=False, enable_checkpointing=False,
            enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0,
            callbacks=[rates],
        )  # fmt: skip
        trainer.fit(
            model,
            DataLoader([made[0]] * (steps // 2), batch_size=None),
            DataLoader([made[1].batch], batch_size=None),
        )
    return trainer, rates


def test_the_learning_rate_rises_and_falls(made):
    steps, rising = 40, 4
    trainer, rates = fitted(made, steps, learning_rate=0.01)
    assert len(rates.before) == steps
    for step, rate in enumerate(rates.before):
        if step < rising:
            expected = 0.01 * (step + 1) / rising
        else:
            expected = 0.005 * (1 + math.cos(math.pi * (step - rising) / (steps - rising)))
        assert rate == pytest.approx(expected, rel=1e-6)
    assert max(rates.before) == pytest.approx(0.01)
    assert rates.after == pytest.approx(0, abs=1e-12)
    groups = trainer.optimizers[0].param_groups
    assert [group["weight_decay"] for group in groups] == [0.05, 0.0]
    assert {p.ndim > 1 for p in groups[0]["params"]} == {True}
    assert {p.ndim > 1 for p in groups[1]["params"]} == {False}


def test_validation_logs_what_it_compares(made):
    trainer, _ = fitted(made, 2)
    logged = trainer.callback_metrics
    both = logged["validation/music_to_motion_r10"] + logged["validation/motion_to_music_r10"]
    assert logged["retrieval"] == both / 2
    assert {"train/loss", *(f"train/{name}" for name in PARTS)} <= set(logged)
    assert all(torch.isfinite(value) for value in logged.values())
    assert "validation/impostor" in logged


def test_numbers_that_are_none_are_not_logged(made, batch):
    count = len(made[1].piece)
    lonely = replace(made[1], tempo=100.0 * 2.0 ** torch.arange(count).numpy())
    trainer, _ = fitted((batch, lonely), 2)
    assert "validation/shift" in trainer.callback_metrics
    assert "validation/impostor" not in trainer.callback_metrics


def test_epochs_are_random_by_seed_and_number_alone(made, monkeypatch):
    def drawn(seed, epoch):
        model = training(made, seed=seed)
        monkeypatch.setattr(Pretraining, "current_epoch", epoch)
        torch.rand(epoch)
        model.on_train_epoch_start()
        return torch.rand(3).tolist()

    assert drawn(5, 2) == drawn(5, 2)
    assert drawn(5, 2) != drawn(5, 3)
    assert drawn(5, 2) != drawn(6, 2)


def test_training_is_random_by_dropout(made, batch):
    model = training(made).train()
    found = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        found.append(float(model.losses(batch)["loss"].detach()))
    assert found[0] == found[1] != found[2]
