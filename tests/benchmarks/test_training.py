import copy
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ClassVar

import numpy as np
import pytest
import torch
from tests.toys import Tones, ToyEmotion

from motionbeat.benchmarks import training
from motionbeat.benchmarks.training import TrainingError, feature_statistics, train
from motionbeat.data_modules.base import DataModule, Emotion, Track
from motionbeat.tasks.probe import Member

LAYERS, WIDTH, STEPS = 3, 5, 7
TELLING_LAYER = 1


class Memory:
    """Features of tracks in memory: noise, and the track's emotion in one layer."""

    rate, layers, width = 2.0, LAYERS, WIDTH

    def length(self, track):
        return STEPS

    def read(self, track, start, stop):
        rng = np.random.default_rng(int(track.id))
        features = rng.standard_normal((STEPS, LAYERS, WIDTH))
        features[:, TELLING_LAYER, 0] = 3 * track.get(Emotion).valence
        features[:, TELLING_LAYER, 1] = 3 * track.get(Emotion).arousal
        return features[start:stop].astype(np.float32)


class Numbers(DataModule):
    """Tracks without audio, in batches whose order is the same for all seeds."""

    card = Tones.card

    def serve(self, examples, collate, batch_size, seed):
        super().serve(examples, collate, batch_size, seed=0)

    def tracks(self, split):
        first = {"train": 0, "validation": 100, "test": 200}[split]
        rng = np.random.default_rng(first)
        return [
            Track(str(index), Path(), STEPS / 2, str(index), (Emotion(*rng.uniform(-1, 1, 2)),))
            for index in range(first, first + 20)
        ]


class Emotions(ToyEmotion):
    """The toy task with short windows, so that tracks are cut up."""

    window = 2.0
    max_steps = 40
    check_every = 10
    patience = 4


def fit(*members, probe="linear", kind=Emotions, kept=None, examined=None):
    datamodule = Numbers(Path())
    with TemporaryDirectory() as folder:
        return train(
            kind,
            Memory(),
            datamodule,
            examined or datamodule,
            probe=probe,
            members=members,
            statistics=feature_statistics(Memory(), datamodule.tracks("train")),
            label="test",
            kept=kept or Path(folder) / "probes",
        )


@torch.no_grad()
def check_outputs(trained):
    """The outputs of the test split are those of the probe as it is now, tracks whole again."""
    datamodule = Numbers(Path())
    mean, std = feature_statistics(Memory(), datamodule.tracks("train"))
    for outputs, track in zip(trained.outputs, datamodule.tracks("test"), strict=True):
        features = torch.from_numpy((Memory().read(track, 0, STEPS) - mean) / std).float()
        mixed = torch.einsum("l,tlw->tw", trained.probe.layer_weights, features)
        torch.testing.assert_close(
            torch.from_numpy(outputs), trained.probe(mixed), rtol=1e-4, atol=1e-5
        )


@pytest.mark.parametrize("probe", ["linear", "mlp"])
def test_members_side_by_side_end_as_if_alone(probe):
    members = [Member(0, 0.001), Member(1, 0.01), Member(0, 0.1)]
    together = fit(*members, probe=probe)
    for member, beside in zip(members, together, strict=True):
        [alone] = fit(member, probe=probe)
        assert alone.monitor == pytest.approx(beside.monitor, rel=1e-4)
        for weights, others in zip(
            alone.probe.parameters(), beside.probe.parameters(), strict=True
        ):
            torch.testing.assert_close(weights, others, rtol=1e-4, atol=1e-5)


def test_same_members_give_the_same_bits_and_other_seeds_do_not():
    first, second, other = (fit(Member(seed, 0.01), probe="mlp")[0] for seed in (3, 3, 4))
    assert np.array_equal(first.outputs, second.outputs)
    assert not np.array_equal(first.outputs, other.outputs)


def test_layer_weights_move_to_the_layer_that_tells():
    class Longer(Emotions):
        max_steps, check_every = 200, 50

    [trained] = fit(Member(0, 0.03), kind=Longer)
    weights = trained.probe.layer_weights
    assert weights.sum().item() == pytest.approx(1)
    assert weights[TELLING_LAYER] > 0.6


def test_outputs_are_whole_tracks_in_order():
    [trained] = fit(Member(0, 0.01))
    check_outputs(trained)


def test_statistics_of_features_track_by_track():
    tracks = Numbers(Path()).tracks("train")
    whole = np.concatenate([Memory().read(track, 0, STEPS) for track in tracks])
    mean, std = feature_statistics(Memory(), tracks)
    np.testing.assert_allclose(mean, whole.mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(std, whole.std(axis=0), atol=1e-6)


def scripted(*script):
    """A task whose monitor follows a script, one row a validation; it keeps all states it had."""

    class Scripted(Emotions):
        mode = "max"
        max_steps, check_every, patience = 100, 5, 2
        states: ClassVar = []

        def validate(self, probe, outputs, tracks):
            self.states.append(copy.deepcopy(probe.state_dict()))
            check, member = divmod(len(self.states) - 1, len(self.members))
            return script[check][member]

    return Scripted


def same(state, other):
    return all(torch.equal(state[name], other[name]) for name in state)


def test_each_member_is_tested_at_its_own_best_validation():
    kind = scripted((0.5, 0.1), (0.4, 0.2), (0.3, 0.9), (0.2, 0.8), (0.1, 0.7))
    trained = fit(Member(0, 0.01), Member(1, 0.01), kind=kind)
    assert len(kind.states) == 5 * 2, "it stops after two validations without a better member"
    for index, (one, best_check) in enumerate(zip(trained, (0, 2), strict=True)):
        best, last = kind.states[2 * best_check + index], kind.states[2 * 4 + index]
        assert same(one.probe.state_dict(), best)
        assert not same(one.probe.state_dict(), last)
        check_outputs(one)
    assert [one.monitor for one in trained] == [0.5, 0.9]


def test_a_monitor_that_shall_be_small():
    kind = scripted((0.5,), (0.1,), (0.2,), (0.3,), (0.0,))
    kind.mode = "min"
    [trained] = fit(Member(0, 0.01), kind=kind)
    assert len(kind.states) == 4
    assert same(trained.probe.state_dict(), kind.states[1])


def test_a_monitor_that_is_never_a_number_is_one_clear_error():
    nan = float("nan")
    with pytest.raises(TrainingError, match="never a number at any learning rate"):
        fit(Member(0, 0.01), kind=scripted((nan,), (nan,), (nan,)))


def test_a_member_that_diverges_loses_and_the_others_go_on():
    nan = float("nan")
    kind = scripted((nan, 0.2), (nan, 0.4), (nan, 0.3), (nan, 0.1))
    diverged, good = fit(Member(0, 0.01), Member(0, 0.02), kind=kind)
    assert diverged.monitor == -np.inf
    assert good.monitor == 0.4


class Others(Numbers):
    """The same training, another test split."""

    def tracks(self, split):
        return super().tracks(split)[:7] if split == "test" else super().tracks(split)


@pytest.fixture
def learned(monkeypatch):
    """The number of trainings."""
    found = []
    learn = training.learn
    monkeypatch.setattr(
        training, "learn", lambda *it, **options: (found.append(it), learn(*it, **options))
    )
    return found


def test_what_was_kept_is_not_trained_again(tmp_path, learned):
    members, kept = [Member(0, 0.01), Member(1, 0.1)], tmp_path / "kept" / "probes"
    first = fit(*members, probe="mlp", kept=kept)
    again = fit(*members, probe="mlp", kept=kept)
    assert len(learned) == 1
    for one, other in zip(first, again, strict=True):
        assert one.monitor == other.monitor
        assert same(one.probe.state_dict(), other.probe.state_dict())
        assert all(map(np.array_equal, one.outputs, other.outputs))


def test_what_was_kept_is_run_on_another_test_split(tmp_path, learned):
    first, other = (
        fit(Member(0, 0.01), kept=tmp_path / "probes", examined=examined)[0]
        for examined in (None, Others(Path()))
    )
    assert len(learned) == 1
    assert len(other.outputs) == 7
    for outputs, others in zip(first.outputs, other.outputs, strict=False):
        np.testing.assert_allclose(outputs, others, atol=1e-6)


def test_a_damaged_file_is_trained_again(tmp_path, learned, capsys):
    kept = tmp_path / "probes"
    [first] = fit(Member(0, 0.01), kept=kept)
    content = bytearray(kept.read_bytes())
    content[-3] ^= 1
    kept.write_bytes(content)
    [again] = fit(Member(0, 0.01), kept=kept)
    assert len(learned) == 2
    assert f"ignored: {kept} is damaged" in capsys.readouterr().err.replace("\n", "")
    assert same(first.probe.state_dict(), again.probe.state_dict())
    fit(Member(0, 0.01), kept=kept)
    assert len(learned) == 2


def test_nothing_is_kept_of_a_training_that_failed(tmp_path):
    nan = float("nan")
    with pytest.raises(TrainingError):
        fit(Member(0, 0.01), kind=scripted((nan,), (nan,), (nan,)), kept=tmp_path / "probes")
    assert not list(tmp_path.iterdir())
