"""``motionbeat store``: show, check and clean up the embedding store."""

import re
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from fsspec.implementations.local import LocalFileSystem
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from motionbeat.benchmarks.cli import CACHE, DATA, share, split
from motionbeat.benchmarks.digests import file_digests
from motionbeat.benchmarks.evaluator import Folders
from motionbeat.benchmarks.registry import ENCODERS
from motionbeat.benchmarks.shards import SUFFIX, DamagedError, Shard, copied, open_shards
from motionbeat.benchmarks.store import EmbeddingStore, StoreError, store_of
from motionbeat.benchmarks.variants import VariantError, parted
from motionbeat.console import bar, say, wide
from motionbeat.data_modules.base import SPLITS
from motionbeat.files import ABANDONED

_SHARD = re.compile(rf"[0-9a-f]{{32}}{re.escape(SUFFIX)}")
_UNFINISHED = re.compile(r"\..*\.[0-9a-f]{32}")


class Waste(NamedTuple):
    """A file, or a part of one, that is not needed.

    Attributes:
        shard: the shard, if other embeddings in it are needed.
        needed: keys of these.
    """

    path: str
    size: int
    reason: str
    shard: Shard | None = None
    needed: tuple[str, ...] = ()


@dataclass
class Holdings:
    """The files of a store, by kind."""

    store: EmbeddingStore
    shards: list[Shard] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)
    unfinished: list[str] = field(default_factory=list)
    sizes: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Read names, sizes and headers.

        Raises:
            StoreError: the store cannot be read, or there is none.
        """
        try:
            found = self.store.fs.find(self.store.root, detail=True)
        except Exception as error:  # each filesystem has exceptions of its own
            raise StoreError(f"embeddings at {self.store}: cannot be read ({error})") from error
        if not found:
            raise StoreError(
                f"embeddings at {self.store}: there are none; give --cache or --embeddings"
            )
        self.sizes = {path: facts["size"] for path, facts in found.items()}
        mine = {}
        for path, facts in found.items():
            name = path.rpartition("/")[2]
            if _SHARD.fullmatch(name):
                mine[path] = self.sizes[path]
            elif _UNFINISHED.fullmatch(name) and time.time() - facts.get("mtime", 0) > ABANDONED:
                self.unfinished.append(path)
        for shard in open_shards(self.store.fs, mine):
            if isinstance(shard, DamagedError):
                self.damaged.append(shard.path)
            else:
                self.shards.append(shard)
        self.shards.sort(key=lambda shard: shard.path)

    def waste(self) -> Iterator[Waste]:
        """Files, or parts of files, that are not needed."""
        for reason, paths in (("damaged", self.damaged), ("unfinished", self.unfinished)):
            yield from (Waste(path, self.sizes[path], reason) for path in paths)
        seen: dict[str, set[str]] = defaultdict(set)
        for shard in self.shards:
            if current(shard) not in (None, shard.facts["revision"]):
                yield Waste(shard.path, shard.size, "older revision")
                continue
            known = seen[shard.path.rpartition("/")[0]]
            twice = shard.entries.keys() & known
            if twice:
                size = sum(shard.entries[key].stop - shard.entries[key].start for key in twice)
                needed = tuple(key for key in shard.entries if key not in known)
                yield Waste(shard.path, size, "duplicates", shard if needed else None, needed)
            known.update(shard.entries)


def current(shard: Shard) -> str | None:
    """Present revision of a shard's encoder; None if the encoder is not shipped."""
    name = shard.facts["encoder"]
    kind = ENCODERS.classes.get(parted(name)[0])
    if kind is None or not kind.__module__.startswith("motionbeat."):
        return None
    try:
        return ENCODERS.get(name).card.revision
    except VariantError:
        return ""


def size_of(count: int) -> str:
    """A size in bytes as text."""
    return f"{count / 1e9:,.2f} GB" if count >= 1e9 else f"{count / 1e6:,.1f} MB"


def ls(
    dataset: str | None = None,
    embeddings: str | None = None,
    cache: Path = CACHE,
    data: Path | None = DATA,
) -> None:
    """Show numbers and sizes of embeddings by encoder.

    Args:
        dataset: names of datasets, separated by commas, by which embeddings are listed as well. A
            recording in two of them counts for both.
        embeddings: folder or address of the embedding store (MOTIONBEAT_EMBEDDINGS).
        cache: folder for generated data and embeddings (MOTIONBEAT_CACHE).
        data: folder with datasets that you provide (MOTIONBEAT_DATA).
    """
    share(data, embeddings)
    holdings = Holdings(store_of(cache))
    audios: dict[str, set[str]] = {}
    for name in split(dataset or ""):
        module = Folders(cache, data=data).datamodule(name)
        paths = {track.audio_path for part in SPLITS for track in module.tracks(part)}
        found = file_digests((path for path in paths if path.is_file()), cache / "digests")
        audios[name] = {one for one in found.values() if isinstance(one, str)}
    kinds: dict[tuple[str, str, str], dict[str, int]] = defaultdict(dict)
    for shard in holdings.shards:
        seconds = shard.facts["segment_seconds"]
        kind = (
            shard.facts["encoder"],
            shard.facts["revision"],
            f"{seconds} s" if seconds else "frames",
        )
        kinds[kind] |= {key: entry.stop - entry.start for key, entry in shard.entries.items()}
    grid = Table()
    shown = ["encoder", "revision", "steps", *["dataset"] * bool(audios), "embeddings", "size"]
    for column in shown:
        grid.add_column(column, justify="right" if column in ("embeddings", "size") else "left")
    for kind, sizes in sorted(kinds.items()):
        parts = {name: sizes.keys() & own for name, own in audios.items()}
        parts["other" if audios else ""] = sizes.keys() - set().union(*audios.values())
        for name, keys in parts.items():
            if keys:
                total = size_of(sum(sizes[key] for key in keys))
                grid.add_row(*map(escape, kind), *[name] * bool(audios), f"{len(keys):,}", total)
    wide(Console()).print(grid)
    say(f"{holdings.store}: {size_of(sum(holdings.sizes.values()))} in all")


def gc(dry_run: bool = False, embeddings: str | None = None, cache: Path = CACHE) -> None:
    """Remove files that are not needed.

    These are older revisions of the encoders in ``list encoders``, files whose header is damaged,
    duplicates, and files that killed processes left more than a day ago. Embeddings of other
    encoders, and all other files, are kept.

    Args:
        dry_run: show what would be removed, and remove nothing.
        embeddings: folder or address of the embedding store (MOTIONBEAT_EMBEDDINGS).
        cache: folder for generated data and embeddings (MOTIONBEAT_CACHE).

    Raises:
        StoreError: a file cannot be removed.
        WriteError: the store cannot be written.
    """
    share(None, embeddings)
    store = store_of(cache)
    total: dict[tuple[str, str], list[int]] = defaultdict(list)
    for waste in Holdings(store).waste():
        folder = waste.path.removeprefix(store.root).strip("/").partition("/")[0]
        total[folder, waste.reason].append(waste.size)
        if dry_run:
            continue
        if waste.shard is not None:
            copied(waste.shard, waste.needed)
        if not store.remove(waste.path):
            raise StoreError(f"{waste.path}: cannot be removed; make the store writable")
        if isinstance(store.fs, LocalFileSystem):
            with suppress(OSError):  # other files are in it
                Path(waste.path).parent.rmdir()
    for (folder, reason), sizes in sorted(total.items()):
        print(f"{folder}: {reason}, {len(sizes):,} files, {size_of(sum(sizes))}")
    freed = size_of(sum(map(sum, total.values())))
    say(f"{store}: {freed} {'would be freed; nothing was removed' if dry_run else 'freed'}")


def verify(embeddings: str | None = None, cache: Path = CACHE) -> None:
    """Check all checksums; name damaged embeddings, and exit with 1 if there are any.

    Args:
        embeddings: folder or address of the embedding store (MOTIONBEAT_EMBEDDINGS).
        cache: folder for generated data and embeddings (MOTIONBEAT_CACHE).
    """
    share(None, embeddings)
    holdings = Holdings(store_of(cache))
    damaged = [f"{path}: is cut off or damaged" for path in holdings.damaged]
    count = 0
    with bar("shards") as progress:
        for shard in progress.track(holdings.shards, description="checksums"):
            for key in shard.entries:
                count += 1
                try:
                    for _ in shard.stored(key):
                        pass
                except DamagedError as error:
                    damaged.append(str(error))
    print("\n".join(dict.fromkeys(damaged)), end="\n" * bool(damaged))
    if damaged:
        say(
            f"{holdings.store}: {len(damaged)} damaged; remove these files, and what is needed of "
            "them is computed again"
        )
        sys.exit(1)
    say(f"{holdings.store}: {count:,} embeddings are intact")


STORE_COMMANDS = {"ls": ls, "gc": gc, "verify": verify}
