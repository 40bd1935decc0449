"""Extraction with processes that decode: what is stored does not depend on them."""

import math
import os
import signal
from threading import Lock

import numpy as np
import pytest
import torch
from tests.command import motionbeat
from tests.toys import Tiny, card, write_noise

from motionbeat import loading
from motionbeat.benchmarks.extraction import Extraction, embed
from motionbeat.benchmarks.store import EmbeddingStore, StoreError
from motionbeat.processes import ProcessError


@pytest.fixture
def tracks(tmp_path):
    lengths = (1.33, 0.4, 1.33, 0.9, 1.33, 2.0)
    return [write_noise(tmp_path / f"{n}.wav", one, seed=n) for n, one in enumerate(lengths)]


@pytest.fixture(autouse=True)
def eager(monkeypatch):
    """A process for every second of audio, groups of about a second."""
    for name in ("loading._WORTHWHILE", "loading._TOGETHER", "benchmarks.extraction._TOGETHER"):
        monkeypatch.setattr(f"motionbeat.{name}", 1.0)


class Other(Tiny):
    card = card("other", sample_rate=4000, frame_rate=5.0)


class Whole(Tiny):
    card = card("whole")
    context = math.inf

    def forward(self, waveform):
        return super().forward(waveform - waveform.mean(dim=-1, keepdim=True))


def stored(folder, tracks, *encoders, **options):
    readers = embed(encoders, tracks, EmbeddingStore(folder), how=Extraction(**options))
    return [reader(track) for reader in readers for track in tracks]


def test_features_depend_neither_on_processes_nor_on_order(tmp_path, tracks):
    encoders = Tiny(), Other(), Whole()
    alone = stored(tmp_path / "alone", tracks, *encoders, workers=0)
    beside = stored(tmp_path / "beside", tracks, *encoders, workers=3)
    back = stored(tmp_path / "back", tracks[::-1], *encoders, workers=2)
    back = [one for start in range(0, 18, 6) for one in back[start : start + 6][::-1]]
    for one, two, three in zip(alone, beside, back, strict=True):
        assert torch.equal(one, two)
        assert torch.equal(one, three)
    batched = stored(tmp_path / "batched", tracks, *encoders, workers=2, batch_seconds=10)
    for one, two in zip(alone, batched, strict=True):
        np.testing.assert_allclose(one, two, rtol=2e-3, atol=2e-3)


def test_broken_files_are_named_and_all_others_stored(tmp_path, tracks):
    tracks[1].audio_path.write_bytes(b"no audio")
    tracks[4].audio_path.unlink()
    with pytest.raises(StoreError, match=r"2 of 6 tracks failed.*4\.wav.*1\.wav"):
        stored(tmp_path / "store", tracks, Tiny(), workers=2)
    intact = [track for number, track in enumerate(tracks) if number not in (1, 4)]

    class Never(Tiny):
        def forward(self, waveform):
            pytest.fail("encoded twice")

    assert len(stored(tmp_path / "store", intact, Never())) == 4


class Killing(Tiny):
    """The third time it is asked, all processes that decode are killed."""

    def __init__(self, asked):
        super().__init__()
        self.asked = asked

    def __deepcopy__(self, _):
        return self

    def forward(self, waveform):
        self.asked.append(len(waveform))
        if len(self.asked) == 3:
            for worker in torch.multiprocessing.active_children():
                os.kill(worker.pid, signal.SIGKILL)
        return super().forward(waveform)


def test_a_killed_process_is_one_line_and_nothing_finished_is_lost(tmp_path, tracks, monkeypatch):
    monkeypatch.setattr(loading, "SECONDS_AHEAD", 0.1)  # the last files are not decoded yet
    monkeypatch.setattr("motionbeat.benchmarks.extraction._LONG", 0.1)
    asked = []
    with pytest.raises(ProcessError, match="run again") as caught:
        stored(tmp_path, tracks, Killing(asked), workers=2)
    assert "\n" not in str(caught.value)
    finished = len(asked)
    assert 3 <= finished < len(tracks)
    stored(tmp_path, tracks, Killing(asked), workers=2)
    assert len(asked) == len(tracks)


class Guarded(Tiny):
    """Fails when two threads ask it at once."""

    def __init__(self, name):
        super().__init__()
        vars(self)["card"] = card(name)
        self.lock = Lock()

    def __deepcopy__(self, _):
        return self

    def forward(self, waveform):
        assert self.lock.acquire(blocking=False)
        try:
            return super().forward(waveform)
        finally:
            self.lock.release()


def test_no_encoder_is_asked_by_two_threads_at_once(tmp_path, tracks):
    threads = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        stored(tmp_path, tracks, *map(Guarded, "abc"), workers=2)
    finally:
        torch.set_num_threads(threads)


def test_precision_stands_in_the_name_and_is_refused_without_a_gpu(tmp_path):
    options = ("--dataset", "tests.clicks:Clicks", "--cache", tmp_path)
    ended = motionbeat("embed", *options, "--encoder", "logmel", "--precision", "bf16")
    assert ended.code == 1
    assert "bf16 is for GPUs" in ended.said.splitlines()[-1]
    ended = motionbeat("embed", *options, "--encoder", "logmel[int4]")
    assert ended.code == 1
    assert "has no layer 'int4'" in ended.said.splitlines()[-1]
    ended = motionbeat("embed", *options, "--encoder", "logmel", "--workers", -1)
    assert ended.code == 1
    assert "--workers is -1" in ended.said.splitlines()[-1]
    ended = motionbeat("embed", *options, "--encoder", "logmel", "--segment_seconds", 0)
    assert ended.code == 1
    assert "--segment_seconds is 0.0; give" in ended.said.splitlines()[-1]
