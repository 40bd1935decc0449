"""Every task on every published dataset that serves it, through the real command line."""

from dataclasses import replace

import pytest
from motionbeat.benchmarks.runner import serves
from motionbeat.tasks.beat import BeatTask
from motionbeat.tasks.beat_references import Chance
from motionbeat.tasks.clip import ClipTask
from motionbeat.tasks.retrieval import RetrievalTask
from motionbeat.tasks.tempo import TempoTask
from tests import lookalikes
from tests.command import motionbeat
from tests.conftest import QUICK, record

from motionbeat.benchmarks.registry import DATASETS, TASKS
from motionbeat.tasks.dance_generation import DanceGeneration

PAIRS = [
    (module, name, task)
    for module in lookalikes.MODULES.values()
    for name in module.COUNTS
    for task in TASKS.classes
    if serves(DATASETS.get(name), TASKS.get(task))
]


@pytest.mark.usefixtures("short_training")
@pytest.mark.parametrize(("module", "name", "task"), PAIRS, ids=[f"{t}-{n}" for _, n, t in PAIRS])
def test_a_task_runs_on_a_copy_of_the_dataset(module, name, task, tmp_path, monkeypatch):
    kind = DATASETS.get(name)
    lookalikes.place(module, tmp_path, monkeypatch)
    if kind.card.trained_on:
        monkeypatch.setattr(kind, "card", replace(kind.card, trained_on="tests.clicks:Clicks"))
    monkeypatch.setattr(ClipTask, "max_steps", 10)
    monkeypatch.setattr(ClipTask, "epochs", 0)
    monkeypatch.setattr(ClipTask, "check_every", 5)
    for kind_of_pair in (RetrievalTask, DanceGeneration):
        monkeypatch.setattr(kind_of_pair, "window", 0.5)
        monkeypatch.setattr(kind_of_pair, "max_steps", 10)
        monkeypatch.setattr(kind_of_pair, "check_every", 5)
    for kind_of_beat in (BeatTask, TempoTask):
        monkeypatch.setattr(kind_of_beat, "references", classmethod(lambda cls: (Chance(),)))
    places = [
        f"--{place}={tmp_path / place}" for place in ("cache", "data", "results")
    ]  # fmt: skip
    ended = motionbeat(
        "bench", "--task", task, "--dataset", name, "--encoder", "tests.toys:Tiny", *QUICK, *places
    )
    assert ended.code == 0, ended.said
    assert TASKS.get(task).primary in ended.said
    found = record(tmp_path, "tiny")
    assert set(found.results) == set(TASKS.get(task).probes)
    assert len(found.tracks) > 0
    reference = "ground-truth" if task == "dance" else "chance"
    assert record(tmp_path, reference).tracks == found.tracks


def test_all_tasks_but_beats_have_a_published_dataset():
    assert {task for _, _, task in PAIRS} >= set(TASKS.classes) - {"toy"}
