import numpy as np
import pytest
import torch
from tests.dancing import write_pair
from torch.utils.data import DataLoader

from motionbeat.model import AUDIO_FRAME_RATE, MOTION_FRAME_RATE
from motionbeat.pretraining.batches import (
    CLUSTER,
    SAME_TEMPO,
    Draw,
    PairDataset,
    TempoSampler,
    cluster_mates,
    cut,
)
from motionbeat.pretraining.pairs import PairError, features

TEMPI = [60 * 1.005**step for step in range(4)] + [90 * 1.005**step for step in range(8)]
PERIOD_ROWS = round(0.5 * MOTION_FRAME_RATE)


SPEEDS = (1.0, 1.2, 0.9)


def sampler(tempi=TEMPI, batch_size=8, steps=20, seconds=(5.0, 9.0), speeds=SPEEDS, **options):
    return TempoSampler(np.outer(tempi, speeds), batch_size, steps, seconds, **options)


def share_a_tempo(batch, tempi):
    """Whether the tempi of each cluster are similar to one and the same tempo."""
    every = np.outer(tempi, SPEEDS)
    drawn = np.log([every[draw.pair, draw.variant] for draw in batch]).reshape(-1, CLUSTER)
    apart = np.abs(drawn[:, :, None] - np.log(every).ravel()).max(axis=1)
    return apart.min(axis=1) <= np.log1p(SAME_TEMPO)


@pytest.fixture(scope="module")
def dataset(pairs, cache):
    return PairDataset(pairs, cache)


def rows(features, first, count):
    return torch.from_numpy(features.motion[first : first + count].astype(np.float32))


@pytest.mark.parametrize(
    ("tempi", "batch_size"), [(TEMPI, 8), ([80 * 1.01**step for step in range(40)], 4)]
)
def test_clusters_share_a_tempo_unless_it_is_ignored(tempi, batch_size):
    assert all(share_a_tempo(batch, tempi).all() for batch in sampler(tempi, batch_size, steps=200))
    ignored = [share_a_tempo(batch, tempi) for batch in sampler(tempi, 4, similar_tempo=False)]
    assert np.mean(ignored) < 0.5


@pytest.mark.parametrize("similar_tempo", [True, False])
@pytest.mark.parametrize("tempi", [TEMPI, [float("nan")] * 12])
def test_no_pair_stands_twice_in_a_batch_and_all_are_drawn(tempi, similar_tempo):
    drawn = set()
    for batch in sampler(tempi, similar_tempo=similar_tempo):
        pairs = {draw.pair for draw in batch}
        assert len(pairs) == len(batch) == 8
        drawn |= pairs
    assert drawn == set(range(12))


def test_draws_follow_from_seed_epoch_and_rank():
    def drawn(seed, epoch, rank):
        one = sampler(seed=seed, rank=rank)
        one.set_epoch(epoch)
        return list(one)

    first = drawn(1, 2, 0)
    assert first == drawn(1, 2, 0)
    for other in (drawn(2, 2, 0), drawn(1, 3, 0), drawn(1, 2, 1)):
        assert all(a != b for a, b in zip(first, other, strict=True))


def test_clips_of_a_batch_have_one_length_and_different_places():
    batches = list(sampler())
    assert all(len({draw.seconds for draw in batch}) == 1 for batch in batches)
    draws = [draw for batch in batches for draw in batch]
    assert len({draw.seconds for draw in draws}) == len(sampler()) == 20
    assert all(5 <= draw.seconds <= 9 for draw in draws)
    assert {draw.variant for draw in draws} == {0, 1, 2}
    places = [draw.place for draw in draws]
    assert 0 <= min(places) < 0.05
    assert 0.95 < max(places) < 1


def test_a_share_of_the_music_is_heard_on_wrong_beats(dataset):
    draws = [draw for batch in sampler(steps=100, mistaken=0.3) for draw in batch]
    wrong = [draw.mistake for draw in draws if draw.mistake is not None]
    assert len(set(wrong)) == len(wrong) == pytest.approx(0.3 * len(draws), abs=50)
    right = dataset[[Draw(pair, 0, 0.5, 4.0) for pair in range(4)]]
    heard = dataset[[Draw(pair, 0, 0.5, 4.0, mistake=pair) for pair in range(4)]]
    assert torch.equal(heard.audio.log_mel, right.audio.log_mel)
    assert torch.equal(heard.motion.clock.times, right.motion.clock.times)
    torch.testing.assert_close(heard.phases, right.phases, equal_nan=True)
    different = 0
    for row in range(4):
        clocks = [
            one.audio.clock.times[row][: int(one.audio.clock.mask[row].sum()) + 1].tolist()
            + one.audio.clock.positions[row].tolist()
            for one in (right, heard)
        ]
        different += clocks[0] != clocks[1]
    assert different >= 3, "a bar may be mistaken by nothing"


def test_rare_and_unknown_tempi_stand_with_their_neighbours():
    unknown = float("nan")
    tempi = [100.0, 40.0, 101.0, 102.0, unknown, 99.0, 45.0, 50.0, unknown, unknown, unknown, 98.0]
    for batch in sampler(tempi, batch_size=4, steps=100, speeds=(1.0,)):
        pairs = {draw.pair for draw in batch}
        assert 1 not in pairs or pairs > {1, 6, 7}
        assert not pairs & {4, 8, 9, 10} or pairs <= {4, 8, 9, 10} | {2, 3}, "the fastest"


@pytest.mark.parametrize("options", [{"batch_size": 6}, {"batch_size": 16}, {"seconds": (9, 5)}])
def test_batches_that_cannot_be_made_are_refused(options):
    with pytest.raises(PairError, match="; choose "):
        sampler(**options)


def test_mates_are_the_others_of_a_cluster():
    assert cluster_mates(8).tolist()[3:6] == [[0, 1, 2], [5, 6, 7], [4, 6, 7]]


def test_shifted_motions_and_their_beats_lie_a_beat_apart(found):
    starts = (1.5, 2.0, 2.5, 3.0)
    batch = cut(found, starts, 3.0, [3, 1, 0, 2])
    assert batch.size == 4
    assert batch.piece.tolist() == [3, 1, 0, 2]
    torch.testing.assert_close(batch.tempo, torch.full((4,), 120.0))
    count, clock = batch.motion.features.shape[1], batch.motion.clock
    for row in range(12):
        start, source = starts[row % 4] + (0.0, -0.5, 0.5)[row // 4], found[row % 4]
        expected = rows(source, round(start * MOTION_FRAME_RATE), count)
        assert torch.equal(batch.motion.features[row], expected)
        times = clock.times[row, : int(clock.mask[row].sum()) + 1].numpy() + start
        beats = source.motion_grid.times
        np.testing.assert_allclose(times[1:-1], beats[(beats > start) & (beats < start + 3)])


@pytest.mark.parametrize("place", [0.0, 0.5, 0.999])
def test_a_clip_and_its_shifts_stay_inside_the_pair(dataset, found, place):
    batch = dataset[[Draw(pair, 0, place, 4.0) for pair in range(4)]]
    assert batch.audio.log_mel.shape[1] == round(4 * AUDIO_FRAME_RATE)
    for row in range(12):
        source = found[row % 4]
        first = round((0.5 + place * (source.duration - 5.0)) * MOTION_FRAME_RATE)
        first += (0, -PERIOD_ROWS, PERIOD_ROWS)[row // 4]
        assert 0 <= first <= len(source.motion) - 4 * MOTION_FRAME_RATE
        expected = rows(source, first, round(4 * MOTION_FRAME_RATE))
        assert torch.equal(batch.motion.features[row], expected)


def test_a_clip_too_long_for_its_shifts_begins_where_the_pair_does(dataset, found):
    batch = dataset[[Draw(pair, 0, 0.9, 7.5) for pair in range(4)]]
    assert torch.equal(batch.motion.features[0], rows(found[0], 0, round(7.5 * MOTION_FRAME_RATE)))
    assert (batch.motion.features[4, :PERIOD_ROWS] == batch.motion.features[0, 0]).all()


def test_a_pair_shorter_than_a_clip_is_held(tmp_path):
    pair = write_pair(tmp_path, seconds=3.0)
    batch = PairDataset([pair], tmp_path / "cache")[[Draw(0, 0, 0.7, 5.0)]]
    frames = len(features(pair, 0, tmp_path / "cache").log_mel)
    log_mel = batch.audio.log_mel[0]
    assert len(log_mel) == round(5 * AUDIO_FRAME_RATE)
    assert (log_mel[frames:] == log_mel[frames - 1]).all()


def test_a_loader_gives_whole_batches_of_the_drawn_variants(dataset):
    one = sampler([120.0] * 4, batch_size=4, steps=2)
    loaded = list(DataLoader(dataset, batch_size=None, sampler=one))
    for batch, draws in zip(loaded, one, strict=True):
        expected = dataset[draws]
        assert torch.equal(batch.audio.log_mel, expected.audio.log_mel)
        assert torch.equal(batch.motion.clock.times, expected.motion.clock.times)
        assert batch.piece.tolist() == [draw.pair for draw in draws]
