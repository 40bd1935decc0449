"""Parts of the work by hand: ``--shard 3/16`` is the third of sixteen."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Self, TypeVar

from motionbeat.data_modules.base import Track
from motionbeat.errors import MotionBeatError

T = TypeVar("T")


class ShardError(MotionBeatError):
    """A shard that does not exist."""


@dataclass(frozen=True)
class Shard:
    """One of so many parts; the numbers count from 1."""

    number: int
    count: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """A shard as it is written on the command line.

        Raises:
            ShardError: it is not written that way, or there is no such part.
        """
        numbers = re.fullmatch(r"(\d{1,9})/(\d{1,9})", text)
        if numbers is None:
            raise ShardError(f"--shard {text}: is no shard; write 3/16 for the third of sixteen")
        number, count = map(int, numbers.groups())
        if not 1 <= number <= count:
            raise ShardError(
                f"--shard {text}: there is no such shard; choose 1/{max(1, count)} to "
                f"{max(1, count)}/{max(1, count)}"
            )
        return cls(number, count)

    def of(self, items: Sequence[T]) -> list[T]:
        """Its part of some items: every so many-th, as neighbours often are of like size."""
        return list(items[self.number - 1 :: self.count])

    def tracks(self, tracks: Sequence[Track]) -> list[Track]:
        """Its part of some tracks; all that are cut out of one file are in one part."""
        files = set(self.of(list(dict.fromkeys(track.audio_path for track in tracks))))
        return [track for track in tracks if track.audio_path in files]


def pieces_of(tracks: Sequence[Track], count: int) -> list[list[Track]]:
    """Tracks in at most so many pieces of about as many seconds; a file is in one of them."""
    files: dict[object, list[Track]] = {}
    for track in tracks:
        files.setdefault(track.audio_path, []).append(track)
    ends = list(accumulate(sum(one.duration for one in group) for group in files.values()))
    pieces: dict[int, list[Track]] = {}
    for group, end in zip(files.values(), ends, strict=True):
        middle = end - sum(one.duration for one in group) / 2
        pieces.setdefault(int(middle / ends[-1] * count), []).extend(group)
    return list(pieces.values())
