import os
import signal
import subprocess
import sys

import numpy as np
import pytest
import soundfile
from tests.orphans import assert_processes_end

from motionbeat import loading
from motionbeat.audio import AudioError, load_audio
from motionbeat.loading import AudioFile, load_files
from motionbeat.processes import ProcessError

KINDS = ((16000, 1), (22050, 2))


@pytest.fixture
def files(tmp_path):
    """Files of several lengths, of which the third is broken."""
    rng = np.random.default_rng(0)
    found = []
    for number in range(7):
        path = tmp_path / f"{number}.wav"
        seconds = 0.3 + 0.2 * number
        soundfile.write(path, rng.uniform(-0.5, 0.5, (round(44100 * seconds), 2)), 44100)
        found.append(AudioFile(path, seconds, KINDS if number % 2 else KINDS[:1]))
    found[2].path.write_bytes(b"no audio")
    return found


@pytest.fixture
def eager(monkeypatch):
    """A process for every second of audio, groups of about a second."""
    monkeypatch.setattr(loading, "_WORTHWHILE", 1.0)
    monkeypatch.setattr(loading, "_TOGETHER", 1.0)


@pytest.mark.parametrize("workers", [0, 1, 3])
@pytest.mark.parametrize("block", [1 << 24, 5000])
def test_waveforms_come_in_order_and_broken_files_as_values(
    files, eager, monkeypatch, workers, block
):
    monkeypatch.setattr(loading, "_SAMPLES", block)  # and are joined where there are several
    monkeypatch.setattr(loading, "SECONDS_AHEAD", 0.5)  # and wait for their turn
    found = list(load_files(files, workers))
    assert len(found) == len(files)
    for file, waveforms in zip(files, found, strict=True):
        if file is files[2]:
            assert isinstance(waveforms, AudioError)
            continue
        assert waveforms.keys() == {*file.kinds}
        for (rate, channels), waveform in waveforms.items():
            expected, _ = load_audio(file.path, channels, rate)
            assert np.array_equal(waveform, expected.T)
            assert waveform.dtype == np.float32


def test_little_audio_is_decoded_in_this_process(files, monkeypatch):
    started = []
    monkeypatch.setattr(loading, "end_with_parent", started.append)
    monkeypatch.setattr(os, "fork", lambda: pytest.fail("a process was started"))
    assert len(list(load_files(files[:2], 8))) == 2
    assert not started


def test_memory_is_pinned_for_a_gpu_alone(files, monkeypatch):
    told = []
    loader = loading.DataLoader
    monkeypatch.setattr(
        loading,
        "DataLoader",
        lambda *data, pin_memory, **more: (told.append(pin_memory), loader(*data, **more))[1],
    )
    for pinned in (True, False):
        assert len(list(load_files(files, 0, pinned))) == len(files)
    assert told == [True, False]


def test_no_file_is_decoded_further_ahead_than_memory_allows(files, eager, monkeypatch):
    monkeypatch.setattr(loading, "SECONDS_AHEAD", 1.0)
    data = loading._Files(loading._grouped(files), 1.0)
    waits = []

    def sleep(_):
        waits.append(data.used.value)
        data.used.value += 1

    monkeypatch.setattr(loading.time, "sleep", sleep)
    last = len(data) - 1
    assert data[0].lengths
    assert not waits, "what is needed next waits for nothing"
    assert data[last].lengths
    assert waits, "what is far ahead waits until what comes before is used"
    assert data.ends[last + 1] - data.ends[data.used.value] <= 1.0 or data.used.value == last


def test_a_killed_process_is_one_line(files, eager, monkeypatch):
    def decode(path, takers):
        if path == files[-1].path:
            os.kill(os.getpid(), signal.SIGKILL)
        return whole(path, takers)

    whole = loading.decode
    monkeypatch.setattr(loading, "decode", decode)
    with pytest.raises(ProcessError, match="run again") as caught:
        list(load_files(files, 2))
    assert "\n" not in str(caught.value)


ORPHANS = """
import os, sys
from motionbeat import loading
from motionbeat.loading import AudioFile, load_files

loading._WORTHWHILE = loading._TOGETHER = 0.5

def block(path, takers):
    os.write(os.open(sys.argv[1], os.O_WRONLY), b"x")
    os.read(os.pipe()[0], 1)

loading.decode = block
list(load_files([AudioFile(None, 1.0, ())] * 2, 2))
"""


def test_processes_end_with_a_killed_parent(tmp_path):
    assert_processes_end(ORPHANS, tmp_path / "pipe")


def test_processes_import_no_lightning():
    code = "import sys, motionbeat.loading; sys.exit('lightning' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
