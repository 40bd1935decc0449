import shutil
from dataclasses import replace
from typing import NamedTuple

import pytest
import torch
from tests.clicks import Clicks
from tests.command import Ended, motionbeat
from tests.toys import Tones

from motionbeat.benchmarks import protocol
from motionbeat.benchmarks.records import read_record
from motionbeat.benchmarks.registry import TASKS
from motionbeat.tasks.beat_tracking import BeatTracking

# Tiny tensors gain nothing from threads, which only get in the way of parallel tests.
torch.set_num_threads(1)

QUICK = ("--seeds", 2, "--learning_rates", "[0.003, 0.03]")


def record(folder, name):
    [path] = (folder / "results" / "runs").rglob(f"{name}.json")
    return read_record(path)


def run(folder, *more, task="beat", encoder="tests.toys:Tiny", dataset="tests.clicks:Clicks"):
    """Bench an encoder with one seed and one learning rate, unless more options say otherwise."""
    options = {
        "--task": task, "--encoder": encoder, "--dataset": dataset, "--seeds": 1,
        "--learning_rates": "[0.01]", "--cache": folder / "cache", "--results": folder / "results",
    }  # fmt: skip
    return motionbeat("bench", *(part for option in options.items() for part in option), *more)


def failed(ended, *words):
    """It exits with 1 and one line that holds these words, whatever was said before."""
    assert ended.code == 1, ended.said
    line = ended.said.splitlines()[-1]
    assert line.startswith("motionbeat: error: ")
    assert all(str(word) in line for word in words), line
    assert "Traceback" not in ended.said
    return True


def shorten(patch, **changes):
    """Let all tasks be trained for a few steps."""
    short = {"max_steps": 12, "epochs": 0, "check_every": 4} | changes
    for task in {*TASKS.classes.values(), BeatTracking}:
        patch.setattr(task, "recipe", replace(task.recipe, **short))


def alter(patch, dataset, change):
    """Let the tracks of a dataset be what ``change(track, split)`` makes of them."""
    tracks = dataset.tracks
    changed = lambda self, split: [change(t, split) for t in tracks(self, split)]  # noqa: E731
    patch.setattr(dataset, "tracks", changed)


@pytest.fixture
def short_training(monkeypatch):
    shorten(monkeypatch)


@pytest.fixture
def alone(monkeypatch):
    """No baselines beside the encoders."""
    for task in TASKS.classes.values():
        monkeypatch.setattr(task, "baselines", classmethod(lambda cls: ()))


@pytest.fixture
def trained(monkeypatch):
    """The ensembles that were trained, one after another."""
    found = []
    fit = protocol.fit

    def listened(ensemble, *rest, **options):
        fit(ensemble, *rest, **options)
        found.append(ensemble)

    monkeypatch.setattr(protocol, "fit", listened)
    return found


class Bench(NamedTuple):
    """A finished benchmark of logmel on the click tracks."""

    folder: str
    ended: Ended

    @property
    def arguments(self):
        places = ("--cache", self.folder / "cache", "--results", self.folder / "results")
        return ("bench", "--dataset", "tests.clicks:Clicks", "--encoder", "logmel", *QUICK, *places)

    def record(self, name):
        return record(self.folder, name)


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    bench = Bench(tmp_path_factory.mktemp("finished"), None)
    with pytest.MonkeyPatch.context() as patch:
        shorten(patch)
        return bench._replace(ended=motionbeat(*bench.arguments))


@pytest.fixture
def bench(finished, tmp_path, short_training):
    """A copy of the finished benchmark that a test may change."""
    folder = tmp_path / "copy"
    shutil.copytree(finished.folder, folder)
    return finished._replace(folder=folder)


def made(kind):
    """A dataset that is there; a test must not change it."""

    @pytest.fixture(scope="session")
    def dataset(tmp_path_factory):
        module = kind(cache=tmp_path_factory.mktemp(kind.card.name))
        module.prepare_data()
        return module

    return dataset


clicks, tones = made(Clicks), made(Tones)
