"""``motionbeat pretrain``: trained, interrupted, resumed, refused."""

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tests.command import motionbeat
from tests.dancing import Dancing, write_dance

from motionbeat import pretraining
from motionbeat.benchmarks.pretrain_cli import pretrain
from motionbeat.live import LiveEncoder
from motionbeat.motion import Motion
from motionbeat.pretraining.module import Pretraining
from motionbeat.weights import from_pretrained, load_model

DATASET = "tests.dancing:Dancing"
CONFIGS = Path(pretraining.__file__).parent / "configs"
PRETRAINED = "pretrain", "groove_midi"


def arguments(output, cache, datasets=None, **changes):
    """Options of a small training, changed as ``model__size="small"``."""
    options = {
        "data.datasets": json.dumps({DATASET: {}} if datasets is None else datasets),
        "data.validation": DATASET,
        "data.cache": cache,
        "data.steps_per_epoch": 2,
        "data.batch_size": 4,
        "data.variants": 2,
        "data.num_workers": 0,
        "model.size": "tiny",
        "trainer.max_epochs": 3,
        "trainer.log_every_n_steps": 1,
        "output": output,
    } | {name.replace("__", "."): value for name, value in changes.items()}
    return [f"--{name}={value}" for name, value in options.items()]


class Trained(NamedTuple):
    output: Path

    def rows(self, column):
        """Rows of all logs in which a column stands."""
        rows = []
        for file in sorted(self.output.glob("logs/version_*/metrics.csv")):
            with file.open(newline="") as lines:
                rows += [row for row in csv.DictReader(lines) if row.get(column)]
        return rows

    def checkpoint(self, name="last"):
        path = self.output / "checkpoints" / f"{name}.ckpt"
        return torch.load(path, map_location="cpu", weights_only=True)

    def weights(self):
        return load_file(self.output / "motionbeat.safetensors")


def equal(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def trained(tmp_path_factory, cache):
    """Three epochs without an interruption."""
    output = tmp_path_factory.mktemp("trained") / "output"
    assert pretrain(arguments(output, cache)) == output / "motionbeat.safetensors"
    return Trained(output)


class Crash(BaseException):
    """What nothing handles, as a killed process does not."""


@pytest.fixture
def crash(monkeypatch):
    """Let training crash in an epoch, once."""

    def later(epoch, hook="training_step", at=1):
        step = getattr(Pretraining, hook)

        def crashing(self, batch, index):
            if (self.current_epoch, index) == (epoch, at) and not self.trainer.sanity_checking:
                monkeypatch.setattr(Pretraining, hook, step)
                raise Crash
            return step(self, batch, index)

        monkeypatch.setattr(Pretraining, hook, crashing)

    return later


def test_weights_checkpoints_and_logs(trained):
    best, weights = trained.checkpoint("best"), trained.weights()
    assert equal(weights, {k: best["state_dict"][f"model.{k}"] for k in weights})
    load_model(trained.output / "motionbeat.safetensors")
    assert best["global_step"] == 2  # R@10 among 4 clips is always 1, and the first best is kept
    assert trained.checkpoint()["global_step"] == 6
    losses = trained.rows("train/loss")
    assert [int(row["step"]) for row in losses] == list(range(6))
    for row in losses:
        names = ("contrast", "beat", "bar", "anchor", "phase")
        parts = [float(row[f"train/{name}"]) for name in names]
        assert float(row["train/loss"]) == pytest.approx(np.dot(parts, [1, 10, 5, 1, 1]), rel=1e-5)
    assert [int(row["step"]) for row in trained.rows("val/r10")] == [1, 3, 5]
    assert list(trained.output.glob("tensorboard/version_0/events.out.tfevents.*"))
    assert (trained.output / "logs" / "version_0" / "config.yaml").is_file()


@pytest.mark.parametrize(("where", "workers"), [((2,), 1), ((1, "validation_step", 0), 0)])
def test_the_same_command_resumes_an_interrupted_training_exactly(
    trained, tmp_path, cache, crash, where, workers
):
    command = arguments(tmp_path, cache, data__num_workers=workers)
    crash(*where)
    with pytest.raises(Crash):
        pretrain(command)
    assert Trained(tmp_path).checkpoint()["global_step"] == 2 * where[0]
    assert not (tmp_path / "motionbeat.safetensors").exists()
    expected = trained.checkpoint()
    for _ in range(2):  # after the end it changes nothing
        pretrain(command)
        kept = Trained(tmp_path).checkpoint()
        assert equal(kept["state_dict"], expected["state_dict"])
        [state], [wanted] = kept["optimizer_states"], expected["optimizer_states"]
        assert all(equal(state["state"][k], wanted["state"][k]) for k in wanted["state"])
        assert equal(Trained(tmp_path).weights(), trained.weights())


def test_two_processes_resume_where_one_was_interrupted(trained, tmp_path, cache, crash):
    output = tmp_path / "output"
    crash(2)
    with pytest.raises(Crash):
        pretrain(arguments(output, cache))
    # A file, which Lightning can start once more with another rank.
    script = tmp_path / "command.py"
    script.write_text("from motionbeat.benchmarks.cli import main\n\nmain()\n")
    ddp = {"trainer__strategy": "ddp", "trainer__devices": 2, "trainer__accelerator": "cpu"}
    ended = subprocess.run(
        [sys.executable, script, "pretrain", *arguments(output, cache, **ddp)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr.startswith(f"resuming from {output / 'checkpoints' / 'last.ckpt'}\n")
    assert f"{output / 'motionbeat.safetensors'}: val/r10 " in ended.stderr
    kept, alone = (one.checkpoint() for one in (Trained(output), trained))
    assert kept["global_step"] == alone["global_step"] == 6
    # One process alone reaches the same state, so the difference comes from the other one.
    assert not equal(kept["state_dict"], alone["state_dict"])
    assert all(torch.isfinite(value).all() for value in kept["state_dict"].values())


def test_the_second_stage_keeps_the_locked_audio_tower(trained, tmp_path, cache):
    start = trained.output / "motionbeat.safetensors"
    stage = {"model__start": start, "model__lock_audio": "true", "data__captured": "true"}
    pretrain(arguments(tmp_path, cache, trainer__max_epochs=1, **stage))
    before, after = trained.weights(), Trained(tmp_path).weights()
    same = {name: torch.equal(after[name], value) for name, value in before.items()}
    assert all(kept for name, kept in same.items() if name.startswith("audio."))
    assert not all(kept for name, kept in same.items() if name.startswith("motion."))


def test_a_live_model_begins_with_other_weights_and_hears_by_its_own_clock(
    trained, tmp_path, cache
):
    start = trained.output / "motionbeat.safetensors"
    stage = {"model__start": start, "model__live": "true", "model__lock_motion": "true"}
    pretrain(arguments(tmp_path, cache, trainer__max_epochs=1, **stage))
    before, after = trained.weights(), Trained(tmp_path).weights()
    same = {name: torch.equal(after[name], value) for name, value in before.items()}
    assert all(kept for name, kept in same.items() if name.startswith("motion."))
    assert not all(kept for name, kept in same.items() if name.startswith("audio."))
    encoder = from_pretrained(tmp_path / "motionbeat.safetensors")
    assert isinstance(encoder, LiveEncoder)
    assert encoder(torch.zeros(1, 44_100)).isfinite().all()


def refused(output, cache, **changes):
    ended = motionbeat("pretrain", *arguments(output, cache, **changes))
    assert ended.code == 1
    assert ended.printed == ""
    [line] = ended.said.splitlines()
    return line.removeprefix("motionbeat: error: ")


def test_a_checkpoint_of_other_settings_is_refused(trained, cache):
    line = refused(trained.output, cache, model__learning_rate=0.01, data__seconds="[5, 6]")
    assert line == (
        f"{trained.output / 'checkpoints' / 'last.ckpt'} was made with model.learning_rate 0.001, "
        "now 0.01; data.seconds [5.0, 12.0], now [5.0, 6.0]; choose another output"
    )


def halve(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def strip(path):
    """A checkpoint without the state of its optimiser."""
    content = torch.load(path, map_location="cpu", weights_only=True)
    del content["optimizer_states"]
    torch.save(content, path)


@pytest.mark.parametrize("damage", [halve, strip, lambda path: path.write_bytes(b"")])
def test_a_damaged_checkpoint_costs_one_epoch(trained, tmp_path, cache, damage, capsys):
    output = shutil.copytree(trained.output, tmp_path / "output")
    damage(output / "checkpoints" / "last.ckpt")
    pretrain(arguments(output, cache))
    said = capsys.readouterr().err.replace("\n", "")
    assert "last.ckpt is damaged" in said
    assert "resuming from" in said
    # the folder was moved as well, and the best checkpoint is known again
    assert equal(Trained(output).checkpoint()["state_dict"], trained.checkpoint()["state_dict"])
    assert equal(Trained(output).weights(), trained.weights())


def test_damage_that_cannot_be_gone_around_is_one_line(trained, tmp_path, cache):
    output = shutil.copytree(trained.output, tmp_path / "output")
    halve(output / "checkpoints" / "best.ckpt")
    command = arguments(output, cache)
    ended = motionbeat("pretrain", *command)
    assert ended.code == 1
    last = ended.said.splitlines()[-1]
    assert "best.ckpt: is missing or damaged" in last
    for name in ("last", "previous"):
        halve(output / "checkpoints" / f"{name}.ckpt")
    ended = motionbeat("pretrain", *command)
    assert ended.code == 1
    assert "every checkpoint is damaged" in ended.said.splitlines()[-1]


def test_an_output_that_is_moved_meanwhile_stops_the_training(tmp_path, cache, monkeypatch):
    step = Pretraining.training_step

    def moved(self, batch, batch_idx):
        if self.global_step == 3:
            (tmp_path / "output").rename(tmp_path / "elsewhere")
        return step(self, batch, batch_idx)

    monkeypatch.setattr(Pretraining, "training_step", moved)
    ended = motionbeat("pretrain", *arguments(tmp_path / "output", cache))
    assert ended.code == 1
    assert ended.said.splitlines()[-1].startswith(f"motionbeat: error: {tmp_path / 'output'}")
    assert "Traceback" not in ended.said
    assert not (tmp_path / "output" / "motionbeat.safetensors").exists()


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"data__batch_size": 6}, "a batch of 6 clips out of 8 pairs; choose a multiple of 4"),
        ({"data__seconds": "[9, 5]"}, "2 steps an epoch, 2 variants, clips of 9 to 5 s; choose"),
        (
            {"trainer__devices": 0, "trainer__accelerator": "cpu"},
            "Lightning refuses the settings: ",
        ),
        ({"data__validation": "groovebox"}, f"validation on groovebox; choose from {DATASET}"),
        ({"datasets": {DATASET: {"dances": 0}}}, "dancing: no track of the train split has"),
        ({"model__lock_audio": "true"}, "lock_audio would keep random weights; give start"),
        ({"model__lock_motion": "true"}, "lock_motion would keep random weights; give start"),
    ],
)
def test_settings_that_cannot_be_trained_with(tmp_path, cache, changes, expected):
    assert refused(tmp_path, cache, **changes).startswith(expected)
    assert not (tmp_path / "checkpoints").exists()


def test_a_pair_that_cannot_be_used_is_named_in_one_line(tmp_path):
    Dancing(tmp_path / "data").prepare_data()
    for path in (tmp_path / "data").rglob("train*.npz"):
        motion = Motion.load(path)
        write_dance(path, Motion(motion.positions[:400], motion.fps))
    line = refused(tmp_path / "output", tmp_path, data__num_workers=1)
    assert line.startswith("pair dancing/train")
    assert line.endswith(": 8.00 s of music and 6.67 s of motion; cut both to the same part")


@pytest.mark.parametrize("config", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.stem)
def test_configurations_are_of_the_command_line(config):
    command, dataset = ("distill", "game_music") if config.stem == "sound" else PRETRAINED
    ended = motionbeat(command, "--config", config, "--print_config")
    assert ended.code in (0, None)
    assert dataset in ended.printed
