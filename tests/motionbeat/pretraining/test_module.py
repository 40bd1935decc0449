import math

import pytest
import torch
from lightning import Callback, Trainer
from tests.dancing import write_pair

from motionbeat.losses import embodied_contrastive_loss
from motionbeat.pretraining import module as module_file
from motionbeat.pretraining.batches import cut
from motionbeat.pretraining.evaluation import embed
from motionbeat.pretraining.module import Pretraining
from motionbeat.pretraining.pair_data import PairDataModule
from motionbeat.pretraining.pairs import features
from motionbeat.progress import quiet

PARTS = ("contrast", "beat", "bar", "anchor")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("pairs")


@pytest.fixture(scope="module")
def pairs(folder):
    return [write_pair(folder, f"{n}", 100.0 + 20 * (n // 2), seed=n) for n in range(4)]


@pytest.fixture(scope="module")
def batch(pairs, folder):
    found = [features(pair, 0, folder / "cache") for pair in pairs]
    return cut(found, [1.0, 1.5, 2.0, 2.5], 3.0, range(4))


def training(**options):
    torch.manual_seed(0)
    return Pretraining("tiny", **options)


def losses(batch, **options):
    with torch.no_grad():
        return training(**options).eval().losses(batch)


def test_the_loss_is_the_weighted_sum_of_its_parts(batch):
    parts = losses(batch, beat_weight=3.0, bar_weight=7.0, anchor_weight=0.5)
    assert set(parts) == {"loss", *PARTS}
    assert all(parts[name] > 0 for name in PARTS)
    expected = parts["contrast"] + 3 * parts["beat"] + 7 * parts["bar"] + 0.5 * parts["anchor"]
    torch.testing.assert_close(parts["loss"], expected)


@pytest.mark.parametrize("name", ["beat", "bar", "anchor"])
def test_a_weight_of_0_leaves_its_own_part_out(batch, name):
    whole, without = losses(batch), losses(batch, **{f"{name}_weight": 0.0})
    for other in set(PARTS) - {name}:
        assert torch.equal(without[other], whole[other])
    weight = {"beat": 10.0, "bar": 5.0, "anchor": 1.0}[name]
    torch.testing.assert_close(without["loss"], whole["loss"] - weight * whole[name])


@pytest.mark.parametrize("tempo", [True, False])
@pytest.mark.parametrize("jitter", [True, False])
def test_negatives_are_those_that_were_asked_for(batch, tempo, jitter, monkeypatch):
    calls = []

    def spied(*arguments, **options):
        calls.append(arguments)
        return embodied_contrastive_loss(*arguments, **options)

    monkeypatch.setattr(module_file, "embodied_contrastive_loss", spied)
    options = {"tempo_negatives": tempo, "jitter_negatives": jitter}
    contrast = losses(batch, **options)["contrast"]
    with torch.no_grad():
        music, motion = embed(training().eval().model, *batch[:3])
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
    [(_, _, *negatives, temperature)] = calls
    counts = [None if x is None else x.shape[1] for x in negatives]
    assert counts == [6 if tempo else None, 2 if jitter else None]
    assert float(temperature) == pytest.approx(0.07)


def test_gradients_reach_all_that_is_trained(batch):
    model = training().train()
    model.losses(batch)["loss"].backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
    assert model.temperature.grad != 0


def test_a_tiny_batch_is_learned(batch):
    model = training().eval()  # without dropout
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    first = {name: float(value.detach()) for name, value in model.losses(batch).items()}
    for _ in range(60):
        optimizer.zero_grad()
        model.losses(batch)["loss"].backward()
        optimizer.step()
    last = {name: float(value.detach()) for name, value in model.losses(batch).items()}
    assert last["loss"] < 0.6 * first["loss"]
    assert last["contrast"] < 0.5 * first["contrast"]
    assert last["anchor"] < 0.8 * first["anchor"]


def test_half_precision_is_finite_and_near(batch):
    model = training().eval()
    exact = model.losses(batch)
    with torch.autocast("cpu", torch.bfloat16):
        parts = model.losses(batch)
    parts["loss"].backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters())
    for name, value in exact.items():
        near = pytest.approx(float(value.detach()), rel=0.1, abs=0.02)
        assert float(parts[name].detach()) == near


class LearningRates(Callback):
    """Learning rates before each step, and the one after the last."""

    def __init__(self):
        self.before, self.after = [], None

    def on_train_batch_start(self, trainer, *_):
        self.before.append(trainer.optimizers[0].param_groups[0]["lr"])

    def on_train_batch_end(self, trainer, *_):
        self.after = trainer.optimizers[0].param_groups[0]["lr"]


def test_a_plain_trainer_fits_validates_and_loads(pairs, folder, tmp_path):
    rates, steps, rising = LearningRates(), 20, 2
    model = training(learning_rate=0.01, warm_up=0.1)
    data = PairDataModule(
        folder / "cache", pairs, pairs, batch_size=4, steps_per_epoch=10, variants=1,
        num_workers=0,
    )  # fmt: skip
    with quiet():
        trainer = Trainer(
            max_epochs=2, accelerator="cpu", logger=False, enable_progress_bar=False,
            enable_model_summary=False, callbacks=[rates], default_root_dir=tmp_path,
        )  # fmt: skip
        trainer.fit(model, data)
    assert len(rates.before) == steps
    for step, rate in enumerate(rates.before):
        expected = 0.005 * (1 + math.cos(math.pi * (step - rising) / (steps - rising)))
        if step < rising:
            expected = 0.01 * (step + 1) / rising
        assert rate == pytest.approx(expected, rel=1e-6)
    assert rates.after == pytest.approx(0, abs=1e-12)
    groups = trainer.optimizers[0].param_groups
    assert [group["weight_decay"] for group in groups] == [0.05, 0.0]
    assert {p.ndim > 1 for p in groups[0]["params"]} == {True}
    assert {p.ndim > 1 for p in groups[1]["params"]} == {False}

    logged = trainer.callback_metrics
    both = logged["val/music_to_motion_r10"] + logged["val/motion_to_music_r10"]
    assert logged[Pretraining.monitor] == both / 2
    assert {"train/loss", "val/impostor", *(f"train/{name}" for name in PARTS)} <= set(logged)
    assert all(torch.isfinite(value) for value in logged.values())

    path = trainer.checkpoint_callback.best_model_path
    loaded = Pretraining.load_from_checkpoint(path, weights_only=True).state_dict()
    assert all(torch.equal(value, loaded[name]) for name, value in model.state_dict().items())


def test_dropout_follows_from_seed_and_epoch(batch, monkeypatch):
    def drawn(seed, epoch):
        model = training(seed=seed).train()
        monkeypatch.setattr(Pretraining, "current_epoch", epoch)
        torch.rand(epoch)
        model.on_train_epoch_start()
        return float(model.losses(batch)["loss"].detach())

    assert drawn(5, 2) == drawn(5, 2)
    assert len({drawn(5, 2), drawn(5, 3), drawn(6, 2)}) == 3
