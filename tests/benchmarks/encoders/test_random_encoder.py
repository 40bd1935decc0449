import zlib

import torch

from motionbeat.benchmarks.encoders.random import RandomNetwork


def weights_checksum() -> int:
    checksum = 0
    for weights in RandomNetwork().parameters():
        checksum = zlib.crc32(weights.numpy().tobytes(), checksum)
    return checksum


def test_weights_are_pinned_to_the_bit_whatever_the_global_seed():
    for seed in (0, 1234):
        torch.manual_seed(seed)
        assert weights_checksum() == 0x7EE2980B


def test_global_generator_is_left_alone():
    before = torch.get_rng_state()
    RandomNetwork()
    assert torch.equal(torch.get_rng_state(), before)


def test_every_block_changes_what_it_is_given():
    generator = torch.Generator().manual_seed(5)
    states = RandomNetwork()(torch.rand(1, 48_000, generator=generator) - 0.5)[0]
    spread = states.std(dim=(1, 2))
    change = states.diff(dim=0).std(dim=(1, 2))
    assert (change > 0.2 * spread[:-1]).all()
    assert (spread < 5).all()
