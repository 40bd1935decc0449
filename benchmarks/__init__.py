"""The benchmark: evaluation protocol, run records, leaderboards, encoders, the command line."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from motionbeat.benchmarks.evaluator import evaluate

__all__ = ["evaluate"]


def __getattr__(name: str) -> Any:
    """Import ``evaluate`` on first use, so that listing names stays fast."""
    if name == "evaluate":
        from motionbeat.benchmarks.evaluator import evaluate

        return evaluate
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
