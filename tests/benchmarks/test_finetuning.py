"""Encoders that learn with their probe: adapters, gradients, and the way from the command line."""

from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch
from tests.command import motionbeat
from tests.toys import Learner, Tones, ToyGenre

from motionbeat.benchmarks import finetuning, runner
from motionbeat.benchmarks.encoders.motionbeat import MotionBeatRandom
from motionbeat.benchmarks.finetuning import (
    Audio,
    Clips,
    Examples,
    adaptable,
    finetune,
    loosen,
    tuned,
)
from motionbeat.benchmarks.leaderboard import read_records
from motionbeat.benchmarks.record import Protocol
from motionbeat.benchmarks.store import EmbeddingStore, extract
from motionbeat.benchmarks.training import feature_statistics
from motionbeat.tasks.beat import BeatTask
from motionbeat.tasks.features import Windows
from motionbeat.tasks.probe import Member

MODES = ("lora", "full")
FIRST = (Member(0, 0.01),)


class Genre(ToyGenre):
    max_steps = 24
    check_every = 8


class Place:
    """The tones, and what the frozen encoder says of them."""

    def __init__(self, folder, pooling=Genre.pooling, kind=Tones):
        self.tones = kind(folder)
        self.tones.prepare_data()
        tracks = [t for part in ("train", "validation", "test") for t in self.tones.tracks(part)]
        store = EmbeddingStore(folder / "store")
        [self.source] = extract([Learner()], tracks, store, pooling, lambda _: None).values()
        self.audio = Audio(self.source, pooling)

    def tune(self, mode, examined=None, members=FIRST):
        return finetune(
            mode,
            Learner,
            Genre,
            self.source,
            self.tones,
            examined or self.tones,
            probe="linear",
            members=members,
            statistics=feature_statistics(self.source, self.tones.tracks("train")),
            label="test",
        )


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


@pytest.fixture
def seen(monkeypatch):
    """Of every training: the encoder before and after, the losses, and its mode in between."""
    found = []
    learn = finetuning.learn

    def observed(task, teacher, **options):
        clips = list(teacher.train_dataloader())
        encoder = task.encoder
        before = {name: value.clone() for name, value in encoder.state_dict().items()}

        def loss():
            return np.mean([task.training_step(clip, 0).item() for clip in clips])

        worse, modes = loss(), []
        step = task.training_step
        task.training_step = lambda *it: (modes.append(encoder.training), step(*it))[1]
        learn(task, teacher, **options)
        del task.training_step
        task.train()
        encoder.eval()
        found.append((before, encoder.state_dict(), worse, loss(), modes))

    monkeypatch.setattr(finetuning, "learn", observed)
    return found


@pytest.mark.parametrize("kind", [Learner, MotionBeatRandom])
def test_adapters_change_nothing_at_first(kind):
    waveform = torch.rand(1, 3 * kind.card.sample_rate, generator=torch.manual_seed(0)) - 0.5
    with torch.no_grad():
        assert torch.equal(loosen(kind(), "lora")(waveform), kind()(waveform))


def test_adapters_fit_attention_linear_and_pointwise_layers():
    encoder = Learner()
    names = {module: name for name, module in encoder.named_modules()}
    assert {(names[module], weight) for module, weight in adaptable(encoder)} == {
        ("linear", "weight"),
        ("attention", "in_proj_weight"),
        ("attention.out_proj", "weight"),
        ("pointwise", "weight"),
    }


@pytest.mark.parametrize("kind", [Learner, MotionBeatRandom])
def test_adapters_alone_get_gradients(kind):
    encoder = loosen(kind(), "lora")
    encoder(torch.rand(1, 3 * kind.card.sample_rate) - 0.5).square().sum().backward()
    moving = {name for name, weight in encoder.named_parameters() if weight.requires_grad}
    assert all(name.endswith((".0.up", ".0.down")) for name in moving)
    given = {name for name, weight in encoder.named_parameters() if weight.grad is not None}
    assert given
    assert given <= moving


@pytest.mark.parametrize("mode", MODES)
def test_what_shall_move_moves_and_the_loss_falls(place, seen, mode):
    place.tune(mode)
    [(before, after, worse, better, modes)] = seen
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    if mode == "full":
        assert changed == set(before)
    else:
        assert changed
        assert all(name.endswith((".0.up", ".0.down")) for name in changed)
    assert better < worse
    assert modes
    assert not any(modes), "dropout of the encoder is on"


def test_the_encoder_is_slower_than_the_probe(place):
    task = tuned(Genre)(
        place.audio, place.tones.tracks("train"), probe="mlp", members=[Member(0, 0.01)]
    )
    task.hold(loosen(Learner(), "full"), place.audio)
    head, encoder = task.configure_optimizers().param_groups
    assert (head["lr"], encoder["lr"]) == (0.01, 0.01 * finetuning.ENCODER_RATE)
    assert len(encoder["params"]) == len(list(Learner().parameters()))
    assert len(head["params"]) + len(encoder["params"]) == len(list(task.parameters()))


def test_members_are_trained_one_after_another_as_if_alone(place):
    members = [Member(0, 0.01), Member(1, 0.03)]
    together = place.tune("lora", members=members)
    for member, beside in zip(members, together, strict=True):
        [alone] = place.tune("lora", members=[member])
        assert alone.monitor == beside.monitor
        assert all(map(np.array_equal, alone.outputs, beside.outputs))
        assert not hasattr(beside.probe, "encoder")


@pytest.mark.parametrize("pooling", [None, 0.5])
def test_whole_tracks_are_heard_as_the_frozen_encoder_hears_them(tmp_path, pooling):
    place = Place(tmp_path, pooling)
    encoder = loosen(Learner(), "lora")
    for track in place.tones.tracks("test"):
        steps = place.source.length(track)
        whole = place.audio.hear(track, 0, steps)
        found = place.audio.steps(encoder, whole, torch.device("cpu"))
        stored = place.source.read(track, 0, steps).astype(np.float32)
        np.testing.assert_array_equal(found.numpy(), stored)


@pytest.mark.parametrize("pooling", [None, 0.5])
def test_windows_hold_all_of_the_audio_once(tmp_path, pooling):
    place = Place(tmp_path, pooling)
    tracks = place.tones.tracks("train")
    clips = Clips(
        Windows(place.audio, tracks, 3, 3, lambda *_: {}, lambda _, n: {"step": torch.arange(n)}),
        place.audio,
    )
    for index, track in enumerate(tracks):
        mine = [clips[i] for i, (number, *_) in enumerate(clips.windows.windows) if number == index]
        heard = torch.cat([batch.features[0] for batch in mine])
        assert np.array_equal(heard.numpy(), place.audio.waveform(track))
        steps = torch.cat([batch.targets["step"][0] for batch in mine])
        assert steps.tolist() == list(range(place.source.length(track)))
        assert all(batch.mask.all() and batch.mask.shape[1] <= 3 for batch in mine)


def test_annotations_of_the_test_split_stay_unread(place, tmp_path):
    class Bare(Tones):
        def tracks(self, split):
            tracks = super().tracks(split)
            return [replace(t, annotations=()) for t in tracks] if split == "test" else tracks

        def prepare_data(self):
            pass

    [honest], [bare] = place.tune("lora"), place.tune("lora", Bare(tmp_path))
    assert all(map(np.array_equal, honest.outputs, bare.outputs))


def test_only_the_train_split_has_targets(place):
    task = tuned(Genre)(
        place.audio, place.tones.tracks("train"), probe="linear", members=[Member(0, 0.01)]
    )
    examples = Examples(task, place.audio)
    for split, targets in (("train", {"class"}), ("validation", set()), ("test", set())):
        assert set(examples(place.tones.tracks(split), split)[0].targets) == targets


def test_steps_are_counted_where_windows_are_fewer_than_a_step_takes(place, monkeypatch):
    steps = []
    optimise = tuned(Genre).optimizer_step
    monkeypatch.setattr(
        finetuning.Tuned,
        "optimizer_step",
        lambda self, *rest: (steps.append(self.global_step), optimise(self, *rest))[1],
        raising=False,
    )
    place.tune("lora")
    assert len(steps) == Genre.max_steps


TINY = "{train: 1, validation: 1, test: 1, seconds: 9.0, styles: [house, jig]}"


def run(folder, mode, *more, encoder="motionbeat-random"):
    places = ("--cache", folder / "cache", "--results", folder / "results")
    options = ("--seeds", 1, "--learning_rates", "[0.01]", "--encoder", encoder, "--mode", mode)
    return motionbeat("bench", "--dataset_options", TINY, *options, *places, *more)


def test_the_way_from_the_command_line_to_a_table_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setattr(BeatTask, "max_steps", 2)
    monkeypatch.setattr(BeatTask, "check_every", 1)
    monkeypatch.setattr(BeatTask, "references", lambda: ())
    monkeypatch.setattr(BeatTask, "probes", ("linear",))
    monkeypatch.setattr(runner, "in_parallel", one_by_one)
    for mode in ("frozen", *MODES):
        ended = run(tmp_path, mode)
        assert ended.code == 0, ended.said
    assert "motionbeat-random (full)" in ended.printed
    results = tmp_path / "results"
    assert {(one.mode, one.label) for one in read_records(results)} == {
        ("frozen", "motionbeat-random"),
        ("lora", "motionbeat-random.lora"),
        ("full", "motionbeat-random.full"),
    }
    assert len({one.key for one in read_records(results)}) == 3
    table = pd.read_csv(results / "leaderboard_beat_finetuned.csv")
    assert set(table["mode"]) == set(MODES)
    plain = pd.read_csv(results / "leaderboard_beat.csv")
    assert len(plain) == 1
    assert "mode" not in plain

    def forbidden(*_, **__):
        raise AssertionError("work was done again")

    for name in ("finetune", "train", "extract"):
        monkeypatch.setattr(runner, name, forbidden)
    again = run(tmp_path, "full")
    assert (again.code, again.printed) == (0, ended.printed)
    assert "reused: beat · groovebox · motionbeat-random.full" in again.said
    rebuilt = motionbeat("leaderboard", "--results", results)
    assert "motionbeat-random (lora)" in rebuilt.printed


def one_by_one(label, rows, heavy):
    return [[call(*arguments, **options) for call, arguments, options in row] for row in rows]


@pytest.mark.parametrize(
    ("arguments", "encoder", "words"),
    [
        (("lora",), "logmel", "encoder 'logmel' has no weights to fine-tune"),
        (("full",), "beatgrid", "encoder 'beatgrid' has no weights to fine-tune"),
        (("lora",), "tests.toys:Stiff", "encoder 'stiff' has no layer that LoRA fits"),
        (("lora", "--task", "retrieval"), "motionbeat-random", "task 'retrieval' is about dances"),
        (("lora", "--deform"), "motionbeat-random", "--deform is for frozen encoders"),
    ],
)
def test_what_cannot_be_tuned_is_one_line(tmp_path, arguments, encoder, words):
    ended = run(tmp_path, *arguments, encoder=encoder)
    assert ended.code == 1
    assert ended.said.splitlines()[-1].startswith(f"motionbeat: error: {words}")
    assert not (tmp_path / "cache" / "embeddings").exists()


def test_neighbours_have_nothing_to_teach(tmp_path):
    folders = runner.Folders(tmp_path / "cache", tmp_path / "results", None)
    protocol = Protocol(learning_rates=(0.01,), seeds=(0,))
    plan = partial(runner.plan, "genre", "tests.toys:Tones", protocol, folders)
    assert plan().probes == ["linear", "mlp", "knn"]
    assert plan(mode="lora").probes == ["linear", "mlp"]
