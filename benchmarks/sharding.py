"""``--shard 3/16``: the third of sixteen parts of the work."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self, TypeVar

from motionbeat.data_modules.base import Track
from motionbeat.errors import MotionBeatError

T = TypeVar("T")


class ShardError(MotionBeatError):
    """A shard that does not exist."""


@dataclass(frozen=True)
class Part:
    """Part ``number`` of ``count``, counted from 1."""

    number: int
    count: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse the option ``--shard``.

        Raises:
            ShardError: the text is invalid, or there is no such part.
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
        """Its part of some items: every ``count``-th, as neighbours are often of like size."""
        return list(items[self.number - 1 :: self.count])

    def tracks(self, tracks: Sequence[Track]) -> list[Track]:
        """Its part of some tracks; all tracks of one file are in the same part."""
        files = set(self.of(list(dict.fromkeys(track.audio_path for track in tracks))))
        return [track for track in tracks if track.audio_path in files]
