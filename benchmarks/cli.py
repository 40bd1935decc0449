"""The command line, one entry point ``motionbeat`` with a command for each thing to do."""

import argparse
import os
import shlex
import shutil
import sys
from contextlib import nullcontext
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

from jsonargparse import ArgumentParser, auto_cli

from motionbeat._torchmetrics import import_torchmetrics
from motionbeat.cache import default_cache
from motionbeat.errors import MotionBeatError
from motionbeat.threads import wait_passively

CACHE = default_cache()
DATA = Path(os.environ["MOTIONBEAT_DATA"]) if os.environ.get("MOTIONBEAT_DATA") else None
ENCODERS = "logmel,mfcc_chroma,random,musicnn,beatnet,beatgrid,motionbeat-random,motionbeat-small"

Options = dict[str, bool | int | float | str | list[str]]


def split(names: str) -> list[str]:
    """Names separated by commas, in order, each once."""
    return list(dict.fromkeys(name.strip() for name in names.split(",") if name.strip()))


def share(data: Path | None) -> None:
    """Let encoders find weights put in place by hand, wherever they are made."""
    if data is not None:
        os.environ["MOTIONBEAT_DATA"] = str(data)


def bench(
    task: str = "beat",
    dataset: str = "groovebox",
    encoder: str = ENCODERS,
    dataset_options: Options | None = None,
    heads: str | None = None,
    seeds: int = 3,
    learning_rates: tuple[float, ...] | None = None,
    mode: Literal["frozen", "lora", "full"] = "frozen",
    deform: bool = False,
    cache: Path = CACHE,
    results: Path = Path("results"),
    data: Path | None = DATA,
    ray: str | None = None,
    shard: str | None = None,
) -> None:
    """Probe frozen encoders, write records and leaderboards, print the table.

    Args:
        task: what is asked of the encoders; of several, separated by commas, each on the datasets
            that serve it.
        dataset: one or several names, file.py:Class or CSV files of audio and labels (columns in
            docs/commands.md), separated by commas.
        encoder: one or several names, package.module:Class or file.py:Class, separated by commas.
        dataset_options: arguments of the dataset, for example {train: 8} for a larger groovebox.
        heads: one or several of the task's heads, separated by commas; all when left out.
        seeds: how many seeds, counted from 0.
        learning_rates: tried on the validation split; the task's own when left out.
        mode: train the head alone, low-rank adapters in the encoder as well, or all of it; what
            is not frozen stands in a table of its own.
        deform: instead of the leaderboard, score the probes on deformed test audio, and say by how
            much they drop.
        cache: folder for generated data, embeddings and finished runs (MOTIONBEAT_CACHE).
        results: folder for records and leaderboards.
        data: folder with datasets and weights put in place by hand (MOTIONBEAT_DATA).
        ray: spread the entries over workers of Ray: auto starts it on this machine, HOST:PORT joins
            a cluster.
        shard: do one part of the entries, 3/16 is the third of sixteen; then run leaderboard.
    """
    from motionbeat.benchmarks.cluster import check_address
    from motionbeat.benchmarks.evaluator import Folders
    from motionbeat.benchmarks.grid import Grid
    from motionbeat.benchmarks.leaderboards import print_table, stem, write_tables
    from motionbeat.benchmarks.sharding import Shard
    from motionbeat.console import say

    part = None if shard is None else Shard.parse(shard)
    if ray is not None:
        check_address(ray)
        cache, results, data = cache.absolute(), results.absolute(), data and data.absolute()
    share(data)
    grid = Grid.plan(
        split(task),
        split(dataset),
        split(encoder),
        Folders(cache, results / "robustness" if deform else results, data),
        dataset_options=dataset_options,
        heads=None if heads is None else split(heads),
        learning_rates=learning_rates,
        seeds=seeds,
        mode=mode,
        deform=deform,
    )
    if part is not None:
        grid = grid.part(part)
    if not grid.rows:
        say(f"shard {shard} has no part of the grid, which has fewer entries")
        return
    grid.run(ray)
    for asked, shown in grid.datasets.items():
        table = write_tables(results, asked, deform)[stem(asked, mode, deform)]
        rows = table.set_index(["dataset", "dataset_revision"]).loc[sorted(shown)]
        print_table(rows.reset_index())
    if not deform:
        places = [] if results == Path("results") else ["--results", str(results)]
        say(f"to look at it: {shlex.join([program(), 'report', *places, '--open'])}")


def program() -> str:
    """How this program is called from a shell."""
    called, found = Path(sys.argv[0]), shutil.which("motionbeat")
    same = found is not None and called.exists() and os.path.samefile(called, found)
    return "motionbeat" if same or not called.is_file() else str(called)


def embed(
    dataset: str = "groovebox",
    encoder: str = ENCODERS,
    dataset_options: Options | None = None,
    segment_seconds: float | None = None,
    cache: Path = CACHE,
    data: Path | None = DATA,
    ray: str | None = None,
    shard: str | None = None,
) -> None:
    """Fill the embedding store and do nothing else.

    Args:
        dataset: one or several names, file.py:Class or CSV files of audio and labels (columns in
            docs/commands.md), separated by commas.
        encoder: one or several names or package.module:Class, separated by commas.
        dataset_options: arguments of the dataset, for example {train: 8} for a larger groovebox.
        segment_seconds: seconds averaged into one embedding; the encoder's own frames when left
            out.
        cache: folder for generated data and embeddings (MOTIONBEAT_CACHE).
        data: folder with datasets and weights put in place by hand (MOTIONBEAT_DATA).
        ray: spread the tracks over workers of Ray: auto starts it on this machine, HOST:PORT joins
            a cluster.
        shard: do one part of the tracks, 3/16 is the third of sixteen.
    """
    from motionbeat.benchmarks import extraction
    from motionbeat.benchmarks.cluster import check_address, joined
    from motionbeat.benchmarks.evaluator import Folders
    from motionbeat.benchmarks.sharding import Shard
    from motionbeat.benchmarks.store import EmbeddingStore
    from motionbeat.console import say
    from motionbeat.data_modules.base import SPLITS, Track

    part = None if shard is None else Shard.parse(shard)
    if ray is not None:
        check_address(ray)
        cache, data = cache.absolute(), data and data.absolute()
    share(data)
    embeddings = EmbeddingStore(cache / "embeddings")
    encoders = split(encoder)
    found: dict[str, list[Track]] = {}
    for name in split(dataset):
        module = Folders(cache, data=data).datamodule(name, dataset_options)
        module.prepare_data()
        tracks = [track for one in SPLITS for track in module.tracks(one)]
        found[name] = tracks if part is None else part.tracks(tracks)
    first = [tracks[0].audio_path for tracks in found.values() if tracks]
    with nullcontext() if ray is None else joined(ray, encoders, [cache], first) as cluster:
        extract = extraction.embed if cluster is None else cluster.embed
        for name, tracks in found.items():
            extract(encoders, tracks, embeddings, segment_seconds)
            say(f"{name}: {len(tracks)} tracks in {embeddings.root}")


def check_encoder(name: str, data: Path | None = DATA) -> None:
    """Check that an encoder keeps the contract; exits with 1 when it does not.

    Args:
        name: one name, package.module:Class or file.py:Class.
        data: folder with weights put in place by hand (MOTIONBEAT_DATA).
    """
    from motionbeat.benchmarks.check_encoder import check_encoder as run

    share(data)
    if not run(name):
        sys.exit(1)


def leaderboard(task: str | None = None, results: Path = Path("results")) -> None:
    """Rebuild all leaderboards from the run records and print them.

    Args:
        task: rebuild this one only.
        results: folder with the records.
    """
    from motionbeat.benchmarks.leaderboards import print_table, write_tables
    from motionbeat.benchmarks.records import RecordError
    from motionbeat.benchmarks.registry import TASKS

    wanted = TASKS.get(task).name if task else None
    tables = [
        table
        for deformed in (False, True)
        for table in write_tables(results, wanted, deformed).values()
    ]
    for table in tables:
        print_table(table)
    if not tables:
        raise RecordError(
            f"{results / 'runs'} holds no records{f' of {task}' if task else ''} that count; run "
            "motionbeat bench, or give the folder by --results"
        )


def list_names(
    kind: Literal["encoders", "datasets", "tasks"],
    cache: Path = CACHE,
    data: Path | None = DATA,
) -> None:
    """Show what there is by name, and of the encoders and datasets which can be used here.

    Args:
        kind: what to show.
        cache: folder for generated and fetched data (MOTIONBEAT_CACHE).
        data: folder with datasets and weights put in place by hand (MOTIONBEAT_DATA).
    """
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from motionbeat.benchmarks.registry import DATASETS, ENCODERS, TASKS
    from motionbeat.console import wide

    share(data)
    rows: list[dict[str, object]]
    caption = None
    if kind == "encoders":
        rows = [
            {
                "name": name + " (experimental)" * encoder.card.experimental,
                "Hz in": encoder.card.sample_rate,
                "frames/s": f"{encoder.card.frame_rate:g}",
                "layers": encoder.card.layers,
                "width": encoder.card.width,
                "parameters": f"{encoder.card.parameters:,}",
                "licence": encoder.card.licence,
                "trained on": ", ".join(encoder.card.training_data) or "nothing",
                "here": escape(encoder.here()),
            }
            for name, encoder in sorted(ENCODERS.classes.items())
        ]
    elif kind == "datasets":
        from motionbeat.benchmarks.evaluator import Folders, serves

        folders = Folders(cache, data=data)
        caption = "motionbeat data show NAME prints the whole card, and how to get it"
        rows = [
            {
                "name": name,
                "here": folders.datamodule(name).status(),
                "tasks": ", ".join(n for n, t in TASKS.classes.items() if serves(dataset, t))
                or "none: for pretraining",
                "data": dataset.card.data,
                "size": dataset.card.size.partition(";")[0],
                "licence": dataset.card.licence.partition(";")[0],
            }
            for name, dataset in sorted(DATASETS.classes.items())
        ]
    else:
        rows = [
            {
                "name": name,
                "class": task.__name__,
                "version": task.version,
                "primary metric": task.primary,
                "needs": ", ".join(annotation.__name__ for annotation in task.needs),
            }
            for name, task in sorted(TASKS.classes.items())
        ]
    grid = Table(caption=caption)
    for column in rows[0]:
        grid.add_column(column, overflow="fold")
    for row in rows:
        grid.add_row(*map(str, row.values()))
    wide(Console()).print(grid)


def data_show(name: str, cache: Path = CACHE, data: Path | None = DATA) -> None:
    """Show the card of datasets.

    Args:
        name: one or several names, separated by commas.
        cache: folder for generated and fetched data (MOTIONBEAT_CACHE).
        data: folder with datasets and weights put in place by hand (MOTIONBEAT_DATA).
    """
    from dataclasses import asdict

    from motionbeat.benchmarks.evaluator import Folders
    from motionbeat.benchmarks.registry import DATASETS
    from motionbeat.data_modules.published.collection import Published

    share(data)
    for one in split(name):
        kind = DATASETS.get(one)
        card = kind.card
        facts = asdict(card) | {
            "annotations": ", ".join(kind.__name__ for kind in card.annotations),
            "relatives": ", ".join(card.relatives),
            "here": Folders(cache, data=data).datamodule(one).status(),
        }
        for fact, value in facts.items():
            print(f"{fact.replace('_', ' ')}: {value}")
        if issubclass(kind, Published):
            for remote in kind.remotes():
                place = Path(kind.home or one, remote.folder)
                print(f"file: {' '.join(remote.urls)}, which data get puts into {place}")


def data_get(name: str, cache: Path = CACHE, data: Path | None = DATA) -> None:
    """Fetch datasets that need no login, going on where it was cut short; then check them.

    A dataset that has a folder in ``data`` is completed there.

    Args:
        name: one or several names, separated by commas.
        cache: folder for generated and fetched data (MOTIONBEAT_CACHE).
        data: folder with datasets and weights put in place by hand (MOTIONBEAT_DATA).
    """
    from motionbeat.benchmarks.evaluator import Folders
    from motionbeat.console import say
    from motionbeat.data_modules.published.collection import Published

    share(data)
    for one in split(name):
        module = Folders(cache, data=data).datamodule(one)
        if isinstance(module, Published):
            module.fetch()
        module.prepare_data()
        say(f"{one}: {module.status()}")


class Parser(ArgumentParser):
    """A parser whose switches need no value: ``--update`` is ``--update true``."""

    def add_argument(self, *args: Any, **kwargs: Any) -> Any:
        """Add an option."""
        if kwargs.get("type") is bool:
            kwargs |= {"nargs": "?", "const": True}
        return super().add_argument(*args, **kwargs)


DATA_COMMANDS = {"get": data_get, "show": data_show}

COMMANDS = {
    "bench": ("cli:bench", "probe encoders, write records and leaderboards, print the table"),
    "embed": ("cli:embed", "fill the embedding store"),
    "fit": ("lightning_cli:lightning", "train a task: fit --model TASK --data DATASET"),
    "validate": ("lightning_cli:lightning", "validate a trained task"),
    "test": ("lightning_cli:lightning", "test a trained task"),
    "predict": ("lightning_cli:lightning", "predict by a trained task"),
    "check-encoder": ("cli:check_encoder", "check that an encoder keeps the contract"),
    "list": ("cli:list_names", "show encoders, datasets and tasks"),
    "data": ("cli:DATA_COMMANDS", "show a dataset's card, fetch a dataset"),
    "pretrain": ("pretrain_cli:pretrain", "train MotionBeat: pretrain --config FILE"),
    "distill": ("pretrain_cli:distill", "train MotionBeat's sound stream: distill --config FILE"),
    "dance": ("choreographer:dance", "dance to a song"),
    "dance-metrics": ("dance_metrics:dance_metrics", "score generated dances"),
    "leaderboard": ("cli:leaderboard", "rebuild all tables from the records"),
    "report": ("report.web_report:report", "show the records as pages in a browser"),
    "regression": ("regression:regression", "compare encoders with the committed scores"),
}
"""By name: what runs it, imported when it is asked for, and what it does."""


class SettingsError(MotionBeatError):
    """A file of settings that cannot be read."""


def check_settings(arguments: list[str]) -> None:
    """Check that a file given by --config is text, which parsers take for granted.

    Raises:
        SettingsError: it is not.
    """
    for option, value in zip(arguments, [*arguments[1:], ""], strict=True):
        name, _, joined = option.partition("=")
        if name == "--config" and (path := Path(joined or value)).is_file():
            try:
                path.read_text(encoding="utf-8")
            except UnicodeDecodeError as error:
                raise SettingsError(
                    f"{path}: is no text in UTF-8; write the settings as YAML"
                ) from error


def run(arguments: list[str]) -> None:
    """Run a command."""
    check_settings(arguments)
    parser = argparse.ArgumentParser(
        "motionbeat",
        description="Measure what frozen music encoders know about rhythm, motion and style.",
    )
    commands = parser.add_subparsers(dest="name", required=True, metavar="COMMAND")
    for name, (_, does) in COMMANDS.items():
        commands.add_parser(name, help=does, add_help=False)
    name = parser.parse_args(arguments[:1]).name
    if name != "check-encoder" and arguments[:2] != ["list", "encoders"]:
        import_torchmetrics()
    module, _, attribute = COMMANDS[name][0].partition(":")
    command = getattr(import_module(f"motionbeat.benchmarks.{module}"), attribute)
    if module == "lightning_cli":  # which reads sys.argv
        command()
    elif module == "pretrain_cli":  # LightningCLI too
        command(arguments[1:])
    else:
        prog = f"motionbeat {name}"
        auto_cli(command, args=arguments[1:], parser_class=Parser, prog=prog)


def main() -> None:
    """Entry point of ``motionbeat``: errors a user can mend are one line, and exit with 1."""
    wait_passively()
    try:
        run(sys.argv[1:])
    except MotionBeatError as error:
        sys.exit(_report(f"error: {error}"))
    except OSError as error:
        sys.exit(_report(f"error: {error.filename or 'disk'}: {error.strerror or error}"))
    except KeyboardInterrupt:
        _report("interrupted; the same command goes on from here")
        sys.exit(130)


def _report(text: str) -> int:
    print(f"motionbeat: {text}", file=sys.stderr)
    return 1
