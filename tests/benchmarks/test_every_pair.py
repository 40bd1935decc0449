"""Every task on every published dataset that serves it, through the real command line."""

from dataclasses import replace

import pytest
from tests import lookalikes
from tests.conftest import record, run, shorten

from motionbeat.benchmarks.evaluator import serves
from motionbeat.benchmarks.registry import DATASETS, TASKS
from motionbeat.tasks import dance_generation, music_motion_retrieval
from motionbeat.tasks.beat_baselines import Chance
from motionbeat.tasks.beat_tracking import BeatTracking
from motionbeat.tasks.metrics import beat

PAIRS = [
    (name, task)
    for name in lookalikes.COPIES
    for task in TASKS.classes
    if serves(DATASETS.get(name), TASKS.get(task))
    and name != "dance_with_melody"  # all of it is tested on, unless a fold is named
]


@pytest.fixture
def short(monkeypatch):
    """Few steps on clips no longer than the copies, and no baseline that is slow."""
    shorten(monkeypatch, max_steps=4, check_every=2)
    monkeypatch.setattr(beat, "FIRST_SECOND", 0.0)  # some copies end before the fifth second
    for module, clip in ((music_motion_retrieval, 0.5), (dance_generation, 1.0)):
        monkeypatch.setattr(module, "CLIP", clip)
    for name in ("retrieval", "retrieval_2d", "dance"):
        task = TASKS.get(name)
        clip = 1.0 if name == "dance" else 0.5
        monkeypatch.setattr(task, "recipe", replace(task.recipe, clip_seconds=clip, batch_size=4))
    for task in TASKS.classes.values():
        if issubclass(task, BeatTracking):
            monkeypatch.setattr(task, "baselines", classmethod(lambda cls: (Chance(),)))


@pytest.mark.parametrize(("name", "task"), PAIRS, ids=[f"{t}-{n}" for n, t in PAIRS])
def test_a_task_runs_on_a_copy_of_the_dataset(name, task, tmp_path, monkeypatch, short):
    kind = DATASETS.get(name)
    lookalikes.place(name, tmp_path, monkeypatch)
    if kind.card.trained_on:
        monkeypatch.setattr(kind, "card", replace(kind.card, trained_on="tests.clicks:Clicks"))
    data = ("--data", tmp_path / "data")
    ended = run(tmp_path, *data, task=task, dataset=name)
    assert ended.code == 0, ended.said
    assert TASKS.get(task).primary in ended.said
    found = record(tmp_path, "tiny")
    assert set(found.results) == set(TASKS.get(task).heads)
    assert len(found.tracks) > 0
    baseline = "ground-truth" if task == "dance" else "chance"
    assert record(tmp_path, baseline).tracks == found.tracks


def test_all_tasks_but_those_made_by_tests_have_a_published_dataset():
    shipped = {
        name for name, kind in TASKS.classes.items() if kind.__module__.startswith("motionbeat.")
    }
    assert {task for _, task in PAIRS} >= shipped
