"""Where and how encoders compute: the device, its memory, its precision, copies to it and from it.

All that asks for a GPU asks here, so that what depends on one can be tested without.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Literal, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from motionbeat.errors import MotionBeatError

T = TypeVar("T")
R = TypeVar("R")

Precision = Literal["bf16", "fp16"]
"""Half precisions of a GPU."""

_TYPES: dict[Precision, torch.dtype] = {"bf16": torch.bfloat16, "fp16": torch.float16}


class DeviceError(MotionBeatError):
    """Something that the device cannot do."""


def has_gpu() -> bool:
    """Whether there is a GPU that torch can use."""
    return torch.cuda.is_available()


def accelerator() -> Literal["gpu", "cpu"]:
    """Lightning's name for what is here."""
    return "gpu" if has_gpu() else "cpu"


def accelerator_name() -> str | None:
    """The GPU's name, for run records; None where there is none."""
    return torch.cuda.get_device_name() if has_gpu() else None


class Device:
    """A device on which encoders compute.

    Args:
        kind: ``cpu`` or ``cuda``; by default the GPU where there is one.
    """

    def __init__(self, kind: str | None = None) -> None:
        self.kind = kind or ("cuda" if has_gpu() else "cpu")

    @property
    def is_gpu(self) -> bool:
        """Whether copies take time of their own, and batches pay."""
        return self.kind != "cpu"

    def upload(self, waveform: NDArray[np.float32]) -> Tensor:
        """Copy an array to the device; from pinned memory, without waiting for it."""
        if not self.is_gpu:
            return torch.tensor(waveform)
        return torch.from_numpy(waveform).to(self.kind, non_blocking=True)

    def download(self, states: Tensor) -> Callable[[], Tensor]:
        """Begin to copy to the host; what is returned waits for the end and gives the copy."""
        if not self.is_gpu:
            return lambda: states
        host = torch.empty(states.shape, dtype=states.dtype, pin_memory=True)
        host.copy_(states, non_blocking=True)
        copied = torch.Event(self.kind)
        copied.record()

        def wait() -> Tensor:
            copied.synchronize()
            return host

        return wait

    def autocast(self, precision: Precision | None) -> AbstractContextManager[object]:
        """Compute in half precision meanwhile, where it is harmless; None for float32.

        Raises:
            DeviceError: the device is no GPU.
        """
        if precision is None:
            return nullcontext()
        if not self.is_gpu:
            raise DeviceError(
                f"{precision} is for GPUs, and none is here; leave out --precision {precision}"
            )
        return torch.autocast(self.kind, _TYPES[precision])

    def release(self) -> None:
        """Give back memory that nothing uses."""
        if self.is_gpu:
            torch.cuda.empty_cache()


CPU = Device("cpu")


class BatchBudget:
    """Seconds of audio that are encoded together.

    On a GPU they are doubled while batches that fill them fit into its memory. A processor gains
    nothing from batches, and without them its results do not depend on what else is encoded.

    Args:
        device: on which batches are encoded.
        seconds: the budget, None to find it.
        most: seconds beyond which it is not doubled.
    """

    first = 120.0  # s

    def __init__(self, device: Device, seconds: float | None = None, most: float = 1920.0) -> None:
        self.device = device
        self.growing = seconds is None and device.is_gpu
        self.most = most
        self.seconds = (self.first if device.is_gpu else 0.0) if seconds is None else seconds

    def run(
        self, encode: Callable[[Sequence[T]], list[R]], batch: Sequence[T], seconds: float
    ) -> list[R]:
        """Results of a batch of so many seconds, encoded in parts if it does not fit at once.

        Raises:
            DeviceError: not even one recording fits.
        """
        try:
            results: list[R] | None = encode(batch)
        except torch.OutOfMemoryError:
            results = None  # its traceback, which holds tensors, ends here
        if results is not None:
            if self.growing and seconds > self.seconds / 2:
                self.seconds = min(2 * self.seconds, self.most)
            return results
        self.device.release()
        if len(batch) == 1:
            raise DeviceError(
                f"{seconds:.0f} s of audio do not fit into the memory of the GPU; end what else "
                "runs on it, or choose a smaller encoder"
            )
        self.growing, self.seconds = False, min(self.seconds, seconds) / 2
        middle = len(batch) // 2
        parts = ((batch[:middle], middle), (batch[middle:], len(batch) - middle))
        return [
            result
            for part, count in parts
            for result in self.run(encode, part, seconds * count / len(batch))
        ]
