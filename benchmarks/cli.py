"""The command line: one entry point, ``motionbeat``, with subcommands."""

import argparse
import os
import re
import shlex
import shutil
import sys
from contextlib import nullcontext
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from jsonargparse import ArgumentParser, auto_cli

from motionbeat._torchmetrics import import_torchmetrics
from motionbeat.cache import default_cache
from motionbeat.errors import MotionBeatError
from motionbeat.threads import wait_passively

if TYPE_CHECKING:
    from motionbeat.benchmarks.extraction import Extraction

Precision = Literal["bf16", "fp16"]  # as in motionbeat.devices, which takes a second to import
CACHE = default_cache()
DATA = Path(os.environ["MOTIONBEAT_DATA"]) if os.environ.get("MOTIONBEAT_DATA") else None
ENCODERS = "logmel,mfcc_chroma,random,musicnn,beatnet,beatgrid,motionbeat-random,motionbeat-small"

Options = dict[str, bool | int | float | str | list[str]]


def split(names: str) -> list[str]:
    """Split names at commas outside brackets, in order and without duplicates."""
    found = (name.strip() for name in re.split(r",(?![^\[]*\])", names))
    return list(dict.fromkeys(name for name in found if name))


def extraction(workers: int | None, batch_seconds: float | None) -> "Extraction":
    """Make the settings of an extraction.

    Raises:
        SettingsError: a number is negative.
    """
    from motionbeat.benchmarks.extraction import Extraction

    for option, value in (("workers", workers), ("batch_seconds", batch_seconds)):
        if value is not None and not value >= 0:
            raise SettingsError(f"--{option} is {value}; give a number from 0 on, or leave it out")
    return Extraction(workers, batch_seconds)


def share(data: Path | None, embeddings: str | None = None) -> None:
    """Set environment variables, so that every process finds the weights and the embeddings."""
    if data is not None:
        os.environ["MOTIONBEAT_DATA"] = str(data)
    if embeddings is not None:
        os.environ["MOTIONBEAT_EMBEDDINGS"] = embeddings


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
    layers: str | None = None,
    int8: bool = False,
    workers: int | None = None,
    batch_seconds: float | None = None,
    precision: Precision | None = None,
    cache: Path = CACHE,
    embeddings: str | None = None,
    results: Path = Path("results"),
    data: Path | None = DATA,
    ray: str | None = None,
    shard: str | None = None,
) -> None:
    """Evaluate encoders with probes, write records and leaderboards, print the table.

    Args:
        task: names of tasks (motionbeat list tasks), package.module:Class or file.py:Class,
            separated by commas. Each of several tasks is run on the datasets that have what it
            needs.
        dataset: names, package.module:Class, file.py:Class or CSV files of audio and labels
            (columns in docs/commands.md), separated by commas.
        encoder: names, package.module:Class or file.py:Class, separated by commas.
        dataset_options: arguments of the dataset, for example {train: 8} for a larger groovebox.
        heads: heads of the task, separated by commas; all by default.
        seeds: number of seeds, counted from 0.
        learning_rates: learning rates swept on the validation split; by default those of the task.
        mode: train only the head (frozen), also low-rank adapters in the encoder (lora), or all
            weights (full). Entries that are not frozen go into a separate table.
        deform: score the probes on deformed test audio, and report the drop instead of the
            leaderboard.
        layers: use only these layers, counted from 0 and separated by commas, or their mean.
        int8: store frames with 8 bits per value instead of half precision.
        workers: number of processes that decode audio; by default one per processor, 0 for none.
        batch_seconds: seconds of audio per batch of the encoder; by default as much as fits into
            the memory of a GPU, and one chunk on a CPU.
        precision: half precision for the encoders on a GPU. Their entries have names of their own,
            such as logmel[bf16].
        cache: folder for generated data, embeddings and finished runs (MOTIONBEAT_CACHE).
        embeddings: folder or address of the embedding store, such as s3://bucket/folder
            (MOTIONBEAT_EMBEDDINGS); by default in the cache.
        results: folder for records and leaderboards.
        data: folder with datasets and weights that you provide (MOTIONBEAT_DATA).
        ray: distribute the entries over Ray workers: auto starts Ray on this machine, HOST:PORT
            joins a cluster.
        shard: run only one part of the entries, for example 3/16, the third of sixteen; run
            leaderboard after all parts.
    """
    from motionbeat.benchmarks.cluster import check_address
    from motionbeat.benchmarks.evaluator import Folders, ProtocolError
    from motionbeat.benchmarks.grid import Grid
    from motionbeat.benchmarks.leaderboards import print_table, stem, write_tables
    from motionbeat.benchmarks.sharding import Part
    from motionbeat.benchmarks.variants import named
    from motionbeat.console import say

    part = None if shard is None else Part.parse(shard)
    if int8 and mode != "frozen":
        raise ProtocolError("--int8 is for frozen encoders; leave it or --mode out")
    places = [] if results == Path("results") else ["--results", str(results)]
    if ray is not None:
        check_address(ray)
        cache, results, data = cache.absolute(), results.absolute(), data and data.absolute()
    share(data, embeddings)
    grid = Grid.plan(
        split(task),
        split(dataset),
        [named(name, layers, int8, precision) for name in split(encoder)],
        Folders(cache, results / "robustness" if deform else results, data),
        dataset_options=dataset_options,
        heads=None if heads is None else split(heads),
        learning_rates=learning_rates,
        seeds=seeds,
        mode=mode,
        deform=deform,
        how=extraction(workers, batch_seconds),
    )
    if part is not None:
        grid = grid.part(part)
    if not grid.rows:
        say(f"shard {shard} is empty: there are fewer entries")
        return
    grid.run(ray)
    for asked, shown in grid.datasets.items():
        table = write_tables(results, asked, deform)[stem(asked, mode, deform)]
        rows = table.set_index(["dataset", "dataset_revision"]).loc[sorted(shown)]
        print_table(rows.reset_index())
    if not deform:
        say(f"to look at it: {shlex.join([*program(), 'report', *places, '--open'])}")


def program() -> list[str]:
    """The command by which this program is called from a shell."""
    called, found = Path(sys.argv[0]), shutil.which("motionbeat")
    if called.name == "__main__.py":
        return [sys.executable, "-m", "motionbeat"]
    same = found is not None and called.exists() and os.path.samefile(called, found)
    return ["motionbeat"] if same or not called.is_file() else [str(called)]


def embed(
    dataset: str = "groovebox",
    encoder: str = ENCODERS,
    dataset_options: Options | None = None,
    segment_seconds: float | None = None,
    layers: str | None = None,
    int8: bool = False,
    workers: int | None = None,
    batch_seconds: float | None = None,
    precision: Precision | None = None,
    cache: Path = CACHE,
    embeddings: str | None = None,
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
        segment_seconds: seconds averaged into one embedding; by default frames are stored.
        layers: use only these layers, counted from 0 and separated by commas, or their mean.
        int8: store frames with 8 bits per value instead of half precision.
        workers: number of processes that decode audio; by default one per processor, 0 for none.
        batch_seconds: seconds of audio per batch of the encoder; by default as much as fits into
            the memory of a GPU, and one chunk on a CPU.
        precision: half precision for the encoders on a GPU. Their embeddings have names of their
            own, such as logmel[bf16].
        cache: folder for generated data and embeddings (MOTIONBEAT_CACHE).
        embeddings: folder or address of the embedding store, such as s3://bucket/folder
            (MOTIONBEAT_EMBEDDINGS); by default in the cache.
        data: folder with datasets and weights that you provide (MOTIONBEAT_DATA).
        ray: distribute the tracks over Ray workers: auto starts Ray on this machine, HOST:PORT
            joins a cluster.
        shard: encode only one part of the tracks, for example 3/16, the third of sixteen.
    """
    from motionbeat.benchmarks.cluster import check_address, joined, shared_folders
    from motionbeat.benchmarks.digests import file_digests
    from motionbeat.benchmarks.evaluator import Folders
    from motionbeat.benchmarks.extraction import embed as fill
    from motionbeat.benchmarks.sharding import Part
    from motionbeat.benchmarks.store import store_of
    from motionbeat.benchmarks.variants import named
    from motionbeat.console import say
    from motionbeat.data_modules.base import SPLITS, Track

    part = None if shard is None else Part.parse(shard)
    if segment_seconds is not None and not segment_seconds > 0:
        raise SettingsError(f"--segment_seconds is {segment_seconds}; give a number above 0")
    if ray is not None:
        check_address(ray)
        cache, data = cache.absolute(), data and data.absolute()
    share(data, embeddings)
    store = store_of(cache)
    encoders = [named(name, layers, int8, precision) for name in split(encoder)]
    how = extraction(workers, batch_seconds)
    found: dict[str, list[Track]] = {}
    for name in split(dataset):
        module = Folders(cache, data=data).datamodule(name, dataset_options)
        module.prepare_data()
        tracks = [track for one in SPLITS for track in module.tracks(one)]
        found[name] = tracks if part is None else part.tracks(tracks)
    first = [tracks[0].audio_path for tracks in found.values() if tracks]
    places = [] if ray is None else shared_folders(store)
    with nullcontext() if ray is None else joined(ray, encoders, places, first) as cluster:
        spread = cluster.extract if cluster else None
        for name, tracks in found.items():
            file_digests((track.audio_path for track in tracks), cache / "digests")
            fill(encoders, tracks, store, segment_seconds, how=how, spread=spread)
            say(f"{name}: {len(tracks)} tracks in {store}")


def check_encoder(name: str, data: Path | None = DATA) -> None:
    """Check that an encoder meets the contract; the exit status is 1 if it does not.

    Args:
        name: name of an encoder, package.module:Class or file.py:Class.
        data: folder with weights that you provide (MOTIONBEAT_DATA).
    """
    from motionbeat.benchmarks.check_encoder import check_encoder as run

    share(data)
    if not run(name):
        sys.exit(1)


def leaderboard(task: str | None = None, results: Path = Path("results")) -> None:
    """Rebuild all leaderboards from the run records and print them.

    Args:
        task: rebuild only the leaderboards of this task.
        results: folder with the records.

    Raises:
        RecordError: the folder has no valid records.
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
            f"{results / 'runs'} has no valid records{f' of {task}' if task else ''}; run "
            "motionbeat bench, or name the folder with --results"
        )


def list_names(
    kind: Literal["encoders", "datasets", "tasks"],
    cache: Path = CACHE,
    data: Path | None = DATA,
) -> None:
    """List encoders, datasets or tasks, and which encoders and datasets can be used here.

    Args:
        kind: what to list.
        cache: folder for generated and downloaded data (MOTIONBEAT_CACHE).
        data: folder with datasets and weights that you provide (MOTIONBEAT_DATA).
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
        caption = "motionbeat data show NAME prints the card of a dataset and how to get it"
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
    """Print the cards of datasets.

    Args:
        name: names of datasets, separated by commas.
        cache: folder for generated and downloaded data (MOTIONBEAT_CACHE).
        data: folder with datasets and weights that you provide (MOTIONBEAT_DATA).
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
                print(f"file: {' '.join(remote.urls)}; data get saves it to {place}")


def data_get(name: str, cache: Path = CACHE, data: Path | None = DATA) -> None:
    """Download datasets that need no login, and verify them; an interrupted download resumes.

    If a dataset has a folder in ``data``, missing files are downloaded into it.

    Args:
        name: names of datasets, separated by commas.
        cache: folder for generated and downloaded data (MOTIONBEAT_CACHE).
        data: folder with datasets and weights that you provide (MOTIONBEAT_DATA).
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
    """A parser whose boolean options need no value: ``--update`` means ``--update true``."""

    def add_argument(self, *args: Any, **kwargs: Any) -> Any:
        """Add an option."""
        if kwargs.get("type") is bool:
            kwargs |= {"nargs": "?", "const": True}
        return super().add_argument(*args, **kwargs)


DATA_COMMANDS = {"get": data_get, "show": data_show}

COMMANDS = {
    "bench": ("cli:bench", "evaluate encoders, write records and leaderboards, print the table"),
    "embed": ("cli:embed", "fill the embedding store"),
    "store": ("store_cli:STORE_COMMANDS", "show, check and clean up the embedding store"),
    "fit": ("lightning_cli:lightning", "train a task: fit --model TASK --data DATASET"),
    "validate": ("lightning_cli:lightning", "validate a trained task"),
    "test": ("lightning_cli:lightning", "test a trained task"),
    "predict": ("lightning_cli:lightning", "predict with a trained task"),
    "check-encoder": ("cli:check_encoder", "check that an encoder meets the contract"),
    "list": ("cli:list_names", "list encoders, datasets or tasks"),
    "data": ("cli:DATA_COMMANDS", "show a dataset's card, download a dataset"),
    "pretrain": ("pretrain_cli:pretrain", "train MotionBeat: pretrain --config FILE"),
    "distill": ("pretrain_cli:distill", "train MotionBeat's sound stream: distill --config FILE"),
    "dance": ("choreographer:dance", "generate a dance to a song"),
    "dance-metrics": ("dance_metrics:dance_metrics", "score generated dances"),
    "leaderboard": ("cli:leaderboard", "rebuild all tables from the records"),
    "report": ("report.web_report:report", "make an HTML report of the records"),
    "regression": ("regression:regression", "compare encoders with the committed scores"),
}
"""Commands by name: the function that runs each one, imported on use, and its help text."""


class SettingsError(MotionBeatError):
    """A configuration file that cannot be read, or an invalid option."""


def check_settings(arguments: list[str]) -> None:
    """Check that the file given by --config is UTF-8 text, which parsers take for granted.

    Raises:
        SettingsError: the file is not UTF-8 text.
    """
    for option, value in zip(arguments, [*arguments[1:], ""], strict=True):
        name, _, joined = option.partition("=")
        if name == "--config" and (path := Path(joined or value)).is_file():
            try:
                path.read_text(encoding="utf-8")
            except UnicodeDecodeError as error:
                raise SettingsError(
                    f"{path}: not UTF-8 text; write the settings as YAML"
                ) from error


def run(arguments: list[str]) -> None:
    """Run a command with its arguments."""
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
    """Entry point of ``motionbeat``; an expected error is one line with exit status 1."""
    wait_passively()
    try:
        run(sys.argv[1:])
    except MotionBeatError as error:
        sys.exit(_report(f"error: {error}"))
    except OSError as error:
        sys.exit(_report(f"error: {error.filename or 'disk'}: {error.strerror or error}"))
    except KeyboardInterrupt:
        _report("interrupted; run the same command again to resume")
        sys.exit(130)


def _report(text: str) -> int:
    print(f"motionbeat: {text}", file=sys.stderr)
    return 1
