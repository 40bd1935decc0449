"""MotionBeat Bench: a benchmark of frozen music encoders, and the encoder MotionBeat."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from motionbeat.weights import from_pretrained

__version__ = "0.1.0"
__all__ = ["from_pretrained"]


def __getattr__(name: str) -> Any:
    """Import the model on first use, so that importing the package stays fast."""
    if name == "from_pretrained":
        from motionbeat.weights import from_pretrained

        return from_pretrained
    raise AttributeError(f"module 'motionbeat' has no attribute '{name}'")
