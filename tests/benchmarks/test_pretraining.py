import csv
import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
import yaml
from rich.console import Console
from safetensors.torch import load_file
from tests.command import motionbeat
from tests.dancing import Dancing, write_dance

from motionbeat import console
from motionbeat.model import MotionBeat
from motionbeat.motion import Motion
from motionbeat.pretraining.module import Pretraining
from motionbeat.progress import StepBar
from motionbeat.weights import load_model

DATASET = "tests.dancing:Dancing"
PARTS = {"train/loss", "train/contrast", "train/beat", "train/bar", "train/anchor"}


def arguments(output, cache, *more, datasets=None, **changes):
    """The command with small settings, changed as ``training__epochs=3``."""
    options = {
        "datasets": json.dumps({DATASET: {}} if datasets is None else datasets),
        "validation": DATASET,
        "architecture.size": "tiny",
        "training.epochs": 2,
        "training.steps": 2,
        "training.batch_size": 4,
        "training.variants": 1,
        "training.workers": 0,
    } | {name.replace("__", "."): value for name, value in changes.items()}
    options |= {"output": output, "cache": cache}
    return [
        "pretrain",
        *(part for name, value in options.items() for part in (f"--{name}", str(value))),
        *more,
    ]


class Trained(NamedTuple):
    """A finished pretraining."""

    ended: tuple
    output: Path

    def log(self):
        with (self.output / "logs" / "metrics.csv").open(newline="") as file:
            return [{k: v for k, v in row.items() if v} for row in csv.DictReader(file)]

    def checkpoint(self, name="last"):
        path = self.output / "checkpoints" / f"{name}.ckpt"
        return torch.load(path, map_location="cpu", weights_only=True)

    def weights(self):
        return load_file(self.output / "motionbeat.safetensors")


def equal(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """Data and features, made by the first test that needs them."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def trained(tmp_path_factory, cache):
    output = tmp_path_factory.mktemp("trained") / "output"
    return Trained(motionbeat(*arguments(output, cache)), output)


@pytest.fixture(scope="module")
def in_one_go(tmp_path_factory, cache):
    """Three epochs without an interruption."""
    output = tmp_path_factory.mktemp("in_one_go") / "output"
    return Trained(
        motionbeat(*arguments(output, cache, training__epochs=3, training__variants=2)), output
    )


class Crash(BaseException):
    """What nothing handles, as a killed process does not."""


@pytest.fixture
def stop_in(monkeypatch):
    """Stop training in the middle of an epoch, once."""

    def stop(epoch, by, hook="training_step", at=1):
        step = getattr(Pretraining, hook)

        def stopped(self, batch, index):
            if (self.current_epoch, index) == (epoch, at):
                monkeypatch.setattr(Pretraining, hook, step)
                raise by
            return step(self, batch, index)

        monkeypatch.setattr(Pretraining, hook, stopped)

    handler = signal.getsignal(signal.SIGINT)
    yield stop
    signal.signal(signal.SIGINT, handler)  # Lightning ignores interrupts once it had one


def test_a_training_writes_weights_checkpoints_and_logs(trained):
    assert trained.ended.code == 0
    model = load_model(trained.output / "motionbeat.safetensors")
    assert sum(p.numel() for p in model.parameters()) == sum(
        p.numel() for p in MotionBeat("tiny").parameters()
    )
    best = trained.checkpoint("best")["state_dict"]
    weights = trained.weights()
    assert equal(weights, {k.removeprefix("model."): best[f"model.{k}"] for k in weights})
    assert not equal(weights, MotionBeat("tiny").state_dict())
    assert trained.checkpoint()["global_step"] == 4

    log = trained.log()
    training = [row for row in log if "train/loss" in row]
    assert [int(row["step"]) for row in training] == [1, 3]
    for row in training:
        assert row.keys() >= PARTS
        values = {name.removeprefix("train/"): float(row[name]) for name in PARTS}
        total = values["contrast"] + 10 * values["beat"] + 5 * values["bar"] + values["anchor"]
        assert values["loss"] == pytest.approx(total, rel=1e-5)
    validation = [row for row in log if "retrieval" in row]
    assert [int(row["step"]) for row in validation] == [1, 3]
    assert validation[0].keys() >= {"validation/music_to_motion_r1", "validation/shift"}

    [events] = (trained.output / "tensorboard").glob("events.out.tfevents.*")
    content = events.read_bytes()
    assert all(name.encode() in content for name in (*PARTS, "retrieval"))


def test_nothing_is_said_but_where_the_weights_are(trained):
    assert trained.ended.printed == ""
    [line] = trained.ended.said.splitlines()
    assert line.startswith(f"{trained.output / 'motionbeat.safetensors'}: R@10 on validation 1.000")


def test_the_same_command_after_the_end_changes_nothing(trained, cache):
    log, weights = trained.log(), trained.weights()
    ended = motionbeat(*arguments(trained.output, cache))
    assert ended.code == 0
    first, second = ended.said.splitlines()
    assert first == f"going on from {trained.output / 'checkpoints' / 'last.ckpt'}"
    assert second == trained.ended.said.strip()
    assert trained.log() == log
    assert equal(trained.weights(), weights)


def test_a_configuration_file_does_the_same(trained, tmp_path, cache):
    config = tmp_path / "config.yaml"
    config.write_text(
        yaml.safe_dump(
            {
                "datasets": {DATASET: {}},
                "validation": DATASET,
                "architecture": {"size": "tiny"},
                "training": {
                    "epochs": 2, "steps": 2, "batch_size": 4, "variants": 1, "workers": 0,
                    "seconds": [5.0, 12.0],
                },
            }
        )
    )  # fmt: skip
    output = tmp_path / "output"
    ended = motionbeat("pretrain", "--config", config, "--output", output, "--cache", cache)
    assert ended.code == 0
    again = Trained(ended, output)
    assert again.log() == trained.log()
    assert equal(again.weights(), trained.weights())


def test_the_seed_decides(trained, tmp_path, cache):
    other = Trained(motionbeat(*arguments(tmp_path, cache, training__seed=1)), tmp_path)
    assert other.ended.code == 0
    assert other.log()[0]["train/loss"] != trained.log()[0]["train/loss"]
    assert not equal(other.weights(), trained.weights())


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("epoch", [1, 2])
def test_an_interrupted_training_goes_on_exactly(
    in_one_go, tmp_path, cache, stop_in, epoch, workers
):
    changes = {"training__epochs": 3, "training__variants": 2, "training__workers": workers}
    command = arguments(tmp_path, cache, **changes)
    stop_in(epoch, Crash())
    with pytest.raises(Crash):
        motionbeat(*command)
    stopped = Trained(None, tmp_path)
    assert stopped.checkpoint()["global_step"] == 2 * epoch
    assert not (tmp_path / "motionbeat.safetensors").exists()
    ended = motionbeat(*command)
    assert ended.code == 0
    assert ended.said.startswith(f"going on from {tmp_path / 'checkpoints' / 'last.ckpt'}\n")
    again = Trained(ended, tmp_path)
    assert [int(row["step"]) for row in again.log()] == [1, 1, 3, 3, 5, 5]
    assert again.log() == in_one_go.log()
    assert equal(again.weights(), in_one_go.weights())
    kept, expected = again.checkpoint(), in_one_go.checkpoint()
    assert equal(kept["state_dict"], expected["state_dict"])
    [state], [wanted] = kept["optimizer_states"], expected["optimizer_states"]
    for number, moments in wanted["state"].items():
        assert equal(state["state"][number], moments)
    assert kept["lr_schedulers"] == expected["lr_schedulers"]


def test_two_processes_go_on_where_one_was_stopped(in_one_go, tmp_path, cache, stop_in):
    output = tmp_path / "output"
    changes = {"training__epochs": 3, "training__variants": 2}
    stop_in(2, Crash())
    with pytest.raises(Crash):
        motionbeat(*arguments(output, cache, **changes))
    changes |= {"training__strategy": "ddp", "training__devices": 2}
    changes |= {"training__accelerator": "cpu"}
    # A file, which Lightning can start once more with another rank.
    script = tmp_path / "command.py"
    script.write_text("from motionbeat.benchmarks.cli import main\n\nmain()\n")
    ended = subprocess.run(
        [sys.executable, script, *arguments(output, cache, **changes)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (0, ""), ended.stderr
    first, second = ended.stderr.splitlines()
    assert first == f"going on from {output / 'checkpoints' / 'last.ckpt'}"
    assert second.startswith(f"{output / 'motionbeat.safetensors'}: R@10 on validation ")
    again = Trained(ended, output)
    assert [int(row["step"]) for row in again.log()] == [1, 1, 3, 3, 5, 5]
    assert again.log()[:4] == in_one_go.log()[:4]
    kept, alone = (one.checkpoint()["state_dict"] for one in (again, in_one_go))
    assert kept.keys() == alone.keys()
    # One process alone gives the very same state, so what differs comes from the other one.
    assert not equal(kept, alone)
    assert all(torch.isfinite(value).all() for value in kept.values())


@pytest.mark.parametrize(("rank", "shown"), [(None, 1), ("0", 1), ("1", 0)])
def test_one_process_speaks_for_all(monkeypatch, rank, shown):
    terminal = io.StringIO()
    monkeypatch.setattr(console, "console", Console(file=terminal, force_terminal=True))
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    if rank is not None:
        monkeypatch.setenv("LOCAL_RANK", rank)
    console.say("done")
    assert terminal.getvalue().count("done") == shown
    assert [bar.disable for bar in (console.bar("steps"), console.bytes_bar())] == [not shown] * 2


def test_what_was_logged_after_the_checkpoint_is_not_logged_twice(
    in_one_go, tmp_path, cache, stop_in
):
    command = arguments(tmp_path, cache, training__epochs=3, training__variants=2)
    stop_in(1, Crash(), "validation_step", 0)
    with pytest.raises(Crash):
        motionbeat(*command)
    stopped = Trained(None, tmp_path)
    assert [int(row["step"]) for row in stopped.log()] == [1, 1, 3]
    assert stopped.checkpoint()["global_step"] == 2
    again = Trained(motionbeat(*command), tmp_path)
    assert again.log() == in_one_go.log()
    assert equal(again.weights(), in_one_go.weights())


def test_an_epoch_that_is_no_better_is_kept_all_the_same(in_one_go):
    assert in_one_go.checkpoint("best")["global_step"] == 2  # R@10 among 4 clips is always 1
    assert in_one_go.checkpoint()["global_step"] == 6


def test_an_interrupt_from_the_keyboard_says_how_to_go_on(tmp_path, cache, stop_in):
    stop_in(1, KeyboardInterrupt())
    ended = motionbeat(*arguments(tmp_path, cache))
    assert ended.code == 130
    assert ended.said == "motionbeat: interrupted; the same command goes on from here\n"
    assert motionbeat(*arguments(tmp_path, cache)).code == 0


def refused(ended):
    assert ended.code == 1
    assert ended.printed == ""
    [line] = ended.said.splitlines()
    assert line.startswith("motionbeat: error: ")
    return line.removeprefix("motionbeat: error: ")


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"training__learning_rate": 0.01}, "training.learning_rate 0.001, now 0.01"),
        ({"training__epochs": 5}, "training.epochs 2, now 5"),
        ({"architecture__size": "small"}, "architecture.size tiny, now small"),
        ({"architecture__rotate": "false"}, "architecture.rotate True, now False"),
        ({"objective__beat": 0.0}, "objective.beat 10.0, now 0.0"),
        ({"datasets": {DATASET: {"seconds": 9.0}, "groovebox": {
            "styles": ["rock"], "train": 1, "seconds": 8.0}}}, "data.training 8 pairs"),
    ],
)  # fmt: skip
def test_a_checkpoint_of_other_settings_is_refused(trained, cache, changes, named):
    before = trained.log(), trained.weights()
    line = refused(motionbeat(*arguments(trained.output, cache, **changes)))
    assert line.startswith(f"{trained.output / 'checkpoints' / 'last.ckpt'} was made with {named}")
    assert line.endswith("; choose another output folder")
    assert line.count("now") == 1
    assert trained.log() == before[0]
    assert equal(trained.weights(), before[1])


def test_a_damaged_checkpoint_is_refused(tmp_path, cache):
    last = tmp_path / "checkpoints" / "last.ckpt"
    last.parent.mkdir()
    for content in (b"", b"garbage"):
        last.write_bytes(content)
        line = refused(motionbeat(*arguments(tmp_path, cache)))
        assert line.startswith(f"{last}: unreadable checkpoint (")
        assert line.endswith("); delete it to begin anew")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"architecture__size": "huge"}, "no size huge; choose from tiny, small, base"),
        ({"training__batch_size": 6}, "a batch of 6 clips out of 8 pairs; choose a multiple of 4"),
        ({"training__batch_size": 12}, "a batch of 12 clips out of 8 pairs; choose a multiple"),
        ({"training__batch_size": 0}, "a batch of 0 clips out of 8 pairs; choose a multiple of 4"),
        ({"training__epochs": 0}, "training.epochs is 0; choose 1 or more"),
        ({"training__variants": 0}, "training.variants is 0; choose 1 or more"),
        ({"training__seconds": "[9, 5]"}, "clips of 9.0 to 5.0 s; choose the shorter one first"),
        ({"training__accelerator": "warp"}, "Lightning's trainer refuses the settings: "),
        ({"validation": "groovebox"}, f"validation on groovebox; choose from {DATASET}"),
        (
            {"datasets": {DATASET: {"dances": 0}}},
            "dancing: no track of the train split has a dance; choose another",
        ),
        ({"datasets": {DATASET: {"seconds": 4.0}}}, "no pair to validate on has 5 s; choose"),
        ({"datasets": {DATASET: {"length": 4}}}, f"dataset '{DATASET}' has no option 'length'"),
        ({"datasets": {"dansing": {}}, "validation": "dansing"}, "unknown dataset 'dansing'"),
    ],
)
def test_settings_that_cannot_be_trained_with(tmp_path, cache, changes, expected):
    line = refused(motionbeat(*arguments(tmp_path / "output", cache, **changes)))
    assert line.startswith(expected)
    assert not (tmp_path / "output" / "checkpoints").exists()


@pytest.mark.parametrize("workers", [0, 1])
def test_a_pair_that_cannot_be_used_is_named_in_one_line(tmp_path, workers):
    Dancing(tmp_path / "data").prepare_data()
    for path in (tmp_path / "data").rglob("train*.npz"):
        motion = Motion.load(path)
        write_dance(path, Motion(motion.positions[:400], motion.fps))
    changes = {"training__workers": workers}
    line = refused(motionbeat(*arguments(tmp_path / "output", tmp_path, **changes)))
    assert line.startswith("pair dancing/train")
    assert line.endswith(": 8.00 s of music and 6.67 s of motion; cut both to the same part")


def test_on_a_terminal_one_bar_shows_rate_and_time_left(tmp_path, cache, monkeypatch):
    terminal = io.StringIO()
    monkeypatch.setenv("TERM", "xterm")
    shown_at = Console(file=terminal, force_terminal=True, color_system=None, width=120)
    monkeypatch.setattr(console, "console", shown_at)
    advance = StepBar.on_train_batch_end
    bars = []

    def shown(self, *arguments):
        advance(self, *arguments)
        self.progress.refresh()  # now, not at the next tenth of a second
        bars.append([(task.completed, task.total) for task in self.progress.tasks])

    monkeypatch.setattr(StepBar, "on_train_batch_end", shown)
    ended = motionbeat(*arguments(tmp_path, cache))
    assert (ended.code, ended.printed, ended.said) == (0, "", "")
    assert bars == [[(step, 4)] for step in (1, 2, 3, 4)]
    lines = [line for line in terminal.getvalue().splitlines() if "training" in line]
    for step in (1, 2, 3, 4):
        assert any(f"{step}/4" in line and "left" in line for line in lines)
    assert any("steps/s" in line for line in lines)
    for other in ("Epoch", "Tip", "GPU", "Validation", "Warning"):
        assert other not in terminal.getvalue()


def test_the_bar_goes_on_where_the_training_does(tmp_path, cache, monkeypatch, stop_in):
    begun = []
    start = StepBar.on_train_start

    def noted(self, *arguments):
        start(self, *arguments)
        begun.extend((task.completed, task.total) for task in self.progress.tasks)

    monkeypatch.setattr(StepBar, "on_train_start", noted)
    stop_in(1, Crash())
    with pytest.raises(Crash):
        motionbeat(*arguments(tmp_path, cache))
    assert motionbeat(*arguments(tmp_path, cache)).code == 0
    assert begun == [(0, 4), (2, 4)]


def test_a_locked_audio_tower_stays_as_it_was(trained, tmp_path, cache):
    start = trained.output / "motionbeat.safetensors"
    ended = motionbeat(
        *arguments(
            tmp_path / "output", cache, "--training.locked", training__start=start,
            training__captured=True, training__variants=2,
        )
    )  # fmt: skip
    assert ended.code == 0, ended.said
    before, after = trained.weights(), load_file(tmp_path / "output" / "motionbeat.safetensors")
    parts = {
        part: {name: value for name, value in before.items() if name.startswith(part)}
        for part in ("audio.", "motion.")
    }
    assert all(torch.equal(after[name], value) for name, value in parts["audio."].items())
    assert not all(torch.equal(after[name], value) for name, value in parts["motion."].items())


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"training__locked": True}, "give training.start"),
        ({"training__start": "motionbeat-small"}, "no model of size tiny"),
        ({"training__start": "nowhere.safetensors"}, "no such file"),
    ],
)
def test_a_start_that_cannot_be_started_with(tmp_path, cache, changes, named):
    ended = motionbeat(*arguments(tmp_path / "output", cache, **changes))
    assert ended.code == 1
    assert named in ended.said
    assert ended.said.count("\n") == 1
