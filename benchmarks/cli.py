"""The command line, one entry point ``motionbeat`` with a command for each thing to do."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from jsonargparse import ArgumentParser, auto_cli

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
) -> None:
    """Probe frozen encoders, write records and leaderboards, print the table.

    Args:
        task: what is asked of the encoders.
        dataset: one or several names, separated by commas.
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
    """
    from motionbeat.benchmarks.evaluator import Folders, ProtocolError, plan
    from motionbeat.benchmarks.leaderboards import print_table, stem, write_tables
    from motionbeat.benchmarks.robustness import DeformedEvaluation

    share(data)
    if deform and mode != "frozen":
        raise ProtocolError("--deform is for frozen encoders; leave --mode out")
    folders = Folders(cache, results / "robustness" if deform else results, data)
    shown = set()
    for name in split(dataset):
        evaluation = plan(
            task,
            name,
            folders,
            dataset_options=dataset_options,
            heads=None if heads is None else split(heads),
            learning_rates=learning_rates,
            seeds=seeds,
            mode=mode,
        )
        if deform:
            evaluation = DeformedEvaluation.of(evaluation)
        alone = deform or mode != "frozen"
        baselines = () if alone else evaluation.task.baselines()
        evaluation.entries(split(encoder), baselines)
        shown.add((evaluation.dataset.card.name, evaluation.revision))
    asked = evaluation.task.name
    table = write_tables(results, asked, deform)[stem(asked, mode, deform)]
    print_table(table.set_index(["dataset", "dataset_revision"]).loc[sorted(shown)].reset_index())


def embed(
    dataset: str = "groovebox",
    encoder: str = ENCODERS,
    dataset_options: Options | None = None,
    segment_seconds: float | None = None,
    cache: Path = CACHE,
    data: Path | None = DATA,
) -> None:
    """Fill the embedding store and do nothing else.

    Args:
        dataset: one or several names, separated by commas.
        encoder: one or several names or package.module:Class, separated by commas.
        dataset_options: arguments of the dataset, for example {train: 8} for a larger groovebox.
        segment_seconds: seconds averaged into one embedding; the encoder's own frames when left
            out.
        cache: folder for generated data and embeddings (MOTIONBEAT_CACHE).
        data: folder with datasets and weights put in place by hand (MOTIONBEAT_DATA).
    """
    from motionbeat.benchmarks import embedded
    from motionbeat.benchmarks.evaluator import Folders
    from motionbeat.benchmarks.store import EmbeddingStore
    from motionbeat.console import say
    from motionbeat.data_modules.base import SPLITS

    share(data)
    store = EmbeddingStore(cache / "embeddings")
    for name in split(dataset):
        module = Folders(cache, data=data).datamodule(name, dataset_options)
        module.prepare_data()
        tracks = [track for part in SPLITS for track in module.tracks(part)]
        embedded.embed(split(encoder), tracks, store, segment_seconds)
        say(f"{name}: {len(tracks)} tracks in {store.root}")


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
    from motionbeat.benchmarks.registry import TASKS

    wanted = TASKS.get(task).name if task else None
    for deformed in (False, True):
        for table in write_tables(results, wanted, deformed).values():
            print_table(table)


def regression(update: bool = False, cache: Path = CACHE) -> None:
    """Probe the shipped encoders on a small fixed set and compare with the committed numbers.

    Args:
        update: write the numbers to be committed instead.
        cache: folder where the fixed set is made and kept (MOTIONBEAT_CACHE).
    """
    from rich.console import Console

    from motionbeat.benchmarks import regression

    if update:
        regression.update(split(ENCODERS), cache)
        print(f"written: {regression.NUMBERS}")
    else:
        Console().print(regression.gate(split(ENCODERS), cache))


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

    from motionbeat.benchmarks import registry
    from motionbeat.console import wide

    share(data)
    grid = Table()
    if kind == "encoders":
        for column in ("name", "Hz in", "frames/s", "layers", "width", "parameters"):
            grid.add_column(column, justify="left" if column == "name" else "right")
        for column in ("licence", "trained on", "here"):
            grid.add_column(column, overflow="fold")
        for name, encoder in sorted(registry.ENCODERS.classes.items()):
            card = encoder.card
            grid.add_row(
                name + " (experimental)" * card.experimental,
                str(card.sample_rate),
                f"{card.frame_rate:g}",
                str(card.layers),
                str(card.width),
                f"{card.parameters:,}",
                card.licence,
                ", ".join(card.training_data) or "nothing",
                escape(encoder.here()),
            )
    elif kind == "datasets":
        from motionbeat.benchmarks.evaluator import Folders, serves

        for column in ("name", "here", "tasks", "data", "size", "licence"):
            grid.add_column(column, overflow="fold")
        folders = Folders(cache, data=data)
        for name, dataset in sorted(registry.DATASETS.classes.items()):
            about = dataset.card
            serving = [one for one, task in registry.TASKS.classes.items() if serves(dataset, task)]
            grid.add_row(
                name,
                folders.datamodule(name).status(),
                ", ".join(serving),
                about.data,
                about.size.partition(";")[0],
                about.licence.partition(";")[0],
            )
        grid.caption = "motionbeat data show NAME prints the whole card, and how to get it"
    else:
        for column in ("name", "class", "version", "primary metric", "needs"):
            grid.add_column(column)
        for name, task in sorted(registry.TASKS.classes.items()):
            needs = ", ".join(annotation.__name__ for annotation in task.needs)
            grid.add_row(name, task.__name__, str(task.version), task.primary, needs)
    wide(Console()).print(grid)


def data_show(name: str, cache: Path = CACHE, data: Path | None = DATA) -> None:
    """Show the card of datasets.

    Args:
        name: one or several names, separated by commas.
        cache: folder for generated and fetched data (MOTIONBEAT_CACHE).
        data: folder with datasets put in place by hand (MOTIONBEAT_DATA).
    """
    from dataclasses import asdict

    from motionbeat.benchmarks.evaluator import Folders
    from motionbeat.benchmarks.registry import DATASETS
    from motionbeat.data_modules.published.collection import Published

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


def data_get(
    name: str,
    cache: Path = CACHE,
    data: Path | None = DATA,
) -> None:
    """Fetch datasets that need no login, going on where it was cut short; then check them.

    Args:
        name: one or several names, separated by commas.
        cache: folder for what is fetched (MOTIONBEAT_CACHE).
        data: folder with datasets put in place by hand (MOTIONBEAT_DATA); a dataset that has a
            folder there is completed there.
    """
    from motionbeat.benchmarks.evaluator import Folders
    from motionbeat.console import say
    from motionbeat.data_modules.published.collection import Published

    for one in split(name):
        module = Folders(cache, data=data).datamodule(one)
        if isinstance(module, Published):
            module.fetch()
        module.prepare_data()
        say(f"{one}: {module.status()}")


def dance_metrics(
    generated: Path = Path("generated"),
    reference: Path = Path("reference"),
    music: Path = Path("music"),
    fps: float | None = None,
    permutations: int = 1000,
    output: Path | None = None,
    unit: float = 0.01,
) -> None:
    """Score generated dances beside chance and beside real dances.

    Args:
        generated: folder with generated motions (.npz, .pkl, .bvh) named after their music.
        reference: folder with real ones.
        music: folder with the music of both (.wav, .flac, .ogg, .mp3).
        fps: frames a second of all motions, whatever their files say; needed where they do not.
        permutations: of the music, for chance.
        output: CSV file to write the table to.
        unit: metres of one unit of length of BVH files, 1 where they are in metres.
    """
    from motionbeat.benchmarks.dance_metrics import dance_metrics as run

    run(generated, reference, music, fps, permutations, output, unit)


def dance(
    song: Path,
    out: str = "dance.mp4",
    encoder: str = "motionbeat-small",
    dataset: str = "groovebox",
    dataset_options: Options | None = None,
    seed: int = 0,
    cache: Path = CACHE,
    data: Path | None = DATA,
) -> None:
    """Dance to a song; on first use, train the dancer.

    Args:
        song: music (.wav, .flac, .ogg, .mp3).
        out: file for the dance, a video (.mp4, .gif) or a motion (.bvh, .npz); several are
            separated by commas.
        encoder: a name or package.module:Class; what the dancer hears the music by.
        dataset: whose dances are learned from.
        dataset_options: arguments of the dataset, for example {train: 8} for a larger groovebox.
        seed: another one is another dance.
        cache: folder for generated data, features and trained dancers (MOTIONBEAT_CACHE).
        data: folder with datasets and weights put in place by hand (MOTIONBEAT_DATA).
    """
    from motionbeat.benchmarks.choreographer import dance as run
    from motionbeat.benchmarks.evaluator import Folders

    share(data)
    outputs = [Path(name) for name in split(out)]
    run(song, outputs, encoder, dataset, dataset_options, seed, Folders(cache, data=data))


class Parser(ArgumentParser):
    """A parser whose switches need no value: ``--update`` is ``--update true``."""

    def add_argument(self, *args: Any, **kwargs: Any) -> Any:
        """Add an option."""
        if kwargs.get("type") is bool:
            kwargs |= {"nargs": "?", "const": True}
        return super().add_argument(*args, **kwargs)


COMMANDS: dict[str, Any] = {
    "bench": bench,
    "embed": embed,
    "check-encoder": check_encoder,
    "leaderboard": leaderboard,
    "regression": regression,
    "data": {"get": data_get, "show": data_show},
    "dance": dance,
    "dance-metrics": dance_metrics,
    "list": list_names,
}

LIGHTNING = ("fit", "validate", "test", "predict")
"""Commands of Lightning's own command line, for tasks."""


def run(arguments: list[str]) -> None:
    """Run a command."""
    command = arguments[0] if arguments else ""
    if command in LIGHTNING:
        from motionbeat.benchmarks.lightning_cli import lightning

        lightning()
    elif command == "pretrain":
        from motionbeat.benchmarks.pretrain_cli import pretrain

        pretrain(arguments[1:])
    else:
        auto_cli(
            COMMANDS,
            args=arguments,
            parser_class=Parser,
            prog="motionbeat",
            description=(
                "Measure what frozen music encoders know about rhythm, motion and style. Beside "
                "the commands below there are Lightning's own for tasks: "
                "motionbeat fit|validate|test|predict --model TASK --data DATASET; and "
                "motionbeat pretrain --config FILE trains MotionBeat."
            ),
        )


def main() -> None:
    """Entry point of ``motionbeat``: errors a user can mend are one line, and exit with 1."""
    wait_passively()
    report: Callable[[str], None] = lambda text: print(f"motionbeat: {text}", file=sys.stderr)  # noqa: E731
    try:
        run(sys.argv[1:])
    except MotionBeatError as error:
        report(f"error: {error}")
        sys.exit(1)
    except OSError as error:
        place = error.filename or "disk"
        report(f"error: {place}: {error.strerror or error}")
        sys.exit(1)
    except KeyboardInterrupt:
        report("interrupted; the same command goes on from here")
        sys.exit(130)
