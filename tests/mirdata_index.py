"""Indices as mirdata publishes them."""

import hashlib
import json
from pathlib import Path


def write_index(
    folder: Path,
    name: str,
    tracks: dict[str, dict[str, str | None]],
    metadata: dict[str, str] | None = None,
) -> None:
    """Write the index of files that are in place; a path that is None is a file nobody has."""

    def entry(path: str | None) -> list[str | None]:
        return [path, path and hashlib.md5((folder / path).read_bytes()).hexdigest()]

    index: dict[str, object] = {
        "version": "1.0",
        "tracks": {
            id: {kind: entry(path) for kind, path in files.items()} for id, files in tracks.items()
        },
    }
    if metadata:
        index["metadata"] = {key: entry(path) for key, path in metadata.items()}
    (folder / name).write_text(json.dumps(index, indent=2))
