"""A dataset for every page of the report, whose tracks have names that attack a page."""

from dataclasses import replace

import pytest
from tests.clicks import dataset_card
from tests.command import motionbeat
from tests.conftest import shorten
from tests.dancing import Dancing, train_shortly

from motionbeat.benchmarks.records import read_record, write_record
from motionbeat.data_modules.base import Beats, Genre, MotionFile

HOSTILE = (
    '<img src=x onerror="window.hit=1">',
    "</script><script>window.hit=2</script>",
    "\"'&amp;&lt;`${window.hit=3}`\\",
    "\u202egnol era \u05e9\u05dc\u05d5\u05dd\u202c {{ 1234 * 5678 }}",
    "long" * 60,
)
"""Markup, quotes and templates, text from right to left, and a very long name."""

NAMED = tuple(name.replace("/", "\u2215")[:120] for name in HOSTILE)  # that files may have
TASKS = ("beat", "genre", "retrieval", "dance")
ENCODERS = ("logmel", "no-music")


class Staged(Dancing):
    """Dances in two genres; each test track has a hostile name."""

    card = dataset_card("staged", Beats, MotionFile, Genre, data="synthetic")
    sizes = {"train": 4, "validation": 2, "test": 5}  # noqa: RUF012

    def tracks(self, split):
        tracks = [
            replace(t, annotations=(*t.annotations, Genre(("tango", "waltz <i>")[n % 2])))
            for n, t in enumerate(super().tracks(split))
        ]
        names = HOSTILE if split == "test" else [track.id for track in tracks]
        return [replace(t, id=name) for t, name in zip(tracks, names, strict=False)]

    def prepare_data(self):
        own = Dancing(self.cache, seconds=self.seconds)  # whose files have tame names
        own.sizes = self.sizes
        own.prepare_data()


def bench(folder):
    """Records of every task on the dataset, and hostile ones beside them."""
    places = ("--cache", folder / "cache", "--results", folder / "results")
    for task in TASKS:
        for encoder in ENCODERS:  # two at a time would be trained in other processes
            ended = motionbeat(
                *("bench", "--task", task, "--encoder", encoder, "--seeds", 2),
                *("--dataset", "tests.staged:Staged", "--learning_rates", "[0.003, 0.01]"),
                *places,
            )
            assert ended.code == 0, ended.said
    [path] = (folder / "results" / "runs" / "beat").rglob("logmel.json")
    one = read_record(path)
    for name in NAMED:
        changes = {"name": name, "licence": name, "training_data": (name,), "dataset": NAMED[0]}
        changes |= {"warnings": (name,), "git_commit": name}
        other = one.model_copy(update=changes)
        write_record(path.parent.parent / "hostile" / f"{name}.json", other)
    return folder


def stage(folder):
    """The same, with tasks that train for a moment."""
    with pytest.MonkeyPatch.context() as patch:
        shorten(patch)
        train_shortly(patch)
        return bench(folder)
