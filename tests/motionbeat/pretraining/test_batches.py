import numpy as np
import pytest
import torch
from tests.dancing import write_pair
from torch import Tensor

from motionbeat.model import AUDIO_RATE, MOTION_RATE
from motionbeat.pretraining.batches import (
    CLUSTER,
    SAME_TEMPO,
    Draw,
    PairDataset,
    TempoSampler,
    collate,
    cut,
    mates,
)
from motionbeat.pretraining.pairs import features

TEMPI = [60 * 1.005**step for step in range(4)] + [90 * 1.005**step for step in range(8)]
BPM = 120.0
PERIOD_ROWS = round(60 / BPM * MOTION_RATE)


def sampler(tempi=TEMPI, batch_size=8, steps=20, seed=(0,), **options):
    return TempoSampler(tempi, batch_size, steps, (5.0, 9.0), 3, seed, **options)


def clusters(batch):
    pairs = [draw.pair for draw in batch]
    return [pairs[first : first + CLUSTER] for first in range(0, len(pairs), CLUSTER)]


def share_a_tempo(members, tempi):
    """Whether the tempi of all members are similar to one and the same tempo."""
    given = np.array([tempi[pair] for pair in members])
    return any(max(abs(np.log(given / one))) <= np.log1p(SAME_TEMPO) for one in tempi)


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pairs")
    pairs = [write_pair(folder, f"pair{seed}", BPM, seed=seed) for seed in range(4)]
    return [features(pair, 0, folder / "cache") for pair in pairs]


@pytest.fixture(scope="module")
def batch(found):
    return cut(found, [1.5, 2.0, 2.5, 3.0], 3.0)


def tensors(batch):
    parts = [batch.heard, batch.heard.clock, batch.seen, batch.seen.clock]
    return [value for part in parts for value in vars(part).values() if isinstance(value, Tensor)]


def test_clusters_share_a_tempo():
    # Two far apart tempi of one and two clusters: whatever comes first, neighbours are enough.
    for seed in range(20):
        batches = list(sampler(seed=(seed,)))
        assert len(batches) == 20
        for batch in batches:
            for members in clusters(batch):
                assert share_a_tempo(members, TEMPI)


def test_clusters_share_a_tempo_among_tempi_close_together():
    tempi = [80 * 1.01**step for step in range(40)]
    for batch in sampler(tempi, batch_size=4, steps=300):
        assert share_a_tempo([draw.pair for draw in batch], tempi)


def test_tempo_is_not_looked_at_where_it_shall_not_be():
    apart = [
        not share_a_tempo(members, TEMPI)
        for batch in sampler(similar=False)
        for members in clusters(batch)
    ]
    assert np.mean(apart) > 0.5


@pytest.mark.parametrize("similar", [True, False])
def test_no_pair_stands_twice_in_a_batch(similar):
    for tempi in (TEMPI, [float("nan")] * 12, [100.0] * 12, list(range(30, 90, 5))):
        seen = set()
        for batch in sampler(tempi, 12 if len(tempi) == 12 else 8, similar=similar):
            pairs = [draw.pair for draw in batch]
            assert len(set(pairs)) == len(pairs) in (8, 12)
            seen |= set(pairs)
        assert seen == set(range(len(tempi)))


def test_draws_follow_from_the_seed():
    one, again, other = (list(sampler(seed=seed)) for seed in ((1, 2), (1, 2), (1, 3)))
    assert one == again
    assert all(a != b for a, b in zip(one, other, strict=True))
    repeated = sampler(seed=(1, 2))
    assert list(repeated) == list(repeated) == one
    assert len(repeated) == 20


def test_clips_of_a_batch_have_one_length_and_different_places():
    lengths, variants, places = set(), set(), []
    for batch in sampler():
        [length] = {draw.seconds for draw in batch}
        lengths.add(length)
        variants |= {draw.variant for draw in batch}
        places += [draw.place for draw in batch]
    assert all(5 <= length <= 9 for length in lengths)
    assert len(lengths) == 20
    assert variants == {0, 1, 2}
    assert 0 <= min(places) < 0.05
    assert 0.95 < max(places) < 1


def test_unknown_tempi_stand_together():
    unknown = range(1, 24, 2)
    tempi = [float("nan") if pair in unknown else 100.0 + pair for pair in range(24)]
    nearest = {18, 20, 22}  # the fastest ones stand in for the first of the unknown
    together = 0
    for batch in sampler(tempi, batch_size=4, steps=200):
        pairs = {draw.pair for draw in batch}
        if pairs & set(unknown):
            assert pairs <= nearest | set(unknown)
            together += pairs <= set(unknown)
    assert together > 50


def test_a_rare_tempo_stands_with_its_neighbours():
    tempi = [100.0, 40.0, 101.0, 102.0, 200.0, 99.0, 45.0, 50.0, 210.0, 220.0, 240.0, 98.0]
    low, high = {1, 6, 7}, {4, 8, 9, 10}
    for batch in sampler(tempi, batch_size=4, steps=100):
        pairs = {draw.pair for draw in batch}
        if 10 in pairs:
            assert pairs == high
        if pairs & {1}:
            assert pairs > low


@pytest.mark.parametrize("size", [0, 2, 6, 16, -4])
def test_batches_that_cannot_be_made_are_refused(size):
    with pytest.raises(ValueError, match=f"^a batch of {size} clips out of 12 pairs; [^\n]*4"):
        sampler(batch_size=size)


@pytest.mark.parametrize("rows", [4, 8, 20])
def test_mates_are_the_others_of_a_cluster(rows):
    found = mates(rows)
    assert found.shape == (rows, CLUSTER - 1)
    for row, others in enumerate(found.tolist()):
        first = row // CLUSTER * CLUSTER
        assert sorted([*others, row]) == list(range(first, first + CLUSTER))


def test_shifted_motions_are_the_true_one_a_beat_earlier_and_later(found, batch):
    size = len(batch)
    assert size == 4
    true, earlier, later = batch.seen.features.chunk(3)
    frames = true.shape[1]
    for row, start in enumerate((1.5, 2.0, 2.5, 3.0)):
        source = torch.from_numpy(found[row].motion.astype(np.float32))
        first = round(start * MOTION_RATE)
        for clip, shift in ((true, 0), (earlier, -PERIOD_ROWS), (later, PERIOD_ROWS)):
            assert torch.equal(clip[row], source[first + shift : first + shift + frames])
    assert not torch.equal(true, earlier)
    assert not torch.equal(true, later)
    assert torch.equal(earlier[:, PERIOD_ROWS:], true[:, :-PERIOD_ROWS])
    assert torch.equal(later[:, :-PERIOD_ROWS], true[:, PERIOD_ROWS:])


def test_clocks_of_shifted_motions_are_shifted(batch, found):
    clock = batch.seen.clock
    for row in range(12):
        shift = (0.0, -0.5, 0.5)[row // 4]
        start = (1.5, 2.0, 2.5, 3.0)[row % 4] + shift
        real = clock.times[row, : int(clock.mask[row].sum()) + 1].numpy() + start
        source = found[row % 4].motion_times
        expected = source[(source > start) & (source < start + 3)]
        inside = real[(real > start + 1e-4) & (real < start + 3 - 1e-4)]
        np.testing.assert_allclose(inside, expected, atol=1e-4)


def test_a_batch_on_another_device_has_the_same_values(batch):
    assert len(tensors(batch)) == 12
    moved = batch.to("cpu", copy=True)
    pretended = batch.to("meta")
    for one, same, elsewhere in zip(
        tensors(batch), tensors(moved), tensors(pretended), strict=True
    ):
        assert torch.equal(one, same)
        assert elsewhere.device.type == "meta"
        assert (elsewhere.shape, elsewhere.dtype) == (one.shape, one.dtype)
    assert pretended.seconds == moved.seconds == batch.seconds
    assert len(moved) == 4


def test_pinning_reaches_every_tensor(batch, monkeypatch):
    pinned = []

    def pin(tensor):
        pinned.append(tensor)
        return tensor.clone()

    monkeypatch.setattr(Tensor, "pin_memory", pin)
    copied = batch.pin_memory()
    assert {id(one) for one in pinned} == {id(one) for one in tensors(batch)}
    assert all(map(torch.equal, tensors(batch), tensors(copied)))
    assert copied.seconds == batch.seconds


@pytest.mark.parametrize("place", [0.0, 0.5, 0.999])
def test_a_clip_and_its_shifts_stay_inside_the_pair(found, place):
    batch = collate([(one, Draw(0, 0, place, 4.0)) for one in found])
    assert batch.seconds == 4.0
    assert batch.heard.log_mel.shape[1] == round(4 * AUDIO_RATE)
    true, earlier, later = batch.seen.features.chunk(3)
    for row, one in enumerate(found):
        source = torch.from_numpy(one.motion.astype(np.float32))
        margin, free = 0.5, one.duration - 5.0
        first = round((margin + place * free) * MOTION_RATE)
        assert first - PERIOD_ROWS >= 0
        assert first + PERIOD_ROWS + 4 * MOTION_RATE <= len(source)
        for clip, shift in ((true, 0), (earlier, -PERIOD_ROWS), (later, PERIOD_ROWS)):
            assert torch.equal(
                clip[row], source[first + shift : first + shift + int(4 * MOTION_RATE)]
            )


def test_a_long_clip_begins_where_the_pair_does(found):
    batch = collate([(one, Draw(0, 0, 0.9, 7.5)) for one in found])
    source = torch.from_numpy(found[0].motion.astype(np.float32))
    assert torch.equal(batch.seen.features[0], source[: round(7.5 * MOTION_RATE)])
    earlier = batch.seen.features[4]
    assert (earlier[:PERIOD_ROWS] == source[0]).all()


def test_a_dataset_gives_the_drawn_variant(tmp_path):
    pairs = [write_pair(tmp_path, name, seed=seed) for seed, name in enumerate(("a", "b"))]
    data = PairDataset(pairs, tmp_path / "cache")
    for draw in (Draw(1, 2, 0.5, 5.0), Draw(0, 0, 0.5, 5.0)):
        given, same = data[draw]
        assert same == draw
        expected = features(pairs[draw.pair], draw.variant, tmp_path / "other")
        assert np.array_equal(given.log_mel, expected.log_mel)
