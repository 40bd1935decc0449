import shutil
from typing import NamedTuple

import pytest
import torch
from tests.command import Ended, motionbeat

from motionbeat.benchmarks import runner
from motionbeat.benchmarks.record import RunRecord, read_model
from motionbeat.tasks.beat import BeatTask

# Tiny tensors gain nothing from threads, which only get in the way of parallel tests.
torch.set_num_threads(1)

QUICK = ("--seeds", 2, "--learning_rates", "[0.003, 0.03]")


def record(folder, name):
    [path] = (folder / "results" / "runs").rglob(f"{name}.json")
    return read_model(path, RunRecord)


class Bench(NamedTuple):
    """A finished benchmark of logmel on the click tracks.

    ``scored`` holds prediction and track, row after row, seed after seed.
    """

    folder: str
    ended: Ended
    scored: list

    @property
    def arguments(self):
        places = ("--cache", self.folder / "cache", "--results", self.folder / "results")
        return ("bench", "--dataset", "tests.clicks:Clicks", "--encoder", "logmel", *QUICK, *places)

    def record(self, name):
        return record(self.folder, name)


def train_shortly(patch):
    patch.setattr(BeatTask, "max_steps", 12)
    patch.setattr(BeatTask, "check_every", 4)
    patch.setattr(runner, "in_parallel", one_by_one)


@pytest.fixture
def short_training(monkeypatch):
    train_shortly(monkeypatch)


def one_by_one(label, rows, heavy):
    """Jobs in this process, where the patches of a test are in force."""
    return [[call(*arguments, **options) for call, arguments, options in row] for row in rows]


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    scored = []
    score = BeatTask.score

    def listened(prediction, track):
        scored.append((prediction, track))
        return score(prediction, track)

    bench = Bench(tmp_path_factory.mktemp("finished"), None, scored)
    with pytest.MonkeyPatch.context() as patch:
        train_shortly(patch)
        patch.setattr(BeatTask, "score", listened)
        return bench._replace(ended=motionbeat(*bench.arguments))


@pytest.fixture
def bench(finished, tmp_path, short_training):
    """A copy of the finished benchmark that a test may change."""
    folder = tmp_path / "copy"
    shutil.copytree(finished.folder, folder)
    return finished._replace(folder=folder)
