"""The one exception a user is meant to read."""

from collections.abc import Sequence


class MotionBeatError(Exception):
    """Something the user can mend: one line that says what is wrong and what to do.

    The command line prints the message alone and exits with status 1.
    """

    def __str__(self) -> str:
        # file names, servers and files may put anything into a message
        return "".join(c if c.isprintable() else " " for c in super().__str__())


def first_of(errors: Sequence[str]) -> str:
    """The first three of several errors in one line."""
    return "; ".join(errors[:3]) + ("; ..." if len(errors) > 3 else "")
