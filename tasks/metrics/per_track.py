"""What is known of each track, gathered over steps and processes."""

import pickle
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric


class PerTrack(Metric):
    """One value a track, of any kind, by the track's id.

    Values lie in byte tensors, which torchmetrics gathers from all processes; a track that two
    processes were given counts once.
    """

    full_state_update = False
    values: list[Tensor]
    sizes: list[Tensor]

    def __init__(self) -> None:
        super().__init__()
        self.add_state("values", [], dist_reduce_fx="cat")
        self.add_state("sizes", [], dist_reduce_fx="cat")

    def update(self, track: str, value: Any) -> None:
        """Add the value of a track."""
        content = bytearray(pickle.dumps((track, value)))
        self.values.append(torch.frombuffer(content, dtype=torch.uint8).to(self.device))
        self.sizes.append(torch.tensor([len(content)], device=self.device))

    def compute(self) -> tuple[Tensor, Tensor]:
        """The values as bytes, one after another, and how many bytes each has."""
        if not len(self.values):
            return torch.empty(0, dtype=torch.uint8), torch.empty(0, dtype=torch.int64)
        joined, sizes = (
            torch.cat(list(state)) if isinstance(state, list) else state
            for state in (self.values, self.sizes)
        )
        return joined.cpu(), sizes.cpu()

    def by_track(self) -> dict[str, Any]:
        """The values by track id, in the order of the ids."""
        joined, sizes = self.compute()
        pieces = torch.split(joined, sizes.view(-1).tolist())
        found = dict(pickle.loads(piece.numpy().tobytes()) for piece in pieces)
        return {track: found[track] for track in sorted(found)}
