import random
import shutil
import struct
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from motionbeat.benchmarks.encoders.pretrained.tf_checkpoint import (
    CheckpointError,
    masked_crc32c,
    read_checkpoint,
)

SOURCE = Path(find_spec("musicnn").origin).parent / "MTT_musicnn"
INDEX, DATA = ".index", ".data-00000-of-00001"
ENTRIES_END = 4862  # of the index's only data block; its type and checksum follow


@pytest.fixture(scope="module")
def tensors():
    return read_checkpoint(SOURCE)


@pytest.fixture
def copied(tmp_path):
    for name in (INDEX, DATA):
        shutil.copyfile(SOURCE / name, tmp_path / name)
    return tmp_path


def flip(path: Path, position: int) -> None:
    content = bytearray(path.read_bytes())
    content[position] ^= 0x10
    path.write_bytes(content)


def assert_one_line(caught: pytest.ExceptionInfo[CheckpointError]) -> None:
    message = str(caught.value)
    assert "\n" not in message
    assert message.endswith("restore the checkpoint")


def test_reads_every_byte_of_the_data(tensors):
    assert len(tensors) == 150
    assert sum(tensor.nbytes for tensor in tensors.values()) == (SOURCE / DATA).stat().st_size
    assert tensors["conv2d_1/kernel"].shape == (7, 67, 1, 204)
    assert tensors["beta1_power"].shape == ()


def test_values_are_those_tensorflow_reads(tensors):
    """Printed by ``tf.train.load_checkpoint(...).get_tensor`` of TensorFlow 2.21."""
    np.testing.assert_allclose(tensors["batch_normalization/moving_mean"], [1.593989], rtol=1e-6)
    np.testing.assert_allclose(
        tensors["dense_1/bias"][:3], [-1.237626, -1.0114381, -1.5205249], rtol=1e-6
    )


@pytest.mark.parametrize(
    ("data", "crc"),
    [(b"123456789", 0xE3069283), (bytes(32), 0x8A9136AA), (bytes(range(32)), 0x46DD794E)],
)
def test_checksum_gives_the_standard_values(data, crc):
    """Check value of CRC-32C and two of RFC 3720, appendix B.4."""
    assert masked_crc32c(data) == ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


@pytest.mark.parametrize("name", [INDEX, DATA])
def test_missing_file(copied, name):
    (copied / name).unlink()
    with pytest.raises(CheckpointError, match="cannot be read") as caught:
        read_checkpoint(copied)
    assert_one_line(caught)


@pytest.mark.parametrize(
    ("name", "length"), [(INDEX, 0), (INDEX, 47), (INDEX, 4000), (INDEX, -1), (DATA, 0), (DATA, -1)]
)
def test_truncated_file(copied, name, length):
    content = (copied / name).read_bytes()
    (copied / name).write_bytes(content[:length])
    with pytest.raises(CheckpointError, match="truncated") as caught:
        read_checkpoint(copied)
    assert_one_line(caught)


def test_index_without_its_first_half(copied):
    (copied / INDEX).write_bytes((copied / INDEX).read_bytes()[2500:])
    with pytest.raises(CheckpointError) as caught:
        read_checkpoint(copied)
    assert_one_line(caught)


@pytest.mark.parametrize("position", [*range(0, ENTRIES_END + 5, 211), ENTRIES_END, -1])
def test_flipped_bit_in_the_index(copied, position):
    flip(copied / INDEX, position)
    with pytest.raises(CheckpointError) as caught:
        read_checkpoint(copied)
    assert_one_line(caught)


@pytest.mark.parametrize("position", [0, 5_000_000, -1])
def test_flipped_bit_in_the_data(copied, position):
    flip(copied / DATA, position)
    with pytest.raises(CheckpointError, match="checksum") as caught:
        read_checkpoint(copied)
    assert_one_line(caught)


def test_forged_entries_fail_in_no_other_way(copied):
    """Entries altered at random under a valid checksum reach the parsers behind it."""
    original = (copied / INDEX).read_bytes()
    generator = random.Random(8)
    messages = []
    for _ in range(60):
        forged = bytearray(original)
        for _ in range(generator.choice([1, 4, 200])):
            forged[generator.randrange(ENTRIES_END)] = generator.randrange(256)
        checksum = masked_crc32c(bytes(forged[: ENTRIES_END + 1]))
        forged[ENTRIES_END + 1 : ENTRIES_END + 5] = struct.pack("<I", checksum)
        (copied / INDEX).write_bytes(forged)
        try:
            read_checkpoint(copied)
        except CheckpointError as error:
            messages.append(str(error))
    assert len(messages) > 30
    assert not any("\n" in message for message in messages)
