"""The ablation: what it compares, what it cuts, and that finished runs stay finished."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from scripts import matching, partners
from scripts.ablation import __main__ as command
from scripts.ablation import pulse_layers, sound_streams, towers, trunks, unpaired
from scripts.ablation.runs import Group, Value, interval, kept, place, summary
from tests.clicks import click_track, dataset_card
from tests.conftest import shorten
from tests.dancing import Dancing, write_pair
from tests.dancing import danced as danced_at

from motionbeat.benchmarks.evaluator import Folders
from motionbeat.benchmarks.taught_music import SegmentDataset
from motionbeat.data_modules.base import Beats, DatasetError, Genre, MotionFile, Tags
from motionbeat.data_modules.published.cmu_salsa import HELD_OUT, Take
from motionbeat.kinematics import FEATURES, PULSES
from motionbeat.model import AudioTower, MotionBeat
from motionbeat.pretraining.batches import Batch, Draw, PairDataset
from motionbeat.pretraining.distillation import Segments
from motionbeat.pretraining.evaluation import embed
from motionbeat.pretraining.pairs import Pair, features
from motionbeat.rhythm import BeatGrid
from motionbeat.spectrum import AUDIO_FRAME_RATE, BANDS, SAMPLE_RATE
from motionbeat.tokens import Clock, beat_synchronous
from motionbeat.weights import load_model


def test_differences_are_between_runs_with_the_same_seed():
    scores = {"full": [0.5, 0.7], "without": [0.4, 0.4], "unknown": [np.nan, 0.4]}
    rows = [
        Value("one", variant, "all", "r1", seed, value)
        for variant, own in scores.items()
        for seed, value in enumerate(own)
    ]
    table = summary([*rows, Value("other", "full", "all", "r1", 0, 9.0)]).set_index(
        ["group", "variant"]
    )
    assert list(table.index) == [("one", name) for name in scores] + [("other", "full")]
    full, without, unknown = (table.loc["one", name] for name in scores)
    assert full["difference"] == full["difference_low"] == full["difference_high"] == 0
    assert (without["mean"], without["low"], without["high"]) == (0.4, 0.4, 0.4)
    # Student's 12.706 with one degree of freedom, times the error 0.1 of the mean.
    bounds = without[["difference", "difference_low", "difference_high"]]
    assert bounds.tolist() == pytest.approx([-0.2, -0.2 - 1.2706, -0.2 + 1.2706], abs=1e-4)
    assert unknown["mean"] == 0.4
    assert np.isnan(unknown["low"])
    alone = table.loc["other", "full"]
    assert (alone["mean"], alone["seeds"]) == (9.0, 1)
    assert np.isnan(alone["difference_high"])


def test_an_interval_holds_the_mean_of_its_values_as_often_as_it_says():
    rng = np.random.default_rng(0)
    drawn = [interval(row) for row in rng.normal(3.0, 2.0, (2000, 5))]
    assert np.mean([low < 3.0 < high for _, low, high in drawn]) == pytest.approx(0.95, abs=0.015)


def test_other_settings_are_another_run(tmp_path):
    run = SimpleNamespace(name="some run", settings={"steps": 3})
    path = place(tmp_path, run, 0, "json")
    assert kept(path, lambda: {"all": {"r1": 0.5}}) == {"all": {"r1": 0.5}}
    assert kept(path, lambda: pytest.fail("computed twice")) == {"all": {"r1": 0.5}}
    run.settings = {"steps": 4}
    assert len({path, place(tmp_path, run, 0, "json"), place(tmp_path, run, 1, "json")}) == 3


@pytest.mark.parametrize("metre", [3, 4])
def test_clips_of_all_phases_are_from_the_same_bars(metre):
    beats = 0.3 + 0.5 * np.arange(48)
    pair = Pair("some", None, None, tuple(beats), tuple(beats[1::metre]))
    found = [towers.starts(pair, phase) for phase in range(4)]
    assert [len(one) for one in found] == [3] * metre + [0] * (4 - metre)
    for phase, own in enumerate(found[:metre]):
        assert np.allclose(np.array(own) - found[0], 0.5 * phase)
        assert np.diff(own).min() >= towers.CLIP_SECONDS
        assert own[0] >= 0.5, "a beat earlier is inside"
        assert own[-1] + 0.5 + towers.CLIP_SECONDS <= beats[-1] + 0.5
    number = (np.array(found[0]) - 0.3) / 0.5 - 1
    assert np.allclose(number / metre, np.round(number / metre)), "phase 0 is on the downbeat"


@pytest.mark.parametrize(
    ("beats", "often", "off"), [(range(2, 18), 0.8, 0.0), (np.arange(2, 18, 2) + 0.5, 0.4, 1.0)]
)
def test_steps_by_hand(beats, often, off):
    """Ten seconds at 120 BPM."""
    motion = np.zeros((300, FEATURES), np.float16)
    motion[np.round(np.array(beats) * 0.5 * 30).astype(int), PULSES] = 1
    found = SimpleNamespace(
        motion=motion, beats=np.arange(21) * 0.5, duration=10.0, period=lambda time: 0.5
    )
    assert towers.steps(found) == (often, off)


@pytest.fixture(scope="module")
def danced(tmp_path_factory):
    """A pair of 14 s at 120 BPM whose downbeats are known."""
    pair = write_pair(tmp_path_factory.mktemp("pair"), bpm=120.0, seconds=14.0)
    return replace(pair, downbeats=pair.beats[::4])


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


def test_clips_from_downbeats_begin_there(danced, cache):
    dataset = towers.FromDownbeats([danced], cache)
    found = features(danced, 0, cache)
    begins = {dataset.start(found, Draw(0, 0, place, 5.0)) for place in np.linspace(0, 0.999, 20)}
    inside = [time for time in danced.downbeats if 0.5 <= time <= 14.0 - 5.0 - 0.5]
    assert len(inside) > 2
    assert sorted(begins) == pytest.approx(inside, abs=0.011)


def test_wrong_bars_leave_an_equivariant_embedding_of_the_clip_alone(danced, cache):
    """The part of the embedding that is not read from rotated states; others change it."""
    batch = towers.pool([danced], 0, cache).batch
    wrong = towers.with_wrong_bars(batch)
    for own, other in ((batch.audio, wrong.audio), (batch.motion, wrong.motion)):
        apart = (other.clock.positions - own.clock.positions) % own.clock.beats_per_bar[:, None]
        assert (apart == apart[:, :1]).all()
        assert (apart > 0).all()
    for phase in ("rotated", "read", "added", "none"):
        torch.manual_seed(0)
        model = MotionBeat("tiny", phase).eval()
        with torch.inference_mode():
            pairs = zip(embed(model, *batch[:3]), embed(model, *wrong[:3]), strict=True)
        moved = [(one - other)[:, :128].abs().max() > 1e-5 for one, other in pairs]
        assert moved == [phase == "added"] * 2


class Labelled(Dancing):
    """Dances with a genre and tags, 20 s long."""

    card = dataset_card("labelled", Beats, MotionFile, Genre, Tags, data="synthetic")

    def __init__(self, cache=None, data=None, *, seconds=20.0, **loading):
        super().__init__(cache, data, seconds=seconds, **loading)

    def tracks(self, split):
        return [
            replace(
                track,
                annotations=(
                    *track.annotations,
                    Genre(f"genre{index % 2}"),
                    Tags(frozenset({"fast"} if index % 4 > 1 else {"slow"})),
                ),
            )
            for index, track in enumerate(super().tracks(split))
        ]


class Undanced(Labelled):
    """The same music without its dances."""

    card = dataset_card("undanced", Genre)

    def tracks(self, split):
        return [
            replace(track, id=f"{track.id}-alone", annotations=(track.get(Genre),))
            for track in super().tracks(split)
        ]


@pytest.fixture(scope="module")
def scratch(tmp_path_factory):
    return tmp_path_factory.mktemp("ablation")


@pytest.fixture
def bench(scratch, monkeypatch):
    """All runs on the tests' own dances, with a budget of a moment."""
    dances, music = f"{__name__}:Labelled", f"{__name__}:Undanced"
    monkeypatch.setattr(towers, "DATASETS", {dances: {}})
    monkeypatch.setattr(sound_streams, "DATASETS", {dances: {}})
    monkeypatch.setattr(towers, "TEST", (dances, {}))
    monkeypatch.setattr(pulse_layers, "TEST", (dances, {}))
    monkeypatch.setattr(sound_streams, "REAL", (music,))
    monkeypatch.setattr(sound_streams, "RENDERED", dances)
    monkeypatch.setattr(sound_streams, "TEACHERS", ("logmel", "mfcc_chroma"))
    for budget, changes in (
        (towers.BUDGET, {"steps": 2, "batch_size": 4, "variants": 1}),
        (sound_streams.BUDGET, {"epochs": 1, "steps_per_epoch": 2, "batch_size": 4}),
    ):
        for name, value in changes.items():
            monkeypatch.setitem(budget, name, value)
    shorten(monkeypatch, max_steps=40, check_every=20)
    monkeypatch.setattr(pulse_layers, "LEARNING_RATE", 0.1)
    return towers.Bench(Folders(scratch / "cache"), scratch / "out")


def chosen(part, bench, **variants):
    """The groups of a part with some of their variants, by the name of the group."""
    return [
        Group(group.name, {name: group.variants[name] for name in own}, *group[2:])
        if isinstance(group, tuple)
        else replace(group, variants={name: group.variants[name] for name in own})
        for group in part.groups(bench)
        for own in [variants.get(group.name.split(",")[0].replace(" ", "_"), ())]
        if own
    ]


def test_finished_runs_are_not_run_again(bench, scratch, monkeypatch):
    groups = [
        group
        for group in chosen(towers, bench, rotation=("rotation", "no phase anywhere"))
        if "tenth" not in group.name
    ]
    for part in (towers, unpaired, sound_streams, pulse_layers, trunks):
        own = groups if part is towers else []
        monkeypatch.setattr(part, "groups", lambda bench, own=own: own)

    def table(seeds):
        command.ablation(seeds, bench.output, scratch, scratch / "cache")
        return pd.read_csv(scratch / "ablation.csv")

    train = towers.TowerRun.train
    trained = []

    def interrupted(self, seed):
        if len(trained) == 5:
            raise KeyboardInterrupt
        trained.append((self.part, self.options.get("phase", "rotated"), seed))
        return train(self, seed)

    monkeypatch.setattr(towers.TowerRun, "train", interrupted)
    with pytest.raises(KeyboardInterrupt):
        table(2)
    parts = ("all", "from downbeats")
    order = [(p, phase, seed) for seed in (0, 1) for p in parts for phase in ("rotated", "none")]
    assert trained == order[:5], "all variants with one seed come first"
    first = pd.read_csv(scratch / "ablation.csv")
    assert set(first["seeds"]) == {1}
    trained.clear()
    whole = table(2)
    assert trained == order[5:]
    assert set(whole["seeds"]) == {2}
    assert set(whole["group"]) == {group.name for group in groups}
    known = whole.dropna()
    assert (known["low"] <= known["mean"]).all()
    rotation = whole[whole["group"] == "rotation"]
    assert set(rotation["condition"]) == {
        "all phases", "from downbeats", "wrong bars of the music", "wrong bars of both"
    }  # fmt: skip
    weights = [load_model(path) for path in sorted(bench.output.glob("*.safetensors"))]
    assert {one.audio.rotation is None for one in weights} == {True, False}
    trained.clear()
    pd.testing.assert_frame_equal(table(2), whole)
    assert not trained


def test_more_pairs_are_trained_on_beside_all_others_and_tested_on_held_out_salsa(
    bench, monkeypatch
):
    dances = [danced_at(bpm, dancer=bpm % 8) for bpm in (90, 104, 131)]
    couples = [
        Take(id, one, one) for id, one in zip(["01", *sorted(HELD_OUT)], dances, strict=False)
    ]
    asked = []
    monkeypatch.setattr(partners, "takes", lambda data: asked.append(data) or couples)
    monkeypatch.setattr(unpaired, "SECONDS", 2.0)
    monkeypatch.setattr(matching, "PERMUTATIONS", 9)
    [group] = unpaired.groups(bench)
    with pytest.raises(DatasetError, match="cmu_salsa"):
        group.variants["rendered pairs"](0)
    bench.output.mkdir(exist_ok=True)
    bench = replace(bench, folders=replace(bench.folders, data=bench.output))
    [group] = unpaired.groups(bench)
    more = unpaired.UnpairedRun(bench, "and tests.dancing:Dancing")
    own = bench.dataset("all", 0).pairs
    assert bench.dataset(more.part, 0).pairs == own + bench.train_pairs("tests.dancing:Dancing")
    found = [one(0) for one in (group.variants["rendered pairs"], more)]
    for scores in found:
        assert set(scores["all phases"]) >= set(towers.RETRIEVAL)
        assert scores["salsa partners"]["shifted"] == 1, "both do the same"
    np.testing.assert_equal(found[0]["all phases"], towers.TowerRun(bench)(0)["all phases"])
    assert asked == [bench.output], "read once"


def test_a_sound_stream_learns_from_its_teachers_and_its_part_alone(bench, scratch):
    learned, short = sound_streams.groups(bench)
    assert list(learned.variants)[-1] == "untrained"
    music = learned.variants["untrained"].bench.music
    long = {
        part.__name__: part(music.tracks("train"), np.random.default_rng(0))
        for part in (
            sound_streams.a_quarter, sound_streams.real, sound_streams.rendered
        )
    }  # fmt: skip
    assert len(long["a_quarter"]) == 4
    assert not any(track.has(MotionFile) for track in long["real"])
    assert all(track.has(MotionFile) for track in long["rendered"])
    hours = [sum(track.duration for track in long[name]) for name in ("real", "rendered")]
    assert hours == [8 * sound_streams.PIECE_SECONDS] * 2

    untrained = learned.variants["untrained"].train(0).state_dict()
    trained = short.variants["real"].train(0).state_dict()
    assert music.split["train"].targets["logmel"].shape[0] == 16, "two segments of each piece"
    assert not torch.equal(untrained["mix.weight"], trained["mix.weight"])
    scores = learned.variants["untrained"](0)["validation"]
    assert set(scores) == {"genre_accuracy", "tags_roc_auc", "r2_logmel", "r2_mfcc_chroma"}
    assert all(np.isfinite(value) for value in scores.values())


def test_the_phase_of_the_front_end_follows_its_beats():
    beats = 0.25 + 0.5 * np.arange(22)
    clicks = click_track(beats, np.arange(22) % 4 == 0, 11.0, SAMPLE_RATE)
    phases = pulse_layers.front_end_phases(pulse_layers.AudioFrontend(), torch.from_numpy(clicks))
    assert phases.shape == (551, 6)
    cos, sin = phases.unflatten(1, (2, 3)).unbind(1)
    torch.testing.assert_close(cos.square() + sin.square(), torch.ones(551, 3))
    inside = beats[4:-4]
    assert cos[np.round(inside * 50).astype(int), 0].min() > 0.9
    assert cos[np.round((inside + 0.25) * 50).astype(int), 0].max() < -0.9


def test_the_front_end_stands_in_place_of_the_pulse_layer(bench, monkeypatch):
    """With features that are 0 but for the trained pulse layer, which is the answer."""

    class Knowing:
        def __call__(self, track):
            frames = torch.zeros(1001, 1, pulse_layers.MotionBeatEmbodied.card.width)
            times = track.get(Beats).times
            beat = np.interp(np.arange(1001) / 50, times, np.arange(len(times)))
            frames[:, 0, -9] = torch.from_numpy(np.cos(2 * np.pi * beat))
            return frames

    monkeypatch.setattr(pulse_layers, "embed", lambda *given: [Knowing()])
    [group] = pulse_layers.groups(bench)
    found = {name: run(0)["validation"]["beat_f_measure"] for name, run in group.variants.items()}
    assert found["trained"] > 0.9
    assert found["left out"] < 0.5
    assert found["mixed by a softmax"] > 0.9
    assert found["phase of the front end"] > found["left out"]


@pytest.fixture
def variants(bench):
    """Runs with no trunk, one for both trainings, or one each."""
    whole, sharing = (group.variants for group in trunks.groups(bench))
    assert [list(whole), list(sharing)] == [
        ["separate", "shared trunk"], ["a trunk each", "shared trunk"]
    ]  # fmt: skip
    assert whole["shared trunk"] == sharing["shared trunk"]
    return whole | sharing


@pytest.mark.parametrize("variant", ["shared trunk", "a trunk each"])
def test_both_losses_reach_a_shared_trunk_and_nothing_else(variants, variant):
    run = variants[variant]
    joint = run.joint(0).train()
    tower, stream = joint.rhythm.model.audio, joint.sound.model.sound
    trunk = set(stream.layers[0].trunk.parameters())
    assert len(trunk) == 15, "three of the first layer, four of each separable one"
    reached = {}
    for batch in run.bench.batches(0):
        joint.zero_grad()
        joint.training_step(batch, 0).backward()
        reached[type(batch)] = {one for one in joint.parameters() if one.grad is not None}
        own = trunk & reached[type(batch)]
        assert own == (trunk if variant == "shared trunk" or isinstance(batch, Segments) else set())
        assert all(one.grad.any() for one in own)
    assert reached[Batch] == {
        *tower.parameters(), *joint.rhythm.model.motion.parameters(), joint.rhythm.temperature
    }  # fmt: skip
    assert reached[Segments] == {*stream.parameters(), *joint.sound.heads.parameters()}


def test_trainings_side_by_side_have_the_steps_batches_and_first_weights_of_each_alone(
    variants, monkeypatch
):
    monkeypatch.setitem(towers.BUDGET, "steps", 3)
    monkeypatch.setitem(sound_streams.BUDGET, "epochs", 3)
    drawn = []
    for kind in (PairDataset, SegmentDataset):
        read = kind.__getitem__

        def recorded(self, draws, read=read):
            drawn.append(draws)
            return read(self, draws)

        monkeypatch.setattr(kind, "__getitem__", recorded)
    run = variants["shared trunk"]
    alone = {}
    for name, one in (("rhythm", run.bench.rhythm), ("sound", run.bench.sound)):
        one.train(1)
        alone[name], drawn[:] = drawn[:], []
    assert {name: len(batches) for name, batches in alone.items()} == {"rhythm": 3, "sound": 6}
    assert len({str(batch) for batch in alone["sound"]}) == 6

    run.train(1)
    order = ["sound", "rhythm", "sound"] * 3
    left = {name: iter(batches) for name, batches in alone.items()}
    assert drawn == [next(left[name]) for name in order]

    for variant in ("shared trunk", "a trunk each"):
        joint = variants[variant].joint(1)
        for part, one in ((joint.rhythm, run.bench.rhythm), (joint.sound, run.bench.sound)):
            ours, theirs = (
                [(weight.shape, weight.sum().item()) for weight in module.parameters()]
                for module in (part, one.module(1))
            )
            assert not [weight for weight in theirs if weight not in ours]


def test_the_tower_on_a_trunk_is_blind_to_the_mean_spectrum_and_the_stream_is_not(variants):
    joint = variants["shared trunk"].joint(0).eval()
    tower, stream = joint.rhythm.model.audio, joint.sound.model.sound
    batch = next(iter(variants["shared trunk"].bench.rhythm.batches(0)))
    log_mel, _, lengths, clock = batch.audio
    equalised = log_mel + torch.linspace(-1, 1, BANDS)
    tower.mean_spectrum = torch.zeros_like  # the input of its own, which is the same as ever
    with torch.inference_mode():
        own, other = (tower(one, lengths, clock) for one in (log_mel, equalised))
        heard, changed = (stream(one) for one in (log_mel, equalised))
    torch.testing.assert_close(own, other, atol=1e-4, rtol=0)
    assert (heard - changed).abs().mean() > 0.1 * heard.abs().mean()


def test_tokens_of_a_trunk_are_cut_where_those_of_the_spectrum_are(variants, monkeypatch):
    """With a mean over time for a trunk, and frames that say their second.

    Frames of 40 ms and positions of 31 ms give stairs, which must not be late or early on average.
    """
    tower = variants["shared trunk"].joint(0).rhythm.model.audio
    tower.trunk, tower.columns = torch.nn.AvgPool2d(3, 2, 1), torch.nn.Identity()
    monkeypatch.setattr(
        AudioTower, "encode",
        lambda self, frames, frame_rate, clock, **_: beat_synchronous(frames, frame_rate, clock),
    )  # fmt: skip
    clock = Clock.of([BeatGrid(0.4 + 0.37 * np.arange(10), np.arange(9) % 4, 4)])
    seconds = (torch.arange(501) / AUDIO_FRAME_RATE)[None, :, None].expand(1, -1, BANDS)
    tokens = tower.encode(seconds, AUDIO_FRAME_RATE, clock)[..., 1:]  # zeros are beside band 0
    expected = beat_synchronous(seconds, AUDIO_FRAME_RATE, clock)[..., : tokens.shape[-1]]
    assert (tokens - expected).abs().max() < 0.01
    assert (tokens - expected).mean().abs() < 0.0005


def test_what_was_trained_alone_or_with_a_trunk_is_not_trained_again(variants, monkeypatch):
    separate, shared = variants["separate"], variants["shared trunk"]
    separate.bench.rhythm.weights(3)
    separate.bench.sound(3)
    for kind in (towers.TowerRun, sound_streams.SoundRun):
        monkeypatch.setattr(kind, "train", lambda self, seed: pytest.fail("trained again"))
    found = [run(3)["validation"] for run in (separate, shared)]
    columns = {"r1", "r10", "shift", "impostor", "beat_phase", "bar_phase"}
    columns |= {"genre_accuracy", "tags_roc_auc", "r2_logmel", "r2_mfcc_chroma"}
    assert all(columns < set(scores) for scores in found)
    monkeypatch.setattr(trunks.TrunkRun, "train", lambda self, seed: pytest.fail("trained again"))
    assert str([run(3)["validation"] for run in (separate, shared)]) == str(found)  # with NaN
