"""Records and tasks made by hand, for tests of what is made of records."""

from datetime import UTC, datetime
from types import SimpleNamespace

import numpy as np

from motionbeat.benchmarks.records import NO_HEAD, HeadResult, Protocol, RunRecord, provenance
from motionbeat.benchmarks.registry import TASKS
from motionbeat.benchmarks.significance import scores
from motionbeat.tasks.contract import Contract
from motionbeat.tasks.metrics.classification import summarise_single_label


class Toy(Contract):
    """A task whose metrics are means over tracks."""

    name = "toy"
    version = 3
    primary = "score"
    headline = {"score": "Score", "p": "p (chance)"}  # noqa: RUF012
    corpus_level = frozenset({"p"})
    conditions = {"clip_seconds": 5.0}  # noqa: RUF012


class ToyClasses(Toy):
    """A task of one class a track."""

    name = "toy_classes"
    primary = "accuracy"
    headline = {"accuracy": "accuracy", "macro_f1": "macro F1"}  # noqa: RUF012
    corpus_level = frozenset()
    conditions = {}  # noqa: RUF012
    summarise = staticmethod(summarise_single_label)


def know_toys(monkeypatch):
    """The toys are the known tasks."""
    monkeypatch.setitem(TASKS.__dict__, "classes", {one.name: one for one in (Toy, ToyClasses)})


def toy_cards(monkeypatch, registry):
    """Two rendered datasets of one renderer, and a real one."""
    cards = {
        name: SimpleNamespace(
            renderer=renderer,
            data="rendered" if renderer else "real",
            is_among=lambda known, name=name: name in known,
        )
        for name, renderer in {"mill": "wheel", "watermill": "wheel", "songs": ""}.items()
    }
    classes = {name: SimpleNamespace(card=card) for name, card in cards.items()}
    monkeypatch.setitem(registry.__dict__, "classes", classes)


def per_track(values, **more):
    """Scores of :class:`Toy` by track, for one seed or several."""
    values = np.atleast_2d(np.asarray(values, float))
    return {"score": values, "p": np.full(values.shape, 0.02)} | more


def result(scored, groups, task=Toy):
    return HeadResult(
        learning_rate=0.01,
        sweep={"0.01": 0.5},
        monitor=(0.5,),
        layer_weights=((1.0,),),
        per_track=scored,
        scores=scores(scored, groups, task.summarise),
        seconds=1.5,
    )


def record(name="tiny", values=(0.25, 0.5, 0.75, 1.0), task=Toy, groups=None, **changes):
    """A record of an encoder with one linear head, unless changes say otherwise."""
    scored = values if isinstance(values, dict) else per_track(values)
    count = next(iter(scored.values())).shape[1]
    groups = groups or tuple(f"song {number}" for number in range(count))
    head = "linear" if changes.get("kind", "encoder") == "encoder" else NO_HEAD
    facts = {
        "key": name, "task": task.name, "task_version": task.version, "dataset": "mill",
        "dataset_revision": "1", "trained_on": None, "data": "rendered",
        "conditions": task.conditions, "kind": "encoder", "name": name, "revision": "1",
        "licence": "Apache-2.0", "parameters": 12, "training_data": (),
        "protocol": Protocol(learning_rates=(0.01,), seeds=(0,)),
        "tracks": tuple(f"track {number}" for number in range(count)), "groups": groups,
        "results": {head: result(scored, groups, task)}, "package_version": "0", "git_commit": "",
        "hardware": provenance()["hardware"], "seconds": 0.0,
        "finished": datetime(2026, 11, 28, tzinfo=UTC),
    }  # fmt: skip
    return RunRecord(**facts | changes)
