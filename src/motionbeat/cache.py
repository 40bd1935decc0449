"""The cache of a machine: one way to make keys, one place for all that is kept."""

import hashlib
import json
import os
from pathlib import Path


def default_cache() -> Path:
    """The cache folder: ``MOTIONBEAT_CACHE``, or ``.cache/motionbeat`` in the current folder."""
    return Path(os.environ.get("MOTIONBEAT_CACHE", ".cache/motionbeat"))


def digest(**parts: object) -> str:
    """The key of something: a short digest of all that decides it, as JSON or else by ``str``."""
    content = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(content.encode()).hexdigest()[:16]
