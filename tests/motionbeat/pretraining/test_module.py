import math

import pytest
import torch
from lightning import Callback, Trainer

from motionbeat.losses import embodied_contrastive_loss
from motionbeat.pretraining.batches import cut
from motionbeat.pretraining.evaluation import embed
from motionbeat.pretraining.module import Pretraining
from motionbeat.pretraining.pair_data import PairDataModule
from motionbeat.progress import quiet

WEIGHTS = {"contrast": 1.0, "beat": 10.0, "bar": 5.0, "anchor": 1.0, "phase": 1.0}


@pytest.fixture(scope="module")
def batch(found):
    return cut(found, [1.0, 1.5, 2.0, 2.5], 3.0, [0, 1, 2, 3])


def training(**options):
    torch.manual_seed(0)
    return Pretraining("tiny", **options)


def losses(batch, **options):
    with torch.no_grad():
        return training(**options).eval().losses(batch)


@pytest.mark.parametrize("left_out", [None, "beat", "bar", "anchor", "phase"])
def test_the_loss_is_the_weighted_sum_of_its_parts(batch, left_out):
    whole = losses(batch)
    found = losses(batch, **({f"{left_out}_weight": 0.0} if left_out else {}))
    assert set(found) == {"loss", *WEIGHTS}
    parts = set(WEIGHTS) - {left_out}
    assert all(found[name] == whole[name] > 0 for name in parts)
    expected = sum(WEIGHTS[name] * whole[name] for name in parts)
    torch.testing.assert_close(found["loss"], expected, check_dtype=False)


def test_the_phase_loss_by_hand(batch, monkeypatch):
    """A quarter of a beat off on the half of the frames whose phases are known."""
    count = len(batch.phases[0, ::2])
    beat = torch.linspace(0, 5, count) % 1
    bar = torch.linspace(0, 1.25, count) % 1
    phases = torch.full((1, 2 * count, 2), torch.nan)
    phases[0, : 2 * (count // 2) : 2] = torch.stack([beat, bar], -1)[: count // 2]
    model = training()
    for late, expected in ((0.0, 0.0), (0.25, 2 / 6)):  # two of six columns, (cos - sin)² each

        def phases_of(states, clock, seconds, late=late):
            angles = 2 * math.pi * torch.stack([beat + late, 2 * bar, bar], dim=-1)
            return torch.cat([angles.cos(), angles.sin()], dim=-1)[None]

        monkeypatch.setattr(model.model.audio, "phases", phases_of)
        found = model._phase(batch._replace(phases=phases), torch.zeros(1))
        assert found.item() == pytest.approx(expected, abs=0.02)
    unknown = torch.full_like(phases, torch.nan)
    assert model._phase(batch._replace(phases=unknown), torch.zeros(1)) == 0


@pytest.mark.parametrize("tempo", [True, False])
@pytest.mark.parametrize("jitter", [True, False])
def test_negatives_are_those_that_were_asked_for(batch, tempo, jitter):
    contrast = losses(batch, tempo_negatives=tempo, jitter_negatives=jitter)["contrast"]
    with torch.no_grad():
        music, motion = embed(training().eval().model, *batch[:3])
    true, *shifted = motion.chunk(3)
    shifted = torch.stack(shifted, dim=1)
    of_mates = torch.stack([shifted[[n for n in range(4) if n != row]] for row in range(4)])
    negatives = (of_mates.flatten(1, 2) if tempo else None, shifted if jitter else None)
    expected = embodied_contrastive_loss(music, true, *negatives, 0.07, symmetric=True)
    torch.testing.assert_close(contrast, expected, atol=1e-5, rtol=1e-5)


def test_gradients_reach_all_that_is_trained(batch):
    model = training().train()
    model.losses(batch)["loss"].backward()
    for name, parameter in model.named_parameters():
        assert (parameter.grad is not None) != name.startswith("model.sound."), name
        assert parameter.grad is None or torch.isfinite(parameter.grad).all(), name
    assert model.temperature.grad != 0


def test_a_tiny_batch_is_learned(batch):
    model = training().eval()  # without dropout
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    first = model.losses(batch)
    for _ in range(60):
        optimizer.zero_grad()
        model.losses(batch)["loss"].backward()
        optimizer.step()
    last = model.losses(batch)
    assert last["loss"] < 0.6 * first["loss"]
    assert last["contrast"] < 0.5 * first["contrast"]
    assert last["anchor"] < 0.8 * first["anchor"]


def test_half_precision_is_finite_and_near(batch):
    model = training().eval()
    exact = model.losses(batch)
    with torch.autocast("cpu", torch.bfloat16):
        parts = model.losses(batch)
    parts["loss"].backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.requires_grad)
    for name, value in exact.items():
        torch.testing.assert_close(parts[name], value, rtol=0.1, atol=0.02, check_dtype=False)


class LearningRates(Callback):
    """Learning rates of all steps."""

    def __init__(self):
        self.rates = []

    def on_train_batch_start(self, trainer, *_):
        self.rates.append(trainer.optimizers[0].param_groups[0]["lr"])


def test_a_plain_trainer_fits_validates_and_loads(pairs, cache, tmp_path):
    listener, steps, rising = LearningRates(), 20, 2
    model = training(learning_rate=0.01, warm_up=0.1)
    data = PairDataModule(
        cache, pairs, pairs, batch_size=4, steps_per_epoch=10, variants=1, num_workers=0
    )
    with quiet():
        trainer = Trainer(
            max_epochs=2, accelerator="cpu", logger=False, enable_progress_bar=False,
            enable_model_summary=False, callbacks=[listener], default_root_dir=tmp_path,
        )  # fmt: skip
        trainer.fit(model, data)
    falling = [math.cos(math.pi * n / (steps - rising)) for n in range(steps - rising)]
    expected = [0.005, 0.01, *(0.005 * (1 + one) for one in falling)]
    assert listener.rates == pytest.approx(expected, rel=1e-6)
    groups = trainer.optimizers[0].param_groups
    assert [group["weight_decay"] for group in groups] == [0.05, 0.0]
    for group, matrices in zip(groups, (True, False), strict=True):
        assert all((p.ndim > 1) == matrices for p in group["params"])

    logged = trainer.callback_metrics
    both = logged["val/music_to_motion_r10"] + logged["val/motion_to_music_r10"]
    assert logged[Pretraining.monitor] == both / 2
    assert {"train/loss", "val/impostor", *(f"train/{name}" for name in WEIGHTS)} <= set(logged)
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
