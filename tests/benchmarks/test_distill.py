"""``motionbeat distill``: from the audio of datasets to a sound stream that knows its teachers."""

import json
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file
from tests.clicks import Clicks, dataset_card
from tests.command import motionbeat

from motionbeat.benchmarks.taught_music import TaughtMusic
from motionbeat.pretraining.distillation import Distillation
from motionbeat.weights import load_model

DATASETS = {"tests.clicks:Clicks": {}}


def arguments(output, cache, **changes):
    options = {
        "data.datasets": json.dumps(DATASETS),
        "data.teachers": '["logmel", "mfcc_chroma"]',
        "data.cache": cache,
        "data.batch_size": 4,
        "data.steps_per_epoch": 3,
        "model.size": "tiny",
        "trainer.max_epochs": 2,
        "output": output,
    } | {name.replace("__", "."): value for name, value in changes.items()}
    return ["distill", *(f"--{name}={value}" for name, value in options.items())]


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


def sound(folder):
    return load_file(folder / "motionbeat.safetensors")


def test_a_training_that_was_cut_short_ends_at_the_same_weights(tmp_path, cache, monkeypatch):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    assert motionbeat(*arguments(whole, cache)).code == 0
    step = Distillation.training_step

    def crash(self, batch, index):
        if self.current_epoch == 1:
            raise KeyboardInterrupt
        return step(self, batch, index)

    monkeypatch.setattr(Distillation, "training_step", crash)
    assert motionbeat(*arguments(cut, cache)).code == 130
    monkeypatch.undo()
    assert "resuming from" in motionbeat(*arguments(cut, cache)).said
    assert sound(whole).keys() == sound(cut).keys()
    assert all(torch.equal(one, sound(cut)[name]) for name, one in sound(whole).items())
    load_model(cut / "motionbeat.safetensors")


def test_segments_are_beside_what_teachers_say_of_them(cache):
    data = TaughtMusic(DATASETS, ["logmel"], batch_size=2, cache=cache)
    data.prepare_data()
    data.setup("fit")
    [segments] = list(data.val_dataloader())
    loud = torch.expm1(segments.log_mel).mean(dim=(1, 2))
    assert len(loud) == 2, "one whole segment of ten seconds of each track"
    targets = data.split["train"].targets["logmel"]
    assert targets.mean(axis=0) == pytest.approx(0, abs=1e-5)
    assert targets.std(axis=0).max() == pytest.approx(1, abs=1e-2)


class Short(Clicks):
    """Tracks that are shorter than a segment."""

    card = dataset_card("short")

    def tracks(self, split):
        return [replace(track, duration=9.0, annotations=()) for track in super().tracks(split)]


def test_datasets_without_a_whole_segment_are_one_line(tmp_path, cache):
    short = json.dumps({f"{__name__}:Short": {}})
    ended = motionbeat(*arguments(tmp_path, cache, data__datasets=short))
    assert ended.code == 1
    assert ended.said.splitlines()[-1].startswith(
        "motionbeat: error: no track of the train splits has 10 s"
    )
