"""What is chosen for a device, tried on devices that are not there."""

import numpy as np
import pytest
import torch

from motionbeat import devices
from motionbeat.devices import CPU, BatchBudget, Device, DeviceError


class Small(Device):
    """A GPU that holds so many seconds at once."""

    def __init__(self, room):
        super().__init__("cuda")
        self.room, self.released = room, 0
        self.fitted = []

    def release(self):
        self.released += 1

    def encode(self, batch):
        if sum(batch) > self.room:
            raise torch.OutOfMemoryError
        self.fitted.append(sum(batch))
        return [2 * seconds for seconds in batch]


def run(budget, device, batches):
    """Run batches of chunks of 60 s as large as the budget allows."""
    for _ in range(batches):
        batch = [60.0] * max(1, int(budget.seconds / 60))
        assert budget.run(device.encode, batch, sum(batch)) == [120.0] * len(batch)


def test_a_budget_is_doubled_until_memory_is_exhausted_and_nothing_is_lost():
    device = Small(room=1000)
    budget = BatchBudget(device)
    run(budget, device, 7)
    assert device.fitted == [120, 240, 480, 960, 960, 960, 960, 960]
    assert (budget.seconds, device.released) == (960, 1)


def test_a_budget_ends_at_the_most_or_where_it_is_given():
    for budget, seconds in ((BatchBudget(Small(1e9), most=500), 500), (BatchBudget(CPU), 0)):
        run(budget, Small(1e9), 6)
        assert budget.seconds == seconds
    device = Small(room=200)
    budget = BatchBudget(device, 300)
    run(budget, device, 3)
    assert device.fitted == [120, 180, 120, 120]
    assert budget.seconds == 150


def test_a_batch_that_does_not_fill_the_budget_does_not_double_it():
    device = Small(1e9)
    budget = BatchBudget(device)
    budget.run(device.encode, [4.0], 4.0)
    assert budget.seconds == BatchBudget.first


def test_what_does_not_fit_alone_is_an_error_in_one_line():
    device = Small(room=50)
    with pytest.raises(DeviceError, match="60 s of audio do not fit") as caught:
        BatchBudget(device).run(device.encode, [60.0], 60.0)
    assert "\n" not in str(caught.value)


def test_copies_to_a_gpu_do_not_wait_and_a_processor_gets_its_own(monkeypatch):
    waveform = np.ones(5, np.float32)
    copy = CPU.upload(waveform)
    copy.zero_()
    assert waveform.all()
    sent = []
    monkeypatch.setattr(torch.Tensor, "to", lambda self, *to, **how: sent.append((to, how)))
    Device("cuda").upload(waveform)
    assert sent == [(("cuda",), {"non_blocking": True})]


def test_half_precision_is_for_gpus(monkeypatch):
    entered = []
    monkeypatch.setattr(torch, "autocast", lambda *how: entered.append(how))
    Device("cuda").autocast("bf16")
    assert entered == [("cuda", torch.bfloat16)]
    with Device("cuda").autocast(None), CPU.autocast(None):
        assert len(entered) == 1
    with pytest.raises(DeviceError, match="bf16 is for GPUs"):
        CPU.autocast("bf16")


@pytest.mark.parametrize("there", [True, False])
def test_a_gpu_is_used_where_there_is_one(monkeypatch, there):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "Fake 1")
    assert Device().kind == ("cuda" if there else "cpu")
    assert devices.accelerator() == ("gpu" if there else "cpu")
    assert devices.accelerator_name() == ("Fake 1" if there else None)
