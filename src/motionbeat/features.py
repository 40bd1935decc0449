"""Resampling of feature frames to another frame rate, and averages over segments.

Frame ``i`` at ``frame_rate`` Hz is centred at ``i / frame_rate`` s, at any frame rate. This does
not hold for segments, which divide a recording into equal parts.
"""

import torch
from torch import Tensor
from torch.nn import functional


def resample_frames(frames: Tensor, frame_rate: float, target_rate: float) -> Tensor:
    """Resample (frames, ...) to another rate in Hz; step ``i`` is centred at ``i / target_rate`` s.

    To a lower rate, frames within half a step on either side are averaged; to a higher rate, frames
    are linearly interpolated. The result has at least one step.
    """
    if frame_rate == target_rate:
        return frames
    count = len(frames)
    steps = max(1, round(count / frame_rate * target_rate))
    centres = torch.arange(steps, device=frames.device, dtype=torch.float64) / target_rate
    if target_rate > frame_rate:
        return _at(frames, (centres * frame_rate).clamp(max=count - 1))
    # The integral of frames as a step function is straight between their edges.
    integral = functional.pad(frames.double().cumsum(0).flatten(1), (0, 0, 1, 0))
    half = frame_rate / target_rate / 2
    edges = [(centres * frame_rate + shift + 0.5).clamp(0, count) for shift in (-half, half)]
    low, high = (_at(integral, edge) for edge in edges)
    width = (edges[1] - edges[0]).clamp(min=1e-9)
    return ((high - low) / width[:, None]).float().view(steps, *frames.shape[1:])


def _at(values: Tensor, places: Tensor) -> Tensor:
    """Linearly interpolate values (n, ...) at fractional indices (m,)."""
    before = places.long().clamp(max=len(values) - 1)
    after = (before + 1).clamp(max=len(values) - 1)
    share = (places - before).to(values.dtype).view(-1, *[1] * (values.ndim - 1))
    return values[before] * (1 - share) + values[after] * share


def frames_in_segment(frame_rate: float, seconds: float) -> int:
    """Number of frames in a segment of about ``seconds``, at least one."""
    return max(1, round(seconds * frame_rate))


def segment_means(frames: Tensor, frame_rate: float, seconds: float) -> Tensor:
    """Average (frames, ...) over consecutive segments of about ``seconds``, of equal length.

    Returns:
        (segments, ...) float32; every frame belongs to one segment.
    """
    count = max(1, round(len(frames) / frames_in_segment(frame_rate, seconds)))
    edges = torch.linspace(0, len(frames), count + 1, dtype=torch.float64).round().long()
    sizes = edges.diff().tolist()
    return torch.stack([piece.float().mean(dim=0) for piece in torch.split(frames, sizes)])
