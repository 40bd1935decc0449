"""Loops compiled by numba."""

from collections.abc import Callable
from functools import cache, wraps
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """Compile a function of arrays and numbers at its first call; the result is kept on disk.

    Decorating costs nothing, as numba takes half a second to import. The function runs without the
    interpreter's lock and may not call another compiled function.
    """

    @cache
    def kernel() -> Any:
        from numba import njit

        return njit(nogil=True, cache=True)(function)

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        result: R = kernel()(*args, **kwargs)
        return result

    return call
