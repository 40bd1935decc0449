"""The device of encoders: its memory and precision, and copies to and from it.

All code that depends on a GPU uses this module, so that it can be tested without one.
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
    """A device that cannot be used as requested."""


def has_gpu() -> bool:
    """Whether there is a GPU that torch can use."""
    return torch.cuda.is_available()


def accelerator() -> Literal["gpu", "cpu"]:
    """Lightning's name for the device."""
    return "gpu" if has_gpu() else "cpu"


def accelerator_name() -> str | None:
    """Name of the GPU, for run records; None if there is none."""
    return torch.cuda.get_device_name() if has_gpu() else None


class Device:
    """A device on which encoders compute.

    Args:
        kind: ``cpu`` or ``cuda``; by default the GPU if there is one.
    """

    def __init__(self, kind: str | None = None) -> None:
        self.kind = kind or ("cuda" if has_gpu() else "cpu")

    @property
    def is_gpu(self) -> bool:
        """Whether the device is a GPU."""
        return self.kind != "cpu"

    def upload(self, waveform: NDArray[np.float32]) -> Tensor:
        """Copy an array to the device, asynchronously from pinned memory."""
        if not self.is_gpu:
            return torch.tensor(waveform)
        return torch.from_numpy(waveform).to(self.kind, non_blocking=True)

    def download(self, states: Tensor) -> Callable[[], Tensor]:
        """Start copying to the host; the returned function waits for the copy."""
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
        """Context of automatic mixed precision; None for float32.

        Raises:
            DeviceError: the device is not a GPU.
        """
        if precision is None:
            return nullcontext()
        if not self.is_gpu:
            raise DeviceError(
                f"{precision} is for GPUs, and none is here; leave out --precision {precision}"
            )
        return torch.autocast(self.kind, _TYPES[precision])

    def release(self) -> None:
        """Release unused memory."""
        if self.is_gpu:
            torch.cuda.empty_cache()


CPU = Device("cpu")


class BatchBudget:
    """Seconds of audio per batch.

    On a GPU they are doubled while full batches fit into its memory. On a CPU batches are not
    faster, and without them features do not depend on what else is encoded.

    Args:
        device: device of the encoder.
        seconds: seconds of audio per batch; None to find them.
        most: upper limit of the doubling.
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
        """Encode a batch with a number of seconds, in parts if it does not fit into the memory.

        Raises:
            DeviceError: a single recording does not fit.
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
