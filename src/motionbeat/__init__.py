"""MotionBeat: a music encoder that moves with a dancing body."""

__version__ = "0.1.0"
