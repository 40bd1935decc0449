"""The protocol, beside what a user's own Trainer comes to with the same task."""

import dataclasses

import numpy as np
import pytest
import torch
from lightning import Trainer
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from tests.toys import Learner, Noise, Tiny, Tones

from motionbeat.benchmarks.embedded import Embedded
from motionbeat.benchmarks.protocol import Probing
from motionbeat.tasks.beat_tracking import BeatTracking
from motionbeat.tasks.genre import GenreClassification
from motionbeat.tasks.metrics.per_track import arrays


class Beat(BeatTracking):
    recipe = dataclasses.replace(BeatTracking.recipe, max_steps=60, check_every=6)


@pytest.fixture
def probing(clicks, tmp_path):
    return Probing(Beat, Tiny(), "mlp", "frozen", clicks, clicks, tmp_path, "test")


def states(probed):
    return [{name: one.clone() for name, one in task.state_dict().items()} for task in probed.tasks]


def same(one, other):
    return all(torch.equal(one[name], other[name]) for name in one)


def test_a_task_in_a_trainer_of_ones_own_reaches_the_score_of_the_protocol(
    probing, clicks, tmp_path
):
    seed, rate, recipe = 1, 0.01, Beat.recipe
    probed = probing.run([rate], [seed])
    rows = [Beat.score_all(probed.predictions[0], clicks.tracks("test"))]
    expected = Beat.summarise(arrays(rows), np.ones((1, 3)))

    task = Beat(Tiny(), "mlp", learning_rate=rate, seed=seed)
    data = Embedded(
        clicks,
        Tiny(),
        cache=tmp_path / "own",
        batch_size=recipe.batch_size,
        clip_seconds=recipe.clip_seconds,
        shuffle_seed=seed,
    )
    best = ModelCheckpoint(tmp_path, monitor=task.monitor, mode=task.mode)
    trainer = Trainer(
        accelerator="cpu",
        max_epochs=-1,
        max_steps=recipe.max_steps,
        val_check_interval=recipe.check_every,
        check_val_every_n_epoch=None,
        callbacks=[best, EarlyStopping(task.monitor, patience=recipe.patience, mode=task.mode)],
        logger=False,
        enable_progress_bar=False,
    )
    trainer.fit(task, datamodule=data)
    assert best.best_model_score.item() == pytest.approx(probed.monitors[0], abs=1e-6)
    loaded = Beat.load_from_checkpoint(best.best_model_path, encoder=Tiny())
    [found] = trainer.test(loaded, datamodule=data, verbose=False)
    for metric in ("beat_f_measure", "dbn_beat_f_measure", "downbeat_f_measure"):
        assert found[f"test/{metric}"] == pytest.approx(expected[metric][0, 0], abs=1e-4)


def test_a_kept_probe_is_recalled_as_it_was(probing, monkeypatch):
    rates = [0.0001, 0.03]
    assert probing.recall(rates, 0) is None
    probed = probing.run(rates, [0])
    monkeypatch.setattr("motionbeat.benchmarks.protocol.fit", None)
    task = probing.recall(rates, 0)
    assert task.learning_rate == probed.learning_rate
    [[first, *_]] = probing.predict([task])
    np.testing.assert_array_equal(first.beats, probed.predictions[0][0].beats)
    assert probing.recall(rates, 1) is None


def test_a_sweep_chooses_and_the_other_seeds_follow(probing, trained):
    probed = probing.run([0.0001, 0.03], [0, 1, 2])
    assert probed.learning_rate == max(probed.sweep, key=probed.sweep.get)
    assert probed.monitors[0] == probed.sweep[probed.learning_rate]
    assert [len(one.tasks) for one in trained] == [2, 2]
    assert {task.learning_rate for task in trained[1].tasks} == {probed.learning_rate}
    assert np.shape(probed.layer_weights) == (3, 2)
    assert [len(one) for one in probed.predictions] == [3, 3, 3]


def test_what_was_kept_is_not_trained_again_and_what_is_damaged_is(probing, trained, capsys):
    members = [(0, 0.01), (1, 0.1)]
    first, again = probing.train(members, "a"), probing.train(members, "b")
    assert len(trained) == 1
    assert all(map(same, states(first), states(again)))
    assert torch.equal(first.monitors, again.monitors)
    kept = probing.kept(members)
    content = bytearray(kept.read_bytes())
    content[-3] ^= 1
    kept.write_bytes(content)
    assert all(map(same, states(first), states(probing.train(members, "c"))))
    assert len(trained) == 2
    assert f"ignored: {kept} is damaged" in capsys.readouterr().err.replace("\n", "")


def test_kept_probes_outlive_a_change_of_the_scores(probing, monkeypatch):
    members = [(0, 0.01)]
    kept, version = probing.kept(members), probing.task.version
    monkeypatch.setattr(probing.task, "version", version + 1)
    assert probing.kept(members) != kept
    monkeypatch.setattr(probing.task, "probe_version", version)
    assert probing.kept(members) == kept


def test_layer_weights_move_to_the_layer_that_tells(tones, tmp_path):
    class Half(Tiny):
        """One layer of noise beside one that tells."""

        def forward(self, waveform):
            states, noise = super().forward(waveform), Noise()(waveform)
            return torch.stack([noise[:, 0], states[:, 0]], dim=1)

    probing = Probing(GenreClassification, Half(), "linear", "frozen", tones, tones, tmp_path, "t")
    [weights] = probing.run([0.03], [0]).layer_weights
    assert weights[1] > 0.6


@pytest.fixture
def tuning(tmp_path):
    """What tunes an encoder to the genre of tones with a mode."""

    class Genre(GenreClassification):
        recipe = dataclasses.replace(
            GenreClassification.recipe, batch_size=6, max_steps=12, check_every=4, epochs=0
        )

    data = Tones(cache=tmp_path)
    data.prepare_data()
    return lambda mode: Probing(
        Genre, "tests.toys:Learner", "linear", mode, data, data, tmp_path, "test"
    )


@pytest.mark.parametrize("mode", ["lora", "full"])
def test_what_shall_learn_learns_and_dropout_is_off(tuning, mode, monkeypatch):
    modes, steps = [], []
    forward = Learner.forward
    monkeypatch.setattr(
        Learner, "forward", lambda self, x: (modes.append(self.training), forward(self, x))[1]
    )
    monkeypatch.setattr(
        GenreClassification,
        "loss",
        (lambda loss: lambda *it: (steps.append(1), loss(*it))[1])(GenreClassification.loss),
    )
    before = Learner().state_dict()
    [task] = tuning(mode).train([(0, 0.03)], "a").tasks
    after = task.front_end.encoder_module.state_dict()
    moved = {
        name for name, one in after.items() if name in before and not torch.equal(one, before[name])
    }
    assert moved == (set(before) if mode == "full" else set())
    if mode == "lora":
        adapters = [one for name, one in after.items() if "lora_B" in name]
        assert len(adapters) == 4
        assert all(one.any() for one in adapters)
    assert modes
    assert not any(modes)
    assert len(steps) == 12 * 6, "batches are accumulated to the recipe's size"


def test_members_that_tune_encoders_are_trained_as_if_alone(tuning):
    members = [(0, 0.01), (1, 0.03)]
    together = tuning("lora").train(members, "a")
    for number, member in enumerate(members):
        alone = tuning("lora").train([member], "b")
        assert alone.monitors[0] == together.monitors[number]
        assert same(states(alone)[0], states(together)[number])
    predictions = tuning("lora").predict(together.tasks)
    assert [len(one) for one in predictions] == [12, 12]
